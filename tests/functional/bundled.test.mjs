// SPDX-License-Identifier: MIT
//
// What an app ships, its web/dist: attached to its sessions from the start, and served.
import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import test from "node:test";

import { join } from "./events.mjs";
import { base, blind, raw, start, temp_dir, until } from "./harness.mjs";
import { Panel, skip } from "./panel.mjs";
import { write_files } from "./publishing.mjs";

const url = "/api/apps/shop/web-static/";
const page = (text) => `<!doctype html><html lang="en"><title>Shop</title><h1>${text}</h1><script type="module" src="/assets/app-4f1c22aa.js"></script></html>`;
const files = {
	"shop/web/dist/index.html": page("Welcome"),
	"shop/web/dist/assets/app-4f1c22aa.js": 'document.body.append(" to the shop");\n',
	"shop/web/secret.txt": "not in dist",
	"bare/README": "ships no page",
};

// A daemon whose apps are these, and where they are.
async function with_apps(t, { settings = {}, content = files, ...more } = {}) {
	const apps = write_files(temp_dir(t), content);
	const d = await start(t, { settings: { "apps.dir": apps, ...settings }, ...more });
	return { d, apps, dist: path.join(apps, "shop/web/dist") };
}

const bundled = (d, session, app = "shop") =>
	until(async () => (await d.admin.get(`${base(session, app)}/previews/bundled`)).json.url && (await d.admin.get(`${base(session, app)}/previews/bundled`)).json, `${session} has it`);

test("a session of an app that ships web/dist has it attached from the start", async (t) => {
	const { d } = await with_apps(t);
	const events = await join(d, "s1");
	assert.equal((await d.admin.put(base("s1", "shop"), {})).status, 201);
	const attached = await events.event("web_preview:attached");
	const { name, type, url: told, host, port, focus, connect } = attached.payload;
	assert.deepEqual({ name, type, told, host, port, focus, connect },
		{ name: "bundled", type: "bundled", told: url, host: null, port: null, focus: true, connect: "same_origin" });

	const one = (await d.admin.get(`${base("s1", "shop")}/previews/bundled`)).json;
	assert.equal(one.status, "up");
	assert.equal(one.reaps_at, null);
	assert.equal(one.probe, null);
	const looked = (await d.admin.get("/api/apps/shop/web-preview?session_id=s1")).json;
	assert.deepEqual(looked, { attached: true, url, type: "bundled", name: "bundled", session_id: "s1" });
	const canvas = (await d.admin.get(`${base("s1", "shop")}/canvas`)).json;
	assert.deepEqual(canvas.attachments.map((a) => [a.name, a.type]), [["bundled", "bundled"]]);
	const why = (await d.admin.get(`${base("s1", "shop")}/previews/bundled/why`)).json;
	assert.match(JSON.stringify(why), /comes with the app/);
	assert.equal((await d.admin.get("/health/web_preview")).json.by_type.bundled, 1);

	// It is there after a restart, and goes with its session; one that comes back has it again.
	await d.kill();
	await d.start();
	assert.equal((await d.admin.get(`${base("s1", "shop")}/previews/bundled`)).json.type, "bundled");
	assert.deepEqual((await d.admin.del(base("s1", "shop"))).json.detached, ["bundled"]);
	assert.equal((await d.admin.get("/api/apps/shop/web-preview?session_id=s1")).json.attached, false);
	assert.equal((await d.admin.put(base("s1", "shop"), {})).status, 201);
	await bundled(d, "s1");

	// Detached it stays away.
	const gone = (await d.admin.del(`${base("s1", "shop")}/previews/bundled`)).json;
	assert.equal(gone.removed, true);
	assert.equal(gone.hint, undefined);
	assert.equal((await d.admin.put(base("s1", "shop"), { meta: { a: 1 } })).status, 200);
	await d.admin.put(base("s2", "shop"), {});
	await bundled(d, "s2"); // what was begun before has happened
	assert.deepEqual((await d.admin.get(`${base("s1", "shop")}/previews`)).json.previews, []);
});

test("no limit counts it, and it takes nothing's place nor the eyes off it", async (t) => {
	const { d } = await with_apps(t, { settings: { "limits.per_session": "2", "limits.per_user": "3" } });
	const attach = (session, name) => d.admin.attach(session, blind({ name }), { app: "shop" });
	assert.equal((await attach("s1", "web")).status, 201); // which makes the session
	assert.equal((await bundled(d, "s1")).focus, false);
	assert.equal((await attach("s1", "docs")).status, 201);
	for (const name of ["third", "bundled"]) { // in its place would be one more
		const refused = await attach("s1", name);
		assert.equal(refused.json.code, "session_limit", name);
		assert.deepEqual(refused.json.attached.map((a) => a.name).sort(), ["docs", "web"]);
	}
	await d.admin.put(base("s2", "shop"), {});
	await bundled(d, "s2");
	const replaced = await attach("s2", "bundled");
	assert.equal(replaced.status, 200);
	assert.equal(replaced.json.type, "proxy");
	assert.equal((await attach("s2", "web")).json.code, "user_limit", "what took its place counts");
	await d.restart();
	assert.equal((await attach("s2", "web")).json.code, "user_limit");
	assert.equal((await attach("s1", "third")).json.code, "session_limit");
	assert.equal((await d.admin.del(`${base("s1", "shop")}/previews/web`)).status, 200);
	assert.equal((await attach("s1", "third")).status, 201);
});

test("its files are served kept apart, as the operator says", async (t) => {
	const { d, apps } = await with_apps(t);
	const ask = (target, headers, method = "GET") => d.anonymous.request(method, target, { headers });
	const home = await ask(url);
	assert.equal(home.status, 200);
	assert.match(home.text, /Welcome.*src="\/api\/apps\/shop\/web-static\/assets\/app-4f1c22aa.js"/, "addresses are below its path");
	const script = await ask(`${url}assets/app-4f1c22aa.js`);
	assert.match(script.headers["cache-control"], /immutable/);
	assert.equal((await ask(`${url}cart`, { accept: "text/html", "sec-fetch-mode": "navigate" })).text, home.text, "a single-page application");
	const rows = [
		[200, url], [304, url, { "if-none-match": home.headers.etag }], [301, url.slice(0, -1)], [404, `${url}none.js`],
		[404, `${url}secret.txt`], [400, `${url}..%2fsecret.txt`], [404, "/api/apps/bare/web-static/"], [404, "/api/apps/nobody/web-static/x"],
		[404, `${url}assets/app-4f1c22aa.js`, { "service-worker": "script" }],
	];
	for (const [status, target, headers] of rows)
		for (const method of ["GET", "HEAD"]) {
			const answer = await ask(target, headers, method);
			assert.equal(answer.status, status, `${method} ${target} ${answer.text}`);
			assert.match(answer.headers["content-security-policy"], /^sandbox (?!.*allow-same-origin)/, target);
			assert.equal(answer.headers["access-control-allow-origin"], "*", target);
		}
	assert.equal((await ask(url, { origin: "null", "access-control-request-method": "GET" }, "OPTIONS")).status, 204);
	assert.equal((await d.anonymous.request("PUT", `${url}x`)).status, 405);
	for (const app of ["..", "%2e%2e", ".", "a%2fb"]) assert.ok([400, 404, 422].includes((await ask(`/api/apps/${app}/web-static/`)).status), app);
	assert.equal(await d.metric("previewd_bundled_pages_open"), 1);

	// Many at once on one connection, for what there isn't.
	const request = (n, more = "") => `GET /api/apps/none${n}/web-static/ HTTP/1.1\r\nHost: localhost\r\n${more}\r\n`;
	const answers = await raw(d.port, request(1).repeat(20) + request(2) + request(1, "Connection: close\r\n"));
	assert.equal(answers.match(/^HTTP\/1.1 404 /gm).length, 22);

	// What leads out of apps.dir is no app, and out of dist no file.
	fs.symlinkSync(path.join(apps, ".."), path.join(apps, "up"));
	fs.mkdirSync(path.join(apps, "out/web"), { recursive: true });
	fs.symlinkSync("/etc", path.join(apps, "out/web/dist"));
	for (const app of ["up", "out"]) assert.equal((await ask(`/api/apps/${app}/web-static/`)).status, 404, app);
	assert.ok(await d.child.stderr.match(/app 'out': what it ships cannot be shown/));

	await d.stop();
	d.settings["apps.isolation"] = "trusted";
	await d.start();
	const trusted = await d.anonymous.get(url);
	assert.equal(trusted.status, 200);
	assert.equal(trusted.headers["content-security-policy"], "frame-ancestors 'self'");
});

test("it is taken anew when it has changed, and stays as it was while it can't be", async (t) => {
	const { d, apps, dist } = await with_apps(t);
	const text = async () => (await d.anonymous.get(url)).text;
	assert.match(await text(), /Welcome/);
	const releases = () => fs.readdirSync(path.join(d.state, "bundled/shop~web/releases"));
	const [first] = releases();

	await d.restart();
	assert.match(await text(), /Welcome/);
	assert.deepEqual(releases(), [first], "it is known again");

	// Another of the same length; what the old one had is still there for who has it open.
	fs.rmSync(path.join(dist, "assets"), { recursive: true });
	write_files(dist, { "index.html": page("Goodbye") });
	await until(async () => (await text()).includes("Goodbye"), "the new one is served");
	assert.equal(releases().length, 2);
	assert.equal((await d.anonymous.get(`${url}assets/app-4f1c22aa.js`)).status, 200);

	fs.rmSync(path.join(dist, "index.html"));
	await until(async () => (await text(), d.child.stderr.text.includes("what it shipped before")), "it was looked at");
	assert.match(await text(), /Goodbye/);

	fs.rmSync(path.join(apps, "shop"), { recursive: true });
	await until(async () => (await d.anonymous.get(url)).status === 404, "it is gone");
	assert.deepEqual(fs.readdirSync(path.join(d.state, "bundled")), []);
});

test("what apps ship is bounded, and off where apps.dir is not set", async (t) => {
	const { d, apps } = await with_apps(t, { settings: { "publish.files_max": "1", "publish.pages_open": "1" } });
	assert.equal((await d.anonymous.get(url)).status, 404);
	assert.ok(await d.child.stderr.match(/app 'shop'.*publish.files_max/));
	for (const app of ["one", "two", "three"]) {
		write_files(apps, { [`${app}/web/dist/index.html`]: page(app) });
		assert.match((await d.anonymous.get(`/api/apps/${app}/web-static/`)).text, new RegExp(`<h1>${app}`));
		assert.equal(await d.metric("previewd_bundled_pages_open"), 1);
	}

	delete d.settings["apps.dir"];
	fs.writeFileSync(d.config, `[apps]\ndir = ${apps}\n`);
	await d.restart();
	await d.admin.put(base("s1", "one"), {});
	await bundled(d, "s1", "one");
	fs.writeFileSync(d.config, "");
	d.child.signal("SIGHUP");
	assert.ok(await d.child.stderr.match(/reloaded/));
	assert.equal((await d.anonymous.get("/api/apps/one/web-static/")).status, 404);
	assert.equal(await d.metric("previewd_bundled_pages_open"), 0);
	await d.admin.put(base("s2", "one"), {});
	assert.deepEqual((await d.admin.get(`${base("s2", "one")}/previews`)).json.previews, []);
});

test("the panel shows it", { skip, timeout: 120_000 }, async (t) => {
	const { d } = await with_apps(t);
	await d.admin.put(base("s1", "shop"), {});
	await bundled(d, "s1");
	const panel = await Panel.open(t, d);
	await panel.go("s1", "--app", "shop");
	await panel.shows("bundled");
	await panel.inside("bundled").getByText("Welcome").waitFor();
	await panel.inside("bundled").getByText("to the shop").waitFor();
	assert.ok(!(await panel.locator("iframe").getAttribute("sandbox")).includes("allow-same-origin"));
	await panel.accessible("bundled");
	panel.no_errors();
});
