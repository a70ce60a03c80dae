// SPDX-License-Identifier: MIT
//
// The canvas as a back end drives it and a viewer sees it: a model made of a snapshot and the events
// behind it is the server's canvas, whatever happens in between.
import assert from "node:assert/strict";
import test from "node:test";

import { ACTIONS, Model, act, act_all, assert_same, canvas, random_action, seeded } from "./canvas.mjs";
import { base, start, until } from "./harness.mjs";
import * as events from "./events.mjs";

// A viewer of /ws/events.
class Viewed extends Model {
	seq = 0;

	take({ event_type, payload: p }) {
		const seq = p.preview_seq;
		if (event_type === "preview:snapshot") {
			assert.ok(seq >= this.seq, "numbers only grow");
			this.snapshot(p);
			this.epoch = p.epoch;
		} else {
			assert.equal(seq, this.seq + 1, "no gap, nothing twice");
			this.event(event_type, p);
		}
		this.seq = seq;
	}
}

async function connect(d, session, model) {
	const known = model.epoch ? { since: model.seq, epoch: model.epoch } : {};
	const stream = await events.join(d, session, known);
	return stream;
}

async function catch_up(d, stream, model) {
	await stream.flush();
	for (const f of stream.frames.splice(0)) if (f.event_type) model.take(f);
}

test("a model of snapshot and events is the canvas, over 2,000 actions, reconnects and kill -9", async (t) => {
	const d = await start(t);
	const dice = seeded(t);
	const model = new Viewed();
	await act(d.admin, "s1", "set_state", { key: "a", value: 1 });
	let stream = await connect(d, "s1", model);
	const same = async () => {
		await catch_up(d, stream, model);
		const truth = await canvas(d.admin, "s1");
		assert_same(model, truth);
		assert.equal(model.seq, truth.preview_seq);
	};
	for (let i = 0; i < 2000; i++) {
		const [action, params] = random_action(dice);
		const { status, text } = await act(d.admin, "s1", action, params);
		assert.ok(status === 200 || (status === 404 && /_node$/.test(action)), text);
		if (dice.random() < 0.02) {
			if (dice.random() < 0.5) await catch_up(d, stream, model);
			stream.terminate();
			// What came before the end and was not read is asked for again.
			stream = await connect(d, "s1", model);
		}
		if (i % 500 === 499) {
			await same();
			const before = await canvas(d.admin, "s1");
			await until(async () => (await d.metric("previewd_canvas_unstored")) === 0, "all is stored");
			await d.kill();
			await d.start();
			const after = await canvas(d.admin, "s1");
			for (const part of ["state", "resources", "nodes", "edges"]) assert.deepEqual(after[part], before[part], part);
			assert.ok(after.preview_seq >= before.preview_seq);
			assert.notEqual(after.epoch, before.epoch);
			stream = await connect(d, "s1", model);
		}
	}
	await same();
	await act(d.admin, "s1", "set_state", { key: "last", value: 1 });
	await d.restart();
	assert.equal((await canvas(d.admin, "s1")).state.last, 1, "an orderly end loses nothing");
});

test("two sessions do not cross, and their end empties one", async (t) => {
	const d = await start(t);
	await act(d.admin, "s1", "set_state", { key: "a", value: 1 });
	const other = await events.join(d, "s2");
	await act(d.admin, "s1", "push_node", { label: "x" });
	await act(d.admin, "s2", "set_state", { key: "b", value: 2 });
	await other.event("preview:state_changed", (p) => p.key === "b");
	assert.ok(other.events.every((f) => f.payload.session_id === "s2"));
	await d.admin.del(base("s1"));
	assert.equal((await d.admin.get(`${base("s1")}/canvas`)).status, 404);
	await d.admin.put(base("s1"), {});
	assert.deepEqual((await canvas(d.admin, "s1")).state, {});
	assert.deepEqual((await canvas(d.admin, "s2")).state, { b: 2 });
});

test("a viewer is refused every action, a read makes no session, a list is all or nothing", async (t) => {
	const d = await start(t);
	assert.equal((await act(d.admin, "s1", "get_state")).status, 404);
	await d.admin.put(base("s1"), {});
	const minted = await d.admin.post(`${base("s1")}/tokens`, { scopes: ["view"] });
	const viewer = d.api(minted.json.token);
	for (const action of ACTIONS) assert.equal((await act(viewer, "s1", action)).status, 403, action);
	assert.equal((await viewer.post(`${base("s1")}/canvas`, [{ action: "clear" }])).status, 403);
	assert.equal((await viewer.get(`${base("s1")}/canvas`)).status, 200);
	const failed = await act_all(d.admin, "s1", [
		{ action: "set_state", params: { key: "a", value: 1 } },
		{ action: "highlight_node", params: { id: "none", status: "done" } },
	]);
	assert.deepEqual([failed.status, failed.json.code, failed.json.index], [404, "node_not_found", 1]);
	assert.deepEqual((await canvas(d.admin, "s1")).state, {});
});

test("a viewer gets a snapshot that is larger than what may wait for it", async (t) => {
	const d = await start(t);
	for (let i = 0; i < 12; i++) await act(d.admin, "s1", "set_resource", { channel: "files", id: `f${i}`, payload: { text: "x".repeat(200_000) } });
	const stream = await events.join(d, "s1");
	await stream.frame((f) => f.event_type === "preview:snapshot" && Object.keys(f.payload.resources.files).length === 12);
	await act(d.admin, "s1", "clear");
	await stream.event("preview:cleared");
});
