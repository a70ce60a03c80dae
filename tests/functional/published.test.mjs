// SPDX-License-Identifier: MIT
//
// Published pages: what every answer about one has, and what a hostile one gets out of the app whose
// origin it shares.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import fs from "node:fs";
import path from "node:path";
import test from "node:test";

import { Browser, skip } from "./browser.mjs";
import { base, fixtures, start, until } from "./harness.mjs";
import { published } from "./publishing.mjs";

const SANDBOX = "sandbox allow-scripts allow-forms allow-popups allow-modals allow-downloads";
const hostile = Object.fromEntries(
	fs.readdirSync(path.join(fixtures, "hostile-page")).map((name) => [name, fs.readFileSync(path.join(fixtures, "hostile-page", name))]),
);
const site = {
	"index.html": "<!doctype html><title>home</title><h1>home</h1>",
	"about.html": "<p>about",
	"docs/index.html": "<p>docs",
	"app.js": "export default 1;\n".repeat(200),
	"picture.svg": '<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>',
};

function apart(answer, what) {
	const { headers } = answer;
	const csp = headers["content-security-policy"];
	assert.equal(csp, `${SANDBOX}; frame-ancestors 'self'`, what);
	assert.ok(!csp.includes("allow-same-origin"));
	assert.equal(headers["access-control-allow-origin"], "*", what);
	assert.equal(headers["x-content-type-options"], "nosniff", what);
	assert.equal(headers["referrer-policy"], "no-referrer", what);
	assert.equal(headers["cross-origin-resource-policy"], "cross-origin", what);
	assert.match(headers["permissions-policy"], /camera=\(\)/, what);
	assert.equal(headers["set-cookie"], undefined, what);
	assert.equal(headers["service-worker-allowed"], undefined, what);
}

test("every answer about a page keeps it apart, errors and redirects among them", async (t) => {
	const { d, url } = await published(t, site);
	const ask = (target, headers, method = "GET") => d.anonymous.request(method, target, { headers });
	const { etag } = (await ask(url)).headers;
	const rows = [
		[200, url], [200, `${url}app.js`, { origin: "null" }], [200, `${url}picture.svg`], [200, `${url}about`],
		[200, `${url}app.js`, { origin: "https://elsewhere.example", cookie: "a=b" }],
		[304, url, { "if-none-match": etag }], [206, `${url}app.js`, { range: "bytes=0-9" }], [416, `${url}app.js`, { range: "bytes=99999-" }],
		[412, url, { "if-match": '"x"' }], [301, url.slice(0, -1)], [301, `${url}docs`], [301, `${url}about/`],
		[404, `${url}none.js`], [400, `${url}%00`], [400, `${url}..%2fx`],
		[404, `${base("nobody")}/published/`], [404, `${url}~wrong/`], [404, `${url}@other/`],
		[404, `${url}app.js`, { "service-worker": "script" }],
	];
	for (const [status, target, headers] of rows) {
		for (const method of ["GET", "HEAD"]) {
			const answer = await ask(target, headers, method);
			const expected = method === "HEAD" && [206, 416].includes(status) ? 200 : status;
			assert.equal(answer.status, expected, `${method} ${target} ${answer.text}`);
			apart(answer, `${method} ${target}: ${status}`);
		}
	}
	const preflight = await ask(`${url}app.js`, { origin: "null", "access-control-request-method": "GET", "access-control-request-headers": "rsc" }, "OPTIONS");
	assert.equal(preflight.status, 204);
	assert.equal(preflight.headers["access-control-allow-headers"], "*");
	apart(preflight, "preflight");
});

test("the API refuses pages in an opaque origin, and a page's path takes no more than reading", async (t) => {
	const { d, url } = await published(t, site);
	const opaque = { origin: "null" };
	for (const target of ["/api/previews", "/openapi.json", base("s"), `${base("s")}/previews`]) {
		const answer = await d.admin.get(target, { headers: opaque });
		assert.equal(answer.status, 403, target);
		assert.equal(answer.json.code, "origin_not_allowed");
		assert.equal(answer.headers["access-control-allow-origin"], undefined);
	}
	assert.equal((await d.admin.post(`${base("s")}/previews`, {}, { headers: opaque })).status, 403);
	for (const method of ["POST", "PUT", "PATCH"]) {
		assert.equal((await d.anonymous.request(method, `${url}app.js`, { headers: opaque })).status, 403);
		assert.equal((await d.anonymous.request(method, `${url}app.js`)).status, 405);
	}
	const elsewhere = await d.anonymous.get(url, { headers: { host: "rebound.example" } });
	assert.equal(elsewhere.status, 421);
});

test("an unlisted page is seen by its token alone, which no log has", async (t) => {
	const { d, url } = await published(t, site, { settings: { "publish.visibility": "unlisted", "log.level": "debug" } });
	const [, token] = /\/published\/~([^/]+)\/$/.exec(url);
	const seen = await d.anonymous.get(`${url}app.js`);
	assert.equal(seen.status, 200);
	assert.match(seen.headers["cache-control"], /private/);
	assert.equal((await d.anonymous.get(`${base("s")}/published/`)).status, 404);
	assert.equal((await d.anonymous.get(`${base("s")}/published/app.js`)).status, 404);
	assert.equal((await d.admin.get(`${base("s")}/published/app.js`)).status, 404);
	const [plain, redirected] = [url.slice(0, -1), `${url}docs`];
	for (const target of [plain, redirected])
		assert.equal((await d.anonymous.get(target)).headers.location, `${target}/`);
	assert.equal((await d.anonymous.get(url.replace("/~", "/%7E"))).status, 200);
	await d.stop();
	assert.ok(d.log.some((line) => line.includes("/published/~")), "requests were logged");
	assert.deepEqual(d.log.filter((line) => line.includes(token)), []);
});

test("a page with a host of its own is that host's root, and the API isn't there", async (t) => {
	const settings = { "publish.isolation": "separate", "publish.host_template": "{label}.localhost" };
	const { d, url } = await published(t, site, { settings });
	const host = `${new URL(url).hostname}:${d.port}`;
	const get = (target, headers = {}, method = "GET") => d.admin.request(method, target, { headers: { host, ...headers } });
	for (const [target, status] of [["/", 200], ["/app.js", 200], ["/about", 200], ["/docs", 301], ["/api/previews", 404], ["/healthz", 404], ["/openapi.json", 404]]) {
		const answer = await get(target);
		assert.equal(answer.status, status, target);
		assert.equal(answer.headers["content-security-policy"], "frame-ancestors 'self' http://localhost:* http://127.0.0.1:*");
		assert.equal(answer.headers["access-control-allow-origin"], undefined);
	}
	assert.equal((await get("/docs")).headers.location, "/docs/");
	assert.equal((await get("/", {}, "POST")).status, 405);
	assert.equal((await get("/", { host: `wrong.localhost:${d.port}` })).status, 404);
	assert.equal((await get("/", { host: `a.b.localhost:${d.port}` })).status, 421);
	// its page's script is of another origin to the API
	assert.equal((await d.admin.get("/api/previews", { headers: { origin: `http://${host}` } })).status, 403);
});

test("a wrong source of frame_ancestors is no setting", async (t) => {
	const { d } = await published(t, site, { settings: { "publish.frame_ancestors": "'self',https://app.example.org" } });
	const { headers } = await d.anonymous.get(`${base("s")}/published/`);
	assert.match(headers["content-security-policy"], /; frame-ancestors 'self' https:\/\/app\.example\.org$/);
	const bare = await start(t, { settings: { "publish.frame_ancestors": "self" } }); // as ui.frame_ancestors has it
	assert.match((await bare.anonymous.get(`${base("s")}/published/`)).headers["content-security-policy"], /; frame-ancestors 'self'$/);
	fs.writeFileSync(d.config, "[publish]\nframe_ancestors = 'self'; script-src *\n");
	delete d.settings["publish.frame_ancestors"];
	await d.stop();
	const child = d.spawn();
	assert.notEqual((await child.exited).code, 0);
	assert.match(child.stderr.text, /publish\.frame_ancestors/);
	d.port = undefined;
});

/*
 * In a browser.
 */

// A new tab begins with an empty page, which is complete, too.
async function app(d, browser) {
	const tab = await browser.tab(`${d.url}/healthz`);
	await until(() => tab.value("location.pathname === '/healthz' && document.readyState === 'complete'"), "the app is there", 60_000);
	return tab;
}

// The app: a page of the same origin, with what a session there has, and the published page in it.
async function framed(d, browser, url) {
	const tab = await app(d, browser);
	await tab.value(`document.cookie = "login=secret"; localStorage.setItem("token", "secret"); window.secret = "secret";
		addEventListener("message", (event) => { if (event.data.hostile) window.told = JSON.stringify(event.data.hostile); });
		const frame = document.createElement("iframe");
		frame.src = "${url}";
		document.body.append(frame);`);
	const told = await until(() => tab.value("window.told"), "the page has tried all it can", 90_000);
	assert.equal(await tab.value("location.href"), `${d.url}/healthz`, "the top window was sent elsewhere");
	return JSON.parse(told);
}

async function direct(d, browser, url) {
	const tab = await browser.tab(`${d.url}${url}`);
	await until(async () => (await tab.value("document.title")) === "tried", "the page has tried all it can", 90_000);
	return JSON.parse(await tab.value("document.getElementById('results').textContent"));
}

test("a hostile page gets nothing of the app, in a frame of it or by itself", { skip, timeout: 300_000 }, async (t) => {
	const { d, url } = await published(t, hostile);
	await d.admin.put(base("victim"), { user_id: "ada" });
	const browser = await Browser.open(t);
	for (const visit of [framed, direct]) {
		const { styled, ...results } = await visit(d, browser, url);
		assert.equal(styled, "rgb(1, 2, 3)", "its own style sheet is there");
		assert.ok(Object.keys(results).length >= 18);
		for (const [attempt, result] of Object.entries(results)) assert.match(result, /^refused: /, `${visit.name}: ${attempt}`);
	}
	const { json } = await d.admin.get(base("victim"));
	assert.equal(json.user_id, "ada");
	assert.deepEqual(await d.admin.list("victim"), []);
	const tab = await app(d, browser);
	assert.equal(await tab.value("document.cookie"), "login=secret");
	await tab.value("navigator.serviceWorker.getRegistrations().then((all) => { window.workers = all.length; })");
	await until(async () => (await tab.value("window.workers")) !== undefined, "the browser has counted workers");
	assert.equal(await tab.value("window.workers"), 0);
});

// Whether the page cache let go of the file: not all file systems have one, nor tell.
const DROP = `
import errno, os, sys
fd = os.open(sys.argv[1], os.O_RDONLY)
os.fsync(fd)
os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
def cold(at):
    try:
        os.preadv(fd, [bytearray(1)], at, os.RWF_NOWAIT)
    except OSError as e:
        return e.errno == errno.EAGAIN
sys.exit(0 if all(cold(at) for at in range(0, os.fstat(fd).st_size, 1 << 20)) else 1)
`;

test("a large file that is not in memory is read in by a helper, whole and in parts", async (t) => {
	const content = randomBytes(3 << 20).toString("base64"); // 4 MiB
	const { d, url } = await published(t, { "index.html": "<h1>x</h1>", "large.bin": content });
	const releases = path.join(d.state, "published", "s~published", "releases");
	const file = path.join(releases, fs.readdirSync(releases)[0], "files", "large.bin");
	const get = async (headers) => (await d.anonymous.get(`${url}large.bin`, { headers })).text;
	const cold_reads = () => d.metric("previewd_static_cold_reads_total");
	const is_cold = () => spawnSync("python3", ["-c", DROP, file]).status === 0;
	const drop = async () => {
		await new Promise((resolve) => setTimeout(resolve, 1100)); // what was found in memory is believed for a second
		return until(is_cold, "it is gone from memory", 5_000).catch(() => false);
	};

	assert.equal(await get(), content);
	const before = await cold_reads();
	if (!(await drop())) return t.skip("the page cache keeps the file, or cannot say");
	assert.equal(await get(), content);
	const whole = await cold_reads();
	assert.ok(whole > before, "what was missing was read in");
	if (!(await drop())) return;
	assert.equal(await get({ range: "bytes=2000000-3999999" }), content.slice(2_000_000, 4_000_000));
	assert.ok((await cold_reads()) > whole, "so was the part");
});

test("the same page left alone gets what it wants, so what refused it was ours", { skip, timeout: 300_000 }, async (t) => {
	const { d, url } = await published(t, hostile, { settings: { "publish.isolation": "trusted" } });
	const results = await direct(d, await Browser.open(t), url);
	for (const attempt of ["read the API", "read the cookies", "set a cookie", "read localStorage", "register a service worker", "read the app in a frame"])
		assert.match(results[attempt], /^got: /, attempt);
});

test("a page with a host of its own has storage and a root of its own, and not the API", { skip, timeout: 300_000 }, async (t) => {
	const script = `
		localStorage.setItem("mine", "kept");
		document.cookie = "mine=1";
		const api = new URL("//127.0.0.1:" + location.port + "/api/previews", location);
		const read = (url) => fetch(url, { credentials: "include" }).then((answer) => answer.status, (error) => error.name);
		const seen = { stored: localStorage.getItem("mine"), cookie: document.cookie, path: location.pathname,
			api: await read(api), here: await read("/api/previews") };
		document.title = JSON.stringify(seen);
	`;
	const files = { "index.html": '<!doctype html><title>trying</title><script type="module" src="/app.js"></script>', "app.js": script };
	const { d, url } = await published(t, files, { settings: { "publish.isolation": "separate", "publish.host_template": "{label}.localhost" } });
	const browser = await Browser.open(t);
	const tab = await browser.tab(`http://${new URL(url).hostname}:${d.port}/users/7`);
	const title = await until(async () => /^\{/.exec(await tab.value("document.title"))?.input, "the page has looked around", 90_000);
	assert.deepEqual(JSON.parse(title), { stored: "kept", cookie: "mine=1", path: "/users/7", api: "TypeError", here: 404 });
});
