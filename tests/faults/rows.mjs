// SPDX-License-Identifier: MIT
//
// The faults: each row does something to a daemon in the middle of its day, and says how often.  What
// is looked at during and after it is the same for all (Day.check, World.end); a row adds what is its own.
import fs from "node:fs";
import net from "node:net";
import path from "node:path";
import WebSocket from "ws";

import { fill, small_disk } from "../functional/disks.mjs";
import * as events from "../functional/events.mjs";
import { base, blind, until, within } from "../functional/harness.mjs";
import { is_alive, parent_of } from "../functional/processes.mjs";
import { write_files } from "../functional/publishing.mjs";
import * as targets from "../functional/targets.mjs";
import * as shim from "./control.mjs";
import { sleep } from "./world.mjs";

const PROMPT = 5_000; // others are answered within this whatever else goes on; nothing is expected to take it

// Others' requests go on meanwhile, and are answered.
async function others_go_on(w, n = 40) {
	await w.day.until_done(n);
	w.expect(w.day.longest < PROMPT, `an answer took ${Math.round(w.day.longest)} ms`);
}

async function kill_at_random(w, n) {
	for (w.tried = 0; w.tried < n; w.tried++) {
		w.day.start();
		await sleep(20 + w.random() * 250);
		await w.killed();
	}
}

// One thing after the other, so that the n-th step is the same one each time; a restart after each.
async function kill_at_each_step(w, { scope, turn, most }) {
	const { control } = w;
	control.arm(shim.NOTHING, { scope });
	const from = control.steps;
	await turn();
	const n_steps = control.steps - from;
	w.expect(n_steps > 3, `only ${n_steps} steps were seen`);
	const stride = Math.max(1, Math.ceil((2 * n_steps) / most));
	for (let i = Math.floor(w.random() * stride); i < 2 * n_steps; i += stride) {
		control.arm(i % 2 ? shim.KILL_TORN : shim.KILL, { countdown: i >> 1, scope });
		await turn();
		control.rest();
		w.tried++;
		// The last step may fall away where something else needed none this time.
		await w.killed({ by_us: w.d.child.running && !(await ends(w)) });
	}
	// Undisturbed it sets right what the others left half done.
	await turn();
}

async function ends(w) {
	return Promise.race([w.d.child.exited.then(() => true), sleep(50).then(() => false)]);
}

const store_turn = (w) => async () => {
	const [a, b] = [w.day.thing("s0", "a"), w.day.thing("s0", "b")];
	for (const step of [() => w.day.attach(a), () => w.day.attach(b), () => w.day.attach(a), () => w.day.detach(b), () => w.day.detach(a)]) if (!(await step())) return;
};

const publish_turn = (w) => () => w.day.publish(w.day.thing("s0", "published"));

// A store that fails for a while: it is said, nothing is half done, and it is well again by itself.
async function failing_store(w, how, { then_kill = false, rounds = 3 } = {}) {
	for (let i = 0; i < rounds; i++) {
		w.day.start();
		await w.day.until_done(20);
		const refused = w.day.answers.refused;
		const failed = w.control.get("failed");
		w.control.arm(shim.FAIL, { ...how, countdown: Math.floor(w.random() * 20) });
		await until(() => w.control.get("failed") > failed, "the store was hit");
		if (how.times === undefined) {
			await until(async () => (await w.d.anonymous.get("/readyz")).status === 503, "/readyz says so");
			await until(() => w.day.answers.refused > refused + 5, "it is refused");
			w.expect((await w.d.anonymous.get("/healthz")).status === 200, "/healthz is not well");
		}
		w.tried++;
		if (then_kill) await w.killed();
		else await w.settle();
	}
	w.day.start();
	await w.day.until_done(30);
}

// A server that is probed, by what it does with who has connected.
function target(w, on_connection) {
	const sockets = new Set();
	const server = net.createServer((socket) => {
		sockets.add(socket);
		socket.on("error", () => {});
		socket.on("close", () => sockets.delete(socket));
		socket.resume();
		on_connection(socket);
	});
	server.stop = () => {
		for (const socket of sockets) socket.destroy();
		server.close();
	};
	w.after(server.stop);
	return new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(server)));
}

const endless = (head, piece, msec) => (socket) => {
	socket.write(head);
	const go = () => {
		if (socket.destroyed) return;
		if (msec) socket.write(piece, () => setTimeout(go, msec));
		else while (socket.write(piece)) if (socket.destroyed) return;
	};
	if (!msec) socket.on("drain", go);
	go();
};

// Attaches to each kind of bad server, eight at once, while the day goes on.
async function bad_target(w, on_connection) {
	const server = await target(w, on_connection);
	w.day.start();
	const memory = resident_kb(w.d.child.pid);
	const asked = Array.from({ length: 5 }, (_, i) => w.d.admin.attach("probed", { port: server.address().port, name: `p${i}`, wait_seconds: 2 }));
	await others_go_on(w);
	for (const one of asked) {
		const answer = await within(one, "the probe's verdict", 30_000);
		w.tried++;
		w.expect([200, 201, 424].includes(answer.status), `the probe: ${answer.status} ${answer.text}`);
	}
	w.expect(resident_kb(w.d.child.pid) < memory + 64 * 1024, "the daemon grew by more than 64 MB");
	server.stop();
	await w.d.admin.del(base("probed"));
}

// Whoever is to end a task is such a server; those who detach and end the session are answered.
const bad_kill_url = (on_connection) => ({
	async setup(w) {
		const server = await target(w, (socket) => {
			w.called = (w.called ?? 0) + 1;
			on_connection(socket);
		});
		return { settings: { "tasks.kill_url": `http://127.0.0.1:${server.address().port}/` } };
	},
	async run(w) {
		for (const id of ["x", "y", "z"]) await w.d.admin.attach("foreign", blind({ name: id, bash_task_id: id, port: 9999 }));
		w.day.start();
		const memory = resident_kb(w.d.child.pid);
		const asked = [w.d.admin.detach("foreign", "x"), w.d.admin.detach("foreign", "y"), w.d.admin.del(base("foreign"))];
		await others_go_on(w);
		for (const one of asked) {
			const answer = await within(one, "the answer", 60_000).catch((e) => ({ text: e.message }));
			w.expect(answer.status === 200, `it is ${answer.status} ${answer.text}`);
			w.tried++;
		}
		w.expect(w.called > 0, "it was never called");
		w.expect(resident_kb(w.d.child.pid) < memory + 64 * 1024, "the daemon grew by more than 64 MB");
	},
});

const resident_kb = (pid) => Number(/VmRSS:\s+(\d+)/.exec(fs.readFileSync(`/proc/${pid}/status`, "utf8"))[1]);

// Connects and asks, and reads nothing from then on.
function deaf_client(w, request) {
	return new Promise((resolve, reject) => {
		const socket = net.connect(w.d.port, "127.0.0.1", () => {
			socket.pause();
			socket.write(request);
			resolve(socket);
		});
		socket.on("error", reject);
		socket.removeListener("error", reject);
		socket.on("error", () => {});
		w.after(() => socket.destroy());
	});
}

const head = (w, line) => `${line} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${w.d.admin_token}\r\n`;

const deaf_to_events = (w) =>
	deaf_client(w, `${head(w, "GET /ws/events?session_id=s3")}Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n`);

// Packets of Socket.IO: a connect, a join with the acknowledgement 0.
const connect = (w) => `40${JSON.stringify({ token: w.d.admin_token })}`;
const join = `420${JSON.stringify(["join_session", { app_id: "default", session_id: "s3" }])}`;

async function deaf_to_socketio(w) {
	const socket = new WebSocket(`ws://127.0.0.1:${w.d.port}/socket.io/?EIO=4&transport=websocket`);
	w.after(() => socket.terminate());
	socket.on("error", () => {});
	const joined = new Promise((resolve) => {
		socket.on("message", (data) => {
			const text = data.toString();
			if (text.startsWith("0")) socket.send(connect(w));
			if (text.startsWith("40")) socket.send(join);
			if (text.startsWith("430")) resolve();
		});
	});
	await within(joined, "the join");
	socket.pause();
	return { destroy: () => socket.terminate() };
}

async function never_polls_again(w) {
	const target = "/socket.io/?EIO=4&transport=polling";
	const { sid } = JSON.parse((await w.d.anonymous.get(target)).text.slice(1));
	const say = (raw) => w.d.anonymous.post(`${target}&sid=${sid}`, undefined, { raw, headers: { "content-type": "text/plain" } });
	await say(connect(w));
	const { text } = await w.d.anonymous.get(`${target}&sid=${sid}`);
	w.expect(text.startsWith("40"), `the connect: ${text}`);
	await say(join);
	return { destroy() {} };
}

// They are cut off when they have too much waiting; the others are not.
async function deaf_viewers(w, begin) {
	const deaf = await Promise.all(Array.from({ length: 5 }, () => begin(w)));
	const cut_off = async () => (await w.d.metric("previewd_websocket_slow_closed_total")) + (await w.d.metric("previewd_socketio_slow_closed_total"));
	w.tried = deaf.length;
	w.day.start();
	const memory = resident_kb(w.d.child.pid);
	const value = "x".repeat(15_000);
	await until(async () => {
		for (let i = 0; i < 20; i++) await w.d.admin.post(`${base("s3")}/canvas/set_state`, { key: "much", value: `${i}${value}` });
		return (await cut_off()) >= deaf.length;
	}, "they are cut off", 60_000);
	await others_go_on(w);
	w.expect(resident_kb(w.d.child.pid) < memory + 64 * 1024, "the daemon grew by more than 64 MB");
	for (const one of deaf) one.destroy();
}

export const rows = [
	{
		name: "kill -9 at a random instant of the day",
		run: (w) => kill_at_random(w, 8),
	},
	{
		name: "kill -9 before, and in the middle of, each write of the store",
		run: (w) => kill_at_each_step(w, { scope: shim.STORE, turn: store_turn(w), most: 60 }),
	},
	{
		name: "kill -9 at the steps of a publish",
		run: (w) => kill_at_each_step(w, { scope: shim.STATE, turn: publish_turn(w), most: 40 }),
	},
	{
		name: "kill -9 during the start after a kill -9",
		async run(w) {
			for (; w.tried < 10; w.tried++) {
				w.day.start();
				await sleep(30 + w.random() * 60);
				await w.d.kill();
				await w.day.stop();
				await Promise.all(w.day.streams.map((s) => s.end()));
				w.day.check_numbers();
				w.control.arm(w.tried % 2 ? shim.KILL : shim.KILL_TORN, { countdown: w.tried >> 1, scope: shim.STATE });
				const child = w.d.spawn();
				await Promise.race([child.exited, child.stderr.match(/listening on unix/)]);
				await child.kill();
				w.control.rest();
				await w.d.start();
				await w.day.check();
				await w.day.watch();
			}
		},
	},
	{
		name: "the disk is full, for a while",
		setup(w) {
			w.disk = small_disk(w, "4m");
			return w.disk ? { state: path.join(w.disk, "state") } : "no tmpfs can be mounted here";
		},
		async run(w) {
			for (; w.tried < 3; w.tried++) {
				const filler = path.join(w.disk, "filler");
				w.day.start();
				await w.day.until_done(20);
				fill(filler);
				const { refused } = w.day.answers;
				await until(() => w.day.answers.refused > refused + 20, "it is refused");
				if (w.tried === 2) {
					await w.d.kill();
					fs.rmSync(filler);
					await w.killed();
				} else {
					fs.rmSync(filler);
					await w.settle();
				}
			}
			w.day.start();
			await w.day.until_done(30);
		},
	},
	{ name: "the state directory turns read-only, for a while", run: (w) => failing_store(w, { error: shim.EROFS, scope: shim.STATE }) },
	{ name: "EIO at each write of the store, for a while", run: (w) => failing_store(w, { kinds: shim.WRITES }) },
	{ name: "EIO at each fsync of the store, for a while", run: (w) => failing_store(w, { kinds: shim.SYNCS }) },
	{ name: "EIO at one write of the store", run: (w) => failing_store(w, { kinds: shim.WRITES, times: 1 }, { rounds: 6 }) },
	{ name: "EIO at one fsync of the store", run: (w) => failing_store(w, { kinds: shim.SYNCS, times: 1 }, { rounds: 6 }) },
	{ name: "EIO at each write of the store, then kill -9", run: (w) => failing_store(w, { kinds: shim.WRITES }, { then_kill: true, rounds: 4 }) },
	{ name: "EIO at each fsync of the store, then kill -9", run: (w) => failing_store(w, { kinds: shim.SYNCS }, { then_kill: true, rounds: 4 }) },
	{
		name: "no descriptor is left (RLIMIT_NOFILE), twice",
		setup: () => ({ wrap: ["prlimit", "--nofile=96:96"] }),
		async run(w) {
			for (; w.tried < 2; w.tried++) {
				w.day.start();
				await w.day.until_done(20);
				// What fails for it says so, and blames nobody else.
				w.day.tolerates = ({ text }) => /Too many open files/.test(text);
				const crowd = Array.from({ length: 150 }, () => net.connect(w.d.port, "127.0.0.1").on("error", () => {}));
				await until(() => fs.readdirSync(`/proc/${w.d.child.pid}/fd`).length >= 90, "they are used up");
				await sleep(300);
				for (const socket of crowd) socket.destroy();
				await w.day.until_done(20);
				await w.settle();
			}
		},
	},
	{
		name: "the clock jumps: a year on, ten years back, and home again",
		async run(w) {
			const year = 365 * 86400;
			for (const [i, offset] of [year, -10 * year, 3600, -3600, 0].entries()) {
				w.day.start();
				await w.day.until_done(15);
				w.control.clock(offset);
				await until(async () => {
					const { headers } = await w.d.anonymous.get("/healthz");
					return Math.abs(Date.parse(headers.date) - Date.now() - offset * 1000) < 60_000;
				}, "its clock is another");
				await w.day.until_done(30);
				w.tried++;
				if (i % 2) await w.killed();
				else await w.settle();
			}
		},
	},
	{ name: "a probed server accepts and says nothing", settings: { "probe.http_timeout": "2s" }, run: (w) => bad_target(w, () => {}) },
	{ name: "a probed server trickles a head without end", settings: { "probe.http_timeout": "2s" }, run: (w) => bad_target(w, endless("HTTP/1.1 200 OK\r\n", "x", 50)) },
	{ name: "a probed server floods a head without end", settings: { "probe.http_timeout": "2s" }, run: (w) => bad_target(w, endless("HTTP/1.1 200 OK\r\n", `X-More: ${"x".repeat(4000)}\r\n`)) },
	{ name: "a probed server floods a body without end", settings: { "probe.http_timeout": "2s" }, run: (w) => bad_target(w, endless("HTTP/1.1 405 No\r\nTransfer-Encoding: chunked\r\n\r\n", `1000\r\n${"x".repeat(4096)}\r\n`)) },
	{ name: "a probed server hangs up on each request", run: (w) => bad_target(w, (socket) => socket.destroy()) },
	{ name: "viewers that never read: WebSocket", run: (w) => deaf_viewers(w, deaf_to_events) },
	{ name: "viewers that never read: Socket.IO over WebSocket", run: (w) => deaf_viewers(w, deaf_to_socketio) },
	{ name: "viewers that never poll again: Socket.IO", run: (w) => deaf_viewers(w, never_polls_again) },
	{
		name: "clients that ask and never read the answers",
		async run(w) {
			w.day.start();
			const memory = resident_kb(w.d.child.pid);
			const asks = `${head(w, "GET /openapi.json")}\r\n`.repeat(400);
			const deaf = await Promise.all(Array.from({ length: 10 }, () => deaf_client(w, asks)));
			w.tried = deaf.length;
			await others_go_on(w, 100);
			w.expect(resident_kb(w.d.child.pid) < memory + 64 * 1024, "the daemon grew by more than 64 MB");
			for (const socket of deaf) socket.destroy();
		},
	},
	{ name: "tasks.kill_url never answers", ...bad_kill_url(() => {}) },
	{ name: "tasks.kill_url trickles its answer", ...bad_kill_url(endless("HTTP/1.1 200 OK\r\n", "x", 50)) },
	{ name: "tasks.kill_url answers without end", ...bad_kill_url(endless("HTTP/1.1 500 No\r\nTransfer-Encoding: chunked\r\n\r\n", `1000\r\n${"x".repeat(4096)}\r\n`)) },
	{ name: "tasks.kill_url answers with a head without end", ...bad_kill_url(endless("HTTP/1.1 200 OK\r\n", `X-More: ${"x".repeat(4000)}\r\n`)) },
	{
		name: "SIGHUP with a broken file, twenty times",
		setup: () => ({ file: "[limits]\nholds_per_session = 7\n" }),
		async run(w) {
			const broken = ["[limits]\nper_session = many\n", "[limits\n", "\0\0\0", "[preview]\npublic_url_template = http://{nonsense}/\n", "[auth]\njwt_algorithm = RS256\njwt_key_file = /nowhere\n"];
			w.day.start();
			for (; w.tried < 20; w.tried++) {
				fs.writeFileSync(w.d.config, broken[w.tried % broken.length]);
				w.d.child.signal("SIGHUP");
				await w.day.until_done(3);
			}
			fs.writeFileSync(w.d.config, "");
			const { limits } = (await w.d.admin.get("/health/web_preview")).json;
			w.expect(limits.per_session === 5, `the limit is ${limits.per_session}`);
		},
	},
	{
		name: "SIGTERM in the middle of the day",
		async run(w) {
			for (; w.tried < 5; w.tried++) {
				w.day.start();
				await sleep(50 + w.random() * 200);
				w.d.child.signal("SIGTERM");
				const { code, signal } = await within(w.d.child.exited, "its end", 30_000);
				w.expect(code === 0, `it ended with ${code ?? signal}`);
				await w.killed();
			}
		},
	},
	{
		name: "the kernel drops what it says of sockets (ENOBUFS)",
		async run(w) {
			w.day.start();
			const server = await targets.http_server(w);
			const stream = await events.join(w.d, "watched");
			for (; w.tried < 5; w.tried++) {
				const answer = await w.d.admin.attach("watched", { port: server.port });
				w.expect(answer.status < 300, answer.text);
				w.control.set("netlink_drops", 3);
				const from = stream.frames.length;
				await server.close_now();
				await stream.frame((f) => f.event_type === "web_preview:down", from);
				w.control.set("netlink_drops", 0);
				await new Promise((resolve) => server.listen(server.port, "127.0.0.1", resolve));
				await stream.frame((f) => f.event_type === "web_preview:up", from);
			}
			w.expect((await w.d.metric("previewd_sockwatch_overruns_total")) >= w.tried, "it was not told that messages were dropped");
			await server.close_now();
			await w.d.admin.del(base("watched"));
		},
	},
	{
		name: "kill -9 of a part: a task's keeper, its process, a build's process",
		async run(w) {
			w.day.start();
			const tasks = `${base("parts")}/tasks`;
			for (let i = 0; i < 6; i++) {
				const { json } = await w.d.local.post(tasks, { task_id: `t${i}`, command: ["sh", "-c", "sleep 3600 & exec sleep 3600"], cwd: w.dir });
				const keeper = parent_of(json.pid);
				process.kill(i % 2 && keeper !== w.d.child.pid ? keeper : json.pid, "SIGKILL");
				const ended = await w.d.local.del(`${tasks}/t${i}`);
				w.expect(ended.status === 200, `the task's end: ${ended.text}`);
				w.expect(!is_alive(json.pid), "the task lives");
				w.tried++;
			}
			const project = { "package.json": JSON.stringify({ name: "p", private: true, scripts: { build: "node build.cjs" } }), "build.cjs": "setInterval(() => {}, 1000)" };
			const workdir = write_files(path.join(w.dir, "project"), project);
			const under_way = w.d.local.post(`${base("parts")}/publish?wait=1`, { workdir });
			let pid;
			await until(() => (pid = fs.readdirSync("/proc").find((p) => /^\d+$/.test(p) && belongs(p, w))), "the build runs", 30_000).catch(() => null);
			if (pid) {
				process.kill(Number(pid), "SIGKILL");
				const { json } = await within(under_way, "the build's end", 30_000);
				w.expect(json.state === "failed" || /build_/.test(json.code), `the build: ${JSON.stringify(json)}`);
				w.tried++;
			} else w.d.local.close();
			await w.d.admin.del(base("parts"));
		},
	},
];

// A process of the build: it runs its script.
function belongs(pid) {
	try {
		return fs.readFileSync(`/proc/${pid}/cmdline`, "latin1") === "node\0build.cjs\0";
	} catch {
		return false;
	}
}
