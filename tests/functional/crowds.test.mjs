// SPDX-License-Identifier: MIT
//
// Those who hold what others want, connections and memory, without asking anything or without a
// credential.
import assert from "node:assert/strict";
import { once } from "node:events";
import net from "node:net";
import test from "node:test";
import WebSocket from "ws";

import { base, blind, defer, start, until, within } from "./harness.mjs";
import * as events from "./events.mjs";
import { ask, connected } from "./socketio.mjs";

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

test("who has shown a credential, as a proxy does for its clients, stays where strangers come from everywhere", async (t) => {
	const d = await start(t, { settings: { "server.connections_max": "20" } });
	const known = Array.from({ length: 5 }, () => idle(t, d, "127.0.0.1"));
	const ask_on = async (socket) => {
		const answer = once(socket, "data");
		socket.write(`GET /api/credential HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer ${d.admin_token}\r\n\r\n`);
		assert.match(String((await within(answer, "the answer"))[0]), /^HTTP\/1\.1 200 /);
	};
	for (const socket of known) await ask_on(socket);
	const strangers = Array.from({ length: 60 }, (_, i) => idle(t, d, `127.0.1.${i + 1}`));
	await until(() => strangers.filter((s) => s.destroyed).length >= 45, "the strangers have given way");
	for (const socket of known) await ask_on(socket);
	assert.equal(await d.metric("previewd_http_connections_refused_total"), 0);
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
