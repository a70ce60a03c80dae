// SPDX-License-Identifier: MIT
//
// A page of another origin, in a real browser, with the stock client of Socket.IO for browsers: it
// shows a canvas live, and again after the daemon was killed under it.
import assert from "node:assert/strict";
import { once } from "node:events";
import fs from "node:fs";
import http from "node:http";
import path from "node:path";
import test from "node:test";

import { Browser, skip } from "./browser.mjs";
import { act, canvas } from "./canvas.mjs";
import { base, defer, fixtures, here, start, until } from "./harness.mjs";
import { Way } from "./socketio.mjs";

const LONG = 60_000;
const files = {
	"/": [path.join(fixtures, "canvas-page", "index.html"), "text/html"],
	"/page.js": [path.join(fixtures, "canvas-page", "page.js"), "text/javascript"],
	"/socket.io.js": [path.join(here, "..", "node_modules", "socket.io-client", "dist", "socket.io.js"), "text/javascript"],
};

async function serve_page(t) {
	const server = http.createServer((req, res) => {
		const [file, type] = files[req.url] ?? [];
		if (!file) return res.writeHead(404).end();
		res.writeHead(200, { "content-type": type }).end(fs.readFileSync(file));
	});
	server.listen(0, "127.0.0.1");
	await once(server, "listening");
	defer(t, () => (server.closeAllConnections(), server.close()));
	return `http://127.0.0.1:${server.address().port}`;
}

for (const transports of ["websocket", "polling", "polling,websocket"]) {
	test(`a page shows a canvas live, in Chromium, by ${transports}`, { skip, timeout: 240_000 }, async (t) => {
		const origin = await serve_page(t);
		const d = await start(t, { settings: { "cors.origins": origin } });
		const way = await new Way(t, d).open();
		await act(d.admin, "s1", "push_node", { label: "Build" });
		await act(d.admin, "s1", "set_state", { key: "title", value: "<b>one</b>" });
		const { token } = (await d.admin.post(`${base("s1")}/tokens`, { scopes: ["view"] })).json;

		const browser = await Browser.open(t);
		const wish = new URLSearchParams({ daemon: `http://127.0.0.1:${way.port}`, session: "s1", token, transports });
		const tab = await browser.tab(encodeURIComponent(`${origin}/#${wish}`));
		const look = `JSON.stringify({
			nodes: [...document.querySelectorAll("#nodes li")].map((li) => [li.textContent, li.dataset.status]),
			edges: document.querySelectorAll("#edges li").length,
			state: JSON.parse(document.getElementById("state").textContent || "{}"),
		})`;
		const seen = async () => JSON.parse((await tab.value(look)) ?? '{"nodes":[],"state":{}}');
		const shows = (what, holds) => until(async () => holds(await seen()), what, LONG);
		await shows("the snapshot", ({ nodes, state }) => nodes[0]?.[0] === "Build" && state.title === "<b>one</b>");

		await act(d.admin, "s1", "push_node", { label: "Test" });
		await act(d.admin, "s1", "push_edge", { source: "build", target: "test" });
		await act(d.admin, "s1", "highlight_node", { id: "build", status: "running" });
		await shows("what is pushed", ({ nodes, edges }) => nodes.length === 2 && edges === 1 && nodes[0][1] === "running");

		way.cut();
		await act(d.admin, "s1", "highlight_node", { id: "build", status: "done" });
		await shows("what it missed", ({ nodes }) => nodes[0][1] === "done");

		await until(async () => (await d.metric("previewd_canvas_unstored")) === 0, "all is stored");
		await d.kill();
		await d.start();
		await act(d.admin, "s1", "remove_node", { id: "test" });
		await shows("what is there after the daemon was killed", ({ nodes, edges, state }) => nodes.length === 1 && edges === 0 && state.title === "<b>one</b>");
		const { preview_seq } = await canvas(d.admin, "s1");
		await until(async () => (await tab.value("canvas.seq")) === preview_seq, "it has heard all", LONG);
		assert.equal(await tab.value("canvas.faults"), 0);
		assert.deepEqual(JSON.parse(await tab.value("JSON.stringify(canvas.resources)")), (await canvas(d.admin, "s1")).resources);
		if (transports !== "polling")
			await until(async () => (await tab.value("socket.io.engine.transport.name")) === "websocket", "it is upgraded", LONG);
	});
}
