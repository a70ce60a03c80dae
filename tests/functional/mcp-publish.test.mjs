// SPDX-License-Identifier: MIT
//
// PreviewPublish: a build followed to its page, told of as it goes, ended with its call.  What a build
// can do otherwise is tested with publish.
import assert from "node:assert/strict";
import fs from "node:fs";
import http from "node:http";
import path from "node:path";
import test from "node:test";

import { base, start, temp_dir, until, within } from "./harness.mjs";
import { begin, messages } from "./mcp.mjs";

const text = (message) => message.result.content[0].text;

// A project that needs no package: its build is a script of shell.
function project(t, build) {
	const dir = temp_dir(t);
	fs.writeFileSync(path.join(dir, "package.json"), JSON.stringify({ name: "p", private: true, scripts: { build } }));
	return dir;
}

const settings = { "publish.sandbox": "prefer" };
const good = 'mkdir -p dist && echo "<h1>Built</h1>" >dist/index.html';

test("a build becomes a page under a URL that works", async (t) => {
	const d = await start(t, { settings });
	const s = await begin(d.admin, { "x-previewd-session": "s1" });
	const answer = await s.call("PreviewPublish", { workdir: project(t, good), install: false });
	assert.ok(!answer.result.isError, text(answer));
	const { url, state, build_id, session_id } = answer.result.structuredContent;
	assert.equal(state, "succeeded");
	assert.equal(session_id, "s1");
	assert.ok(build_id);
	assert.ok(url.startsWith(`${d.url}/`), url);
	assert.match(text(answer), new RegExp(url.replaceAll(/[.?]/g, "\\$&")));
	const page = await fetch(url);
	assert.equal(page.status, 200);
	assert.match(await page.text(), /Built/);

	const listed = await s.call("PreviewList");
	assert.deepEqual(listed.result.structuredContent.previews.map((p) => [p.name, p.type, p.url]), [["published", "published", url]]);
	const gone = await s.call("PreviewDetach", { name: "published" });
	assert.equal(gone.result.structuredContent.removed, true, JSON.stringify(gone));
});

test("the public address is what the user is told", async (t) => {
	const d = await start(t, { settings: { ...settings, "server.public_base_url": "https://preview.example.org/" } });
	const s = await begin(d.admin, { "x-previewd-session": "s1" });
	const answer = await s.call("PreviewPublish", { workdir: project(t, good), install: false });
	assert.match(answer.result.structuredContent.url, /^https:\/\/preview\.example\.org\/[^/]/);
});

test("a build that fails tells its last lines and what to do", async (t) => {
	const d = await start(t, { settings });
	const s = await begin(d.admin, { "x-previewd-session": "s1" });
	const answer = await s.call("PreviewPublish", { workdir: project(t, "echo This is what broke; exit 3"), install: false });
	assert.equal(answer.result.isError, true);
	assert.match(text(answer), /This is what broke/);
	assert.match(text(answer), /call PreviewPublish again/);
	assert.equal(answer.result._meta["dev.previewd/problem"].code, "build_failed");

	const nothing = await s.call("PreviewPublish", { workdir: temp_dir(t), install: false });
	assert.equal(nothing.result._meta["dev.previewd/problem"].code, "not_a_project");
	assert.match(text(nothing), /workdir/);
});

test("who may not publish is told so", async (t) => {
	const d = await start(t, { settings });
	await d.admin.put(base("s1"), {});
	const { token } = (await d.admin.post(`${base("s1")}/tokens`, { scopes: ["preview"] })).json;
	const s = await begin(d.api(token));
	const answer = await s.call("PreviewPublish", {});
	assert.equal(answer.result._meta["dev.previewd/problem"].code, "forbidden");
});

// The build of the session, as REST has it.
const build_of = async (d, session) => (await d.admin.get(`${base(session)}/builds`)).json?.builds?.[0];

test("progress while it builds; cancelling ends the build", async (t) => {
	const d = await start(t, { settings });
	const s = await begin(d.admin, { "x-previewd-session": "s1" });
	const answer = await fetch(`${d.url}/mcp`, {
		method: "POST",
		headers: {
			authorization: `Bearer ${d.admin_token}`,
			"content-type": "application/json",
			accept: "application/json, text/event-stream",
			"mcp-session-id": s.id,
			"x-previewd-session": "s1",
		},
		body: JSON.stringify({
			jsonrpc: "2.0",
			id: "b",
			method: "tools/call",
			params: {
				name: "PreviewPublish",
				arguments: { workdir: project(t, "sleep 100"), install: false },
				_meta: { progressToken: "p" },
			},
		}),
	});
	let told = "";
	const end = (async () => {
		for await (const chunk of answer.body) told += Buffer.from(chunk).toString();
	})();
	await until(() => /"message":"Building/.test(told), "it tells that it builds", 60_000);
	assert.equal((await build_of(d, "s1")).phase, "build");

	assert.equal((await s.notify("notifications/cancelled", { requestId: "b" })).status, 202);

	await within(end, "the stream's end", 60_000);
	const all = messages({ type: "text/event-stream", text: told });
	assert.ok(all.every((m) => m.method === "notifications/progress"), told);
	assert.ok(all.every((m, i) => i === 0 || m.params.progress > all[i - 1].params.progress), told);
	await until(async () => (await build_of(d, "s1")).state === "canceled", "it is canceled", 60_000);
});

test("since 2026-07-28 a client that leaves ends its build", async (t) => {
	const d = await start(t, { settings });
	const version = "2026-07-28";
	const req = http.request({
		host: "127.0.0.1",
		port: d.port,
		method: "POST",
		path: "/mcp",
		headers: {
			authorization: `Bearer ${d.admin_token}`,
			"content-type": "application/json",
			accept: "application/json, text/event-stream",
			"mcp-protocol-version": version,
			"mcp-method": "tools/call",
			"mcp-name": "PreviewPublish",
		},
		agent: false,
	});
	req.on("error", () => {});
	req.end(
		JSON.stringify({
			jsonrpc: "2.0",
			id: 1,
			method: "tools/call",
			params: {
				name: "PreviewPublish",
				arguments: { workdir: project(t, "sleep 100"), install: false, session_id: "s1" },
				_meta: { "io.modelcontextprotocol/protocolVersion": version, "io.modelcontextprotocol/clientCapabilities": {} },
			},
		}),
	);
	await until(async () => (await build_of(d, "s1"))?.state === "running", "it builds", 60_000);
	req.destroy();
	await until(async () => (await build_of(d, "s1")).state === "canceled", "it is canceled", 60_000);
	assert.equal(await d.metric("previewd_mcp_calls"), 0);
});

test("SIGTERM: a build is ended, its call is answered, and the daemon ends", async (t) => {
	const d = await start(t, { settings });
	const s = await begin(d.admin, { "x-previewd-session": "s1" });
	const call = s.call("PreviewPublish", { workdir: project(t, "sleep 100"), install: false });
	await until(async () => (await build_of(d, "s1"))?.state === "running", "it builds", 60_000);
	d.child.signal("SIGTERM");
	const answer = await within(call, "an answer", 60_000);
	assert.equal(answer.result.isError, true);
	assert.equal((await d.child.exited).code, 0);
});
