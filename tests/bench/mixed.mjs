// SPDX-License-Identifier: MIT
/*
 * What a daemon's clients do all day, each a lane that does one thing after the other and rests in
 * between: agents with sessions that come and go, viewers over WebSocket and Socket.IO, tasks, canvas,
 * MCP, publishes and their visitors, hooks, servers that go down, clients that behave badly, and the
 * operator.  Sessions get ids that were never used before, as agents' have.
 *
 * All lanes can be brought to rest between two turns, with nothing of theirs open: what the daemon
 * holds then is what it keeps.
 */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import * as events from '../functional/events.mjs';
import { Api, base, blind, free_port } from '../functional/harness.mjs';
import * as mcp from '../functional/mcp.mjs';
import { write_files } from '../functional/publishing.mjs';
import * as socketio from '../functional/socketio.mjs';
import * as targets from '../functional/targets.mjs';

export const SUFFIX = 'preview.localhost';

/* So small that each is reached long before the warm-up is over: from there on old makes way for new. */
export const SETTINGS = {
	'limits.sessions_per_user': 150,
	'limits.per_user': 60,
	'events.ring': 100,
	'events.memory_max': '4M',
	'mcp.sessions_per_user': 20,
	'mcp.bindings_max': 100,
	'publish.pages_per_user': 8,
	'publish.pages_open': 4,
	'publish.builds_kept': 5,
	'publish.sandbox': 'prefer',
	'publish.visibility': 'public', // though there is a trusted proxy
	'tasks.keep': '20s',
	'tasks.kill_grace': '1s',
	'auth.code_ttl': '10s',
	'edge.link_ttl': '10s',
	'activity.sample': '2s',
	'reaper.interval': '20s',
	'socketio.ping_interval': '3s',
	'socketio.ping_timeout': '3s',
	'server.trusted_proxies': '127.0.0.1',
	'preview.public_url_template': `http://{label}.${SUFFIX}`,
};

const STAGE = 'stage'; // a session that stays, for those who look
export const SITES = ['site0', 'site1', 'site2'];

/* What a turn opens is closed at its end. */
async function scoped(turn) {
	const undo = [];

	try {
		return await turn({ after: fn => undo.push(fn) });
	} finally {
		for (const fn of undo.reverse())
			await fn();
	}
}

const ok = answer => {
	assert.ok(answer.status < 300, `${answer.status} ${answer.text.slice(0, 300)}`);
	return answer;
};

const random = n => Math.floor(Math.random() * n);

export class Mixed {
	#lanes = [];
	#resting = false;
	#over = false;
	complaints = new Map(); // what is said → how often

	constructor(daemon, dir) {
		this.d = daemon;
		this.dir = dir;
		this.n = 0;
	}

	/* The id of a session that ends with the turn, however it went. */
	#fresh(t, kind) {
		const session = `${kind}-${process.pid}-${++this.n}`;

		t.after(() => this.d.admin.del(base(session)));
		return session;
	}

	async open(t) {
		const { admin } = this.d;

		/* A port is one user's. */
		this.servers = await Promise.all([0, 1, 2, 'mcp'].map(() => targets.http_server(t)));
		ok(await admin.put(base(STAGE), { user_id: 'stage' }));
		ok(await admin.attach(STAGE, blind({ port: 5173 })));
		for (const site of SITES)
			await this.#publish(site);
	}

	start() {
		const lane = (turn, pause, argument) => this.#lanes.push(this.#run(turn.bind(this), pause, argument));

		for (let i = 0; i < 3; i++)
			lane(this.#agent, 300, i);
		for (const kind of ['websocket', ...Object.keys(socketio.TRANSPORTS).map(k => `socketio-${k}`)])
			lane(this.#viewer, 500, kind);
		lane(this.#task, 700);
		lane(this.#canvas, 100);
		lane(this.#mcp, 400);
		lane(this.#visitor, 60);
		lane(this.#publisher, 8000);
		lane(this.#hooks, 300);
		lane(this.#downs, 1000);
		lane(this.#rude, 400);
		lane(this.#operator, 5000);
	}

	async #run(turn, pause, argument) {
		while (!this.#over) {
			if (this.#resting) {
				await sleep(50);
				continue;
			}
			const one = scoped(t => turn(t, argument)).catch(e => this.#complain(turn.name, e));

			this.turns.add(one);
			await one;
			this.turns.delete(one);
			await sleep(pause / 2 + random(pause));
		}
	}

	turns = new Set();

	#complain(who, error) {
		const text = `${who.replace('bound ', '')}: ${error.message.replace(/\s+/g, ' ').slice(0, 300)}`;

		this.complaints.set(text, (this.complaints.get(text) ?? 0) + 1);
	}

	/* Until go_on() nothing begins; resolves when all that had begun is over. */
	async rest() {
		this.#resting = true;
		await Promise.all(this.turns);
		for (const stream of this.d.streams)
			stream.terminate();
		this.d.streams.clear();
	}

	go_on() {
		this.#resting = false;
	}

	async stop() {
		await this.rest();
		this.#over = true;
		await Promise.all(this.#lanes);
	}

	#api(t, token) {
		const api = new Api({ port: this.d.port }, token);

		t.after(() => api.close());
		return api;
	}

	async #stream(t, session, query = {}) {
		const stream = await events.join(this.d, session, query);

		t.after(() => {
			stream.terminate();
			this.d.streams.delete(stream.socket);
		});
		return stream;
	}

	/* A session's whole life. */
	async #agent(t, i) {
		const { admin } = this.d;
		const session = this.#fresh(t, 'agent'), B = base(session);

		ok(await admin.put(B, { user_id: `user${i}`, meta: { model: 'x'.repeat(random(200)) } }));
		const stream = await this.#stream(t, session);

		ok(await admin.attach(session, { port: this.servers[i].port }));
		ok(await admin.attach(session, blind({ port: 5200 + i, name: 'two' })));
		ok(await admin.attach(session, blind({ port: 5210 + i, name: 'two' })));
		assert.equal((await admin.attach(session, { port: 1025, name: 'none', wait_seconds: 1 })).json.code,
			     'target_not_listening');
		for (const what of ['previews', 'previews/two', 'previews/default/why', ''])
			ok(await admin.get(`${B}/${what}`.replace(/\/$/, '')));
		for (const what of ['touch', 'pin', 'unpin'])
			ok(await admin.post(`${B}/previews/two/${what}`));
		await this.#edge(t, session);
		await this.#tokens(t, session);
		ok(await admin.detach(session, 'two'));
		ok(await admin.del(B));
		await stream.event('web_preview:detached', p => p.reason === 'session_end');
	}

	/* A one-time link, opened as the edge does it; the other one is never opened. */
	async #edge(t, session) {
		const anonymous = this.#api(t, null);
		const link = async () => ok(await this.d.admin.post(`${base(session)}/previews/default/link`)).json.url;
		const [url] = [new URL(await link()), await link()];
		const ask = (uri, more = {}) => anonymous.get('/edge/verify', {
			headers: { host: 'localhost', 'x-forwarded-host': url.host, 'x-forwarded-proto': 'http',
				   'x-forwarded-method': 'GET', 'x-forwarded-uri': uri, ...more },
		});
		const opened = await ask(url.pathname + url.search);

		assert.equal(opened.status, 302, opened.text);
		const [cookie] = opened.headers['set-cookie'][0].split(';');

		ok(await ask('/', { cookie }));
		assert.equal((await ask('/')).status, 401);
	}

	/* Half of them are revoked, half go with their session; codes likewise. */
	async #tokens(t, session) {
		const { admin } = this.d, B = base(session);
		const { token, token_id, id } = ok(await admin.post(`${B}/tokens`, { scopes: ['view'] })).json;
		const viewer = this.#api(t, token);

		ok(await viewer.get(`${B}/previews`));
		ok(await admin.get(`${B}/tokens`));
		if (random(2))
			ok(await admin.del(`${B}/tokens/${token_id ?? id}`));
		const { url } = ok(await admin.post(`${B}/codes`, {})).json;
		const code = /code=([^&]+)/.exec(url)?.[1];

		if (code && random(2))
			ok(await this.d.anonymous.post('/ui/exchange', { code }));
	}

	/* Joins, joins again where it left off, leaves: politely or not. */
	async #viewer(t, kind) {
		const { admin_token: token, admin } = this.d;

		if (kind === 'websocket') {
			const stream = await this.#stream(t, STAGE);
			const { latest_seq: since, epoch } = stream.joined;

			stream.send({ type: 'ping' });
			stream.terminate();
			const again = await this.#stream(t, STAGE, { since, epoch });

			await again.flush();
			await sleep(random(1000));
			if (random(2))
				again.socket.close();
			return;
		}
		const transports = socketio.TRANSPORTS[kind.replace('socketio-', '')];
		const nsp = socketio.NAMESPACES[random(2)];
		const socket = await socketio.connected(t, this.d, { nsp, transports, token });
		const joined = await socketio.ask(socket, 'join_session', { app_id: 'default', session_id: STAGE });

		assert.equal(joined.ok, true);
		ok(await admin.post(`${base(STAGE)}/canvas/set_state`, { key: 'n', value: this.n }));
		await sleep(random(1500));
		if (random(2))
			await socketio.ask(socket, 'leave_session', { session_id: STAGE });
		if (random(3) === 0) // the daemon hears of it by a heartbeat that is missing
			socket.io.engine?.transport?.polling ? socket.io.engine.removeAllListeners() : socket.io.engine?.close();
	}

	async #task(t) {
		const session = this.#fresh(t, 'task'), B = base(session), { local } = this.d;
		const add = (task_id, script) =>
			local.post(`${B}/tasks`, { task_id, command: ['sh', '-c', script], cwd: this.dir });

		ok(await add('short', 'seq 2000'));
		ok(await add('long', 'echo begun; exec sleep 600'));
		ok(await local.attach(session, blind({ port: 5180, bash_task_id: 'long' })));
		ok(await local.get(`${B}/tasks`));
		ok(await local.get(`${B}/tasks/short/log?follow=1`));
		if (random(2))
			ok(await local.del(`${B}/tasks/long`));
	}

	async #canvas(t) {
		const { admin } = this.d;
		const session = random(4) ? STAGE : this.#fresh(t, 'canvas');
		const act = async (action, params) => ok(await admin.post(`${base(session)}/canvas/${action}`, params));
		const id = `r${random(50)}`, payload = { text: 'x'.repeat(random(8000)) };

		await act('set_state', { key: `k${random(40)}`, value: payload });
		await act('patch_state', { patch: { [`k${random(40)}`]: null } });
		await act('set_resource', { channel: 'files', id, payload });
		await act('push_node', { label: 'Build', status: 'running', id });
		ok(await admin.post(`${base(session)}/canvas`, [
			{ action: 'set_resource', params: { channel: 'files', id: 'gone', payload } },
			{ action: 'delete_resource', params: { channel: 'files', id: 'gone' } },
		]));
		ok(await admin.get(`${base(session)}/canvas`));
		if (random(40) === 0)
			await act('clear', {});
	}

	/* Of the sessions of the protocol half are never ended. */
	async #mcp(t) {
		const session = this.#fresh(t, 'mcp');
		const api = this.#api(t, this.d.admin_token);
		const headers = { 'x-previewd-session': session };
		const legacy = await mcp.begin(api, headers);

		assert.equal(legacy.begun.status, 200, legacy.begun.text);
		ok(await legacy.notify('notifications/initialized'));
		for (const [name, args] of [['PreviewProxy', { port: this.servers.at(-1).port }], ['PreviewList'], ['PreviewDetach']])
			assert.ok((await legacy.call(name, args)).result, name);
		if (random(2))
			await legacy.end();
		ok(await mcp.modern(api, 'tools/list', {}, { headers }));
		ok(await mcp.modern(api, 'tools/call', { name: 'PreviewList', arguments: {} }, { headers }));
	}

	async #visitor(t) {
		const { anonymous } = this.d;
		const url = `${base(SITES[random(SITES.length)])}/published/`;
		const page = ok(await anonymous.get(url));

		await anonymous.get(`${url}app.js`, { headers: { 'accept-encoding': 'br, gzip' } });
		await anonymous.get(`${url}big.bin`, { headers: { range: `bytes=${random(1000)}-${2000 + random(50000)}` } });
		const { status } = await anonymous.get(url, { headers: { 'if-none-match': page.headers.etag } });

		assert.ok(status === 304 || status === 200, `${status}`);
		assert.equal((await anonymous.get(`${url}none.txt`)).status, 404);
	}

	async #publish(session, more = {}) {
		const n = ++this.n;
		const workdir = write_files(join(this.dir, `project-${session.replace(/-.*/, '')}`), {
			'index.html': `<!doctype html><h1>${n}</h1>`,
			'app.js': `console.log(${n});\n`.repeat(2000),
			'big.bin': `${n}`.padEnd(200000, 'x'),
		});
		const build = ok(await this.d.local.post(`${base(session)}/publish?wait=1`, { workdir, ...more })).json;

		assert.equal(build.state, 'succeeded', JSON.stringify(build).slice(0, 300));
	}

	async #publisher(t) {
		const { local } = this.d;

		await this.#publish(SITES[random(SITES.length)]);
		const site = SITES[random(SITES.length)];
		const { releases } = ok(await local.get(`${base(site)}/releases?name=published`)).json;

		ok(await local.post(`${base(site)}/releases/${releases.at(-1).id}/activate`, {}));
		const session = this.#fresh(t, 'pages'); // its page outlives it

		await this.#publish(session);
	}

	/* Agents' hooks; and a process, this one, that holds a session. */
	async #hooks(t) {
		const { admin, local } = this.d;
		const session_id = this.#fresh(t, 'hook');
		const hook = async body => ok(await admin.post('/hooks/claude-code', { session_id, cwd: this.dir, ...body }));

		await hook({ hook_event_name: 'SessionStart', source: 'startup' });
		for (let i = 0; i < 3; i++)
			await hook({ hook_event_name: 'PreToolUse', tool_use_id: `toolu_${session_id}_${i}`,
				     tool_name: 'mcp__previewd__PreviewList' });
		await hook({ hook_event_name: 'PostToolUse', tool_name: 'Bash', tool_response: { stdout: 'x' } });
		ok(await local.post(`${base(session_id)}/holds`, {}));
		ok(await local.get(`${base(session_id)}/holds`));
		await hook({ hook_event_name: 'SessionEnd', reason: 'clear' });
	}

	/* A server that goes and comes back, and is told of. */
	async #downs(t) {
		const session = this.#fresh(t, 'downs');
		const port = await free_port();
		const server = await targets.http_server(t, undefined, { port });
		const stream = await this.#stream(t, session);

		ok(await this.d.admin.attach(session, { port }));
		await server.close_now();
		await stream.event('web_preview:down');
		const again = await targets.http_server(t, undefined, { port });

		await stream.event('web_preview:up');
		await again.close_now();
	}

	/* Who is refused, hangs up in the middle, or says nothing that makes sense. */
	async #rude(t) {
		const { d } = this;
		const stranger = this.#api(t, 'not a token');
		const says = bytes => new Promise(resolve => {
			const socket = connect(d.port, '127.0.0.1', () => {
				socket.write(bytes);
				setTimeout(() => socket.destroy(), random(300));
			});

			socket.on('error', () => {}).on('close', resolve);
		});
		const host = `Host: 127.0.0.1:${d.port}\r\n`;

		assert.equal((await stranger.get('/api/previews')).status, 401);
		assert.equal((await d.admin.get(base('nobody-knows'))).status, 404);
		assert.equal((await d.admin.put(`${base(STAGE)}/previews/x`, { port: 'many' })).status, 422);
		assert.equal((await d.admin.request('PUT', base(STAGE), { raw: '{"meta": [' })).status, 400);
		assert.equal((await d.admin.request('POST', '/mcp', { raw: 'x'.repeat(1.5e6) }).catch(() => ({ status: 413 }))).status, 413);
		await says(`GET / HTTP/1.1\r\n${host}X: ${'y'.repeat(random(60000))}`);
		await says('\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03');
		await says(`GET ${base(SITES[0])}/published/big.bin HTTP/1.1\r\n${host}\r\n`.repeat(5));
		await says(`POST /ui/exchange HTTP/1.1\r\n${host}Content-Length: 4000\r\n\r\n{"co`);
		await says(`GET /ws/events HTTP/1.1\r\n${host}Connection: Upgrade\r\nUpgrade: websocket\r\n` +
			   'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n\x81\x01\x01\x02');
		await says(`GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\n${host}\r\n`);
	}

	/* Settings that change; each fourth time they are wrong, and the old hold. */
	async #operator() {
		const { d } = this;
		const seconds = 60 + random(60);

		writeFileSync(d.config, random(4) ? `[server]\nidle_timeout = ${seconds}s\n` : '[server]\nidle_timeout = never\n');
		d.child.signal('SIGHUP');
		for (const path of ['/metrics', '/health/web_preview', '/openapi.json', '/api/figures', '/api/previews', '/ui/', '/readyz'])
			ok(await d.admin.get(path));
		ok(await d.admin.get(`/api/apps/default/web-preview?session_id=${STAGE}`));
	}
}
