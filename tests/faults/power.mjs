// SPDX-License-Identifier: MIT
//
// A loss of power at many instants of a day: the day is lived once, with record.c writing down what
// the daemon does to its files; then a daemon is started on each of the disks that may be left.
import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";

import { Daemon, base, until } from "../functional/harness.mjs";
import { Disk, by_chance, everything, listing, nothing, read_record } from "./powerloss.mjs";

const CUTS = Number(process.env.FAULTS_CUTS ?? 60);

// SQLite's -shm file is a mapping, which no record sees; the others hold what builds write.
const NOT_RECORDED = /-shm$|^(builds|modules)\//;

// A day with ends in peace, so that starts and ends are among what is cut, too.
async function live(w) {
	const { day } = w;
	const page = day.thing("s0", "published");
	const releases = () => page.history.filter((entry) => entry.outcome).length;
	for (let i = 0; i < 3; i++) {
		const before = releases();
		await day.publish(page); // while the limits let it
		day.start({ tasks: false });
		await day.until_done(40);
		await until(() => releases() >= before + 3, "pages were published", 30_000);
		await day.stop();
		await day.pass_through(`passing${i}`);
		await w.d.stop();
		day.check_numbers();
		if (i < 2) {
			await w.d.start();
			await day.check();
			await day.watch();
		}
	}
	w.complaints.push(...day.complaints.splice(0));
}

// All of the record, done again, is what is there: nothing happened that it doesn't know of.
function check_record(w, operations, root) {
	const disk = new Disk(root, "strict");
	for (const op of operations) disk.run(op);
	const dir = path.join(w.dir, "all");
	fs.mkdirSync(dir);
	disk.write_to(dir, everything);
	assert.equal(disk.unknown, 0);
	assert.deepEqual(listing(path.join(dir, "state"), NOT_RECORDED), listing(w.state, NOT_RECORDED));
	fs.rmSync(dir, { recursive: true });
}

// Where something is decided more often than elsewhere: behind an answer, a sync, a change of names.
function choose_cuts(w, operations, answered) {
	const pick = (from) => from[Math.floor(w.random() * from.length)];
	const deciding = operations.flatMap(({ letter }, i) => (letter === "W" ? [] : [i, i + 1]));
	const cuts = [];
	for (let i = 0; i < CUTS; i++) {
		if (i % 4 === 0) cuts.push(pick(answered));
		else if (i % 4 === 1) cuts.push(Math.floor(w.random() * (operations.length + 1)));
		else cuts.push(pick(deciding));
	}
	return cuts.sort((a, b) => a - b);
}

const lucks = (w) => [nothing, by_chance(w.random, 0.5), by_chance(w.random, 0.15), nothing, by_chance(w.random, 0.85), everything];

async function try_cut(w, disk, { cut, luck, dir }) {
	fs.mkdirSync(dir);
	disk.write_to(dir, luck);
	const state = path.join(dir, "state");
	const d = new Daemon(w, { state, settings: w.d.settings });
	const day = w.day.as_it_was(cut, d, dir);
	try {
		await d.start();
		await day.check_sessions(cut);
		await day.open();
		await day.check();
		await day.watch();
		await day.check_releases(day.thing("s0", "published"));
		// And it goes on from there.
		await day.publish(day.thing("s0", "published"));
		const thing = day.thing("s2", "a");
		await day.detach(thing);
		await day.attach(thing);
		await day.check();
		await day.close();
		await until(async () => (await d.metric("previewd_jobs")) === 0, "its jobs are done");
		const { code, signal } = await d.stop();
		if (code !== 0) day.complain(`at SIGTERM it ended with ${code ?? signal}`);
		w.check_files(state, (text) => day.complain(text));
	} catch (e) {
		day.complain(e.stack);
		await d.kill();
	}
	return day.complaints;
}

async function lose_power(w, mode) {
	const root = fs.statSync(w.dir).ino;
	await live(w);
	const operations = read_record(w.record).slice(0, w.position());
	check_record(w, operations, root);

	const disk = new Disk(root, mode);
	const kinds = lucks(w);
	let at = 0;
	for (const cut of choose_cuts(w, operations, w.day.answered_at)) {
		while (at < cut) disk.run(operations[at++]);
		const dir = path.join(w.dir, `cut${w.tried}`);
		const complaints = await try_cut(w, disk, { cut, luck: kinds[w.tried % kinds.length], dir });
		for (const text of complaints) w.complain(`after operation ${cut} of ${operations.length} (${w.tried % kinds.length}): ${text}`);
		if (complaints.length === 0 || !process.env.FAULTS_KEEP) fs.rmSync(dir, { recursive: true, force: true });
		w.tried++;
	}

	await w.d.start();
	await w.day.check();
	await w.day.watch();
}

const row = (name, mode) => ({ name, records: true, run: (w) => lose_power(w, mode) });

export const rows = [
	row("the power is lost: a disk that keeps the order of names (ext4)", "ordered"),
	row("the power is lost: a disk that keeps only what was synced (POSIX)", "strict"),
];
