// SPDX-License-Identifier: MIT
// Our Socket.IO with the stock clients of npm, and with bytes that no stock client would send: what
// the protocols' own suites ask for, and what they forget to.
// Needs: npm ci in tests/, and SIO_FIXTURE when the build isn't in build/.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises'; // to mix things, never to wait for one
import { Socket as EngineSocket } from 'engine.io-client';
import { io } from 'socket.io-client';
import WebSocket from 'ws';

const program = process.env.SIO_FIXTURE
	?? path.resolve(import.meta.dirname, '../../build/tests/interop/sio-fixture');
const PING_INTERVAL = 300, PING_TIMEOUT = 200; // as the protocol's suites want them
const SEPARATOR = '\x1e';

class Fixture {
	async start(...options) {
		this.process = spawn(program, options, { stdio: ['pipe', 'pipe', 'inherit'] });
		const [line] = await once(this.process.stdout, 'data');

		this.port = Number(line);
		this.http = `http://127.0.0.1:${this.port}`;
		this.ws = `ws://127.0.0.1:${this.port}`;
		return this;
	}

	async stop() {
		const { process } = this;

		process.stdin.end();
		if (process.exitCode === null && process.signalCode === null)
			await once(process, 'exit');
		assert.equal(process.exitCode, 0); // a leak or a race ends a sanitized build with another
	}

	async state() {
		return (await fetch(`${this.http}/state`, { headers: { connection: 'close' } })).json();
	}

	async until(holds) {
		for (;;) {
			const state = await this.state();
			if (holds(state))
				return state;
		}
	}

	// When so many requests have come since `before`, a state.
	arrived(n, before) {
		return this.until(s => s.requests >= before.requests + n);
	}
}

/*
 * With a short heartbeat that kills, as the protocol's suites want it; that can be waited for, and
 * missed; that doesn't disturb.  Where a client has to do something in time, it has plenty.
 */
let quick, beating, slow;

before(async () => {
	quick = await new Fixture().start();
	beating = await new Fixture().start('ping_timeout=20000', 'connect_timeout=20000');
	slow = await new Fixture().start('ping_interval=25000', 'ping_timeout=20000', 'connect_timeout=20000');
});

after(async () => {
	// Nothing of a client stays: only the connection that asks.
	for (const fixture of [quick, beating, slow]) {
		await fixture.until(s => s.connections === 1 && s.sessions === 0 && s.clients === 0);
		await fixture.stop();
	}
});

/*
 * Raw Engine.IO
 */
class Polling {
	constructor(fixture, root = 'engine.io') {
		this.root = `${fixture.http}/${root}/?EIO=4&transport=polling`;
		this.socket = `${fixture.ws}/${root}/?EIO=4&transport=websocket`;
	}

	async open() {
		const text = await (await fetch(this.root)).text();

		assert.equal(text[0], '0');
		this.handshake = JSON.parse(text.slice(1));
		this.url = `${this.root}&sid=${this.handshake.sid}`;
		return this;
	}

	get(options) {
		return fetch(this.url, options);
	}

	async poll() {
		const answer = await this.get();

		assert.equal(answer.status, 200);
		return answer.text();
	}

	post(body, headers = {}) {
		return fetch(this.url, { method: 'POST', body, headers });
	}

	async push(body) {
		const answer = await this.post(body);

		assert.equal(await answer.text(), 'ok');
		assert.equal(answer.status, 200);
	}

	upgrade() {
		return new Socket(`${this.socket}&sid=${this.handshake.sid}`);
	}

	async isUnknown() {
		const answer = await this.get();

		assert.equal(answer.status, 400);
		assert.deepEqual(await answer.json(), { code: 1, message: 'Session ID unknown' });
	}

	close() {
		return this.push('1');
	}
}

class Socket {
	constructor(url, options) {
		this.waiting = [];
		this.come = [];
		this.socket = new WebSocket(url, options);
		this.closed = new Promise(resolve => this.socket.on('close', code => {
			this.put('closed');
			resolve(code);
		}));
		this.socket.on('error', error => { this.error = error; });
		this.socket.on('message', (data, isBinary) => this.put(isBinary ? data : String(data)));
		this.opened = new Promise(resolve => this.socket.on('open', resolve));
	}

	put(message) {
		if (this.waiting.length)
			this.waiting.shift()(message);
		else
			this.come.push(message);
	}

	any() {
		return this.come.length ? this.come.shift()
			: new Promise(resolve => this.waiting.push(resolve));
	}

	async next() {
		for (;;) {
			const message = await this.any();

			if (message !== '2')
				return message;
			this.send('3');
		}
	}

	send(...messages) {
		for (const message of messages)
			this.socket.send(message);
	}

	async end() {
		this.socket.close();
		await this.closed;
	}
}

async function engine(fixture) {
	const s = new Socket(`${fixture.ws}/engine.io/?EIO=4&transport=websocket`);

	s.handshake = JSON.parse((await s.next()).slice(1));
	return s;
}

async function refused(url, code, message, options, status = 400) {
	const answer = await fetch(url, options);

	assert.equal(answer.status, status);
	assert.match(answer.headers.get('content-type'), /^application\/json/);
	assert.equal(answer.headers.get('access-control-allow-origin'), '*');
	assert.equal(await answer.text(), JSON.stringify({ code, message }));
}

const KEYS = ['maxPayload', 'pingInterval', 'pingTimeout', 'sid', 'upgrades'];

function isHandshake(value, upgrades) {
	assert.deepEqual(Object.keys(value).sort(), KEYS);
	assert.match(value.sid, /^[A-Za-z0-9_-]{20}$/);
	assert.deepEqual(value.upgrades, upgrades);
	assert.equal(value.pingInterval, PING_INTERVAL);
	assert.equal(value.pingTimeout, PING_TIMEOUT);
	assert.equal(value.maxPayload, 1000000);
}

describe('Engine.IO: handshake and errors', () => {
	test('over polling', async () => {
		const answer = await fetch(`${quick.http}/engine.io/?EIO=4&transport=polling`);

		assert.equal(answer.headers.get('content-type'), 'text/plain; charset=UTF-8');
		assert.equal(answer.headers.get('cache-control'), 'no-store');
		isHandshake(JSON.parse((await answer.text()).slice(1)), ['websocket']);
	});

	test('over WebSocket, where there is nothing to upgrade to', async () => {
		const s = await engine(quick);

		isHandshake(s.handshake, []);
		await s.end();
	});

	test('a path without its slash is not ours', async () => {
		assert.equal((await fetch(`${quick.http}/socket.io?EIO=4&transport=polling`)).status, 404);
	});

	test('every error has its code', async () => {
		const root = `${quick.http}/engine.io/`;

		await refused(`${root}?EIO=4`, 0, 'Transport unknown');
		await refused(`${root}?EIO=4&transport=abc`, 0, 'Transport unknown');
		await refused(`${root}?EIO=4&transport=polling&sid=nobody`, 1, 'Session ID unknown');
		await refused(`${root}?EIO=4&transport=polling&sid=`, 1, 'Session ID unknown');
		for (const method of ['POST', 'PUT', 'DELETE'])
			await refused(`${root}?EIO=4&transport=polling`, 2, 'Bad handshake method', { method });
		await refused(`${root}?EIO=4&transport=websocket`, 3, 'Bad request');
		await refused(`${root}?EIO=4&transport=polling`, 4, 'Forbidden',
			{ headers: { origin: 'https://evil.example' } }, 403);
		for (const version of ['', '&EIO=3', '&EIO=abc', '&EIO=44'])
			await refused(`${root}?transport=polling${version}`, 5, 'Unsupported protocol version');
	});

	test('a WebSocket with a bad query is refused before it is one', async () => {
		for (const query of ['transport=websocket', 'EIO=abc&transport=websocket', 'EIO=4',
				     'EIO=4&transport=abc', 'EIO=4&transport=websocket&sid=nobody']) {
			const s = new Socket(`${quick.ws}/engine.io/?${query}`);

			await s.closed;
			assert.match(s.error.message, /Unexpected server response: 400/);
		}
	});

	test('the Origin is seen at the upgrade', async () => {
		const s = new Socket(`${quick.ws}/socket.io/?EIO=4&transport=websocket`,
			{ origin: 'https://evil.example' });

		await s.closed;
		assert.match(s.error.message, /403/);
	});

	test('CORS: a preflight is answered, and the 101 has its field', async () => {
		const answer = await fetch(`${quick.http}/socket.io/?EIO=4&transport=polling`, {
			method: 'OPTIONS',
			headers: { origin: 'http://a', 'access-control-request-headers': 'x-one' },
		});

		assert.equal(answer.status, 204);
		assert.equal(answer.headers.get('access-control-allow-headers'), 'x-one');
		const s = new Socket(`${quick.ws}/engine.io/?EIO=4&transport=websocket`);
		const [response] = await once(s.socket, 'upgrade');
		assert.equal(response.headers['access-control-allow-origin'], '*');
		await s.end();
	});

	test('more sessions than there may be are told to come later', async () => {
		const fixture = await new Fixture().start('sessions_max=2');
		const [a, b] = [await new Polling(fixture).open(), await engine(fixture)];
		const third = await fetch(`${fixture.http}/engine.io/?EIO=4&transport=polling`);

		assert.equal(third.status, 503);
		assert.ok(third.headers.get('retry-after'));
		await third.text();
		await a.close();
		await (await new Polling(fixture).open()).close();
		await b.end();
		await fixture.stop();
	});
});

describe('Engine.IO: messages', () => {
	test('over polling: text, several, binary', async () => {
		const p = await new Polling(slow).open();

		for (const body of ['4hello', `4test1${SEPARATOR}4test2${SEPARATOR}4test3`,
				    `4hello${SEPARATOR}bAQIDBA==`, `b${SEPARATOR}4${SEPARATOR}4äöü€😀`]) {
			await p.push(body);
			assert.equal(await p.poll(), body);
		}
		await p.close();
	});

	test('a poll is held until there is something', async () => {
		const p = await new Polling(slow).open();
		const held = p.poll();

		await p.push('4later');
		assert.equal(await held, '4later');
		await p.close();
	});

	test('over WebSocket: text, binary, empty', async () => {
		const s = await engine(slow);

		s.send('4hello', Buffer.from([1, 2, 3, 4]), '4', Buffer.alloc(0));
		assert.equal(await s.next(), '4hello');
		assert.deepEqual(await s.next(), Buffer.from([1, 2, 3, 4]));
		assert.equal(await s.next(), '4');
		assert.deepEqual(await s.next(), Buffer.alloc(0));
		await s.end();
	});

	test('as large as maxPayload, and not larger', async () => {
		const s = await engine(slow);
		const text = `4${'x'.repeat(1000000)}`;

		s.send(text);
		assert.equal(await s.next(), text);
		s.send(`${text}x`);
		assert.equal(await s.closed, 1009);

		const p = await new Polling(slow).open();
		assert.equal((await p.post(text)).status, 413);
		await p.push(text.slice(0, 1000000)); // the session has stayed
		assert.equal(await p.poll(), text.slice(0, 1000000));
		await p.close();
	});

	test('what is no packet ends the session', async () => {
		for (const body of ['abc', '', '7', `4a${SEPARATOR}`, 'b%%%%', 'bAAA', '2', Buffer.from([0x34, 0xff])]) {
			const p = await new Polling(slow).open();

			assert.equal((await p.post(body)).status, body === '2' ? 200 : 400);
			await p.isUnknown();
		}
		for (const message of ['abc', '', '7', '2']) {
			const s = await engine(slow);

			s.send(message);
			assert.equal(await s.next(), 'closed');
		}
	});

	test('packets that mean nothing are ignored', async () => {
		const s = await engine(slow);

		s.send('0', '5', '6', '3', '4still here');
		assert.equal(await s.next(), '4still here');
		await s.end();
	});

	test('a POST of octets ends the session', async () => {
		const p = await new Polling(slow).open();

		assert.equal((await p.post('4a', { 'content-type': 'application/octet-stream' })).status, 400);
		await p.isUnknown();
	});

	test('an unknown method does not', async () => {
		const p = await new Polling(slow).open();

		assert.equal((await fetch(p.url, { method: 'PUT' })).status, 405);
		await p.close();
	});

	test('two polls at once end the session', async () => {
		const p = await new Polling(slow).open();
		const before = await slow.state();
		const first = p.poll();

		await slow.arrived(1, before);
		const second = http.get(p.url, { agent: false });
		const [answer] = await once(second, 'response');
		answer.resume();
		assert.equal(answer.statusCode, 400);
		assert.equal(await first, '1');
		await p.isUnknown();
	});

	test('two posts at once end the session', async () => {
		const p = await new Polling(slow).open();
		const url = new URL(p.url);
		const socket = net.connect(url.port, url.hostname);

		await once(socket, 'connect');
		socket.write(`POST ${url.pathname}${url.search} HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n` +
			'Expect: 100-continue\r\n\r\n');
		await once(socket, 'data'); // 100 Continue
		const answer = once(socket, 'data');
		assert.equal((await p.post('4a')).status, 400);
		assert.match(String(await answer), /^HTTP\/1.1 400 /);
		socket.destroy();
		await p.isUnknown();
	});

	test('a client that leaves its poll has left', async () => {
		const p = await new Polling(slow).open();
		const controller = new AbortController();
		const before = await slow.state();
		const held = p.get({ signal: controller.signal }).catch(() => 'left');

		await slow.arrived(1, before);
		controller.abort();
		await held;
		await slow.until(s => s.sessions < before.sessions);
		await p.isUnknown();
	});

	test('a client that closes over polling: its poll is let go', async () => {
		const p = await new Polling(slow).open();
		const before = await slow.state();
		const held = p.poll();

		await slow.arrived(1, before);
		await p.close();
		assert.equal(await held, '6');
		await p.isUnknown();
	});

	test('a client that closes over WebSocket is closed at once', async () => {
		const s = await engine(slow);

		s.send('1');
		assert.equal(await s.closed, 1000);
	});
});

describe('Engine.IO: heartbeats', () => {
	test('over polling', async () => {
		const p = await new Polling(beating).open();

		for (let i = 0; i < 3; i++) {
			assert.equal(await p.poll(), '2');
			await p.push('3');
		}
		await p.close();
	});

	test('over WebSocket', async () => {
		const s = await engine(beating);

		for (let i = 0; i < 3; i++) {
			assert.equal(await s.any(), '2');
			s.send('3');
		}
		await s.end();
	});

	test('without a pong the session ends, and not before', async () => {
		const begun = performance.now();
		const s = new Socket(`${quick.ws}/engine.io/?EIO=4&transport=websocket`);

		await s.closed;
		assert.ok(performance.now() - begun >= PING_INTERVAL + PING_TIMEOUT - 1);

		// Polling alone is no pong.
		const p = await new Polling(quick).open();
		let answer;
		do {
			answer = await p.get();
			await answer.text();
		} while (answer.status === 200);
		await p.isUnknown();
	});

	test('a held poll is told when the heart has stopped', async () => {
		const fixture = await new Fixture().start('ping_timeout=3000');
		const p = await new Polling(fixture).open();

		assert.equal(await p.poll(), '2');
		assert.equal(await p.poll(), '1');
		await p.isUnknown();
		await fixture.stop();
	});
});

describe('Engine.IO: upgrade', () => {
	test('with its probe, and an idle poll released', async () => {
		const p = await new Polling(slow).open();
		const s = p.upgrade();

		await s.opened;
		s.send('2probe');
		assert.equal(await s.next(), '3probe');
		assert.equal(await p.poll(), '6');
		s.send('5', '4hello');
		assert.equal(await s.next(), '4hello');
		assert.equal((await (await p.get()).json()).code, 3);
		s.send('4again');
		assert.equal(await s.next(), '4again');
		await s.end();
		await p.isUnknown();
	});

	test('a held poll is released by the probe', async () => {
		const p = await new Polling(slow).open();
		const before = await slow.state();
		const held = p.poll();
		const s = p.upgrade();

		await s.opened;
		await slow.arrived(2, before);
		s.send('2probe');
		assert.equal(await held, '6');
		s.send('5');
		await s.end();
	});

	test('messages go on by polling until it is complete, then what waits goes first', async () => {
		const p = await new Polling(slow).open();
		const s = p.upgrade();

		await s.opened;
		s.send('2probe');
		assert.equal(await s.next(), '3probe');
		await p.push('4one');
		assert.equal(await p.poll(), '4one');
		await p.push('4two');
		await p.push('bAAE=');
		s.send('5', '4three');
		assert.equal(await s.next(), '4two');
		assert.deepEqual(await s.next(), Buffer.from([0, 1]));
		assert.equal(await s.next(), '4three');
		await s.end();
	});

	test('a second WebSocket is closed, the first goes on', async () => {
		const p = await new Polling(slow).open();
		const [a, b] = [p.upgrade(), p.upgrade()];

		await a.opened;
		await b.opened;
		const first = await Promise.race([a.closed.then(() => b), b.closed.then(() => a)]);
		first.send('2probe');
		assert.equal(await first.next(), '3probe');
		first.send('5');
		const late = p.upgrade();
		await late.closed;
		first.send('4hello');
		assert.equal(await first.next(), '4hello');
		await first.end();
	});

	test('a bad probe closes the WebSocket only', async () => {
		for (const message of ['2', '4hello', 'abc', Buffer.from('2probe')]) {
			const p = await new Polling(slow).open();
			const s = p.upgrade();

			await s.opened;
			s.send(message);
			await s.closed;
			await p.push('4here');
			assert.equal(await p.poll(), '4here');
			const again = p.upgrade();
			await again.opened;
			again.send('2probe');
			assert.equal(await again.next(), '3probe');
			again.send('5');
			await again.end();
		}
	});

	test('heartbeats go on behind it, though a ping was under way', async () => {
		const p = await new Polling(beating).open();

		await sleep(2 * PING_INTERVAL); // so that one waits for a poll; without, the test is a lesser one
		const s = p.upgrade();
		await s.opened;
		s.send('2probe');
		assert.equal(await s.any(), '3probe');
		s.send('5');
		for (let i = 0; i < 3; i++) {
			assert.equal(await s.any(), '2');
			s.send('3');
		}
		await s.end();
	});

	// From "3probe" to its "5" a client has no poll, and does without the WebSocket what it can't.
	test('a session closed while it goes over, goes over first', async () => {
		const p = await new Polling(slow, 'socket.io').open();
		const s = p.upgrade();

		await p.push('40');
		assert.match(await p.poll(), /^40{.*}/);
		await s.opened;
		s.send('2probe');
		assert.equal(await s.next(), '3probe');
		await p.push('42["message","last words"]');
		await p.push('42["hang_up"]');
		s.send('5');
		assert.equal(await s.next(), '42["message-back","last words"]');
		await s.closed;
		await p.isUnknown();
	});

	test('the server closing a session tells the WebSocket that probes, too', async () => {
		const p = await new Polling(slow).open();
		const s = p.upgrade();

		await s.opened;
		await p.close();
		await s.closed;
	});
});

/*
 * Raw Socket.IO
 */
async function connection(fixture, connect = '40') {
	const s = new Socket(`${fixture.ws}/socket.io/?EIO=4&transport=websocket`);

	s.engineSid = JSON.parse((await s.next()).slice(1)).sid;
	if (connect) {
		s.send(connect);
		s.sid = JSON.parse((await s.next()).replace(/^40(\/[^,]*,)?/, '')).sid;
		assert.match(await s.next(), /^42(\/[^,]*,)?\["auth",/);
	}
	return s;
}

describe('Socket.IO: namespaces', () => {
	test('CONNECT gives its auth and a sid that is not the engine\'s', async () => {
		for (const [packet, start, auth] of [
			['40', '40', '42["auth",{}]'],
			['40{"token":"123"}', '40', '42["auth",{"token":"123"}]'],
			['40/custom', '40/custom,', '42/custom,["auth",{}]'],
			['40/custom,', '40/custom,', '42/custom,["auth",{}]'],
			['40/custom,{"token":"abc"}', '40/custom,', '42/custom,["auth",{"token":"abc"}]'],
		]) {
			const s = await connection(slow, null);

			s.send(packet);
			const answer = await s.next();
			assert.ok(answer.startsWith(`${start}{`));
			const body = JSON.parse(answer.slice(start.length));
			assert.deepEqual(Object.keys(body), ['sid']);
			assert.ok(body.sid && body.sid !== s.engineSid);
			assert.equal(await s.next(), auth);
			await s.end();
		}
	});

	test('an unknown one is refused, its query is part of its name', async () => {
		const s = await connection(slow);

		s.send('40/random', '40/custom?a=b,', '42["message",1]');
		assert.equal(await s.next(), '44/random,{"message":"Invalid namespace"}');
		assert.equal(await s.next(), '44/custom?a=b,{"message":"Invalid namespace"}');
		assert.equal(await s.next(), '42["message-back",1]');
		await s.end();
	});

	test('who is refused learns why, and may try again', async () => {
		const s = await connection(slow, null);

		s.send('40/custom,{"refuse":"not you"}', '40/custom,{}');
		assert.equal(await s.next(), '44/custom,{"message":"not you","data":{"refuse":"not you"}}');
		assert.match(await s.next(), /^40\/custom,/);
		await s.end();
	});

	test('who connects to nothing is cut off', async () => {
		const fixture = await new Fixture().start('ping_interval=25000', 'connect_timeout=3000');
		const s = await connection(fixture, null);
		const refused = await connection(fixture, null);
		const p = await new Polling(fixture, 'socket.io').open();

		refused.send('40/random');
		assert.match(await refused.next(), /^44/);
		assert.equal(await s.next(), 'closed');
		assert.equal(await refused.next(), 'closed');
		assert.equal(await p.poll(), '1');
		await p.isUnknown();
		await fixture.stop();
	});

	test('leaving one leaves the others, and it can be joined again', async () => {
		const s = await connection(slow);

		s.send('40/custom');
		const { sid } = JSON.parse((await s.next()).slice('40/custom,'.length));
		assert.equal(await s.next(), '42/custom,["auth",{}]');
		s.send('41/custom,', '42["message","main"]', '40/custom');
		assert.equal(await s.next(), '42["message-back","main"]');
		assert.notEqual(JSON.parse((await s.next()).slice('40/custom,'.length)).sid, sid);
		s.send('41', '42/custom,["message",1]');
		assert.equal(await s.next(), '42/custom,["auth",{}]');
		assert.equal(await s.next(), '42/custom,["message-back",1]');
		await s.end();
	});

	test('what breaks the protocol closes the transport', async () => {
		for (const packet of ['40', '42', '42{}', '42[]', '42[{}]', '42[null]', '42["connect"]',
				      '42["disconnecting",1]', '42["newListener"]', '44{"message":"x"}', '47', '4a', '4',
				      '42["message"', '41{"a":1}', '41/custom', '42/custom,["message"]', '43["no id"]', '431{}',
				      '40/custom,[]', '40/custom,"x"', '4599-["message"]', '45["message"]', '451-[]',
				      '4211111111111111111111["message"]']) {
			const s = await connection(slow);

			s.send(packet);
			assert.equal(await s.next(), 'closed', packet);
		}
		for (const packet of ['42["message"]', '41', '40[]', '43["x"]']) {
			const s = await connection(slow, null);

			s.send(packet);
			assert.equal(await s.next(), 'closed', packet);
		}
	});

	test('what means nothing is ignored', async () => {
		const s = await connection(slow);

		s.send('43999["nobody asked"]', '42[123,"a number for a name"]', '42["no such event"]', '46', '6',
			'42["message"]');
		assert.equal(await s.next(), 'closed'); // "46" without attachments is no packet
		const t = await connection(slow);
		t.send('43999["nobody asked"]', '42[123,"a number for a name"]', '42["no such event"]', '6',
			'42["message"]');
		assert.equal(await t.next(), '42["message-back"]');
		await t.end();
	});
});

describe('Socket.IO: events', () => {
	test('text, with and without acknowledgement', async () => {
		const s = await connection(slow);

		s.send('42["message",1,"2",{"3":[true]}]', '42456["message-with-ack",1,"2",{"3":[false]}]',
			'429007199254740992["message-with-ack"]', '42["message","ü\\u20ac😀"]');
		assert.equal(await s.next(), '42["message-back",1,"2",{"3":[true]}]');
		assert.equal(await s.next(), '43456[1,"2",{"3":[false]}]');
		assert.equal(await s.next(), '439007199254740992[]');
		assert.equal(await s.next(), '42["message-back","ü€😀"]');
		s.send('40/custom');
		await s.next();
		await s.next();
		s.send('42/custom,7["message-with-ack","x"]');
		assert.equal(await s.next(), '43/custom,7["x"]');
		await s.end();
	});

	test('binary', async () => {
		const s = await connection(slow);
		const two = '{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}';
		const [a, b] = [Buffer.from([1, 2, 3]), Buffer.from([4, 5, 6])];

		s.send(`452-["message",${two}]`, a, b, `452-789["message-with-ack",${two}]`, a, b);
		for (const expected of [`452-["message-back",${two}]`, a, b, `462-789[${two}]`, a, b])
			assert.deepEqual(await s.next(), expected);
		await s.end();
	});

	test('binary that is not what was said closes the transport', async () => {
		const bytes = Buffer.from([1]);
		const big = Buffer.alloc(600000);

		for (const messages of [
			[bytes], // none was due
			['451-["message",{"_placeholder":true,"num":0}]', '42["message"]'],
			['451-["message",{"_placeholder":true,"num":1}]', bytes],
			['451-["message",{"_placeholder":true,"num":-1}]', bytes],
			['451-["message",{"_placeholder":true,"num":"x"}]', bytes],
			['451-["message",{"_placeholder":true,"num":0.5}]', bytes],
			['451-["message",{"_placeholder":true}]', bytes],
			['4511-["message"]'],
			['452-["message",1]', big, big], // more than a message may be
		]) {
			const s = await connection(slow);

			s.send(...messages);
			assert.equal(await s.next(), 'closed', messages[0]);
		}
	});

	test('over polling, too', async () => {
		const p = await new Polling(slow, 'socket.io').open();

		await p.push('40');
		const [connected, auth] = (await p.poll()).split(SEPARATOR);
		assert.match(connected, /^40\{"sid":/);
		assert.equal(auth, '42["auth",{}]');
		await p.push(`451-["message",{"_placeholder":true,"num":0}]${SEPARATOR}bAQID`);
		assert.equal(await p.poll(),
			`451-["message-back",{"_placeholder":true,"num":0}]${SEPARATOR}bAQID`);
		await p.close();
	});

	test('a client that does not poll is cut off, and does not hold its events', async () => {
		const fixture = await new Fixture().start('output_max=100000', 'ping_interval=25000');
		const p = await new Polling(fixture, 'socket.io').open();

		await p.push('40');
		await p.push('42["flood",20000]');
		await p.isUnknown();
		await fixture.until(s => s.clients === 0);
		await fixture.stop();
	});

	test('a client that does not read is cut off', async () => {
		const fixture = await new Fixture().start('output_max=100000', 'ping_interval=25000');
		const s = await connection(fixture);

		s.socket.pause();
		for (let i = 0; i < 40; i++) // past what the kernel takes
			s.send('42["flood",20000]');
		await fixture.until(state => state.clients === 0);
		s.socket.terminate();
		await fixture.stop();
	});
});

/*
 * The stock clients
 */
const WAYS = {
	'websocket only': { transports: ['websocket'] },
	'polling only': { transports: ['polling'] },
	'polling, then upgrade': { transports: ['polling', 'websocket'] },
};

function client(fixture, nsp, options) {
	return io(`${fixture.http}${nsp}`, { forceNew: true, reconnectionDelay: 10, ...options });
}

const heard = (emitter, name) => new Promise(resolve => {
	emitter.once(name, (...args) => resolve(args));
});

async function gone(socket) {
	socket.disconnect();
	socket.io.engine?.close();
}

for (const [way, options] of Object.entries(WAYS)) {
	describe(`socket.io-client, ${way}`, () => {
		for (const nsp of ['/', '/custom']) {
			test(`${nsp}: auth, events, binary, acknowledgements`, async () => {
				const socket = client(slow, nsp, { ...options, auth: { token: 'secret' } });

				assert.deepEqual(await heard(socket, 'auth'), [{ token: 'secret' }]);
				const value = { a: [1, null, 'ü€😀'], b: Buffer.from([0, 255]) };
				const back = heard(socket, 'message-back');
				socket.emit('message', 1, value);
				assert.deepEqual(await back, [1, value]);
				const sum = await new Promise(resolve => {
					socket.emit('message-with-ack', Buffer.from('x'), 'y', (...args) => resolve(args));
				});
				assert.deepEqual(sum, [Buffer.from('x'), 'y']);
				await gone(socket);
			});

			test(`${nsp}: the server asks, and is answered, or not`, async () => {
				const socket = client(slow, nsp, options);

				await heard(socket, 'connect');
				socket.once('question', (a, b, answer) => answer(b, a));
				let answer = heard(socket, 'answer');
				socket.emit('ask', 1, { two: 2 });
				assert.deepEqual(await answer, [{ two: 2 }, 1]);
				answer = heard(socket, 'answer'); // nobody listens to the question
				socket.emit('ask', 'silence');
				assert.deepEqual(await answer, ['none']);
				await gone(socket);
			});
		}

		test('a flood keeps its order, whatever the transport becomes', async () => {
			const socket = client(slow, '/', options);
			const N = 5000;
			const fromServer = [], fromRoom = [], acks = [];
			const last = options.transports.at(-1);
			let n = 0, over = 0; // published; of them, over the last transport

			socket.on('flood', i => fromServer.push(i));
			socket.on('bench_ev', i => fromRoom.push(i));
			socket.emit('bench_join', 'order');
			socket.emit('flood', N);
			while (n < N || over < N / 2) {
				socket.emit('bench_pub', 'order', n++, i => acks.push(i));
				if (socket.io.engine?.transport.name === last)
					over++;
				if (n % 50 === 0)
					await sleep(0);
			}
			await socket.emitWithAck('message-with-ack');
			assert.deepEqual(fromServer, Array.from({ length: N }, (_, i) => i));
			assert.deepEqual(fromRoom, Array.from({ length: n }, (_, i) => i));
			assert.equal(acks.length, n);
			await gone(socket);
		});

		test('a transport that is closed by the server comes back, a disconnect does not', async () => {
			const socket = client(slow, '/', options);

			await heard(socket, 'connect');
			const { id } = socket;
			let reason = heard(socket, 'disconnect');
			socket.emit('hang_up');
			assert.match((await reason)[0], /transport (close|error)/);
			await heard(socket, 'connect');
			assert.notEqual(socket.id, id);

			reason = heard(socket, 'disconnect');
			socket.emit('kick');
			assert.deepEqual((await reason)[0], 'io server disconnect');
			assert.equal(socket.active, false);
			await gone(socket);
		});

		test('a refusal is an error with its data', async () => {
			const socket = client(slow, '/custom', { ...options, auth: { refuse: 'no' } });
			const [error] = await heard(socket, 'connect_error');

			assert.equal(error.message, 'no');
			assert.deepEqual(error.data, { refuse: 'no' });
			assert.equal(socket.active, false);
			await gone(socket);
		});

		test('rooms: who is in one hears it once, who left does not', async () => {
			const sockets = Array.from({ length: 4 }, (_, i) => client(slow, i < 3 ? '/' : '/custom', options));
			const came = sockets.map(() => []);

			sockets.forEach((s, i) => s.on('bench_ev', x => came[i].push(x)));
			await Promise.all(sockets.map(s => s.emitWithAck('bench_join', 'room')));
			await sockets[0].emitWithAck('bench_join', 'room'); // twice
			await sockets[1].emitWithAck('leave', 'room');
			await sockets[2].emitWithAck('bench_pub', 'room', 'x');
			await Promise.all(sockets.map(s => s.emitWithAck('message-with-ack')));
			assert.deepEqual(came, [['x'], [], ['x'], []]);
			await Promise.all(sockets.map(gone));
		});

		test('heartbeats keep it alive', async () => {
			const socket = client(beating, '/', options);
			let disconnects = 0;

			socket.on('disconnect', () => disconnects++);
			await heard(socket, 'connect');
			for (let i = 0; i < 4; i++)
				await heard(socket.io, 'ping');
			assert.equal(disconnects, 0);
			await gone(socket);
		});

		test('engine.io-client: an echo', async () => {
			const socket = new EngineSocket(`${slow.http}`, { path: '/engine.io/', ...options });

			await heard(socket, 'open');
			if (options.transports.length > 1)
				await heard(socket, 'upgrade');
			const answer = heard(socket, 'message');
			socket.send('hello');
			assert.deepEqual(await answer, ['hello']);
			const closed = heard(socket, 'close');
			socket.close();
			await closed;
		});

		test('draining closes the transport, and nobody new is let in', async () => {
			const fixture = await new Fixture().start('ping_interval=25000');
			const socket = client(fixture, '/', options);

			await heard(socket, 'connect');
			const reason = heard(socket, 'disconnect');
			const error = heard(socket.io, 'reconnect_error');
			socket.emit('drain');
			assert.match((await reason)[0], /transport (close|error)/);
			await error;
			assert.equal(socket.active, true); // it goes on trying
			await gone(socket);
			await fixture.stop();
		});
	});
}

test('clients come and go in the middle of everything', async () => {
	// Some never tell that they have left: then the heartbeat does.
	const fixture = await new Fixture().start('ping_interval=1000', 'ping_timeout=4000', 'connect_timeout=20000');
	const ways = Object.values(WAYS);

	await Promise.all(Array.from({ length: 60 }, async (_, i) => {
		const socket = client(fixture, i % 2 ? '/' : '/custom', ways[i % 3]);

		await heard(socket, 'connect');
		socket.emit('bench_join', 'crowd');
		socket.emit('bench_pub', 'crowd', i, Buffer.alloc(i * 100));
		await sleep(i % 7);
		if (i % 5 === 0)
			socket.emit('hang_up');
		if (i % 4 === 0)
			socket.io.engine.transport.ws?.terminate?.();
		await sleep(i % 3);
		await gone(socket);
	}));
	await fixture.until(s => s.connections === 1 && s.sessions === 0 && s.clients === 0);
	await fixture.stop();
});
