// SPDX-License-Identifier: MIT
//
// /mcp: sessions and their limits, which session a call is for, who may, and what becomes of a call
// whose client leaves.  That other people's clients can use it, tests/mcp shows.
import assert from "node:assert/strict";
import http from "node:http";
import test from "node:test";

import { base, blind, free_port, start, until } from "./harness.mjs";
import { Session, begin, last, messages, modern, post } from "./mcp.mjs";

const text = (message) => message.result.content[0].text;
const problem = (message) => message.result._meta?.["dev.previewd/problem"]?.code;
const sessions_of = async (d) => (await d.admin.get("/api/previews")).json.previews.map((p) => p.session_id).sort();

async function token(d, session, scopes = ["preview", "view"]) {
	const answer = await d.admin.post(`${base(session)}/tokens`, { scopes });
	assert.equal(answer.status, 201, answer.text);
	return answer.json.token;
}

test("a session of MCP: begun, needed, its user's alone, ended, and gone after a restart", async (t) => {
	const d = await start(t);
	for (const version of ["2025-03-26", "2025-06-18", "2025-11-25"])
		assert.equal(last((await new Session(d.admin).begin(version)).begun).result.protocolVersion, version);
	assert.equal(last((await new Session(d.admin).begin("2024-11-05")).begun).result.protocolVersion, "2025-11-25");

	const s = await begin(d.admin);
	assert.match(s.id, /^[\x21-\x7e]{32,}$/);
	assert.equal((await s.notify("notifications/initialized")).status, 202);
	assert.deepEqual(last(await s.request("ping")).result, {});
	assert.equal((await post(d.admin, { jsonrpc: "2.0", id: 1, method: "tools/list" })).status, 400);
	assert.equal((await post(d.admin, { jsonrpc: "2.0", id: 1, method: "tools/list" }, { "mcp-session-id": "x" })).status, 404);
	const unsupported = await post(d.admin, { jsonrpc: "2.0", id: 1, method: "ping" }, { "mcp-session-id": s.id, "mcp-protocol-version": "1999-01-01" });
	assert.equal(unsupported.status, 400);
	const unknown = await s.request("no/such");
	assert.equal(unknown.status, 200);
	assert.equal(unknown.json.error.code, -32601);

	await d.admin.put(base("theirs"), { user_id: "bob" });
	const bob = d.api(await token(d, "theirs"));
	const stolen = await post(bob, { jsonrpc: "2.0", id: 1, method: "ping" }, { "mcp-session-id": s.id });
	assert.equal(stolen.status, 404);

	assert.equal((await s.end()).status, 204);
	assert.equal((await s.request("ping")).status, 404);
	assert.equal((await s.end()).status, 404);

	const other = await begin(d.admin);
	await d.restart();
	other.api = d.admin;
	assert.equal((await other.request("ping")).status, 404);
});

test("as many sessions as may be: a user's oldest makes room for that user's next", async (t) => {
	const d = await start(t, { settings: { "mcp.sessions_max": 4, "mcp.sessions_per_user": 3 } });
	await d.admin.put(base("theirs"), { user_id: "bob" });
	const bob = d.api(await token(d, "theirs"));
	const first = await begin(d.admin);
	const second = await begin(d.admin);
	const third = await begin(d.admin);
	await first.request("ping"); // so that the second is the one unused the longest

	const fourth = await begin(d.admin);

	assert.equal(fourth.begun.status, 200);
	assert.equal((await second.request("ping")).status, 404);
	for (const s of [first, third, fourth]) assert.equal((await s.request("ping")).status, 200);
	assert.equal(await d.metric("previewd_mcp_sessions"), 3);
	assert.equal(await d.metric("previewd_mcp_sessions_evicted_total"), 1);

	const his = await begin(bob);
	assert.equal(his.begun.status, 200);
	const hers = await begin(d.admin);
	assert.equal(hers.begun.status, 200, "her own made room");
	assert.equal((await his.request("ping")).status, 200);
	assert.equal(await d.metric("previewd_mcp_sessions"), 4);
});

test("where others have all sessions, one more is refused and says so", async (t) => {
	const d = await start(t, { settings: { "mcp.sessions_max": 1 } });
	await d.admin.put(base("theirs"), { user_id: "bob" });
	const bob = d.api(await token(d, "theirs"));
	const s = await begin(d.admin);

	const refused = await begin(bob);

	assert.equal(refused.id, undefined);
	assert.equal(refused.begun.status, 429);
	assert.match(refused.begun.json.error.message, /mcp\.sessions_max/);
	assert.ok(refused.begun.headers["retry-after"]);
	assert.equal((await s.request("ping")).status, 200);
});

test("what is no message is refused by its own code", async (t) => {
	const d = await start(t);
	const raw = (body, headers = {}) => d.admin.request("POST", "/mcp", { raw: body, headers });
	const ping = { jsonrpc: "2.0", id: 1, method: "ping" };

	let answer = await raw("{");
	assert.equal(answer.status, 400);
	assert.equal(answer.json.error.code, -32700);
	assert.ok(!("id" in answer.json));
	answer = await raw(JSON.stringify([ping, ping]));
	assert.deepEqual([answer.status, answer.json.error.code], [400, -32600]);
	answer = await raw(JSON.stringify({ ...ping, jsonrpc: "1.0" }));
	assert.deepEqual([answer.status, answer.json.error.code, answer.json.id], [400, -32600, 1]);
	answer = await raw(JSON.stringify({ ...ping, id: 1.5 }));
	assert.deepEqual([answer.status, answer.json.error.code], [400, -32600]);
	answer = await raw(JSON.stringify({ ...ping, params: [1] }));
	assert.deepEqual([answer.status, answer.json.error.code], [400, -32600]);
	answer = await raw(JSON.stringify(ping), { "content-type": "text/plain" });
	assert.equal(answer.status, 415);
	answer = await d.admin.get("/mcp");
	assert.deepEqual([answer.status, answer.headers.allow], [405, "POST, DELETE"]);
});

test("without a credential, from another page or under another name: nothing", async (t) => {
	const d = await start(t);
	const ping = { jsonrpc: "2.0", id: 1, method: "ping" };
	const nobody = await post(d.anonymous, ping);
	assert.equal(nobody.status, 401);
	assert.equal(nobody.headers["www-authenticate"], 'Bearer realm="previewd"');
	assert.equal((await post(d.admin, ping, { origin: "https://evil.example" })).status, 403);
	assert.equal((await post(d.admin, ping, { host: "evil.example" })).status, 421);
	for (const path of ["/.well-known/oauth-protected-resource/mcp", "/.well-known/oauth-authorization-server"])
		assert.equal((await d.anonymous.get(path)).status, 404, "there is no OAuth to find");
	const page = await d.admin.request("OPTIONS", "/mcp", {
		headers: { origin: d.url, "access-control-request-method": "POST", "access-control-request-headers": "mcp-session-id" },
	});
	assert.match(page.headers["access-control-allow-headers"], /Mcp-Session-Id/);
});

test("the modern era: fields and _meta must agree, and nothing is kept", async (t) => {
	const d = await start(t);
	const found = await modern(d.admin, "server/discover");
	assert.deepEqual(found.json.result.supportedVersions, ["2026-07-28"]);
	assert.ok(found.json.result.ttlMs >= 0);
	const list = await modern(d.admin, "tools/list");
	assert.equal(list.json.result.resultType, "complete");
	assert.equal(list.json.result._meta["io.modelcontextprotocol/serverInfo"].name, "previewd");

	const wrong = async (method, params, options, status, code) => {
		const answer = await modern(d.admin, method, params, options);
		assert.deepEqual([answer.status, answer.json.error.code, answer.json.id], [status, code, 1], answer.text);
		return answer.json.error;
	};
	const proxy = { name: "PreviewList", arguments: {} };
	await wrong("tools/call", proxy, { headers: { "mcp-name": "PreviewWhy" } }, 400, -32020);
	await wrong("tools/call", proxy, { headers: { "mcp-name": null } }, 400, -32020);
	await wrong("tools/call", proxy, { headers: { "mcp-method": "tools/list" } }, 400, -32020);
	await wrong("tools/list", {}, { headers: { "mcp-protocol-version": "2025-11-25" } }, 400, -32020);
	await wrong("initialize", {}, {}, 404, -32601);
	await wrong("ping", {}, {}, 404, -32601);
	const version = "2030-01-01";
	const unsupported = await wrong(
		"tools/list",
		{},
		{ headers: { "mcp-protocol-version": version }, _meta: { "io.modelcontextprotocol/protocolVersion": version } },
		400,
		-32022,
	);
	assert.deepEqual(unsupported.data, { supported: ["2026-07-28"], requested: version });
	await wrong("tools/list", {}, { _meta: { "io.modelcontextprotocol/clientCapabilities": null } }, 400, -32602);
	const encoded = await modern(d.admin, "tools/call", { ...proxy, arguments: { session_id: "s1" } }, {
		headers: { "mcp-name": `=?base64?${Buffer.from("PreviewList").toString("base64")}?=` },
	});
	assert.equal(encoded.status, 200, encoded.text);
	assert.equal(await d.metric("previewd_mcp_sessions"), 0);
	assert.equal(await d.metric("previewd_mcp_calls"), 0);
});

test("which session a call is for: the most deliberate word counts", async (t) => {
	const d = await start(t);
	const args = blind({ port: 4000 });
	const from_header = await begin(d.admin, { "x-previewd-session": "header" });
	const meta = {
		"dev.previewd/sessionId": "ours",
		sessionId: "codex",
		threadId: "thread",
		"x-codex-turn-metadata": { session_id: "turn" },
		"claudecode/sessionId": "claude",
	};
	const told = async (arguments_, _meta) => {
		const answer = await from_header.call("PreviewProxy", { ...args, ...arguments_ }, _meta);
		assert.ok(!answer.result.isError, JSON.stringify(answer));
		return answer.result.structuredContent.session_id;
	};
	assert.equal(await told({ session_id: "argument" }, meta), "argument");
	for (const [key, session] of [
		["dev.previewd/sessionId", "ours"],
		["sessionId", "codex"],
		["threadId", "thread"],
		["x-codex-turn-metadata", "turn"],
		["claudecode/sessionId", "claude"],
	]) {
		assert.equal(await told({ session_id: "" }, meta), session);
		delete meta[key];
	}
	assert.equal(await told({ session_id: null }, { sessionId: "no id", ...meta }), "header");
	assert.equal(await told({}, {}), "header");

	const of_token = await begin(d.api(await token(d, "header")));
	const listed = await of_token.call("PreviewList");
	assert.deepEqual(listed.result.structuredContent.previews.map((p) => p.session_id), ["header"]);

	const nobody = await begin(d.admin);
	const lost = await nobody.call("PreviewList");
	assert.equal(lost.result.isError, true);
	assert.match(text(lost), /session_id/);
	assert.match(text(lost), /X-Previewd-Session/);
});

test("a session of another app is found by its id", async (t) => {
	const d = await start(t);
	await d.admin.attach("s1", blind(), { app: "shop" });
	const s = await begin(d.admin, { "x-previewd-session": "s1" });
	const listed = await s.call("PreviewList");
	assert.deepEqual(listed.result.structuredContent.previews.map((p) => p.app_id), ["shop"]);
	const made = await s.call("PreviewProxy", blind({ session_id: "s2", app_id: "other" }));
	assert.equal(made.result.structuredContent.app_id, "other");
});

test("who may is the credential's to say, not the claim's", async (t) => {
	const d = await start(t);
	await d.admin.attach("s1", blind());
	await d.admin.attach("s2", blind({ port: 4000 }));
	const agent = await begin(d.api(await token(d, "s1")));
	for (const [tool, args] of [
		["PreviewDetach", {}],
		["PreviewWhy", {}],
		["PreviewProxy", blind()],
	]) {
		const foreign = await agent.call(tool, { ...args, session_id: "s2" });
		assert.equal(foreign.result.isError, true, tool);
		assert.equal(problem(foreign), "session_not_found", tool);
	}
	assert.deepEqual((await agent.call("PreviewList", { session_id: "s2" })).result.structuredContent.previews, []);
	assert.deepEqual(last(await agent.request("resources/list")).result.resources.map((r) => r.uri), ["preview://sessions/s1/default"]);
	assert.equal(last(await agent.request("resources/read", { uri: "preview://sessions/s2" })).error.code, -32002);
	assert.equal((await d.admin.list("s2")).length, 1);

	const viewer = await begin(d.api(await token(d, "s1", ["view"])));
	assert.equal((await viewer.call("PreviewList")).result.structuredContent.previews.length, 1);
	for (const [tool, args] of [["PreviewDetach", {}], ["PreviewProxy", blind()]])
		assert.equal(problem(await viewer.call(tool, args)), "forbidden", tool);
	assert.equal((await d.admin.list("s1")).length, 1);
});

test("hidden parameters work, unknown ones and wrong ones are told", async (t) => {
	const d = await start(t);
	const s = await begin(d.admin, { "x-previewd-session": "s1" });
	const made = await s.call("PreviewProxy", { port: 4000, host: "localhost", scheme: "https", health_check: false, focus: false, bash_task_id: "" });
	assert.equal(made.result.structuredContent.url, "https://localhost:4000");
	assert.equal(made.result.structuredContent.focus, false);
	const wrong = await s.call("PreviewProxy", { port: "no", name: "a/b", colour: "red" });
	assert.equal(problem(wrong), "invalid_field");
	for (const field of ["port", "name", "colour"]) assert.match(text(wrong), new RegExp(`- ${field} `));
	assert.equal(last(await s.request("tools/call", { name: "PreviewNothing" })).error.code, -32602);
	assert.equal(last(await s.request("tools/call", { name: "PreviewList", arguments: [] })).error.code, -32602);
	const schema = last(await s.request("tools/list")).result.tools.find((tool) => tool.name === "PreviewProxy").inputSchema;
	assert.deepEqual(Object.keys(schema.properties).sort(), ["bash_task_id", "name", "path", "port", "session_id"]);
});

// A POST that the test may leave in the middle.
function post_and_leave(d, body, headers) {
	const req = http.request({
		host: "127.0.0.1",
		port: d.port,
		method: "POST",
		path: "/mcp",
		headers: { authorization: `Bearer ${d.admin_token}`, "content-type": "application/json", accept: "application/json, text/event-stream", ...headers },
		agent: false,
	});
	req.on("error", () => {});
	req.end(JSON.stringify(body));
	return req;
}

test("until 2025-11-25 a client that leaves has not cancelled; notifications/cancelled does", async (t) => {
	const d = await start(t);
	const port = await free_port();
	const s = await begin(d.admin, { "x-previewd-session": "s1" });
	const call = { jsonrpc: "2.0", id: "w", method: "tools/call", params: { name: "PreviewProxy", arguments: { port, wait_seconds: 100 } } };

	const req = post_and_leave(d, call, { "mcp-session-id": s.id, "x-previewd-session": "s1" });
	await d.probing(1);
	const connections = await d.metric("previewd_http_connections");
	req.destroy();
	await until(async () => (await d.metric("previewd_http_connections")) < connections, "its connection is gone");
	assert.equal(await d.metric("previewd_probes"), 1);
	assert.equal((await s.request("ping", {}, "w")).status, 400, "its id is still taken");

	assert.equal((await s.notify("notifications/cancelled", { requestId: "nobody's" })).status, 202);
	assert.equal(await d.metric("previewd_probes"), 1);
	assert.equal((await s.notify("notifications/cancelled", { requestId: "w" })).status, 202);
	await d.probing(0);
	assert.equal(await d.metric("previewd_mcp_calls"), 0);

	const waiting = s.request("tools/call", call.params, "again");
	await d.probing(1);
	await s.notify("notifications/cancelled", { requestId: "again" });
	const answer = await waiting;
	assert.deepEqual(messages(answer), [], "a cancelled request has no answer");
	assert.equal(await d.metric("previewd_attachments"), 0);
});

test("since 2026-07-28 a client that leaves has cancelled", async (t) => {
	const d = await start(t);
	const port = await free_port();
	const version = "2026-07-28";
	const req = post_and_leave(
		d,
		{
			jsonrpc: "2.0",
			id: 1,
			method: "tools/call",
			params: {
				name: "PreviewProxy",
				arguments: { port, wait_seconds: 100, session_id: "s1" },
				_meta: { "io.modelcontextprotocol/protocolVersion": version, "io.modelcontextprotocol/clientCapabilities": {} },
			},
		},
		{ "mcp-protocol-version": version, "mcp-method": "tools/call", "mcp-name": "PreviewProxy" },
	);
	await d.probing(1);
	req.destroy();
	await d.probing(0);
	assert.equal(await d.metric("previewd_mcp_calls"), 0);
});

test("the end of a session of MCP ends its calls", async (t) => {
	const d = await start(t);
	const port = await free_port();
	const s = await begin(d.admin, { "x-previewd-session": "s1" });
	const waiting = s.call("PreviewProxy", { port, wait_seconds: 100 });
	await d.probing(1);
	assert.equal((await s.end()).status, 204);
	await d.probing(0);
	assert.equal(await waiting, undefined);
});

test("SIGTERM: a call that waits is answered, and the daemon ends", async (t) => {
	const d = await start(t);
	const port = await free_port();
	const s = await begin(d.admin, { "x-previewd-session": "s1" });
	const waiting = s.call("PreviewProxy", { port, wait_seconds: 100 }, { progressToken: 1 });
	await d.probing(1);
	d.child.signal("SIGTERM");
	const answer = await waiting;
	assert.equal(answer.result.isError, true);
	assert.match(text(answer), /try again/i);
	assert.equal((await d.child.exited).code, 0);
});

test("no more calls of a session under way than may be", async (t) => {
	const d = await start(t, { settings: { "mcp.calls_per_session": 2 } });
	const port = await free_port();
	const s = await begin(d.admin, { "x-previewd-session": "s1" });
	const waiting = [1, 2].map((i) => s.call("PreviewProxy", { port, name: `p${i}`, wait_seconds: 100 }));
	await d.probing(2);
	const third = await s.request("ping");
	assert.equal(third.status, 429);
	assert.ok(third.headers["retry-after"]);
	assert.match(third.json.error.message, /mcp\.calls_per_session/);
	await s.end();
	await Promise.all(waiting);
	assert.equal(await d.metric("previewd_mcp_calls"), 0);
});

test("1,000 calls at once from 50 sessions keep to the limits and to their own sessions", async (t) => {
	const SESSIONS = 50, CALLS = 20, LIMIT = 5;
	const d = await start(t, { settings: { "limits.per_user": 10_000 } });
	const all = await Promise.all(
		Array.from({ length: SESSIONS }, async (_, i) => {
			const session = `agent-${i}`;
			return { session, mcp: await begin(d.admin, { "x-previewd-session": session }) };
		}),
	);

	const answers = await Promise.all(
		all.flatMap(({ session, mcp }, i) =>
			Array.from({ length: CALLS }, async (_, n) => {
				const args = blind({ port: 10_000 + i * CALLS + n, name: `p${n}` });
				// every other one by the stateless era, which says its session itself
				const answer =
					n % 2 === 0
						? await mcp.call("PreviewProxy", args)
						: last(await modern(d.admin, "tools/call", { name: "PreviewProxy", arguments: { ...args, session_id: session } }, { id: n }));
				return { session, args, answer };
			}),
		),
	);

	assert.equal(answers.length, SESSIONS * CALLS);
	for (const { session, args, answer } of answers) {
		if (answer.result.isError) {
			assert.equal(problem(answer), "session_limit");
			for (const attached of answer.result._meta["dev.previewd/problem"].attached) assert.equal(attached.session_id, session);
		} else {
			const found = answer.result.structuredContent;
			assert.deepEqual([found.session_id, found.name, found.port], [session, args.name, args.port]);
		}
	}
	const fine = answers.filter(({ answer }) => !answer.result.isError);
	for (const { session } of all) {
		const told = fine.filter((a) => a.session === session).map((a) => a.args.name).sort();
		assert.equal(told.length, LIMIT);
		assert.deepEqual(await d.admin.names(session), told);
	}
	assert.equal((await sessions_of(d)).length, 100, "a page of them");
	assert.equal(await d.metric("previewd_attachments"), SESSIONS * LIMIT);
	assert.equal(await d.metric("previewd_mcp_calls"), 0);
});

test("a session of others and one that there isn't are told of in the same words", async (t) => {
	const d = await start(t);
	await d.admin.put(base("mine"), { user_id: "bob" });
	await d.admin.put(base("theirs", "hidden-app"), { user_id: "ann" });
	const s = await begin(d.api(await token(d, "mine")));
	const why = async (session_id) => last(await s.request("tools/call", { name: "PreviewWhy", arguments: { session_id } }));

	assert.equal(problem(await why("theirs")), "session_not_found");
	assert.equal(text(await why("theirs")).replaceAll("theirs", "nobody"), text(await why("nobody")));
});
