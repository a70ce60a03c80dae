// SPDX-License-Identifier: MIT
//
// Background tasks: what is started, what is registered, what is told of; and that ending one ends
// all of it and nothing else.
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import fs from "node:fs";
import http from "node:http";
import path from "node:path";
import test from "node:test";

import { Child, base, blind, defer, fixtures, free_port, have, is_root, run, start, temp_dir, until, within } from "./harness.mjs";
import { can_bind, is_alive, parent_of, with_variable } from "./processes.mjs";
import * as targets from "./targets.mjs";

const tasks = (session) => `${base(session)}/tasks`;

async function begin(t, api, session, body) {
	const answer = await api.post(tasks(session), body);
	assert.equal(answer.status, 201, answer.text);
	assert.equal(answer.headers.location, `${tasks(session)}/${answer.json.task_id}`);
	defer(t, async () => {
		if (is_alive(answer.json.pid) && answer.json.kind === "started") await api.del(`${tasks(session)}/${answer.json.task_id}`);
	});
	return answer.json;
}

const state = async (api, session, id) => (await api.get(`${tasks(session)}/${id}`)).json;
const ended = (api, session, id) =>
	until(async () => {
		const task = await state(api, session, id);
		return task.state === "ended" && task;
	}, `${id} has ended`);
const log_of = async (api, session, id) => (await api.get(`${tasks(session)}/${id}/log`)).text;

function refused(answer, status, code, pattern) {
	assert.equal(answer.status, status, answer.text);
	assert.equal(answer.json.code, code);
	if (pattern) assert.match(answer.json.detail, pattern);
}

// A piece of the log as it comes.
function follow(t, d, target) {
	const got = { text: "", status: 0, ended: false };
	const req = http.get({ socketPath: d.socket, path: `${target}/log?follow=1` }, (res) => {
		got.status = res.statusCode;
		res.setEncoding("utf8");
		res.on("data", (piece) => (got.text += piece));
		res.on("end", () => (got.ended = true));
		res.on("error", () => {});
	});
	req.on("error", () => {});
	defer(t, () => req.destroy());
	return got;
}

test("a command is started, shown, and its output and exit status are kept", async (t) => {
	const d = await start(t);
	const dir = temp_dir(t);
	const answer = await d.local.post(tasks("s1"), { task_id: "hello", command: 'echo "hello from $PWD"; echo oops >&2; exit 3', cwd: dir });
	assert.equal(answer.status, 201, answer.text);
	assert.equal(answer.headers.location, `${tasks("s1")}/hello`);
	assert.equal(answer.json.kind, "started");
	assert.ok(answer.json.pid > 1);

	const task = await ended(d.local, "s1", "hello");
	assert.deepEqual([task.exit_code, task.signal, task.cwd, task.left], [3, null, dir, []]);
	assert.deepEqual(task.command.slice(0, 2), ["/bin/sh", "-c"]);
	assert.equal(await log_of(d.local, "s1", "hello"), `hello from ${dir}\noops\n`);
	assert.deepEqual((await d.local.get(tasks("s1"))).json.tasks.map((one) => one.task_id), ["hello"]);
});

test("tasks that have ended are shown, and hold no descriptor", async (t) => {
	const d = await start(t);
	const open = () => fs.readdirSync(`/proc/${d.child.pid}/fd`).length;
	await begin(t, d.local, "s1", { task_id: "first", command: ["true"] });
	await ended(d.local, "s1", "first");
	const before = open();
	for (let i = 0; i < 15; i++) await begin(t, d.local, "s1", { task_id: `t${i}`, command: ["true"] });
	for (let i = 0; i < 15; i++) await ended(d.local, "s1", `t${i}`);
	assert.equal((await d.local.get(tasks("s1"))).json.tasks.length, 16);
	await until(() => open() <= before, `there are ${before} descriptors again`);
});

test("a list is run without a shell, in the session's directory, with a clean environment", async (t) => {
	const d = await start(t, { env: { SECRET_OF_THE_DAEMON: "1" } });
	const workdir = temp_dir(t);
	await d.local.put(base("s1"), { workdir });
	const task = await begin(t, d.local, "s1", { command: ["env"], env: { GREETING: "two words" }, port: 4321 });
	await ended(d.local, "s1", task.task_id);
	const lines = (await log_of(d.local, "s1", task.task_id)).split("\n");
	assert.ok(lines.includes("GREETING=two words"));
	assert.ok(lines.includes("PORT=4321"));
	assert.ok(lines.includes("PREVIEWD_SESSION_ID=s1"));
	assert.ok(lines.includes(`PREVIEWD_TASK_ID=${task.task_id}`));
	assert.ok(lines.some((line) => line.startsWith("PATH=")));
	assert.ok(!lines.some((line) => line.startsWith("SECRET_OF_THE_DAEMON")));
	assert.equal(task.cwd, workdir);
});

test("what cannot be started is refused with the field that is wrong, and leaves no task", async (t) => {
	const d = await start(t);
	const wrong = [
		[{ command: ["there-is-no-such-program"] }, "command"],
		[{ command: [] }, "command"],
		[{ command: "" }, "command"],
		[{ command: 7 }, "command"],
		[{}, "command"],
		[{ command: "true", cwd: "/there/is/no/such/directory" }, "cwd"],
		[{ command: "true", cwd: "relative" }, "cwd"],
		[{ command: "true", env: { "BAD NAME": "x" } }, "env"],
		[{ command: "true", env: { A: 1 } }, "env"],
		[{ command: "true", env: { PREVIEWD_TASK_ID: "mine" } }, "env"],
		[{ command: "true", pid: process.pid }, "pid"],
		[{ command: "true", task_id: "no/id" }, "task_id"],
	];
	for (const [body, field] of wrong) {
		const answer = await d.local.post(tasks("s1"), body);
		refused(answer, 422, "invalid_field");
		assert.equal(answer.json.errors[0].field, field, JSON.stringify(body));
	}
	assert.deepEqual((await d.local.get(tasks("s1"))).json?.tasks ?? [], []);
});

test("a log is followed as it grows, to the task's end", async (t) => {
	const d = await start(t);
	const gate = path.join(temp_dir(t), "gate");
	await run(t, ["mkfifo", gate]);
	await begin(t, d.local, "s1", { task_id: "a", command: `echo first; read x < ${gate}; echo "second $x"` });
	const got = follow(t, d, `${tasks("s1")}/a`);
	await until(() => got.text === "first\n", "the first line has come");
	assert.equal(got.ended, false);
	fs.writeFileSync(gate, "word\n");
	await until(() => got.ended, "the stream ends with the task");
	assert.equal(got.text, "first\nsecond word\n");
});

test("only the last of a log is kept", async (t) => {
	const d = await start(t, { settings: { "tasks.log_size": "4K" } });
	await begin(t, d.local, "s1", { task_id: "a", command: "seq 1 20000" });
	await ended(d.local, "s1", "a");
	const text = await log_of(d.local, "s1", "a");
	assert.ok(text.endsWith("19999\n20000\n"), text.slice(-40));
	assert.ok(text.length >= 4096 && text.length <= 5120, `${text.length} bytes`);
});

test("a reader that does not read holds up neither the task nor the daemon", async (t) => {
	const d = await start(t);
	await begin(t, d.local, "s1", { task_id: "a", command: "while :; do echo 0123456789012345678901234567890123456789; done" });
	await new Promise((resolve, reject) => {
		const req = http.get({ socketPath: d.socket, path: `${tasks("s1")}/a/log?follow=1` }, (res) => {
			res.pause();
			resolve();
		});
		req.on("error", reject);
		defer(t, () => req.destroy());
	});
	const before = fs.readFileSync(`/proc/${(await state(d.local, "s1", "a")).pid}/stat`, "utf8").split(" ")[13];
	await until(
		async () => fs.readFileSync(`/proc/${(await state(d.local, "s1", "a")).pid}/stat`, "utf8").split(" ")[13] > Number(before) + 5,
		"the task goes on",
	);
	assert.equal((await d.local.del(`${tasks("s1")}/a`)).json.ended, true);
});

test("a session has so many tasks; one that has ended gives way to a new one", async (t) => {
	const d = await start(t, { settings: { "limits.tasks_per_session": 2 } });
	await begin(t, d.local, "s1", { task_id: "a", command: "exec sleep 1000" });
	await begin(t, d.local, "s1", { task_id: "b", command: "true" });
	await ended(d.local, "s1", "b");
	await begin(t, d.local, "s1", { task_id: "c", command: "exec sleep 1000" });
	const answer = await d.local.post(tasks("s1"), { command: "true" });
	refused(answer, 409, "task_limit");
	assert.deepEqual(answer.json.running, ["a", "c"]);
	refused(await d.local.get(`${tasks("s1")}/b`), 404, "task_not_found");
	await begin(t, d.local, "s2", { task_id: "a", command: "exec sleep 1000" }); // each session its own
	refused(await d.local.post(tasks("s1"), { task_id: "a", command: "true" }), 409, "task_conflict");
});

test("what has ended is forgotten after tasks.keep", async (t) => {
	const d = await start(t, { settings: { "tasks.keep": "1s" } });
	await begin(t, d.local, "s1", { task_id: "a", command: "true" });
	await until(async () => (await d.local.get(`${tasks("s1")}/a`)).status === 404, "it is forgotten");
});

test("ending npm run dev ends its grandchild in a session of its own, and nobody else", async (t) => {
	const d = await start(t);
	const port = await free_port();
	const neighbour = new Child(t, ["sleep", "1000"]); // in the group of whoever asks
	const task = await begin(t, d.local, "s1", {
		command: ["npm", "run", "dev"],
		cwd: path.join(fixtures, "task-app"),
		port,
		env: { npm_config_update_notifier: "false" },
	});
	await until(async () => /listens/.test(await log_of(d.local, "s1", task.task_id)), "the grandchild listens");
	const id = `PREVIEWD_TASK_ID=${task.task_id}`;
	assert.ok(with_variable(id).length >= 3, "npm, node, node");

	const answer = await d.local.del(`${tasks("s1")}/${task.task_id}`);
	assert.deepEqual([answer.status, answer.json.ended, answer.json.left], [200, true, []]);
	assert.deepEqual(with_variable(id), []);
	assert.ok(await can_bind(port), "the port is free at once");
	assert.ok(is_alive(neighbour.pid));
	assert.equal((await d.local.del(`${tasks("s1")}/${task.task_id}`)).json.ended, false);
});

test("a task whose first process has ended goes on while something of it lives", async (t) => {
	const d = await start(t);
	const task = await begin(t, d.local, "s1", { command: "setsid sleep 1000 & echo $!" });
	const id = `PREVIEWD_TASK_ID=${task.task_id}`;
	await until(() => !is_alive(task.pid), "the shell has ended");
	await until(() => with_variable(id).length === 1, "sleep is left");
	assert.equal((await state(d.local, "s1", task.task_id)).state, "running");
	assert.equal((await d.local.del(`${tasks("s1")}/${task.task_id}`)).json.ended, true);
	assert.deepEqual(with_variable(id), []);
});

test("what ignores SIGTERM is killed after the grace", async (t) => {
	const d = await start(t, { settings: { "tasks.kill_grace": "1s" } });
	const task = await begin(t, d.local, "s1", { command: "trap '' TERM; echo ready; while :; do sleep 1000; done" });
	await until(async () => (await log_of(d.local, "s1", task.task_id)) === "ready\n", "it is ready");
	const answer = await d.local.del(`${tasks("s1")}/${task.task_id}`);
	assert.deepEqual(answer.json.left, []);
	assert.equal(is_alive(task.pid), false);
	assert.equal((await state(d.local, "s1", task.task_id)).signal, "SIGKILL");
});

test("two sessions may have a task of one id, and neither ends the other's", async (t) => {
	const d = await start(t);
	await begin(t, d.local, "s1", { task_id: "web", command: "setsid sleep 1000 & exec sleep 1000" });
	const other = await begin(t, d.local, "s2", { task_id: "web", command: "exec sleep 1000" });
	await d.local.del(`${tasks("s1")}/web`);
	assert.ok(is_alive(other.pid));
	assert.equal((await state(d.local, "s2", "web")).state, "running");
});

test("what a task leaves behind is reaped by the daemon", async (t) => {
	const d = await start(t);
	const task = await begin(t, d.local, "s1", { command: "(setsid sleep 0.3 & echo orphan $!)" });
	const orphan = await until(async () => /orphan (\d+)/.exec(await log_of(d.local, "s1", task.task_id))?.[1], "its pid is known");
	await until(() => !fs.existsSync(`/proc/${orphan}`), "no zombie is left");
	await ended(d.local, "s1", task.task_id);
});

test("a task outlives a daemon that was killed, and is found again with its output", async (t) => {
	const d = await start(t);
	const dir = temp_dir(t), gate = path.join(dir, "gate"), later = path.join(dir, "later");
	await run(t, ["mkfifo", gate, later]);
	const task = await begin(t, d.local, "s1", { task_id: "a", command: `read x < ${gate}; echo "one $x"; read x < ${later}; echo "two $x"; exec sleep 1000` });
	await d.kill();
	fs.writeFileSync(gate, "while nobody reads\n");
	await d.start();
	const again = await state(d.local, "s1", "a");
	assert.deepEqual([again.state, again.pid], ["running", task.pid]);
	fs.writeFileSync(later, "afterwards\n");
	await until(async () => (await log_of(d.local, "s1", "a")) === "one while nobody reads\ntwo afterwards\n", "its output is read on");
	assert.equal((await d.local.del(`${tasks("s1")}/a`)).json.ended, true);
	assert.equal(is_alive(task.pid), false);
});

test("a task that ended while there was no daemon is known as ended", async (t) => {
	const d = await start(t);
	const task = await begin(t, d.local, "s1", { task_id: "a", command: "exec sleep 1000" });
	await d.kill();
	process.kill(task.pid, "SIGKILL");
	await until(() => !is_alive(task.pid), "it is gone");
	await d.start();
	await ended(d.local, "s1", "a");
});

test("with tasks.on_restart = end they end with the daemon, also with one that was killed", async (t) => {
	const d = await start(t, { settings: { "tasks.on_restart": "end" } });
	const first = await begin(t, d.local, "s1", { task_id: "a", command: "exec sleep 1000" });
	await d.stop();
	assert.equal(is_alive(first.pid), false);

	await d.start();
	const second = await begin(t, d.local, "s1", { task_id: "b", command: "exec sleep 1000" });
	await d.kill();
	assert.ok(is_alive(second.pid));
	await d.start();
	await ended(d.local, "s1", "b");
	assert.equal(is_alive(second.pid), false);
});

test("a process of one's own is registered over the unix socket, and ended with its children", async (t) => {
	const d = await start(t);
	const child = new Child(t, ["sh", "-c", "setsid sleep 1000 & echo $!; wait"]);
	const [, grandchild] = await child.stdout.match(/(\d+)/);
	const task = await begin(t, d.local, "s1", { task_id: "mine", pid: child.pid });
	assert.deepEqual([task.kind, task.pid], ["registered", child.pid]);
	assert.deepEqual((await d.local.del(`${tasks("s1")}/mine`)).json.left, []);
	assert.equal(is_alive(grandchild), false);
	await within(child.exited, "the child's end");
});

test("a registered process that ends ends its task", async (t) => {
	const d = await start(t);
	const child = new Child(t, ["cat"]);
	await begin(t, d.local, "s1", { task_id: "mine", pid: child.pid });
	child.process.stdin.end();
	assert.equal((await ended(d.local, "s1", "mine")).pid, child.pid);
});

test("a process that is not one's own to end is refused, and lives", async (t) => {
	const d = await start(t);
	const child = new Child(t, ["sleep", "1000"]);
	const orphan = new Child(t, ["sh", "-c", "setsid sleep 1000 >/dev/null 2>&1 & echo $!"]);
	const [, stray] = await orphan.stdout.match(/(\d+)/);
	await orphan.exited;
	defer(t, () => process.kill(Number(stray), "SIGKILL"));
	await until(() => parent_of(stray) !== orphan.pid && parent_of(stray) !== process.pid, "it has another parent");

	const register = (api, pid) => api.post(tasks("s1"), { task_id: "x", pid });
	refused(await register(d.admin, child.pid), 403, "task_not_allowed", /unix socket/);
	refused(await register(d.local, d.child.pid), 403, "task_not_allowed", /previewd itself/);
	refused(await register(d.local, process.pid), 403, "task_not_allowed", /above it/);
	refused(await register(d.local, 1), 403, "task_not_allowed");
	refused(await register(d.local, Number(stray)), 403, "task_not_allowed", /does not descend/);
	refused(await register(d.local, 4194303), 422, "invalid_field", /no process/);
	assert.ok(is_alive(child.pid) && is_alive(stray) && is_alive(d.child.pid));
	assert.deepEqual((await d.local.get(tasks("s1"))).json.tasks, []);
});

test("a shell with jobs is no task", { skip: !have("script") && "needs script(1)" }, async (t) => {
	const d = await start(t);
	// `exec`, for script(1) runs this by $SHELL -c, and not every sh makes way for its last command.
	const shell = new Child(t, ["script", "-qfc", "exec bash --norc -i", "/dev/null"], { env: { ...process.env, PS1: "" } });
	shell.process.stdin.write("sleep 1000 &\necho pid=$$ job=$!.\n");
	const [, pid, job] = await shell.stdout.match(/pid=(\d+) job=(\d+)\./);
	refused(await d.local.post(tasks("s1"), { pid: Number(pid) }), 403, "task_not_allowed", /other jobs/);
	assert.ok(is_alive(pid));
	await begin(t, d.local, "s1", { task_id: "job", pid: Number(job) });
	await d.local.del(`${tasks("s1")}/job`);
	assert.ok(is_alive(pid) && !is_alive(job));
});

test("another login may neither start as the daemon's user nor register its processes", { skip: !(is_root && have("setpriv") && have("curl")) && "needs root, setpriv and curl" }, async (t) => {
	const d = await start(t, { settings: { "server.socket_mode": "0666" } });
	fs.chmodSync(d.dir, 0o755);
	const child = new Child(t, ["sleep", "1000"]);
	const ask = async (body) => {
		const { stdout } = await run(t, [
			"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "curl", "-sS", "--unix-socket", d.socket,
			"-H", "content-type: application/json", "-d", JSON.stringify(body), `http://x${tasks("nobodys")}`,
		]);
		return JSON.parse(stdout);
	};
	assert.equal((await ask({ command: "id" })).code, "task_not_allowed");
	assert.equal((await ask({ pid: child.pid })).code, "task_not_allowed");
	assert.ok(is_alive(child.pid));
});

test("a token without the scope, and another's session", async (t) => {
	const d = await start(t);
	const task = await begin(t, d.local, "s1", { task_id: "a", command: "exec sleep 1000" });
	await d.local.put(base("s2"), {});
	const token = async (session, scopes) => (await d.admin.post(`${base(session)}/tokens`, { scopes })).json.token;
	const viewer = d.api(await token("s1", ["view", "preview"]));
	const other = d.api(await token("s2", ["task"]));
	refused(await viewer.get(tasks("s1")), 403, "forbidden");
	refused(await viewer.del(`${tasks("s1")}/a`), 403, "forbidden");
	refused(await other.del(`${tasks("s1")}/a`), 404, "session_not_found");
	refused(await other.get(`${tasks("s1")}/a/log`), 404, "session_not_found");
	assert.ok(is_alive(task.pid));
	const own = d.api(await token("s1", ["task"]));
	assert.equal((await own.del(`${tasks("s1")}/a`)).status, 200);
});

test("tasks.kill_url is told, signed, and again after a failure", async (t) => {
	const secret = path.join(temp_dir(t), "secret");
	fs.writeFileSync(secret, "open sesame\n", { mode: 0o600 });
	const got = [];
	const server = await targets.http_server(t, (req, res) => {
		let body = "";
		req.on("data", (piece) => (body += piece));
		req.on("end", () => {
			got.push({ method: req.method, url: req.url, type: req.headers["content-type"], signature: req.headers["x-previewd-signature"], body });
			res.statusCode = got.length === 1 ? 500 : 204;
			res.end();
		});
	});
	const d = await start(t, { settings: { "tasks.kill_url": `http://127.0.0.1:${server.port}/kill`, "tasks.kill_secret_file": secret } });
	const task = await begin(t, d.local, "s1", { task_id: "theirs" });
	assert.deepEqual([task.kind, task.state, task.pid], ["foreign", "running", null]);
	assert.equal((await d.local.post(tasks("s1"), { task_id: "theirs" })).json.created_at, task.created_at, "said twice is said once");

	const answer = await d.local.del(`${tasks("s1")}/theirs`);
	assert.deepEqual([answer.json.ended, answer.json.task.state], [true, "ended"]);
	assert.equal(got.length, 2);
	for (const one of got) {
		assert.deepEqual([one.method, one.url, one.type], ["POST", "/kill", "application/json"]);
		assert.equal(one.signature, `sha256=${createHmac("sha256", "open sesame").update(one.body).digest("hex")}`);
		assert.deepEqual(JSON.parse(one.body), { session_id: "s1", task_id: "theirs", reason: "detach" });
	}
});

test("tasks.kill_url that never answers well is given up, and the task is ended all the same", async (t) => {
	let n = 0;
	const server = await targets.http_server(t, (req, res) => {
		n++;
		res.statusCode = 503;
		res.end();
	});
	const d = await start(t, { settings: { "tasks.kill_url": `http://127.0.0.1:${server.port}/` } });
	await begin(t, d.local, "s1", { task_id: "theirs" });
	await d.local.del(`${tasks("s1")}/theirs`);
	await until(async () => (await d.local.get(`${tasks("s1")}/theirs`)).json.state === "ended", "it is given up", 30_000);
	assert.equal(n, 4);
	assert.equal(await d.metric("previewd_task_calls_failed_total"), 1);
});

test("tasks.kill_url that never answers keeps nobody from detaching, nor from ending the session; it is told again", async (t) => {
	let n = 0;
	const server = await targets.http_server(t, () => n++); // and no more
	const d = await start(t, { settings: { "tasks.kill_url": `http://127.0.0.1:${server.port}/` } });
	await begin(t, d.local, "s1", { task_id: "theirs" });
	for (const name of ["unknown", "theirs"]) await d.admin.attach("s1", blind({ name, bash_task_id: name }));
	const answers = await Promise.all([d.admin.detach("s1", "unknown"), d.admin.detach("s1", "theirs"), d.local.del(`${tasks("s1")}/theirs`)]);
	// Of each there would be four, one after the other.
	assert.ok(n < 8, `${n} tries were waited for`);
	assert.deepEqual(answers.map(({ status }) => status), [200, 200, 200]);
	assert.deepEqual([answers[2].json.ended, answers[2].json.task.state], [false, "ending"]);
	assert.deepEqual(await d.admin.list("s1"), []);
	assert.equal((await d.admin.del(base("s1"))).json.ended, true);
	await until(() => n >= 4, "they are told again", 30_000);
	server.closeAllConnections();
});

test("tasks.kill_command is told by its arguments and its environment, without a shell", async (t) => {
	const dir = temp_dir(t);
	const script = path.join(dir, "kill");
	fs.writeFileSync(script, `#!/bin/sh\nprintf '%s\\n' "$@" "$PREVIEWD_KILL" > ${dir}/told\n`, { mode: 0o755 });
	const d = await start(t, { settings: { "tasks.kill_command": `${script},--session={session_id},{task_id}; true,{reason}` } });
	await begin(t, d.local, "s1", { task_id: "theirs" });
	assert.equal((await d.local.del(`${tasks("s1")}/theirs`)).json.ended, true);
	const lines = fs.readFileSync(path.join(dir, "told"), "utf8").split("\n");
	assert.deepEqual(lines.slice(0, 3), ["--session=s1", "theirs; true", "detach"]);
	assert.deepEqual(JSON.parse(lines[3]), { session_id: "s1", task_id: "theirs", reason: "detach" });
});
