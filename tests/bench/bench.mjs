// SPDX-License-Identifier: MIT
/*
 * previewd beside its peers, as a table: `make bench`, or some of it by `make bench ROWS="json idle"`.
 *
 *	attach   attach and detach a second, durable, beside configurable-http-proxy's routes
 *	json     JSON answers beside nginx `return 200` of as many bytes
 *	static   published files beside nginx with sendfile and open_file_cache (and brotli_static)
 *	publish  a publish with the packages in their store beside npm ci && npm run build
 *	large    100,000 attachments: start, memory, reads
 *	idle     an empty daemon's memory and wake-ups
 *	events   from an attach, or a port that begins to listen, to the client's frame
 *	socketio fan-out beside the stock Socket.IO server, and memory a client (ours: the fixture
 *	         of tests/interop, on the daemon's library)
 *	panel    the Preview panel in Chromium: first paint, and from an attach to its frame
 *	hostile  what others notice of attacks
 *	long     LONG_MINUTES (60) of mixed load, and whether anything grew: only when asked for
 *
 * Servers run on one core and the load on another, by turns, and the ratio is the median of rounds: the
 * machine is rarely quiet, and what disturbs one disturbs its neighbour too.  Nothing here fails for
 * being slow: a budget that is missed is marked.
 */
import { execFile, execFileSync, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { copyFileSync, cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { cpus, loadavg } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs, promisify } from 'node:util';
import { brotliCompressSync, constants } from 'node:zlib';

const execute = promisify(execFile);
const run = (command, args) => execute(command, args, { timeout: 120000 });
const { values: options, positionals } = parseArgs({
	options: { build: { type: 'string' }, flags: { type: 'string', default: '' } },
	allowPositionals: true,
});
const BUILD = options.build;
const HERE = join(BUILD, 'tests/bench');
const RUN = join(HERE, 'run'); // on the build's disk: a tmpfs would make fsync free
const ROUNDS = 3;
const IN_FLIGHT = 64;
const CLOCK_TICKS = Number(execFileSync('getconf', ['CLK_TCK']));
const SERVER_CORE = '0';
const LOAD_CORE = cpus().length > 1 ? '1' : '0';

/*
 * The table.
 */
const missed = [];

function row(what, value, beside = '', note = '', ok = true) {
	if (!ok)
		missed.push(what);
	console.log(`${what.padEnd(34)} ${String(value).padStart(16)}  ${String(beside).padEnd(30)} ` +
		    `${note}${ok ? '' : '  MISSED'}`);
}

const whole = n => Math.round(n).toLocaleString('en-US');
const megabytes = bytes => `${(bytes / 1e6).toFixed(1)} MB`;
const milliseconds = us => `${(us / 1000).toFixed(us < 10000 ? 2 : 1)} ms`;
const times = n => `${n.toFixed(2)} x`;

function median(numbers) {
	const sorted = [...numbers].sort((a, b) => a - b);

	return sorted[Math.floor((sorted.length - 1) / 2)];
}

/*
 * Processes.  Each is ended by its own handle.
 */
const running = new Set();

async function end(server) {
	if (!running.delete(server))
		return;
	server.child.kill('SIGTERM');
	await server.exited;
}

function start(command, args, extra = {}) {
	const child = spawn('taskset', ['-c', SERVER_CORE, command, ...args], {
		stdio: ['ignore', 'ignore', 'pipe'], ...extra,
	});
	const server = { child, pid: child.pid, log: '' };

	server.exited = new Promise(resolve => child.on('exit', resolve));
	server.logged = pattern => new Promise((resolve, reject) => {
		const look = () => {
			const found = server.log.match(pattern);

			if (found)
				resolve(found);
		};

		child.stderr.on('data', data => {
			if (server.log.length < 1e6) // a log that is not read would block its writer
				server.log += data;
			look();
		});
		child.on('exit', code => reject(
			new Error(`${command} ended with ${code}:\n${server.log}`)));
	});
	running.add(server);
	return server;
}

async function previewd(name, { keep = false } = {}) {
	const state = join(RUN, name);
	const begun = performance.now();

	if (!keep)
		rmSync(state, { recursive: true, force: true });
	mkdirSync(state, { recursive: true });
	const server = start(join(BUILD, 'previewd'), ['--listen', '127.0.0.1:0', '--socket', 'none',
						       '--state-dir', state]);
	const [, address] = await server.logged(/listening on http:\/\/(\S+)/);

	server.startedAfter = performance.now() - begun;
	server.address = address;
	server.token = readFileSync(join(state, 'token'), 'utf8').trim();
	server.call = async (method, path, body) => {
		const answer = await fetch(`http://${address}${path}`, {
			method,
			headers: { authorization: `Bearer ${server.token}`,
				   ...(body && { 'content-type': 'application/json' }) },
			body: body && JSON.stringify(body),
		});

		if (!answer.ok)
			throw new Error(`${method} ${path}: ${await answer.text()}`);
		return answer.text();
	};
	return server;
}

async function freePort() {
	const server = createServer();

	await new Promise(resolve => server.listen(0, '127.0.0.1', resolve));
	const { port } = server.address();

	await new Promise(resolve => server.close(resolve));
	return port;
}

/* For servers that don't say when they listen. */
async function answers(port) {
	for (let tries = 0; tries < 200; tries++) {
		const ok = await new Promise(resolve => {
			const socket = connect(port, '127.0.0.1', () => resolve(true));

			socket.on('error', () => resolve(false));
			socket.on('connect', () => socket.destroy());
		});

		if (ok)
			return;
		await sleep(50);
	}
	throw new Error(`nothing listens on port ${port}`);
}

function cpuSeconds(pid) {
	const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\) /s, '').split(' ');

	return (Number(fields[11]) + Number(fields[12])) / CLOCK_TICKS; // utime, stime
}

function memory(pid) {
	const field = name => 1024 * Number(
		readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8').match(RegExp(`^${name}:\\s+(\\d+)`, 'm'))[1]);

	return { rss: field('Rss'), own: field('Private_Dirty') + field('Private_Clean'),
		 anonymous: field('Anonymous') };
}

async function tool(name, args) {
	const { stdout } = await run('taskset', ['-c', LOAD_CORE, join(HERE, name), ...args]);

	return JSON.parse(stdout);
}

/*
 * attach: previewd's are on the disk when answered, the peer's are in its memory.
 */
const ATTACHES = 6400;
const PER_SESSION = 5, PER_USER = 20, PORTS_PER_USER = 20;

async function attachRows() {
	const sessionOf = i => `bench${Math.floor(i / PER_SESSION)}`;
	const pathOf = i => `/api/apps/default/sessions/${sessionOf(i)}/previews`;
	const portOf = i => 2000 + Math.floor(i / PER_USER) * PORTS_PER_USER + i % PER_USER;
	const table = (name, line, n = ATTACHES) => {
		const path = join(RUN, `${name}.txt`);

		writeFileSync(path, Array.from({ length: n }, (_, i) => line(i)).join('\n') + '\n');
		return path;
	};
	const ours = {
		attach: table('attach', i => `POST ${pathOf(i)} ${JSON.stringify(
			{ port: portOf(i), name: `p${i % PER_SESSION}`, health_check: false })}`),
		detach: table('detach', i => `DELETE ${pathOf(i)}/p${i % PER_SESSION}`),
	};
	const theirs = {
		attach: table('routes-add', i => `POST /api/routes/bench/${sessionOf(i)}/p${i % PER_SESSION} ` +
			JSON.stringify({ target: `http://127.0.0.1:${portOf(i)}` })),
		detach: table('routes-delete', i => `DELETE /api/routes/bench/${sessionOf(i)}/p${i % PER_SESSION}`),
	};
	const sessions = table('sessions', i => `PUT /api/apps/default/sessions/bench${i} ` +
		JSON.stringify({ user_id: `user${Math.floor(i * PER_SESSION / PER_USER)}` }),
		ATTACHES / PER_SESSION);
	const daemon = await previewd('attach');
	const [proxyPort, apiPort] = [await freePort(), await freePort()];
	const proxy = start(join(HERE, 'node_modules/.bin/configurable-http-proxy'),
		['--ip', '127.0.0.1', '--port', proxyPort, '--api-ip', '127.0.0.1', '--api-port', apiPort,
		 '--log-level', 'error'],
		{ env: { ...process.env, CONFIGPROXY_AUTH_TOKEN: 'bench', NODE_ENV: 'production' },
		  stdio: 'ignore' });
	const sides = [
		{ pid: daemon.pid, address: daemon.address, field: `Authorization: Bearer ${daemon.token}`, tables: ours },
		{ pid: proxy.pid, address: `127.0.0.1:${apiPort}`, field: 'Authorization: token bench', tables: theirs },
	];
	const rounds = [];
	const load = async (side, path) => {
		const cpu = cpuSeconds(side.pid);
		const result = await tool('attachload', [side.address, IN_FLIGHT, path, side.field]);

		if (result.failed)
			throw new Error(`${result.failed} of ${result.requests} requests failed`);
		result.cpu_us = (cpuSeconds(side.pid) - cpu) * 1e6 / result.requests;
		return result;
	};

	await answers(apiPort);
	await load(sides[0], sessions);
	for (let i = 0; i <= ROUNDS; i++) {
		const round = {};

		for (const side of i % 2 ? sides : [...sides].reverse())
			round[side === sides[0] ? 'we' : 'they'] = {
				attach: await load(side, side.tables.attach),
				detach: await load(side, side.tables.detach),
			};
		if (i > 0) // the first warms up: V8's compiler, our event numbers
			rounds.push(round);
	}
	for (const what of ['attach', 'detach']) {
		const of = (who, field) => median(rounds.map(r => r[who][what][field]));
		const ratio = median(rounds.map(r => r.we[what].per_second / r.they[what].per_second));

		row(`${what} a second, durable`, whole(of('we', 'per_second')),
			`c-h-p ${whole(of('they', 'per_second'))}: ${times(ratio)}`,
			`>= 10 x; p99 ${milliseconds(of('we', 'p99_us'))} (${milliseconds(of('they', 'p99_us'))}), ` +
			`CPU ${of('we', 'cpu_us').toFixed(0)} us (${of('they', 'cpu_us').toFixed(0)} us) each`,
			ratio >= 10);
	}
	await end(daemon);
	await end(proxy);
}

/*
 * json
 */
async function wrk(server, path, seconds = 3, ...more) {
	const args = ['-t1', `-c${IN_FLIGHT}`, `-d${seconds}s`, ...more];

	if (server.token)
		args.push('-H', `Authorization: Bearer ${server.token}`);
	const cpu = cpuSeconds(server.pid);
	const { stdout } = await run('taskset', ['-c', LOAD_CORE, 'wrk', ...args,
						 `http://${server.address}${path}`]);
	const used = cpuSeconds(server.pid) - cpu;

	if (/Non-2xx|Socket errors/.test(stdout))
		throw new Error(stdout);
	return { per_second: Number(stdout.match(/Requests\/sec:\s+([\d.]+)/)[1]),
		 cpu_us: used * 1e6 / Number(stdout.match(/(\d+) requests in/)[1]) };
}

/* One process, which is the worker. */
async function nginx(inServer, { main = '', http = '' } = {}) {
	const port = await freePort();
	const file = join(RUN, 'nginx.conf');

	writeFileSync(file, `${main}
daemon off; master_process off; worker_processes 1;
pid ${RUN}/nginx.pid; error_log ${RUN}/nginx.err;
events { worker_connections 1024; }
http {
	access_log off; keepalive_requests 100000000; types { }
	client_body_temp_path ${RUN}/t1; proxy_temp_path ${RUN}/t2; fastcgi_temp_path ${RUN}/t3;
	uwsgi_temp_path ${RUN}/t4; scgi_temp_path ${RUN}/t5; ${http}
	server {
		listen 127.0.0.1:${port};
		${inServer}
	}
}
`);
	const server = start('nginx', ['-c', file, '-e', join(RUN, 'nginx.err')], { stdio: 'ignore' });

	server.address = `127.0.0.1:${port}`;
	await answers(port);
	return server;
}

async function byTurns(we, they, ...more) {
	const rounds = [];

	for (let i = 0; i < ROUNDS; i++) {
		const sides = [['we', ...we], ['they', ...they]];
		const round = {};

		for (const [who, server, path] of i % 2 ? sides.reverse() : sides)
			round[who] = await wrk(server, path, 3, ...more);
		rounds.push(round);
	}
	return rounds;
}

async function jsonRows() {
	const daemon = await previewd('json');
	const B = '/api/apps/default/sessions/bench';
	const listener = createServer();

	await daemon.call('PUT', B, { user_id: 'ada' });
	await new Promise(resolve => listener.listen(0, '127.0.0.1', resolve));
	await daemon.call('POST', `${B}/previews`, { port: listener.address().port, health_check: false });

	const body = await daemon.call('GET', `${B}/previews/default`);
	const peer = await nginx([
		{ path: '/healthz', type: 'text/plain', body: 'ok\n' },
		{ path: '/preview', type: 'application/json', body: body.replace(/[^\x20-\x7e]|['$\\]/g, '.') },
	].map(l => `location = ${l.path} { default_type ${l.type}; return 200 '${l.body}'; }`).join('\n'));

	for (const [what, ours, theirs] of [['GET /healthz', '/healthz', '/healthz'],
					    [`GET a preview, ${body.length} B`, `${B}/previews/default`, '/preview']]) {
		const rounds = await byTurns([daemon, ours], [peer, theirs]);
		const of = (who, field) => median(rounds.map(r => r[who][field]));
		const ratio = median(rounds.map(r => r.we.per_second / r.they.per_second));
		const cpu = median(rounds.map(r => r.they.cpu_us / r.we.cpu_us));

		row(what, whole(of('we', 'per_second')),
			`nginx ${whole(of('they', 'per_second'))}: ${times(ratio)}`,
			`CPU ${of('we', 'cpu_us').toFixed(2)} us (${of('they', 'cpu_us').toFixed(2)} us) each: ` +
			`${times(cpu)} a core`);
	}
	listener.close();
	await end(daemon);
	await end(peer);
}

/*
 * static: a page published as a user would, through the whole daemon; nginx has the same files.  Which
 * is the slower of load and server differs by size, so it is requests a second, or a server's core.
 */
const BROTLI_STATIC = '/usr/lib/nginx/modules/ngx_http_brotli_static_module.so';

/* Some of what a bundler puts out: real JavaScript. */
function javascript(bytes) {
	const from = join(HERE, 'node_modules');
	const pieces = [];
	let n = 0;

	for (const path of readdirSync(from, { recursive: true }).filter(p => p.endsWith('.js')).sort()) {
		const piece = readFileSync(join(from, path));

		pieces.push(piece);
		n += piece.length;
		if (n > bytes)
			break;
	}
	return Buffer.concat(pieces).subarray(0, bytes);
}

async function staticRows() {
	const daemon = await previewd('static');
	const B = '/api/apps/default/sessions/bench';
	const project = join(RUN, 'project');
	const script = javascript(1600 * 1024); // about 200 KB by brotli, as a usual bundle
	const rows = [['1 KiB', '1k.bin', randomBytes(1024), 1.2], ['16 KiB', '16k.bin', randomBytes(16 * 1024), 1.1],
		      ['1 MiB', '1m.bin', randomBytes(1024 * 1024), 1.1], ['JavaScript, brotli', 'app.js', script, 1.1]];

	mkdirSync(project, { recursive: true });
	writeFileSync(join(project, 'index.html'), '<!doctype html><title>bench</title>');
	for (const [, file, content] of rows)
		writeFileSync(join(project, file), content);
	await daemon.call('PUT', B, { user_id: 'ada' });
	await daemon.call('POST', `${B}/publish?wait=1`, { workdir: project });
	writeFileSync(join(project, 'app.js.br'),
		      brotliCompressSync(script, { params: { [constants.BROTLI_PARAM_QUALITY]: 9 } }));

	const peer = await nginx(`root ${project};`, {
		main: `load_module ${BROTLI_STATIC};`,
		http: 'sendfile on; open_file_cache max=1000; brotli_static on;',
	});
	const we = { pid: daemon.pid, address: daemon.address }; // who visits a page has no token

	for (const [what, file, , least] of rows) {
		const rounds = await byTurns([we, `${B}/published/${file}`], [peer, `/${file}`], '-H', 'Accept-Encoding: gzip, br');
		const of = (who, field) => median(rounds.map(r => r[who][field]));
		const ratio = median(rounds.map(r => r.we.per_second / r.they.per_second));
		const core = median(rounds.map(r => r.they.cpu_us / r.we.cpu_us));

		row(`published, ${what}`, `${whole(of('we', 'per_second'))}/s`,
			`nginx ${whole(of('they', 'per_second'))}: ${times(ratio)}`,
			`>= ${least} x; CPU ${of('we', 'cpu_us').toFixed(2)} us (${of('they', 'cpu_us').toFixed(2)} us) each: ` +
			`${times(core)} a core`, Math.max(ratio, core) >= least);
	}
	await end(daemon);
	await end(peer);
}

/*
 * large
 */
/*
 * A publish, from its request to its end, beside what one would type: npm ci && npm run build.
 */
const FIXTURES = fileURLToPath(new URL('../fixtures/projects', import.meta.url));

async function publishRows() {
	const daemon = await previewd('publish');
	const B = '/api/apps/default/sessions/bench';
	const publish = async () => {
		const begun = performance.now();
		const build = JSON.parse(await daemon.call('POST', `${B}/publish?wait=1`, { workdir: join(FIXTURES, 'vite-react') }));

		return { ms: performance.now() - begun, build };
	};
	const bare = async () => {
		const dir = join(RUN, 'bare');

		rmSync(dir, { recursive: true, force: true });
		cpSync(join(FIXTURES, 'vite-react'), dir, { recursive: true });
		const begun = performance.now();

		await execute('npm', ['ci', '--no-audit', '--no-fund', '--ignore-scripts'], { cwd: dir, timeout: 120000 });
		await execute('npm', ['run', 'build'], { cwd: dir, timeout: 120000 });
		return performance.now() - begun;
	};
	const first = await publish();
	const rounds = [];

	await bare(); // npm's own cache is warm from here on
	for (let i = 0; i < ROUNDS; i++)
		rounds.push({ we: (await publish()).ms, they: await bare() });
	const we = median(rounds.map(r => r.we)), they = median(rounds.map(r => r.they));
	const ratio = median(rounds.map(r => r.they / r.we));

	row('publish, packages not there yet', milliseconds(first.ms * 1000));
	row('publish again', milliseconds(we * 1000), `npm ci && run build ${whole(they)} ms: ${times(ratio)}`, '>= 1.5 x', ratio >= 1.5);
	await end(daemon);
}

async function largeRows() {
	const count = 100000;
	const state = join(RUN, 'large');
	const starts = [];
	let daemon;

	rmSync(state, { recursive: true, force: true });
	mkdirSync(state, { recursive: true });
	await quietTool('fillstore', [join(state, 'previewd.db'), count]);
	for (let i = 0; i < ROUNDS; i++) {
		daemon = await previewd('large', { keep: true });
		starts.push(daemon.startedAfter);
		if (i < ROUNDS - 1)
			await end(daemon);
	}

	const { rss } = memory(daemon.pid);
	const timed = async path => {
		const all = [];

		for (let i = 0; i < 5; i++) {
			const cpu = cpuSeconds(daemon.pid), begun = performance.now();

			await daemon.call('GET', path);
			all.push({ ms: performance.now() - begun, cpu: (cpuSeconds(daemon.pid) - cpu) * 1000 });
		}
		return median(all.map(a => a.ms));
	};
	const one = '/api/apps/default/sessions/session77/previews/default';
	const many = await wrk(daemon, one, 2);
	const health = await timed('/health/web_preview');
	const page = await timed('/api/previews?limit=1000');

	row('100,000 attachments: start', `${median(starts).toFixed(0)} ms`, '', '< 1 s', median(starts) < 1000);
	row('100,000 attachments: RSS', megabytes(rss), '', '< 200 MB', rss < 200e6);
	row('100,000 attachments: GET one', `${whole(many.per_second)}/s`, '', `CPU ${many.cpu_us.toFixed(1)} us each`);
	row('100,000 attachments: health walk', `${health.toFixed(1)} ms`, '', '< 50 ms of loop time', health < 50);
	row('100,000 attachments: a page of 1000', `${page.toFixed(1)} ms`);
	await end(daemon);
	rmSync(state, { recursive: true, force: true });
}

async function quietTool(name, args) {
	await run(join(HERE, name), args.map(String));
}

/*
 * idle: each thread's voluntary context switches are its waits that ended.
 */
function wakeups(pid) {
	return readdirSync(`/proc/${pid}/task`).map(task => Number(
		readFileSync(`/proc/${pid}/task/${task}/status`, 'utf8').match(/^voluntary_ctxt_switches:\s+(\d+)/m)[1],
	)).reduce((a, b) => a + b);
}

async function idleRows() {
	const seconds = 10;
	const daemon = await previewd('idle');

	await sleep(1000); // start is over
	const before = wakeups(daemon.pid);

	await sleep(seconds * 1000);
	const woken = wakeups(daemon.pid) - before;
	const { rss, own, anonymous } = memory(daemon.pid);

	row('idle: RSS', megabytes(rss), '',
		`< 8 MB; its own ${megabytes(own)}, anonymous ${megabytes(anonymous)}`, rss < 8e6);
	row(`idle: wake-ups in ${seconds} s`, woken, '', 'none', woken === 0);
	await end(daemon);
}

/*
 * events
 */
async function eventRows() {
	const daemon = await previewd('events');
	const measure = (mode, subscribers, rounds) =>
		tool('evlatency', [mode, daemon.address, daemon.token, String(subscribers), String(rounds)]);
	const one = await measure('attach', 1, 2000);
	const hundred = await measure('attach', 100, 300);
	const bind = await measure('bind', 1, 100);

	row('attach to its frame', milliseconds(one.frame.p50_us), '',
		`p99 ${milliseconds(one.frame.p99_us)}; the answer p50 ${milliseconds(one.answer.p50_us)}`);
	row('the same, 100 subscribers', milliseconds(hundred.frame.p50_us), '',
		`p99 ${milliseconds(hundred.frame.p99_us)}`);
	row("server's first answer to frame", milliseconds(bind.from_first_answer.p50_us), '',
		`p99 ${milliseconds(bind.from_first_answer.p99_us)}, < 50 ms`,
		bind.from_first_answer.p99_us < 50000);
	row('port bound to frame', milliseconds(bind.from_bound.p50_us), '',
		`p99 ${milliseconds(bind.from_bound.p99_us)}, < 50 ms`, bind.from_bound.p99_us < 50000);
	await end(daemon);
}

/*
 * socketio: deliveries a second of CPU, which doesn't depend on what else the machine does.
 */
async function socketioRows() {
	const script = join(HERE, 'sio-server.mjs'); // where its packages are

	if (!existsSync(script))
		copyFileSync(join(import.meta.dirname, 'sio-server.mjs'), script);
	const begin = {
		we: port => start(join(BUILD, 'tests/interop/sio-fixture'), [`port=${port}`,
			'ping_interval=25000', 'ping_timeout=20000', 'connect_timeout=45000'],
			{ stdio: ['pipe', 'ignore', 'ignore'] }),
		they: port => start('node', [script, port], { stdio: 'ignore' }),
	};
	const measure = async (who, shape) => {
		const port = await freePort();
		const server = begin[who](port);

		server.exited.then(() => server.child.stdin?.destroy());
		await answers(port);
		const result = await tool('siobench', [`127.0.0.1:${port}`, server.pid,
			shape.clients, shape.rooms, 2, shape.rate]);

		await end(server);
		return result;
	};

	for (const shape of [
		{ clients: 100, rooms: 1, rate: 0 },
		{ clients: 1000, rooms: 1, rate: 0, least: 2.5 },
		{ clients: 5000, rooms: 1, rate: 0, least: 3, memory: true },
		{ clients: 1000, rooms: 200, rate: 2000 },
	]) {
		const rounds = [];

		for (let i = 0; i < ROUNDS; i++) {
			const round = {};

			for (const who of i % 2 ? ['we', 'they'] : ['they', 'we'])
				round[who] = await measure(who, shape);
			rounds.push(round);
		}
		const of = (who, field) => median(rounds.map(r => r[who][field]));
		const ratio = median(rounds.map(r => r.they.cpu_us / r.we.cpu_us));
		const name = shape.rooms > 1 ? `${shape.rooms} rooms x ${shape.clients / shape.rooms}, ` +
			`${whole(shape.rate)}/s` : `fan-out to ${whole(shape.clients)}`;

		row(`${name}: CPU each`, `${of('we', 'cpu_us').toFixed(2)} us`,
			`socket.io ${of('they', 'cpu_us').toFixed(2)} us: ${times(ratio)}`,
			`${shape.least ? `>= ${shape.least} x; ` : ''}${whole(of('we', 'per_second'))}/s ` +
			`(${whole(of('they', 'per_second'))}), p99 ${milliseconds(of('we', 'p99_us'))} ` +
			`(${milliseconds(of('they', 'p99_us'))})`, ratio >= (shape.least ?? 0));
		if (!shape.memory)
			continue;
		const [ours, theirs] = [of('we', 'client_bytes'), of('they', 'client_bytes')];

		row('memory an idle client', `${whole(ours)} B`, `socket.io ${whole(theirs)} B: 1/${(theirs / ours).toFixed(1)}`,
			'<= 1/5', ours <= theirs / 5);
	}
}

const ALL = {
	attach: attachRows, json: jsonRows, static: staticRows, publish: publishRows, large: largeRows,
	idle: idleRows, events: eventRows, socketio: socketioRows,
	panel: async () => (await import('./panel.mjs')).panelRows({ row, previewd, milliseconds }),
	hostile: async () => (await import('./hostile.mjs')).hostileRows({ row, run: RUN, build: BUILD, serverCore: SERVER_CORE, loadCore: LOAD_CORE }),
	long: async () => (await import('./long.mjs')).longRows({ row, run: RUN, cpuSeconds, binary: join(BUILD, 'previewd') }),
};
const ONLY_WHEN_ASKED = ['long'];

async function main() {
	const wanted = positionals.length ? positionals : Object.keys(ALL).filter(name => !ONLY_WHEN_ASKED.includes(name));

	for (const name of wanted) {
		if (!ALL[name]) {
			console.error(`bench: no rows '${name}'; there are: ${Object.keys(ALL).join(' ')}`);
			process.exit(1);
		}
	}
	if (/-fsanitize|--coverage/.test(options.flags)) {
		console.error('bench: this build has sanitizers; configure one without them, with CFLAGS=-O2');
		process.exit(1);
	}
	if (!/-O[23]/.test(options.flags))
		console.log('This build is not optimised (configure with CFLAGS=-O2): its numbers mean little.\n');

	mkdirSync(RUN, { recursive: true });
	console.log(`${cpus().length} cores of ${cpus()[0].model.trim()}, load ${loadavg()[0].toFixed(2)} before; ` +
		    `store on ${execFileSync('stat', ['-f', '-c', '%T', RUN]).toString().trim()}; ` +
		    `median of ${ROUNDS} rounds\n`);
	for (const name of wanted) {
		try {
			await ALL[name]();
		} catch (error) {
			row(name, 'not measured', '', String(error.stderr || error.message).trim().split('\n')[0], false);
			process.exitCode = 1;
		}
		for (const server of [...running])
			await end(server);
	}
	console.log(`\nload ${loadavg()[0].toFixed(2)} after` +
		    (missed.length ? `; missed: ${missed.join(', ')}` : ''));
	if (existsSync(RUN))
		rmSync(RUN, { recursive: true, force: true });
}

await main();
