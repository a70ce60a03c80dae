// SPDX-License-Identifier: MIT
//
// What the kernel's eyes cost, and how fast they are:
//
//	node tests/bench/activity.mjs [kills] [ports] [viewers] [seconds]
//
// From a server's SIGKILL to web_preview:down at a client, and to web_preview:up when it is back;
// then the loop's time for a sample and a sweep, and the processor's time a minute, with many
// attached ports and viewers.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import fs from "node:fs";
import net from "node:net";
import test from "node:test";

import { blind, defer, free_port, start } from "../functional/harness.mjs";
import * as events from "../functional/events.mjs";

const [kills = 100, ports = 10_000, viewers = 4_000, seconds = 60] = process.argv.slice(2).map(Number);

const percentile = (sorted, p) => sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * p) - 1)];

function row(what, times) {
	times.sort((a, b) => a - b);
	const at = (p) => percentile(times, p).toFixed(2);
	console.log(`${what}: p50 ${at(0.5)} ms, p95 ${at(0.95)} ms, p99 ${at(0.99)} ms (n=${times.length})`);
	return percentile(times, 0.99);
}

async function serve(t, port) {
	const program = `const s = require("http").createServer((q, r) => r.end());
		s.listen(${port}, "127.0.0.1", () => console.log("listening"))`;
	const child = spawn(process.execPath, ["-e", program], { stdio: ["ignore", "pipe", "inherit"] });
	defer(t, () => child.kill("SIGKILL"));
	await once(child.stdout, "data");
	return child;
}

test("the end and the return of a server", async (t) => {
	const d = await start(t);
	const port = await free_port();
	const stream = await events.join(d, "s1");
	const down = [];
	const up = [];
	let child = await serve(t, port);
	assert.equal((await d.admin.attach("s1", { port })).status, 201);

	const next = (type) => new Promise((resolve) => {
		const hear = (data) => {
			if (JSON.parse(data).event_type !== type) return;
			stream.socket.off("message", hear);
			resolve(performance.now());
		};
		stream.socket.on("message", hear);
	});
	for (let i = 0; i < kills; i++) {
		let heard = next("web_preview:down");
		const killed = performance.now();
		child.kill("SIGKILL");
		down.push((await heard) - killed);
		heard = next("web_preview:up");
		child = await serve(t, port);
		const served = performance.now();
		up.push(Math.max(0, (await heard) - served));
	}
	const p99 = row("SIGKILL to web_preview:down", down);
	row("listening to web_preview:up", up);
	console.log(`budget of 20 ms: ${p99 < 20 ? "kept" : "missed"}`);
});

const cpu_ms = (pid) => {
	const fields = fs.readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1].split(" ");
	return (Number(fields[11]) + Number(fields[12])) * 10;
};

async function histogram(d, name) {
	return { n: await d.metric(`${name}_count`), sum: await d.metric(`${name}_sum`) };
}

test("many ports and viewers", { timeout: 600_000 }, async (t) => {
	const d = await start(t, { settings: { "limits.per_session": 10_000, "limits.per_user": 1_000_000, "store.backend": "memory", "reaper.interval": "10s" } });
	const servers = [];
	const sockets = [];
	for (let i = 0; servers.length < ports; i++) {
		const server = net.createServer((socket) => socket.resume().on("error", () => {}));
		server.listen(10_000 + i, "127.0.0.1");
		if (await Promise.race([once(server, "listening").then(() => true), once(server, "error").then(() => false)]).catch(() => false)) servers.push(server);
	}
	defer(t, () => servers.forEach((s) => s.close()));
	for (let i = 0; i < servers.length; i += 64)
		await Promise.all(servers.slice(i, i + 64).map((s, k) => d.local.attach(`s${(i + k) % 50}`, blind({ port: s.address().port, name: `n${i + k}` }))));
	for (let i = 0; i < viewers; i++) {
		const socket = net.connect(servers[i % servers.length].address().port, "127.0.0.1");
		await once(socket, "connect");
		socket.write("GET / HTTP/1.1\r\n");
		sockets.push(socket);
	}
	defer(t, () => sockets.forEach((s) => s.destroy()));
	const pinging = setInterval(() => sockets.forEach((s) => s.write("a ping of an HMR page")), 10_000);
	defer(t, () => clearInterval(pinging));

	while ((await d.metric("previewd_jobs")) > 0) await new Promise((resolve) => setTimeout(resolve, 100)); // the owners are looked up

	const sample = "previewd_activity_sample_duration_seconds";
	const sweep = "previewd_reaper_step_duration_seconds";
	const before = [await histogram(d, sample), await histogram(d, sweep), cpu_ms(d.child.pid)];
	await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
	const after = [await histogram(d, sample), await histogram(d, sweep), cpu_ms(d.child.pid)];
	const mean = (i) => (((after[i].sum - before[i].sum) / (after[i].n - before[i].n)) * 1000).toFixed(2);
	console.log(`${ports} ports, ${viewers} viewers: a sample ${mean(0)} ms (n=${after[0].n - before[0].n}), a sweep's step ${mean(1)} ms (n=${after[1].n - before[1].n}), CPU ${(((after[2] - before[2]) * 60) / seconds).toFixed(0)} ms a minute, sweeps every 10 s`);
	console.log(`active ${await d.metric("previewd_previews_active")}, passive ${await d.metric("previewd_previews_passive")}, unseen ${await d.metric("previewd_previews_unseen")}, RSS ${/VmRSS:\s+(\d+)/.exec(fs.readFileSync(`/proc/${d.child.pid}/status`, "utf8"))[1]} KiB`);
});
