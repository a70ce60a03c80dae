// SPDX-License-Identifier: MIT
//
// A day in the life of the daemon: agents attach and detach, projects are published, tasks come and
// go, viewers join and leave.  Each thing belongs to one client, which asks one thing after the
// other and remembers what the last answer said, so what must be there is known at every instant:
// what was answered, or what was being asked when the answer was cut off.
import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";

import * as events from "../functional/events.mjs";
import { base, blind, until } from "../functional/harness.mjs";
import { write_files } from "../functional/publishing.mjs";

export const PER_SESSION = 5;
export const PER_USER = 8;

const sessions = { s0: "ada", s1: "ada", s2: "bob", s3: "bob" };
const names = ["a", "b", "c", "d", "e", "f"];

// What the daemon may say instead of doing it; then nothing of it is done.
const refusals = new Set(["session_limit", "user_limit", "store_unavailable", "draining", "too_many_requests", "session_ending"]);

// Small, of many sectors, and the same in each release.
const page = (n) => ({ "index.html": `<!doctype html><h1>${n}</h1>`, "other.txt": `<h1>${n}</h1>`, "much.txt": `${n}\n`.repeat(3000), "same.txt": "same\n".repeat(3000) });

export class Day {
	constructor(daemon, dir, random) {
		this.d = daemon;
		this.dir = dir;
		this.random = random;
		this.sessions = Object.keys(sessions);
		this.things = new Map(); // "session/name" → {answered, asked: what was cut off since}
		this.highest = Object.fromEntries(this.sessions.map((s) => [s, 0]));
		this.epochs = new Set();
		this.complaints = [];
		this.answers = { done: 0, refused: 0, none: 0 };
		this.builds = 0;
		// How far the record of what the daemon does to its files has come, where there is one.
		this.position = () => 0;
		this.opened = {}; // sessions, each with the position of its answer
		this.passed = []; // sessions that were ended: {session, from, to}
		this.heard = []; // {position, session: its last number}
	}

	complain(text) {
		this.complaints.push(text);
	}

	// The sessions themselves, once; and what every run of the daemon begins with.
	async open() {
		for (const [s, user_id] of Object.entries(sessions)) {
			const answer = await this.d.admin.put(base(s), { user_id });
			assert.ok(answer.status < 300, answer.text);
			this.opened[s] ??= this.position();
		}
	}

	// A session that comes and goes, with what it had.
	async pass_through(session) {
		await this.d.admin.put(base(session), { user_id: "eve" });
		await this.d.admin.attach(session, blind({ name: "a", port: 4999 }));
		const from = this.position();
		const answer = await this.d.admin.del(base(session));
		assert.equal(answer.status, 200, answer.text);
		this.passed.push({ session, from, to: this.position() });
	}

	async watch() {
		this.streams = [];
		for (const s of this.sessions) {
			const stream = await events.join(this.d, s);
			stream.session = s;
			this.streams.push(stream);
			if (stream.joined.latest_seq < this.highest[s]) this.complain(`${s}: the numbers went back from ${this.highest[s]} to ${stream.joined.latest_seq}`);
			this.highest[s] = Math.max(this.highest[s], stream.joined.latest_seq);
		}
		const { epoch } = this.streams[0].joined;
		if (this.epochs.has(epoch)) this.complain("an epoch came twice");
		this.epochs.add(epoch);
	}

	// What the viewers heard in this run: each number once, growing, none missing.
	check_numbers() {
		for (const { session, seqs, joined } of this.streams ?? []) {
			let last = joined.latest_seq;
			for (const seq of seqs) {
				if (seq !== last + 1) this.complain(`${session}: number ${seq} after ${last}`);
				last = seq;
			}
			this.highest[session] = Math.max(this.highest[session], last);
		}
	}

	thing(session, name) {
		const key = `${session}/${name}`;
		if (!this.things.has(key)) this.things.set(key, { session, name, answered: null, asked: [], history: [] });
		return this.things.get(key);
	}

	// Asks, and writes down what came of it.  `wish` is what will be there when it is done.
	async #ask(thing, wish, request, outcome) {
		const began = performance.now();
		thing.asked.push(wish);
		const entry = { from: this.position(), wish };
		thing.history.push(entry);
		const answer = await request().catch((e) => ({ error: e.code ?? e.message }));
		this.longest = Math.max(this.longest ?? 0, performance.now() - began);
		if (!answer.status) {
			this.answers.none++;
			return false; // of the connection: what became of it is not known
		}
		entry.to = this.position();
		this.#hear();
		if (answer.status < 300) {
			thing.asked = [];
			thing.answered = entry.outcome = outcome(answer);
			this.answers.done++;
			return true;
		}
		this.answers.refused++;
		thing.asked.pop();
		if (!refusals.has(answer.json?.code) && !this.tolerates?.(answer)) this.complain(`${thing.session}/${thing.name}: ${answer.status} ${answer.text.slice(0, 400)}`);
		return true;
	}

	#hear() {
		const position = this.position();
		for (const { session, frames } of this.streams ?? []) {
			const seq = frames.at(-1)?.payload?.preview_seq;
			if (seq) this.heard.push({ position, session, seq });
		}
	}

	get answered_at() {
		return [...this.things.values()].flatMap((thing) => thing.history.map((entry) => entry.to)).filter((to) => to !== undefined);
	}

	// The day as its clients knew it at a position of the record, to be gone on with at another daemon.
	as_it_was(position, daemon, dir) {
		const day = new Day(daemon, dir, this.random);
		for (const { session, name, history } of this.things.values()) {
			const thing = day.thing(session, name);
			for (const { from, to, wish, outcome } of history) {
				if (from > position) break;
				if (to === undefined || to > position) thing.asked.push(wish);
				else if (outcome !== undefined) Object.assign(thing, { answered: outcome, asked: [] });
			}
		}
		for (const { position: then, session, seq } of this.heard) if (then <= position) day.highest[session] = Math.max(day.highest[session], seq);
		day.builds = this.builds;
		day.before = this;
		return day;
	}

	// Sessions that were made are there, those that ended are not.
	async check_sessions(position) {
		const is_there = async (session) => (await this.d.admin.get(base(session))).status === 200;
		for (const [session, then] of Object.entries(this.before.opened)) if (then <= position && !(await is_there(session))) this.complain(`the session ${session} is gone`);
		for (const { session, to } of this.before.passed) if (to <= position && (await is_there(session))) this.complain(`the session ${session} had ended, and is back`);
	}

	attach(thing, more = {}) {
		// no other user's: that would be refused
		const port = 5000 + 1000 * Number(thing.session.slice(1)) + Math.floor(this.random() * 1000);
		const request = () => this.d.admin.attach(thing.session, blind({ name: thing.name, port, ...more }));
		return this.#ask(thing, { port }, request, ({ json }) => ({ port, label: json.label }));
	}

	detach(thing) {
		return this.#ask(thing, null, () => this.d.admin.detach(thing.session, thing.name), () => null);
	}

	async #agent(thing) {
		while (this.running) {
			const went = this.random() < 0.65 ? await this.attach(thing) : await this.detach(thing);
			await this.#breath();
			if (!went && this.#is_gone()) return;
		}
	}

	// A project of plain files, again and again.
	async publish(thing) {
		const n = ++this.builds;
		const workdir = write_files(path.join(this.dir, "site"), page(n));
		const request = async () => {
			const answer = await this.d.local.post(`${base(thing.session)}/publish?wait=1`, { workdir, name: thing.name });
			// A build that failed says so in its document or as a problem; either way nothing was changed.
			if (answer.status < 300 && answer.json.state !== "succeeded") return { status: 503, json: { code: "store_unavailable" } };
			if (answer.json?.state === "failed" || /^(build_|machine_failed)/.test(answer.json?.code ?? "")) return { status: 503, json: { code: "store_unavailable" } };
			return answer;
		};
		return this.#ask(thing, { n }, request, ({ json }) => ({ n, release: json.release_id, url: json.url }));
	}

	async #publisher(thing) {
		while (this.running) {
			const went = await this.publish(thing);
			await this.#breath(20);
			if (!went && this.#is_gone()) return;
		}
	}

	// A task with a preview that names it, whose end is the task's.
	async #tasks(session) {
		for (let i = 0; this.running; i++) {
			const task_id = `t${this.epochs.size}-${i}`;
			const target = `${base(session)}/tasks`;
			const began = await this.d.local.post(target, { task_id, command: ["sleep", "3600"], cwd: this.dir }).catch(() => null);
			if (began?.status === 201) {
				await this.#breath();
				const ended = await this.d.local.del(`${target}/${task_id}`).catch(() => null);
				if (ended?.status === 200 && ended.json.ended === true && fs.existsSync(`/proc/${began.json.pid}/cwd`)) {
					const link = fs.readFileSync(`/proc/${began.json.pid}/cmdline`, "utf8");
					if (link.startsWith("sleep")) this.complain(`task ${task_id} was ended and lives`);
				}
			}
			await this.#breath(30);
			if (!began && this.#is_gone()) return;
		}
	}

	// Joins where it left off, and leaves again.
	async #viewer(session) {
		let since, epoch;
		while (this.running) {
			const stream = await events.join(this.d, session, since ? { since, epoch } : {}).catch(() => null);
			if (stream) {
				if (stream.joined.recovered !== "snapshot" && stream.joined.epoch !== epoch) this.complain(`${session}: recovered over an epoch`);
				({ latest_seq: since, epoch } = stream.joined);
				await this.#breath();
				stream.terminate();
				this.d.streams.delete(stream.socket);
			}
			await this.#breath(20);
			if (!stream && this.#is_gone()) return;
		}
	}

	async #canvas(session) {
		for (let n = 0; this.running; n++) {
			const answer = await this.d.admin.post(`${base(session)}/canvas/set_state`, { key: "n", value: n }).catch(() => null);
			await this.#breath(20);
			if (!answer && this.#is_gone()) return;
		}
	}

	#is_gone() {
		return !this.d.child.running;
	}

	#breath(msec = 10) {
		return new Promise((resolve) => setTimeout(resolve, 1 + this.random() * msec));
	}

	start({ tasks = true } = {}) {
		this.running = true;
		const agents = this.sessions.flatMap((s) => names.map((n) => this.#agent(this.thing(s, n))));
		this.clients = [
			...agents,
			this.#publisher(this.thing("s0", "published")),
			...(tasks ? [this.#tasks("s1")] : []),
			this.#viewer("s2"),
			this.#viewer("s3"),
			this.#canvas("s3"),
		];
	}

	async stop() {
		this.running = false;
		await Promise.all(this.clients ?? []);
		this.clients = null;
	}

	// Enough was asked of it and done since; so that a fault never meets an idle daemon.
	async until_done(n) {
		const from = this.answers.done;
		await until(() => this.answers.done >= from + n, `${n} more things were done: ${JSON.stringify(this.answers)} ${this.complaints.slice(0, 2)}`, 30_000);
	}

	async #shown(thing, now) {
		const { status, text } = await this.d.anonymous.get(now.url);
		const n = /<h1>(\d+)<\/h1>/.exec(text)?.[1];
		if (status !== 200 || !n) return this.complain(`${thing.session}/${thing.name}: the page is ${status}`);
		for (const [name, content] of Object.entries(page(n))) {
			const file = await this.d.anonymous.get(now.url + name);
			if (file.text !== content) this.complain(`${thing.session}/${thing.name}: ${name} is not that of release ${n}: ${file.status}, ${file.text.length} bytes`);
		}
		return Number(n);
	}

	// What was answered is there, what is there was answered, limits hold.  What was cut off may have
	// been done or not; from here on it is known.
	async check() {
		const of_user = {};
		for (const [s, user] of Object.entries(sessions)) {
			const found = await this.d.admin.list(s);
			of_user[user] = (of_user[user] ?? 0) + found.length;
			if (found.length > PER_SESSION) this.complain(`${s} has ${found.length} previews`);
			for (const one of found) if (!this.things.has(`${s}/${one.name}`)) this.complain(`${s}/${one.name} was never asked for`);
			for (const thing of this.things.values()) {
				if (thing.session !== s) continue;
				const now = found.find((p) => p.name === thing.name) ?? null;
				await this.#check_one(thing, now);
			}
		}
		for (const [user, n] of Object.entries(of_user)) if (n > PER_USER) this.complain(`${user} has ${n} previews`);
	}

	// Each release that is listed is one to go back to; the newest is the last.
	async check_releases(thing) {
		const target = `${base(thing.session)}/releases`;
		const { json } = await this.d.admin.get(`${target}?name=${thing.name}`);
		for (const { id } of json.releases.reverse()) {
			const { status, text } = await this.d.admin.post(`${target}/${id}/activate`, {});
			// Each of these prunes, and one that came back may be the sixth.
			if (status === 404) continue;
			if (status !== 200) this.complain(`release ${id}: ${text}`);
			const now = (await this.d.admin.list(thing.session)).find((p) => p.name === thing.name);
			thing.answered = { n: await this.#shown(thing, now) };
		}
	}

	async #check_one(thing, now) {
		const { answered, asked } = thing;
		const shown = now?.type === "published" ? await this.#shown(thing, now) : undefined;
		const is = (what) => {
			if (!what || !now) return !what && !now;
			if (what.n !== undefined) return shown === what.n;
			return now.port === what.port && (!what.label || now.label === what.label);
		};
		if (!is(answered) && !asked.some(is))
			this.complain(`${thing.session}/${thing.name}: ${JSON.stringify({ answered, asked, now: now && { port: now.port, label: now.label, shown } })}`);
		thing.answered = !now ? null : shown !== undefined ? { n: shown } : { port: now.port, label: now.label };
		thing.asked = [];
	}

	// All sessions end, and with them all that they have.
	async close() {
		for (const s of this.sessions) {
			await this.d.local.del(`${base(s)}/published`);
			const answer = await this.d.admin.del(base(s));
			if (answer.status >= 300) this.complain(`the end of ${s}: ${answer.text}`);
		}
		this.things.clear();
	}
}
