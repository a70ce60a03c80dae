// SPDX-License-Identifier: MIT
/*
 * What other clients notice while somebody attacks: a mix of questions, asked at a steady pace, before
 * each attack and during it, and what becomes of the daemon's memory and descriptors.
 *
 * The attackers (attack.c) are one process, behind others where these want to run (nice) and not on the
 * daemon's core, so that what is measured is the daemon's time and not theirs.  They come from other
 * addresses than the mix, but for the row that says so.
 */
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';

import * as events from '../functional/events.mjs';
import { base, blind, Daemon, until } from '../functional/harness.mjs';
import { write_files } from '../functional/publishing.mjs';
import * as socketio from '../functional/socketio.mjs';

const execute = promisify(execFile);
const ATTACK_SECONDS = Number(process.env.HOSTILE_SECONDS ?? 8);
const QUIET_SECONDS = 3;
const PACE = 15; // ms between two rounds of the mix
const GIVE_UP = 5000; // ms: an answer that doesn't come counts as one of this
const TOO_SLOW = 50, TOO_MUCH_SLOWER = 10;

const ws = '/ws/events?session_id=mallory';

/* name, of attack.c's, connections, addresses, path, whose token */
const ATTACKS = [
	['heads, a byte a second', 'slow-head', 5000, 1, '/healthz'],
	['the same from 50 addresses', 'slow-head', 5000, 50, '/healthz'],
	['the same from the mix\'s address', 'slow-head', 5000, 0, '/healthz'],
	['bodies, a byte a second', 'slow-body', 5000, 1, '/ui/exchange'],
	['readers that never read', 'deaf', 1000, 1, `${base('site')}/published/big.bin`],
	['10,000 idle connections', 'idle', 10000, 1, '/'],
	['the same from 50 addresses', 'idle', 10000, 50, '/'],
	['10,000 idle WebSockets', 'idle-websocket', 10000, 1, ws],
	['the same, with a token', 'idle-websocket', 10000, 1, ws, 'viewer'],
	['10,000 idle Socket.IO', 'idle-websocket', 10000, 1, '/socket.io/?EIO=4&transport=websocket'],
	['connect and hang up', 'connect', 200, 50, '/'],
	['garbage', 'garbage', 200, 50, '/'],
	['TLS hellos', 'tls', 200, 50, '/'],
	['heads of 256 KiB', 'large-head', 200, 1, '/'],
	['frames of 2^40 bytes', 'huge-frame', 200, 1, ws],
	['messages of 960 KiB, unfinished', 'large-frame', 1000, 1, ws],
	['the same, to Socket.IO', 'large-frame', 1000, 1, '/socket.io/?EIO=4&transport=websocket'],
	['messages of a byte', 'small-messages', 50, 1, ws],
	['the same, with a token', 'small-messages', 50, 1, ws, 'viewer'],
	['empty fragments', 'empty-fragments', 50, 1, ws],
	['pings', 'pings', 50, 1, ws, 'viewer'],
	['failing authentications', 'ask', 100, 1, '/api/previews', 'none'],
	['Socket.IO handshakes', 'ask', 100, 1, '/socket.io/?EIO=4&transport=polling'],
	['bodies of 1 MB, no credential', 'large-body', 20, 1, `${base('mallory')}/canvas/set_state`, 'none'],
	['bodies of 1 MB of JSON', 'large-body', 20, 1, `${base('mallory')}/canvas/set_state`, 'back end'],
];

function percentile(numbers, p) {
	const sorted = [...numbers].sort((a, b) => a - b);

	return sorted.length ? sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * p) - 1)] : NaN;
}

const resident = pid =>
	Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1]) * 1024;
const descriptors = pid => readdirSync(`/proc/${pid}/fd`).length;

/*
 * The mix
 */
class Mix {
	constructor(daemon) {
		this.daemon = daemon;
		this.heard = { websocket: new Map(), socketio: new Map() }; // path → who waits
	}

	async open(t) {
		const { daemon } = this, { admin } = daemon;

		await admin.put(base('mix'), { user_id: 'mix' });
		await admin.attach('mix', blind({ port: 5173 }));
		this.stream = await events.join(daemon, 'mix', { event_types: 'web_preview:attached' });
		this.stream.socket.on('message', data => this.#hear('websocket', JSON.parse(data).payload));
		this.socket = await socketio.connected(t, daemon, { token: daemon.admin_token });
		this.socket.on('web_preview:attached', payload => this.#hear('socketio', payload));
		await socketio.ask(this.socket, 'join_session', { app_id: 'default', session_id: 'mix' });
	}

	#hear(where, payload) {
		this.heard[where].get(payload?.path)?.();
		this.heard[where].delete(payload?.path);
		this.stream.frames.length = 0;
	}

	#event(where, path) {
		return new Promise(resolve => this.heard[where].set(path, resolve));
	}

	async #viewer() {
		const stream = await events.join(this.daemon, 'mix');

		stream.terminate();
		this.daemon.streams.delete(stream.socket);
	}

	async #time(name, question) {
		const begun = performance.now();
		const ok = await Promise.race([question().then(answer => !(answer?.status >= 300), () => false),
					       sleep(GIVE_UP, false, { ref: false })]);

		this.times[name].push(ok ? performance.now() - begun : GIVE_UP);
		if (!ok)
			this.unanswered++;
	}

	async run(until) {
		const { admin } = this.daemon;
		const previews = `${base('mix')}/previews`;

		this.times = { 'GET a preview': [], 'the same, connecting': [], attach: [], detach: [],
			       'event, WebSocket': [], 'event, Socket.IO': [], 'a viewer comes': [] };
		this.unanswered = 0;
		for (let n = 0; performance.now() < until; n++) {
			const path = `/${n}-${until}`;
			const told = ['websocket', 'socketio'].map(where => this.#event(where, path));

			await Promise.all([
				this.#time('attach', () => admin.put(`${previews}/other`, blind({ port: 5174, path }))),
				this.#time('event, WebSocket', () => told[0]),
				this.#time('event, Socket.IO', () => told[1]),
				this.#time('GET a preview', () => admin.get(`${previews}/default`)),
				this.#time('a viewer comes', () => this.#viewer()),
				this.#time('the same, connecting', () => admin.get(`${previews}/default`, { agent: false })),
			]);
			await this.#time('detach', () => admin.del(`${previews}/other`));
			await sleep(PACE);
		}
		const worst = p => Math.max(...Object.values(this.times).map(times => percentile(times, p)));
		const [slowest] = Object.entries(this.times).map(([name, times]) => [name, percentile(times, 0.99)])
			.sort((a, b) => b[1] - a[1]);

		return { p50: worst(0.5), p99: worst(0.99), slowest: slowest[0], unanswered: this.unanswered };
	}
}

/*
 * An attack
 */
function atRest(daemon) {
	for (const api of daemon.apis)
		api.close(); // what it keeps alive
	return descriptors(daemon.child.pid);
}

async function backTo(daemon, count) {
	const begun = performance.now();

	await until(() => atRest(daemon) <= count, `there are ${count} descriptors again`, 90000);
	return (performance.now() - begun) / 1000;
}

const said = result => [
	`${result.made} connections`,
	...Object.entries(result.statuses).map(([status, n]) => `${n} x ${status}`),
	...(result.ended ? [`${result.ended} ended`] : []),
].join(', ');

async function attack(row, daemon, mix, fds, tools, [label, name, connections, addresses, path, token]) {
	const { pid } = daemon.child;
	const rss = resident(pid);
	const quiet = await mix.run(performance.now() + QUIET_SECONDS * 1000);
	let height = 0;
	const watch = setInterval(() => (height = Math.max(height, resident(pid))), 100);
	const args = [name, `127.0.0.1:${daemon.port}`, connections, addresses, ATTACK_SECONDS + 1, path, ...(token ? [token] : [])];
	const attacker = execute('taskset', ['-c', tools.core, 'nice', '-n', '5', tools.attack, ...args.map(String)]);

	await sleep(1000);
	const hit = await mix.run(performance.now() + ATTACK_SECONDS * 1000);
	const result = JSON.parse((await attacker).stdout);

	clearInterval(watch);
	const after = await backTo(daemon, fds);
	const ms = n => n.toFixed(1);
	const mb = n => (n / 1e6).toFixed(1);
	const slower = hit.p99 / quiet.p99;

	row(label, `${ms(hit.p50)}/${ms(hit.p99)} ms`, `${ms(quiet.p50)}/${ms(quiet.p99)} ms before`,
	    `${hit.unanswered ? `${hit.unanswered} UNANSWERED; ` : ''}RSS ${mb(rss)}, ${mb(height)}, ${mb(resident(pid))} MB; ` +
	    `back to ${fds} fds after ${after.toFixed(1)} s; slowest: ${hit.slowest}; ${said(result)}`,
	    hit.unanswered === 0 && (hit.p99 <= TOO_SLOW || slower <= TOO_MUCH_SLOWER));
}

async function tokens(daemon) {
	const minted = async scopes =>
		(await daemon.admin.post(`${base('mallory')}/tokens`, { scopes })).json.token;

	await daemon.admin.put(base('mallory'), { user_id: 'mallory' });
	return { viewer: await minted(['view']), 'back end': daemon.admin_token, none: 'x'.repeat(43) };
}

export async function hostileRows({ row, run, build, serverCore, loadCore }) {
	const undo = [], t = { after: fn => undo.push(fn) };
	const only = process.env.HOSTILE;

	process.env.PREVIEWD = join(build, 'previewd');
	rmSync(join(run, 'hostile'), { recursive: true, force: true });
	try {
		const daemon = new Daemon(t, { state: join(run, 'hostile'), wrap: ['taskset', '-c', serverCore],
					       settings: { 'publish.sandbox': 'prefer' } });

		await daemon.start();
		const mix = new Mix(daemon);
		const whose = await tokens(daemon);
		const workdir = write_files(join(daemon.dir, 'site'), { 'index.html': 'x', 'big.bin': randomBytes(1 << 20) });

		await daemon.local.post(`${base('site')}/publish?wait=1`, { workdir });
		await mix.open(t);
		await mix.run(performance.now() + 1000);
		await until(async () => (await daemon.metric('previewd_jobs')) === 0, 'it is quiet');
		await daemon.anonymous.get(`${base('site')}/published/big.bin`); // whose directory stays open
		atRest(daemon);
		await sleep(500);
		const fds = atRest(daemon);

		console.log('The worst p50 and p99 of the mix, during an attack and before it:');
		for (const [label, name, connections, addresses, path, token] of ATTACKS) {
			if (!only || `${label} ${name}`.includes(only))
				await attack(row, daemon, mix, fds, { attack: join(build, 'tests/bench/attack'), core: loadCore },
					     [label, name, connections, addresses, path, token && whose[token]]);
			daemon.child.stderr.all.length = 0;
		}
	} finally {
		for (const fn of undo.reverse())
			await fn();
	}
}
