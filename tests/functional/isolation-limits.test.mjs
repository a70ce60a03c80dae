// SPDX-License-Identifier: MIT
//
// What all share, nobody fills: of each table one tenant takes a share, and another finds a place.
import assert from "node:assert/strict";
import net from "node:net";
import test from "node:test";

import * as events from "./events.mjs";
import { base, blind, defer, raw, temp_dir, until } from "./harness.mjs";
import { publish, write_files } from "./publishing.mjs";
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

/*
 * What we parse ourselves, at n and as much as a request may hold.  That the work grows with the
 * size and no faster is measured by hand; here others must be answered while it is done.
 */
const list = (n, text) => Array.from({ length: n }, (_, i) => text(i));
const members = (n) => Object.fromEntries(list(n, (i) => [`m${i}`, i]));

test("input made to be slow: it is answered or refused, and so are others meanwhile", async (t) => {
	const { d, ada } = await two(t, { "server.trusted_proxies": "127.0.0.1", "preview.public_url_template": "https://{label}.a.b.example", "publish.visibility": "public" });
	const built = await publish(d, "ada", { workdir: write_files(temp_dir(t), { "index.html": "x", "a.js": "y".repeat(50_000) }) });
	const { label } = (await d.local.post(`${base("ada")}/previews`, blind())).json;
	const file = `${built.url}a.js`;
	const api = d.api(ada);
	const get = (target, headers = {}) => () => api.get(target, { headers });
	const edge = (headers) => () => d.anonymous.get("/edge/verify", { headers: { "x-forwarded-host": `${label}.a.b.example`, ...headers } });
	const put = (body) => () => api.put(base("ada"), body);
	const text = (raw) => () => api.post(`${base("ada")}/previews`, undefined, { raw });
	const act = (action, params) => () => api.post(`${base("ada")}/canvas/${action}`, params);
	const rows = {
		"Range: parts": get(file, { range: `bytes=${list(1400, (i) => `${3 * i}-${3 * i}`).join()}` }),
		"Range: the same part": get(file, { range: `bytes=${list(2500, () => "0-9").join()}` }),
		"Range: blanks": get(file, { range: `bytes=0-1${", ".repeat(6000)}2-3` }),
		"If-None-Match": get(file, { "if-none-match": list(1500, (i) => `"${i}"`).join() }),
		"If-None-Match at the panel": get("/ui/web-preview.js", { "if-none-match": list(1500, (i) => `"${i}"`).join() }),
		"Accept-Encoding": get(file, { "accept-encoding": list(1200, (i) => `c${i};q=0.1`).join() }),
		"Accept-Encoding at the panel": get("/ui/web-preview.js", { "accept-encoding": list(1200, () => "gzip;q=0").join() }),
		"Accept of MCP": () => api.post("/mcp", { jsonrpc: "2.0", id: 1, method: "initialize", params: {} }, { headers: { accept: "text/event-strea,".repeat(700) } }),
		"Cookie: pairs": edge({ cookie: list(2000, (i) => `c${i}=v`).join("; ") }),
		"Cookie: passes": edge({ cookie: list(600, () => "previewd-edge=9999999999.a").join("; ") }),
		"Cookie: semicolons": edge({ cookie: ";".repeat(14_000) }),
		"X-Forwarded-For": get("/api/previews", { "x-forwarded-for": list(1200, () => "127.0.0.1").join() }),
		"X-Forwarded-Host": edge({ "x-forwarded-host": `${"a.".repeat(6000)}a.b.example` }),
		"X-Forwarded-Uri": edge({ "x-forwarded-uri": `/.previewd/open?${"code=&".repeat(2000)}` }),
		"Host": get("/", { host: `${"a.".repeat(6000)}localhost` }),
		"query: pairs": get(`/api/previews?${"a=b&".repeat(1900)}limit=5`),
		"query: percent": get(`/api/apps/default/web-preview?session_id=s&name=${"%61".repeat(2500)}`),
		"query: filters": get(`/ws/events?event_types=${"a,".repeat(3900)}`),
		"path: segments": get(`${built.url}${"a/".repeat(3900)}`),
		"path: percent": get(`${built.url}${"%61".repeat(2500)}`),
		"path: dots": get(`${built.url}${"%2e%2e/".repeat(1000)}`),
		"path: its base again and again": get(`${built.url}${built.url.slice(1).repeat(150)}x`),
		"path: names and tokens": get(`${built.url}${"@a/~b/".repeat(1200)}`),
		"token: dots": () => d.api("a.".repeat(7000)).get("/api/previews"),
		"token: underscores": () => d.api(`pvt_${"_".repeat(14_000)}`).get("/api/previews"),
		"token: base64": () => d.api(`${"A".repeat(7000)}.${"A".repeat(6000)}.A`).get("/api/previews"),
		"JSON: members": text(JSON.stringify(members(60_000))),
		"JSON: members that differ at their end": text(JSON.stringify(Object.fromEntries(list(4000, (i) => [`${"a".repeat(200)}${i}`, i])))),
		"JSON: items": text(JSON.stringify(list(400_000, () => 1))),
		"JSON: depth": text(`{"a":${"[".repeat(400_000)}${"]".repeat(400_000)}}`),
		"JSON: objects in objects": text(`${'{"a":'.repeat(150_000)}1${"}".repeat(150_000)}`),
		"JSON: escapes": text(`{"name":"${"\\u0061".repeat(160_000)}"}`),
		"JSON: surrogates": text(`{"name":"${"\\ud83d\\ude00".repeat(80_000)}"}`),
		"JSON: numbers": text(JSON.stringify({ port: list(50_000, () => 0.1234567890123456) })),
		"JSON: a digit too many": text(`{"port":${"9".repeat(900_000)}}`),
		"meta": put({ meta: members(1300) }),
		"canvas: a list": () => api.post(`${base("ada")}/canvas`, list(900, (i) => ({ action: "set_state", params: { key: `k${i}`, value: i } }))),
		"canvas: a list that fails at its end": () => api.post(`${base("ada")}/canvas`, [...list(900, (i) => ({ action: "push_node", params: { id: `n${i}`, label: "x" } })), { action: "remove_node", params: {} }]),
		"canvas: patch": act("patch_state", { patch: members(900) }),
		"MCP: an id": () => api.post("/mcp", { jsonrpc: "2.0", id: "x".repeat(500_000), method: "ping" }, { headers: { accept: "application/json" } }),
		"tokens: scopes": () => api.post(`${base("ada")}/tokens`, { scopes: list(100_000, () => "view") }),
		"chunks of a byte": () => raw(d.port, `POST ${base("ada")}/previews HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer ${ada}\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n${"1\r\n \r\n".repeat(100_000)}0\r\n\r\n`).then((answer) => ({ status: Number(answer.split(" ")[1]) })),
		"requests in one go": () => raw(d.port, `${"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(1500)}GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`).then((answer) => ({ status: Number(answer.split(" ")[1]) })),
	};
	for (const [what, ask] of Object.entries(rows)) {
		const asked = list(3, () => ask().catch((e) => ({ status: 400, error: e.code }))); // the connection may be closed on what is refused
		const other = await d.anonymous.get("/healthz");
		assert.equal(other.status, 200, what);
		for (const answer of await Promise.all(asked)) assert.ok(answer.status >= 200 && answer.status < 500, `${what}: ${answer.status} ${answer.text}`);
	}
	assert.equal((await d.local.get(base("ada"))).status, 200);
});

test("event streams: who shows no credential and answers no close holds no place either", async (t) => {
	const { d, ada } = await two(t, { "events.streams_max": 4 });
	const open = () =>
		new Promise((resolve, reject) => {
			const socket = net.connect(d.port, "127.0.0.1");
			defer(t, () => socket.destroy());
			socket.on("error", reject).once("data", () => (socket.pause(), resolve(socket)));
			socket.write("GET /ws/events?session_id=ada HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n");
		});
	const silent = [await open(), await open(), await open(), await open()];
	for (const socket of silent) socket.write(Buffer.from([0x81, 0x80 | 25, 0, 0, 0, 0, ...Buffer.from('{"type":"auth","token":1}')])); // refused, and told to close
	const streams = [];
	for (let i = 0; i < 4; i++) streams.push(await events.join(d, "ada", {}, { token: ada }));
	for (const stream of streams) await stream.flush();
});
