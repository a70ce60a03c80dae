// SPDX-License-Identifier: MIT
//
// The Preview panel, as a person has it: a real daemon, a real Vite, a real browser.
import assert from "node:assert/strict";
import { createSecretKey } from "node:crypto";
import fs from "node:fs";
import path from "node:path";
import test from "node:test";

import { SignJWT } from "jose";

import { base, free_port, start, temp_dir, until } from "./harness.mjs";
import { Panel, skip } from "./panel.mjs";
import * as targets from "./targets.mjs";

// Warned of at once, and not gone before the test is over.
const warned_early = { "reaper.interval": "1s", "reaper.idle": "600s", "reaper.warning": "599s" };

const page_of = (title) => (req, res) => {
	res.setHeader("content-type", "text/html");
	res.end(`<!doctype html><html lang="en"><title>${title}</title><h1>${title}</h1><p id="path">${req.url}</p>`);
};

const main_js = (text) => `
document.querySelector("#app").textContent = ${JSON.stringify(text)};
if (import.meta.hot) import.meta.hot.accept();
`;

test("a session's previews come, change and go before one's eyes", { skip, timeout: 120_000 }, async (t) => {
	const port = await free_port();
	const d = await start(t, { listen: `127.0.0.1:${port}` });
	const panel = await Panel.open(t, d, { permissions: ["clipboard-read", "clipboard-write"] });
	const { page } = panel;

	// Nothing yet, and how to change that.
	await panel.go("s1");
	await panel.says("Nothing to see yet");
	assert.equal(await page.evaluate(() => location.href), `http://localhost:${port}/ui/`, "the code is out of the address");
	await panel.button("Copy the command that attaches a running server").click();
	assert.match(await page.evaluate(() => navigator.clipboard.readText()), /^previewctl attach 5173 --session s1$/);
	await panel.accessible("nothing");
	await panel.picture("nothing");

	// The address worked once.
	const other = await panel.context.newPage();
	panel.quiet = true;
	await other.goto(panel.address);
	await other.getByText("used already or has expired").waitFor();
	await other.close();
	panel.quiet = false;

	// A server attached with focus appears by itself, and hot reload goes through.
	await page.evaluate(() => {
		globalThis.heard = [];
		for (const type of ["attached", "ready", "down", "detached"])
			document.querySelector("web-preview").addEventListener(type, (e) => globalThis.heard.push(`${type} ${e.detail.name}`));
	});
	const vite = await targets.vite(t);
	fs.writeFileSync(path.join(vite.root, "main.js"), main_js("one"));
	assert.ok(await vite.ready());
	assert.equal((await d.admin.attach("s1", { port: vite.port, name: "web" })).status, 201);
	await panel.inside("web").getByText("one").waitFor();
	await until(() => page.evaluate(() => globalThis.heard.length === 2), "the page has heard of it");
	assert.deepEqual(await page.evaluate(() => globalThis.heard), ["attached web", "ready web"]);
	await until(() => panel.said.some((s) => s.includes("[vite] connected")), "hot reload is connected");
	const frame = page.frames().find((f) => f.url().includes(`:${vite.port}`));
	await frame.evaluate(() => (globalThis.before = true));
	fs.writeFileSync(path.join(vite.root, "main.js"), main_js("two"));
	await panel.inside("web").getByText("two").waitFor();
	assert.equal(await frame.evaluate(() => globalThis.before), true, "the page was not loaded anew");

	const iframe = panel.locator("iframe");
	assert.equal(await iframe.getAttribute("sandbox"), "allow-scripts allow-same-origin allow-forms allow-popups");
	assert.match(await iframe.getAttribute("allow"), /local-network-access/);

	// One without focus waits to be chosen; the person's choice is kept, also over a new page.
	const docs = await targets.http_server(t, page_of("Docs"));
	await d.admin.attach("s1", { port: docs.port, name: "docs", focus: false });
	await panel.tab("docs").waitFor();
	await panel.shows("web");
	await panel.tab("web").focus();
	await page.keyboard.press("ArrowRight");
	await panel.shows("docs");
	await panel.inside("docs").getByText("Docs").waitFor();
	await panel.accessible("ready");
	await panel.picture("ready");
	const api = await targets.http_server(t, page_of("API"));
	await d.admin.attach("s1", { port: api.port, name: "api" });
	await panel.shows("api");
	await panel.inside("api").getByText("API").waitFor();
	await panel.go("s1");
	await panel.shows("docs");
	const tokens = async () => (await d.admin.get("/api/apps/default/sessions/s1/tokens")).json.tokens;
	await until(async () => (await tokens()).length === 1, "the page that was left has given its token back");

	// The server is killed, and comes back.
	await panel.tab("web").click();
	await panel.inside("web").getByText("two").waitFor();
	panel.quiet = true;
	await vite.child.kill();
	await panel.says("The server is down");
	await panel.accessible("down");
	await panel.picture("down");
	fs.writeFileSync(path.join(vite.root, "main.js"), main_js("three"));
	await targets.vite(t, { root: vite.root, port: vite.port });
	await panel.inside("web").getByText("three").waitFor();
	panel.quiet = false;

	// The daemon is killed, and comes back: the page goes on from where it was.
	panel.quiet = true;
	await d.kill();
	await panel.says("Reconnecting…");
	assert.ok(await panel.inside("web").getByText("three").isVisible(), "the preview needs no daemon");
	await d.start();
	await until(() => page.evaluate(() => document.querySelector("web-preview").state === "live"), "the panel is connected again");
	panel.quiet = false;
	await d.admin.detach("s1", "api");
	await panel.tab("api").waitFor({ state: "detached" });
	await panel.inside("web").getByText("three").waitFor();
	await panel.shows("web");

	// Detached: why, until it is dismissed.
	await d.admin.detach("s1", "web");
	await panel.says("“web” was detached, by the agent or by hand.");
	await panel.accessible("detached");
	await panel.picture("detached");
	await panel.button("Dismiss").click();
	await panel.shows("docs");

	// Stopped by hand: gone, with no word about it.
	await panel.inside("docs").getByText("Docs").waitFor();
	await panel.menu("Stop and detach");
	await panel.says("Nothing to see yet");
	assert.deepEqual(await d.admin.names("s1"), []);
	panel.no_errors();
});

test("the tools of a preview", { skip, timeout: 120_000 }, async (t) => {
	const d = await start(t, { settings: warned_early });
	const server = await targets.http_server(t, page_of("Shop"));
	await d.admin.attach("s1", { port: server.port, name: "shop" });
	const panel = await Panel.open(t, d, { permissions: ["clipboard-read", "clipboard-write"] });
	const { page } = panel;
	await panel.go("s1", "shop");
	const at = (where) => panel.inside("shop").locator("#path", { hasText: where }).waitFor();
	await at("/");

	// The address, and back and forward in it.
	const address = panel.locator("[aria-label='Path of the page']");
	for (const where of ["/cart?n=1", "/pay"]) {
		await address.fill(where);
		await address.press("Enter");
		await at(where);
	}
	await panel.button("Back").click();
	await at("/cart?n=1");
	await panel.button("Forward").click();
	await at("/pay");
	assert.ok(await panel.button("Forward").isDisabled());
	await address.fill("https://elsewhere.example/");
	await address.press("Enter");
	await panel.says("Only pages of this preview can be shown here.");
	await address.press("Escape");

	// Reload, and past the cache.
	const asked = () => server.seen.filter((s) => s.startsWith("GET /pay")).length;
	const before = asked();
	await panel.button("Reload").click();
	await until(() => asked() > before, "the page is asked for again");
	await panel.menu("Reload past the cache");
	await at("previewd-reload=");

	await panel.button("Copy link").click();
	await panel.says("Link copied");
	assert.equal(await page.evaluate(() => navigator.clipboard.readText()), `http://localhost:${server.port}/pay`);
	const open = panel.locator("a[aria-label='Open in a new tab']");
	assert.equal(await open.getAttribute("href"), `http://localhost:${server.port}/pay`);
	assert.match(await open.getAttribute("rel"), /noopener/);

	// Sizes: the page really has them.
	const frame = () => page.frames().find((f) => f.url().includes(`:${server.port}`));
	const measures = (size) => until(async () => (await frame().evaluate(() => `${innerWidth} × ${innerHeight}`)) === size, `the page measures ${size}`);
	await panel.locator("[role=radio][aria-label=Phone]").click();
	await measures("390 × 844");
	await panel.button("Rotate").click();
	await measures("844 × 390");
	await panel.picture("phone", { widths: [1280] });
	await panel.locator("[role=radio][aria-label=Phone]").press("ArrowRight");
	await measures("1180 × 820");
	await panel.locator("[role=radio][aria-label=Tablet]").press("Home");

	// Why it is kept: who is connected; Escape brings the focus back.
	await panel.button("Why it is kept").click();
	await panel.locator(".drawer table").waitFor();
	await panel.accessible("why");
	await panel.picture("why");
	await page.keyboard.press("Escape");
	await panel.locator(".drawer").waitFor({ state: "detached" });
	assert.equal(await page.evaluate(() => document.querySelector("web-preview").shadowRoot.activeElement.getAttribute("aria-label")), "Why it is kept");

	// The menu, by keyboard.
	await panel.button("More").focus();
	await page.keyboard.press("Enter");
	await panel.locator("[role=menu]").waitFor();
	await panel.accessible("menu");
	await panel.picture("menu", { widths: [360] });
	if (!(await panel.locator("[role=menu]").isVisible())) await panel.button("More").click();
	await page.keyboard.press("End");
	await page.keyboard.press("Escape");
	await panel.locator("[role=menu]").waitFor({ state: "hidden" });

	// Looking at it is use.
	await until(async () => (await d.admin.list("s1"))[0].touched_at, "it was touched");

	// One that nobody looks at is about to go, and is kept.
	const quiet = await targets.http_server(t, page_of("Quiet"));
	await d.admin.attach("s1", { port: quiet.port, name: "quiet", focus: false });
	await panel.says("Nobody has used “quiet” for a while.");
	await panel.accessible("idle");
	await panel.picture("idle");
	panel.no_errors();
});

test("what keeps a page from being shown is said, with what to do", { skip, timeout: 120_000 }, async (t) => {
	const d = await start(t, { settings: { "probe.http_timeout": "1s" } });
	const panel = await Panel.open(t, d);
	await panel.go("s1");

	const refusing = await targets.http_server(t, (req, res) => {
		res.setHeader("x-frame-options", "SAMEORIGIN");
		res.end("not here\n");
	});
	const { json } = await d.admin.attach("s1", { port: refusing.port, name: "refusing" });
	assert.deepEqual(json.warnings.map((w) => w.code), ["frame_refused"]);
	await panel.says("This page does not allow itself to be shown here");
	assert.equal(await panel.locator(".screen a.button").getAttribute("href"), `http://localhost:${refusing.port}/`);
	await panel.accessible("refused");
	await panel.picture("refused");

	// A first compile that takes its time.
	let answer;
	const slow = await targets.http_server(t, (req, res) => {
		if (req.method === "GET") answer = () => page_of("Done")(req, res);
	});
	await d.admin.attach("s1", { port: slow.port, name: "slow" });
	await panel.says("Starting slow");
	await panel.says("A first compile can take a while.");
	await panel.accessible("starting");
	await panel.picture("starting");
	await until(() => answer, "the page is asked for");
	answer();
	await panel.inside("slow").getByText("Done").waitFor();

	// One that the browser does not reach, which it tells nobody: the daemon has seen nobody come.
	const out_of_reach = await targets.http_server(t, page_of("Far"));
	await panel.context.route(`http://localhost:${out_of_reach.port}/**`, (route) => route.abort());
	panel.quiet = true;
	await d.admin.attach("s1", { port: out_of_reach.port, name: "far" });
	await panel.says(`No connection from a browser has come to port ${out_of_reach.port} yet.`);
	panel.quiet = false;
	await panel.button("Dismiss").click();

	// Access that ends while one looks.
	const [{ token_id }] = (await d.admin.get("/api/apps/default/sessions/s1/tokens")).json.tokens;
	await d.admin.del(`/api/apps/default/sessions/s1/tokens/${token_id}`);
	await panel.says("No access");
	await panel.accessible("no access");
	await panel.picture("no-access");
	panel.no_errors();
});

test("the admin sees all sessions and looks into one; a user sees their own", { skip, timeout: 120_000 }, async (t) => {
	const key = "k".repeat(32);
	const key_file = path.join(temp_dir(t), "key");
	fs.writeFileSync(key_file, key, { mode: 0o600 });
	const d = await start(t, { settings: { "auth.jwt_algorithm": "HS256", "auth.jwt_key_file": key_file } });
	const server = await targets.http_server(t, page_of("Shop"));
	await d.admin.attach("s1", { port: server.port, name: "shop" });
	await d.admin.put(base("s2"), { user_id: "ada" });
	const hers = await targets.http_server(t, page_of("Hers"));
	assert.equal((await d.admin.attach("s2", { port: hers.port, name: "hers" })).status, 201);
	const panel = await Panel.open(t, d);
	const { page } = panel;
	await page.goto(`http://localhost:${d.port}/ui/`);
	await page.getByText("Use a token instead").click();
	await panel.accessible("sign in");
	await panel.picture("sign-in");
	await page.getByLabel("Token", { exact: true }).fill(d.admin_token);
	await page.getByRole("button", { name: "Open", exact: true }).click();
	await page.getByRole("heading", { name: "Overview" }).waitFor();
	await page.getByRole("button", { name: "s1" }).waitFor();
	await panel.accessible("overview");
	await panel.picture("overview");
	await page.getByRole("button", { name: "s1" }).click();
	await panel.inside("shop").getByText("Shop").waitFor();
	await page.getByRole("button", { name: "Overview" }).click();
	await page.getByRole("heading", { name: "Overview" }).waitFor();
	await page.goto("about:blank");
	await page.goto(`http://localhost:${d.port}/ui/`);
	await page.getByText("Use a token instead").click();
	const jwt = await new SignJWT({ sub: "ada", scope: "view" }).setProtectedHeader({ alg: "HS256" }).setExpirationTime("1h").sign(createSecretKey(Buffer.from(key)));
	await page.getByLabel("Token", { exact: true }).fill(jwt);
	await page.getByRole("button", { name: "Open", exact: true }).click();
	await page.getByRole("button", { name: "s2" }).waitFor();
	assert.deepEqual([await page.getByRole("button", { name: "s1" }).count(), await page.getByText("Event streams").count()], [0, 0]);
	const stored = await page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie]));
	assert.ok(!stored.includes(d.admin_token), "the token is in memory only");
	panel.no_errors();
});
