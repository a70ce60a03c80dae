// SPDX-License-Identifier: MIT
//
// The canvas over the stock socket.io-client: written by emit("canvas", …), and seen over every
// transport and in both namespaces, with connections that break and a daemon that is killed.
import assert from "node:assert/strict";
import test from "node:test";
import { isDeepStrictEqual } from "node:util";

import { ACTIONS, act, act_all, assert_same, canvas, random_list, seeded } from "./canvas.mjs";
import { base, start, until, within } from "./harness.mjs";
import { ask, connected, cut, jwt, LONG, NAMESPACES, QUICK, Viewer, viewers_of_all_kinds, with_jwt } from "./socketio.mjs";

const token = async (d, session, scopes) => (await d.admin.post(`${base(session)}/tokens`, { scopes })).json.token;

async function all_are_the_truth(d, session, viewers) {
	const truth = await canvas(d.admin, session);
	await Promise.all(viewers.map((v) => v.reaches(truth.preview_seq, LONG)));
	for (const v of viewers) {
		const what = `${v.nsp} ${v.socket.io.opts.transports}`;
		assert.deepEqual(v.faults, [], what);
		assert.equal(v.last, truth.preview_seq, what);
		assert_same(v.canvas, truth, what);
	}
	return truth;
}

test("10,000 events, clients killed at random: every model is the server's, no gap, nothing twice", { timeout: 240_000 }, async (t) => {
	const d = await start(t, { settings: QUICK });
	const dice = seeded(t);
	const viewers = await viewers_of_all_kinds(t, d, "s1");
	await act(d.admin, "s1", "clear");
	const first = (await canvas(d.admin, "s1")).preview_seq;
	let cuts = 0;
	for (let goal = first + 1000, seq = first; seq < first + 10_000; goal += 1000) {
		while (seq < goal) {
			const { status, text } = await act_all(d.admin, "s1", random_list(dice, 20));
			assert.equal(status, 200, text);
			if (dice.random() < 0.25) cut(dice.pick(viewers), dice.random() < 0.5), cuts++;
			seq = (await canvas(d.admin, "s1")).preview_seq;
		}
		await all_are_the_truth(d, "s1", viewers);
	}
	assert.ok(cuts > 20, `${cuts} cuts`);
	assert.ok(viewers.some((v) => v.recoveries.includes("replayed")));
});

test("over kill -9: what was stored is back, a new epoch brings a snapshot, and numbers only grow", { timeout: 240_000 }, async (t) => {
	const d = await start(t, { settings: QUICK });
	const dice = seeded(t);
	const viewers = await viewers_of_all_kinds(t, d, "s1");
	const history = [{ canvas: [{}, {}], seq: 0, at: performance.now() }]; // what was answered, and when
	const write = async (n) => {
		for (let i = 0; i < n; i++) {
			const { status, text } = await act_all(d.admin, "s1", random_list(dice, 10));
			assert.equal(status, 200, text);
			const { state, resources, preview_seq } = await canvas(d.admin, "s1");
			history.push({ canvas: [state, resources], seq: preview_seq, at: performance.now() });
			if (dice.random() < 0.2) cut(dice.pick(viewers), dice.random() < 0.5);
		}
	};
	await write(1);
	for (let round = 0; round < 4; round++) {
		await write(5 + Math.floor(dice.random() * 40));
		const at_rest = round % 2 === 1;
		if (at_rest) await until(async () => (await d.metric("previewd_canvas_unstored")) === 0, "all is stored");
		const { epoch } = await canvas(d.admin, "s1");
		const killed = performance.now();
		await d.kill();
		await d.start();

		const after = await canvas(d.admin, "s1");
		assert.notEqual(after.epoch, epoch);
		assert.ok(after.preview_seq >= history.at(-1).seq, "numbers only grow");
		// One of the states there have been: half a second old, and as long as this machine may take for it.
		const found = history.findLastIndex((h) => isDeepStrictEqual(h.canvas, [after.state, after.resources]));
		assert.ok(found >= 0, "a state that there was");
		if (at_rest) assert.deepEqual(history[found].canvas, history.at(-1).canvas);
		const newer = history[found + 1];
		assert.ok(!newer || killed - newer.at < 10_000, `${(killed - newer?.at).toFixed()} ms were lost`);
		await Promise.all(viewers.map((v) => v.until(() => v.epoch === after.epoch && v.expected === "event", "it is back", LONG)));
		await write(3);
		await all_are_the_truth(d, "s1", viewers);
	}
	for (const v of viewers) assert.ok(v.recoveries.filter((r) => r === "snapshot").length >= 5, `${v.recoveries}`);
});

test("a snapshot larger than what may wait is had over every transport, and what was missed too", async (t) => {
	const d = await start(t, { settings: { "events.buffer": "64K" } });
	for (let i = 0; i < 12; i++) await act(d.admin, "s1", "set_resource", { channel: "files", id: `f${i}`, payload: { text: "x".repeat(100_000) } });
	const viewers = await viewers_of_all_kinds(t, d, "s1");
	await all_are_the_truth(d, "s1", viewers);
	for (const v of viewers) {
		await until(() => v.socket.connected, "it is connected");
		assert.deepEqual(v.recoveries, ["snapshot"]);
	}
	// Away while more is written than may wait: a snapshot rather than a replay it would be cut off in.
	for (const v of viewers) v.socket.disconnect();
	for (let i = 0; i < 20; i++) await act(d.admin, "s1", "set_resource", { channel: "files", id: "f0", payload: { text: `${i}`.repeat(10_000) } });
	for (const v of viewers) v.socket.connect();
	await all_are_the_truth(d, "s1", viewers);
	for (const v of viewers) assert.deepEqual(v.recoveries, ["snapshot", "snapshot"]);
	// And an answer that is as large: the back end asked for it.
	const back_end = await connected(t, d, { token: d.admin_token });
	const { ok, result } = await ask(back_end, "canvas", "get_state", { session_id: "s1" });
	assert.deepEqual([ok, Object.keys(result.resources.files).length], [true, 12]);
	await act(d.admin, "s1", "clear");
	await all_are_the_truth(d, "s1", viewers);
});

for (const nsp of NAMESPACES) {
	test(`emit("canvas", …) does what REST does, in order, and is acknowledged: ${nsp}`, async (t) => {
		const d = await start(t);
		const back_end = await connected(t, d, { nsp, token: d.admin_token });
		const viewer = new Viewer(t, d, "s1", { nsp, token: d.admin_token });
		await viewer.joined();
		const emit = (...args) => ask(back_end, "canvas", ...args);
		// Its first makes the session; those behind it wait for that, and keep their order.
		const first = await Promise.all([
			emit("set_state", { key: "a", value: 1, session_id: "s1" }),
			emit("set_state", { key: "a", value: 2, session_id: "s1" }),
			emit("get_state", { session_id: "s1" }),
			emit("push_node", { label: "A Node", session_id: "s1" }),
		]);
		assert.deepEqual(first[0], { ok: true, result: { key: "a", value: 1 } });
		assert.deepEqual([first[2].ok, first[2].result.state], [true, { a: 2 }]);
		assert.equal(first[3].result.id, "a-node");
		assert.equal(await d.metric("previewd_socketio_canvas_waiting"), 0);
		const listed = await emit([{ action: "push_node", params: { id: "b" } }, { action: "push_edge", params: { source: "a-node", target: "b" } }], { session_id: "s1" });
		assert.equal(listed.result.results[1].id, "a-node->b");
		back_end.emit("canvas", "set_state", { key: "c", value: 3, session_id: "s1" }); // wants no answer
		await viewer.until((v) => v.canvas.state.c === 3);
		assert.deepEqual(viewer.faults, []);
		assert_same(viewer.canvas, await canvas(d.admin, "s1"));

		for (const [args, code, field] of [
			[["set_state", { session_id: "s1" }], "invalid_field", "key"],
			[["no_such", { session_id: "s1" }], "action_not_found"],
			[["highlight_node", { session_id: "s1", id: "none", status: "done" }], "node_not_found"],
			[["emit", { session_id: "s1", event_type: "snapshot" }], "event_reserved"],
			[["clear", { session_id: "a b" }], "invalid_field", "session_id"],
			[["clear", { session_id: "s1", app_id: "other" }], "session_conflict"],
			[["clear", 7], "invalid_field", "params"],
			[[7, { session_id: "s1" }], "invalid_field", "action"],
			[[], "invalid_field", "session_id"],
			[["get_state", { session_id: "not-there" }], "session_not_found"],
		]) {
			const answer = await emit(...args);
			assert.deepEqual([answer.ok, answer.code], [false, code], JSON.stringify(args));
			assert.ok(answer.detail.length > 5);
			if (field) assert.equal(answer.errors[0].field, field);
		}
	});

	test(`the session is the one that was joined, or named, or _default_ where that is allowed: ${nsp}`, async (t) => {
		const d = await start(t);
		const socket = await connected(t, d, { nsp, token: d.admin_token });
		const emit = (params) => ask(socket, "canvas", "set_state", { key: "k", ...params });
		const state_of = async (session, app = "default") => (await d.admin.get(`${base(session, app)}/canvas`)).json.state;
		const none = await emit({ value: 0 });
		assert.deepEqual([none.code, none.errors[0].field], ["invalid_field", "session_id"]);
		await ask(socket, "join_session", { app_id: "shop", session_id: "s1" });
		assert.ok((await emit({ value: 1 })).ok);
		assert.deepEqual(await state_of("s1", "shop"), { k: 1 });
		assert.ok((await emit({ value: 2, session_id: "s2" })).ok);
		assert.deepEqual(await state_of("s2"), { k: 2 });
		await ask(socket, "join_session", { app_id: "default", session_id: "s2" });
		assert.deepEqual((await emit({ value: 3 })).code, "invalid_field", "which of the two?");
		assert.ok((await emit({ value: 4, session_id: "s1" })).ok, "in the app it was joined in");
		assert.deepEqual(await state_of("s1", "shop"), { k: 4 });

		const lenient = await start(t, { settings: { "canvas.default_session": "yes" } });
		const other = await connected(t, lenient, { nsp, token: lenient.admin_token });
		assert.ok((await ask(other, "canvas", "set_state", { key: "k", value: 5 })).ok);
		assert.deepEqual((await canvas(lenient.admin, "_default_")).state, { k: 5 });
	});

	test(`a viewer's token is refused every action, join and name; another's session is not there: ${nsp}`, async (t) => {
		const d = await with_jwt(t, { "canvas.default_session": "yes" });
		for (const session of ["mine", "theirs"]) await d.admin.put(base(session), { user_id: session });
		await act(d.admin, "mine", "push_node", { id: "n" });
		const before = await canvas(d.admin, "mine");
		delete before.ts;
		const viewer = await connected(t, d, { nsp, token: await token(d, "mine", ["view"]) });
		assert.ok((await ask(viewer, "join_session", { app_id: "default", session_id: "mine" })).ok);
		for (const session_id of ["theirs", "nobody", "_default_"]) {
			const answer = await ask(viewer, "join_session", { app_id: "default", session_id });
			assert.deepEqual([answer.ok, answer.code], [false, "session_not_found"], session_id);
		}
		for (const action of [...ACTIONS, [{ action: "clear" }]])
			for (const where of [{}, { session_id: "mine" }, { session_id: "theirs" }, { session_id: "nobody" }]) {
				const answer = await ask(viewer, "canvas", action, where);
				assert.deepEqual([answer.ok, answer.code], [false, "forbidden"], `${action} ${JSON.stringify(where)}`);
			}
		const { ts, ...after } = await canvas(d.admin, "mine");
		assert.deepEqual(after, before);
		assert.equal((await d.admin.get(`${base("_default_")}/canvas`)).status, 404);

		// A back end's token writes its own session, and neither hears events nor finds another's.
		const exp = Math.floor(Date.now() / 1000) + 600;
		const back_end = await connected(t, d, { nsp, token: await jwt({ sub: "mine", sid: "mine", scope: "canvas", exp }) });
		assert.ok((await ask(back_end, "canvas", "set_state", { key: "a", value: 1, session_id: "mine" })).ok);
		assert.equal((await ask(back_end, "canvas", "clear", { session_id: "theirs" })).code, "session_not_found");
		assert.equal((await ask(back_end, "join_session", { app_id: "default", session_id: "mine" })).code, "forbidden");
	});
}

test("requests that wait for their session are bounded, and let go with their socket", async (t) => {
	const d = await start(t);
	const socket = await connected(t, d, { token: d.admin_token });
	const answers = await within(
		Promise.all(Array.from({ length: 200 }, (_, i) => socket.emitWithAck("canvas", "set_state", { key: "k", value: i, session_id: "s1" }))),
		"the answers",
	);
	const refused = answers.filter((a) => !a.ok);
	assert.ok(refused.every((a) => a.code === "too_many_requests"), JSON.stringify(refused[0]));
	const last = answers.findLastIndex((a) => a.ok);
	assert.deepEqual((await canvas(d.admin, "s1")).state, { k: last });
	socket.emit("canvas", "set_state", { key: "k", value: "late", session_id: "s2" });
	socket.disconnect();
	await until(async () => (await d.metric("previewd_socketio_sessions")) === 0, "it is gone");
	assert.equal(await d.metric("previewd_socketio_canvas_waiting"), 0);
});
