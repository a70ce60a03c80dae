// SPDX-License-Identifier: MIT
// Our WebSockets with the `ws` client of npm, and with sockets that cut where it hurts.
// Needs: npm ci in tests/, and HTTP_FIXTURE when the build isn't in build/.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import net from 'node:net';
import path from 'node:path';
import { after, before, test } from 'node:test';
import WebSocket from 'ws';

const fixture = process.env.HTTP_FIXTURE
	?? path.resolve(import.meta.dirname, '../../build/tests/interop/http-fixture');
const CONNECTS = Number(process.env.CONNECTS ?? 1000);
const PARALLEL = 20;
let server, port;

before(async () => {
	server = spawn(fixture, { stdio: ['pipe', 'pipe', 'inherit'] });
	const [line] = await once(server.stdout, 'data');
	port = Number(line);
});

after(async () => {
	server.stdin.end();
	const [code] = server.exitCode === null ? await once(server, 'exit') : [server.exitCode];
	assert.equal(code, 0); // a leak or a race ends a sanitized build with another
});

const state = async () => (await fetch(`http://127.0.0.1:${port}/state`,
	{ headers: { connection: 'close' } })).json();

// The fixture says 1 connection at least: the one that asks.
async function quiet() {
	for (;;) {
		const s = await state();
		if (s.connections === 1)
			return s;
	}
}

async function echo(ws, data, options) {
	const answer = once(ws, 'message');
	ws.send(data, options);
	const [got] = await answer;
	assert.ok(Buffer.from(data).equals(got));
}

const endings = [
	async (ws) => {
		ws.close(1000, 'done');
		const [code] = await once(ws, 'close');
		assert.equal(code, 1000);
	},
	async (ws) => {
		ws.terminate();
		await once(ws, 'close');
	},
	async (ws) => {
		ws._socket.resetAndDestroy();
		await once(ws, 'close');
	},
	async (ws) => {
		ws.send(randomBytes(70_000)); // still in flight
		ws.terminate();
		await once(ws, 'close');
	},
];

async function withClient(i) {
	const ws = new WebSocket(`ws://127.0.0.1:${port}/ws-echo`);
	ws.on('error', () => {});
	await once(ws, 'open');
	await echo(ws, `text ${i} äöü`);
	await echo(ws, 'zwei');
	await echo(ws, randomBytes(70_000), { fragments: true });
	await endings[i % endings.length](ws);
}

function masked(text) {
	const payload = Buffer.from(text);
	const mask = randomBytes(4);
	return Buffer.concat([Buffer.from([0x81, 0x80 | payload.length]), mask,
		payload.map((b, i) => b ^ mask[i % 4])]);
}

// Head and first frames in one segment, whole or cut within the second frame.
async function withSocket(i) {
	const socket = net.connect(port, '127.0.0.1');
	const head = 'GET /ws-echo HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n' +
		'Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n' +
		`Sec-WebSocket-Key: ${randomBytes(16).toString('base64')}\r\n\r\n`;
	const bytes = Buffer.concat([Buffer.from(head), masked('eins'), masked('zwei')]);
	const cut = i % 2 ? bytes.length : bytes.length - 3;
	let got = Buffer.alloc(0);

	socket.on('error', () => {});
	socket.write(bytes.subarray(0, cut));
	for await (const piece of socket) {
		got = Buffer.concat([got, piece]);
		if (cut < bytes.length && got.includes('eins') && !socket.cutSent) {
			socket.cutSent = true;
			socket.write(bytes.subarray(cut));
		}
		if (got.includes('zwei'))
			break;
	}
	assert.ok(got.includes('\x81\x04eins\x81\x04zwei', 0, 'latin1'));
	socket.destroy();
}

test(`${CONNECTS} clients come and go in every way, and nothing of them stays`, async () => {
	const before = await quiet();
	let next = 0;

	await Promise.all(Array.from({ length: PARALLEL }, async () => {
		for (let i = next++; i < CONNECTS; i = next++)
			await (i % 5 === 4 ? withSocket(Math.floor(i / 5)) : withClient(i - Math.floor(i / 5)));
	}));
	assert.deepEqual(await quiet(), before);
});

test('too large a message is closed with 1009', async () => {
	const ws = new WebSocket(`ws://127.0.0.1:${port}/ws-echo`);
	await once(ws, 'open');
	ws.send(Buffer.alloc(300_000));
	const [code] = await once(ws, 'close');
	assert.equal(code, 1009);
});

test('a ping is answered', async () => {
	const ws = new WebSocket(`ws://127.0.0.1:${port}/ws-echo`);
	await once(ws, 'open');
	ws.ping('are you there');
	const [data] = await once(ws, 'pong');
	assert.equal(String(data), 'are you there');
	ws.close();
	await once(ws, 'close');
});
