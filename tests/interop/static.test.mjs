// SPDX-License-Identifier: MIT
/*
 * The static server beside nginx, over the same files: every condition, range and encoding is asked
 * of both, and where their answers differ a row of `intended` says why ours is as it is.
 */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { makeTree, StaticServer } from './tree.mjs';

const FIXTURE = process.env.STATIC_FIXTURE;
const PREFIX = '/p/';
const MODIFIED = Date.UTC(2026, 10, 20, 12, 0, 0);
const BROTLI = '/usr/lib/nginx/modules/ngx_http_brotli_static_module.so';
const hasNginx = spawnSync('nginx', ['-v']).status === 0 && existsSync(BROTLI);

const text = (seed, length) => Array.from({ length }, (_, i) => `${seed}${i * 7919 % 1000} `).join('').slice(0, length);
const FILES = {
	'index.html': `<!doctype html><title>home</title>${text('h', 4000)}`,
	'app-0a1b2c3d.js': text('j', 90000),
	'style.css': text('c', 1500),
	'small.txt': 'small\n',
	'empty.txt': '',
	'data.bin': Buffer.from(Array.from({ length: 100000 }, (_, i) => i * 31 % 251)),
	'docs/index.html': '<p>docs',
	'docs/page.html': '<p>page',
	'sp ace.txt': 'space\n',
	'\u00fcml.txt': 'uml\n',
};

let root, ours, nginx;

/* One exchange on a connection of its own, byte for byte as given. */
function ask(port, method, path, fields = {}) {
	return new Promise((resolve, reject) => {
		const socket = connect(port, '127.0.0.1');
		const pieces = [];

		socket.on('error', reject);
		socket.on('data', piece => pieces.push(piece));
		socket.on('end', () => {
			const all = Buffer.concat(pieces);
			const end = all.indexOf('\r\n\r\n');
			const [status, ...lines] = all.subarray(0, end).toString('latin1').split('\r\n');
			const answer = { status: Number(status.split(' ')[1]), fields: {}, body: all.subarray(end + 4) };

			for (const line of lines) {
				const name = line.slice(0, line.indexOf(':')).toLowerCase();

				assert.ok(!(name in answer.fields), `${name} is there twice: ${line}`);
				answer.fields[name] = line.slice(line.indexOf(':') + 1).trim();
			}
			resolve(answer);
		});
		socket.write(`${method} ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n` +
			     Object.entries(fields).map(([name, value]) => `${name}: ${value}\r\n`).join('') + '\r\n');
	});
}

async function freePort() {
	const server = createServer();

	await new Promise(resolve => server.listen(0, '127.0.0.1', resolve));
	const { port } = server.address();

	await new Promise(resolve => server.close(resolve));
	return port;
}

/* nginx as it comes, over the same files; what is beside them is its form of the encodings. */
async function startNginx(tree) {
	const port = await freePort();
	const file = join(root, 'nginx.conf');

	for (const path of Object.keys(FILES)) {
		const at = join(tree, 'files', path);

		for (const [coding, suffix] of [['br', '.br'], ['gz', '.gz']]) {
			const from = join(tree, coding, path);

			if (existsSync(from)) {
				copyFileSync(from, at + suffix);
				utimesSync(at + suffix, MODIFIED / 1000, MODIFIED / 1000);
			}
		}
		utimesSync(at, MODIFIED / 1000, MODIFIED / 1000);
	}
	writeFileSync(file, `load_module ${BROTLI};
daemon off; master_process off; pid ${root}/nginx.pid; error_log ${root}/nginx.err;
events { }
http {
	access_log off;
	types { text/html html; text/javascript js; text/css css; text/plain txt; }
	default_type application/octet-stream;
	charset utf-8; charset_types text/html text/javascript text/css text/plain;
	client_body_temp_path ${root}/t1; proxy_temp_path ${root}/t2; fastcgi_temp_path ${root}/t3;
	uwsgi_temp_path ${root}/t4; scgi_temp_path ${root}/t5;
	gzip_static on; brotli_static on; gzip_vary on; gzip_http_version 1.0;
	absolute_redirect off;
	server { listen 127.0.0.1:${port}; location ${PREFIX} { alias ${tree}/files/; } }
}
`);
	const child = spawn('nginx', ['-c', file, '-e', join(root, 'nginx.err')], { stdio: 'ignore' });
	const exited = new Promise(resolve => child.on('exit', resolve));

	for (const deadline = Date.now() + 30000; ;) {
		const up = await ask(port, 'GET', PREFIX).then(() => true, () => false);

		if (up)
			break;
		assert.ok(Date.now() < deadline && child.exitCode === null, 'nginx does not start');
		await sleep(50);
	}
	return { port, end: () => { child.kill(); return exited; } };
}

before(async () => {
	root = mkdtempSync(join(tmpdir(), 'previewd-static-'));
	const tree = makeTree(join(root, 'tree'), FILES, { createdAt: MODIFIED });

	ours = await StaticServer.start(FIXTURE, PREFIX, tree);
	if (hasNginx)
		nginx = await startNginx(tree);
});

after(async () => {
	await nginx?.end();
	assert.equal(await ours.end(), 0);
	rmSync(root, { recursive: true, force: true });
});

/*
 * What is asked: every one of these fields of every one of these files.  `etag` is what the same
 * server said of the same file in the same encoding.
 */
const LATER = new Date(MODIFIED + 3600e3).toUTCString();
const EARLIER = new Date(MODIFIED - 3600e3).toUTCString();
const THEN = new Date(MODIFIED).toUTCString();

const CONDITIONS = {
	'nothing': () => ({}),
	'If-None-Match: it': etag => ({ 'If-None-Match': etag }),
	'If-None-Match: weak it': etag => ({ 'If-None-Match': `W/${etag}` }),
	'If-None-Match: another': () => ({ 'If-None-Match': '"another"' }),
	'If-None-Match: a list with it': etag => ({ 'If-None-Match': `"a", W/"b",${etag} , "c"` }),
	'If-None-Match: *': () => ({ 'If-None-Match': '*' }),
	'If-None-Match: another, If-Modified-Since: then': () => ({ 'If-None-Match': '"another"', 'If-Modified-Since': THEN }),
	'If-None-Match: it, If-Modified-Since: earlier': etag => ({ 'If-None-Match': etag, 'If-Modified-Since': EARLIER }),
	'If-Modified-Since: then': () => ({ 'If-Modified-Since': THEN }),
	'If-Modified-Since: earlier': () => ({ 'If-Modified-Since': EARLIER }),
	'If-Modified-Since: later': () => ({ 'If-Modified-Since': LATER }),
	'If-Modified-Since: no date': () => ({ 'If-Modified-Since': 'yesterday' }),
	'If-Modified-Since: RFC 850': () => ({ 'If-Modified-Since': 'Friday, 20-Nov-26 12:00:00 GMT' }),
	'If-Modified-Since: asctime': () => ({ 'If-Modified-Since': 'Fri Nov 20 12:00:00 2026' }),
	'If-Match: it': etag => ({ 'If-Match': etag }),
	'If-Match: another': () => ({ 'If-Match': '"another"' }),
	'If-Match: weak it': etag => ({ 'If-Match': `W/${etag}` }),
	'If-Match: *': () => ({ 'If-Match': '*' }),
	'If-Unmodified-Since: then': () => ({ 'If-Unmodified-Since': THEN }),
	'If-Unmodified-Since: earlier': () => ({ 'If-Unmodified-Since': EARLIER }),
	'If-Unmodified-Since: later': () => ({ 'If-Unmodified-Since': LATER }),
	'If-Unmodified-Since: no date': () => ({ 'If-Unmodified-Since': 'x' }),
	'If-Match: it, If-None-Match: it': etag => ({ 'If-Match': etag, 'If-None-Match': etag }),
};
const RANGES = ['bytes=0-0', 'bytes=0-9', 'bytes=5-', 'bytes=-3', 'bytes=-100000000', 'bytes=1-100000000',
		'bytes=100000000-', 'bytes=-0', 'bytes=0-', 'bytes=9-1', 'bytes=', 'bytes=-', 'bytes=a-b',
		'bytes=0-1,3-4', 'bytes=0-0,-1', 'items=0-9', 'bytes=0-9x', 'bytes= 0-9', 'bytes=0-99999999999999999999'];
const IF_RANGES = {
	'it': etag => etag,
	'weak it': etag => `W/${etag}`,
	'another': () => '"another"',
	'then': () => THEN,
	'earlier': () => EARLIER,
	'later': () => LATER,
	'no date': () => 'x',
};
const ENCODINGS = [undefined, 'gzip', 'br', 'gzip, deflate, br', 'identity', '*', 'gzip;q=0', 'br;q=0, gzip',
		   'gzip;q=0.5, br;q=0.1', 'gzip;q=1.0', 'gzip;q=0.001', 'deflate', 'GZIP', 'gzip;q=0, br;q=0', ''];
const PATHS = Object.keys(FILES).map(encodeURI);

function* questions() {
	for (const path of PATHS)
		for (const method of ['GET', 'HEAD'])
			for (const encoding of ENCODINGS)
				yield [`${method} ${path}, Accept-Encoding: ${encoding}`, method, path,
				       encoding === undefined ? {} : { 'Accept-Encoding': encoding }, () => ({})];
	for (const path of ['small.txt', 'app-0a1b2c3d.js', 'empty.txt', 'data.bin'])
		for (const method of ['GET', 'HEAD'])
			for (const encoding of ['identity', 'gzip', 'br']) {
				const fields = { 'Accept-Encoding': encoding };
				const name = `${method} ${path} (${encoding})`;

				for (const [what, make] of Object.entries(CONDITIONS))
					yield [`${name}, ${what}`, method, path, fields, make];
				for (const range of RANGES)
					yield [`${name}, Range: ${range}`, method, path, fields, () => ({ Range: range })];
				for (const [what, make] of Object.entries(IF_RANGES))
					yield [`${name}, Range: bytes=1-3, If-Range: ${what}`, method, path, fields,
					       etag => ({ Range: 'bytes=1-3', 'If-Range': make(etag) })];
				yield [`${name}, Range: bytes=0-9, If-None-Match: it`, method, path, fields,
				       etag => ({ Range: 'bytes=0-9', 'If-None-Match': etag })];
			}
	for (const path of ['docs', 'docs?a=b', 'docs/', 'none', 'none/', 'docs/none.html', 'small.txt/', 'small.txt/x',
			    '%73mall.txt', 'small%2Etxt', 'docs/../small.txt', 'docs/./page.html', 'docs//page.html',
			    '..%2Fmanifest.json', '../manifest.json', '%2e%2e/manifest.json', 'docs%2Fpage.html', 'a%00b',
			    'a%zz', 'docs%5Cpage.html', 'small.txt?query', 'small.txt%20', '%FF.txt'])
		yield [`GET ${path}`, 'GET', path, {}, () => ({})];
	for (const method of ['POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS'])
		yield [`${method} small.txt`, method, 'small.txt', {}, () => ({})];
}

/*
 * Where ours is meant to be another: [which, what of the answer, why].
 */
const intended = [
	[/If-None-Match: it, If-Modified-Since/, ['status'],
	 'the date counts only where no tag is asked for (RFC 9110 section 13.1.3)'],
	[/If-Unmodified-Since: no date/, ['status'], 'what is no date is passed over (section 13.1.4)'],
	[/^HEAD .*Range:/, ['status'], 'parts are of GET alone (section 14.2)'],
	[/^GET .*\((gzip|br)\).*Range:/, ['status'], 'encodings have parts, too: their tags are their own'],
	[/Range: bytes=(9-1|-|a-b|0-9x)?$/, ['status'], 'a range that cannot be read is passed over (section 14.2)'],
	[/Range: bytes=0-9{20}$/, ['status'], 'a number past all is past the end'],
	[/Range: bytes=(0-1,3-4|0-0,-1)$/, ['status'], 'several parts are answered by the whole: nobody needs them'],
	[/Accept-Encoding: \*$/, ['content-length', 'content-encoding'], '"*" is every encoding (section 12.5.3)'],
	[/gzip;q=0.5, br;q=0.1/, ['content-length', 'content-encoding'], 'the heavier goes first (section 12.5.3)'],
	[/^GET (docs\/\.\.\/small\.txt|docs\/\.\/page\.html|\.\.\/manifest\.json|%2e%2e\/manifest\.json)$/, ['status'],
	 'dots are the client\'s to resolve: what still has some is refused'],
	[/^GET (docs%2Fpage\.html|\.\.%2Fmanifest\.json)$/, ['status'], 'an encoded slash is no slash'],
	[/^GET %FF\.txt$/, ['status'], 'names are UTF-8'],
	[/^GET docs(\?a=b)?$/, ['content-type', 'content-length'], 'the text of a redirect'],
];

const COMPARED = ['content-type', 'content-length', 'content-encoding', 'content-range', 'vary', 'last-modified',
		  'location'];

/* By kind of answer: what an error says is each server's own. */
function differences(we, they) {
	const found = {};
	const note = (what, a, b) => {
		if (a !== b)
			found[what] = `${a} and not ${b}`;
	};

	note('status', we.status, they.status);
	if (found.status || we.status >= 400)
		return found;
	for (const name of COMPARED)
		note(name, we.fields[name]?.toLowerCase(), they.fields[name]?.toLowerCase());
	note('etag', 'etag' in we.fields, 'etag' in they.fields);
	if (we.status === 200 && !we.fields['content-encoding'])
		note('accept-ranges', we.fields['accept-ranges'], they.fields['accept-ranges']);
	if (we.status !== 301 && !found['content-length'] && !found['content-encoding'])
		note('body', we.body.equals(they.body), true);
	return found;
}

test('every condition, range and encoding is answered as nginx does, or as is written here', {
	skip: !hasNginx && 'no nginx with its brotli module',
}, async () => {
	const used = new Set();
	const wrong = [];
	let asked = 0;

	for (const [name, method, path, fields, make] of questions()) {
		const answers = [];

		for (const port of [ours.port, nginx.port]) {
			const { fields: { etag } } = await ask(port, 'HEAD', PREFIX + path.replace(/\?.*/, ''), fields);

			answers.push(await ask(port, method, PREFIX + path, { ...fields, ...make(etag) }));
		}
		asked++;
		for (const [what, how] of Object.entries(differences(...answers))) {
			const row = intended.find(([which, fields]) => which.test(name) && fields.includes(what));

			if (row)
				used.add(row);
			else
				wrong.push(`${name}: ${what} is ${how}`);
		}
		assert.equal(answers[0].fields['x-isolation'], 'yes', name);
	}
	assert.deepEqual(wrong, []);
	assert.ok(asked > 1000, `only ${asked} questions`);
	assert.deepEqual(intended.filter(row => !used.has(row)), [], 'differences that are none');
});
