// SPDX-License-Identifier: MIT
//
// A viewer on the stock socket.io-client: keeps what it hears and builds a model of its session
// from it, which complains of every number that is missing or there twice.
import fs from "node:fs";
import net from "node:net";
import path from "node:path";

import { SignJWT } from "jose";
import { io } from "socket.io-client";

import { Model } from "./canvas.mjs";
import { defer, start, temp_dir, within } from "./harness.mjs";

export const TRANSPORTS = { websocket: ["websocket"], polling: ["polling"], upgrade: ["polling", "websocket"] };
export const NAMESPACES = ["/", "/events"];

// For those whose connections break: a stock client that loses its WebSocket while it is about to leave
// polling for it notices only by the heartbeat.
export const QUICK = { "socketio.ping_interval": "2s", "socketio.ping_timeout": "4s" };

export const LONG = 60_000; // for a slow machine; nothing is expected to take it

// Cuts the connection under a client, or has the client close it itself.  (While it is opening one it
// would only come back after its own timeout of 20 s.)
export function cut(viewer, by_itself) {
	if (by_itself && viewer.socket.connected) viewer.socket.io.engine.close();
	else viewer.way.cut();
}

// A viewer of each kind, with a way of its own.
export async function viewers_of_all_kinds(t, d, session) {
	const all = [];
	for (const transports of Object.values(TRANSPORTS)) {
		for (const nsp of NAMESPACES) {
			const way = await new Way(t, d).open();
			const viewer = new Viewer(t, way, session, { nsp, transports, token: d.admin_token });
			all.push(Object.assign(viewer, { way }));
		}
	}
	await Promise.all(all.map((v) => v.joined()));
	return all;
}

// A way to the daemon that can be cut, and that stays the same when the daemon is another.
export class Way {
	constructor(t, daemon) {
		this.daemon = daemon;
		this.pairs = new Set();
		this.server = net.createServer((near) => {
			const far = net.connect(this.daemon.port, "127.0.0.1");
			const pair = [near, far];
			this.pairs.add(pair);
			for (const [a, b] of [pair, [far, near]]) {
				a.on("error", () => {});
				a.on("close", () => {
					b.destroy();
					this.pairs.delete(pair);
				});
				a.pipe(b);
			}
		});
		defer(t, () => {
			this.server.close();
			this.cut();
		});
	}

	async open() {
		await new Promise((resolve) => this.server.listen(0, "127.0.0.1", resolve));
		this.port = this.server.address().port;
		return this;
	}

	cut() {
		for (const pair of this.pairs) for (const socket of pair) socket.destroy();
	}
}

export function connect(t, where, { nsp = "/", transports = TRANSPORTS.websocket, token, ...options } = {}) {
	const socket = io(`http://127.0.0.1:${where.port}${nsp}`, {
		transports,
		auth: token === undefined ? {} : { token },
		forceNew: true,
		reconnectionDelay: 10,
		reconnectionDelayMax: 50,
		...options,
	});
	defer(t, () => socket.disconnect());
	return socket;
}

const once = (socket, name) => new Promise((resolve) => socket.once(name, (...args) => resolve(args)));

export async function connected(t, where, options) {
	const socket = connect(t, where, options);
	await within(
		new Promise((resolve, reject) => {
			socket.once("connect", resolve);
			socket.once("connect_error", reject);
		}),
		"the connection",
	);
	return socket;
}

// The error of a connection that is to be refused.
export async function refusal(t, where, options) {
	const socket = connect(t, where, { reconnection: false, ...options });
	const [error] = await within(once(socket, "connect_error"), "connect_error");
	return Object.assign(error, { active: socket.active });
}

export const ask = (socket, name, ...args) => within(socket.emitWithAck(name, ...args), `the answer to ${name}`);

export class Viewer {
	constructor(t, where, session, { app = "default", nsp = "/", ...options } = {}) {
		this.session = session;
		this.app = app;
		this.nsp = nsp;
		this.heard = []; // [name, payload], snapshots among them
		this.envelopes = [];
		this.named = []; // in /events, under their own names
		this.faults = [];
		this.recoveries = [];
		this.joins = [];
		this.n_joins = 0;
		this.last = undefined;
		this.epoch = undefined;
		this.model = new Map(); // the attachments
		this.canvas = new Model();
		this.waiting = [];
		this.socket = connect(t, where, { nsp, ...options });
		this.socket.on("connect", () => this.#join());
		// The stock client forgets at once which answers it waits for, but gives what had come behind
		// them when it is connected again, before it says so.
		this.socket.on("disconnect", () => (this.expected = "what was left"));
		this.socket.onAny((name, payload) => this.#hear(name, payload));
	}

	#join() {
		const { session: session_id, app: app_id, last: since, epoch } = this;
		const wish = { app_id, session_id, since, epoch };
		this.expected = "answer";
		const join = ++this.n_joins;
		this.socket.emit("join_session", wish, (answer) => {
			if (join !== this.n_joins) return;
			this.joins.push(answer);
			if (!answer.ok) return this.#look();
			if (this.expected !== "answer") this.faults.push("the answer came late");
			this.recoveries.push(answer.recovered);
			this.expected = answer.recovered === "snapshot" ? "snapshot" : "event";
			if (answer.recovered !== "snapshot" && answer.epoch !== this.epoch) this.faults.push("recovered over an epoch");
			this.#look();
		});
	}

	#hear(name, body) {
		let payload = body;
		if (this.nsp === "/events") {
			if (name !== "event") {
				this.named.push([name, payload]);
				return;
			}
			this.envelopes.push(body);
			name = body.type;
			payload = body.payload;
			if (body.seq !== payload.preview_seq) this.faults.push(`seq ${body.seq} of ${payload.preview_seq}`);
		}
		this.heard.push([name, payload]);
		const seq = payload.preview_seq;
		if (name === "preview:snapshot") {
			if (!/snapshot|left/.test(this.expected)) this.faults.push(`a snapshot instead of ${this.expected}`);
			if (seq < this.last) this.faults.push(`the numbers went back from ${this.last} to ${seq}`);
			this.epoch = payload.epoch; // and not before: without the snapshot nothing of it is known
			this.canvas.snapshot(payload);
			this.model = new Map(payload.attachments.map((a) => [a.name, a.path]));
		} else {
			if (!/event|left/.test(this.expected)) this.faults.push(`${name} ${seq} instead of ${this.expected}`);
			if (seq !== this.last + 1) this.faults.push(`${seq} after ${this.last}`);
			this.canvas.event(name, payload);
			if (name === "web_preview:attached") this.model.set(payload.name, payload.path);
			if (name === "web_preview:detached") this.model.delete(payload.name);
		}
		if (this.expected !== "what was left") this.expected = "event";
		this.last = seq;
		this.#look();
	}

	#look() {
		this.waiting = this.waiting.filter((w) => !w());
	}

	until(holds, what = `${holds}`, patience = undefined) {
		return within(
			new Promise((resolve) => {
				const look = () => holds(this) && (resolve(this), true);
				if (!look()) this.waiting.push(look);
			}),
			what,
			patience,
		).catch((e) => {
			throw new Error(`${e.message}; at ${this.last}, joins ${JSON.stringify(this.joins.slice(-3))}, faults ${this.faults.slice(0, 3)}`);
		});
	}

	joined() {
		return this.until((v) => v.joins.length > 0 && v.expected === "event", "it is joined");
	}

	reaches(seq, patience) {
		return this.until((v) => v.last >= seq && v.expected === "event", `it has heard ${seq}`, patience);
	}

	get events() {
		return this.heard.filter(([name]) => name !== "preview:snapshot");
	}
}

const secret = "a secret of at least thirty-two bytes";

export async function with_jwt(t, settings = {}) {
	const file = path.join(temp_dir(t), "key");
	fs.writeFileSync(file, secret, { mode: 0o600 });
	return start(t, { settings: { "auth.jwt_algorithm": "HS256", "auth.jwt_key_file": file, "auth.jwt_leeway": "0s", ...settings } });
}

export const jwt = (claims) => new SignJWT(claims).setProtectedHeader({ alg: "HS256" }).sign(new TextEncoder().encode(secret));
