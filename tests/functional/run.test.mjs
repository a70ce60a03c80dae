// SPDX-License-Identifier: MIT
//
// previewctl run and task: a command in the foreground, with its preview.
import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import test from "node:test";

import { Child, base, defer, fixtures, free_port, have, previewctl, run, start, temp_dir, until, within } from "./harness.mjs";
import { can_bind, is_alive, with_variable } from "./processes.mjs";

const environment = (d, more = {}) => ({ PATH: process.env.PATH, HOME: d.dir, PREVIEWD_SOCKET: d.socket, ...more });
const begin = (t, d, args, { env, ...options } = {}) => new Child(t, [previewctl(), ...args], { env: environment(d, env), ...options });
const ctl = (t, d, ...args) => run(t, [previewctl(), ...args], { env: environment(d) });
const tasks = async (d, session) => (await d.local.get(`${base(session)}/tasks`)).json?.tasks ?? [];

// A server of node's, as a line for node -e.
const server = (port, type, text) =>
	`require("http").createServer((q,r)=>{r.setHeader("Content-Type","${type}");r.end("${text}")}).listen(${port},"127.0.0.1");`;
const page = (port) => server(port, "text/html", "<!doctype html>");

// Its end is seen by two, run and the daemon; whoever comes second doesn't wait for the first.
const detached = (d, session) => until(async () => (await d.local.list(session)).length === 0, "nothing is attached");

// Ends a run however its test went.
function to_end(t, child) {
	defer(t, async () => {
		if (!child.running) return;
		child.signal("SIGTERM");
		child.signal("SIGTERM");
		await within(child.exited, "the end of run");
	});
	return child;
}

test("the page that the tree listens on is attached, while the output is the command's own", async (t) => {
	const d = await start(t);
	const [api, port, other] = (await Promise.all([free_port(), free_port(), free_port()])).sort((a, b) => a - b);
	const code = `${server(api, "application/json", "{}")}${page(port)}console.log("ready at http://localhost:${other}/")`;
	const child = to_end(t, begin(t, d, ["run", "--session", "s1", "--name", "web", "--path", "/x", "--", process.execPath, "-e", code]));
	const [, url] = await child.stderr.match(/previewctl: (http:\S+)/);
	assert.equal(url, `http://localhost:${port}/x`);
	await child.stdout.match(/ready/);
	assert.equal(child.stdout.text, `ready at http://localhost:${other}/`);

	const [preview] = await d.local.list("s1");
	const [task] = await tasks(d, "s1");
	assert.deepEqual([preview.name, preview.port, preview.bash_task_id], ["web", port, task.task_id]);
	assert.equal(task.kind, "registered");

	child.signal("SIGTERM");
	assert.deepEqual(await within(child.exited, "its end"), { code: 143, signal: null });
	await detached(d, "s1");
});

test("the exit code is the command's, and its server is detached when it ends", async (t) => {
	const d = await start(t);
	const port = await free_port();
	const code = `${page(port)}process.stdin.once("data",()=>process.exit(7))`;
	const child = to_end(t, begin(t, d, ["run", "--", process.execPath, "-e", code]));
	await child.stderr.match(/previewctl: http/);
	child.process.stdin.write("\n");
	assert.equal((await within(child.exited, "its end")).code, 7);
	await detached(d, "default");

	assert.equal((await ctl(t, d, "run", "--", "sh", "-c", "kill -9 $$")).code, 137);
	const missing = await ctl(t, d, "run", "--", "there-is-no-such-program");
	assert.equal(missing.code, 127);
	assert.match(missing.stderr, /there-is-no-such-program/);
	assert.equal((await ctl(t, d, "run", "true")).code, 0);
});

test("the command has our input, directory and environment, and its own options", async (t) => {
	const d = await start(t);
	const cwd = temp_dir(t);
	const { stdout, code } = await run(
		t,
		[previewctl(), "run", "--session", "s1", "sh", "-c", 'pwd; cat; echo "$HERE $PREVIEWD_SESSION_ID ${#PREVIEWD_TASK_ID} $1 $2"', "sh", "--port", "-v"],
		{ env: environment(d, { HERE: "yes" }), cwd, input: "in\n" },
	);
	assert.equal(code, 0);
	assert.equal(stdout, `${cwd}\nin\nyes s1 12 --port -v`);
});

test("SIGINT ends the whole tree, grandchildren in sessions of their own included", async (t) => {
	const d = await start(t);
	const port = await free_port();
	const child = to_end(t, begin(t, d, ["run", "--", "npm", "run", "dev"], { cwd: path.join(fixtures, "task-app"), env: { PORT: String(port) } }));
	await child.stderr.match(/previewctl: http/);
	const [task] = await tasks(d, "default");
	const id = `PREVIEWD_TASK_ID=${task.task_id}`;
	assert.ok(with_variable(id).length >= 3);
	child.signal("SIGINT");
	await within(child.exited, "its end");
	assert.deepEqual(with_variable(id), []);
	assert.ok(await can_bind(port));
	await detached(d, "default");
});

test("a second signal kills what did not listen to the first", async (t) => {
	const d = await start(t);
	const child = to_end(t, begin(t, d, ["run", "--", "sh", "-c", "trap 'echo heard' TERM; echo ready; while :; do sleep 0.05; done"]));
	await child.stdout.match(/ready/);
	child.signal("SIGINT");
	await child.stdout.match(/heard/);
	child.signal("SIGINT");
	assert.equal((await within(child.exited, "its end")).code, 137);
});

test("what the command leaves running ends with it", async (t) => {
	const d = await start(t);
	const child = begin(t, d, ["run", "--", "sh", "-c", "setsid sleep 1000 >/dev/null 2>&1 & echo $!; exit 5"]);
	const [, pid] = await child.stdout.match(/(\d+)/);
	assert.equal((await within(child.exited, "its end")).code, 5);
	assert.equal(is_alive(pid), false);
});

// What stands where the user's systemd is asked for a scope.
for (const [what, script] of [
	["refuses", "exit 1"],
	["does not answer", "exec sleep 1000"],
	["says yes and does nothing", "exit 0"],
])
	test(`a manager of scopes that ${what} costs the command nothing`, async (t) => {
		const d = await start(t);
		const dir = temp_dir(t);
		fs.mkdirSync(path.join(dir, "systemd"));
		for (const socket of ["systemd/private", "bus"]) fs.writeFileSync(path.join(dir, socket), "");
		fs.writeFileSync(path.join(dir, "busctl"), `#!/bin/sh\necho "$*" >>${dir}/asked\n${script}\n`, { mode: 0o755 });
		const env = environment(d, { XDG_RUNTIME_DIR: dir, PATH: `${dir}:${process.env.PATH}` });
		const { code, stdout, stderr } = await run(t, [previewctl(), "run", "--", "sh", "-c", 'cat; echo "$PREVIEWD_TASK_ID"; exit 9'], { env, input: "in\n" });
		const [, id] = /^in\n(\S+)$/.exec(stdout) ?? assert.fail(stdout);
		assert.deepEqual([code, stderr], [9, ""]);
		assert.match(fs.readFileSync(path.join(dir, "asked"), "utf8"), new RegExp(`^.* StartTransientUnit .* previewd-run-${id}\\.scope fail .*\n$`));
	});

test("where the daemon is not, nothing is begun", async (t) => {
	const d = await start(t);
	const mark = path.join(temp_dir(t), "mark");
	await d.stop();
	const { code, stderr } = await ctl(t, d, "run", "--", "touch", mark);
	assert.equal(code, 6);
	assert.match(stderr, /cannot be reached/);
	assert.ok(!fs.existsSync(mark));
});

test("where the limit is reached, nothing is begun", async (t) => {
	const d = await start(t, { settings: { "limits.tasks_per_session": 1 } });
	const mark = path.join(temp_dir(t), "mark");
	const first = to_end(t, begin(t, d, ["run", "--", "sh", "-c", "echo ready; exec sleep 1000"]));
	await first.stdout.match(/ready/);
	const { code, stderr } = await ctl(t, d, "run", "--", "touch", mark);
	assert.equal(code, 5);
	assert.match(stderr, /limits\.tasks_per_session/);
	assert.ok(!fs.existsSync(mark));
});

test("when the daemon ends the task, run returns", async (t) => {
	const d = await start(t);
	const port = await free_port();
	const child = to_end(t, begin(t, d, ["run", "--", process.execPath, "-e", page(port)]));
	await child.stderr.match(/previewctl: http/);
	const [task] = await tasks(d, "default");
	const answer = await d.local.del(`${base("default")}/tasks/${task.task_id}`);
	assert.deepEqual(answer.json.left, []);
	assert.equal((await within(child.exited, "its end")).code, 143);
});

test("when its preview is detached, the command ends and run returns", async (t) => {
	const d = await start(t);
	const port = await free_port();
	const child = to_end(t, begin(t, d, ["run", "--", "npm", "run", "dev"], { cwd: path.join(fixtures, "task-app"), env: { PORT: String(port) } }));
	await child.stderr.match(/previewctl: http/);
	const [task] = await tasks(d, "default");
	assert.equal((await d.local.detach("default")).json.removed, true);
	assert.deepEqual(with_variable(`PREVIEWD_TASK_ID=${task.task_id}`), []);
	assert.ok(await can_bind(port));
	assert.equal((await within(child.exited, "its end")).signal, null);
	await child.stderr.match(/previewd ended it: it was detached/);
});

test("its server attached once more, by who knows of no task, is still its", async (t) => {
	const d = await start(t);
	const [port, other] = await Promise.all([free_port(), free_port()]);
	const child = to_end(t, begin(t, d, ["run", "--", process.execPath, "-e", page(port) + page(other)]));
	const [, url] = await child.stderr.match(/previewctl: (http:\S+)/);
	const [found] = await d.local.list("default");
	for (const body of [{ port: found.port }, { port: found.port, host: "localhost", bash_task_id: null }]) {
		const again = await d.local.post(`${base("default")}/previews`, body);
		assert.deepEqual([again.status, again.json.replaced, again.json.bash_task_id], [200, true, found.bash_task_id]);
		assert.equal(again.json.url, url);
	}
	assert.ok(child.running);
	assert.equal((await fetch(url)).status, 200);

	// Another port is another server: then the command has nothing attached any more, and ends.
	const elsewhere = await d.local.post(`${base("default")}/previews`, { port: found.port === port ? other : port });
	assert.equal(elsewhere.json.bash_task_id, null);
	assert.equal((await within(child.exited, "its end")).code, 143);
	await child.stderr.match(/previewd ended it: another server was attached as its preview/);
});

test("when run itself is killed, the daemon can still end all of it", async (t) => {
	const d = await start(t);
	const child = begin(t, d, ["run", "--", "sh", "-c", "setsid sleep 1000 >/dev/null 2>&1 & echo $!; exec sleep 1000 >/dev/null 2>&1"]);
	const [, pid] = await child.stdout.match(/(\d+)/);
	await child.kill();
	assert.ok(is_alive(pid));
	const [task] = await tasks(d, "default");
	assert.equal(task.state, "running");
	assert.deepEqual((await d.local.del(`${base("default")}/tasks/${task.task_id}`)).json.left, []);
	assert.deepEqual([is_alive(pid), is_alive(task.pid)], [false, false]);
});

test("another's preview of the same name is left alone at the end", async (t) => {
	const d = await start(t);
	const port = await free_port();
	const child = to_end(t, begin(t, d, ["run", "--", process.execPath, "-e", page(port)]));
	await child.stderr.match(/previewctl: http/);
	await d.local.attach("default", { port: 5173, health_check: false });
	child.signal("SIGTERM");
	await within(child.exited, "its end");
	assert.deepEqual((await d.local.list("default")).map((p) => p.port), [5173]);
});

test("by an address and a token, a daemon that sees no processes knows it by name", async (t) => {
	const d = await start(t);
	const port = await free_port();
	const child = to_end(
		t,
		new Child(t, [previewctl(), "run", "--", process.execPath, "-e", page(port)], {
			env: { PATH: process.env.PATH, HOME: d.dir, PREVIEWD_URL: d.url, PREVIEWD_TOKEN: d.admin_token },
		}),
	);
	await child.stderr.match(/previewctl: http/);
	const [task] = await tasks(d, "default");
	assert.deepEqual([task.kind, task.pid], ["foreign", null]);
	child.signal("SIGTERM");
	assert.equal((await within(child.exited, "its end")).code, 143);
	await detached(d, "default");
	assert.equal((await tasks(d, "default"))[0].state, "ended");
});

const needs_script = { skip: !have("script") && "needs script(1)" };

// On a terminal of its own: what is written to it is typed.
const terminal = (t, d, command) =>
	to_end(t, new Child(t, ["script", "-qfc", command, "/dev/null"], { env: environment(d, { TERM: "dumb", SHELL: "/bin/sh", PS1: "" }) }));

test("a task's log does not drive the terminal it is read on, unless that is asked for; programs get all of it", needs_script, async (t) => {
	const d = await start(t);
	const log = "\x1b]0;title\x07\x1b[31mred\x1b[0m\x1b[2J\x1b[6n end\n";
	const { status } = await d.local.post(`${base("s")}/tasks`, { task_id: "log", command: ["printf", "%s", log], cwd: "/" });
	assert.equal(status, 201);
	await until(async () => (await tasks(d, "s"))[0].state === "ended", "it has ended");
	const read = async (option) => {
		const child = terminal(t, d, `${previewctl()} --session s task log log ${option}`);
		await child.exited;
		return child.stdout.text.replaceAll("\r", "");
	};
	assert.equal(await read(""), "red end", "a dumb one has no colours either");
	assert.equal(await read("--raw"), log.trimEnd());
	assert.equal((await ctl(t, d, "--session", "s", "task", "log", "log")).stdout, log.trimEnd());
});

test("on a terminal the command is in the foreground, and Ctrl-C goes to it", needs_script, async (t) => {
	const d = await start(t);
	const child = terminal(t, d, `${previewctl()} run -- sh -c 'trap "echo interrupted; exit 9" INT; test -t 0 && echo ready; while :; do sleep 0.05; done'; echo code $?.`);
	await child.stdout.match(/ready/);
	child.process.stdin.write("\x03");
	assert.ok(await child.stdout.match(/interrupted/));
	assert.ok(await child.stdout.match(/code 9\./));
});

test("Ctrl-Z stops run and command together, and fg goes on", needs_script, async (t) => {
	const d = await start(t);
	const child = terminal(t, d, "bash --norc --noprofile -i");
	child.process.stdin.write(`${previewctl()} run -- sh -c 'echo rea""dy; read line; echo got:$line'\n`);
	await child.stdout.match(/ready/);
	child.process.stdin.write("\x1a");
	assert.ok(await child.stdout.match(/Stopped/));
	const [task] = await tasks(d, "default");
	assert.match(fs.readFileSync(`/proc/${task.pid}/stat`, "utf8"), /\) T /);
	const from = child.stdout.all.length;
	child.process.stdin.write("fg\n");
	await child.stdout.match(/previewctl/, from);
	await until(() => !/\) T /.test(fs.readFileSync(`/proc/${task.pid}/stat`, "utf8")), "it goes on");
	child.process.stdin.write("hello\n");
	assert.ok(await child.stdout.match(/got:hello/));
	child.process.stdin.write("exit\n");
	await within(child.exited, "the shell's end");
});

test("task start, ls, log and end", async (t) => {
	const d = await start(t);
	const started = await ctl(t, d, "task", "start", "--id", "a", "--", "sh", "-c", "echo out; exec sleep 1000");
	assert.deepEqual([started.code, started.stdout], [0, "a"], started.stderr);
	await until(async () => (await ctl(t, d, "task", "log", "a")).stdout === "out", "its output is there");
	assert.match((await ctl(t, d, "task", "ls")).stdout, /^a\tstarted\trunning\t\d+\t/);
	const follower = begin(t, d, ["task", "log", "-f", "a"]);
	assert.ok(await follower.stdout.match(/out/));
	assert.equal((await ctl(t, d, "task", "end", "a")).code, 0);
	assert.equal((await within(follower.exited, "the log's end")).code, 0);
	assert.match((await ctl(t, d, "task", "ls")).stdout, /^a\tstarted\tended\t\d+\t\tSIGTERM\t/);
	const missing = await ctl(t, d, "task", "log", "b");
	assert.equal(missing.code, 3);
	assert.match(missing.stderr, /no task 'b'/);
});
