// SPDX-License-Identifier: MIT
//
// Runs the built daemon as its users run it: a process of its own with a state directory, asked over
// TCP and over its unix socket.  Nothing here waits for time to pass, only for what the daemon says.
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import fs from "node:fs";
import http from "node:http";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";

export const here = path.dirname(fileURLToPath(import.meta.url));
export const fixtures = path.join(here, "..", "fixtures");

const PATIENCE = 15_000; // for what must happen; nothing is expected to take it

function find_program(variable, name) {
	const root = path.join(here, "..", "..");
	const candidates = process.env[variable]
		? [process.env[variable]]
		: fs.readdirSync(root)
				.filter((d) => /^build/.test(d))
				.sort()
				.map((d) => path.join(root, d, name))
				.concat(path.join(root, name));
	const found = candidates.find((p) => fs.existsSync(p));
	if (!found) throw new Error(`${name} is not built: looked at ${candidates.join(", ")} (or set ${variable})`);
	return path.resolve(found);
}

export const previewd = () => find_program("PREVIEWD", "previewd");
export const previewctl = () => find_program("PREVIEWCTL", "previewctl");

export const is_root = process.getuid() === 0;

// Resolves with what `ask` gives as soon as that is truthy.  For what tells nobody when it changes.
export async function until(ask, what = "it", patience = PATIENCE) {
	const end = performance.now() + patience;
	for (;;) {
		const value = await ask();
		if (value) return value;
		if (performance.now() > end) throw new Error(`waited in vain until ${what}`);
		await new Promise((resolve) => setTimeout(resolve, 20));
	}
}

export async function within(promise, what, patience = PATIENCE) {
	let timer;
	const late = new Promise((_, reject) => {
		timer = setTimeout(() => reject(new Error(`waited in vain for ${what}`)), patience);
	});
	try {
		return await Promise.race([promise, late]);
	} finally {
		clearTimeout(timer);
	}
}

// What a test set up is undone in the reverse order.
const undoing = new WeakMap();
export function defer(t, undo) {
	if (!undoing.has(t)) {
		undoing.set(t, []);
		t.after(async () => {
			let failure;
			for (const each of undoing.get(t).reverse()) {
				try {
					await each();
				} catch (e) {
					failure ??= e;
				}
			}
			if (failure) throw failure;
		});
	}
	undoing.get(t).push(undo);
}

export function temp_dir(t) {
	const dir = fs.mkdtempSync(path.join(os.tmpdir(), "previewd-test-"));
	defer(t, () => fs.rmSync(dir, { recursive: true, force: true }));
	return dir;
}

// A port nobody listens on.  Below the range the kernel takes its own from, so that no outgoing
// connection of this machine comes to have it meanwhile.
export async function free_port() {
	for (;;) {
		const port = 20_000 + Math.floor(Math.random() * 10_000);
		const server = net.createServer();
		const taken = await new Promise((resolve) => {
			server.once("error", () => resolve(true));
			server.listen({ port, host: "::", ipv6Only: false }, () => resolve(false));
		});
		if (taken) continue;
		server.close();
		await once(server, "close");
		return port;
	}
}

// The lines of a stream, kept, and waited for.
export class Lines {
	constructor(stream) {
		this.all = [];
		this.ended = false;
		this.waiting = [];
		let rest = "";
		stream.setEncoding("utf8");
		stream.on("data", (text) => {
			const lines = (rest + text).split("\n");
			rest = lines.pop();
			this.all.push(...lines);
			this.#look();
		});
		stream.on("close", () => {
			if (rest) this.all.push(rest);
			this.ended = true;
			this.#look();
		});
	}

	#look() {
		this.waiting = this.waiting.filter((w) => !w());
	}

	get text() {
		return this.all.join("\n");
	}

	// The first match in a line from the `from`th on; null when the stream ended without one.
	match(pattern, from = 0) {
		return within(
			new Promise((resolve) => {
				const look = () => {
					for (let i = from; i < this.all.length; i++) {
						const m = pattern.exec(this.all[i]);
						if (m) return resolve(m), true;
					}
					if (this.ended) return resolve(null), true;
					return false;
				};
				if (!look()) this.waiting.push(look);
			}),
			`a line with ${pattern} after:\n${this.text}`,
		);
	}
}

// A child process that is gone when its test is over.
export class Child {
	constructor(t, argv, { on_end = true, ...options } = {}) {
		this.process = spawn(argv[0], argv.slice(1), { stdio: ["pipe", "pipe", "pipe"], ...options });
		this.stdout = new Lines(this.process.stdout);
		this.stderr = new Lines(this.process.stderr);
		this.process.stdin.on("error", () => {});
		this.exited = new Promise((resolve, reject) => {
			this.process.once("error", reject);
			this.process.once("close", (code, signal) => resolve({ code, signal }));
		});
		this.exited.catch(() => {});
		if (on_end) defer(t, () => this.kill());
	}

	get running() {
		return this.process.exitCode === null && this.process.signalCode === null;
	}

	get pid() {
		return this.process.pid;
	}

	signal(name) {
		this.process.kill(name);
	}

	async kill() {
		if (this.running) this.process.kill("SIGKILL");
		return this.exited;
	}
}

export async function run(t, argv, options = {}) {
	const { input, patience = 60_000, ...rest } = options;
	const child = new Child(t, argv, rest);
	child.process.stdin.end(input ?? "");
	const { code, signal } = await within(child.exited, `the end of ${argv.join(" ")}`, patience);
	return { code, signal, stdout: child.stdout.text, stderr: child.stderr.text };
}

// Answers of the API.  `auth` is a bearer token, or null for none.
export class Api {
	constructor(where, token = null) {
		this.where = where; // { port } or { socketPath }
		this.token = token;
		this.agent = new http.Agent({ keepAlive: true, maxSockets: Infinity });
	}

	as(token) {
		return new Api(this.where, token);
	}

	close() {
		this.agent.destroy();
	}

	request(method, target, { body, headers = {}, token = this.token, raw, agent = this.agent } = {}) {
		const payload = raw !== undefined ? raw : body === undefined ? undefined : JSON.stringify(body);
		const fields = { ...headers };
		if (token) fields.authorization ??= `Bearer ${token}`;
		if (payload !== undefined) {
			if (!("content-type" in fields)) fields["content-type"] = "application/json"; // null: none at all
			fields["content-length"] ??= Buffer.byteLength(payload);
		}
		for (const name of Object.keys(fields)) if (fields[name] === null) delete fields[name];
		return new Promise((resolve, reject) => {
			const req = http.request(
				{ ...this.where, host: this.where.port ? "127.0.0.1" : undefined, method, path: target, headers: fields, agent },
				(res) => {
					const chunks = [];
					res.on("data", (c) => chunks.push(c));
					res.on("error", reject);
					res.on("end", () => {
						const text = Buffer.concat(chunks).toString();
						const type = res.headers["content-type"] ?? "";
						let json;
						if (/json/.test(type) && text) json = JSON.parse(text);
						resolve({ status: res.statusCode, headers: res.headers, type, text, json });
					});
				},
			);
			req.on("error", reject);
			req.end(payload);
		});
	}

	get(target, options) {
		return this.request("GET", target, options);
	}
	head(target, options) {
		return this.request("HEAD", target, options);
	}
	post(target, body, options) {
		return this.request("POST", target, { body, ...options });
	}
	put(target, body, options) {
		return this.request("PUT", target, { body, ...options });
	}
	del(target, options) {
		return this.request("DELETE", target, options);
	}

	attach(session, body, { app = "default", ...options } = {}) {
		return this.post(`${base(session, app)}/previews`, body, options);
	}
	detach(session, name = "default") {
		return this.del(`${base(session)}/previews/${name}`);
	}
	async list(session) {
		return (await this.get(`${base(session)}/previews`)).json.previews;
	}
	async names(session) {
		return (await this.list(session)).map((p) => p.name).sort();
	}
}

export const base = (session, app = "default") => `/api/apps/${app}/sessions/${session}`;

// An attach of something that need not be there.
export const blind = (more = {}) => ({ port: 5173, health_check: false, ...more });

export class Daemon {
	// settings: { "section.key": value }; file: text of the configuration file; env; wrap: argv that
	// runs it; state: directory; listen: an address, for one that is to come
	// back at the same; dir: where socket and configuration are.
	constructor(t, { settings = {}, file = "", env = {}, wrap = [], state, args = [], listen = "127.0.0.1:0" } = {}) {
		this.t = t;
		this.dir = temp_dir(t);
		this.state = state ?? path.join(this.dir, "state");
		this.socket = path.join(this.dir, "previewd.sock");
		this.config = path.join(this.dir, "previewd.conf");
		this.settings = { ...settings };
		this.env = env;
		this.wrap = wrap;
		this.args = args;
		this.listen = listen;
		this.apis = [];
		this.streams = new Set();
		this.log = []; // of all its runs
		fs.writeFileSync(this.config, file);
		defer(t, () => this.#end());
	}

	argv() {
		return [
			...this.wrap,
			previewd(),
			"--config",
			this.config,
			"--listen",
			this.listen,
			"--socket",
			this.socket,
			"--state-dir",
			this.state,
			...Object.entries(this.settings).flatMap(([key, value]) => ["-o", `${key}=${value}`]),
			...this.args,
		];
	}

	environment() {
		const { PATH, ASAN_OPTIONS, UBSAN_OPTIONS, LSAN_OPTIONS } = process.env;
		const given = { PATH, HOME: this.dir, ASAN_OPTIONS, UBSAN_OPTIONS, LSAN_OPTIONS, ...this.env };
		return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
	}

	// Starts it without waiting; for starts that are to fail.
	spawn() {
		this.child = new Child(this.t, this.argv(), { env: this.environment(), cwd: this.dir, on_end: false });
		return this.child;
	}

	async start() {
		this.spawn();
		const tcp = await this.child.stderr.match(/listening on http:\/\/(127\.0\.0\.1):(\d+)/);
		const unix = tcp && (await this.child.stderr.match(/listening on unix:(\S+)/));
		if (!tcp || !unix) {
			const { code, signal } = await this.child.exited;
			throw new Error(`previewd ended with ${code ?? signal}:\n${this.child.stderr.text}`);
		}
		this.port = Number(tcp[2]);
		this.url = `http://127.0.0.1:${this.port}`;
		this.admin_token = fs.readFileSync(path.join(this.state, "token"), "utf8").trim();
		this.admin = this.api(this.admin_token);
		this.anonymous = this.api(null);
		this.local = new Api({ socketPath: this.socket });
		this.apis.push(this.local);
		return this;
	}

	api(token) {
		const api = new Api({ port: this.port }, token);
		this.apis.push(api);
		return api;
	}

	#close_clients() {
		for (const api of this.apis) api.close();
		this.apis = [];
	}

	// kill -9, and nothing else.
	async kill() {
		const ended = await this.child.kill();
		this.log = this.log.concat(this.child.stderr.all);
		this.#close_clients();
		return ended;
	}

	async stop() {
		this.#close_clients();
		for (const stream of this.streams) stream.terminate();
		this.child.signal("SIGTERM");
		const ended = await within(this.child.exited, `the daemon's end; it said:\n${this.child.stderr.text}`);
		this.log = this.log.concat(this.child.stderr.all);
		return ended;
	}

	async restart() {
		if (this.child.running) await this.stop();
		return this.start();
	}

	// However the test went: no run of it may have left a sanitizer's complaint, nor end badly.
	async #end() {
		if (!this.child) return;
		try {
			if (this.child.running && this.port) {
				const { code, signal } = await this.stop();
				if (code !== 0) throw new Error(`previewd ended with ${code ?? signal}:\n${this.child.stderr.text}`);
			}
		} finally {
			await this.child.kill();
			this.#close_clients();
		}
		const said = [...this.log, ...this.child.stderr.all];
		if (said.some((line) => /Sanitizer|runtime error:|Assertion/.test(line)))
			throw new Error(`previewd complained:\n${said.join("\n")}`);
	}

	// An attach is under way when its probe is counted.
	probing(n) {
		return until(async () => (await this.metric("previewd_probes")) === n, `${n} probes are under way`);
	}

	async metric(name) {
		const { text } = await this.admin.get("/metrics");
		const line = text.split("\n").find((l) => l.startsWith(`${name} `));
		return line === undefined ? undefined : Number(line.split(" ")[1]);
	}
}

export const start = (t, options) => new Daemon(t, options).start();

export function have(program) {
	return spawnSync("sh", ["-c", `command -v ${program}`]).status === 0;
}

// Bytes to the daemon as they are, and all that it answers until it closes.
export function raw(port, bytes, { end = false } = {}) {
	return within(
		new Promise((resolve, reject) => {
			const socket = net.connect(port, "127.0.0.1");
			const chunks = [];
			socket.on("data", (c) => chunks.push(c));
			socket.on("error", reject);
			socket.on("close", () => resolve(Buffer.concat(chunks).toString("latin1")));
			socket.write(bytes);
			if (end) socket.end();
		}),
		"the connection's end",
	);
}
