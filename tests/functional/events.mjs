// SPDX-License-Identifier: MIT
//
// A client of /ws/events on the stock `ws`: keeps every frame, and waits for one.
import WebSocket from "ws";

import { within } from "./harness.mjs";

export class Events {
	constructor(socket) {
		this.socket = socket;
		this.frames = [];
		this.waiting = [];
		socket.on("message", (data) => {
			this.frames.push(JSON.parse(data.toString()));
			this.#look();
		});
		this.closed = new Promise((resolve) => {
			socket.on("close", (code, reason) => {
				this.is_closed = { code, reason: reason.toString() };
				resolve(this.is_closed);
				this.#look();
			});
		});
		socket.on("error", () => {});
	}

	#look() {
		this.waiting = this.waiting.filter((w) => !w());
	}

	// The first frame for which `fits`, from the `from`th on.
	frame(fits, from = 0) {
		return within(
			new Promise((resolve, reject) => {
				const look = () => {
					const found = this.frames.slice(from).find(fits);
					if (found) return resolve(found), true;
					if (this.is_closed) {
						reject(new Error(`closed with ${this.is_closed.code} before the frame; had ${JSON.stringify(this.frames)}`));
						return true;
					}
					return false;
				};
				if (!look()) this.waiting.push(look);
			}),
			`a frame with ${fits}`,
		).catch((e) => {
			throw new Error(`${e.message}\nframes: ${JSON.stringify(this.frames)}`);
		});
	}

	event(type, fits = () => true) {
		return this.frame((f) => f.event_type === type && fits(f.payload, f));
	}

	get events() {
		return this.frames.filter((f) => f.event_type && f.event_type !== "preview:snapshot");
	}

	get seqs() {
		return this.events.map((f) => f.payload.preview_seq);
	}

	send(what) {
		this.socket.send(typeof what === "string" ? what : JSON.stringify(what));
	}

	// The answer to a ping comes behind everything that was sent before.
	async flush() {
		const from = this.frames.length;
		this.send({ type: "ping" });
		await this.frame((f) => f.type === "pong", from);
	}

	end() {
		return within(this.closed, "the close of the stream");
	}

	terminate() {
		this.socket.terminate();
	}
}

function query_of(query) {
	const q = new URLSearchParams(query).toString();
	return q ? `?${q}` : "";
}

export function socket_of(daemon, query, { token = daemon.admin_token, unix = false, headers = {} } = {}) {
	const target = `/ws/events${query_of(query)}`;
	const url = unix ? `ws+unix:${daemon.socket}:${target}` : `ws://127.0.0.1:${daemon.port}${target}`;
	const fields = { ...headers };
	if (token && !unix) fields.authorization ??= `Bearer ${token}`;
	return new WebSocket(url, { headers: fields, perMessageDeflate: false });
}

// Opens the stream.  Not waited for the joined frame: see join().
export async function open(daemon, query, options = {}) {
	const socket = socket_of(daemon, query, options);
	const events = new Events(socket);
	daemon.streams.add(socket);
	await within(
		new Promise((resolve, reject) => {
			socket.once("open", resolve);
			socket.once("unexpected-response", (_, res) => reject(new Error(`upgrade refused: ${res.statusCode}`)));
			socket.once("error", reject);
		}),
		"the upgrade",
	);
	return events;
}

// Opens it and waits until live events come.
export async function join(daemon, session, query = {}, options = {}) {
	const events = await open(daemon, { ...(session ? { session_id: session } : {}), ...query }, options);
	events.joined = await events.frame((f) => f.status === "joined");
	return events;
}

// The answer to an upgrade that is to be refused.
export function refusal(daemon, query, options = {}) {
	const socket = socket_of(daemon, query, options);
	daemon.streams.add(socket);
	return within(
		new Promise((resolve, reject) => {
			socket.once("open", () => reject(new Error("the upgrade was not refused")));
			socket.on("error", () => {});
			socket.once("unexpected-response", (req, res) => {
				const chunks = [];
				res.on("data", (c) => chunks.push(c));
				res.on("end", () => {
					const text = Buffer.concat(chunks).toString();
					resolve({ status: res.statusCode, headers: res.headers, json: /json/.test(res.headers["content-type"]) ? JSON.parse(text) : null });
				});
			});
		}),
		"the refusal",
	);
}
