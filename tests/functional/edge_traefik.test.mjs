// SPDX-License-Identifier: MIT
//
// /edge/traefik: what Traefik's HTTP provider gets, held against what Traefik takes and against /edge/verify.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createSecretKey } from "node:crypto";
import fs from "node:fs";
import path from "node:path";
import test from "node:test";
import { SignJWT } from "jose";

import { decode } from "../fixtures/traefik.mjs";
import { asked, suffix } from "./edge.mjs";
import { base, blind, previewctl, run, start, temp_dir, until } from "./harness.mjs";
import * as targets from "./targets.mjs";

const settings = { "server.trusted_proxies": "127.0.0.1", "preview.public_url_template": `https://{label}.${suffix}`, "edge.visibility": "unlisted" };
const ROUTES = "/edge/traefik";

async function routes_of(d) {
	const answer = await d.admin.get(ROUTES);
	assert.deepEqual([answer.status, answer.type], [200, "application/json"], answer.text);
	return { routers: decode(answer.text), text: answer.text, json: answer.json };
}

const routes_with_some = (d) =>
	until(async () => {
		const routes = await routes_of(d);
		return routes.routers.length > 1 && routes;
	}, "one is attached and up");

const where = ({ routers }) => routers.filter((r) => r.name !== "previewd").map((r) => [r.name, r.url]);

test("what is attached is in it, as /edge/verify says, and the same is written the same", async (t) => {
	const d = await start(t, { settings });
	const [a, b, six] = [await targets.http_server(t), await targets.http_server(t), await targets.ipv6_only(t)];

	// Nothing attached is no empty map, which Traefik would refuse: all hosts are those of the last router.
	const none = await routes_of(d);
	assert.deepEqual(where(none), []);
	const [last] = none.routers;
	assert.deepEqual([last.priority, last.url, last.passHostHeader], [1, `http://127.0.0.1:${d.port}`, false]);
	for (const [host, matches] of [[`abc.${suffix}`, true], [suffix, false], [`a.b.${suffix}`, false], ["example.org", false], [`abc.${suffix}.evil.example`, false], [`abc.previewXlocalhost`, false]])
		assert.equal(last.matches(host), matches, host);
	assert.deepEqual(last.middlewares.map((m) => Object.keys(m)[0]), ["forwardAuth", "replacePath"]);

	assert.equal((await d.admin.post(`${base("s1")}/previews`, blind({ name: "b`ck" }))).status, 422);
	const attached = [];
	for (const [session, more] of [
		["s1", { port: a.port }], ["s2", { port: b.port, name: "b.ck-tick" }],
		["s1", blind({ name: "six", host: "::1", port: six.port, scheme: "https" })],
	])
		attached.push((await d.admin.attach(session, more)).json);
	const labels = attached.map((p) => p.label);
	const one = await routes_of(d);
	assert.deepEqual(where(one).map(([name]) => name).sort(), labels.map((l) => `previewd-${l}`).sort());
	for (const label of labels) {
		const router = one.routers.find((r) => r.name === `previewd-${label}`);
		const verified = await asked(d, label);
		assert.equal(router.url, `${verified.headers["x-previewd-scheme"]}://${verified.headers["x-previewd-upstream"]}`);
		assert.ok(router.matches(`${label}.${suffix}`) && router.passHostHeader && router.insecure && router.priority > 1);
		assert.deepEqual(router.entryPoints, ["websecure"]);
		assert.deepEqual(router.middlewares, [
			{ forwardAuth: { address: `http://127.0.0.1:${d.port}/edge/verify?at=${encodeURIComponent(router.url)}`, authRequestHeaders: ["Cookie", "Origin"] } },
		]);
	}
	assert.ok(one.routers.every((r) => r === one.routers.at(-1) || r.priority > 1), "the last one is the last");
	for (const theirs of ["s1", "s2", "six", "b.ck-tick", "default"]) assert.doesNotMatch(one.text, new RegExp(`[\`"/]${theirs}`), "no name of a user's is in it");

	// Asked again, after use, and by a daemon that comes back, it is the same to the byte.
	assert.equal((await routes_of(d)).text, one.text);
	await asked(d, labels[0]);
	await d.admin.post(`${base("s1")}/previews/default/touch`);
	await d.admin.put(base("s3"), {});
	assert.equal((await routes_of(d)).text, one.text);
	d.listen = `127.0.0.1:${d.port}`;
	await d.restart();
	await until(async () => (await routes_of(d)).text === one.text, "all of it is there again");

	// What /edge/verify would refuse is not in it: a server that is down, what is detached.
	const port = a.port;
	await a.close();
	await until(async () => !(await routes_of(d)).text.includes(`:${port}"`), "who is down is left out");
	assert.equal((await asked(d, labels[0])).status, 403);
	await d.admin.detach("s2", attached[1].name);
	assert.deepEqual(where(await routes_of(d)).map(([name]) => name), [`previewd-${labels[2]}`]);
	await d.admin.del(base("s1"));
	assert.equal((await routes_of(d)).text, none.text);

	// Of its own entry point, whose name can't be anything.
	assert.deepEqual(decode((await d.admin.get(`${ROUTES}?entrypoint=previews`)).text)[0].entryPoints, ["previews"]);
	for (const name of ["", "a%22b", "a%60b", `${"a".repeat(65)}`, "a&entrypoint=b"]) assert.equal((await d.admin.get(`${ROUTES}?entrypoint=${name}`)).status, 422, name);
});

test("a route that is no longer true lets nobody through, and one that isn't known yet says to come back", async (t) => {
	const d = await start(t, { settings });
	const [a, b] = [await targets.http_server(t), await targets.http_server(t)];
	const { label } = (await d.admin.attach("s1", { port: a.port })).json;
	const at = (port, scheme = "http") => asked(d, label, { query: `?at=${encodeURIComponent(`${scheme}://127.0.0.1:${port}`)}` });
	const soon = (answer) => {
		assert.deepEqual([answer.status, answer.headers["retry-after"], answer.headers.refresh], [503, "1", "1"], answer.text);
		assert.equal(answer.headers["x-previewd-upstream"], undefined);
	};

	assert.equal((await at(a.port)).status, 200);
	soon(await at(b.port));
	soon(await at(a.port, "https"));
	assert.equal((await d.admin.attach("s1", { port: b.port })).json.label, label, "one that replaces it has its host");
	soon(await at(a.port));
	assert.equal((await at(b.port)).status, 200);
	assert.equal(await d.metric("previewd_edge_passed_total"), 2);
	assert.equal(await d.metric("previewd_edge_refused_total"), 3);
	assert.equal((await asked(d, label, { query: "?at=%zz" })).status, 403);

	// Where the last router leads to.
	soon(await d.anonymous.get("/edge/soon?x=y"));
	assert.equal((await d.anonymous.post("/edge/soon", {})).status, 405);
});

test("it is for the edge's token, the scope, and admins", async (t) => {
	const secret = "0123456789abcdef0123456789abcdef";
	const file = path.join(temp_dir(t), "key");
	fs.writeFileSync(file, secret, { mode: 0o600 });
	const d = await start(t, { settings: { ...settings, "auth.jwt_algorithm": "HS256", "auth.jwt_key_file": file } });
	const jwt = (claims) => new SignJWT(claims).setProtectedHeader({ alg: "HS256" }).setExpirationTime("1h").sign(createSecretKey(Buffer.from(secret)));
	await d.admin.attach("s1", blind());
	const ctl = [previewctl(), "--socket", d.socket, "token", "edge"];
	const { code, stdout, stderr } = await run(t, ctl, { env: { PATH: process.env.PATH } });
	assert.equal(code, 0, stderr);
	const token = stdout.trim();
	assert.match(token, /^pve_[0-9a-f]{64}$/);
	const edge = d.api(token);
	const view = (await d.admin.post(`${base("s1")}/tokens`, { scopes: ["view", "preview", "publish", "task"] })).json.token;

	for (const [status, who] of [
		[401, d.anonymous], [401, d.api(`${token}0`)], [401, d.api(token.replace(/.$/, (c) => (c === "0" ? "1" : "0")))], [401, d.api("pve_")],
		[403, d.api(view)], [403, d.api(await jwt({ sub: "ada" }))], [403, d.api(await jwt({ sub: "ada", scope: "view preview publish task canvas session:create" }))],
		[403, d.api(await jwt({ sub: "ada", scope: "edge", app: "shop" }))], [403, d.api(await jwt({ sub: "ada", scope: "edge", sid: "s1" }))],
		[403, d.api(await jwt({ sub: "ada", scope: "admin", app: "shop" }))],
		[200, d.api(await jwt({ sub: "proxy", scope: "edge" }))], [200, d.admin], [200, d.local], [200, edge],
	])
		assert.equal((await who.get(ROUTES)).status, status, JSON.stringify(who.token));
	assert.equal((await edge.get(ROUTES)).text, (await d.admin.get(ROUTES)).text);

	// For nothing else.
	assert.deepEqual((await edge.get("/api/credential")).json.scopes, ["edge"]);
	for (const [method, target, body] of [
		["GET", "/api/previews"], ["GET", `${base("s1")}/previews`], ["POST", `${base("s1")}/previews`, blind()], ["PUT", base("s2"), {}], ["DELETE", base("s1")],
		["POST", `${base("s1")}/tokens`, { scopes: ["view"] }], ["POST", `${base("s1")}/previews/default/link`], ["GET", "/metrics"],
		["GET", "/health/web_preview"], ["POST", "/edge/token"], ["POST", "/mcp", { jsonrpc: "2.0", id: 1, method: "ping" }],
		["GET", "/api/figures"], ["GET", `${base("s1")}/canvas`], ["GET", `${base("s1")}/tasks`], ["DELETE", `${base("s1")}/tokens/x`],
	])
		assert.equal((await edge.request(method, target, { body })).status, 403, `${method} ${target}`);
	for (const who of [d.anonymous, d.api(view)]) assert.ok([401, 403].includes((await who.post("/edge/token")).status));
	assert.deepEqual(await d.admin.names("s1"), ["default"]);

	// It is as good as the admin token, and a new one of that makes a new one of it.
	await d.restart();
	assert.equal((await d.api(token).get(ROUTES)).status, 200);
	await d.stop();
	fs.rmSync(path.join(d.state, "token"));
	await d.start();
	assert.equal((await d.api(token).get(ROUTES)).status, 401);
});

test("no name gets out of a rule", async (t) => {
	// A label that somebody wrote into the database; hosts that are none.
	const d = await start(t, { settings });
	const [a, b] = [await targets.http_server(t), await targets.http_server(t)];
	const { label } = (await d.admin.attach("s1", { port: a.port })).json;
	await d.admin.attach("s1", { name: "other", port: b.port });
	const evil = "x`) || PathPrefix(`/";
	await d.stop();
	const write = "import sqlite3,sys; c=sqlite3.connect(sys.argv[1]); assert c.execute('update attachment set label = ? where label = ?', (sys.argv[2], sys.argv[3])).rowcount == 1; c.commit()";
	execFileSync("python3", ["-c", write, path.join(d.state, "previewd.db"), evil, label]);
	await d.start();
	const { routers, text } = await routes_with_some(d);
	assert.equal(routers.length, 2);
	assert.ok(!text.includes("PathPrefix"), text);

	for (const template of ["https://{label}.a`b.example", "https://x`){label}.example.org", "https://{label}.example.org$", "http://{host}:{port}", "https://example.org/{label}"]) {
		d.settings["preview.public_url_template"] = template;
		await d.restart();
		const answer = await d.admin.get(ROUTES);
		assert.deepEqual([answer.status, answer.json.code], [404, "no_edge"], template);
	}
	d.settings["preview.public_url_template"] = "https://P-{label}.Preview.Example.org:8443/x";
	await d.restart();
	const [named, last] = (await routes_with_some(d)).routers;
	assert.ok(named.matches(`p-${named.name.slice("previewd-".length)}.preview.example.org`));
	assert.ok(last.matches("p-x.preview.example.org") && !last.matches("x.preview.example.org") && !last.matches("p-x.previewXexample.org"));
});

test("other hosts after a reload are other rules", async (t) => {
	const of = (domain) => `[preview]\npublic_url_template = https://{label}.${domain}\n`;
	const d = await start(t, { file: of("a.example") });
	const server = await targets.http_server(t);
	const { label } = (await d.admin.attach("s1", { port: server.port })).json;
	const shown = async (domain) => (await routes_of(d)).routers[0].matches(`${label}.${domain}`);
	assert.ok(await shown("a.example"));
	fs.writeFileSync(d.config, of("b.example"));
	d.child.signal("SIGHUP");
	await until(() => shown("b.example"), "the rules are of the new domain");
	assert.equal(await shown("a.example"), false);
});
