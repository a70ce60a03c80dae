// SPDX-License-Identifier: MIT
//
// The canvas as a back end drives it and a viewer sees it: a model made of a snapshot and the events
// behind it is the server's canvas, whatever happens in between.
import assert from "node:assert/strict";
import test from "node:test";

import { base, start } from "./harness.mjs";
import * as events from "./events.mjs";

const ACTIONS = `set_state patch_state get_state clear emit set_resource patch_resource delete_resource list_resources
	bulk_set_resources clear_channel push_node update_node highlight_node remove_node push_edge remove_edge`.split(/\s+/);
const pick = (list) => list[Math.floor(Math.random() * list.length)];
const act = (api, session, action, params = {}) => api.post(`${base(session)}/canvas/${action}`, params);
const canvas = async (api, session) => (await api.get(`${base(session)}/canvas`)).json;

// What a client does with a frame.
class Model {
	state = {};
	resources = {};
	seq = 0;

	take({ event_type, payload: p }) {
		const seq = p.preview_seq;
		if (event_type === "preview:snapshot") {
			assert.ok(seq >= this.seq, "numbers only grow");
			this.state = structuredClone(p.state);
			this.resources = structuredClone(p.resources);
			this.epoch = p.epoch;
			this.seq = seq;
			return;
		}
		assert.equal(seq, this.seq + 1, "no gap, nothing twice");
		this.seq = seq;
		const channel = (this.resources[p.channel] ??= {});
		if (event_type === "preview:state_changed") this.state[p.key] = p.value;
		else if (event_type === "preview:state_patched") {
			for (const [k, v] of Object.entries(p.patch)) v === null ? delete this.state[k] : (this.state[k] = v);
		} else if (event_type === "preview:cleared") (this.state = {}), (this.resources = {});
		else if (/resource_(set|patched)$/.test(event_type)) channel[p.id] = p.payload;
		else if (event_type === "preview:resource_deleted") delete channel[p.id];
		else if (event_type === "preview:resource_bulk_set") this.resources[p.channel] = { ...(p.replace ? {} : channel), ...p.items };
		else if (event_type === "preview:channel_cleared") delete this.resources[p.channel];
		for (const [name, c] of Object.entries(this.resources)) if (!Object.keys(c).length) delete this.resources[name];
	}
}

const ids = ["a", "b", "c", "d"];
const random_action = () =>
	pick([
		() => ["set_state", { key: pick(ids), value: Math.random() }],
		() => ["patch_state", { patch: { [pick(ids)]: pick([null, { deep: [1] }]) } }],
		() => ["emit", { event_type: "tick", data: { n: 1 } }],
		() => ["set_resource", { channel: pick(["files", "slides"]), id: pick(ids), payload: { r: Math.random() } }],
		() => ["patch_resource", { channel: "files", id: pick(ids), patch: { [pick(ids)]: pick([null, 1, "x"]) } }],
		() => ["delete_resource", { channel: "files", id: pick(ids) }],
		() => ["bulk_set_resources", { channel: "slides", items: { [pick(ids)]: {} }, replace: Math.random() < 0.5 }],
		() => ["clear_channel", { channel: pick(["files", "slides"]) }],
		() => ["push_node", { id: pick(ids), label: "n" }],
		() => ["update_node", { id: pick(ids), updates: { label: "m", extra: Math.random() } }],
		() => ["highlight_node", { id: pick(ids), status: "done" }],
		() => ["remove_node", { id: pick(ids) }],
		() => ["push_edge", { source: pick(ids), target: pick(ids) }],
		() => ["remove_edge", { id: `${pick(ids)}->${pick(ids)}` }],
		() => (Math.random() < 0.2 ? ["clear", {}] : ["get_state", {}]),
	])();

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
	const model = new Model();
	await act(d.admin, "s1", "set_state", { key: "a", value: 1 });
	let stream = await connect(d, "s1", model);
	const same = async () => {
		await catch_up(d, stream, model);
		const { state, resources, nodes, edges, preview_seq } = await canvas(d.admin, "s1");
		assert.deepEqual([model.state, model.resources, model.seq], [state, resources, preview_seq]);
		assert.deepEqual([nodes, edges], [Object.values(resources.nodes ?? {}), Object.values(resources.edges ?? {})]);
	};
	for (let i = 0; i < 2000; i++) {
		const [action, params] = random_action();
		const { status, text } = await act(d.admin, "s1", action, params);
		assert.ok(status === 200 || (status === 404 && /_node$/.test(action)), text);
		if (Math.random() < 0.02) {
			if (Math.random() < 0.5) await catch_up(d, stream, model);
			stream.terminate();
			// What came before the end and was not read is asked for again.
			stream = await connect(d, "s1", model);
		}
		if (i % 500 === 499) {
			await same();
			const before = await canvas(d.admin, "s1");
			await new Promise((resolve) => setTimeout(resolve, 500)); // the promise is about time
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
	const failed = await d.admin.post(`${base("s1")}/canvas`, [
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
