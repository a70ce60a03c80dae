// SPDX-License-Identifier: MIT
/*
 * The long run: LONG_MINUTES (60) of mixed load (mixed.mjs), and a line for each minute.
 *
 * Memory, descriptors, threads and files are read when the clients rest and all that was theirs is
 * given back, so that they are what the daemon keeps.  The questions are asked while the load is on;
 * they and the load come from one process of node's, whose own waits are in their times.
 */
import { readdirSync, readFileSync, readlinkSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import * as events from '../functional/events.mjs';
import { base, blind, Daemon, until } from '../functional/harness.mjs';
import { Mixed, SETTINGS, SITES } from './mixed.mjs';

const MINUTES = Number(process.env.LONG_MINUTES ?? 60);
const MINUTE = 60000;
const WARM_UP = Math.min(10, Math.floor(MINUTES / 4)); // minutes; until every limit is reached
const EDGE = Math.max(1, Math.min(5, Math.floor((MINUTES - WARM_UP) / 2))); // minutes a side of the comparison
const QUESTION_PAUSE = 300;

/* An hour's growth that is still none: the allocator's own unrest, and the pages of a cache. */
const RSS_PER_HOUR = 1024 * 1024;

const average = numbers => numbers.reduce((a, b) => a + b, 0) / numbers.length;

function percentile(numbers, p) {
	const sorted = [...numbers].sort((a, b) => a - b);

	return sorted.length ? sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * p) - 1)] : NaN;
}

/* Growth per step, by least squares. */
export function slope(values) {
	const middle = (values.length - 1) / 2, mean = average(values);
	let above = 0, below = 0;

	values.forEach((value, i) => {
		above += (i - middle) * (value - mean);
		below += (i - middle) ** 2;
	});
	return below ? above / below : 0;
}

/*
 * What the process and its directory are.
 */
function size(path) {
	try {
		return statSync(path).size;
	} catch {
		return 0;
	}
}

function files(dir) {
	const all = readdirSync(dir, { recursive: true }).map(name => {
		try {
			return statSync(join(dir, name));
		} catch {
			return null; // went in the meantime
		}
	}).filter(stat => stat?.isFile());

	return { n: all.length, bytes: all.reduce((sum, stat) => sum + stat.size, 0) };
}

/* But for files of pages, of which publish.pages_open are held open. */
function descriptors(pid, state) {
	return readdirSync(`/proc/${pid}/fd`).filter(fd => {
		try {
			return !readlinkSync(`/proc/${pid}/fd/${fd}`).startsWith(join(state, 'published'));
		} catch {
			return false;
		}
	}).length;
}

const status = (pid, field) =>
	Number(RegExp(`^${field}:\\s+(\\d+)`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1]);

function read(daemon) {
	const { pid } = daemon.child, { state } = daemon;
	const stored = files(state);

	return {
		rss: status(pid, 'VmRSS') * 1024,
		fds: descriptors(pid, state),
		threads: status(pid, 'Threads'),
		database: size(join(state, 'previewd.db')),
		wal: size(join(state, 'previewd.db-wal')),
		files: stored.n,
		bytes: stored.bytes,
	};
}

/* What clients had is given back; what is bounded by a setting stays. */
async function quiet(daemon) {
	for (const api of daemon.apis)
		api.close();
	for (const name of ['previewd_websocket_connections', 'previewd_socketio_sessions', 'previewd_probes',
			    'previewd_jobs', 'previewd_tasks', 'previewd_builds', 'previewd_store_pending',
			    'previewd_mcp_calls', 'previewd_subscribers', 'previewd_canvas_unstored'])
		await until(async () => (await daemon.metric(name)) === 0, `${name} is 0`, 60000);
	await until(async () => (await daemon.metric('previewd_http_connections')) === 1, 'this is the one connection', 60000);
}

/*
 * The questions
 */
class Questions {
	constructor(daemon) {
		this.daemon = daemon;
		this.times = { get: [], attach: [], event: [], page: [] };
	}

	async #time(name, question) {
		const begun = performance.now();

		await question();
		this.times[name].push(performance.now() - begun);
	}

	async ask(stop) {
		const { admin, anonymous } = this.daemon;
		const preview = `${base('asked')}/previews/default`;
		let n = 0;

		await admin.put(base('asked'), { user_id: 'asker' });
		const stream = await events.join(this.daemon, 'asked', { event_types: 'web_preview:attached' });

		while (!stop.asked) {
			const path = `/${++n}`;
			const heard = this.#time('event', () => stream.event('web_preview:attached', p => p.path === path));

			await this.#time('attach', () => admin.put(preview, blind({ path, port: 5190 })));
			await heard;
			await this.#time('get', () => admin.get(preview));
			await this.#time('page', () => anonymous.get(`${base(SITES[0])}/published/`));
			stream.frames.length = 0;
			await sleep(QUESTION_PAUSE);
		}
		stream.terminate();
	}

	take() {
		const taken = Object.entries(this.times).map(([name, times]) =>
			[name, { p50: percentile(times, 0.5), p99: percentile(times, 0.99), n: times.length }]);

		for (const times of Object.values(this.times))
			times.length = 0;
		return Object.fromEntries(taken);
	}
}

/*
 * The table
 */
const megabytes = bytes => (bytes / 1e6).toFixed(2);
const ms = number => number.toFixed(1);
const both = question => `${ms(question.p50)}/${ms(question.p99)}`;
const COLUMNS = [
	['minute', 6, m => m.minute], ['RSS MB', 7, m => megabytes(m.rss)], ['fds', 4, m => m.fds],
	['threads', 7, m => m.threads], ['db MB', 6, m => megabytes(m.database)], ['WAL MB', 6, m => megabytes(m.wal)],
	['files', 5, m => m.files], ['MB', 7, m => megabytes(m.bytes)],
	['req/s', 6, m => m.requests.toFixed(0)], ['CPU %', 5, m => m.cpu.toFixed(1)],
	['GET ms', 11, m => both(m.get)], ['attach', 11, m => both(m.attach)],
	['event', 11, m => both(m.event)], ['page', 11, m => both(m.page)],
];

const line = cells => console.log(cells.map((cell, i) => String(cell).padStart(COLUMNS[i][1])).join(' '));

async function minute(daemon, mixed, cpuSeconds) {
	const questions = new Questions(daemon), stop = { asked: false };
	const begun = performance.now();
	const before = { requests: await daemon.metric('previewd_http_requests_total'), cpu: cpuSeconds(daemon.child.pid) };

	mixed.go_on();
	const asking = questions.ask(stop);

	await Promise.race([sleep(MINUTE), asking]); // a question that fails ends it
	const seconds = (performance.now() - begun) / 1000;
	const requests = ((await daemon.metric('previewd_http_requests_total')) - before.requests) / seconds;
	const cpu = (cpuSeconds(daemon.child.pid) - before.cpu) / seconds * 100;

	stop.asked = true;
	await asking;
	await mixed.rest();
	await quiet(daemon);
	daemon.child.stderr.all.length = 0; // ours to forget
	return { ...read(daemon), requests, cpu, ...questions.take() };
}

function verdict(row, minutes) {
	const warm = minutes.slice(WARM_UP);
	const [first, last] = [warm.slice(0, EDGE), warm.slice(-EDGE)];
	const of = (side, pick) => average(side.map(pick));
	const perHour = pick => slope(warm.map(pick)) * 60;
	const compare = (what, pick, show, ok, note = '') =>
		row(`long: ${what}`, show(of(last, pick)), `at the start ${show(of(first, pick))}`, note, ok);
	const mb = n => `${megabytes(n)} MB`, plain = n => String(Number(n.toFixed(1)));
	const equal = pick => percentile(last.map(pick), 0.5) <= percentile(first.map(pick), 0.5);
	const grows = pick => perHour(pick) > Math.max(RSS_PER_HOUR, 0.05 * of(first, pick));
	const signed = n => `${n < 0 ? '-' : '+'}${mb(Math.abs(n))} an hour by least squares`;

	console.log(`\nThe last ${EDGE} minutes beside the ${EDGE} after ${WARM_UP} of warm-up, of ${minutes.length}:`);
	compare('RSS', m => m.rss, mb, !grows(m => m.rss), signed(perHour(m => m.rss)));
	compare('descriptors', m => m.fds, plain, equal(m => m.fds));
	compare('threads', m => m.threads, plain, equal(m => m.threads));
	compare('database', m => m.database, mb, !grows(m => m.database), signed(perHour(m => m.database)));
	compare('WAL', m => m.wal, mb, !grows(m => m.wal));
	compare('files in the state directory', m => m.files, plain, of(last, m => m.files) <= of(first, m => m.files) * 1.05 + 5);
	compare('bytes in them', m => m.bytes, mb, !grows(m => m.bytes));
	for (const [what, name] of [['GET a preview', 'get'], ['attach, durable', 'attach'], ['attach to its event', 'event'], ['published page', 'page']])
		row(`long: ${what}, p50 (p99)`, `${ms(of(last, m => m[name].p50))} (${ms(of(last, m => m[name].p99))}) ms`,
		    `at the start ${ms(of(first, m => m[name].p50))} (${ms(of(first, m => m[name].p99))}) ms`);
}

export async function longRows({ row, run, cpuSeconds, binary }) {
	const undo = [], t = { after: fn => undo.push(fn) };
	const minutes = [];

	process.env.PREVIEWD = binary;
	rmSync(join(run, 'long'), { recursive: true, force: true });
	const daemon = new Daemon(t, { state: join(run, 'long'), settings: SETTINGS });
	const mixed = new Mixed(daemon, daemon.dir);

	try {
		await daemon.start();
		await mixed.open(t);
		mixed.start();
		line(COLUMNS.map(([name]) => name));
		for (let i = 1; i <= MINUTES; i++) {
			const m = { minute: i, ...await minute(daemon, mixed, cpuSeconds) };

			minutes.push(m);
			line(COLUMNS.map(([, , cell]) => cell(m)));
		}
		if (minutes.length > 1)
			verdict(row, minutes);
	} finally {
		await mixed.stop();
		for (const [text, times] of mixed.complaints)
			row('long: an unexpected answer', `${times} x`, '', text, false);
		for (const fn of undo.reverse())
			await fn();
	}
}
