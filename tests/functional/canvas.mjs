// SPDX-License-Identifier: MIT
//
// What tests of the canvas share: its actions, at random too, and the model that a viewer makes of a
// snapshot and the events behind it.
import assert from "node:assert/strict";

import { base } from "./harness.mjs";

export const ACTIONS = `set_state patch_state get_state clear emit set_resource patch_resource delete_resource list_resources
	bulk_set_resources clear_channel push_node update_node highlight_node remove_node push_edge remove_edge`.split(/\s+/);

export const act = (api, session, action, params = {}) => api.post(`${base(session)}/canvas/${action}`, params);
export const act_all = (api, session, list) => api.post(`${base(session)}/canvas`, list);
export const canvas = async (api, session) => (await api.get(`${base(session)}/canvas`)).json;

// What a client does with a snapshot and with each event behind it.
export class Model {
	state = {};
	resources = {};

	snapshot(p) {
		this.state = structuredClone(p.state);
		this.resources = structuredClone(p.resources);
	}

	event(type, p) {
		const channel = p.channel === undefined ? undefined : (this.resources[p.channel] ??= {});
		if (type === "preview:state_changed") this.state[p.key] = p.value;
		else if (type === "preview:state_patched") {
			for (const [k, v] of Object.entries(p.patch)) v === null ? delete this.state[k] : (this.state[k] = v);
		} else if (type === "preview:cleared") (this.state = {}), (this.resources = {});
		else if (/^preview:resource_(set|patched)$/.test(type)) channel[p.id] = p.payload;
		else if (type === "preview:resource_deleted") delete channel[p.id];
		else if (type === "preview:resource_bulk_set") this.resources[p.channel] = { ...(p.replace ? {} : channel), ...p.items };
		else if (type === "preview:channel_cleared") delete this.resources[p.channel];
		for (const [name, c] of Object.entries(this.resources)) if (!Object.keys(c).length) delete this.resources[name];
	}
}

// Whether a model is what the server answered.
export function assert_same(model, { state, resources, nodes, edges }, what) {
	assert.deepEqual([model.state, model.resources], [state, resources], what);
	assert.deepEqual([nodes, edges], [Object.values(resources.nodes ?? {}), Object.values(resources.edges ?? {})], what);
}

// Random numbers that are the same again for the same seed, which the test's output names.
export function seeded(t) {
	const seed = Number(process.env.CANVAS_SEED ?? Math.floor(Math.random() * 2 ** 31));
	t.diagnostic(`CANVAS_SEED=${seed}`);
	let a = seed >>> 0;
	const random = () => {
		a = (a + 0x6d2b79f5) >>> 0;
		let x = Math.imul(a ^ (a >>> 15), 1 | a);
		x = (x + Math.imul(x ^ (x >>> 7), 61 | x)) ^ x;
		return ((x ^ (x >>> 14)) >>> 0) / 2 ** 32;
	};
	return { random, pick: (list) => list[Math.floor(random() * list.length)] };
}

const ids = ["a", "b", "c", "d"];

// An action that may fail, with 404, only where its name ends in "_node".
export function random_action({ random, pick }) {
	return pick([
		() => ["set_state", { key: pick(ids), value: random() }],
		() => ["patch_state", { patch: { [pick(ids)]: pick([null, { deep: [1] }]) } }],
		() => ["emit", { event_type: "tick", data: { n: 1 } }],
		() => ["set_resource", { channel: pick(["files", "slides"]), id: pick(ids), payload: { r: random() } }],
		() => ["patch_resource", { channel: "files", id: pick(ids), patch: { [pick(ids)]: pick([null, 1, "x"]) } }],
		() => ["delete_resource", { channel: "files", id: pick(ids) }],
		() => ["bulk_set_resources", { channel: "slides", items: { [pick(ids)]: {} }, replace: random() < 0.5 }],
		() => ["clear_channel", { channel: pick(["files", "slides"]) }],
		() => ["push_node", { id: pick(ids), label: "n" }],
		() => ["update_node", { id: pick(ids), updates: { label: "m", extra: random() } }],
		() => ["highlight_node", { id: pick(ids), status: "done" }],
		() => ["remove_node", { id: pick(ids) }],
		() => ["push_edge", { source: pick(ids), target: pick(ids) }],
		() => ["remove_edge", { id: `${pick(ids)}->${pick(ids)}` }],
		() => (random() < 0.2 ? ["clear", {}] : ["get_state", {}]),
	])();
}

// A list of them that succeeds: what needs a node comes behind one that makes it.
export function random_list(dice, n) {
	const list = [];
	while (list.length < n) {
		const [action, params] = random_action(dice);
		if (/^(update|highlight)_node$/.test(action)) list.push({ action: "push_node", params: { id: params.id, label: "n" } });
		list.push({ action, params });
	}
	return list;
}
