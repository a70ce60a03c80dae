// SPDX-License-Identifier: MIT
//
// What is used is kept, what is not goes, and a server's end is told: with real servers, and with
// the settings shortened, never the rules.
import assert from "node:assert/strict";
import { once } from "node:events";
import http from "node:http";
import test from "node:test";
import WebSocket from "ws";

import { Child, base, blind, defer, free_port, is_root, previewctl, run, start, temp_dir, until } from "./harness.mjs";
import * as events from "./events.mjs";
import * as targets from "./targets.mjs";

const brief = { "reaper.interval": "1s", "reaper.idle": "4s", "reaper.warning": "2s", "activity.sample": "1s" };

const preview = (name = "default", session = "s1") => `${base(session)}/previews/${name}`;
const why = async (d, name) => (await d.admin.get(`${preview(name)}/why`)).json;
const get = async (d, name) => (await d.admin.get(preview(name))).json;

// "python3 -m http.server", in a directory of its own unless told.
async function python(t, { port, cwd, wrap = [] } = {}) {
	port ??= await free_port();
	const argv = [...wrap, "python3", "-m", "http.server", String(port), "--bind", "127.0.0.1"];
	return { port, child: new Child(t, argv, { cwd: cwd ?? temp_dir(t) }) };
}

// The page as a browser has it open: its HMR socket, and the client's pings, only more often.
async function open_hmr(t, port, every = 200) {
	const client = await (await fetch(`http://localhost:${port}/@vite/client`)).text();
	const [, token] = /wsToken = "([^"]+)"/.exec(client);
	const socket = new WebSocket(`ws://localhost:${port}/?token=${token}`, "vite-hmr");
	socket.on("error", () => {});
	await once(socket, "open");
	const pinging = setInterval(() => socket.send('{"type":"ping"}'), every);
	defer(t, () => {
		clearInterval(pinging);
		socket.terminate();
	});
	return socket;
}

function every(t, interval, act) {
	let acting = Promise.resolve();
	const timer = setInterval(() => (acting = acting.then(act)), interval);
	const stop = async () => {
		clearInterval(timer);
		await acting;
	};
	defer(t, stop);
	return stop;
}

// As large as a browser's: on a kept-alive connection it goes by size.
const headers = { "user-agent": `Mozilla/5.0 (X11; Linux x86_64) ${"like a browser ".repeat(10)}`, accept: "text/html" };

function request(port, agent) {
	return new Promise((resolve, reject) => {
		const req = http.get({ host: "localhost", port, path: "/", agent, headers }, (res) => {
			res.resume();
			res.on("end", resolve);
		});
		req.on("error", reject);
	});
}

const detached = (name) => (p) => p.name === name;

test("a Vite whose HMR socket only pings is warned of and reaped, and one that is used is kept", { timeout: 60_000 }, async (t) => {
	const d = await start(t, { settings: brief });
	const [passive, used] = [await targets.vite(t), await targets.vite(t)];
	assert.ok((await passive.ready()) && (await used.ready()));
	const stream = await events.join(d, "s1");

	// A browser's kept-alive connection: no new one to go by.
	const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
	defer(t, () => agent.destroy());
	assert.equal((await d.admin.attach("s1", { port: used.port, name: "used" })).status, 201);
	every(t, 500, () => request(used.port, agent));

	const hmr = await open_hmr(t, passive.port);
	assert.equal((await d.admin.attach("s1", { port: passive.port, name: "passive" })).status, 201);
	await until(async () => (await get(d, "passive")).activity === "passive", "it is passive");

	const warning = await stream.event("web_preview:idle_warning", detached("passive"));
	assert.ok(warning.payload.idle_seconds >= 2, JSON.stringify(warning));
	const end = await stream.event("web_preview:detached", detached("passive"));
	assert.equal(end.payload.reason, "idle");
	assert.equal(hmr.readyState, WebSocket.OPEN, "it was connected all the time");
	// reaps_at is the sweep that did it
	const late = Date.parse(end.payload.ts) - Date.parse(warning.payload.reaps_at);
	assert.ok(Math.abs(late) < 900, `${late} ms after reaps_at`);

	assert.equal((await get(d, "used")).activity, "active");
	assert.equal((await why(d, "used")).last_reset.by, "traffic");
	assert.equal(await d.metric("previewd_reaped_total"), 1);
});

test("a touch, or one short request between two samples, keeps a preview", { timeout: 60_000 }, async (t) => {
	// The samples of the sweeps remain; curl has come and gone between them.
	const d = await start(t, { settings: { ...brief, "activity.sample": "1h" } });
	const servers = [await python(t), await python(t), await python(t)];
	const names = ["idle", "touched", "curled"];
	const stream = await events.join(d, "s1");
	for (const [i, name] of names.entries())
		assert.equal((await d.admin.attach("s1", { port: servers[i].port, name })).status, 201);

	await stream.event("web_preview:idle_warning", detached("touched"));
	assert.equal((await d.admin.post(`${preview("touched")}/touch`)).json.idle_seconds, 0);
	await stream.event("web_preview:idle_warning", detached("curled"));
	const { code } = await run(t, ["curl", "-s", "-o", "/dev/null", `http://127.0.0.1:${servers[2].port}/`]);
	assert.equal(code, 0);
	await until(async () => (await why(d, "curled"))?.last_reset.by === "traffic", "the kernel has told of it");
	assert.equal((await why(d, "touched")).last_reset.by, "touch");

	const end = await stream.event("web_preview:detached", detached("idle"));
	assert.equal(end.payload.reason, "idle");
	assert.deepEqual(await d.admin.names("s1"), ["curled", "touched"]);

	// And in the end they go, too: the clock began anew, no more.
	await stream.event("web_preview:detached", detached("curled"));
	await stream.event("web_preview:detached", detached("touched"));
});

test("the daemon's own probes are no use", async (t) => {
	const d = await start(t, { settings: { "activity.sample": "1s" } });
	const server = await targets.http_server(t);
	const samples = () => d.metric("previewd_activity_sample_duration_seconds_count");
	assert.equal((await d.admin.attach("s1", { port: server.port, name: "a" })).status, 201);
	await until(async () => (await samples()) >= 1, "it was looked at");

	for (const name of ["b", "c"]) assert.equal((await d.admin.attach("s1", { port: server.port, name })).status, 201);
	const before = await samples();
	await until(async () => (await samples()) >= before + 1, "it was looked at again");
	assert.equal(server.seen.length, 3);
	assert.equal((await why(d, "a")).last_reset.by, "attach");

	await fetch(`http://127.0.0.1:${server.port}/`, { headers: { connection: "close" } });
	await until(async () => (await why(d, "a")).last_reset.by === "traffic", "a viewer is told from them");
});

test("why names the viewers, the last use, the end and what would keep it", async (t) => {
	const d = await start(t);
	const server = await targets.http_server(t);
	await d.admin.attach("s1", { port: server.port });
	const before = await why(d);
	assert.deepEqual(before.sockets, []);
	assert.equal(before.seen_by_kernel, true);
	assert.equal(before.last_reset.by, "attach");
	assert.equal(before.idle_limit_seconds, 1800);
	assert.match(before.explanation.join(" "), /Nobody is connected\. It is detached at .* unless/);
	const ahead = Date.parse(before.reaps_at) - Date.now();
	assert.ok(ahead > 1790_000 && ahead < 2400_000, before.reaps_at);

	const agent = new http.Agent({ keepAlive: true });
	defer(t, () => agent.destroy());
	await request(server.port, agent);
	const seen = await until(async () => {
		const w = await why(d);
		return w.sockets.length === 1 && w;
	}, "the viewer is seen");
	assert.match(seen.sockets[0].peer, /^(127\.0\.0\.1|\[::1\]):\d+$/);
	assert.ok(seen.sockets[0].bytes_received > 20 && seen.sockets[0].bytes_sent > 20);
	assert.equal(seen.sockets[0].probe, false);

	const { stdout, code } = await run(t, [previewctl(), "--socket", d.socket, "--session", "s1", "why"]);
	assert.equal(code, 0);
	assert.match(stdout, /detached at/);
	assert.ok(stdout.includes(seen.sockets[0].peer), stdout);
});

test("where the kernel cannot see, why says so and the clock runs on touch", { timeout: 60_000 }, async (t) => {
	const d = await start(t, { settings: { ...brief, "preview.allow_hosts": "192.0.2.1,127.0.0.1" } });
	const stream = await events.join(d, "s1");
	await d.admin.attach("s1", blind({ host: "192.0.2.1" }));
	const w = await why(d);
	assert.equal(w.seen_by_kernel, false);
	assert.equal(w.status, "unknown");
	assert.match(w.explanation.join(" "), /only a touch counts/);
	await d.admin.post(`${preview()}/touch`);
	assert.equal((await why(d)).last_reset.by, "touch");
	const end = await stream.event("web_preview:detached");
	assert.equal(end.payload.reason, "idle");
});

test("what is pinned stays, over a restart and a new attach, until it is unpinned", { timeout: 60_000 }, async (t) => {
	const d = await start(t, { settings: brief });
	const ctl = (...args) => run(t, [previewctl(), "--socket", d.socket, "--session", "s1", ...args]);
	for (const name of ["pinned", "witness"]) await d.admin.attach("s1", blind({ name }));
	assert.equal((await ctl("pin", "pinned")).code, 0);
	assert.equal((await get(d, "pinned")).pinned, true);
	assert.equal((await get(d, "pinned")).reaps_at, null);

	await d.kill();
	await d.start();
	const stream = await events.join(d, "s1");
	assert.equal((await d.admin.attach("s1", blind({ name: "pinned", path: "/again" }))).status, 200);
	await stream.event("web_preview:detached", detached("witness"));
	const kept = await get(d, "pinned");
	assert.deepEqual([kept.pinned, kept.path], [true, "/again"]);
	assert.match((await why(d, "pinned")).explanation.join(" "), /pinned/);

	assert.equal((await ctl("unpin", "pinned")).code, 0);
	assert.equal((await why(d, "pinned")).last_reset.by, "unpin");
	await stream.event("web_preview:idle_warning", detached("pinned"));
	const end = await stream.event("web_preview:detached", (p) => p.name === "pinned" && p.reason === "idle");
	assert.ok(end);
	assert.equal((await d.admin.post(`${preview("pinned")}/pin`)).status, 404);
});

test("a killed server is down at once, and up again when it is back", async (t) => {
	const d = await start(t);
	const cwd = temp_dir(t);
	const first = await python(t, { cwd });
	assert.equal((await d.admin.attach("s1", { port: first.port })).json.status, "up");
	await until(async () => (await get(d)).owner.pid, "its process is known");
	const stream = await events.join(d, "s1");

	const killed = performance.now();
	first.child.signal("SIGKILL");
	const down = await stream.event("web_preview:down");
	const took = performance.now() - killed;
	assert.deepEqual([down.payload.name, down.payload.port, down.payload.reason], ["default", first.port, "closed"]);
	assert.ok(took < 1000, `${took} ms: the next sample would have been later`);
	assert.equal((await get(d)).status, "down");
	assert.equal((await get(d)).owner, null);

	// In a shell of its own, as agents restart theirs, but at work in the same directory.
	const again = await python(t, { port: first.port, cwd, wrap: ["setsid"] });
	const up = await stream.event("web_preview:up");
	assert.equal(up.payload.name, "default");
	await until(async () => (await get(d)).owner?.pid, "the new process is known");
	assert.equal((await get(d)).status, "up");
	assert.ok(again.child.running);
});

test("one of two listeners' end is no down, and a restart in place neither", async (t) => {
	const d = await start(t, { settings: { "activity.down_grace": "2s" } });
	const port = await free_port();
	const v4 = await targets.http_server(t, undefined, { port });
	const v6 = await targets.http_server(t, undefined, { port, host: "::1", ipv6Only: true });
	await d.admin.attach("s1", { port });
	const stream = await events.join(d, "s1");

	await v6.close_now();
	await v4.close_now();
	const next = await targets.http_server(t, undefined, { port });
	// What would be said of it is said before this one's end, two graces later.
	const other = await targets.http_server(t);
	await d.admin.attach("s1", { port: other.port, name: "other" });
	await other.close_now();
	const down = await stream.event("web_preview:down");
	assert.equal(down.payload.name, "other");
	assert.equal((await get(d)).status, "up");
	await next.close_now();
	await stream.event("web_preview:down", (p) => p.name === "default");
});

test("a port that another process tree takes is down, owner_changed, until it is attached anew", async (t) => {
	const template = "https://{label}.preview.localhost";
	const d = await start(t, { settings: { "server.trusted_proxies": "127.0.0.1", "preview.public_url_template": template, "edge.visibility": "unlisted" } });
	const first = await python(t);
	const { label } = (await d.admin.attach("s1", { port: first.port })).json;
	const edge = () => d.anonymous.get("/edge/verify", { headers: { host: "localhost", "x-forwarded-host": template.slice(8).replace("{label}", label) } });
	assert.equal((await edge()).status, 200);
	await until(async () => (await get(d)).owner.pid, "its process is known");
	const stream = await events.join(d, "s1");

	await first.child.kill();
	await stream.event("web_preview:down", (p) => p.reason === "closed");
	assert.match((await edge()).text, /is down/);
	await python(t, { port: first.port, wrap: ["setsid"] }); // elsewhere
	await stream.event("web_preview:down", (p) => p.reason === "owner_changed");
	assert.equal((await get(d)).status, "down");
	assert.match((await edge()).text, /another's server/);
	assert.match((await why(d)).explanation.join(" "), /not the one attached/);

	assert.equal((await d.admin.attach("s1", { port: first.port })).json.status, "up");
	assert.equal((await edge()).status, 200);
});

const as_root = { skip: is_root ? false : "needs root" };
test("a port that another uid takes is down, owner_changed", as_root, async (t) => {
	const d = await start(t);
	const first = await targets.http_server(t);
	await d.admin.attach("s1", { port: first.port });
	const stream = await events.join(d, "s1");

	await first.close_now();
	await stream.event("web_preview:down", (p) => p.reason === "closed");
	const program = `process.setgid(65534); process.setuid(65534);
		require("http").createServer().listen(${first.port}, "127.0.0.1")`;
	new Child(t, [process.execPath, "-e", program]);
	await stream.event("web_preview:down", (p) => p.reason === "owner_changed");
	const { owner, status } = await get(d);
	assert.deepEqual([status, owner.uid, owner.pid], ["down", 65534, null]);
	assert.equal(stream.events.filter((e) => e.event_type === "web_preview:up").length, 0);
});
