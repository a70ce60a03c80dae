// SPDX-License-Identifier: MIT
//
// previewctl, as people and agents call it: what it prints, and what it exits with.
import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import test from "node:test";

import { Child, base, blind, free_port, have, is_root, previewctl, run, start, temp_dir, within } from "./harness.mjs";
import * as targets from "./targets.mjs";

// `ctl("ls")` against the daemon, by its socket, with no environment but what is given.
const caller = (t, d) => async (...args) => {
	const last = typeof args.at(-1) === "object" ? args.pop() : {};
	const { env = {}, input } = last;
	const result = await run(t, [previewctl(), ...args], {
		env: { PATH: process.env.PATH, HOME: d?.dir ?? "/nonexistent", ...(d ? { PREVIEWD_SOCKET: d.socket } : {}), ...env },
		input,
	});
	return result;
};

function failed(result, code, pattern) {
	assert.equal(result.code, code, `${result.stdout}\n${result.stderr}`);
	assert.equal(result.stdout, "");
	assert.match(result.stderr, /^previewctl: /);
	if (pattern) assert.match(result.stderr, pattern);
}

test("attach prints the address and nothing else, ls lists it, detach takes it away", async (t) => {
	const d = await start(t);
	const ctl = caller(t, d);
	const server = await targets.http_server(t);

	const attached = await ctl("attach", String(server.port), "--session", "s1");
	assert.deepEqual(attached, { code: 0, signal: null, stdout: `http://localhost:${server.port}`, stderr: "" });

	const listed = await ctl("ls", "--session", "s1");
	assert.equal(listed.code, 0);
	const columns = listed.stdout.split("\t");
	assert.deepEqual([columns[0], columns[1], columns.at(-1)], ["default", "up", `http://localhost:${server.port}`]);
	assert.equal((await ctl("ls")).stdout, "", "another session");
	assert.match((await ctl("ls", "--all")).stdout, /^s1\t/);

	const gone = await ctl("detach", "--session", "s1");
	assert.deepEqual([gone.code, gone.stdout], [0, "default"]);
	const again = await ctl("detach", "--session", "s1");
	assert.equal(again.code, 0, "that there was none is no failure");
	assert.match(again.stderr, /nothing/);
	assert.deepEqual(await d.admin.list("s1"), []);
});

test("--json prints the daemon's own document", async (t) => {
	const d = await start(t);
	const ctl = caller(t, d);
	const { stdout } = await ctl("attach", "5173", "--no-probe", "--no-focus", "--name", "web", "--path", "/a", "--task", "b1", "--json");
	const answer = JSON.parse(stdout);
	assert.equal(answer.name, "web");
	const [stored] = (await d.admin.list("default"));
	for (const member of ["name", "path", "focus", "bash_task_id", "label", "url"]) assert.deepEqual(answer[member], stored[member], member);
	assert.deepEqual([stored.focus, stored.bash_task_id], [false, "b1"]);
	assert.deepEqual(JSON.parse((await ctl("ls", "--json")).stdout).previews.map((p) => p.name), ["web"]);
	assert.equal(JSON.parse((await ctl("detach", "web", "--json")).stdout).removed, true);
	const failure = await ctl("attach", "80", "--json");
	assert.equal(failure.code, 4);
	assert.equal(JSON.parse(failure.stderr.split("\n").at(-1)).error.code, "target_not_allowed");
});

test("the session is taken from the option, else from the agent's environment", async (t) => {
	const d = await start(t);
	const ctl = caller(t, d);
	const attach = (env, ...more) => ctl("attach", "5173", "--no-probe", ...more, { env });
	const all = { CLAUDE_CODE_SESSION_ID: "claude", CODEX_SESSION_ID: "codex" };
	await attach({ ...all, PREVIEWD_SESSION_ID: "ours" }, "--session", "said");
	await attach({ ...all, PREVIEWD_SESSION_ID: "ours" });
	await attach(all);
	await attach({ CODEX_SESSION_ID: "codex" });
	await attach({});
	const { previews } = (await d.admin.get("/api/previews")).json;
	assert.deepEqual(previews.map((p) => p.session_id).sort(), ["claude", "codex", "default", "ours", "said"]);
});

test("watch prints an event a line as it happens, and goes on after a restart of the daemon", async (t) => {
	const d = await start(t);
	const watch = new Child(t, [previewctl(), "watch", "--session", "s1"], { env: { PREVIEWD_SOCKET: d.socket } });
	const event = async (pattern, from) => JSON.parse((await watch.stdout.match(pattern, from)).input);
	assert.equal((await event(/"joined"/)).session_id, "s1");

	await d.admin.attach("s1", blind({ name: "one" }));
	assert.equal((await event(/web_preview:attached/)).payload.name, "one");

	const seen = watch.stdout.all.length;
	await d.kill();
	await d.start();
	await event(/"joined"/, seen);
	await d.admin.detach("s1", "one");
	assert.equal((await event(/web_preview:detached/)).payload.reason, "detach");

	watch.signal("SIGINT");
	const { code, signal } = await within(watch.exited, "its end");
	assert.ok(code === 130 || signal === "SIGINT", `${code} ${signal}`);
});

test("watch --types prints a snapshot only where it is one of them", async (t) => {
	const d = await start(t);
	await d.admin.attach("s1", blind({ name: "one" }));
	for (const [types, expected] of [
		["web_preview:detached", ["joined", "web_preview:detached"]],
		["web_preview:detached,preview:snapshot", ["joined", "preview:snapshot", "web_preview:detached"]],
	]) {
		const watch = new Child(t, [previewctl(), "watch", "--session", "s1", "--types", types], { env: { PREVIEWD_SOCKET: d.socket } });
		await watch.stdout.match(/"joined"/);
		await d.admin.attach("s1", blind({ name: "two" }));
		await d.admin.detach("s1", "two");
		await watch.stdout.match(/"web_preview:detached"/);
		const lines = watch.stdout.text.trim().split("\n").map((line) => JSON.parse(line));
		assert.deepEqual(lines.map((line) => line.status ?? line.event_type), expected);
		watch.signal("SIGINT");
		await within(watch.exited, "its end");
	}
});

test("watch ends when nobody reads what it prints, without another event", async (t) => {
	const d = await start(t);
	const script = `"$0" watch --all | head -n 1; echo ended`;
	const watch = new Child(t, ["bash", "-c", script, previewctl()], { env: { PREVIEWD_SOCKET: d.socket } });
	await watch.stdout.match(/^ended$/m);
	assert.match(watch.stdout.text, /^\{.*"joined"/);
	assert.equal((await within(watch.exited, "its end")).code, 0);
});

test("exit code 7 when waited in vain, with what to do", async (t) => {
	const d = await start(t);
	failed(await caller(t, d)("attach", String(await free_port()), "--wait", "1"), 7, /nothing listens.*\n.*--wait/s);
});

test("who gives the address of a server instead of its port is told the port", async (t) => {
	for (const address of ["http://localhost:5173/", "localhost:5173", ":5173"])
		failed(await caller(t, null)("attach", address), 2, /did you mean '5173'\?/);
	for (const other of ["a", "x:", "x:99999", "http://x:5a/"])
		assert.doesNotMatch((await caller(t, null)("attach", other)).stderr, /did you mean/);
});

test("exit code 4 when it is not allowed", async (t) => {
	const d = await start(t);
	const ctl = caller(t, d);
	failed(await ctl("attach", "80"), 4, /allow_ports/);
	failed(await ctl("ls", { env: { PREVIEWD_SOCKET: "", PREVIEWD_URL: d.url, PREVIEWD_TOKEN: "wrong" } }), 4, /PREVIEWD_TOKEN|token/);
});

test("exit code 5 at a limit, with what is attached", async (t) => {
	const d = await start(t);
	const ctl = caller(t, d);
	for (const name of ["a", "b", "c", "d", "e"]) await d.admin.attach("s1", blind({ name }));
	failed(await ctl("attach", "5173", "--no-probe", "--session", "s1", "--name", "f"), 5, /attached: s1 a.*previewctl detach/s);
});

test("exit code 3 for what is not there", async (t) => {
	const d = await start(t);
	const ctl = caller(t, d);
	failed(await ctl("open", "--direct", "--session", "none"), 3, /shows what is attached/);
	failed(await ctl("status", "--session", "none"), 3);
	failed(await ctl("session", "show", "none"), 3);
	await d.admin.attach("s1", blind());
	failed(await ctl("status", "other", "--session", "s1"), 3);
	assert.equal((await ctl("status", "--session", "s1")).code, 0);
});

test("exit code 2 for a wrong command line, with what was meant", async (t) => {
	const ctl = caller(t, null);
	failed(await ctl("attahc", "5173"), 2, /attach/);
	failed(await ctl("attach"), 2);
	failed(await ctl("attach", "seventy"), 2);
	failed(await ctl("attach", "70000"), 2);
	failed(await ctl("attach", "5173", "--nonsense"), 2);
	failed(await ctl("attach", "5173", "--name", "a b"), 2);
	failed(await ctl("attach", "5173", "--wait", "500"), 2);
	assert.equal((await ctl()).code, 2);
	for (const help of [["--help"], ["help"], ["help", "attach"], ["attach", "--help"]]) {
		const { code, stdout } = await ctl(...help);
		assert.equal(code, 0);
		assert.match(stdout, /usage: previewctl/);
	}
});

test("exit code 6 when the daemon is not reachable, and how to start it", async (t) => {
	const ctl = caller(t, null);
	const nowhere = path.join(temp_dir(t), "none.sock");
	failed(await ctl("ls", { env: { PREVIEWD_SOCKET: nowhere } }), 6, /systemctl --user start previewd|previewd/);
	const port = await free_port();
	failed(await ctl("ls", { env: { PREVIEWD_URL: `http://127.0.0.1:${port}`, PREVIEWD_TOKEN: "x" } }), 6);
	failed(await ctl("health", { env: { PREVIEWD_SOCKET: nowhere } }), 6);
});

test("over TCP it shows its token", async (t) => {
	const d = await start(t);
	const env = { PREVIEWD_SOCKET: "", PREVIEWD_URL: d.url, PREVIEWD_TOKEN: d.admin_token };
	const { code, stdout, stderr } = await caller(t, d)("attach", "5173", "--no-probe", { env });
	assert.deepEqual([code, stdout, stderr], [0, "http://localhost:5173", ""]);
});

test("what keeps viewers from seeing a preview is a warning beside the address", async (t) => {
	const d = await start(t, { settings: { "probe.http_timeout": "1s" } });
	const server = await targets.silent(t);
	const { code, stdout, stderr } = await caller(t, d)("attach", String(server.port));
	assert.deepEqual([code, stdout], [0, `http://localhost:${server.port}`]);
	assert.match(stderr, /^previewctl: warning: .*answered/);
});

test("a token is made, listed and revoked", async (t) => {
	const d = await start(t);
	const ctl = caller(t, d);
	await ctl("session", "new", "s1");
	const made = await ctl("token", "new", "--session", "s1", "--scope", "view", "--note", "panel");
	assert.equal(made.code, 0, made.stderr);
	assert.match(made.stdout, /^pvt_\S+$/);
	const viewer = d.api(made.stdout);
	assert.equal((await viewer.get(base("s1"))).status, 200);
	const { tokens } = JSON.parse((await ctl("token", "list", "--session", "s1", "--json")).stdout);
	assert.equal(tokens[0].note, "panel");
	assert.equal((await ctl("token", "revoke", tokens[0].token_id, "--session", "s1")).code, 0);
	assert.equal((await viewer.get(base("s1"))).status, 401);
	failed(await ctl("token", "revoke", tokens[0].token_id, "--session", "s1"), 3);
});

test("session end detaches all of it", async (t) => {
	const d = await start(t);
	const ctl = caller(t, d);
	for (const name of ["a", "b"]) await d.admin.attach("s1", blind({ name }));
	const { code, stdout } = await ctl("session", "end", "s1");
	assert.equal(code, 0);
	assert.deepEqual(stdout.split("\n").sort(), ["a", "b"]);
	assert.equal((await d.admin.get(base("s1"))).status, 404);
});

test("the hook of an agent ends its session, and never fails the agent", async (t) => {
	const d = await start(t);
	const ctl = caller(t, d);
	const hook = (agent, input, env) => ctl("hook", agent, { input: typeof input === "string" ? input : JSON.stringify(input), env });
	await d.admin.attach("claude-1", blind());
	await d.admin.attach("other", blind());

	const end = { session_id: "claude-1", hook_event_name: "SessionEnd", reason: "other", cwd: "/", transcript_path: "/x" };
	for (const event of ["Stop", "PostToolUse", "SessionStart"]) assert.equal((await hook("claude-code", { ...end, hook_event_name: event })).code, 0);
	assert.equal((await d.admin.get(base("claude-1"))).status, 200, "other events end nothing");
	assert.deepEqual(await hook("claude-code", end), { code: 0, signal: null, stdout: "", stderr: "" });
	assert.equal((await d.admin.get(base("claude-1"))).status, 404);
	assert.equal((await d.admin.get(base("other"))).status, 200);

	for (const input of ["", "{", "[]", "x".repeat(100_000)]) assert.equal((await hook("claude-code", input)).code, 0);
	assert.equal((await hook("claude-code", end, { PREVIEWD_SOCKET: "/nonexistent/previewd.sock" })).code, 0);
	assert.equal((await d.admin.get(base("other"))).status, 200);
});

test("the generic hook ends the session it names", async (t) => {
	const d = await start(t);
	await d.admin.attach("g1", blind());
	const { stdout } = await caller(t, d)("help", "hook");
	assert.match(stdout, /generic/);
	const input = JSON.stringify({ event: "session_end", session_id: "g1" });
	assert.equal((await caller(t, d)("hook", "generic", { input })).code, 0);
	assert.equal((await d.admin.get(base("g1"))).status, 404);
});

test("health says that the daemon is well, and fails where it is not", async (t) => {
	const d = await start(t);
	const { code, stdout } = await caller(t, d)("health");
	assert.equal(code, 0);
	assert.match(stdout, /ready/);
});

for (const shell of ["bash", "zsh", "fish"])
	test(`the completion of ${shell} is one that ${shell} takes`, { skip: !have(shell) && `${shell} is not installed` }, async (t) => {
		const { code, stdout } = await caller(t, null)("completion", shell);
		assert.equal(code, 0);
		const script = path.join(temp_dir(t), "completion"); // fish reads no socket, which node's pipe is
		fs.writeFileSync(script, `${stdout}\n`);
		const check = await run(t, [shell, "-n", script]);
		assert.deepEqual([check.code, check.stderr], [0, ""]);
		for (const command of ["attach", "detach", "watch"]) assert.match(stdout, new RegExp(command));
	});

test("bash completes commands and options", { skip: !have("bash") && "bash is not installed" }, async (t) => {
	const complete = async (...words) => {
		const script = `eval "$(${previewctl()} completion bash)"; COMP_WORDS=(previewctl ${words.map((w) => `'${w}'`).join(" ")}); COMP_CWORD=${words.length}; _previewctl; printf '%s\\n' "\${COMPREPLY[@]}"`;
		return (await run(t, ["bash", "-c", script])).stdout.split("\n");
	};
	assert.deepEqual(await complete("att"), ["attach"]);
	assert.ok((await complete("attach", "--")).includes("--wait"));
	assert.deepEqual((await complete("attach", "--scheme", "")).sort(), ["http", "https"]);
	assert.deepEqual((await complete("token", "")).sort(), ["edge", "list", "new", "revoke"]);
});

test("what a server says is printed without its control characters", async (t) => {
	const d = await start(t);
	const ctl = caller(t, d);
	await ctl("session", "new", "s1", "--meta", '{"note":"\\u001b[31mred"}');
	const { stdout } = await ctl("session", "show", "s1");
	assert.ok(!stdout.includes("\u001b"), JSON.stringify(stdout));
});

test("a peer of another uid sees its own alone", { skip: !is_root && "needs root, to be another user" }, async (t) => {
	const d = await start(t, { settings: { "server.socket_mode": "0666" } });
	fs.chmodSync(d.dir, 0o755);
	await d.admin.attach("s1", blind());
	const argv = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", previewctl()];
	const env = { PATH: process.env.PATH, PREVIEWD_SOCKET: d.socket };
	const all = await run(t, [...argv, "ls", "--all"], { env });
	assert.deepEqual([all.code, all.stdout], [0, ""]);
	assert.equal((await run(t, [...argv, "detach", "--session", "s1"], { env })).code, 3);
	assert.deepEqual(await d.admin.names("s1"), ["default"]);
});
