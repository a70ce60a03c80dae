// SPDX-License-Identifier: MIT
/*
 * The static server as visitors of a page meet it: which file a path is, what there is where there
 * is none, and one release at a time.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, symlinkSync, truncateSync, unlinkSync, writeFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { makeTree, StaticServer } from './tree.mjs';

const FIXTURE = process.env.STATIC_FIXTURE;
const PREFIX = '/api/apps/a/sessions/s/published/';
const PAGE = { accept: 'text/html,application/xhtml+xml,*/*;q=0.8' };

let root;

before(() => {
	root = mkdtempSync(join(tmpdir(), 'previewd-pages-'));
});
after(() => rmSync(root, { recursive: true, force: true }));

let made = 0;
const tree = (files, settings) => makeTree(join(root, `tree${made++}`), files, settings);

async function serving(args, visit) {
	const server = await StaticServer.start(FIXTURE, PREFIX, ...args);

	try {
		await visit((path, headers, method) => get(server.port, PREFIX + path, headers, method), server);
	} finally {
		assert.equal(await server.end(), 0);
	}
}

function get(port, path, headers = {}, method = 'GET', agent) {
	return new Promise((resolve, reject) => {
		const req = request({ host: '127.0.0.1', port, path, headers, method, agent }, res => {
			const pieces = [];

			res.on('data', piece => pieces.push(piece));
			res.on('error', reject);
			res.on('end', () => resolve({ status: res.statusCode, headers: res.headers,
						      body: Buffer.concat(pieces) }));
		});

		req.on('error', reject);
		req.end();
	});
}

async function expect(visit, rows) {
	for (const [path, status, what, headers] of rows) {
		const answer = await visit(path, headers);
		const got = answer.status === 301 ? answer.headers.location : String(answer.body);

		assert.deepEqual([path, answer.status, got],
				 [path, status, status === 301 ? PREFIX + what : what]);
	}
}

test('a path is its file, the file with .html, or the index of its directory', async () => {
	const files = { 'index.html': 'home', 'about.html': 'about', 'about/data.txt': 'data', 'docs/index.html': 'docs',
			'docs/a b.html': 'a b', 'both.html': 'file', 'both/index.html': 'directory', 'x.js': 'x' };

	await serving([tree(files)], visit => expect(visit, [
		['', 200, 'home'], ['index.html', 200, 'home'], ['index', 200, 'home'],
		['about', 200, 'about'], ['about.html', 200, 'about'], ['about/', 301, 'about'],
		['about/?x=1', 301, 'about?x=1'],
		['docs', 301, 'docs/'], ['docs?x=1&y', 301, 'docs/?x=1&y'], ['docs/', 200, 'docs'], ['docs/index.html', 200, 'docs'],
		['docs/a%20b', 200, 'a b'], ['docs//a%20b.html', 200, 'a b'],
		['both', 200, 'file'], ['both/', 200, 'directory'],
		['x.js', 200, 'x'], ['x.js?v=2', 200, 'x'], ['x', 404, 'Not found\n'], ['x.js/', 404, 'Not found\n'],
		['X.js', 404, 'Not found\n'],
	]));
});

test('a doubled prefix is one', () => serving([tree({ 'index.html': 'home', 'a/x.js': 'x', 'd/index.html': 'd' })], visit => expect(visit, [
	[`${PREFIX.slice(1)}a/x.js`, 200, 'x'], [`${PREFIX}a/x.js`, 200, 'x'],
	[`${PREFIX.slice(1)}${PREFIX.slice(1)}a/x.js`, 200, 'x'],
	[PREFIX.slice(1), 200, 'home'], [`${PREFIX.slice(1)}d`, 301, 'd/'],
])));

test('nothing but what the manifest names is there', async () => {
	const secret = join(root, 'secret.txt');
	const files = { 'index.html': 'home', 'link.txt': 'link', 'short.txt': 'short', 'gone.txt': 'gone' };
	const at = tree(files);

	writeFileSync(secret, 'secret');
	writeFileSync(join(at, 'files/unnamed.txt'), 'unnamed');
	unlinkSync(join(at, 'files/link.txt'));
	symlinkSync(secret, join(at, 'files/link.txt'));
	truncateSync(join(at, 'files/short.txt'), 2);
	unlinkSync(join(at, 'files/gone.txt'));
	await serving([at], visit => expect(visit, [
		['unnamed.txt', 404, 'Not found\n'], ['manifest.json', 404, 'Not found\n'], ['../manifest.json', 400, 'The path cannot be decoded\n'],
		['%2e%2e/manifest.json', 400, 'The path cannot be decoded\n'], ['..%2fmanifest.json', 400, 'The path cannot be decoded\n'],
		['a%00', 400, 'The path cannot be decoded\n'], ['a%5cb', 404, 'Not found\n'],
		['a'.repeat(7000), 404, 'Not found\n'],
		// what became of them since is no answer either
		['link.txt', 500, 'The file cannot be read\n'], ['short.txt', 500, 'The file cannot be read\n'],
		['gone.txt', 500, 'The file cannot be read\n'],
	]));
});

test('the files for other hosts are not served', () => serving([tree({ 'index.html': 'h', _headers: 'x', _redirects: 'y', 'a/_headers': 'z' })],
	visit => expect(visit, [['_headers', 404, 'Not found\n'], ['_redirects', 404, 'Not found\n'], ['a/_headers', 200, 'z']])));

test('the nearest 404.html says that there is nothing, with its status', () => serving(
	[tree({ 'index.html': 'home', '404.html': 'none', 'docs/404.html': 'no docs', 'docs/deep/x.txt': 'x' }), '--spa'],
	async visit => {
		await expect(visit, [
			['nothing', 404, 'none'], ['nothing', 404, 'none', PAGE], ['docs/nothing', 404, 'no docs'], ['docs/deep/nothing/', 404, 'no docs'],
			['docsx/nothing', 404, 'none'], ['docs', 404, 'none'], ['404', 200, 'none'], ['404.html', 200, 'none'], ['x.js', 404, 'none'],
			['docs/' + 'deep/'.repeat(1000), 404, 'no docs'],
		]);
		const none = await visit('nothing', { 'if-none-match': '*', range: 'bytes=0-1' });

		assert.deepEqual([none.status, String(none.body), none.headers.etag], [404, 'none', undefined]);
		assert.equal(none.headers['cache-control'], 'no-cache');
	}));

test('only who goes to a page is given the single page for what is missing', async () => {
	const files = { 'index.html': 'app', 'x.js': 'x' };
	const none = 'Not found\n';
	const rows = page => [
		['users/7', 200, page, PAGE], ['users/7', 200, page, { 'sec-fetch-dest': 'document' }], ['users/', 200, page, { 'sec-fetch-dest': 'iframe' }],
		['users/7', 404, none], ['users/7', 404, none, { accept: '*/*' }], ['users/7', 404, none, { accept: 'application/json' }],
		['users/7', 404, none, { ...PAGE, 'sec-fetch-dest': 'empty' }], ['users/7', 404, none, { ...PAGE, 'sec-fetch-dest': 'script' }],
		['missing.js', 404, none, PAGE], ['missing.png', 404, none, { 'sec-fetch-dest': 'document' }], ['x.js', 200, 'x', PAGE],
	];

	await serving([tree(files), '--spa'], visit => expect(visit, rows('app')));
	await serving([tree({ ...files, '200.html': 'fallback' })], visit => expect(visit, rows('fallback')));
	await serving([tree({ ...files, '200.html': 'fallback', '404.html': none })], visit => expect(visit, rows('fallback')));
	await serving([tree(files)], visit => expect(visit, [['users/7', 404, none, PAGE]]));
});

test('what an earlier release was built with is still there, by its digest', () => serving([
	tree({ 'index.html': 'new', 'app-22222222.js': 'two', 'both-33333333.js': 'newer' }),
	tree({ 'index.html': 'old', 'app-11111111.js': 'one', 'plain.js': 'plain', 'both-33333333.js': 'older' }),
	tree({ 'index.html': 'oldest', 'app-11111111.js': 'another one', 'app-00000000.js': 'zero' }),
], async visit => {
	await expect(visit, [['', 200, 'new'], ['app-22222222.js', 200, 'two'], ['app-11111111.js', 200, 'one'],
			     ['app-00000000.js', 200, 'zero'], ['both-33333333.js', 200, 'newer'], ['plain.js', 404, 'Not found\n']]);
	assert.match((await visit('app-11111111.js')).headers['cache-control'], /immutable/);
}));

test('what is named by its digest is kept by browsers, the rest is asked for again', async () => {
	const at = tree({ 'index.html': 'home', 'app-11111111.js': 'one', 'x.js': 'x' });

	await serving([at], async visit => {
		const control = async (path, ...more) => (await visit(path, ...more)).headers['cache-control'];

		assert.equal(await control('app-11111111.js'), 'public, max-age=31536000, immutable');
		assert.equal(await control('app-11111111.js?v=1'), 'no-cache');
		assert.equal(await control(''), 'no-cache');
		assert.equal(await control('x.js'), 'no-cache');
		assert.equal(await control('none'), 'no-cache');
		const { headers: { etag } } = await visit('app-11111111.js');
		const again = await visit('app-11111111.js', { 'if-none-match': etag });

		assert.equal(again.status, 304);
		assert.equal(again.headers['cache-control'], 'public, max-age=31536000, immutable');
		assert.equal(again.headers.etag, etag);
	});
	await serving([at, '--private'], async visit => {
		assert.equal((await visit('app-11111111.js')).headers['cache-control'], 'private, max-age=31536000, immutable');
		assert.equal((await visit('')).headers['cache-control'], 'private, no-cache');
	});
});

test('other methods are refused with those that there are', () => serving([tree({ 'index.html': 'home' })], async visit => {
	for (const method of ['POST', 'PUT', 'DELETE']) {
		const { status, headers } = await visit('', {}, method);

		assert.deepEqual([status, headers.allow], [405, 'GET, HEAD']);
	}
}));

/* A client that reads `rate` bytes each turn, or not at all. */
function slowly(port, path, rate) {
	return new Promise((resolve, reject) => {
		const socket = connect({ port, host: '127.0.0.1' });
		let got = 0;

		socket.write(`GET ${PREFIX}${path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`);
		socket.on('data', piece => {
			got += piece.length;
			if (rate) {
				socket.pause();
				setTimeout(() => socket.resume(), piece.length / rate);
			}
		});
		socket.on('error', reject);
		socket.on('end', () => resolve(got));
	});
}

test('a large file goes out as its clients take it, and nobody waits for them', async () => {
	const big = Buffer.alloc(24e6, '0123456789abcdef');
	const resident = pid => Number(readFileSync(`/proc/${pid}/status`, 'utf8').match(/VmRSS:\s+(\d+)/)[1]) * 1024;

	await serving([tree({ 'index.html': 'home', 'big.bin': big })], async (visit, server) => {
		const before = resident(server.child.pid);
		const stalled = connect({ port: server.port, host: '127.0.0.1' });

		stalled.on('error', () => {});
		stalled.pause();
		stalled.write(`GET ${PREFIX}big.bin HTTP/1.1\r\nHost: localhost\r\n\r\n`);
		const reading = [slowly(server.port, 'big.bin', 20000), slowly(server.port, 'big.bin', 40000), slowly(server.port, 'big.bin')];

		for (let i = 0; i < 20; i++)
			assert.equal(String((await visit('')).body), 'home');
		for (const got of await Promise.all(reading))
			assert.ok(got > big.length && got < big.length + 1000, `${got} bytes came`);
		const [first, part] = [await visit('big.bin'), await visit('big.bin', { range: 'bytes=1000001-23000000' })];

		assert.ok(first.body.equals(big));
		assert.ok(part.body.equals(big.subarray(1000001, 23000001)));
		assert.ok(resident(server.child.pid) - before < 16e6, 'the file was copied to memory');
		stalled.destroy();
	});
});

test('requests that come behind a large file are answered behind it', async () => {
	const big = Buffer.alloc(5e6, 'abc');

	await serving([tree({ 'index.html': 'home', 'big.bin': big, 'small.txt': 'small' })], async (_, server) => {
		const socket = connect({ port: server.port, host: '127.0.0.1' });
		const one = (path, more = '') => `GET ${PREFIX}${path} HTTP/1.1\r\nHost: localhost\r\n${more}\r\n`;
		const pieces = [];

		socket.write(one('big.bin') + one('small.txt') + one('big.bin', 'Range: bytes=0-2\r\n') + one('', 'Connection: close\r\n'));
		for await (const piece of socket)
			pieces.push(piece);
		const bodies = [];

		for (let rest = Buffer.concat(pieces); rest.length > 0;) {
			const end = rest.indexOf('\r\n\r\n') + 4;
			const length = Number(/content-length: (\d+)/i.exec(rest.subarray(0, end))[1]);

			bodies.push(rest.subarray(end, end + length));
			rest = rest.subarray(end + length);
		}
		assert.deepEqual(bodies.map(body => body.length), [big.length, 5, 3, 4]);
		assert.ok(bodies[0].equals(big));
		assert.equal(String(bodies[3]), 'home');
	});
});

test('a file that became shorter ends the answer and not as if it were whole', async () => {
	const at = tree({ 'index.html': 'home', 'big.bin': Buffer.alloc(20e6, 'x') });

	await serving([at], async (visit, server) => {
		const socket = connect({ port: server.port, host: '127.0.0.1' });
		let got = 0;

		socket.on('error', () => {});
		socket.write(`GET ${PREFIX}big.bin HTTP/1.1\r\nHost: localhost\r\n\r\n`);
		await new Promise(resolve => socket.once('data', piece => { got += piece.length; socket.pause(); resolve(); }));
		truncateSync(join(at, 'files/big.bin'), 1000);
		socket.on('data', piece => { got += piece.length; });
		socket.resume();
		await new Promise(resolve => socket.on('close', resolve));
		assert.ok(got < 20e6, 'all of it came');
		assert.equal((await visit('')).status, 200);
	});
});

test('while releases are switched, every answer is entirely of one', async () => {
	const files = mark => Object.fromEntries(['index.html', 'a.js', 'big.txt'].map((path, i) =>
		[path, `${mark}`.repeat([3000, 20000, 90000][i])]));
	const trees = ['A', 'B', 'C'].map(mark => tree(files(mark), { createdAt: Date.UTC(2026, 0, 1 + made) }));

	await serving([trees[0]], async (_, server) => {
		const agent = new Agent({ keepAlive: true, maxSockets: 16 });
		const seen = new Set();
		let reading = true, n = 0;
		const reader = async path => {
			while (reading) {
				const { status, headers, body } = await get(server.port, PREFIX + path, {}, 'GET', agent);
				const mark = body[0];

				assert.equal(status, 200);
				assert.equal(body.length, Number(headers['content-length']));
				assert.ok(body.every(byte => byte === mark), `${path} is of two releases`);
				seen.add(`${mark} ${headers.etag} ${path}`);
				n++;
			}
		};
		const readers = [0, 1, 2, 3, 4].flatMap(() => ['', 'a.js', 'big.txt'].map(reader));

		for (let i = 1; i <= 50; i++) {
			await server.serve(trees[i % 3]);
			await sleep(2);
		}
		for (const deadline = Date.now() + 30000; seen.size < 9 && Date.now() < deadline;)
			await server.serve(trees[Math.floor(Math.random() * 3)]).then(() => sleep(5));
		reading = false;
		await Promise.all(readers);
		agent.destroy();
		assert.equal(seen.size, 9, 'each path of each release was seen, with one tag');
		assert.ok(n > 100);
	});
});
