// SPDX-License-Identifier: MIT
//
// make check-faults: the real daemon, in the middle of a day's work, with everything done to it that a
// machine does to a daemon.  Prints a table; ends with 1 when anything was lost.
//
//	FAULTS_SEED=N	the same day again (as near as the machine lets it)
//	FAULTS=TEXT	only the rows with that in their names
//	FAULTS_CUTS=N	so many losses of power a row
//	FAULTS_KEEP=1	what the disks held whose daemon complained isn't removed
import { World } from "./world.mjs";
import { rows as power_rows } from "./power.mjs";
import { rows as other_rows } from "./rows.mjs";

if (!process.env.FAULTS_SHIM) throw new Error("FAULTS_SHIM says where the built shim is: run `make check-faults`");
const rows = [...other_rows, ...power_rows];
const seed = Number(process.env.FAULTS_SEED ?? Math.floor(Math.random() * 2 ** 31));
const wanted = rows.filter((row) => row.name.includes(process.env.FAULTS ?? ""));
const AT_ONCE = 2; // they wait for disks and timers most of the time

async function try_row(row, i) {
	const w = new World(row, seed + i);
	const began = performance.now();
	let skipped;
	try {
		const options = row.setup ? await row.setup(w) : {};
		if (typeof options === "string") skipped = options;
		else {
			await w.start({ ...options, settings: { ...row.settings, ...options.settings } });
			await row.run(w);
			await w.end();
		}
	} catch (e) {
		w.complain(e.stack ?? `${e}`);
	}
	if (w.day) {
		w.day.running = false;
		w.complaints.push(...w.day.complaints);
	}
	const count = w.complaints.length;
	await w.clean_up();
	// What the undoing complains of is said only where nothing else was.
	if (count) w.complaints.length = count;
	return { row, tried: w.tried, complaints: w.complaints, skipped, answers: w.day?.answers, seconds: (performance.now() - began) / 1000 };
}

const results = [];
const queue = wanted.map((row) => [row, rows.indexOf(row)]);
async function lane() {
	for (let next; (next = queue.shift()); ) {
		const result = await try_row(...next);
		results.push(result);
		const said = result.skipped ? `not tried: ${result.skipped}` : result.complaints.length ? "LOST" : "survived";
		console.log(`# ${result.seconds.toFixed(1)} s  ${result.row.name}: ${said}`);
		for (const complaint of result.complaints.slice(0, 10)) console.log(`#     ${complaint.replaceAll("\n", "\n#     ").slice(0, 3000)}`);
	}
}

console.log(`# FAULTS_SEED=${seed}`);
const began = performance.now();
await Promise.all(Array.from({ length: AT_ONCE }, lane));
results.sort((a, b) => rows.indexOf(a.row) - rows.indexOf(b.row));

console.log("\n| fault | tried | survived | lost |\n| --- | ---: | ---: | ---: |");
let lost = 0;
for (const { row, tried, complaints, skipped } of results) {
	// A complaint is one time at least, and never of more than were tried.
	const bad = skipped ? 0 : Math.min(complaints.length, Math.max(tried, 1));
	lost += bad;
	console.log(skipped ? `| ${row.name} | 0: ${skipped} | | |` : `| ${row.name} | ${tried} | ${tried - Math.min(bad, tried)} | ${bad} |`);
}
const done = results.reduce((n, r) => n + (r.answers?.done ?? 0), 0);
console.log(`\n${results.length} faults, ${results.reduce((n, r) => n + r.tried, 0)} times, over ${done} answered requests, in ${Math.round((performance.now() - began) / 1000)} s; lost: ${lost}`);
process.exit(lost ? 1 : 0);
