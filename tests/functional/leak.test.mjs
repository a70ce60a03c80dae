// SPDX-License-Identifier: MIT
//
// After 10,000 attaches and detaches the daemon is where it was: descriptors and memory.
import assert from "node:assert/strict";
import fs from "node:fs";
import test from "node:test";

import { base, blind, start, until } from "./harness.mjs";
import * as events from "./events.mjs";
import * as targets from "./targets.mjs";

const CYCLES = Number(process.env.LEAK_CYCLES ?? 10_000);
const LANES = 32;
const SLACK_KB = 1024;

const descriptors = (pid) => fs.readdirSync(`/proc/${pid}/fd`).length;
const resident_kb = (pid) => Number(/VmRSS:\s+(\d+)/.exec(fs.readFileSync(`/proc/${pid}/status`, "utf8"))[1]);

// AddressSanitizer keeps what was freed for a while; it tells of leaks at the end by itself.
// gcc links its runtime as a library, clang into the program.
const is_sanitized = (pid) =>
	fs.readFileSync(`/proc/${pid}/exe`).includes("__asan_init") ||
	fs.readFileSync(`/proc/${pid}/maps`, "utf8").includes("valgrind");

async function cycles(d, n) {
	const lane = async (i) => {
		for (let k = 0; k < n / LANES; k++) {
			assert.equal((await d.local.attach(`lane${i}`, blind({ port: 5000 + i }))).status, 201);
			assert.equal((await d.local.detach(`lane${i}`)).json.removed, true);
		}
	};
	await Promise.all(Array.from({ length: LANES }, (_, i) => lane(i)));
}

test("10,000 attaches and detaches leave no descriptor and no memory behind", async (t) => {
	const d = await start(t, { settings: { "limits.per_user": "1000", "events.ring": "50" } });
	// Until the rings of events and the allocator's own have their size.
	await cycles(d, Math.min(CYCLES, 3_000));
	const before = { fds: descriptors(d.child.pid), kb: resident_kb(d.child.pid) };

	await cycles(d, CYCLES);

	const after = { fds: descriptors(d.child.pid), kb: resident_kb(d.child.pid) };
	t.diagnostic(`descriptors ${before.fds} -> ${after.fds}, resident ${before.kb} -> ${after.kb} KB`);
	assert.ok(after.fds <= before.fds, `${before.fds} -> ${after.fds} descriptors`);
	if (!is_sanitized(d.child.pid)) assert.ok(after.kb <= before.kb + SLACK_KB, `${before.kb} -> ${after.kb} KB`);
	assert.equal(await d.metric("previewd_attachments"), 0);
	assert.equal(await d.metric("previewd_jobs"), 0);
	assert.equal(await d.metric("previewd_store_pending"), 0);
});

test("probes, refused and answered, sessions and streams leave no descriptor behind", async (t) => {
	const d = await start(t);
	const server = await targets.http_server(t);
	const tls = await targets.tls_server(t);
	const banner = await targets.banner(t);
	const turn = async () => {
		const stream = await events.join(d, "s1");
		await d.local.attach("s1", { port: server.port });
		await d.local.attach("s1", { port: tls.port, name: "tls" });
		await d.local.attach("s1", { port: banner.port, name: "banner" });
		await d.local.del(base("s1"));
		await d.local.put(base("s1"), {});
		stream.socket.close();
		await stream.end();
	};
	for (let i = 0; i < 5; i++) await turn();
	const before = descriptors(d.child.pid);
	for (let i = 0; i < 50; i++) await turn();
	// Its own end of the last stream may be open for a moment longer than ours.
	await until(() => descriptors(d.child.pid) <= before, `there are ${before} descriptors again`);
});
