// SPDX-License-Identifier: MIT
//
// What the panel is made of: its files over HTTP, one-time codes, the custom element in somebody
// else's page, and what it makes of events.
import assert from "node:assert/strict";
import fs from "node:fs";
import http from "node:http";
import path from "node:path";
import test from "node:test";
import zlib from "node:zlib";

import { base, here, is_root, run, previewctl, start, until } from "./harness.mjs";
import { Panel, skip } from "./panel.mjs";
import * as targets from "./targets.mjs";

const problem = (answer, status, code) => assert.deepEqual([answer.status, answer.json?.code], [status, code], answer.text);
const mint = (api, body = {}, session = "s1") => api.post(`${base(session)}/codes`, body);
const exchange = (api, code, options) => api.post("/ui/exchange", { code }, options);

// The module and all that it imports before it shows anything.
async function modules_of(api, name, seen = new Map()) {
	if (seen.has(name)) return seen;
	const { status, text } = await api.get(`/ui/${name}`);
	assert.equal(status, 200, name);
	seen.set(name, text);
	for (const [, other] of text.matchAll(/^import [^(]*?"\.\/([\w.-]+)";$/gms)) await modules_of(api, other, seen);
	return seen;
}

test("the panel's files are public, compressed, revalidated, and run nothing else", async (t) => {
	const d = await start(t, { settings: { "ui.frame_ancestors": "self,https://app.example.org" } });
	const page = await d.anonymous.get("/ui/");
	assert.equal(page.status, 200);
	assert.match(page.type, /^text\/html/);
	const policy = page.headers["content-security-policy"];
	assert.match(policy, /default-src 'none'; script-src 'self'; style-src 'self';/);
	assert.doesNotMatch(policy, /unsafe/);
	assert.match(policy, /frame-ancestors 'self' https:\/\/app\.example\.org$/);
	assert.equal(page.headers["referrer-policy"], "no-referrer");
	assert.doesNotMatch(page.text, /<script(?![^>]* src=)|\sstyle=|\son\w+=/, "nothing inline");

	const named = [...page.text.matchAll(/(?:href|src)="([\w.-]+)"/g)].map((m) => m[1]);
	for (const name of [...named, "drawers.js", "overview.js"]) {
		const plain = await d.anonymous.get(`/ui/${name}`);
		assert.equal(plain.status, 200, name);
		const etag = plain.headers.etag;
		assert.match(etag, /^"[0-9a-f]{32}"$/);
		const small = await fetch(`${d.url}/ui/${name}`, { headers: { "accept-encoding": "br, gzip;q=0.5" } });
		assert.equal(small.headers.get("content-encoding"), "gzip");
		assert.notEqual(small.headers.get("etag"), etag, "other bytes, another tag");
		assert.equal(await small.text(), plain.text, `${name} is the same compressed`);
		assert.equal((await d.anonymous.get(`/ui/${name}`, { headers: { "accept-encoding": "gzip;q=0" } })).headers["content-encoding"], undefined);
		const again = await d.anonymous.get(`/ui/${name}`, { headers: { "if-none-match": `"other", ${etag}` } });
		assert.deepEqual([again.status, again.text, again.headers.etag], [304, "", etag]);
	}
	problem(await d.anonymous.get("/ui/nothing.js"), 404, "not_found");
	problem(await d.anonymous.get("/ui/..%2fembed.c"), 400, "bad_request");

	const modules = await modules_of(d.anonymous, "web-preview.js");
	const total = [...modules.values()].reduce((sum, text) => sum + zlib.gzipSync(text, { level: 9 }).length, 0);
	t.diagnostic(`web-preview.js with its ${modules.size - 1} imports: ${total} bytes compressed`);
	assert.ok(total < 30_000, `${total} bytes`);
	for (const [name, text] of modules) assert.doesNotMatch(text, /innerHTML|eval\(|https?:\/\/(?!preview\.example\.org|www\.w3\.org)\w/, name);
});

test("who may frame the panel is checked when it is set", async (t) => {
	const d = await start(t);
	assert.match((await d.anonymous.get("/ui/")).headers["content-security-policy"], /frame-ancestors 'self'$/);
	const quoted = await start(t, { settings: { "ui.frame_ancestors": "'self'" } }); // as publish.frame_ancestors has it
	assert.match((await quoted.anonymous.get("/ui/")).headers["content-security-policy"], /frame-ancestors 'self'$/);
	for (const bad of ["app.example.org", "https://a.example; script-src *", "javascript:x"]) {
		const other = await start(t, { settings: { "ui.frame_ancestors": bad } }).catch((e) => e);
		assert.match(String(other.message), /ui\.frame_ancestors/, bad);
	}
});

test("a code is exchanged once, within its time, for what it was made for", async (t) => {
	const d = await start(t, { settings: { "limits.codes": "3" } });
	await d.admin.put(base("s1"), { user_id: "ada" });
	const made = await mint(d.admin, { scopes: ["view", "publish"], name: "web" });
	assert.equal(made.status, 201, made.text);
	assert.equal(made.json.url, `http://localhost:${d.port}/ui/#code=${made.json.code}`);
	assert.equal(await d.metric("previewd_codes"), 1);

	const got = await exchange(d.anonymous, made.json.code);
	assert.equal(got.status, 200, got.text);
	assert.deepEqual([got.json.app_id, got.json.session_id, got.json.name, got.json.scopes.sort()], ["default", "s1", "web", ["publish", "view"]]);
	const viewer = d.api(got.json.token);
	const who = (await viewer.get("/api/credential")).json;
	assert.deepEqual([who.user_id, who.session_id, who.admin, who.token_id], ["ada", "s1", false, got.json.token_id]);
	assert.equal((await viewer.get(`${base("s1")}/previews`)).status, 200);
	problem(await exchange(d.anonymous, made.json.code), 401, "code_invalid");
	problem(await exchange(d.anonymous, "0".repeat(48)), 401, "code_invalid");
	assert.equal(await d.metric("previewd_codes"), 0);

	// It mints nothing, and gives back itself and no other.
	problem(await mint(viewer), 403, "forbidden");
	const other = (await exchange(d.anonymous, (await mint(d.admin, { scopes: ["preview"] })).json.code)).json;
	problem(await mint(d.api(other.token)), 403, "forbidden");
	problem(await viewer.del(`${base("s1")}/tokens/${other.token_id}`), 403, "forbidden");
	assert.equal((await viewer.del(`${base("s1")}/tokens/${got.json.token_id}`)).status, 200);
	problem(await viewer.get("/api/credential"), 401, "token_invalid");

	// Bounded, ended with their session, and not for pages of elsewhere.
	for (let i = 0; i < 3; i++) assert.equal((await mint(d.admin)).status, 201);
	const refused = await mint(d.admin);
	problem(refused, 429, "too_many_requests");
	assert.ok(Number(refused.headers["retry-after"]) > 0);
	await d.admin.del(base("s1"));
	assert.equal(await d.metric("previewd_codes"), 0);
	await d.admin.put(base("s1"), { user_id: "ada" });
	const { code } = (await mint(d.admin)).json;
	problem(await exchange(d.anonymous, code, { headers: { origin: "https://evil.example" } }), 403, "origin_not_allowed");
	problem(await exchange(d.anonymous, code, { headers: { "content-type": "text/plain" } }), 415, "unsupported_media_type");
	problem(await d.anonymous.post("/ui/exchange", { code, more: "x".repeat(8000) }), 413, "body_too_large");
	problem(await mint(d.admin, { scopes: ["admin"] }), 422, "invalid_field");
	problem(await mint(d.admin, {}, "unknown"), 404, "session_not_found");
	const said = [...d.log, ...d.child.stderr.all].join("\n");
	assert.ok(!said.includes(code) && !said.includes(got.json.token), "no secret in the log");
});

test("a code that nobody exchanged is worth nothing after its time", async (t) => {
	const d = await start(t, { settings: { "auth.code_ttl": "1s" } });
	await d.admin.put(base("s1"), {});
	const { code } = (await mint(d.admin)).json;
	await until(async () => (await d.metric("previewd_codes")) === 0, "the code has expired");
	problem(await exchange(d.anonymous, code), 401, "code_invalid");
});

test("a code of one login is worth nothing to another on the same machine", { skip: is_root ? false : "wants root" }, async (t) => {
	const d = await start(t);
	await d.local.put(base("s1"), {});
	const { code } = (await mint(d.local)).json;
	const ask = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "-H", "Content-Type: application/json", "-d", JSON.stringify({ code }), `${d.url}/ui/exchange`];
	assert.equal((await run(t, ask, { uid: 65534, gid: 65534, cwd: "/" })).stdout, "401");
	assert.equal((await run(t, ask)).stdout, "200");
});

test("previewctl open prints the panel's address, or the preview's own", async (t) => {
	const d = await start(t);
	const server = await targets.http_server(t);
	await d.admin.attach("s1", { port: server.port });
	const open = (...args) => run(t, [previewctl(), "--socket", d.socket, "open", "--session", "s1", ...args], { env: { PATH: process.env.PATH } });
	const { stdout } = await open("--view-only", "default");
	const [, code] = /^http:\/\/localhost:\d+\/ui\/#code=([0-9a-f]{48})\n?$/.exec(stdout) ?? assert.fail(stdout);
	const answer = (await exchange(d.anonymous, code)).json;
	assert.deepEqual([answer.scopes, answer.name], [["view"], "default"]);
	assert.equal((await open("--direct")).stdout.trim(), `http://localhost:${server.port}`);
	const json = JSON.parse((await open("--json")).stdout);
	assert.deepEqual((await exchange(d.anonymous, json.code)).json.scopes.sort(), ["preview", "publish", "view"]);
	assert.equal((await run(t, [previewctl(), "open", "--session", "new"], { env: { PATH: process.env.PATH, PREVIEWD_URL: d.url, PREVIEWD_TOKEN: d.admin_token } })).stdout.trim().split("#")[0], `${d.url}/ui/`);
	assert.equal((await d.admin.get(base("new"))).status, 200, "the panel is there before anything is");
});

test("the element lives in somebody else's page, on tokens it is handed", { skip, timeout: 120_000 }, async (t) => {
	const d = await start(t);
	// The product's page: of another origin, which the operator has allowed.
	const product = http.createServer((req, res) => {
		res.setHeader("content-type", "text/html");
		res.end(`<!doctype html><html lang="en"><title>Product</title><h1>Product</h1>
			<style>web-preview { height: 500px; --wp-accent: rgb(1, 2, 3); } web-preview::part(toolbar) { background: rgb(4, 5, 6); }</style>
			<script type="module" src="http://localhost:${d.port}/ui/web-preview.js"></script>`);
	});
	await new Promise((resolve) => product.listen(0, "127.0.0.1", resolve));
	t.after(() => (product.closeAllConnections(), product.close()));
	const origin = `http://localhost:${product.address().port}`;
	d.settings["cors.origins"] = origin;
	d.listen = `127.0.0.1:${d.port}`;
	await d.restart();

	const server = await targets.http_server(t, (req, res) => (res.setHeader("content-type", "text/html"), res.end("<h1>Shop</h1>")));
	await d.admin.attach("s1", { port: server.port, name: "shop" });
	const token = async () => (await d.admin.post(`${base("s1")}/tokens`, { scopes: ["view"] })).json;
	const tokens = [await token(), await token()];
	const panel = await Panel.open(t, d);
	const { page } = panel;
	await page.goto(origin);
	await page.evaluate((all) => {
		globalThis.asked = [];
		const element = document.createElement("web-preview");
		element.setAttribute("session", "s1");
		element.addEventListener("ready", (e) => (globalThis.ready = e.detail));
		element.tokenProvider = async ({ refused }) => {
			globalThis.asked.push(refused);
			return all[globalThis.asked.length - 1];
		};
		document.body.append(element);
	}, tokens.map((one) => one.token));
	await panel.inside("shop").getByText("Shop").waitFor();
	await until(() => page.evaluate(() => globalThis.ready), "it says that it is ready");
	assert.deepEqual(await page.evaluate(() => globalThis.ready), { name: "shop", url: `http://localhost:${server.port}/` });
	assert.equal(await panel.locator("[part=toolbar]").evaluate((e) => getComputedStyle(e).backgroundColor), "rgb(4, 5, 6)");
	assert.equal(await panel.locator("[data-device=fit][role=radio]").evaluate((e) => getComputedStyle(e).color), "rgb(1, 2, 3)");
	assert.equal(await page.evaluate(() => document.body.outerHTML.includes("pvt_")), false, "no token in the page");

	// Who may only look is not offered more.
	await panel.button("More").click();
	await panel.locator("[role=menuitem]", { hasText: "Releases" }).waitFor();
	assert.equal(await panel.locator("[role=menuitem]", { hasText: "Stop" }).isVisible(), false);
	await page.keyboard.press("Escape");

	// A token that ends is asked for again, and the element goes on.
	await d.admin.del(`${base("s1")}/tokens/${tokens[0].token_id}`);
	await until(async () => (await page.evaluate(() => globalThis.asked.length)) === 2, "another token is asked for");
	assert.deepEqual(await page.evaluate(() => globalThis.asked), [false, true]);
	await until(() => page.evaluate(() => document.querySelector("web-preview").state === "live"), "it is live again");
	await panel.accessible("element");

	// Taken out and put back, it begins anew.
	await page.evaluate(() => {
		const element = document.querySelector("web-preview");
		element.remove();
		element.tokenProvider = async () => null;
		document.body.append(element);
	});
	await panel.says("No access");
	panel.no_errors();
});

test("a preview that is looked at is used, one in a tab behind is not", { skip, timeout: 120_000 }, async (t) => {
	const d = await start(t);
	const server = await targets.http_server(t, (req, res) => (res.setHeader("content-type", "text/html"), res.end("<h1>Shop</h1>")));
	const panel = await Panel.open(t, d);
	const { page } = panel;
	await page.addInitScript(() => {
		globalThis.behind = true;
		for (const [name, value] of [["hidden", () => globalThis.behind], ["visibilityState", () => (globalThis.behind ? "hidden" : "visible")]])
			Object.defineProperty(Document.prototype, name, { get: value });
	});
	await page.clock.install();
	const touches = [];
	page.on("request", (request) => request.url().endsWith("/touch") && touches.push(request.url()));
	await panel.go("s1");
	await d.admin.attach("s1", { port: server.port, name: "shop" });
	await panel.inside("shop").getByText("Shop").waitFor();
	await page.clock.runFor(180_000);
	assert.deepEqual([touches, (await d.admin.list("s1"))[0].touched_at], [[], null]);
	await page.evaluate(() => {
		globalThis.behind = false;
		document.dispatchEvent(new Event("visibilitychange"));
	});
	await until(async () => (await d.admin.list("s1"))[0].touched_at, "it was touched");
	const before = touches.length;
	await page.clock.runFor(120_000);
	await until(() => touches.length > before, "it is touched again");
	panel.no_errors();
});

/*
 * The model: what events mean, without a browser.
 */
const source = (name) => fs.readFileSync(path.join(here, "..", "..", "src", "ui", "assets", name), "utf8");
const module_of = (name) => import(`data:text/javascript,${encodeURIComponent(source(name))}`);
const event = (type, payload) => ({ event_type: `web_preview:${type}`, payload });
const snapshot = (...attachments) => ({ event_type: "preview:snapshot", payload: { attachments } });
const attachment = (name, more = {}) => ({ name, type: "proxy", url: `http://localhost:1/${name}`, status: "up", focus: false, attached_at: "2026-01-01T00:00:00.000Z", warnings: [], ...more });

test("a snapshot keeps what is the same, and says what went", async () => {
	const { Model } = await module_of("model.js");
	const model = new Model();
	model.apply(snapshot(attachment("a"), attachment("b"), attachment("c", { status: "down" })));
	const before = model.previews.get("a").revision;
	model.apply(snapshot(attachment("a"), attachment("c")));
	assert.equal(model.previews.get("a").revision, before, "its page is not loaded again");
	assert.ok(model.previews.get("c").revision > before, "what came back is");
	assert.equal(model.gone.get("b").reason, "unknown");
	model.apply(snapshot(attachment("c", { status: "down", owner: { uid: 1 } })));
	assert.equal(model.previews.get("c").down_reason, "owner_changed");
	model.apply(snapshot(attachment("a"), attachment("c")));
	model.apply(snapshot(attachment("a", { attached_at: "2026-01-02T00:00:00.000Z" })));
	assert.ok(model.previews.get("a").revision > before, "what was attached again is");
});

test("which is shown first: the latest that asks for it, else default, else any", async () => {
	const { Model } = await module_of("model.js");
	const first = (...attachments) => {
		const model = new Model();
		model.apply(snapshot(...attachments));
		return model.first();
	};
	assert.equal(first(), null);
	assert.equal(first(attachment("a"), attachment("default")), "default");
	assert.equal(first(attachment("a"), attachment("b")), "a");
	assert.equal(first(attachment("a", { focus: true, attached_at: "2026-01-01T00:00:00.000Z" }), attachment("b", { focus: true, attached_at: "2026-01-02T00:00:00.000Z" })), "b");
});

test("a replace is no end, details that are old change nothing", async () => {
	const { Model } = await module_of("model.js");
	const model = new Model();
	model.apply(snapshot(attachment("a")));
	const old = model.previews.get("a").revision;
	assert.equal(model.apply(event("detached", { name: "a", reason: "replaced" })), null);
	assert.equal(model.apply(event("attached", attachment("a", { url: "http://localhost:2/" }))).what, "attached");
	assert.equal(model.details(attachment("a"), old), false);
	assert.equal(model.previews.get("a").url, "http://localhost:2/");
	model.apply(event("down", { name: "a", reason: "closed" }));
	assert.equal(model.previews.get("a").status, "down");
	assert.equal(model.apply(event("up", { name: "a" })).what, "up");
	assert.equal(model.apply(event("detached", { name: "a", reason: "idle" })).reason, "idle");
	assert.deepEqual([model.names("a"), model.names(null)], [["a"], []], "its tab stays for who looks at it");
});

test("a build is told from its first line to its end, and its log is bounded", async () => {
	const { Model } = await module_of("model.js");
	const model = new Model();
	const build = (type, payload) => model.apply(event(`publish_${type}`, { build_id: "b1", name: "published", ...payload }));
	build("started", { phase: "queued", position: 2 });
	assert.deepEqual([model.names(null), model.builds.get("published").position], [["published"], 2]);
	build("log", { phase: "build", lines: Array.from({ length: 1500 }, (_, i) => `${i}`) });
	build("log", { phase: "build", lines: Array.from({ length: 1500 }, (_, i) => `${i}`), dropped: 7 });
	assert.equal(model.builds.get("published").lines.length, 2000);
	build("failed", { phase: "build", state: "failed", code: "build_failed", detail: "exit status 1", log_tail: [] });
	assert.deepEqual([model.builds.get("published").state, model.builds.get("published").detail], ["failed", "exit status 1"]);
	model.apply(event("publish_started", { build_id: "b2", name: "published" }));
	assert.deepEqual([model.builds.get("published").state, model.builds.get("published").lines], ["running", []]);
	model.apply(event("publish_finished", { build_id: "b2", name: "published", release_id: "r1" }));
	assert.deepEqual(model.names(null), [], "what is published is attached, too, and has its tab by that");
});

test("a build whose end nobody here has seen ends when the daemon is asked again", async () => {
	const { Model } = await module_of("model.js");
	const model = new Model();
	const found = (state, more) => model.build_found({ build_id: "b1", name: "published", state, ...more });
	model.apply(event("publish_started", { build_id: "b1", name: "published" }));
	assert.equal(found("running", { phase: "build" }), false);
	assert.equal(model.builds.get("published").state, "running");
	found("interrupted", { phase: null, error: { code: "build_interrupted", detail: "the daemon ended" } });
	assert.deepEqual([model.builds.get("published").state, model.builds.get("published").code, model.builds.get("published").detail], ["failed", "build_interrupted", "the daemon ended"]);
	model.apply(event("publish_started", { build_id: "b1", name: "published" }));
	found("succeeded", { release_id: "r1", url: "/x/", error: null });
	assert.deepEqual([model.builds.get("published").state, model.builds.get("published").release], ["finished", "r1"]);
});

test("what keeps a browser from showing a page is told apart", async () => {
	const { obstacle, span, countdown, bytes, attach_command } = await module_of("texts.js");
	const code = (url, from, { warnings = [], permission = null } = {}) => obstacle({ url, warnings }, new URL(from), permission)?.code ?? null;
	assert.equal(code("http://localhost:5173", "http://localhost:7070/ui/"), null);
	assert.equal(code("http://preview.example.org", "https://app.example.org/"), "mixed_content");
	assert.equal(code("http://localhost:5173", "https://app.example.org/"), "other_machine");
	assert.equal(code("http://localhost:5173", "http://127.0.0.1:7070/ui/"), null);
	assert.equal(code("https://192.168.1.5:5173", "https://app.example.org/", { permission: "denied" }), "local_network");
	assert.equal(code("https://192.168.1.5:5173", "https://app.example.org/", { permission: "prompt" }), null);
	assert.equal(code("https://192.168.1.5:5173", "https://192.168.1.6/", { permission: "denied" }), null);
	assert.equal(code("https://x.example.org", "https://app.example.org/", { warnings: [{ code: "frame_refused", detail: "no" }] }), "frame_refused");
	assert.equal(code("https://x.example.org", "https://app.example.org/", { warnings: [{ code: "blocked_host", detail: "no" }] }), "blocked_host");
	assert.deepEqual([span(59), span(3600), countdown(65), bytes(1234), bytes(9)], ["59 s", "1 h 0 min", "1:05", "1.2 KB", "9 B"]);
	assert.equal(attach_command({ app: "it's", session: "s1" }, 80, "web"), "previewctl attach 80 --name web --session s1 --app 'it'\\''s'");
});
