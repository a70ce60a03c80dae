// SPDX-License-Identifier: MIT
//
// previewctl mcp: lines in, lines out, in both eras; and what becomes of it when the daemon goes.
import assert from "node:assert/strict";
import http from "node:http";
import test from "node:test";

import { environment } from "./agents.mjs";
import { Child, base, blind, defer, previewctl, start, temp_dir, until, within } from "./harness.mjs";
import * as targets from "./targets.mjs";

const MODERN = "2026-07-28";

class Bridge extends Child {
	constructor(t, d, { env, args = [] } = {}) {
		super(t, [previewctl(), "mcp", ...args], { env: environment(d, env), cwd: d.dir });
		this.n_ids = 0;
	}

	send(message) {
		this.process.stdin.write(typeof message === "string" ? `${message}\n` : `${JSON.stringify({ jsonrpc: "2.0", ...message })}\n`);
	}

	async answer(id) {
		const match = await this.stdout.match(new RegExp(`^.*"id": ?${JSON.stringify(id)}[,}].*`));
		return match && JSON.parse(match[0]);
	}

	ask(method, params, id = this.n_ids++) {
		this.send({ id, method, params });
		return this.answer(id);
	}

	async initialize(protocolVersion = "2025-11-25") {
		const { result } = await this.ask("initialize", { protocolVersion, capabilities: {}, clientInfo: { name: "test", version: "1" } });
		this.send({ method: "notifications/initialized" });
		return result;
	}

	tool(name, args = {}, { modern = false, meta = {} } = {}) {
		return this.ask("tools/call", { name, arguments: args, _meta: { ...meta, ...(modern ? stateless : {}) } });
	}
}
const stateless = { "io.modelcontextprotocol/protocolVersion": MODERN, "io.modelcontextprotocol/clientCapabilities": {} };
const bridge = (t, d, options) => new Bridge(t, d, { env: { PREVIEWD_SESSION_ID: "s1" }, ...options });

test("the era of sessions passes, and the input's end is the end", async (t) => {
	const d = await start(t);
	const b = bridge(t, d);
	const { protocolVersion, serverInfo } = await b.initialize("2025-06-18");
	assert.deepEqual([protocolVersion, serverInfo.name], ["2025-06-18", "previewd"]);
	assert.ok((await b.ask("tools/list", {})).result.tools.some((tool) => tool.name === "PreviewProxy"));
	assert.deepEqual((await b.ask("ping")).result, {});
	assert.equal((await b.ask("no/such")).error.code, -32601);
	const { port } = await targets.http_server(t);
	assert.equal((await b.tool("PreviewProxy", { port })).result.structuredContent.session_id, "s1");
	b.process.stdin.end();
	assert.deepEqual(await within(b.exited, "its end"), { code: 0, signal: null });
	assert.equal(b.stderr.text, "");
	await until(async () => (await d.metric("previewd_mcp_sessions")) === 0, "the daemon was told goodbye");
});

test("the stateless era passes, with the fields that it wants", async (t) => {
	const d = await start(t);
	const b = bridge(t, d);
	const { result } = await b.ask("server/discover", { _meta: stateless });
	assert.deepEqual(result.supportedVersions, [MODERN]);
	assert.ok((await b.ask("tools/list", { _meta: stateless })).result.ttlMs >= 0);
	const { port } = await targets.http_server(t);
	await b.tool("PreviewProxy", { port, name: "web" }, { modern: true });
	assert.deepEqual(await d.local.names("s1"), ["web"]);
	const read = await b.ask("resources/read", { uri: "preview://sessions/s1", _meta: stateless });
	assert.match(read.result.contents[0].text, /"web"/);
	const missing = await b.ask("resources/read", { uri: "preview://sessions/ünknown", _meta: stateless });
	assert.ok(missing.error, "a name that needs base64 in a field arrives");
	assert.notEqual(missing.error.code, -32020);
	assert.equal((await b.ask("no/such", { _meta: stateless })).error.code, -32601);
	const other = await b.ask("tools/list", { _meta: { ...stateless, "io.modelcontextprotocol/protocolVersion": "1999-01-01" } });
	assert.equal(other.error.code, -32022);
});

test("what is asked before the input ends is answered after it", async (t) => {
	const d = await start(t);
	const b = bridge(t, d);
	for (const id of ["a", "b", "c"]) b.send({ id, method: "tools/list", params: { _meta: stateless } });
	b.process.stdin.end();
	assert.equal((await within(b.exited, "its end")).code, 0);
	for (const id of ["a", "b", "c"]) assert.ok((await b.answer(id)).result, id);
});

test("what is no message is refused by the server, and what is too long by the bridge", async (t) => {
	const d = await start(t);
	const b = bridge(t, d, { args: ["--verbose"] });
	b.send("nonsense");
	assert.equal(JSON.parse((await b.stdout.match(/.*-32700.*/))[0]).error.code, -32700);
	b.send("");
	b.process.stdin.write(`{"x":"${"x".repeat(5_000_000)}"}\n`);
	await b.stderr.match(/too long/);
	assert.ok((await b.ask("tools/list", { _meta: stateless })).result, "it goes on");
	assert.equal(b.stdout.all.length, 2);
});

test("a daemon that is killed and started again is met again without the client's doing", async (t) => {
	const d = await start(t);
	const b = bridge(t, d);
	await b.initialize();
	await d.local.attach("s1", blind());
	await d.kill();
	const asked = Promise.all([b.tool("PreviewList"), b.tool("PreviewList"), b.ask("ping")]); // while there is none
	await d.start();
	const [first, second, pong] = await asked;
	for (const { result } of [first, second]) assert.deepEqual(result.structuredContent.previews.map((p) => p.name), ["default"]);
	assert.deepEqual(pong.result, {});

	await d.restart();
	assert.deepEqual((await b.tool("PreviewList")).result.structuredContent.previews.map((p) => p.name), ["default"]);
	assert.equal(await d.metric("previewd_mcp_sessions"), 1);
});

test("a call that was under way when the daemon was killed is told so", async (t) => {
	const d = await start(t);
	const b = bridge(t, d);
	await b.initialize();
	const server = await targets.silent(t);
	const asked = b.tool("PreviewProxy", { port: server.port });
	await d.probing(1);
	await d.kill();
	assert.match((await asked).error.message, /broke off.*try again/);
	await d.start();
	assert.ok((await b.tool("PreviewList")).result);
});

test("a daemon that is not there is an answer, in time", async (t) => {
	const d = { dir: temp_dir(t), socket: "/nonexistent/previewd.sock" };
	const b = bridge(t, d);
	b.send({ id: 1, method: "tools/list", params: { _meta: stateless } });
	b.process.stdin.end();
	assert.match((await b.answer(1)).error.message, /cannot be reached/);
	assert.equal((await within(b.exited, "its end")).code, 0);
});

for (const modern of [false, true])
	test(`a call that is cancelled ends at the daemon, and has no answer (${modern ? "stateless" : "sessions"})`, async (t) => {
		const d = await start(t);
		const b = bridge(t, d);
		if (!modern) await b.initialize();
		const server = await targets.silent(t);
		b.send({ id: "slow", method: "tools/call", params: { name: "PreviewProxy", arguments: { port: server.port }, _meta: modern ? stateless : {} } });
		await d.probing(1);
		b.send({ method: "notifications/cancelled", params: { requestId: "slow", ...(modern ? { _meta: stateless } : {}) } });
		await d.probing(0);
		assert.ok((await b.ask("tools/list", modern ? { _meta: stateless } : {})).result);
		assert.ok(!b.stdout.text.includes('"slow"'));
		assert.deepEqual(await d.local.names("s1"), []);
	});

test("progress comes before the answer", async (t) => {
	const d = await start(t);
	const b = bridge(t, d);
	await b.initialize();
	const server = await targets.silent(t);
	const asked = b.tool("PreviewProxy", { port: server.port }, { meta: { progressToken: "p1" } });
	await b.stdout.match(/notifications\/progress.*"p1"/);
	server.close?.();
	b.send({ method: "notifications/cancelled", params: { requestId: 1 } });
	asked.catch(() => {});
});

test("a session that a call names lives with the bridge, too", async (t) => {
	const d = await start(t, { settings: { "sessions.grace": "1s" } });
	const b = bridge(t, d);
	await b.initialize();
	const { port } = await targets.http_server(t);
	await b.tool("PreviewProxy", { port, session_id: "by-argument" });
	await b.tool("PreviewProxy", { port }, { meta: { sessionId: "by-codex" } });
	await b.tool("PreviewProxy", { port });
	const holders = async (session) => (await d.local.get(`${base(session)}/holds`)).json.holds.map((h) => h.pid);
	const holds = (session) => until(async () => (await holders(session)).join() === String(b.pid), `the bridge holds ${session}`);
	for (const session of ["by-argument", "by-codex", "s1"]) await holds(session);

	await d.local.del(base("s1"));
	await b.tool("PreviewProxy", { port });
	await holds("s1"); // one that was ended and is used again
	b.signal("SIGKILL");
	await until(async () => (await d.local.get("/api/previews")).json.previews.length === 0, "nothing is attached", 30_000);
});

test("the session that is everybody's is held only when a call is for it", async (t) => {
	const d = await start(t, { settings: { "sessions.grace": "0s" } });
	await d.local.attach("default", blind());
	const { port } = await targets.http_server(t);
	for (const [session_id, holds] of [["mine", 0], [undefined, 1]]) {
		const b = bridge(t, d, { env: {} });
		await b.initialize();
		await b.tool("PreviewProxy", { port, name: "web", session_id });
		await until(async () => (await d.local.get(`${base(session_id ?? "default")}/holds`)).json.holds?.length === 1, "it is held");
		assert.equal((await d.local.get(`${base("default")}/holds`)).json.holds.length, holds);
		b.process.stdin.end();
		await within(b.exited, "its end");
		if (session_id) {
			await until(async () => (await d.local.get(base(session_id))).status === 404, "its session has ended", 30_000);
			assert.deepEqual(await d.local.names("default"), ["default"]);
		}
	}
	await until(async () => (await d.local.get(base("default"))).status === 404, "the one that it used has ended", 30_000);
});

test("a daemon that can't see the bridge is told of the end by it", async (t) => {
	const d = await start(t);
	for (const end of [(b) => b.process.stdin.end(), (b) => b.signal("SIGTERM"), (b) => b.signal("SIGINT")]) {
		const b = bridge(t, d, { env: { PREVIEWD_SESSION_ID: "s1", PREVIEWD_SOCKET: "", PREVIEWD_URL: d.url, PREVIEWD_TOKEN: d.admin_token } });
		await b.initialize();
		const { port } = await targets.http_server(t);
		await b.tool("PreviewProxy", { port });
		assert.deepEqual(await d.local.names("s1"), ["default"]);
		end(b);
		assert.equal((await within(b.exited, "its end")).code, 0);
		await until(async () => (await d.local.get(base("s1"))).status === 404, "its session has ended");
	}
});

// What other servers may answer, and ours does when it is in a bad way.
test("whatever is answered, a request has one answer, on one line", async (t) => {
	const answers = [
		[200, "application/json", '{\n  "jsonrpc": "2.0",\r\n  "id": "a",\n  "result": {}\n}\n'],
		[401, "application/problem+json", '{"title":"no","status":401,"detail":"The token is not valid.","code":"token_invalid"}'],
		[200, "text/html", "<!doctype html>"],
		[200, "text/event-stream", ": ping\r\n\r\nevent: message\r\ndata: {\"jsonrpc\":\"2.0\",\r\ndata: \"id\":\"a\",\"result\":{}}\r\n\r\n"],
		[200, "text/event-stream", "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\"}\n\n"],
		[400, "application/json", '{"jsonrpc":"2.0","id":null,"error":{"code":-32020,"message":"x"}}'],
		[204, null, ""],
	];
	const server = http.createServer((request, response) => {
		request.resume();
		request.on("end", () => {
			if (request.url !== "/mcp") return response.writeHead(404).end();
			const [status, type, body] = answers[n];
			response.writeHead(status, type ? { "content-type": type } : {}).end(body);
		});
	});
	let n = 0;
	await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
	defer(t, () => (server.closeAllConnections(), server.close()));
	const env = { PREVIEWD_SOCKET: "", PREVIEWD_URL: `http://127.0.0.1:${server.address().port}`, PREVIEWD_TOKEN: "t" };
	for (const expected of [/"result": \{\}/, /The token is not valid/, /no answer|gave/, /"result":\{\}/, /before the response/, /-32020/, /no answer/]) {
		const b = bridge(t, { dir: temp_dir(t), socket: "" }, { env });
		const { id } = await b.ask("x", {}, "a").catch(() => ({}));
		const line = b.stdout.all.find((l) => /"id": ?"a"/.test(l));
		assert.match(line ?? "", expected, `answer ${n}: ${b.stdout.text}`);
		assert.ok(JSON.parse(line));
		b.process.stdin.end();
		await within(b.exited, "its end");
		assert.equal(b.stdout.all.filter((l) => /"id": ?"a"/.test(l)).length, 1, id);
		n++;
	}
});
