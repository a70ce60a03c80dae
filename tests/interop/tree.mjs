// SPDX-License-Identifier: MIT
/*
 * An immutable tree in the form that the static server reads (src/http/manifest.h), made of
 * { "path": bytes }, and the static server over it.
 */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, extname, join } from 'node:path';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';

const TYPES = {
	'.html': 'text/html; charset=utf-8',
	'.js': 'text/javascript; charset=utf-8',
	'.css': 'text/css; charset=utf-8',
	'.json': 'application/json',
	'.txt': 'text/plain; charset=utf-8',
	'.svg': 'image/svg+xml',
	'.png': 'image/png',
};
const COMPRESSED = new Set(['.html', '.js', '.css', '.json', '.svg', '.txt']);

const typeOf = path => TYPES[extname(path)] ?? 'application/octet-stream';
export const etagOf = (content, suffix = '') =>
	`"${createHash('sha256').update(content).digest('hex').slice(0, 32)}${suffix}"`;

function write(root, path, content) {
	const at = join(root, path);

	mkdirSync(dirname(at), { recursive: true });
	writeFileSync(at, content);
}

// `fingerprinted` says it of a path; `compress` whether there are encodings of it.
export function makeTree(root, files, {
	createdAt = Date.UTC(2026, 10, 21, 12, 0, 0),
	fingerprinted = path => /-[0-9a-f]{8}\./.test(path),
	compress = (path, content) => COMPRESSED.has(extname(path)) && content.length > 1024,
} = {}) {
	const manifest = { version: 1, created_at: createdAt * 1000, base: '/x/', files: [] };

	mkdirSync(root, { recursive: true });
	for (const [path, text] of Object.entries(files)) {
		const content = Buffer.from(text);
		const file = {
			path,
			size: content.length,
			sha256: createHash('sha256').update(content).digest('hex'),
			type: typeOf(path),
		};

		write(root, join('files', path), content);
		if (fingerprinted(path))
			file.fingerprinted = true;
		if (compress(path, content)) {
			const br = brotliCompressSync(content,
						      { params: { [constants.BROTLI_PARAM_QUALITY]: 9 } });
			const gz = gzipSync(content, { level: 9 });

			write(root, join('br', path), br);
			write(root, join('gz', path), gz);
			file.br = br.length;
			file.gz = gz.length;
		}
		manifest.files.push(file);
	}
	writeFileSync(join(root, 'manifest.json'), JSON.stringify(manifest));
	return root;
}

export class StaticServer {
	static async start(program, prefix, ...args) {
		const server = new StaticServer();

		server.child = spawn(program, [prefix, ...args], { stdio: ['pipe', 'pipe', 'inherit'] });
		server.exited = new Promise(resolve => server.child.on('exit', (code, signal) =>
			resolve(code ?? signal)));
		server.lines = [];
		server.waiting = [];
		server.text = '';
		server.child.stdout.on('data', data => {
			server.text += data;
			for (let end; (end = server.text.indexOf('\n')) >= 0;) {
				server.lines.push(server.text.slice(0, end));
				server.text = server.text.slice(end + 1);
				server.waiting.shift()?.();
			}
		});
		server.child.on('exit', () => server.waiting.splice(0).forEach(wake => wake()));
		server.port = Number(await server.line());
		return server;
	}

	async line() {
		if (this.lines.length === 0)
			await new Promise(resolve => this.waiting.push(resolve));
		if (this.lines.length === 0)
			throw new Error('the static server has ended');
		return this.lines.shift();
	}

	async serve(tree) {
		this.child.stdin.write(`${tree}\n`);
		await this.line();
	}

	async end() {
		this.child.stdin.end();
		return this.exited;
	}
}
