// SPDX-License-Identifier: MIT
//
// An agent with the plugin for Claude Code: what it attaches is its session's, and goes with it,
// however it ends.
import assert from "node:assert/strict";
import test from "node:test";

import { environment, nothing_left, start_agent } from "./agents.mjs";
import { base, blind, free_port, previewctl, run, start, until, within } from "./harness.mjs";
import { can_bind, is_alive } from "./processes.mjs";
import * as targets from "./targets.mjs";

const settings = { "sessions.grace": "1s" };
const server = (port) => `require("http").createServer((q,r)=>{r.setHeader("Content-Type","text/html");r.end("<!doctype html>")}).listen(${port},"127.0.0.1")`;

// An agent that runs a server, attaches another by its tool and a third in its shell.
async function at_work(t, d) {
	const agent = await start_agent(t, d, "claude-1");
	const [port, other, third] = [await free_port(), (await targets.http_server(t)).port, (await targets.http_server(t)).port];
	const { pid } = await agent.ask({ bash: `exec previewctl run --name web -- ${process.execPath} -e '${server(port)}'`, background: true, task: "b1" });
	const attached = await agent.ask({ tool: "PreviewProxy", arguments: { port: other, name: "tool" } });
	assert.ok(!attached.isError, JSON.stringify(attached));
	const shell = await agent.ask({ bash: `previewctl attach ${third} --name shell` });
	assert.deepEqual([shell.code, shell.stdout], [0, `http://localhost:${third}\n`]);
	await until(async () => (await d.local.names("claude-1")).length === 3, "all three are attached");
	assert.deepEqual(await d.local.names("claude-1"), ["shell", "tool", "web"]);
	return { agent, port, pid };
}

async function all_gone(d, { port, pid }) {
	await nothing_left(d);
	await until(() => !is_alive(pid), "the agent's background shell has ended");
	assert.ok(await can_bind(port), "its server has ended");
}

test("an agent's session begins with its directory, and is held by its process and its MCP server", async (t) => {
	const d = await start(t, { settings });
	const agent = await start_agent(t, d, "claude-1");
	const holders = async () => (await d.local.get(`${base("claude-1")}/holds`)).json.holds?.map((h) => h.pid).sort().join();
	await until(async () => (await holders()) === [agent.pid, agent.mcp].sort().join(), "both hold it");
	assert.equal((await d.local.get(base("claude-1"))).json.workdir, d.dir);
});

test("the ordinary end of an agent leaves nothing", async (t) => {
	const d = await start(t, { settings });
	const work = await at_work(t, d);
	work.agent.process.stdin.end();
	assert.deepEqual(await within(work.agent.exited, "its end", 30_000), { code: 0, signal: null });
	await all_gone(d, work);
});

test("SIGTERM of an agent leaves nothing", async (t) => {
	const d = await start(t, { settings });
	const work = await at_work(t, d);
	work.agent.signal("SIGTERM");
	assert.equal((await within(work.agent.exited, "its end", 30_000)).code, 143);
	await all_gone(d, work);
});

test("SIGKILL of an agent leaves nothing", async (t) => {
	const d = await start(t, { settings });
	const work = await at_work(t, d);
	work.agent.signal("SIGKILL");
	await all_gone(d, work);
});

test("SIGKILL of an agent and of its MCP server at once leaves nothing", async (t) => {
	const d = await start(t, { settings });
	const work = await at_work(t, d);
	process.kill(work.agent.mcp, "SIGKILL");
	work.agent.signal("SIGKILL");
	await all_gone(d, work);
});

test("SIGKILL of the MCP server alone ends nothing, while the agent lives", async (t) => {
	const d = await start(t, { settings: { "sessions.grace": "0s" } });
	const { agent } = await at_work(t, d);
	const path = `${base("claude-1")}/holds`;
	await until(async () => (await d.local.get(path)).json.holds.length === 2, "both hold it");
	process.kill(agent.mcp, "SIGKILL");
	await until(async () => (await d.local.get(path)).json.holds.length === 1, "one holds it");
	assert.equal((await d.local.get(path)).json.ends_at, null);
	assert.equal((await d.local.names("claude-1")).length, 3);
});

test("SIGKILL of the daemon, then of the agent while there is none, leaves nothing", async (t) => {
	const d = await start(t, { settings });
	const work = await at_work(t, d);
	await d.kill();
	await work.agent.kill();
	await until(() => !is_alive(work.agent.mcp), "its MCP server has ended");
	await d.start();
	await all_gone(d, work);
});

test("SIGKILL of the daemon in between, and the agent works on; its SIGKILL leaves nothing", async (t) => {
	const d = await start(t, { settings });
	const work = await at_work(t, d);
	await d.kill();
	await d.start();
	assert.deepEqual(await d.local.names("claude-1"), ["shell", "tool", "web"]);
	const listed = await work.agent.ask({ tool: "PreviewList" });
	assert.deepEqual(listed.structuredContent?.previews.map((p) => p.name).sort(), ["shell", "tool", "web"], JSON.stringify(listed));
	await work.agent.kill();
	await all_gone(d, work);
});

test("an agent that stops its background task ends the preview that names it", async (t) => {
	const d = await start(t, { settings });
	const agent = await start_agent(t, d, "claude-1");
	const { port } = await targets.http_server(t);
	await agent.ask({ tool: "PreviewProxy", arguments: { port, bash_task_id: "b9zsxmioa" } });
	await d.local.attach("claude-1", blind({ name: "other" }));
	for (const { code, output } of await agent.ask({ hook: "PostToolUse", tool_name: "TaskStop", tool_input: { task_id: "b9zsxmioa" } }))
		assert.deepEqual([code, output], [0, ""]);
	await until(async () => (await d.local.names("claude-1")).join() === "other", "the other is left");
});

test("after /clear a call is for the new session, though the MCP server's environment has the old", async (t) => {
	const d = await start(t, { settings });
	const agent = await start_agent(t, d, "old");
	const { port } = await targets.http_server(t);
	await agent.ask({ hook: "SessionEnd", reason: "clear" });
	for (const hook_event_name of ["SessionStart", "PreToolUse"])
		await d.local.post("/hooks/claude-code", { session_id: "new", hook_event_name, cwd: "/", source: "clear", tool_use_id: "toolu_new", tool_name: "mcp__previewd__PreviewProxy" });
	const answer = await d.local.post("/mcp", {
		jsonrpc: "2.0", id: 1, method: "tools/call",
		params: {
			name: "PreviewProxy", arguments: { port },
			_meta: { "claudecode/toolUseId": "toolu_new", "io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {} },
		},
	}, { headers: { accept: "application/json, text/event-stream", "mcp-protocol-version": "2026-07-28", "mcp-method": "tools/call", "mcp-name": "PreviewProxy", "x-previewd-session": "old" } });
	assert.equal(answer.status, 200, answer.text);
	assert.deepEqual(await d.local.names("new"), ["default"]);
});

test("over HTTP a call that names the agent's background task is for the task's session", async (t) => {
	const d = await start(t);
	const { port } = await targets.http_server(t);
	const used = { session_id: "c1", hook_event_name: "PostToolUse", tool_name: "Bash", tool_response: { backgroundTaskId: "b9zsxmioa" } };
	assert.deepEqual((await d.admin.post("/hooks/claude-code", used)).json, {});
	const call = (bash_task_id) => ({
		jsonrpc: "2.0", id: 1, method: "tools/call",
		params: { name: "PreviewProxy", arguments: { port, bash_task_id }, _meta: { "io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {} } },
	});
	const headers = { accept: "application/json, text/event-stream", "mcp-protocol-version": "2026-07-28", "mcp-method": "tools/call", "mcp-name": "PreviewProxy" };
	const unknown = await d.admin.post("/mcp", call("another"), { headers });
	assert.equal(unknown.json.result.isError, true);
	const known = await d.admin.post("/mcp", call("b9zsxmioa"), { headers });
	assert.equal(known.json.result.structuredContent?.session_id, "c1", known.text);
	assert.equal((await d.admin.list("c1"))[0].bash_task_id, "b9zsxmioa");
});

for (const variable of ["CLAUDE_CODE_SESSION_ID", "CODEX_SESSION_ID", "CODEX_THREAD_ID", "GEMINI_SESSION_ID", "PREVIEWD_SESSION_ID"])
	test(`previewctl finds its session in ${variable}`, async (t) => {
		const d = await start(t);
		const { port } = await targets.http_server(t);
		const { code, stderr } = await run(t, [previewctl(), "attach", String(port)], { env: environment(d, { [variable]: "of-the-agent" }) });
		assert.equal(code, 0, stderr);
		assert.deepEqual(await d.local.names("of-the-agent"), ["default"]);
	});

// What agents whose hooks are HTTP send themselves.
const hook = (api, agent, body) => api.post(`/hooks/${agent}`, body);

test("hooks over HTTP do the same, with a credential, and answer an empty object whatever came of it", async (t) => {
	const d = await start(t);
	assert.equal((await hook(d.anonymous, "claude-code", {})).status, 401);
	const begun = await hook(d.admin, "claude-code", { session_id: "c1", hook_event_name: "SessionStart", cwd: "/srv" });
	assert.deepEqual([begun.status, begun.json], [200, {}]);
	assert.equal((await d.admin.get(base("c1"))).json.workdir, "/srv");

	for (const body of [{}, { hook_event_name: "SessionEnd" }, { session_id: "nobody", hook_event_name: "SessionEnd" }, { session_id: "c1", hook_event_name: "Stop" }])
		assert.deepEqual([(await hook(d.admin, "claude-code", body)).status, (await hook(d.admin, "claude-code", body)).json], [200, {}]);
	assert.equal((await hook(d.admin, "nobody", {})).status, 404);

	await d.admin.attach("c1", blind());
	assert.equal((await hook(d.admin, "claude-code", { session_id: "c1", hook_event_name: "SessionEnd" })).status, 200);
	assert.equal((await d.admin.get(base("c1"))).status, 404);
});

test("who speaks the generic dialect is told of failures", async (t) => {
	const d = await start(t);
	assert.equal((await hook(d.admin, "generic", { event: "session_end" })).status, 400);
	assert.equal((await hook(d.admin, "generic", { event: "session_end", session_id: "nobody" })).json.code, "session_not_found");
	assert.equal((await hook(d.admin, "generic", { event: "session_start", session_id: "g1", app_id: "shop" })).status, 200);
	assert.equal((await d.admin.get(base("g1", "shop"))).status, 200);
});

test("a hook is a claim: a token of one session does nothing to another", async (t) => {
	const d = await start(t);
	for (const session of ["mine", "theirs"]) await d.admin.attach(session, blind());
	const { token } = (await d.admin.post(`${base("mine")}/tokens`, { scopes: ["preview"] })).json;
	const me = d.api(token);
	for (const event of ["session_end", "session_start"]) assert.equal((await hook(me, "generic", { event, session_id: "theirs" })).status, 404);
	assert.equal((await hook(me, "generic", { event: "task_end", session_id: "theirs", task_id: "b1" })).status, 404);
	assert.deepEqual(await d.admin.names("theirs"), ["default"]);
	const { token: viewer } = (await d.admin.post(`${base("mine")}/tokens`, { scopes: ["view"] })).json;
	assert.equal((await hook(d.api(viewer), "generic", { event: "session_end", session_id: "mine" })).status, 403);
	assert.equal((await hook(me, "generic", { event: "session_end", session_id: "mine" })).status, 200);
	assert.equal((await d.admin.get(base("mine"))).status, 404);
});

test("a session's end that takes long keeps no hook waiting, and is done all the same", async (t) => {
	const d = await start(t, { settings: { "tasks.kill_grace": "4s" } });
	await d.admin.put(base("c1"), {});
	const { pid } = (await d.local.post(`${base("c1")}/tasks`, { command: ["sh", "-c", "trap '' TERM; while :; do sleep 0.1; done"] })).json;
	await until(() => is_alive(pid), "the task runs");
	const answer = await hook(d.admin, "claude-code", { session_id: "c1", hook_event_name: "SessionEnd" });
	assert.deepEqual([answer.status, answer.json], [200, {}]);
	await until(async () => (await d.admin.get(base("c1"))).status === 404, "the session has ended", 30_000);
	assert.equal(is_alive(pid), false);
});

test("Gemini's call of a tool is given its session by the hook", async (t) => {
	const d = await start(t);
	const input = JSON.stringify({ session_id: "g1", hook_event_name: "BeforeTool", tool_name: "mcp_previewd_PreviewProxy", tool_input: { port: 5173 } });
	const { code, stdout, stderr } = await run(t, [previewctl(), "hook", "gemini"], { env: environment(d), input });
	assert.deepEqual([code, stderr], [0, ""]);
	assert.deepEqual(JSON.parse(stdout).hookSpecificOutput.tool_input, { port: 5173, session_id: "g1" });
});

test("a hook ends no task whose end its credential may not ask for", async (t) => {
	const d = await start(t);
	await d.local.put(base("s1"), {});
	const task = (await d.local.post(`${base("s1")}/tasks`, { command: ["sleep", "600"] })).json.task_id;
	const { token } = (await d.local.post(`${base("s1")}/tokens`, { scopes: ["preview"] })).json;
	const told = { event: "task_end", session_id: "s1", task_id: task };
	const state = async () => (await d.local.get(`${base("s1")}/tasks/${task}`)).json.state;

	assert.equal((await d.api(token).del(`${base("s1")}/tasks/${task}`)).status, 403);
	assert.equal((await d.api(token).post("/hooks/generic", told)).status, 200);
	assert.equal(await state(), "running");
	assert.equal((await d.local.post("/hooks/generic", told)).status, 200);
	await until(async () => (await state()) !== "running", "who may ends it");
});
