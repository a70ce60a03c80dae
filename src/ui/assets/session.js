// SPDX-License-Identifier: MIT
// The line to the daemon: its events over one WebSocket, caught up by number and epoch after every
// break, and its API.  The token is asked for when it is needed, and kept nowhere else.

const DELAYS = [200, 500, 1000, 2000, 4000, 8000]; // milliseconds between two tries
const CLOSED_UNAUTHENTICATED = 4401;
const CLOSED_FORBIDDEN = 4403;
const CLOSED_NOT_FOUND = 4404;

export class Problem extends Error {
	constructor(status, document) {
		super(document?.detail ?? document?.title ?? (status ? `previewd answered ${status}` : "previewd cannot be reached"));
		this.status = status;
		this.code = document?.code ?? null;
		this.document = document ?? {};
	}
}

/*
 * Events: "state" when `state` has changed (connecting, live, waiting, missing, refused), "frame"
 * with one of /ws/events in `detail`, "token" when one was refused and another has come.
 */
export class Session extends EventTarget {
	constructor({ base, app, session, provider }) {
		super();
		this.base = base;
		this.app = app;
		this.session = session;
		this.path = `/api/apps/${encodeURIComponent(app)}/sessions/${encodeURIComponent(session)}`;
		this.state = "connecting";
		this.scopes = null;
		this.provider = provider;
		this.since = null;
		this.epoch = null;
		this.stopped = false;
		this.wake = () => this.#wake?.();
	}

	#wake = null;
	#socket = null;
	#token = null;
	#refused = false; // the token of the last try

	start() {
		addEventListener("online", this.wake);
		document.addEventListener("visibilitychange", this.wake);
		this.#run();
	}

	stop() {
		this.stopped = true;
		removeEventListener("online", this.wake);
		document.removeEventListener("visibilitychange", this.wake);
		this.#socket?.close();
		this.wake();
	}

	#set(state) {
		if (this.stopped || this.state === state) return;
		this.state = state;
		this.dispatchEvent(new Event("state"));
	}

	async #ask_token() {
		const before = this.#token;
		try {
			this.#token = (await this.provider?.({ refused: this.#refused })) || null;
		} catch {
			this.#token = null;
		}
		if (this.#refused && this.#token === before) this.#token = null; // it would be refused again
		return this.#token;
	}

	async #run() {
		for (let tries = 0; !this.stopped; tries++) {
			if (!this.#token || this.#refused) {
				const another = this.#refused;
				if (!(await this.#ask_token())) return this.#set("refused");
				this.#refused = false;
				this.scopes = null;
				if (another) this.dispatchEvent(new Event("token"));
			}
			const { code, joined } = await this.#follow();
			if (this.stopped) return;
			if (joined) tries = 0;
			this.#refused = code === CLOSED_UNAUTHENTICATED;
			if (code === CLOSED_FORBIDDEN) return this.#set("refused");
			if (this.#refused) {
				if (!joined) await this.#pause(DELAYS[Math.min(tries, DELAYS.length - 1)]);
				continue;
			}
			this.#set(code === CLOSED_NOT_FOUND ? "missing" : "waiting");
			await this.#pause(DELAYS[Math.min(tries, DELAYS.length - 1)]);
		}
	}

	// Before it is over when the network or the page comes back.
	#pause(delay) {
		return new Promise((resolve) => {
			const timer = setTimeout(resolve, delay * (0.75 + Math.random() / 2));
			this.#wake = () => {
				if (!this.stopped && document.hidden) return;
				clearTimeout(timer);
				resolve();
			};
		}).finally(() => (this.#wake = null));
	}

	// One connection, to its end.
	#follow() {
		const query = new URLSearchParams({ session_id: this.session });
		if (this.epoch) {
			query.set("since", this.since);
			query.set("epoch", this.epoch);
		}
		return new Promise((resolve) => {
			let joined = false;
			const socket = (this.#socket = new WebSocket(`${this.base.replace(/^http/, "ws")}/ws/events?${query}`));
			socket.onopen = () => socket.send(JSON.stringify({ type: "auth", token: this.#token }));
			socket.onclose = ({ code }) => resolve({ code, joined });
			socket.onmessage = ({ data }) => {
				const frame = JSON.parse(data);
				if (frame.status === "joined") {
					joined = true;
					// Numbers are of an epoch: those of another say nothing here.
					if (this.epoch !== frame.epoch) this.since = 0;
					this.epoch = frame.epoch;
					if (frame.recovered === "nothing_missed") this.since = frame.latest_seq;
					this.#set("live");
					if (!this.scopes) this.#learn_scopes();
				} else if (frame.event_type) {
					const seq = frame.payload?.preview_seq;
					if (frame.event_type !== "preview:snapshot" && seq <= this.since) return; // had it
					if (typeof seq === "number") this.since = seq;
					this.dispatchEvent(new CustomEvent("frame", { detail: frame }));
				}
			};
		});
	}

	async #learn_scopes() {
		try {
			const { scopes, admin } = await this.call("GET", "/api/credential", undefined, { whole: true });
			this.scopes = admin ? ["view", "preview", "publish", "task"] : scopes;
		} catch {
			this.scopes = null;
		}
		this.dispatchEvent(new Event("state"));
	}

	may(scope) {
		return this.scopes === null || this.scopes.includes(scope);
	}

	async fetch(method, path, body, { whole = false, ...options } = {}) {
		if (!this.#token) await this.#ask_token();
		let response;
		try {
			response = await fetch(`${this.base}${whole ? "" : this.path}${path}`, {
				method,
				headers: {
					authorization: `Bearer ${this.#token}`,
					...(body === undefined ? {} : { "content-type": "application/json" }),
				},
				body: body === undefined ? undefined : JSON.stringify(body),
				credentials: "omit",
				cache: "no-store",
				...options,
			});
		} catch (error) {
			if (error.name === "AbortError") throw error;
			throw new Problem(0, null);
		}
		if (response.ok) return response;
		let document = null;
		try {
			document = await response.json();
		} catch {
			// no problem document: the status says what there is to say
		}
		throw new Problem(response.status, document);
	}

	async call(method, path, body, options) {
		return (await this.fetch(method, path, body, options)).json();
	}

	// Text as it comes: `each` gets pieces.
	async follow_text(path, each, signal) {
		const response = await this.fetch("GET", path, undefined, { signal });
		const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
		for (;;) {
			const { done, value } = await reader.read();
			if (done) return;
			each(value);
		}
	}
}
