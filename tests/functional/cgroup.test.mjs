// SPDX-License-Identifier: MIT
//
// Tasks in groups of their own: the daemon's delegated one, and scopes of the user's systemd.  What
// has left its session, its environment and its parent is known by its group alone.
import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import test from "node:test";

import { Child, Daemon, base, defer, free_port, have, previewctl, start, temp_dir, until, within } from "./harness.mjs";
import { NOBODY, group_of, groups_below, inside, make_group, make_group_below, no_groups, no_user_manager, user_manager } from "./groups.mjs";
import { can_bind, is_alive, parent_of } from "./processes.mjs";

// All is asked for by the token: the daemon may be another user's than the test.
const tasks = (session) => `${base(session)}/tasks`;

// A line for the shell: `what` in a session of its own, with an empty environment, as a child of
// nobody's.  Its pid is in `file`.
const escape = (file, what) => `(env -i PATH="$PATH" setsid sh -c 'echo $$ >${file}.new; mv ${file}.new ${file}; exec ${what}' >/dev/null 2>&1 &)`;

async function escaped(t, file, was_above) {
	const pid = await until(() => fs.existsSync(file) && Number(fs.readFileSync(file, "utf8")), "it has escaped");
	defer(t, () => is_alive(pid) && process.kill(pid, "SIGKILL"));
	await until(() => parent_of(pid) !== was_above && fs.readFileSync(`/proc/${pid}/stat`, "utf8").split(" ")[5] === String(pid), "it has no parent");
	assert.ok(!/PREVIEWD/.test(fs.readFileSync(`/proc/${pid}/environ`, "latin1")));
	return pid;
}

async function begin(d, session, body) {
	const answer = await d.admin.post(tasks(session), body);
	assert.equal(answer.status, 201, answer.text);
	return answer.json;
}

// A daemon for an ordinary user, in that group.
async function start_as(t, group, uid, options = {}) {
	const d = new Daemon(t, { wrap: inside(group, uid), ...options });
	fs.chownSync(d.dir, uid, uid);
	return d.start();
}

// By a mark, as of systemd, or without one for an ordinary user who is alone in the group.
for (const [who, uid, mark] of [
	["root in a marked group", 0, true],
	["an ordinary user alone in a group", NOBODY, false],
]) {
	const lacks = no_groups() || (!have("python3") && "needs python3") || (!have("setpriv") && "needs setpriv");

	test(`${who}: each task is born in a group, is ended by it, and the group is removed`, { skip: lacks }, async (t) => {
		const group = make_group(t, { uid, mark });
		const d = await start_as(t, group, uid);
		const file = path.join(d.dir, "pid");
		assert.equal(group_of(d.child.pid), path.join(group, "daemon"));

		const task = await begin(d, "s1", { command: `${escape(file, "sleep 1000")}; exec sleep 1000` });
		const other = await begin(d, "s1", { command: "exec sleep 1000" });
		const pid = await escaped(t, file, task.pid);
		const own = group_of(task.pid);
		assert.match(path.relative(group, own), /^task-[^/]+$/);
		assert.equal(group_of(pid), own);
		assert.notEqual(group_of(other.pid), own);

		const answer = await d.admin.del(`${tasks("s1")}/${task.task_id}`);
		assert.deepEqual([answer.json.ended, answer.json.left], [true, []]);
		assert.equal(is_alive(pid), false);
		assert.equal(fs.existsSync(own), false);
		assert.ok(is_alive(other.pid));
	});

	test(`${who}: a detach ends the server that only the group knows, after kill -9 of the daemon too`, { skip: lacks }, async (t) => {
		const group = make_group(t, { uid, mark });
		const d = await start_as(t, group, uid);
		const file = path.join(d.dir, "pid");
		const port = await free_port();
		const server = `${process.execPath} -e "require(\\"http\\").createServer((q,r)=>r.end()).listen(${port},\\"127.0.0.1\\")"`;
		const task = await begin(d, "s1", { task_id: "a", command: `${escape(file, server)}; exec sleep 1000` });
		const pid = await escaped(t, file, task.pid);
		const own = group_of(pid);
		assert.equal((await d.admin.attach("s1", { port, bash_task_id: "a", wait_seconds: 10 })).status, 201);

		await d.kill();
		assert.ok(is_alive(pid) && is_alive(task.pid));
		await d.start();
		assert.equal(group_of(d.child.pid), path.join(group, "daemon"));
		// beside those of the sandbox, which is tried at each start
		assert.deepEqual(groups_below(group).filter((name) => !name.includes("/task-build-")).sort(), [own, path.join(group, "daemon")].sort());
		const answer = await d.admin.detach("s1");
		assert.equal(answer.status, 200, answer.text);
		await until(async () => (await d.admin.get(`${tasks("s1")}/a`)).json.state === "ended", "the task has ended");
		assert.equal(is_alive(pid), false);
		assert.ok(await can_bind(port));
		assert.equal(fs.existsSync(own), false);
	});
}

test("without a group nobody can know what has escaped: the tests above are of the group", { skip: !have("setsid") && "needs setsid" }, async (t) => {
	const d = await start(t);
	const file = path.join(d.dir, "pid");
	const task = await begin(d, "s1", { command: `${escape(file, "sleep 1000")}; exec sleep 1000` });
	const pid = await escaped(t, file, task.pid);
	await d.admin.del(`${tasks("s1")}/${task.task_id}`);
	assert.equal(is_alive(task.pid), false);
	assert.ok(is_alive(pid));
});

/*
 * previewctl run, and a real systemd of an ordinary user.
 */
const no_manager = no_user_manager();

// A daemon and a login of the same user: in groups that hold others, too.
async function login(t) {
	const manager = await user_manager(t);
	const group = make_group_below(manager.group, "login", NOBODY);
	const neighbour = new Child(t, [...inside(group, NOBODY), "sleep", "1000"]);
	await until(() => group_of(neighbour.pid) === group, "somebody else is in the group");
	const d = await start_as(t, group, NOBODY);
	const env = { PATH: process.env.PATH, HOME: d.dir, PREVIEWD_SOCKET: d.socket, XDG_RUNTIME_DIR: manager.runtime };
	const run = (args, more = {}) => new Child(t, [...inside(group, NOBODY), previewctl(), "run", "--session", "s1", "--", ...args], { env: { ...env, ...more }, cwd: d.dir });
	return { d, group, neighbour, run };
}

const only_task = async (d) => (await d.admin.get(tasks("s1"))).json.tasks[0];

test("run has its command in a scope of the user's systemd, and all else is the command's own", { skip: no_manager }, async (t) => {
	const { d, group, run } = await login(t);
	const child = run(["sh", "-c", 'echo "$$ $PWD $HERE"; cat; exit 7'], { HERE: 'a $HOME "b"' });
	const [, pid] = await child.stdout.match(/^(\d+)/);
	const task = await only_task(d);
	const own = group_of(pid);
	assert.equal(Number(pid), task.pid);
	assert.equal(path.basename(own), `previewd-run-${task.task_id}.scope`);
	assert.equal(group_of(child.pid), group);
	child.process.stdin.end("in\n");
	assert.equal((await within(child.exited, "its end")).code, 7);
	assert.equal(child.stdout.text, `${pid} ${d.dir} a $HOME "b"\nin`);
	assert.equal(child.stderr.text, "");
	await until(() => !fs.existsSync(own), "the scope is gone");
});

test("what has escaped from a scope is ended by the daemon when run was killed", { skip: no_manager }, async (t) => {
	const { d, neighbour, run } = await login(t);
	const file = path.join(d.dir, "pid");
	const child = run(["sh", "-c", `${escape(file, "sleep 1000")}; echo $$; exec sleep 1000`]);
	const [, root] = await child.stdout.match(/^(\d+)/);
	const pid = await escaped(t, file, Number(root));
	const own = group_of(pid);
	const task = await only_task(d);
	child.signal("SIGKILL");
	await until(() => parent_of(pid) !== child.pid, "its subreaper is gone");
	await d.kill();
	await d.start();
	const answer = await d.admin.del(`${tasks("s1")}/${task.task_id}`);
	assert.deepEqual([answer.json.ended, answer.json.left], [true, []]);
	assert.equal(is_alive(pid), false);
	assert.equal(is_alive(root), false);
	assert.ok(is_alive(neighbour.pid));
	await until(() => !fs.existsSync(own), "the scope is gone");
});

test("SIGINT to run ends all of its scope", { skip: no_manager }, async (t) => {
	const { d, neighbour, run } = await login(t);
	const file = path.join(d.dir, "pid");
	const child = run(["sh", "-c", `${escape(file, 'sh -c "trap : TERM; while :; do sleep 0.1; done"')}; echo $$; exec sleep 1000`]);
	const [, root] = await child.stdout.match(/^(\d+)/);
	const pid = await escaped(t, file, Number(root));
	child.signal("SIGINT");
	await until(() => !is_alive(root), "the first has ended");
	child.signal("SIGINT");
	assert.equal((await within(child.exited, "its end")).code, 143);
	assert.equal(is_alive(pid), false);
	assert.ok(is_alive(neighbour.pid));
});

test("a run without a scope is in its caller's group, and that is never ended", { skip: no_manager }, async (t) => {
	const { d, group, neighbour, run } = await login(t);
	const child = run(["sh", "-c", "echo $$; exec sleep 1000"], { XDG_RUNTIME_DIR: temp_dir(t) });
	const [, pid] = await child.stdout.match(/^(\d+)/);
	assert.equal(group_of(pid), group);
	const answer = await d.admin.del(`${tasks("s1")}/${(await only_task(d)).task_id}`);
	assert.deepEqual([answer.json.ended, answer.json.left], [true, []]);
	assert.equal((await within(child.exited, "its end")).code, 143);
	assert.ok(is_alive(neighbour.pid) && is_alive(d.child.pid));
});
