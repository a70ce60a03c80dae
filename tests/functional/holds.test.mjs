// SPDX-License-Identifier: MIT
//
// A session lives as long as the processes that hold it, and a grace.
import assert from "node:assert/strict";
import test from "node:test";

import { Child, base, blind, start, until } from "./harness.mjs";
import { is_alive } from "./processes.mjs";

const settings = { "sessions.grace": "1s" };

// A process that holds the session until it is ended, or (`beneath`) a child of it asks for it.
const holder = `
	const [socketPath, path, beneath] = process.argv.slice(1);
	const { spawn } = require("node:child_process");
	const ask = (body) => require("node:http").request(
		{ socketPath, path, method: "POST", headers: { "Content-Type": "application/json" } },
		(res) => { let text = ""; res.on("data", (d) => (text += d)); res.on("end", () => console.log(res.statusCode, text)); },
	).end(JSON.stringify(body));
	if (beneath === "ask") ask({ pid: process.ppid });
	else if (beneath) spawn(process.execPath, ["-e", process.env.HOLDER, socketPath, path, "ask"], { stdio: ["ignore", "inherit", "inherit"] });
	else ask({});
	if (beneath !== "ask") setInterval(() => {}, 1000);
`;

const hold = async (t, d, session, { beneath } = {}) => {
	const child = new Child(t, [process.execPath, "-e", holder, d.socket, `${base(session)}/holds`, ...(beneath ? ["yes"] : [])], {
		env: { PATH: process.env.PATH, HOLDER: holder },
	});
	const [, status, text] = await child.stdout.match(/^(\d+) (.*)$/);
	return Object.assign(child, { status: Number(status), answer: JSON.parse(text) });
};

const ended = (d, session) => until(async () => (await d.local.get(base(session))).status === 404, `session ${session} has ended`, 30_000);
const holds = async (d, session) => (await d.local.get(`${base(session)}/holds`)).json;

for (const signal of ["SIGTERM", "SIGKILL"])
	test(`the end of the process that held a session, by ${signal}, ends it with its previews and tasks`, async (t) => {
		const d = await start(t, { settings });
		const child = await hold(t, d, "s1");
		assert.equal(child.status, 201);
		assert.equal(child.answer.pid, child.pid);
		await d.local.attach("s1", blind());
		const task = (await d.local.post(`${base("s1")}/tasks`, { command: ["sleep", "1000"] })).json;
		await d.local.attach("s2", blind());
		assert.deepEqual((await holds(d, "s1")).holds.map((h) => h.pid), [child.pid]);
		assert.equal((await holds(d, "s1")).ends_at, null);

		child.signal(signal);
		await ended(d, "s1");
		assert.equal(is_alive(task.pid), false);
		assert.deepEqual(await d.local.names("s2"), ["default"]);
		assert.equal(await d.metric("previewd_holds"), 0);
		assert.equal(await d.metric("previewd_sessions_lapsed_total"), 1);
	});

test("one that comes back within the grace keeps the session", async (t) => {
	const d = await start(t, { settings: { "sessions.grace": "1h" } });
	const first = await hold(t, d, "s1");
	await d.local.attach("s1", blind());
	await first.kill();
	const { ends_at } = await until(async () => {
		const now = await holds(d, "s1");
		return now.ends_at && now;
	}, "the grace runs");
	assert.ok(Date.parse(ends_at) > Date.now() + 1_800_000);

	const second = await hold(t, d, "s1");
	assert.deepEqual(await holds(d, "s1"), { holds: [{ pid: second.pid, command: second.answer.command, held_since: second.answer.held_since }], ends_at: null });
	assert.deepEqual(await d.local.names("s1"), ["default"]);
});

test("the last of several that goes ends the session", async (t) => {
	const d = await start(t, { settings });
	const [a, b] = [await hold(t, d, "s1"), await hold(t, d, "s1")];
	await a.kill();
	await until(async () => (await holds(d, "s1")).holds.length === 1, "one is left");
	assert.equal((await holds(d, "s1")).ends_at, null);
	await b.kill();
	await ended(d, "s1");
});

test("a process above the one that asks may be the one that holds, and no other", async (t) => {
	const d = await start(t, { settings });
	const above = await hold(t, d, "s1", { beneath: true });
	assert.deepEqual([above.status, above.answer.pid], [201, above.pid]);

	const other = new Child(t, ["sleep", "1000"]);
	for (const [pid, status] of [[other.pid, 403], [d.child.pid, 403], [1, 403], [4_194_304, 403], [0, 422]])
		assert.equal((await d.local.post(`${base("s1")}/holds`, { pid })).status, status, `pid ${pid}`);
	const remote = await d.admin.post(`${base("s1")}/holds`, {});
	assert.deepEqual([remote.status, remote.json.code], [403, "hold_not_allowed"]);
	assert.equal((await d.local.post(`${base("s3")}/holds`, { workdir: "here" })).status, 422);
	assert.equal((await d.local.get(base("s3"))).status, 404, "what is refused makes no session");
});

test("holding again is no new hold, and a session that was ended is held anew", async (t) => {
	const d = await start(t, { settings });
	const first = await d.local.post(`${base("s1")}/holds`, { workdir: "/tmp" });
	assert.equal(first.status, 201);
	const again = await d.local.post(`${base("s1")}/holds`, {});
	assert.deepEqual([again.status, again.json], [200, first.json]);
	assert.equal((await d.local.get(base("s1"))).json.workdir, "/tmp");
	assert.equal((await d.local.post(`${base("s1")}/holds`, { workdir: "/" })).status, 201);
	assert.equal((await holds(d, "s1")).holds.length, 1);

	await d.local.del(base("s1"));
	assert.equal(await d.metric("previewd_holds"), 0);
	assert.equal((await d.local.post(`${base("s1")}/holds`, {})).status, 201);
	assert.deepEqual((await holds(d, "s1")).holds.map((h) => h.pid), [process.pid]);
});

test("the limits of holds are kept, for a session and for a user", async (t) => {
	const d = await start(t, { settings: { "limits.holds_per_session": 1, "limits.holds_per_user": 2 } });
	await hold(t, d, "s1");
	const second = await d.local.post(`${base("s1")}/holds`, {});
	assert.deepEqual([second.status, second.json.code], [409, "hold_limit"]);
	assert.equal((await d.local.post(`${base("s2")}/holds`, {})).status, 201);
	const third = await d.local.post(`${base("s3")}/holds`, {});
	assert.deepEqual([third.status, third.json.code], [409, "hold_limit"]);
	assert.equal((await d.local.get(base("s3"))).status, 404);
	assert.equal(await d.metric("previewd_holds"), 2);
});

test("kill -9 of the daemon loses no hold", async (t) => {
	const d = await start(t, { settings });
	const lives = await hold(t, d, "lives");
	const dies = await hold(t, d, "dies");
	for (const session of ["lives", "dies", "free"]) await d.local.attach(session, blind());
	await d.kill();
	await dies.kill();
	await d.start();
	await ended(d, "dies");
	assert.deepEqual((await holds(d, "lives")).holds.map((h) => h.pid), [lives.pid]);
	assert.deepEqual(await d.local.names("lives"), ["default"]);
	assert.deepEqual(await d.local.names("free"), ["default"], "nobody ever held it");

	await lives.kill();
	await ended(d, "lives");
	assert.deepEqual(await d.local.names("free"), ["default"]);
});

test("a grace that was running when the daemon was killed runs on in the next", async (t) => {
	const d = await start(t, { settings: { "sessions.grace": "1h" } });
	const child = await hold(t, d, "s1");
	await d.local.attach("s1", blind());
	await child.kill();
	await until(async () => (await holds(d, "s1")).ends_at, "the grace runs");
	await d.kill();
	d.settings["sessions.grace"] = "0s";
	await d.start();
	await ended(d, "s1");
});
