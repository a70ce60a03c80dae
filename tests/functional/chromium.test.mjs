// SPDX-License-Identifier: MIT
//
// A real browser's tab: what it does by itself while nobody looks is not use, what a person does is.
import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import test from "node:test";
import WebSocket from "ws";

import { Child, base, defer, have, start, temp_dir, until } from "./harness.mjs";
import * as events from "./events.mjs";
import * as targets from "./targets.mjs";

const skip = have("chromium") ? false : "chromium is not installed";
const brief = { "reaper.interval": "1s", "reaper.idle": "6s", "reaper.warning": "3s", "activity.sample": "1s" };
const preview = (name) => `${base("s1")}/previews/${name}`;

// Chromium without a window, driven over its own protocol.
class Browser {
	static async open(t) {
		const profile = temp_dir(t);
		const argv = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
			"--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
			"--remote-debugging-port=0", `--user-data-dir=${profile}`, "about:blank"];
		const child = new Child(t, argv, {});
		const file = path.join(profile, "DevToolsActivePort");
		await until(() => fs.existsSync(file) && fs.readFileSync(file, "utf8").includes("\n"), "chromium listens");
		const [port] = fs.readFileSync(file, "utf8").split("\n");
		return Object.assign(new Browser(), { t, child, port });
	}

	// A tab, when its page and the page's own sockets are there.
	async tab(url) {
		const made = await fetch(`http://127.0.0.1:${this.port}/json/new?${url}`, { method: "PUT" });
		const socket = new WebSocket((await made.json()).webSocketDebuggerUrl);
		defer(this.t, () => socket.terminate());
		await new Promise((resolve, reject) => socket.once("open", resolve).once("error", reject));
		let n = 0;
		const waiting = new Map();
		socket.on("message", (text) => {
			const { id, result, error } = JSON.parse(text);
			if (id) waiting.get(id)?.(result ?? error);
		});
		const call = (method, params = {}) =>
			new Promise((resolve) => {
				waiting.set(++n, resolve);
				socket.send(JSON.stringify({ id: n, method, params }));
			});
		const value = async (expression) => (await call("Runtime.evaluate", { expression })).result?.value;
		await until(() => value("document.readyState === 'complete'"), "the page is loaded");
		return { call, value };
	}
}

test("a tab left open on a Vite is no use, one that is looked at is", { skip, timeout: 90_000 }, async (t) => {
	const d = await start(t, { settings: brief });
	const [left, used] = [await targets.vite(t), await targets.vite(t)];
	assert.ok((await left.ready()) && (await used.ready()));
	const stream = await events.join(d, "s1");
	assert.equal((await d.admin.attach("s1", { port: left.port, name: "left" })).status, 201);
	assert.equal((await d.admin.attach("s1", { port: used.port, name: "used" })).status, 201);

	const browser = await Browser.open(t);
	const get = async (name) => (await d.admin.get(preview(name))).json;
	await browser.tab(`http://localhost:${left.port}/`);
	const looked_at = await browser.tab(`http://localhost:${used.port}/`);
	const looking = setInterval(() => looked_at.call("Page.reload"), 1000);
	defer(t, () => clearInterval(looking));

	await until(async () => (await get("left")).activity === "passive", "the tab is open and quiet");
	const open = (await d.admin.get(`${preview("left")}/why`)).json;
	assert.ok(open.sockets.length > 0, JSON.stringify(open));
	const end = await stream.event("web_preview:detached", (p) => p.name === "left");
	assert.equal(end.payload.reason, "idle");
	assert.equal((await get("used")).activity, "active");
	assert.equal((await d.admin.get(`${preview("used")}/why`)).json.last_reset.by, "traffic");
});
