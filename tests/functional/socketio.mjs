// SPDX-License-Identifier: MIT
//
// A viewer on the stock socket.io-client: keeps what it hears and builds a model of its session
// from it, which complains of every number that is missing or there twice.
import net from "node:net";

import { io } from "socket.io-client";

import { defer, within } from "./harness.mjs";

export const TRANSPORTS = { websocket: ["websocket"], polling: ["polling"], upgrade: ["polling", "websocket"] };
export const NAMESPACES = ["/", "/events"];

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
		this.last = undefined;
		this.epoch = undefined;
		this.model = new Map();
		this.waiting = [];
		this.socket = connect(t, where, { nsp, ...options });
		this.socket.on("connect", () => this.#join());
		this.socket.onAny((name, payload) => this.#hear(name, payload));
	}

	#join() {
		const { session: session_id, app: app_id, last: since, epoch } = this;
		const wish = { app_id, session_id, since, epoch };
		this.expected = "answer";
		// What came while it was away would come first: only the newest connection's is waited for.
		const id = this.socket.id;
		this.socket.emit("join_session", wish, (answer) => {
			if (id !== this.socket.id) return;
			this.joins.push(answer);
			if (!answer.ok) return this.#look();
			if (this.expected !== "answer") this.faults.push("the answer came late");
			this.recoveries.push(answer.recovered);
			this.expected = answer.recovered === "snapshot" ? "snapshot" : "event";
			if (answer.recovered !== "snapshot" && answer.epoch !== this.epoch) this.faults.push("recovered over an epoch");
			this.epoch = answer.epoch;
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
			if (this.expected !== "snapshot") this.faults.push(`a snapshot instead of ${this.expected}`);
			if (seq < this.last) this.faults.push(`the numbers went back from ${this.last} to ${seq}`);
			this.model = new Map(payload.attachments.map((a) => [a.name, a.path]));
		} else {
			if (this.expected !== "event") this.faults.push(`${name} ${seq} instead of ${this.expected}`);
			if (seq !== this.last + 1) this.faults.push(`${seq} after ${this.last}`);
			if (name === "web_preview:attached") this.model.set(payload.name, payload.path);
			if (name === "web_preview:detached") this.model.delete(payload.name);
		}
		this.expected = "event";
		this.last = seq;
		this.#look();
	}

	#look() {
		this.waiting = this.waiting.filter((w) => !w());
	}

	until(holds, what = `${holds}`) {
		return within(
			new Promise((resolve) => {
				const look = () => holds(this) && (resolve(this), true);
				if (!look()) this.waiting.push(look);
			}),
			what,
		).catch((e) => {
			throw new Error(`${e.message}; at ${this.last}, joins ${JSON.stringify(this.joins.slice(-3))}, faults ${this.faults.slice(0, 3)}`);
		});
	}

	joined() {
		return this.until((v) => v.joins.length > 0 && v.expected === "event", "it is joined");
	}

	reaches(seq) {
		return this.until((v) => v.last >= seq && v.expected === "event", `it has heard ${seq}`);
	}

	get events() {
		return this.heard.filter(([name]) => name !== "preview:snapshot");
	}
}
