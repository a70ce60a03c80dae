// SPDX-License-Identifier: MIT
//
// What all share, nobody fills: of each table one tenant takes a share, and another finds a place.
import assert from "node:assert/strict";
import test from "node:test";

import * as events from "./events.mjs";
import { base, blind, until } from "./harness.mjs";
import { ask, connected, jwt, refusal, with_jwt } from "./socketio.mjs";

const soon = () => Math.floor(Date.now() / 1000) + 600;
const token_of = (sub, scope = "preview publish task canvas view session:create") => jwt({ sub, scope, exp: soon() });

// Two users with a session each, and their credentials.
async function two(t, settings) {
	const d = await with_jwt(t, settings);
	const of = {};
	for (const user of ["ada", "mallory"]) {
		await d.local.put(base(user), { user_id: user });
		of[user] = await token_of(user);
	}
	return { d, ada: of.ada, mallory: of.mallory };
}

test("previews: one user's twenty are not another's", async (t) => {
	const { d, ada, mallory } = await two(t, { "limits.per_session": 100, "limits.per_user": 3 });
	const attach = (token, session, i) => d.api(token).attach(session, blind({ name: `n${i}`, port: 20_000 + i }));
	for (let i = 0; i < 3; i++) assert.equal((await attach(mallory, "mallory", i)).status, 201);
	const refused = await attach(mallory, "mallory-2", 4);
	assert.equal(refused.json.code, "user_limit");
	for (let i = 10; i < 13; i++) assert.equal((await attach(ada, "ada", i)).status, 201);
	const told = (await attach(ada, "ada", 14)).json;
	assert.deepEqual(told.attached.map((a) => a.session_id), ["ada", "ada", "ada"], "what is listed is one's own");
});

test("event streams: a user's share is theirs, and who shows no credential takes nobody's place", async (t) => {
	const { d, ada, mallory } = await two(t, { "events.streams_max": 8, "events.streams_per_user": 4, "socketio.ping_interval": "5s" });
	// By either transport, by the field and by the first frame.
	await events.join(d, "mallory", {}, { token: mallory });
	await events.join(d, "mallory", {}, { token: mallory });
	const sockets = [await connected(t, d, { token: mallory }), await connected(t, d, { token: mallory, transports: ["polling"] })];
	const fifth = await events.refusal(d, { session_id: "mallory" }, { token: mallory });
	assert.deepEqual([fifth.status, fifth.json.code], [429, "too_many_streams"]);
	const by_frame = await events.open(d, { session_id: "mallory" }, { token: null });
	by_frame.send({ type: "auth", token: mallory });
	assert.equal((await by_frame.end()).code, 1013);
	assert.equal(by_frame.frames[0].code, "too_many_streams");
	assert.equal((await refusal(t, d, { token: mallory })).data.code, "too_many_streams");
	// A session's token is its user's, too.
	const { token } = (await d.local.post(`${base("mallory")}/tokens`, { scopes: ["view"] })).json;
	assert.equal((await events.refusal(d, { session_id: "mallory" }, { token })).status, 429);

	// Nobody in particular, as many as they like.
	const nameless = [];
	for (let i = 0; i < 20; i++) {
		const stream = await events.open(d, { session_id: "ada" }, { token: null });
		nameless.push(stream);
		assert.equal((await d.anonymous.get("/socket.io/?EIO=4&transport=polling")).status, 200);
	}
	const hers = [await events.join(d, "ada", {}, { token: ada })];
	const her_frame = await events.open(d, { session_id: "ada" }, { token: null });
	her_frame.send({ type: "auth", token: ada });
	await her_frame.frame((f) => f.status === "joined");
	const her_socket = await connected(t, d, { token: ada });
	assert.equal((await ask(her_socket, "join_session", { app_id: "default", session_id: "ada" })).ok, true);
	await until(() => nameless.filter((s) => s.is_closed).length >= 15, "those that waited the longest gave way");
	assert.ok((await d.metric("previewd_streams_gave_way_total")) >= 30);
	for (const socket of sockets) assert.ok((await ask(socket, "ping")).ok, "who has shown one stays");
	for (const stream of [...hers, her_frame]) await stream.flush();

	// One that goes makes room for that user's next.
	sockets[0].disconnect();
	await until(() => connected(t, d, { token: mallory }).catch(() => null), "it has a place");
});

test("the canvas: a user's share of its memory is theirs, over all sessions and after a restart", async (t) => {
	const { d, ada, mallory } = await two(t, { "canvas.user_max": "64K", "canvas.memory_max": "128K", "canvas.payload_max": "16K" });
	const set = (token, session, key) => d.api(token).post(`${base(session)}/canvas/set_state`, { key, value: "x".repeat(12_000) });
	const fill = async (token, sessions) => {
		const taken = [];
		for (const session of sessions) for (let i = 0; i < 3; i++) taken.push(await set(token, session, `k${i}`));
		return taken;
	};
	const codes = (await fill(mallory, ["mallory", "mallory-2", "mallory-3"])).map((a) => a.json.code);
	assert.deepEqual(codes.map((c) => c ?? "done"), [...Array(5).fill("done"), ...Array(4).fill("canvas_limit")]);
	assert.ok((await fill(ada, ["ada"])).every((a) => a.status === 200));
	await d.restart();
	assert.match((await set(mallory, "mallory-3", "k")).json.detail, /canvas\.user_max/);
	assert.equal((await set(ada, "ada", "k3")).status, 200);
	await d.local.del(base("mallory"));
	assert.equal((await set(mallory, "mallory-3", "k")).status, 200, "what has ended takes nothing");
});
