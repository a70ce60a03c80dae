// SPDX-License-Identifier: MIT
//
// /ws/events, by the stock client `ws`: live events, what was missed, filters, and its ends.
import assert from "node:assert/strict";
import path from "node:path";
import test from "node:test";

import { Child, base, blind, fixtures, start, until, within } from "./harness.mjs";
import { NAMESPACES, TRANSPORTS, Viewer } from "./socketio.mjs";
import * as events from "./events.mjs";

test("a client that was listening receives web_preview:attached and web_preview:detached", async (t) => {
	const d = await start(t);
	const stream = await events.join(d, "s1");
	assert.deepEqual(Object.keys(stream.joined).sort(), ["epoch", "latest_seq", "recovered", "room", "session_id", "status"]);
	assert.equal(stream.joined.room, "session:s1");
	assert.equal(stream.joined.recovered, "snapshot");
	assert.match(stream.joined.epoch, /^[0-9a-f]{16}$/);

	const { json } = await d.admin.attach("s1", blind({ name: "web", path: "/a", focus: false }));
	const attached = await stream.event("web_preview:attached");
	const { preview_seq, ts, ...payload } = attached.payload;
	assert.deepEqual({ ...attached, payload }, {
		event_type: "web_preview:attached", entity_type: "web_preview", entity_id: "web",
		payload: {
			session_id: "s1", app_id: "default", name: "web", type: "proxy", url: json.url,
			host: "127.0.0.1", port: 5173, path: "/a", focus: false, connect: "direct", warnings: [],
		},
	});
	assert.ok(Number.isInteger(preview_seq) && preview_seq > 0);
	assert.ok(!Number.isNaN(Date.parse(ts)), ts);

	await d.admin.detach("s1", "web");
	const detached = await stream.event("web_preview:detached");
	assert.equal(detached.payload.reason, "detach");
	assert.equal(detached.payload.preview_seq, preview_seq + 1);
	assert.equal((await d.admin.get(base("s1"))).json.latest_seq, preview_seq + 1);
});

test("detaching what is not there is no error and no event", async (t) => {
	const d = await start(t);
	await d.admin.attach("s1", blind());
	const stream = await events.join(d, "s1");
	const answer = await d.admin.detach("s1", "other");
	assert.equal(answer.status, 200);
	assert.equal(answer.json.removed, false);
	assert.match(answer.json.hint, /default/);
	await stream.flush();
	assert.deepEqual(stream.events, []);
});

test("a first join is a snapshot with what is attached, then live events", async (t) => {
	const d = await start(t);
	await d.admin.attach("s1", blind());
	const stream = await events.join(d, "s1");
	const { entity_type, entity_id, payload } = await stream.frame((f) => f.event_type === "preview:snapshot");
	assert.deepEqual([entity_type, entity_id], ["session", "s1"]);
	assert.equal(payload.preview_seq, stream.joined.latest_seq);
	assert.equal(payload.epoch, stream.joined.epoch);
	assert.deepEqual(payload.attachments.map((a) => a.name), ["default"]);
	assert.deepEqual([payload.state, payload.resources, payload.nodes, payload.edges, payload.events], [{}, {}, [], [], []]);
	assert.equal(stream.frames.indexOf(stream.joined), 0);
	assert.equal(stream.frames[1].event_type, "preview:snapshot");
});

test("who joins again with since and epoch gets what it missed, once, and nothing else", async (t) => {
	const d = await start(t);
	const first = await events.join(d, "s1");
	for (const name of ["a", "b", "c"]) await d.admin.attach("s1", blind({ name }));
	const a = await first.event("web_preview:attached", (p) => p.name === "a");
	first.terminate();
	await d.admin.detach("s1", "c");

	const query = { since: a.payload.preview_seq, epoch: first.joined.epoch };
	const second = await events.join(d, "s1", query);
	await d.admin.attach("s1", blind({ name: "d" }));
	await second.event("web_preview:attached", (p) => p.name === "d");
	assert.equal(second.joined.recovered, "replayed");
	const told = second.frames.slice(1).map((f) => `${f.event_type.split(":")[1]} ${f.entity_id}`);
	assert.deepEqual(told, ["attached b", "attached c", "detached c", "attached d"]);
	assert.deepEqual(second.seqs, second.seqs.map((_, i) => a.payload.preview_seq + 1 + i));

	const third = await events.join(d, "s1", { since: second.seqs.at(-1), epoch: first.joined.epoch });
	await third.flush();
	assert.equal(third.joined.recovered, "nothing_missed");
	assert.deepEqual(third.events, []);
	assert.equal(third.frames.length, 2);
});

test("another epoch, a number from the future and one too old are answered with a snapshot", async (t) => {
	const d = await start(t, { settings: { "events.ring": "3" } });
	for (const name of ["a", "b", "c", "d", "e"]) await d.admin.attach("s1", blind({ name }));
	const { epoch, latest_seq } = (await events.join(d, "s1")).joined;
	const recovered = async (query) => (await events.join(d, "s1", query)).joined.recovered;

	assert.equal(await recovered({ since: latest_seq - 3, epoch }), "replayed");
	assert.equal(await recovered({ since: latest_seq - 4, epoch }), "snapshot");
	assert.equal(await recovered({ since: latest_seq + 1, epoch }), "snapshot");
	assert.equal(await recovered({ since: latest_seq, epoch: "0123456789abcdef" }), "snapshot");
	assert.equal(await recovered({ since: latest_seq }), "snapshot");

	await d.kill();
	await d.start();
	const again = await events.join(d, "s1", { since: latest_seq, epoch });
	assert.equal(again.joined.recovered, "snapshot");
	assert.notEqual(again.joined.epoch, epoch);
	assert.ok(again.joined.latest_seq >= latest_seq);
	await d.admin.detach("s1", "a");
	assert.ok((await again.event("web_preview:detached")).payload.preview_seq > latest_seq);
});

test("joining while events come misses none and repeats none", async (t) => {
	const d = await start(t);
	const { epoch } = (await events.join(d, "s1")).joined;
	await d.admin.attach("s1", blind());
	const first = (await d.admin.get(base("s1"))).json.latest_seq;
	let busy = true;
	const work = (async () => {
		while (busy) await d.admin.attach("s1", blind());
	})();
	const joined = [];
	for (let i = 0; i < 20; i++) joined.push(await events.join(d, "s1", { since: first, epoch }));
	busy = false;
	await work;
	const { latest_seq } = (await d.admin.get(base("s1"))).json;
	for (const stream of joined) {
		await stream.flush();
		const start_of = stream.joined.recovered === "snapshot" ? stream.joined.latest_seq : first;
		assert.deepEqual(stream.seqs, Array.from({ length: latest_seq - start_of }, (_, i) => start_of + 1 + i));
	}
});

test("two clients of a session receive the same, in the same order; another session's nothing of it", async (t) => {
	const d = await start(t);
	const [one, two, other] = await Promise.all([events.join(d, "s1"), events.join(d, "s1"), events.join(d, "s2")]);
	await Promise.all(["a", "b", "c", "d"].map((name) => d.admin.attach("s1", blind({ name }))));
	await Promise.all([one, two, other].map((s) => s.flush()));
	assert.equal(one.events.length, 4);
	assert.deepEqual(one.events, two.events);
	assert.deepEqual(other.events, []);
});

test("filters of the address and of subscribe: any of a kind, all kinds at once", async (t) => {
	const d = await start(t);
	const gone = await events.join(d, "s1", { event_types: "web_preview:detached,web_preview:down" });
	const by_name = await events.join(d, "s1", { entity_ids: "b", entity_types: "web_preview" });
	const later = await events.join(d, "s1");
	later.send({ type: "subscribe", event_types: ["web_preview:attached"], entity_ids: ["c"] });
	const answer = await later.frame((f) => f.status === "subscribed");
	assert.deepEqual(answer.filters, { event_types: ["web_preview:attached"], entity_ids: ["c"] });

	for (const name of ["a", "b", "c"]) await d.admin.attach("s1", blind({ name }));
	for (const name of ["a", "b", "c"]) await d.admin.detach("s1", name);
	for (const stream of [gone, by_name, later]) await stream.flush();
	const told = (s) => s.events.map((f) => `${f.event_type.split(":")[1]} ${f.entity_id}`);
	assert.deepEqual(told(gone), ["detached a", "detached b", "detached c"]);
	assert.deepEqual(told(by_name), ["attached b", "detached b"]);
	assert.deepEqual(told(later), ["attached c"]);
});

test("what is no JSON is answered and the stream stays open; ping is answered with pong", async (t) => {
	const d = await start(t);
	const stream = await events.join(d, "s1");
	for (const nonsense of ["{", "", "[1]", '"x"', "nul", '{"a":1}}']) {
		const from = stream.frames.length;
		stream.send(nonsense);
		const answer = await stream.frame((f) => f.error, from);
		assert.equal(answer.code, "bad_json", nonsense);
	}
	stream.send({ type: "of the future" });
	await stream.flush();
	await d.admin.attach("s1", blind());
	await stream.event("web_preview:attached");
});

test("the first frame may be the credential", async (t) => {
	const d = await start(t);
	const stream = await events.open(d, { session_id: "s1" }, { token: null });
	stream.send({ type: "auth", token: d.admin_token });
	const joined = await stream.frame((f) => f.status === "joined");
	assert.equal(joined.session_id, "s1");
	assert.equal(stream.frames[0], joined, "nothing comes before");
	await d.admin.attach("s1", blind());
	await stream.event("web_preview:attached");
});

test("a first frame with a wrong credential closes with 4401", async (t) => {
	const d = await start(t);
	for (const token of ["wrong", "", 7]) {
		const stream = await events.open(d, { session_id: "s1" }, { token: null });
		stream.send({ type: "auth", token });
		assert.equal((await stream.end()).code, 4401);
		assert.match(stream.frames.at(-1).code, /^(token_invalid|unauthenticated)$/);
	}
});

test("before the credential nothing else is done; after 5 s without it is 4401", async (t) => {
	const d = await start(t);
	const began = performance.now();
	const stream = await events.open(d, { session_id: "s1" }, { token: null });
	stream.send({ type: "subscribe", event_types: [] });
	await d.admin.attach("s1", blind());
	const { code } = await stream.end();
	const took = performance.now() - began;
	assert.equal(code, 4401);
	assert.ok(took > 4500 && took < 8000, `${took} ms`);
	assert.ok(stream.frames.every((f) => f.error), JSON.stringify(stream.frames));
});

test("a session that is not there, or another's, is 404 before the upgrade and 4404 after it", async (t) => {
	const d = await start(t);
	await d.admin.put(base("s1"), {});
	await d.admin.put(base("theirs"), { user_id: "somebody" });
	const { token } = (await d.admin.post(`${base("s1")}/tokens`, { scopes: ["view"] })).json;
	for (const session_id of ["s0", "theirs"]) {
		const refusal = await events.refusal(d, { session_id }, { token });
		assert.equal(refusal.status, 404);
		assert.equal(refusal.json.code, "session_not_found");
		const stream = await events.open(d, { session_id }, { token: null });
		stream.send({ type: "auth", token });
		assert.equal((await stream.end()).code, 4404);
		assert.equal(stream.frames.at(-1).code, "session_not_found");
	}
});

test("a wrong credential is 401 and a wrong query 422, before the upgrade", async (t) => {
	const d = await start(t);
	assert.equal((await events.refusal(d, { session_id: "s1" }, { token: "wrong" })).status, 401);
	for (const query of [{ session_id: "a b" }, { session_id: ".." }, { session_id: "s1", since: "x" }, { session_id: "s1", since: "-1" }]) {
		const refusal = await events.refusal(d, query);
		assert.equal(refusal.status, 422, JSON.stringify(query));
		assert.equal(refusal.json.code, "invalid_field");
	}
	const plain = await d.admin.get("/ws/events?session_id=s1");
	assert.equal(plain.status, 426);
	assert.equal(plain.json.code, "upgrade_required");
});

test("without session_id come the events of all sessions the credential may see", async (t) => {
	const d = await start(t);
	await d.admin.put(base("s1"), {});
	await d.admin.put(base("s2"), {});
	const { token } = (await d.admin.post(`${base("s1")}/tokens`, { scopes: ["view"] })).json;
	const all = await events.join(d, null);
	const narrow = await events.join(d, null, {}, { token });
	assert.equal(all.joined.session_id, null);
	await d.admin.attach("s2", blind());
	await d.admin.attach("s1", blind());
	await Promise.all([all.flush(), narrow.flush()]);
	assert.deepEqual(all.events.map((f) => f.payload.session_id), ["s2", "s1"]);
	assert.deepEqual(narrow.events.map((f) => f.payload.session_id), ["s1"]);
});

test("a client that does not read is cut off with 1013, and the others go on", async (t) => {
	const d = await start(t, { settings: { "events.buffer": "64K" } });
	const good = await events.join(d, "s1");
	const argv = ["python3", path.join(fixtures, "slow_client.py"), String(d.port), "/ws/events?session_id=s1", d.admin_token];
	const slow = new Child(t, argv);
	assert.ok(await slow.stdout.match(/^joined$/), slow.stderr.text);

	let n = 0;
	await until(
		async () => {
			const turn = Array.from({ length: 32 }, () => d.admin.attach("s1", blind({ path: `/${"x".repeat(500)}` })));
			n += (await Promise.all(turn)).length;
			return (await d.metric("previewd_websocket_slow_closed_total")) === 1;
		},
		"the slow client is cut off",
		60_000,
	);
	slow.process.stdin.write("\n");
	assert.equal((await slow.stdout.match(/^closed (.*)$/))[1], "1013");
	await good.flush();
	assert.equal(good.events.length, 2 * n - 1);
});

test("more streams than events.streams_max are 429", async (t) => {
	const d = await start(t, { settings: { "events.streams_max": "2" } });
	const one = await events.join(d, "s1");
	await events.join(d, "s1");
	const refusal = await events.refusal(d, { session_id: "s1" });
	assert.equal(refusal.status, 429);
	assert.equal(refusal.json.code, "too_many_streams");
	assert.ok(refusal.headers["retry-after"]);
	one.socket.close();
	await one.end();
	await events.join(d, "s1");
});

test("a message too large closes with 1009, a binary one is answered", async (t) => {
	const d = await start(t, { settings: { "server.body_max": "4K" } });
	const stream = await events.join(d, "s1");
	stream.socket.send(Buffer.from('{"type":"ping"}'));
	assert.equal((await stream.frame((f) => f.error)).code, "bad_json");
	stream.send({ type: "ping", more: "x".repeat(8000) });
	assert.equal((await stream.end()).code, 1009);
	await events.join(d, "s1");
});

test("a stream outlives the end of its session, and hears of it when it is back", async (t) => {
	const d = await start(t);
	const stream = await events.join(d, "s1");
	await d.admin.attach("s1", blind({ name: "a" }));
	await d.admin.del(base("s1"));
	await d.admin.attach("s1", blind({ name: "b" }));
	await stream.event("web_preview:attached", (p) => p.name === "b");
	assert.deepEqual(stream.events.map((f) => f.event_type.split(":")[1]), ["attached", "detached", "attached"]);
	assert.deepEqual(stream.seqs, stream.seqs.map((_, i) => stream.seqs[0] + i));
});

test("a stream opened with a session token hears how its session ends, and ends with it", async (t) => {
	const d = await start(t);
	for (const name of ["a", "b"]) await d.admin.attach("s1", blind({ name }));
	const { token } = (await d.admin.post(`${base("s1")}/tokens`, { scopes: ["view"] })).json;
	const stream = await events.join(d, "s1", {}, { token });
	const viewers = NAMESPACES.flatMap((nsp) => Object.values(TRANSPORTS).map((transports) => new Viewer(t, d, "s1", { nsp, transports, token })));
	await Promise.all(viewers.map((v) => v.joined()));
	const why = viewers.map((v) => within(new Promise((resolve) => v.socket.once("connect_error", resolve)), "connect_error"));
	await d.admin.del(base("s1"));
	assert.equal((await stream.end()).code, 4401);
	const end = (list) => list.map((p) => [p.name, p.reason]).sort();
	const expected = [["a", "session_end"], ["b", "session_end"]];
	assert.deepEqual(end(stream.events.map((f) => f.payload)), expected);
	for (const [i, v] of viewers.entries()) {
		assert.equal((await why[i]).data.code, "token_invalid");
		assert.deepEqual(end(v.events.map(([, p]) => p)), expected, `${v.nsp} ${v.socket.io.opts.transports}`);
	}
});

test("a client that answers no ping is dropped, one that does stays", async (t) => {
	const d = await start(t, { settings: { "events.ping_interval": "1s" } });
	const good = await events.join(d, "s1");
	const argv = ["python3", path.join(fixtures, "slow_client.py"), String(d.port), "/ws/events?session_id=s1", d.admin_token];
	const dead = new Child(t, argv);
	assert.ok(await dead.stdout.match(/^joined$/), dead.stderr.text);
	assert.equal(await d.metric("previewd_websocket_connections"), 2);
	await until(async () => (await d.metric("previewd_websocket_connections")) === 1, "the dead one is dropped");
	await good.flush();
});
