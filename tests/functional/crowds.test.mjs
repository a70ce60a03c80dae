// SPDX-License-Identifier: MIT
//
// Those who hold what others want: connections, event streams, memory.  What is held without a
// credential, or without asking anything, gives way.
import assert from "node:assert/strict";
import { once } from "node:events";
import net from "node:net";
import test from "node:test";
import WebSocket from "ws";

import { base, blind, defer, start, until, within } from "./harness.mjs";
import * as events from "./events.mjs";
import { ask, connect, connected, with_jwt, jwt } from "./socketio.mjs";

function idle(t, d, localAddress) {
	const socket = net.connect({ port: d.port, host: "127.0.0.1", localAddress });
	socket.on("error", () => {}).resume();
	defer(t, () => socket.destroy());
	return socket;
}

// A WebSocket without a credential.
async function stranger(t, d, target = "/ws/events?session_id=s1") {
	const socket = new WebSocket(`ws://127.0.0.1:${d.port}${target}`);
	defer(t, () => socket.terminate());
	socket.on("error", () => {});
	socket.ended = new Promise((resolve) => socket.on("close", (code) => resolve(code)));
	await within(once(socket, "open"), "the upgrade");
	return socket;
}

test("whoever only holds connections keeps nobody out, nor costs those of other addresses theirs", async (t) => {
	const d = await start(t, { settings: { "server.connections_max": "20" } });
	const stream = await events.join(d, "s1");
	const quiet = idle(t, d, "127.0.0.1");
	let ended = false;
	quiet.on("close", () => (ended = true));
	const crowd = Array.from({ length: 40 }, () => idle(t, d, "127.0.0.2"));
	await until(() => crowd.filter((s) => s.destroyed).length >= 22, "the first of the crowd have given way");
	assert.equal((await d.admin.attach("s1", blind())).status, 201);
	await stream.event("web_preview:attached");
	assert.equal((await d.anonymous.get("/healthz", { agent: false })).status, 200);
	assert.equal(ended, false);
	assert.ok((await d.metric("previewd_http_connections_displaced_total")) >= 22);
	assert.equal(await d.metric("previewd_http_connections_refused_total"), 0);
});

test("streams without a credential give way to those that come", async (t) => {
	const d = await start(t, { settings: { "events.streams_max": "3" } });
	const [first, second] = [await stranger(t, d), await stranger(t, d)];
	assert.equal((await d.anonymous.get("/socket.io/?EIO=4&transport=polling")).status, 200);
	const one = await events.join(d, "s1");
	await within(first.ended, "the end of the first stranger");
	const two = await connected(t, d, { token: d.admin_token });
	// of the two kinds there was one each
	const three = await events.join(d, "s1");
	await within(second.ended, "the end of the second stranger");
	const refusal = await events.refusal(d, { session_id: "s1" });
	assert.deepEqual([refusal.status, refusal.json.code], [429, "too_many_streams"]);
	await one.flush();
	await three.flush();
	assert.ok((await ask(two, "ping")).ok);
});

test("a user has at most events.streams_per_user streams, over both transports, and an admin any", async (t) => {
	const d = await with_jwt(t, { "events.streams_per_user": "2" });
	const tokens = {};
	for (const sub of ["ada", "bob"]) tokens[sub] = await jwt({ sub, scope: "view session:create preview", exp: Math.floor(Date.now() / 1000) + 600 });
	await d.admin.put(base("s1"), { user_id: "ada" });
	const open = (who) => events.open(d, {}, { token: tokens[who] });
	const one = await open("ada");
	const two = await connected(t, d, { token: tokens.ada });
	const refused = await events.refusal(d, {}, { token: tokens.ada });
	assert.deepEqual([refused.status, refused.json.code], [429, "too_many_streams"]);
	assert.ok(refused.headers["retry-after"]);

	// by a first frame, or over Socket.IO, it is found out later
	const late = await stranger(t, d);
	late.send(JSON.stringify({ type: "auth", token: tokens.ada }));
	assert.equal(await within(late.ended, "the close"), 1013);
	const third = connect(t, d, { token: tokens.ada, reconnection: false });
	const [error] = await within(once(third, "connect_error"), "the refusal");
	assert.equal(error.data.code, "too_many_streams");

	// with a session's token one counts for its user
	const { token } = (await d.admin.post(`${base("s1")}/tokens`, { scopes: ["view"] })).json;
	assert.equal((await events.refusal(d, { session_id: "s1" }, { token })).status, 429);

	await open("bob");
	for (let i = 0; i < 3; i++) await events.join(d, "s1");
	third.disconnect();
	one.terminate();
	two.disconnect();
	await until(async () => (await d.metric("previewd_socketio_sessions")) === 0, "the sockets are gone");
	await until(() => open("ada").catch(() => null), "there is room again");
});

test("before its credential a client's messages are small", async (t) => {
	const d = await start(t);
	await d.admin.put(base("s1"), {});
	const padded = (message, n) => JSON.stringify({ ...message, more: "x".repeat(n) });

	const large = await stranger(t, d);
	large.send(padded({ type: "auth", token: d.admin_token }, 20_000));
	assert.equal(await within(large.ended, "the close"), 1009);
	const stream = await events.join(d, "s1");
	const from = stream.frames.length;
	stream.send(padded({ type: "ping" }, 20_000));
	await stream.frame((f) => f.type === "pong", from);
	stream.send(padded({ type: "ping" }, 70_000));
	assert.equal((await stream.end()).code, 1009);

	const websocket = await stranger(t, d, "/socket.io/?EIO=4&transport=websocket");
	websocket.send(`40${padded({ token: d.admin_token }, 20_000)}`);
	assert.equal(await within(websocket.ended, "the close"), 1009);
	const handshake = await d.anonymous.get("/socket.io/?EIO=4&transport=polling");
	const { sid } = JSON.parse(handshake.text.slice(1));
	const raw = `40${padded({ token: d.admin_token }, 20_000)}`;
	assert.equal((await d.anonymous.request("POST", `/socket.io/?EIO=4&transport=polling&sid=${sid}`, { raw, headers: { "content-type": "text/plain" } })).status, 413);

	for (const transports of [["websocket"], ["polling"], ["polling", "websocket"]]) {
		const socket = await connected(t, d, { token: d.admin_token, transports });
		const params = { session_id: "s1", key: "k", value: "x".repeat(200_000) };
		assert.ok((await ask(socket, "canvas", "set_state", params)).ok, transports.join());
	}
});
