// SPDX-License-Identifier: MIT
//
// contrib/edge: attached previews on host names of their own, over TLS, behind the real nginx and the
// real Caddy, and Traefik (see edge.mjs); and /edge/verify as any other proxy would ask it.
import assert from "node:assert/strict";
import { createSecretKey } from "node:crypto";
import fs from "node:fs";
import path from "node:path";
import test from "node:test";
import { SignJWT } from "jose";

import { asked, asker, certificate, cookie_of, edges, link_of, suffix, why_no_edge } from "./edge.mjs";
import { base, free_port, previewctl, run, start, temp_dir, until } from "./harness.mjs";
import { Panel, skip as no_browser } from "./panel.mjs";
import { start_proxy } from "./proxies.mjs";
import * as targets from "./targets.mjs";

for (const [name, configure] of Object.entries(edges)) {
	test(`${name} shows previews on their own hosts to those who opened a link`, { skip: why_no_edge(name) }, async (t) => {
		const port = await free_port();
		const d = await start(t, {
			settings: { "server.trusted_proxies": "127.0.0.1", "preview.public_url_template": `https://{label}.${suffix}:${port}` },
		});
		const app = await targets.vite(t, { host: "127.0.0.1" });
		const other = await targets.http_server(t, (req, res) => {
			let size = 0;
			req.on("data", (c) => (size += c.length));
			req.on("end", () => res.end(JSON.stringify({ method: req.method, url: req.url, size, headers: req.headers })));
		});
		const unattached = await targets.http_server(t);
		assert.ok(await app.ready(), app.child.stderr.text);
		const mine = (await d.admin.attach("s1", { port: app.port, path: "/?a=1" })).json;
		const yours = (await d.admin.attach("s2", { port: other.port })).json;
		assert.equal(mine.connect, "edge", JSON.stringify(mine));
		assert.equal(mine.url, `https://${mine.label}.${suffix}:${port}/?a=1`);

		const dir = temp_dir(t);
		const ca = certificate(dir);
		const edge = start_proxy(t, dir, await configure(dir, port, d));
		const ask = asker(t, port, ca);
		await until(async () => !edge.running || (await ask(mine.label, "/").catch(() => null)), `${name} answers`, 60_000);
		assert.ok(edge.running, edge.stderr.text);

		// Private by default, also for WebSockets.
		assert.equal((await ask(mine.label, "/")).status, 401);
		assert.equal((await ask.ws(mine.label, "/")).status, 401);

		// A link works once, for its own host, and not for who only looks.
		const { url, once, expires_at } = await link_of(d.admin, "s1");
		assert.equal(once, true);
		assert.ok(Date.parse(expires_at) > Date.now());
		const target = url.slice(new URL(url).origin.length);
		assert.equal(new URL(url).host, `${mine.label}.${suffix}:${port}`);
		assert.equal((await ask(yours.label, target)).status, 401);
		assert.notEqual((await ask(mine.label, target, { method: "HEAD" })).status, 302);
		const opened = await ask(mine.label, target);
		assert.deepEqual([opened.status, opened.headers.location], [302, mine.url], opened.text);
		assert.match(
			opened.headers["set-cookie"][0],
			/^__Host-previewd-edge=[^;]+; Path=\/; Max-Age=43200; HttpOnly; Secure; SameSite=None; Partitioned$/,
		);
		assert.equal(opened.headers["x-previewd-upstream"], undefined);
		assert.equal((await ask(mine.label, target)).status, 401);
		const cookie = cookie_of(opened);

		// Vite, and its hot reloading: for who has the cookie, as soon as the proxy knows where it is.
		const is_shown = async () => (await ask(mine.label, "/", { headers: { cookie } })).status === 200;
		await until(is_shown, "it is shown", 60_000);
		const page = await ask(mine.label, "/", { headers: { cookie } });
		assert.equal(page.status, 200, page.text);
		assert.match(page.text, /\/@vite\/client/);
		assert.equal((await ask(mine.label, "/main.js", { headers: { cookie } })).status, 200);
		const client = await ask(mine.label, "/@vite/client", { headers: { cookie } });
		const [, token] = /wsToken = "([^"]+)"/.exec(client.text);
		const ws = await ask.ws(mine.label, `/?token=${token}`, { cookie });
		await until(() => ws.said?.some((m) => m.type === "connected"), "Vite greets");
		fs.appendFileSync(path.join(app.root, "main.js"), "\n// changed\n");
		await until(() => ws.said.some((m) => ["update", "full-reload"].includes(m.type)), "Vite tells of the change", 60_000);
		assert.equal((await ask.ws(mine.label, `/?token=${token}`, { cookie, origin: `https://${yours.label}.${suffix}:${port}` })).status, 403);

		// It is use.
		const why = await d.admin.get(`${base("s1")}/previews/default/why`);
		assert.ok(["edge", "traffic"].includes(why.json.last_reset.by), why.text);

		// One preview's cookie is nothing to another, nor to the API.
		assert.equal((await ask(yours.label, "/", { headers: { cookie } })).status, 401);
		assert.equal((await d.anonymous.get("/api/previews", { headers: { cookie } })).status, 401);
		const theirs = cookie_of(await ask(yours.label, (await link_of(d.admin, "s2")).url.replace(/^https:\/\/[^/]+/, "")));
		const posted = await ask(yours.label, "/x?y=1", {
			method: "POST",
			body: "b".repeat(100_000),
			headers: { cookie: `a=b; ${theirs}`, "x-previewd-upstream": `127.0.0.1:${unattached.port}`, "x-forwarded-host": `${mine.label}.${suffix}` },
		});
		const got = JSON.parse(posted.text);
		assert.deepEqual([got.method, got.url, got.size], ["POST", "/x?y=1", 100_000]);
		assert.equal(got.headers.host, `${yours.label}.${suffix}:${port}`);

		// What isn't attached is reachable by no name, whatever one says.
		for (const label of ["nothing", `p${unattached.port}`, mine.label.slice(1)]) {
			const answer = await ask(label, "/", { headers: { cookie, "x-previewd-upstream": `127.0.0.1:${unattached.port}` } });
			assert.equal(answer.status, 401, label);
		}
		await d.admin.detach("s2");
		assert.equal((await ask(yours.label, "/", { headers: { cookie: theirs } })).status, 403);
		assert.deepEqual(unattached.seen, []);

		// A cookie outlives the daemon, for the preview does.
		d.listen = `127.0.0.1:${d.port}`;
		await d.kill();
		await d.start();
		await until(is_shown, "it is shown again", 60_000);
	});
}

test("the panel shows a private preview, in its frame and in a tab", { skip: no_browser || why_no_edge("nginx") }, async (t) => {
	const port = await free_port();
	const settings = { "server.trusted_proxies": "127.0.0.1", "preview.public_url_template": `https://{label}.${suffix}:${port}` };
	const d = await start(t, { settings });
	const dir = temp_dir(t);
	certificate(dir);
	const edge = start_proxy(t, dir, edges.nginx(dir, port, d));
	const app = await targets.http_server(t, (req, res) => {
		res.setHeader("content-type", "text/html");
		res.end(`<!doctype html><title>app</title><h1>hello ${req.url}</h1><script>fetch("/data").then((r) => r.ok && document.body.append("fetched"))</script>`);
	});
	await d.admin.attach("s1", { port: app.port, path: "/start" });
	await until(() => !edge.running || fs.existsSync(path.join(dir, "pid")), "nginx has begun", 60_000);
	assert.ok(edge.running, edge.stderr.text);

	const panel = await Panel.open(t, d, { ignoreHTTPSErrors: true, permissions: ["clipboard-read", "clipboard-write"] });
	await panel.go("s1");
	await panel.inside("default").getByText("hello /start").waitFor();
	await panel.inside("default").getByText("fetched").waitFor();
	const [tab] = await Promise.all([panel.context.waitForEvent("page"), panel.locator(".panel").getByRole("link", { name: "Open in a new tab" }).click()]);
	await tab.getByText("hello /start").waitFor();
	assert.doesNotMatch(tab.url(), /code=/);
	panel.no_errors();

	// What is copied opens it, where it is shown, for somebody else, once; and for as long as it may.
	const guest = await (await panel.context.browser().newContext({ ignoreHTTPSErrors: true })).newPage();
	guest.setDefaultTimeout(20_000);
	const copied = async () => {
		await panel.button("Copy link").click();
		await panel.says(/One-time link copied: it opens once, within (10|9) min/);
		return panel.page.evaluate(() => navigator.clipboard.readText());
	};
	const address = panel.locator("[aria-label='Path of the page']");
	await address.fill("/cart?a=1#end");
	await address.press("Enter");
	await panel.inside("default").getByText("hello /cart?a=1").waitFor();
	const link = await copied();
	assert.match(link, /\/\.previewd\/open\?code=[0-9a-f]+#end$/);
	await guest.goto(link);
	await guest.getByText("hello /cart?a=1").waitFor();
	assert.ok(guest.url().endsWith("/cart?a=1#end"), guest.url());
	assert.equal((await guest.goto(link)).status(), 401);

	// A link that was given out outlives the page that it was copied from, and not its token.
	const { tokens } = (await d.admin.get(`${base("s1")}/tokens`)).json;
	assert.equal(tokens.length, 1);
	await panel.page.goto("about:blank");
	const shown = guest.url().replace(/\/\.previewd.*/, "/late");
	assert.equal((await guest.goto(shown)).status(), 200);
	await d.admin.del(`${base("s1")}/tokens/${tokens[0].token_id}`);
	assert.equal((await guest.goto(shown)).status(), 401);

	// Without a link, what else there is, and that it is not the same.
	await panel.go("s1");
	await panel.inside("default").getByText("hello /start").waitFor();
	await panel.page.route("**/previews/default/link", (route) => route.fulfill({ status: 429, contentType: "application/problem+json", body: JSON.stringify({ detail: "too many links" }) }));
	panel.quiet = true;
	await panel.button("Copy link").click();
	await panel.says("Only the plain address was copied, which opens for who was let in before. Too many links.");
	assert.match(await panel.page.evaluate(() => navigator.clipboard.readText()), /\.preview\.localhost:\d+\/start$/);
});

test("an element whose token is followed by another goes on showing a private preview", { skip: no_browser || why_no_edge("nginx") }, async (t) => {
	const port = await free_port();
	const product = await targets.http_server(t, (req, res) => {
		res.setHeader("content-type", "text/html");
		res.end(`<!doctype html><title>Product</title><script type="module" src="http://localhost:${d.port}/ui/web-preview.js"></script>`);
	});
	const origin = `http://localhost:${product.port}`;
	const d = await start(t, {
		settings: { "server.trusted_proxies": "127.0.0.1", "preview.public_url_template": `https://{label}.${suffix}:${port}`, "cors.origins": origin },
	});
	const dir = temp_dir(t);
	certificate(dir);
	const edge = start_proxy(t, dir, edges.nginx(dir, port, d));
	const app = await targets.http_server(t, (req, res) => {
		res.setHeader("content-type", "text/html");
		res.end(`<!doctype html><title>app</title><h1>hello</h1><button onclick="fetch('/data').then((r) => (document.querySelector('h1').textContent = 'answered ' + r.status))">ask</button>`);
	});
	await d.admin.attach("s1", { port: app.port });
	await until(() => !edge.running || fs.existsSync(path.join(dir, "pid")), "nginx has begun", 60_000);

	const tokens = [];
	for (let i = 0; i < 2; i++) tokens.push((await d.admin.post(`${base("s1")}/tokens`, { scopes: ["view"] })).json);
	const panel = await Panel.open(t, d, { ignoreHTTPSErrors: true });
	await panel.page.goto(origin);
	await panel.page.evaluate((all) => {
		const element = document.createElement("web-preview");
		element.setAttribute("session", "s1");
		element.tokenProvider = async () => all.shift();
		document.body.append(element);
	}, tokens.map((one) => one.token));
	const inside = panel.inside("default");
	await inside.getByText("hello").waitFor();
	const loads = () => app.seen.filter((what) => what.startsWith("GET / ") || what === "GET /").length;
	const before = loads();
	await d.admin.del(`${base("s1")}/tokens/${tokens[0].token_id}`);
	await until(async () => {
		await inside.getByRole("button", { name: "ask" }).click();
		return (await inside.locator("h1").textContent()) === "answered 200";
	}, "its page is let through again");
	assert.equal(loads(), before, "and is the one that it was");
	await until(async () => (await panel.page.locator("web-preview iframe").count()) === 1, "nothing of it is left");
});

test("/edge/verify answers trusted proxies, for hosts of previews, and resets the idle clock", async (t) => {
	const d = await start(t, {
		settings: { "server.trusted_proxies": "127.0.0.1", "preview.public_url_template": `https://{label}.${suffix}`, "edge.visibility": "unlisted" },
	});
	const [a, b] = [await targets.http_server(t), await targets.ipv6_only(t)];
	const { label } = (await d.admin.attach("s1", { port: a.port, health_check: false })).json;
	const six = (await d.admin.attach("s1", { name: "six", host: "::1", port: b.port, scheme: "https", health_check: false })).json;

	const passed = await asked(d, label, { origin: `https://${label}.${suffix}` });
	assert.deepEqual([passed.status, passed.headers["x-previewd-upstream"], passed.headers["x-previewd-scheme"]], [200, `127.0.0.1:${a.port}`, "http"]);
	assert.equal(passed.headers["access-control-allow-origin"], undefined);
	const { headers } = await asked(d, six.label.toUpperCase());
	assert.deepEqual([headers["x-previewd-upstream"], headers["x-previewd-scheme"]], [`[::1]:${b.port}`, "https"]);
	const why = await d.admin.get(`${base("s1")}/previews/default/why`);
	assert.equal(why.json.last_reset.by, "edge");

	for (const [status, who, more] of [
		[403, "none"], [403, label, { "x-forwarded-host": "localhost" }], [403, label, { "x-forwarded-host": null }],
		[403, label, { origin: "null" }], [403, label, { origin: "https://evil.example" }], [403, label, { origin: `https://${six.label}.${suffix}` }],
		[421, label, { host: "evil.example" }], [401, label, { uri: "/.previewd/open" }], [401, label, { uri: "/.previewd/open?code=none" }],
		[200, label, { uri: "/.previewd/opened" }],
	])
		assert.equal((await asked(d, who, more)).status, status, JSON.stringify([who, more]));
	assert.equal(await d.metric("previewd_edge_passed_total"), 3);
	assert.equal(await d.metric("previewd_edge_refused_total"), 8);

	// Whoever knows the address is let through: there is nothing to exchange.
	const link = await link_of(d.admin, "s1");
	assert.deepEqual([link.once, link.url, link.expires_at], [false, `https://${label}.${suffix}`, null]);
	const deep = await d.admin.post(`${base("s1")}/previews/default/link`, { path: "/x?y" });
	assert.deepEqual([deep.json.once, deep.json.url], [false, `https://${label}.${suffix}/x?y`]);
});

test("without TLS the cookie is another; a link is the session's to give; links are bounded", async (t) => {
	const settings = { "server.trusted_proxies": "127.0.0.1", "preview.public_url_template": `http://{label}.${suffix}`, "limits.codes_per_user": 2 };
	const d = await start(t, { settings });
	const app = await targets.http_server(t);
	const { label } = (await d.admin.attach("s1", { port: app.port, path: "//evil.example", health_check: false })).json;
	const plain = (more) => asked(d, label, { "x-forwarded-proto": "http", ...more });

	const argv = [previewctl(), "--socket", d.socket, "--session", "s1", "open", "--direct", "--print"];
	const { code, stdout, stderr } = await run(t, argv, { env: { PATH: process.env.PATH } });
	assert.equal(code, 0, stderr);
	const uri = stdout.trim().replace(`http://${label}.${suffix}`, "");
	assert.match(uri, /^\/\.previewd\/open\?code=[0-9a-f]+$/);
	assert.equal((await d.anonymous.post("/ui/exchange", { code: uri.split("=")[1] })).json.code, "code_invalid");
	assert.equal((await plain({ uri, "x-forwarded-method": "HEAD" })).status, 401);
	const opened = await plain({ uri, "x-forwarded-method": "GET" });
	assert.deepEqual([opened.status, opened.headers.location], [302, `http://${label}.${suffix}//evil.example`]);
	assert.match(opened.headers["set-cookie"][0], /^previewd-edge=[^;]+; Path=\/; Max-Age=43200; HttpOnly; SameSite=Lax$/);
	const cookie = cookie_of(opened);
	assert.equal((await plain({ cookie: `previewd-edge=1.2; ${cookie}` })).status, 200);
	assert.equal((await plain({ cookie: cookie.replace(/.$/, (c) => (c === "0" ? "1" : "0")) })).status, 401);
	assert.equal((await asked(d, label, { cookie })).status, 401, "over TLS it isn't taken");

	await d.admin.attach("s2", { port: 5174, health_check: false });
	const token = (await d.admin.post(`${base("s2")}/tokens`, { scopes: ["view"] })).json.token;
	const target = (session) => `${base(session)}/previews/default/link`;
	assert.equal((await d.api(token).post(target("s1"))).status, 404);
	assert.equal((await d.anonymous.post(target("s2"))).status, 401);
	assert.equal((await d.api(token).post(target("s2"))).status, 201);
	assert.equal((await d.admin.post(target("s1"))).status, 201);
	assert.equal((await d.admin.post(target("s1"))).status, 429);
	assert.equal((await d.admin.post(`${base("s1")}/previews/none/link`)).json.code, "preview_not_found");

	// A new one of that name has the same host; one that was detached leaves it for good.
	await d.admin.detach("s1");
	assert.equal((await plain({ cookie })).status, 403);
	assert.notEqual((await d.admin.attach("s1", { port: 5173, health_check: false })).json.label, label);
	assert.equal((await plain({ cookie })).status, 403);
});

test("a cookie is worth no more than what its link was made with", async (t) => {
	const secret = "0123456789abcdef0123456789abcdef";
	const key = path.join(temp_dir(t), "key");
	fs.writeFileSync(key, secret, { mode: 0o600 });
	const d = await start(t, {
		settings: {
			"server.trusted_proxies": "127.0.0.1", "preview.public_url_template": `https://{label}.${suffix}`,
			"auth.jwt_algorithm": "HS256", "auth.jwt_key_file": key,
		},
	});
	const app = await targets.http_server(t);
	const { label } = (await d.admin.attach("s1", { port: app.port })).json;
	const open = async (api, body) => {
		const answer = await api.post(`${base("s1")}/previews/default/link`, body);
		return { uri: answer.json.url?.replace(/^https:\/\/[^/]+/, ""), ...answer };
	};
	const exchange = ({ uri }) => asked(d, label, { uri, "x-forwarded-method": "GET" });
	const passes = async (cookie) => (await asked(d, label, { cookie })).status === 200;
	const token = async () => {
		const { json } = await d.admin.post(`${base("s1")}/tokens`, { scopes: ["view"], ttl_seconds: 3600 });
		return { ...json, api: d.api(json.token) };
	};

	// Of a session token: while it lives, and for no longer than it would.
	const one = await token(), two = await token();
	const opened = await exchange(await open(one.api));
	assert.match(opened.headers["set-cookie"][0], /; Max-Age=3[56]\d\d;/);
	const [ones, twos] = [cookie_of(opened), cookie_of(await exchange(await open(two.api)))];
	const unopened = await open(one.api);
	assert.ok((await passes(ones)) && (await passes(twos)));
	await d.kill();
	d.listen = `127.0.0.1:${d.port}`;
	await d.start();
	assert.ok((await passes(ones)) && (await passes(twos)), "as long as their tokens, a restart in between or not");
	const again = await open(one.api);
	await d.admin.del(`${base("s1")}/tokens/${one.token_id}`);
	assert.equal(await passes(ones), false);
	assert.equal((await exchange(again)).status, 401, "nor is what it gave away before");
	assert.equal((await exchange(unopened)).status, 401, "codes end with the daemon");
	assert.ok(await passes(twos));

	// Of a JSON Web Token: until it expires.
	const { user_id } = (await d.admin.get(base("s1"))).json;
	const claims = new SignJWT({ sub: user_id, scope: "view" }).setProtectedHeader({ alg: "HS256" }).setExpirationTime("10m");
	const jwt = await claims.sign(createSecretKey(Buffer.from(secret)));
	const of_jwt = await exchange(await open(d.api(jwt)));
	assert.ok(Number(/Max-Age=(\d+)/.exec(of_jwt.headers["set-cookie"][0])[1]) <= 660, "with the leeway");
	assert.ok(await passes(cookie_of(of_jwt)));

	// Of the operator's: until the session ends, and not again with the next of its name.
	const mine = cookie_of(await exchange(await open(d.admin)));
	assert.ok(await passes(mine));
	const left = await open(d.admin);
	await d.admin.del(base("s1"));
	assert.deepEqual([await passes(mine), await passes(twos)], [false, false]);
	const next = (await d.admin.attach("s1", { port: app.port })).json;
	assert.notEqual(next.label, label);
	assert.equal(await passes(mine), false);
	assert.equal((await asked(d, next.label, { cookie: mine })).status, 401);
	assert.equal((await exchange(left)).status, 401);

	// Where it leads is said when it is made.
	const to = await open(d.admin, { path: "/shop?a=b" });
	const led = await asked(d, next.label, { uri: to.uri, "x-forwarded-method": "GET" });
	assert.equal(led.headers.location, `https://${next.label}.${suffix}/shop?a=b`);
	for (const path of ["shop", "/a b", "/\r\nx:y", `/${"a".repeat(600)}`, 7])
		assert.equal((await open(d.admin, { path })).status, 422, path);
});

test("who is no trusted proxy is told nothing, and without an edge a link is the plain address", async (t) => {
	const d = await start(t);
	await d.admin.attach("s1", { port: 5173, health_check: false });
	assert.equal((await asked(d, "any")).status, 403);
	const link = await link_of(d.admin, "s1");
	assert.deepEqual([link.once, link.url], [false, "http://localhost:5173"]);
});
