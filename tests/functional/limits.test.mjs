// SPDX-License-Identifier: MIT
//
// How much may be attached: five a session, twenty a user, under concurrency and across restarts.
import assert from "node:assert/strict";
import test from "node:test";

import { base, blind, free_port, start } from "./harness.mjs";
import * as events from "./events.mjs";
import * as targets from "./targets.mjs";

const statuses = (answers) =>
	answers.reduce((counts, a) => ({ ...counts, [a.status]: (counts[a.status] ?? 0) + 1 }), {});

async function fill(d, session, n, prefix = "p") {
	for (let i = 0; i < n; i++) {
		const answer = await d.admin.attach(session, blind({ name: `${prefix}${i}` }));
		assert.equal(answer.status, 201, answer.text);
	}
}

test("the 6th of a session is refused with what is attached, and fits when one is gone", async (t) => {
	const d = await start(t);
	await fill(d, "s1", 5);

	const sixth = await d.admin.attach("s1", blind({ name: "p5" }));

	assert.equal(sixth.status, 409);
	assert.equal(sixth.json.code, "session_limit");
	assert.equal(sixth.json.limit, 5);
	assert.deepEqual(sixth.json.attached.map((a) => a.name).sort(), ["p0", "p1", "p2", "p3", "p4"]);
	assert.ok(sixth.json.attached.every((a) => a.session_id === "s1" && a.url === "http://localhost:5173"));
	assert.equal((await d.admin.attach("s2", blind())).status, 201, "another session has its own");

	assert.equal((await d.admin.detach("s1", "p0")).json.removed, true);
	assert.equal((await d.admin.attach("s1", blind({ name: "p5" }))).status, 201);
});

test("the 21st of a user is refused, another user's is not", async (t) => {
	const d = await start(t);
	for (let i = 0; i < 4; i++) {
		await d.admin.put(base(`s${i}`), { user_id: "ada" });
		await fill(d, `s${i}`, 5);
	}
	await d.admin.put(base("s4"), { user_id: "ada" });
	await d.admin.put(base("other"), { user_id: "bob" });

	const answer = await d.admin.attach("s4", blind());

	assert.equal(answer.status, 409);
	assert.equal(answer.json.code, "user_limit");
	assert.equal(answer.json.limit, 20);
	assert.equal(answer.json.attached.length, 20);
	assert.equal((await d.admin.attach("other", blind({ port: 4000 }))).status, 201);
});

test("at the limit a replacement is free, and tells detached(replaced) then attached", async (t) => {
	const d = await start(t);
	await fill(d, "s1", 5);
	const before = (await d.admin.get(`${base("s1")}/previews/p2`)).json;
	const stream = await events.join(d, "s1");

	const answer = await d.admin.attach("s1", blind({ name: "p2", port: 6000 }));

	assert.equal(answer.status, 200, answer.text);
	assert.equal(answer.json.replaced, true);
	assert.equal(answer.json.url, "http://localhost:6000");
	assert.equal(answer.json.label, before.label, "who has its address open stays there");
	await stream.event("web_preview:attached");
	const [gone, come] = stream.events;
	assert.equal(stream.events.length, 2);
	assert.equal(gone.event_type, "web_preview:detached");
	assert.equal(gone.payload.reason, "replaced");
	assert.equal(gone.payload.name, "p2");
	assert.equal(come.event_type, "web_preview:attached");
	assert.equal(come.payload.port, 6000);
	assert.equal(gone.payload.preview_seq, stream.joined.latest_seq + 1);
	assert.equal(come.payload.preview_seq, gone.payload.preview_seq + 1);
	assert.equal((await d.admin.list("s1")).length, 5);
});

test("PUT by name is idempotent", async (t) => {
	const d = await start(t);
	const put = () => d.admin.put(`${base("s1")}/previews/web`, blind());
	assert.equal((await put()).status, 201);
	assert.equal((await put()).status, 200);
	assert.deepEqual(await d.admin.names("s1"), ["web"]);
});

test("of 50 attaches in flight for a session exactly 5 succeed, also after a restart", async (t) => {
	const d = await start(t);
	const port = await free_port();
	const all = Array.from({ length: 50 }, (_, i) => d.admin.attach("s1", { port, name: `p${i}` }));
	// Not before all of them wait for the server do they get one.
	await d.probing(50);
	await targets.http_server(t, undefined, { port });
	const answers = await Promise.all(all);

	assert.deepEqual(statuses(answers), { 201: 5, 409: 45 });
	const won = answers.filter((a) => a.status === 201).map((a) => a.json.name).sort();
	assert.deepEqual(await d.admin.names("s1"), won);
	for (const a of answers) if (a.status === 409) assert.equal(a.json.code, "session_limit");

	await d.kill();
	await d.start();
	assert.deepEqual(await d.admin.names("s1"), won);
	assert.equal((await d.admin.attach("s1", { port, name: "sixth" })).json.code, "session_limit");
	const again = await Promise.all(Array.from({ length: 50 }, (_, i) => d.admin.attach("s2", { port, name: `p${i}` })));
	assert.deepEqual(statuses(again), { 201: 5, 409: 45 });
});

test("of 50 attaches in flight for a user exactly 20 succeed, also after a restart", async (t) => {
	const d = await start(t);
	const port = await free_port();
	const attach = (i) => d.admin.attach(`s${i % 13}`, { port, name: `p${i}` });
	const all = Array.from({ length: 50 }, (_, i) => attach(i));
	await d.probing(50);
	await targets.http_server(t, undefined, { port });
	const answers = await Promise.all(all);

	assert.deepEqual(statuses(answers), { 201: 20, 409: 30 });
	for (const a of answers) if (a.status === 409) assert.equal(a.json.code, "user_limit");
	assert.equal((await d.admin.get("/health/web_preview")).json.count, 20);

	await d.kill();
	await d.start();
	assert.equal((await d.admin.get("/health/web_preview")).json.count, 20);
	assert.equal((await d.admin.attach("fresh", { port })).json.code, "user_limit");
});

test("50 attaches without a probe in flight: exactly 5 succeed", async (t) => {
	const d = await start(t);
	const answers = await Promise.all(Array.from({ length: 50 }, (_, i) => d.admin.attach("s1", blind({ name: `p${i}` }))));
	assert.deepEqual(statuses(answers), { 201: 5, 409: 45 });
});

test("50 attaches in flight under one name leave one, and its events alternate", async (t) => {
	const d = await start(t);
	const stream = await events.join(d, "s1");
	const answers = await Promise.all(Array.from({ length: 50 }, (_, i) => d.admin.attach("s1", blind({ port: 5000 + i }))));

	assert.deepEqual(statuses(answers), { 200: 49, 201: 1 });
	await stream.flush();
	const types = stream.events.map((e) => e.event_type.split(":")[1]);
	assert.deepEqual(types, ["attached", ...Array(49).fill(["detached", "attached"]).flat()]);
	assert.deepEqual(stream.seqs, Array.from({ length: 99 }, (_, i) => stream.seqs[0] + i));
	const [left] = await d.admin.list("s1");
	assert.equal(left.port, stream.events.at(-1).payload.port);
});

test("a refused attach makes no session", async (t) => {
	const d = await start(t);
	await d.admin.attach("s1", { port: 80 });
	assert.equal((await d.admin.get(base("s1"))).json.code, "session_not_found");
});

test("a port that another user's session has attached is port_taken", async (t) => {
	const d = await start(t);
	await d.admin.put(base("s1"), { user_id: "ada" });
	await d.admin.put(base("s2"), { user_id: "bob" });
	await d.admin.put(base("s3"), { user_id: "ada" });
	await d.admin.attach("s1", blind());

	const taken = await d.admin.attach("s2", blind({ host: "localhost" }));
	assert.equal(taken.status, 409);
	assert.equal(taken.json.code, "port_taken");
	assert.ok(!taken.text.includes("ada"), "it does not say whose");
	assert.equal((await d.admin.attach("s3", blind())).status, 201, "the same user may");

	await d.admin.detach("s1");
	await d.admin.detach("s3");
	assert.equal((await d.admin.attach("s2", blind())).status, 201);
});

test("session end detaches everything, and the id comes back to its owner alone", async (t) => {
	const d = await start(t);
	await d.admin.put(base("s1"), { user_id: "ada", workdir: "/home/ada/app", meta: { a: [1] } });
	await fill(d, "s1", 3);
	const stream = await events.join(d, "s1");

	const ended = await d.admin.del(base("s1"));

	assert.equal(ended.status, 200, ended.text);
	assert.equal(ended.json.ended, true);
	assert.deepEqual(ended.json.detached.sort(), ["p0", "p1", "p2"]);
	await stream.event("web_preview:detached", (p) => p.name === "p2");
	assert.deepEqual(stream.events.map((e) => e.payload.reason), Array(3).fill("session_end"));
	assert.equal((await d.admin.get(base("s1"))).status, 404);
	assert.equal((await d.admin.del(base("s1"))).json.ended, false);

	await d.restart();
	const back = await d.admin.put(base("s1"), { user_id: "ada" });
	assert.equal(back.status, 201, back.text);
	assert.ok(back.json.latest_seq >= stream.seqs.at(-1), "its numbers go on");
	assert.equal(back.json.previews, 0);
	assert.equal((await d.admin.put(base("s1"), { user_id: "bob" })).json.code, "session_conflict");
});

test("of 20 detaches in flight of one preview exactly one removes it, and one event tells", async (t) => {
	const d = await start(t);
	await d.admin.attach("s1", blind());
	const stream = await events.join(d, "s1");
	const answers = await Promise.all(Array.from({ length: 20 }, () => d.admin.detach("s1")));
	assert.equal(answers.filter((a) => a.json.removed).length, 1);
	assert.deepEqual(statuses(answers), { 200: 20 });
	await stream.flush();
	assert.equal(stream.events.length, 1);
});

test("session end cancels the attaches that wait in it", async (t) => {
	const d = await start(t);
	await d.admin.put(base("s1"), {});
	const port = await free_port();
	const waiting = d.admin.attach("s1", { port, wait_seconds: 100 });
	await d.probing(1);

	assert.equal((await d.admin.del(base("s1"))).json.ended, true);

	const answer = await waiting;
	assert.equal(answer.json.code, "canceled", answer.text);
	await targets.http_server(t, undefined, { port });
	assert.equal((await d.admin.get(base("s1"))).status, 404);
	assert.deepEqual((await d.admin.get("/api/previews")).json.previews, []);
});

test("attaches and session ends in flight: what is listed is what the last event of each says", async (t) => {
	const d = await start(t, { settings: { "limits.per_session": "100" } });
	await d.admin.put(base("s1"), {});
	const stream = await events.join(d, "s1");
	const calls = Array.from({ length: 120 }, (_, i) =>
		i % 20 === 19 ? d.admin.del(base("s1")) : d.admin.attach("s1", blind({ name: `p${i % 7}`, port: 5000 + i })),
	);
	await Promise.all(calls);
	await stream.flush();
	const told = new Map();
	for (const { event_type, payload } of stream.events) {
		const there = told.has(payload.name);
		if (event_type === "web_preview:attached") assert.ok(!there, `${payload.name} was there already`);
		else assert.ok(there, `${payload.name} was not there`);
		if (there) told.delete(payload.name);
		else told.set(payload.name, payload.port);
	}
	assert.deepEqual(stream.seqs, stream.seqs.map((_, i) => stream.seqs[0] + i));
	const answer = await d.admin.get(`${base("s1")}/previews`);
	const listed = answer.status === 404 ? [] : answer.json.previews;
	assert.deepEqual(Object.fromEntries(listed.map((p) => [p.name, p.port])), Object.fromEntries(told));
});

test("more attaches at once than limits.probes are 429 with Retry-After", async (t) => {
	const d = await start(t, { settings: { "limits.probes": "2", "limits.per_session": "10" } });
	const port = await free_port();
	const waiting = [1, 2].map((i) => d.admin.attach("s1", { port, name: `p${i}`, wait_seconds: 60 }));
	await d.probing(2);
	const answer = await d.admin.attach("s1", { port, name: "p3" });
	assert.equal(answer.status, 429, answer.text);
	assert.equal(answer.json.code, "too_many_requests");
	assert.ok(Number(answer.headers["retry-after"]) >= 1);
	assert.equal((await d.admin.attach("s1", blind({ name: "p4" }))).status, 201);
	await targets.http_server(t, undefined, { port });
	assert.deepEqual(statuses(await Promise.all(waiting)), { 201: 2 });
});

test("one user's attaches that wait leave room for another's", async (t) => {
	const d = await start(t, { settings: { "limits.probes": "4", "limits.probes_per_user": "1" } });
	assert.equal((await d.admin.put(base("theirs"), { user_id: "other" })).status, 201);
	const minted = await d.admin.post(`${base("theirs")}/tokens`, { scopes: ["preview"] });
	const other = d.api(minted.json.token);
	const port = await free_port(), port2 = await free_port();
	const mine = d.admin.attach("s1", { port, name: "p1", wait_seconds: 60 });
	await d.probing(1);
	assert.equal((await d.admin.attach("s1", { port, name: "p2" })).json.code, "too_many_requests");
	const theirs = other.attach("theirs", { port: port2, wait_seconds: 60 });
	await d.probing(2);
	await targets.http_server(t, undefined, { port });
	await targets.http_server(t, undefined, { port: port2 });
	assert.deepEqual(statuses(await Promise.all([mine, theirs])), { 201: 2 });
});

test("more sessions of a user than limits.sessions_per_user are 429", async (t) => {
	const d = await start(t, { settings: { "limits.sessions_per_user": "2" } });
	for (const s of ["s1", "s2"]) assert.equal((await d.admin.put(base(s), {})).status, 201);
	const answer = await d.admin.put(base("s3"), {});
	assert.equal(answer.json.code, "too_many_sessions", answer.text);
	assert.equal((await d.admin.put(base("s4"), { user_id: "other" })).status, 201);
});
