// SPDX-License-Identifier: MIT
//
// What was answered is there: after kill -9 between any two steps, on a full disk, with a store that
// is damaged.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import test from "node:test";

import { fill, small_disk } from "./disks.mjs";
import * as events from "./events.mjs";
import { Daemon, base, blind, is_root, start, temp_dir, until } from "./harness.mjs";
import { publish, write_files } from "./publishing.mjs";

test("kill -9 between any two steps: all that was answered is there, with its label", async (t) => {
	const d = await start(t);
	const sight = async () =>
		(await d.admin.list("s1"))
			.map(({ name, label, url, attached_at, probe, focus, bash_task_id }) => ({ name, label, url, attached_at, probe, focus, bash_task_id }))
			.sort((a, b) => (a.name < b.name ? -1 : 1));
	const steps = [
		() => d.admin.put(base("s1"), { user_id: "ada", workdir: "/srv/app", meta: { k: "v" } }),
		() => d.admin.attach("s1", blind({ name: "a", path: "/x", focus: false, bash_task_id: "b1" })),
		() => d.admin.attach("s1", blind({ name: "b" })),
		() => d.admin.attach("s1", blind({ name: "a", port: 6000 })),
		() => d.admin.detach("s1", "b"),
		() => d.admin.attach("s1", blind({ name: "c" })),
		() => d.admin.del(base("s1")),
		() => d.admin.put(base("s1"), { user_id: "ada" }),
		() => d.admin.attach("s1", blind({ name: "d" })),
	];
	for (const step of steps) {
		assert.ok((await step()).status < 300);
		const answer = await d.admin.get(base("s1"));
		const before = answer.status === 200 ? await sight() : null;
		await d.kill();
		await d.start();
		const after = await d.admin.get(base("s1"));
		assert.equal(after.status, answer.status);
		if (!before) continue;
		assert.deepEqual(await sight(), before);
		for (const member of ["user_id", "workdir", "meta", "created_at", "previews"]) assert.deepEqual(after.json[member], answer.json[member], member);
		assert.ok(after.json.latest_seq >= answer.json.latest_seq);
	}
});

test("kill -9 while attaches and detaches are under way: nothing answered is lost, no limit broken, no number used twice", async (t) => {
	const d = await start(t, { settings: { "limits.per_user": "1000" } });
	const sessions = ["s0", "s1", "s2", "s3"];
	for (const s of sessions) await d.admin.put(base(s), {});
	const names = ["a", "b", "c", "d", "e", "f", "g"];
	const highest = Object.fromEntries(sessions.map((s) => [s, 0]));
	const epochs = new Set();

	for (let round = 0; round < 6; round++) {
		const streams = await Promise.all(sessions.map((s) => events.join(d, s)));
		epochs.add(streams[0].joined.epoch);
		assert.equal(epochs.size, round + 1, "each start is a new epoch");
		for (const [i, s] of sessions.entries()) assert.ok(streams[i].joined.latest_seq >= highest[s], "numbers only grow");

		// Each name of each session is one client's own, which asks one thing after another.
		const known = new Map(); // what the last answer said; `asked` when one more was under way
		for (const session of sessions) {
			const had = await d.admin.list(session);
			for (const name of names) {
				const preview = had.find((p) => p.name === name);
				known.set(`${session}/${name}`, { answered: preview ? { label: preview.label, port: preview.port } : null, asked: null });
			}
		}
		let killed = false;
		const clients = sessions.flatMap((session) =>
			names.map(async (name) => {
				const state = known.get(`${session}/${name}`);
				while (!killed) {
					const attach = Math.random() < 0.7;
					const port = 5000 + Math.floor(Math.random() * 1000);
					state.asked = attach ? port : "detach";
					const answer = await (attach ? d.admin.attach(session, blind({ name, port })) : d.admin.detach(session, name)).catch(() => null);
					if (!answer) return;
					state.asked = null;
					if (attach && answer.status < 300) state.answered = { label: answer.json.label, port };
					else if (!attach && answer.status === 200) state.answered = null;
					else assert.equal(answer.json.code, "session_limit", answer.text);
				}
			}),
		);
		await new Promise((resolve) => setTimeout(resolve, 30 + Math.random() * 200));
		await d.kill();
		killed = true;
		await Promise.all(clients);
		await Promise.all(streams.map((s) => s.end()));
		for (const [i, s] of sessions.entries()) {
			const { seqs } = streams[i];
			for (const [j, seq] of seqs.entries()) assert.equal(seq, seqs[0] + j, "no gaps in an epoch");
			if (seqs.length) {
				assert.ok(seqs[0] > highest[s], `a number was used twice in ${s}: ${seqs[0]} after ${highest[s]}`);
				highest[s] = seqs.at(-1);
			}
		}

		await d.start();
		for (const session of sessions) {
			const found = await d.admin.list(session);
			assert.ok(found.length <= 5, `${session} has ${found.length}`);
			for (const name of names) {
				const { answered, asked } = known.get(`${session}/${name}`);
				const now = found.find((p) => p.name === name);
				const as_answered = answered ? now?.label === answered.label && now.port === answered.port : !now;
				const as_asked = asked === "detach" ? !now : asked && now?.port === asked;
				const said = `${session}/${name}: ${JSON.stringify({ answered, asked, now })}`;
				assert.ok(as_answered || as_asked, said);
			}
		}
	}
	assert.ok(Object.values(highest).some((n) => n > 10), "something happened at all");
});

test("SIGTERM while attaches are under way: each answer is true after the restart", async (t) => {
	const d = await start(t, { settings: { "limits.per_session": "1000", "limits.per_user": "1000" } });
	await d.admin.attach("s1", blind({ name: "first" }));
	const asked = Array.from({ length: 200 }, (_, i) => d.admin.attach("s1", blind({ name: `p${i}` })).catch(() => null));
	await Promise.race(asked);
	d.child.signal("SIGTERM");
	const answers = await Promise.all(asked);
	assert.equal((await d.child.exited).code, 0);

	await d.start();
	const names = new Set(await d.admin.names("s1"));
	for (const [i, answer] of answers.entries()) {
		if (answer?.status === 201) assert.ok(names.has(`p${i}`), `p${i} was answered`);
		else if (answer) {
			assert.equal(answer.json.code, "draining");
			assert.ok(!names.has(`p${i}`), `p${i} was refused`);
		}
	}
	assert.ok(answers.some((a) => a?.status === 201));
});

test("a second daemon on the same state is refused", async (t) => {
	const d = await start(t);
	const other = new Daemon(t, { state: d.state });
	const child = other.spawn();
	const { code } = await child.exited;
	assert.notEqual(code, 0);
	assert.match(child.stderr.text, /already|in use|another|locked/i);
	assert.equal((await d.admin.attach("s1", blind())).status, 201, "the first goes on");
});

test("a full disk: 503 store_unavailable, nothing half done, and well again when there is space", async (t) => {
	const disk = small_disk(t, "2m");
	if (!disk) return t.skip("cannot mount a tmpfs here");
	const d = await start(t, { state: path.join(disk, "state") });
	await d.admin.attach("s1", blind({ name: "before" }));
	const stream = await events.join(d, "s1");

	fill(path.join(disk, "filler"));
	let failed;
	// Some of the log may have room yet.
	for (let i = 0; i < 500 && !failed; i++) {
		const answer = await d.admin.attach("s1", blind({ name: "turn", path: `/${"x".repeat(500)}` }));
		if (answer.status >= 300) failed = answer;
	}
	assert.equal(failed?.status, 503, failed?.text);
	assert.equal(failed.json.code, "store_unavailable");
	assert.match(failed.type, /^application\/problem\+json/);

	const sight = async () => (await d.admin.list("s1")).map((p) => `${p.name} ${p.label}`).sort();
	const held = await sight();
	await stream.flush();
	const told = stream.events.length;
	assert.equal((await d.admin.attach("s1", blind({ name: "new" }))).status, 503);
	assert.equal((await d.admin.detach("s1", "before")).status, 503);
	assert.equal((await d.admin.del(base("s1"))).status, 503);
	assert.equal((await d.admin.put(base("s9"), {})).status, 503);
	assert.equal((await d.admin.post(`${base("s1")}/tokens`, { scopes: ["view"] })).status, 503);
	assert.deepEqual(await sight(), held, "nothing half done");
	assert.equal((await d.admin.get(base("s9"))).status, 404);
	await stream.flush();
	assert.equal(stream.events.length, told, "no event of what did not happen");
	const ready = await d.anonymous.get("/readyz");
	assert.equal(ready.status, 503);
	assert.equal(ready.json.code, "store_unavailable");
	assert.equal((await d.anonymous.get("/healthz")).status, 200);

	fs.rmSync(path.join(disk, "filler"));
	await until(async () => (await d.anonymous.get("/readyz")).status === 200, "/readyz is well again");
	assert.equal((await d.admin.attach("s1", blind({ name: "after" }))).status, 201);
	const final = await sight();
	assert.ok(final.some((p) => p.startsWith("after ")) && final.some((p) => p.startsWith("before ")));
	await d.kill();
	await d.start();
	assert.deepEqual(await sight(), final);
});

test("killed on a full disk, it starts again with all that was answered", async (t) => {
	const disk = small_disk(t, "2m");
	if (!disk) return t.skip("cannot mount a tmpfs here");
	const d = await start(t, { state: path.join(disk, "state") });
	await d.admin.attach("s1", blind({ name: "a" }));
	await d.admin.attach("s1", blind({ name: "b" }));
	fill(path.join(disk, "filler"));
	await d.kill();
	fs.rmSync(path.join(disk, "filler"));
	await d.start();
	assert.deepEqual(await d.admin.names("s1"), ["a", "b"]);
});

async function refuses_to_start(d, pattern) {
	const child = d.spawn();
	const { code, signal } = await child.exited;
	assert.equal(signal, null, child.stderr.text);
	assert.notEqual(code, 0);
	assert.match(child.stderr.text, pattern);
	assert.doesNotMatch(child.stderr.text, /listening on http/);
}

const database = (d) => path.join(d.state, "previewd.db");

async function with_a_past(t) {
	const d = await start(t);
	for (const name of ["a", "b", "c"]) await d.admin.attach("s1", blind({ name }));
	await d.stop();
	return d;
}

test("a database that is none is refused with its path, and left as it is", async (t) => {
	const d = await with_a_past(t);
	const garbage = Buffer.alloc(8192, "not a database ");
	fs.writeFileSync(database(d), garbage);
	await refuses_to_start(d, /previewd\.db/);
	assert.deepEqual(fs.readFileSync(database(d)), garbage);
});

test("a damaged database is refused, not begun anew", async (t) => {
	const d = await with_a_past(t);
	const size = fs.statSync(database(d)).size;
	const fd = fs.openSync(database(d), "r+");
	fs.writeSync(fd, Buffer.alloc(size - 200, 0xa5), 0, size - 200, 200);
	fs.closeSync(fd);
	await refuses_to_start(d, /previewd\.db/);
});

test("a database of a later version is refused", async (t) => {
	const d = await with_a_past(t);
	execFileSync("python3", ["-c", `import sqlite3,sys; c=sqlite3.connect(sys.argv[1]); c.execute("pragma user_version=9999"); c.commit()`, database(d)]);
	await refuses_to_start(d, /previewd\.db.*(newer|later|version|schema)/is);
});

test("a state directory that cannot be written is refused", async (t) => {
	const state = temp_dir(t);
	const wrap = is_root ? ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] : [];
	const d = new Daemon(t, { state, wrap });
	if (is_root) fs.chownSync(d.dir, 65534, 65534);
	fs.chmodSync(state, 0o555);
	await refuses_to_start(d, new RegExp(state));
});

test("a state directory in which everybody may write is refused, a group's is warned of", async (t) => {
	const state = temp_dir(t);
	const d = new Daemon(t, { state });
	fs.chmodSync(state, 0o777);
	await refuses_to_start(d, /everybody may write.*chmod 0700/);
	assert.deepEqual(fs.readdirSync(state), []);
	fs.chmodSync(state, 0o770);
	await d.start();
	assert.match(d.child.stderr.text, /may be written by its group/);
});

test("another user's state directory is refused, and left as it is", async (t) => {
	if (!is_root) return t.skip("only root can make one");
	const state = temp_dir(t);
	fs.chownSync(state, 65534, 65534);
	await refuses_to_start(new Daemon(t, { state }), /belongs to uid 65534.*runs as uid 0/);
	assert.deepEqual(fs.readdirSync(state), []);
});

test("an older database is brought up to date, with a copy of it beside", async (t) => {
	const d = await with_a_past(t);
	/* what the schemas after the fifth added, taken away again */
	execFileSync("python3", ["-c", `if True:
		import sqlite3, sys
		c = sqlite3.connect(sys.argv[1])
		c.executescript("""ALTER TABLE session DROP COLUMN workdir_uid;
			ALTER TABLE attachment DROP COLUMN release_id;
			ALTER TABLE token DROP COLUMN exchanged;
			DROP TABLE build; DROP TABLE published; PRAGMA user_version = 5""")`, database(d)]);
	await d.start();
	assert.deepEqual((await d.admin.names("s1")).sort(), ["a", "b", "c"]);
	assert.match(d.child.stderr.text, /previewd\.db.* from schema 5 to \d+.*previewd\.db\.schema-5/);
	assert.equal(fs.statSync(database(d) + ".schema-5").mode & 0o7777, 0o600);
});

test("a read-only database is refused", async (t) => {
	const disk = small_disk(t, "2m");
	if (!disk) return t.skip("cannot mount a tmpfs here");
	const d = await start(t, { state: path.join(disk, "state") });
	await d.admin.attach("s1", blind());
	await d.stop();
	execFileSync("mount", ["-o", "remount,ro", disk]);
	await refuses_to_start(d, /read-only|readonly|previewd\.db|state/i);
	execFileSync("mount", ["-o", "remount,rw", disk]);
	await d.start();
	assert.deepEqual(await d.admin.names("s1"), ["default"]);
});

// What a kill at an unlucky instant leaves in the database, done to one that is at rest.
const change = (d, sql) => execFileSync("python3", ["-c", "import sqlite3,sys; c=sqlite3.connect(sys.argv[1]); print(c.execute(sys.argv[2]).fetchall()); c.commit()", database(d), sql], { encoding: "utf8" }).trim();

async function with_a_page(t) {
	const d = await start(t);
	const { state, build_id } = await publish(d, "s1", { workdir: write_files(temp_dir(t), { "index.html": "<h1>1</h1>" }) });
	assert.equal(state, "succeeded");
	await d.stop();
	return { d, build_id };
}

test("killed between a session's end and that of its builds and pages: they end at the next start", async (t) => {
	const { d } = await with_a_page(t);
	change(d, "delete from attachment");
	change(d, "update session set ended_at = created_at + 1");
	await d.start();
	assert.equal((await d.admin.get(base("s1"))).status, 404);
	await d.admin.put(base("s1"), {});
	assert.deepEqual((await d.admin.get(`${base("s1")}/builds`)).json.builds, [], "its builds are gone");
	await d.stop();
	assert.equal(change(d, "select count(*) from build"), "[(0,)]");
	assert.equal(change(d, "select count(*) from published where ended_at = 0"), "[(0,)]", "its page is kept for a while, not for good");
});

test("killed during a build: who waits for its end is told, and told why", async (t) => {
	const { d, build_id } = await with_a_page(t);
	change(d, `update build set state = 'running', document = json_set(document, '$.state', 'running', '$.phase', 'build')`);
	await d.start();
	const { joined } = await events.join(d, "s1");
	const since = `${joined.latest_seq - 1}`;
	const stream = await events.join(d, "s1", { since, epoch: joined.epoch });
	const { payload } = await stream.event("web_preview:publish_failed");
	assert.deepEqual([payload.build_id, payload.name, payload.state, payload.phase, payload.code], [build_id, "published", "interrupted", "build", "build_interrupted"]);
	assert.equal((await d.admin.get(`${base("s1")}/builds/${build_id}`)).json.state, "interrupted");
});
