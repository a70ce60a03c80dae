// SPDX-License-Identifier: MIT
//
// Events over Socket.IO, by the stock client: over every transport and in both namespaces, with
// connections that break and a daemon that is killed.
import assert from "node:assert/strict";
import { once } from "node:events";
import test from "node:test";

import WebSocket from "ws";

import { base, blind, raw, start, until, within } from "./harness.mjs";
import { ask, connect, connected, cut, jwt, LONG, NAMESPACES, QUICK, refusal, TRANSPORTS, Viewer, viewers_of_all_kinds, with_jwt } from "./socketio.mjs";

const view_token = async (d, session, more = {}) =>
	(await d.admin.post(`${base(session)}/tokens`, { scopes: ["view"], ...more })).json;

const latest = async (d, session) => (await d.admin.get(base(session))).json.latest_seq;

const attached = async (d, session) =>
	Object.fromEntries((await d.admin.list(session)).map((p) => [p.name, p.path]).sort());

const model_of = (viewer) => Object.fromEntries([...viewer.model].sort());

for (const [name, transports] of Object.entries(TRANSPORTS)) {
	for (const nsp of NAMESPACES) {
		test(`a first join is a snapshot, also an empty one, then live: ${name}, ${nsp}`, async (t) => {
			const d = await start(t);
			const viewer = new Viewer(t, d, "s1", { nsp, transports, token: d.admin_token });
			await viewer.joined();
			const [answer] = viewer.joins;
			assert.deepEqual(Object.keys(answer).sort(), ["epoch", "latest_seq", "ok", "recovered", "room"]);
			assert.deepEqual([answer.ok, answer.room, answer.recovered], [true, "session:s1", "snapshot"]);
			assert.match(answer.epoch, /^[0-9a-f]{16}$/);
			const [type, snapshot] = viewer.heard[0];
			assert.equal(type, "preview:snapshot");
			assert.deepEqual([snapshot.session_id, snapshot.attachments, snapshot.epoch], ["s1", [], answer.epoch]);
			assert.equal(snapshot.preview_seq, answer.latest_seq);
			if (name === "upgrade")
				await until(() => viewer.socket.io.engine.transport.name === "websocket", "it is upgraded");

			await d.admin.attach("s1", blind({ name: "web", path: "/a" }));
			await d.admin.detach("s1", "web");
			await viewer.reaches(await latest(d, "s1"));
			assert.deepEqual(viewer.events.map(([n, p]) => [n, p.name]), [
				["web_preview:attached", "web"],
				["web_preview:detached", "web"],
			]);
			assert.deepEqual(viewer.faults, []);
			assert.equal(viewer.socket.io.engine.transport.name, name === "polling" ? "polling" : "websocket");
		});
	}
}

test("in /events an event is in an envelope, and an attach under its own name too", async (t) => {
	const d = await start(t);
	await d.admin.put(base("s1", "shop"), {});
	const viewer = new Viewer(t, d, "s1", { app: "shop", nsp: "/events", token: d.admin_token });
	await viewer.joined();
	await d.admin.attach("s1", blind({ name: "web" }), { app: "shop" });
	await d.admin.del(`${base("s1", "shop")}/previews/web`);
	await viewer.reaches(await (await d.admin.get(base("s1", "shop"))).json.latest_seq);

	const [snapshot, attach, detach] = viewer.envelopes;
	assert.deepEqual(Object.keys(snapshot).sort(), ["app_id", "kind", "payload", "seq", "session_id", "ts", "type"]);
	assert.deepEqual(Object.keys(attach).sort(), ["app_id", "event_id", "kind", "payload", "seq", "session_id", "ts", "type"]);
	const { payload, event_id, ts, seq, ...rest } = attach;
	assert.deepEqual(rest, { type: "web_preview:attached", kind: "session", app_id: "shop", session_id: "s1" });
	assert.equal(seq, snapshot.seq + 1);
	assert.equal(ts, payload.ts);
	assert.match(event_id, /^ev-[0-9a-f]{12}$/);
	assert.notEqual(detach.event_id, event_id);
	assert.deepEqual(viewer.named, [["web_preview:attached", payload]]);
});

test("joining twice is harmless, leaving too; what was kept while away joins twice", async (t) => {
	const d = await start(t);
	const socket = await connected(t, d, { token: d.admin_token });
	const heard = [];
	socket.onAny((name, payload) => heard.push([name, payload.preview_seq]));
	const wish = { app_id: "default", session_id: "s1" };
	const first = await ask(socket, "join_session", wish);
	assert.equal(first.recovered, "snapshot");
	await d.admin.attach("s1", blind());
	const again = await ask(socket, "join_session", wish);
	const third = await ask(socket, "join_session", { ...wish, since: first.latest_seq, epoch: first.epoch });
	assert.deepEqual([again, third].map((a) => [a.ok, a.recovered, a.latest_seq]), [
		[true, "nothing_missed", first.latest_seq + 1],
		[true, "nothing_missed", first.latest_seq + 1],
	]);
	await d.admin.attach("s1", blind({ name: "b" }));
	await ask(socket, "ping");
	assert.deepEqual(heard, [
		["preview:snapshot", first.latest_seq],
		["web_preview:attached", first.latest_seq + 1],
		["web_preview:attached", first.latest_seq + 2],
	]);

	assert.deepEqual(await ask(socket, "leave_session", { session_id: "s1" }), { ok: true });
	assert.deepEqual(await ask(socket, "leave_session", { session_id: "s1" }), { ok: true });
	await d.admin.attach("s1", blind({ name: "c" }));
	await ask(socket, "ping");
	assert.equal(heard.length, 3);
	const back = await ask(socket, "join_session", { ...wish, since: heard[2][1], epoch: first.epoch });
	assert.equal(back.recovered, "replayed");
	await ask(socket, "ping");
	assert.deepEqual(heard.slice(3), [["web_preview:attached", first.latest_seq + 3]]);
});

test("ping is answered; what is malformed or unknown is refused with a code, and the socket stays", async (t) => {
	const d = await start(t, { settings: { "socketio.joins_max": "2" } });
	const socket = await connected(t, d, { token: d.admin_token });
	const { ok, ts } = await ask(socket, "ping");
	assert.ok(ok && !Number.isNaN(Date.parse(ts)), ts);
	const wish = { app_id: "default", session_id: "s1" };
	for (const bad of [
		[],
		[null],
		["s1"],
		[{ ...wish, app_id: "" }],
		[{ ...wish, app_id: 1 }],
		[{ app_id: "default" }],
		[{ ...wish, session_id: "a b" }],
		[{ ...wish, since: -1 }],
		[{ ...wish, since: 1.5 }],
		[{ ...wish, since: "x" }],
		[{ ...wish, since: 1e300 }],
	]) {
		const answer = await ask(socket, "join_session", ...bad);
		assert.deepEqual([answer.ok, answer.code], [false, "invalid_field"], JSON.stringify(bad));
		assert.match(answer.error, /app_id|session_id|since/);
	}
	assert.equal((await ask(socket, "leave_session", {})).code, "invalid_field");
	assert.equal((await ask(socket, "of_the_future", {})).code, "bad_request");
	socket.emit("of_the_future"); // wants no answer, and gets none

	for (const session_id of ["s1", "s2", "s1"]) assert.ok((await ask(socket, "join_session", { ...wish, session_id })).ok);
	const third = await ask(socket, "join_session", { ...wish, session_id: "s3" });
	assert.deepEqual([third.ok, third.code], [false, "too_many_sessions"]);
	assert.equal(await d.metric("previewd_socketio_joins"), 2);
	await ask(socket, "leave_session", { session_id: "s1" });
	assert.ok((await ask(socket, "join_session", { ...wish, session_id: "s3" })).ok);
	socket.disconnect();
	await until(async () => (await d.metric("previewd_socketio_joins")) === 0, "its joins are gone");
	assert.equal(await d.metric("previewd_socketio_sockets"), 0);
});

test("who names no app joins a session of the default one", async (t) => {
	const d = await start(t);
	const socket = await connected(t, d, { token: d.admin_token });
	const heard = [];
	socket.onAny((name, payload) => heard.push([name, payload.app_id]));
	assert.equal((await ask(socket, "join_session", { session_id: "s1" })).ok, true);
	assert.equal((await ask(socket, "join_session", { session_id: "s2", app_id: null })).ok, true);
	await d.admin.attach("s1", blind());
	await ask(socket, "ping");
	assert.deepEqual(heard.at(-1), ["web_preview:attached", "default"]);
});

// Attaches and detaches until told to stop, whatever becomes of the daemon meanwhile.
function workload(d, session, goal) {
	const names = ["a", "b", "c", "d", "e"];
	let done = 0;
	const one = async (random) => {
		const name = names[Math.floor(random() * names.length)];
		try {
			if (random() < 0.6) await d.admin.attach(session, blind({ name, path: `/${done}` }));
			else await d.admin.detach(session, name);
			done++;
		} catch {
			await new Promise((resolve) => setTimeout(resolve, 5)); // it is being started again
		}
	};
	const worker = async () => {
		while (done < goal) await one(Math.random);
	};
	return { finished: Promise.all(Array.from({ length: 8 }, worker)), done: () => done };
}

async function all_agree(d, session, viewers) {
	const seq = await latest(d, session);
	await Promise.all(viewers.map((v) => v.reaches(seq, LONG)));
	const truth = await attached(d, session);
	for (const v of viewers) {
		assert.deepEqual(v.faults, [], `${v.nsp} ${v.socket.io.opts.transports}`);
		assert.equal(v.last, seq);
		assert.deepEqual(model_of(v), truth);
	}
	return seq;
}

test("cut off at random over thousands of events, every model is the truth: no gap, nothing twice", async (t) => {
	const d = await start(t, { settings: { ...QUICK, "limits.per_session": "5" } });
	const viewers = await viewers_of_all_kinds(t, d, "s1");
	const work = workload(d, "s1", 2500);
	let cuts = 0;
	for (let next = 40; next < 2500; next += 40) {
		await until(() => work.done() >= next, "work is done", 60_000);
		cut(viewers[cuts % viewers.length], cuts % 2 === 1);
		cuts++;
	}
	await work.finished;
	const seq = await all_agree(d, "s1", viewers);
	assert.ok(seq > 2000, `${seq} events`);
	assert.ok(cuts > 50);
	const recoveries = viewers.flatMap((v) => v.recoveries);
	assert.ok(recoveries.includes("replayed"), JSON.stringify(recoveries));
	assert.ok(viewers.every((v) => v.recoveries.length > 1), JSON.stringify(viewers.map((v) => v.recoveries)));
});

test("over kill -9 of the daemon: a snapshot in a new epoch, and numbers only grow", async (t) => {
	const d = await start(t, { settings: QUICK });
	const viewers = await viewers_of_all_kinds(t, d, "s1");
	const work = workload(d, "s1", 900);
	for (const at of [200, 400, 600]) {
		await until(() => work.done() >= at, "work is done", 60_000);
		await d.kill();
		await d.start();
	}
	await work.finished;
	await until(async () => viewers.every((v) => v.socket.connected), "all are back", LONG);
	await until(async () => viewers.every((v) => v.epoch === viewers[0].epoch && v.expected === "event"), "all are of one epoch", LONG);
	await all_agree(d, "s1", viewers);
	for (const v of viewers) assert.ok(v.recoveries.filter((r) => r === "snapshot").length >= 2, `${v.recoveries}`);
});

test("two users: nothing crosses", async (t) => {
	const d = await start(t);
	await d.admin.put(base("hers"), { user_id: "ada" });
	await d.admin.put(base("his"), { user_id: "bob" });
	const [ada, bob] = await Promise.all(["hers", "his"].map((s) => view_token(d, s)));
	for (const nsp of NAMESPACES) {
		const a = new Viewer(t, d, "hers", { nsp, token: ada.token });
		const b = new Viewer(t, d, "his", { nsp, token: bob.token });
		await Promise.all([a.joined(), b.joined()]);
		await d.admin.attach("hers", blind({ path: "/hers" }));
		await d.admin.attach("his", blind({ path: "/his", port: 5174 }));
		await a.reaches(await latest(d, "hers"));
		await b.reaches(await latest(d, "his"));
		await Promise.all([ask(a.socket, "ping"), ask(b.socket, "ping")]);
		assert.ok(a.events.length > 0 && a.events.every(([, p]) => p.session_id === "hers"));
		assert.ok(b.events.length > 0 && b.events.every(([, p]) => p.session_id === "his"));
		assert.ok([...a.named, ...b.named].every(([, p], i) => p.path === (i < a.named.length ? "/hers" : "/his")));
	}
});

test("a viewer's token opens its session and no other, by any name", async (t) => {
	const d = await start(t);
	await d.admin.put(base("mine"), { user_id: "ada" });
	await d.admin.put(base("theirs"), { user_id: "bob" });
	await d.admin.put(base("also-mine"), { user_id: "ada" });
	const { token } = await view_token(d, "mine");
	for (const nsp of NAMESPACES) {
		const socket = await connected(t, d, { nsp, token });
		const heard = [];
		socket.onAny((name) => heard.push(name));
		for (const wish of [
			{ app_id: "default", session_id: "theirs" },
			{ app_id: "default", session_id: "also-mine" },
			{ app_id: "default", session_id: "nobody" },
			{ app_id: "other", session_id: "mine" },
		]) {
			const answer = await ask(socket, "join_session", { ...wish, since: 0 });
			assert.deepEqual([answer.ok, answer.code], [false, "session_not_found"], JSON.stringify(wish));
		}
		await d.admin.attach("theirs", blind());
		await ask(socket, "ping");
		assert.deepEqual(heard, []);
		assert.ok((await ask(socket, "join_session", { app_id: "default", session_id: "mine" })).ok);
	}
});

test("a page of another origin is refused, at polling and at the upgrade; an allowed one may read", async (t) => {
	const d = await start(t, { settings: { "cors.origins": "https://app.example.org" } });
	const evil = { origin: "https://evil.example" };
	const target = "/socket.io/?EIO=4&transport=polling";
	const refused = await d.anonymous.get(target, { headers: evil });
	assert.deepEqual([refused.status, refused.json.code], [403, "origin_not_allowed"]);
	assert.equal(refused.headers["access-control-allow-origin"], undefined);
	for (const extraHeaders of [evil, { origin: "null" }]) {
		for (const transports of [["polling"], ["websocket"]]) {
			const error = await refusal(t, d, { transports, extraHeaders, token: d.admin_token });
			assert.match(error.message, /xhr poll error|websocket error/);
		}
	}
	const opened = await d.anonymous.get(target);
	const { sid } = JSON.parse(opened.text.slice(1));
	const socket = new WebSocket(`ws://127.0.0.1:${d.port}/socket.io/?EIO=4&transport=websocket&sid=${sid}`, { headers: evil });
	socket.on("error", () => {});
	const [, answer] = await within(once(socket, "unexpected-response"), "the refusal");
	assert.equal(answer.statusCode, 403);
	answer.resume();

	const good = { origin: "https://app.example.org" };
	for (const path of [target, "/socket.io/?EIO=3&transport=polling", "/socket.io/?EIO=4&transport=polling&sid=nobody"]) {
		const { headers } = await d.anonymous.get(path, { headers: good });
		assert.equal(headers["access-control-allow-origin"], good.origin, path);
		assert.match(headers.vary, /Origin/);
	}
	const preflight = await d.anonymous.request("OPTIONS", target, {
		headers: { ...good, "access-control-request-method": "POST" },
	});
	assert.equal(preflight.status, 204);
	assert.equal(preflight.headers["access-control-allow-origin"], good.origin);
	assert.match(preflight.headers["access-control-allow-methods"], /POST/);
	await connected(t, d, { transports: ["websocket"], extraHeaders: good, token: d.admin_token });
	assert.match(await raw(d.port, `GET ${target} HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n`), /^HTTP\/1.1 421 /);
});

test("a bad credential is connect_error with its code, in both namespaces, and the client stays away", async (t) => {
	const d = await start(t);
	await d.admin.put(base("s1"), {});
	const task = (await d.admin.post(`${base("s1")}/tokens`, { scopes: ["task"] })).json.token;
	for (const nsp of NAMESPACES) {
		for (const [token, code] of [[undefined, "unauthenticated"], ["wrong", "token_invalid"], [7, /unauthenticated|token_invalid/], [task, "forbidden"]]) {
			const error = await refusal(t, d, { nsp, token, reconnection: true });
			assert.match(error.data.code, new RegExp(code), `${token}`);
			assert.ok(error.message.length > 5);
			assert.equal(error.active, false);
		}
	}
	const nowhere = await refusal(t, d, { nsp: "/admin", token: d.admin_token });
	assert.equal(nowhere.message, "Invalid namespace");
});

test("the credential may be a field of the request, or the unix socket's peer; the payload's goes before", async (t) => {
	const d = await start(t);
	const extraHeaders = { authorization: `Bearer ${d.admin_token}` };
	for (const transports of Object.values(TRANSPORTS)) await connected(t, d, { transports, extraHeaders });
	const error = await refusal(t, d, { extraHeaders, token: "wrong" });
	assert.equal(error.data.code, "token_invalid");
	assert.equal((await refusal(t, d, { extraHeaders: { authorization: "Basic eA==" } })).data.code, "token_invalid");

	const opened = await d.local.get("/socket.io/?EIO=4&transport=polling");
	const { sid } = JSON.parse(opened.text.slice(1));
	const session = `/socket.io/?EIO=4&transport=polling&sid=${sid}`;
	await d.local.request("POST", session, { raw: "40", headers: { "content-type": "text/plain" } });
	assert.match((await d.local.get(session)).text, /^40\{"sid":"/);
});

test("a token that is revoked closes the transport; the client comes back and is told why", async (t) => {
	const d = await start(t);
	await d.admin.put(base("s1"), {});
	for (const transports of [["websocket"], ["polling"]]) {
		const { token, token_id } = await view_token(d, "s1");
		const viewer = new Viewer(t, d, "s1", { transports, token });
		const other = new Viewer(t, d, "s1", { transports, token: d.admin_token });
		await Promise.all([viewer.joined(), other.joined()]);
		const end = within(once(viewer.socket, "disconnect"), "the end");
		const why = within(once(viewer.socket, "connect_error"), "why");
		assert.ok((await d.admin.del(`${base("s1")}/tokens/${token_id}`)).status < 300);
		await d.admin.attach("s1", blind());
		assert.notEqual((await end)[0], "io server disconnect");
		assert.equal((await why)[0].data.code, "token_invalid");
		await other.reaches(await latest(d, "s1"));
		assert.deepEqual(viewer.events, []);
	}
});

test("a session joined before it was there, that comes to be another's, is not heard", async (t) => {
	const d = await with_jwt(t);
	const exp = Math.floor(Date.now() / 1000) + 600;
	const token = await jwt({ sub: "ada", scope: "view session:create", exp });
	for (const nsp of NAMESPACES) {
		const session = `s${nsp.length}`;
		const viewer = new Viewer(t, d, session, { nsp, token });
		await viewer.joined();
		await d.admin.put(base(session), { user_id: "bob" });
		await d.admin.attach(session, blind());
		assert.equal((await ask(viewer.socket, "ping")).ok, true);
		assert.deepEqual([viewer.events, viewer.named], [[], []]);
		const again = await ask(viewer.socket, "join_session", { app_id: "default", session_id: session });
		assert.equal(again.code, "session_not_found");
	}
});

test("a token that expires closes the transport; the client comes back and is told why", async (t) => {
	const d = await with_jwt(t);
	const exp = Math.floor(Date.now() / 1000) + 5;
	const token = await jwt({ sub: "ada", scope: "view session:create", exp });
	const viewer = new Viewer(t, d, "s1", { token });
	await viewer.joined();
	const why = within(once(viewer.socket, "connect_error"), "why");
	const [reason] = await within(once(viewer.socket, "disconnect"), "the end");
	assert.ok(Date.now() >= exp * 1000 - 20);
	assert.equal(reason, "transport close");
	assert.equal((await why)[0].data.code, "token_expired");
});

test("a client that does not read is cut off while the others go on, over either transport", async (t) => {
	const d = await start(t, { settings: { "events.buffer": "64K" } });
	const good = new Viewer(t, d, "s1", { token: d.admin_token });
	await good.joined();
	const polling = "/socket.io/?EIO=4&transport=polling";
	const { sid } = JSON.parse((await d.anonymous.get(polling)).text.slice(1));
	const session = `${polling}&sid=${sid}`;
	const join = '420["join_session",{"app_id":"default","session_id":"s1"}]';
	const text = { "content-type": "text/plain" };
	await d.anonymous.request("POST", session, { raw: `40{"token":"${d.admin_token}"}\x1e${join}`, headers: text });

	const deaf = new WebSocket(`ws://127.0.0.1:${d.port}/socket.io/?EIO=4&transport=websocket`);
	const messages = [];
	deaf.on("message", (m) => messages.push(m.toString()));
	deaf.on("error", () => {});
	await once(deaf, "open");
	deaf.send(`40{"token":"${d.admin_token}"}`);
	deaf.send(join);
	await until(() => messages.some((m) => m.startsWith("430[")), "it has joined");
	deaf.pause();
	t.after(() => deaf.terminate());

	await until(
		async () => {
			const turn = Array.from({ length: 32 }, () => d.admin.attach("s1", blind({ path: `/${"x".repeat(500)}` })));
			assert.ok((await Promise.all(turn)).every((answer) => answer.status < 300));
			const ended = (await d.metric("previewd_websocket_slow_closed_total")) + (await d.metric("previewd_socketio_slow_closed_total"));
			return ended === 2;
		},
		"both are cut off",
		60_000,
	);
	await good.reaches(await latest(d, "s1"));
	assert.deepEqual(good.faults, []);
	assert.equal(good.recoveries.length, 1);
	assert.equal((await d.anonymous.get(session)).status, 400);
	await until(async () => (await d.metric("previewd_socketio_joins")) === 1, "only the good one is left");
});

test("Socket.IO's clients count for events.streams_max, and may come when there is room", async (t) => {
	const d = await start(t, { settings: { "events.streams_max": "2" } });
	const one = await connected(t, d, { token: d.admin_token });
	const two = await connected(t, d, { token: d.admin_token, transports: ["polling"] });
	assert.ok((await ask(two, "ping")).ok);
	const third = await d.anonymous.get("/socket.io/?EIO=4&transport=polling");
	assert.deepEqual([third.status, third.json.code], [429, "too_many_streams"]);
	assert.ok(third.headers["retry-after"]);
	const waiting = connect(t, d, { token: d.admin_token });
	await within(once(waiting, "connect_error"), "the refusal");
	const back = within(once(waiting, "connect"), "it is let in");
	one.disconnect();
	await back;
});

test("draining closes the transports, so that the clients come back where there is a daemon", async (t) => {
	const d = await start(t, { settings: QUICK });
	const viewers = await viewers_of_all_kinds(t, d, "s1");
	await d.admin.attach("s1", blind());
	await Promise.all(viewers.map(async (v) => v.reaches(await latest(d, "s1"))));
	const ends = viewers.map((v) => within(once(v.socket, "disconnect"), "the end"));
	const { code } = await d.stop();
	assert.equal(code, 0);
	for (const [reason] of await Promise.all(ends)) assert.notEqual(reason, "io server disconnect");
	await d.start();
	await until(async () => viewers.every((v) => v.recoveries.length >= 2), "all are back", LONG);
	await d.admin.detach("s1");
	await all_agree(d, "s1", viewers);
});

test("stopped at once with clients of every kind, it ends as it should", async (t) => {
	const d = await start(t, { settings: QUICK });
	const viewers = await viewers_of_all_kinds(t, d, "s1");
	d.child.signal("SIGTERM");
	d.child.signal("SIGTERM");
	const { code } = await within(d.child.exited, "the daemon's end");
	assert.equal(code, 0);
	for (const v of viewers) v.socket.disconnect();
});

test("the heartbeat is set by socketio.ping_interval and socketio.ping_timeout, the payload by max_payload", async (t) => {
	const settings = { "socketio.ping_interval": "1s", "socketio.ping_timeout": "1s", "socketio.max_payload": "2K" };
	const d = await start(t, { settings });
	const socket = await connected(t, d, { token: d.admin_token });
	const opened = JSON.parse((await d.anonymous.get("/socket.io/?EIO=4&transport=polling")).text.slice(1));
	assert.deepEqual([opened.pingInterval, opened.pingTimeout, opened.maxPayload], [1000, 1000, 2048]);
	await within(new Promise((resolve) => socket.io.once("ping", resolve)), "a ping");
	assert.ok((await ask(socket, "ping")).ok);
	await until(async () => (await d.metric("previewd_socketio_sessions")) === 1, "the one that answers no ping is dropped");
	const end = within(once(socket, "disconnect"), "the end");
	socket.emit("ping", "x".repeat(3000));
	await end;
});
