// SPDX-License-Identifier: MIT
//
// The card in a real browser, in a page that is the host of MCP Apps that the specification has.
import assert from "node:assert/strict";
import fs from "node:fs";
import http from "node:http";
import path from "node:path";
import test from "node:test";
import WebSocket from "ws";

import { begin, last } from "../functional/mcp.mjs";
import * as targets from "../functional/targets.mjs";
import { Child, defer, have, start, temp_dir, until, within } from "./harness.mjs";

const skip = have("chromium") ? false : "chromium is not installed";

const host_page = `<!doctype html><title>Host</title><iframe id="app" src="/card" width="600" height="600"></iframe>
<script>
window.said = [];
const app = document.getElementById("app");
window.tell = (message) => app.contentWindow.postMessage({ jsonrpc: "2.0", ...message }, "*");
window.addEventListener("message", ({ source, data }) => {
	if (source !== app.contentWindow) return;
	window.said.push(data);
	if (data.method === "ui/initialize")
		tell({ id: data.id, result: { protocolVersion: "2026-01-26", hostInfo: { name: "t", version: "1" }, hostCapabilities: {}, hostContext: {} } });
	else if (data.id !== undefined && data.method) tell({ id: data.id, result: {} });
});
const inside = () => app.contentDocument;
window.seen = () => JSON.stringify({
	name: inside().getElementById("name").textContent,
	url: inside().getElementById("url").textContent,
	note: inside().getElementById("note").textContent,
	status: inside().getElementById("dot").className,
	shown: inside().getElementById("frame").className,
	src: inside().getElementById("frame").src,
});
</script>`;

async function serve(t, card) {
	const server = http.createServer((request, answer) => {
		answer.setHeader("Content-Type", "text/html");
		answer.end(request.url === "/card" ? card : host_page);
	});
	await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
	defer(t, () => server.closeAllConnections() ?? server.close());
	return `http://127.0.0.1:${server.address().port}/`;
}

// A tab of a Chromium without a window: evaluates in its page.
async function open_tab(t, url) {
	const profile = temp_dir(t);
	// prettier-ignore
	new Child(t, ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
		"--remote-debugging-port=0", `--user-data-dir=${profile}`, "about:blank"], {});
	const file = path.join(profile, "DevToolsActivePort");
	await until(() => fs.existsSync(file) && fs.readFileSync(file, "utf8").includes("\n"), "chromium listens", 40_000);
	const [port] = fs.readFileSync(file, "utf8").split("\n");
	const made = await fetch(`http://127.0.0.1:${port}/json/new?${url}`, { method: "PUT" });
	const socket = new WebSocket((await made.json()).webSocketDebuggerUrl);
	defer(t, () => socket.terminate());
	await new Promise((resolve, reject) => socket.once("open", resolve).once("error", reject));
	let n = 0;
	const waiting = new Map();
	socket.on("message", (text) => {
		const { id, result } = JSON.parse(text);
		if (id) waiting.get(id)?.(result);
	});
	return (expression) =>
		within(
			new Promise((resolve) => {
				waiting.set(++n, (result) => resolve(result?.result?.value));
				socket.send(JSON.stringify({ id: n, method: "Runtime.evaluate", params: { expression } }));
			}),
			`an answer to ${expression}`,
		);
}

test("the card shows a result, then the page, and opens it by its host", { skip, timeout: 110_000 }, async (t) => {
	const d = await start(t);
	const { port } = await targets.http_server(t, (_, answer) => answer.setHeader("Content-Type", "text/html").end("<h1>Hi</h1>"));
	const mcp = await begin(d.admin, { "x-previewd-session": "s1" });
	const read = last(await mcp.request("resources/read", { uri: "ui://previewd/preview" })).result.contents[0];
	assert.ok(read._meta.ui.csp.frameDomains.includes("http://localhost:*"));
	const { result } = await mcp.call("PreviewProxy", { port });

	const evaluate = await open_tab(t, await serve(t, read.text));
	const said = async (method) => JSON.parse((await evaluate("JSON.stringify(window.said ?? [])")) ?? "[]").filter((m) => m.method === method);
	const seen = async () => JSON.parse(await evaluate("window.seen()"));
	const tell = (message) => evaluate(`window.tell(${JSON.stringify(message)})`);

	await until(async () => (await said("ui/notifications/initialized")).length === 1, "the card has begun", 40_000);
	await tell({ method: "ui/notifications/tool-input", params: { arguments: { port } } });
	await until(async () => (await seen()).url === `port ${port}`, "it says what was asked for");
	await tell({ method: "ui/notifications/tool-result", params: result });
	await until(async () => (await seen()).shown === "shown", "the page is in it", 40_000);
	const url = `http://localhost:${port}`;
	assert.deepEqual(await seen(), { name: "default", url, note: "", status: "up", shown: "shown", src: `${url}/` });
	assert.ok((await said("ui/notifications/size-changed")).length > 0);

	await evaluate("document.getElementById('app').contentDocument.getElementById('open').click()");
	await until(async () => (await said("ui/open-link")).length === 1, "the host is asked to open it");
	assert.equal((await said("ui/open-link"))[0].params.url, url);

	const evil = { ...result.structuredContent, name: "<img src=x onerror=alert(1)>", url: "javascript:alert(1)" };
	await tell({ method: "ui/notifications/tool-result", params: { structuredContent: evil } });
	await until(async () => (await seen()).name === evil.name, "what it is told is text");
	assert.equal(await evaluate("document.getElementById('app').contentDocument.getElementById('open').disabled"), true);
	assert.equal((await seen()).src, `${url}/`);

	await tell({ method: "ui/notifications/tool-result", params: { isError: true, content: [{ type: "text", text: "It broke" }] } });
	await until(async () => (await seen()).note === "It broke", "a failure is told");
});
