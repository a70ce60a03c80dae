// SPDX-License-Identifier: MIT
//
// One daemon with its day, the shim beneath it, and what is looked at afterwards: nothing may be left
// over of it.
import fs from "node:fs";
import path from "node:path";

import { Daemon, base, temp_dir, until, within } from "../functional/harness.mjs";
import { can_bind, is_alive } from "../functional/processes.mjs";
import { Control } from "./control.mjs";
import { Day, PER_SESSION, PER_USER } from "./day.mjs";

// Numbers that come again with the same seed (mulberry32).
export function random_of(seed) {
	let a = seed >>> 0;
	return () => {
		a = (a + 0x6d2b79f5) >>> 0;
		let x = Math.imul(a ^ (a >>> 15), a | 1);
		x = (x + Math.imul(x ^ (x >>> 7), x | 61)) ^ x;
		return ((x ^ (x >>> 14)) >>> 0) / 2 ** 32;
	};
}

export const sleep = (msec) => new Promise((resolve) => setTimeout(resolve, msec));

const describe = (link) => link.replace(/\[?\d+\]?$/, "").replace(/ \(deleted\)$/, "");

// Descriptors by what they are; those of caches and of what lives are not counted.
function descriptors(pid, state) {
	const counts = {};
	for (const fd of fs.readdirSync(`/proc/${pid}/fd`)) {
		let link;
		try {
			link = fs.readlinkSync(`/proc/${pid}/fd/${fd}`);
		} catch {
			continue;
		}
		if (link.startsWith(path.join(state, "published"))) continue; // publish.pages_open
		const kind = describe(link);
		counts[kind] = (counts[kind] ?? 0) + 1;
	}
	return counts;
}

// The living processes that have anything to do with a directory.
function processes_about(dir) {
	return fs
		.readdirSync("/proc")
		.filter((pid) => /^\d+$/.test(pid) && Number(pid) !== process.pid && is_alive(pid))
		.filter((pid) => {
			const look = [() => fs.readFileSync(`/proc/${pid}/cmdline`, "latin1"), () => fs.readFileSync(`/proc/${pid}/environ`, "latin1"), () => fs.readlinkSync(`/proc/${pid}/cwd`)];
			return look.some((read) => {
				try {
					return read().includes(dir);
				} catch {
					return false;
				}
			});
		})
		.map((pid) => `${pid} ${fs.readFileSync(`/proc/${pid}/cmdline`, "latin1").replaceAll("\0", " ").slice(0, 100)}`);
}

function files_below(dir) {
	return fs.readdirSync(dir, { recursive: true }).filter((name) => !fs.lstatSync(path.join(dir, name)).isDirectory());
}

// What a daemon that was stopped in peace leaves in its state directory, with every session ended:
// the database, its secrets, and releases of pages, which outlive their sessions.
const may_stay = [/^(previewd\.db|token|lock|previewd\.lock)$/, /^published\/[^/]+\/(current|previous)/, /^published\/[^/]+\/releases\/[0-9a-f]{32}\//];
const RELEASES = 5;

export class World {
	constructor(row, seed) {
		this.undo = [];
		this.after = (fn) => this.undo.push(fn);
		this.row = row;
		this.random = random_of(seed);
		this.dir = temp_dir(this);
		this.complaints = [];
		this.tried = 0;
	}

	async start({ settings = {}, state, file, wrap } = {}) {
		this.control = new Control(path.join(this.dir, "control"));
		this.after(() => this.control.close());
		this.state = state ?? path.join(this.dir, "state");
		const env = { LD_PRELOAD: process.env.FAULTS_SHIM, FAULTS_CONTROL: this.control.file, FAULTS_STATE: this.state };
		if (this.row.records) Object.assign(env, this.#record(env));
		this.d = new Daemon(this, {
			state: this.state,
			file,
			wrap,
			env,
			settings: { "limits.per_session": PER_SESSION, "limits.per_user": PER_USER, "tasks.kill_grace": "1s", "publish.sandbox": "prefer", ...settings },
		});
		await this.d.start();
		this.at_start = descriptors(this.d.child.pid, this.state);
		this.day = new Day(this.d, this.dir, this.random);
		if (this.row.records) this.day.position = () => this.position();
		await this.day.open();
		await this.day.watch();
		return this;
	}

	// What it does to its files is written down (record.c).
	#record({ LD_PRELOAD }) {
		this.record = path.join(this.dir, "record");
		fs.mkdirSync(this.record);
		return { LD_PRELOAD: `${process.env.FAULTS_RECORDER}:${LD_PRELOAD}`, FAULTS_RECORD: this.record };
	}

	position() {
		return Number(fs.readFileSync(path.join(this.record, "count")).readBigInt64LE());
	}

	complain(text) {
		this.complaints.push(text);
	}

	expect(holds, text) {
		if (!holds) this.complain(text);
	}

	// The daemon's end by itself or by us, and its next start; what was under way is known then.
	async killed({ by_us = true } = {}) {
		if (by_us) await this.d.kill();
		else {
			const { signal, code } = await within(this.d.child.exited, "the daemon's end");
			this.expect(signal === "SIGKILL", `it ended with ${code ?? signal}`);
			await this.d.kill();
		}
		await this.day.stop();
		this.control.rest();
		await Promise.all(this.day.streams.map((s) => s.end()));
		this.day.check_numbers();
		await this.d.start();
		await this.day.check();
		await this.day.watch();
	}

	// Lives on after what was done to it: all clients stop, all that it holds for them is given back.
	async settle() {
		await this.day.stop();
		this.control.rest();
		await until(async () => (await this.d.anonymous.get("/readyz").catch(() => ({}))).status === 200, "it is ready again", 30_000);
		await this.day.check();
		for (const s of this.day.streams) await s.flush();
		this.day.check_numbers();
	}

	async quiet() {
		for (const stream of this.d.streams) stream.terminate();
		this.d.streams.clear();
		for (const name of ["previewd_jobs", "previewd_probes", "previewd_store_pending", "previewd_builds", "previewd_tasks", "previewd_subscribers"])
			await until(async () => (await this.d.metric(name)) === 0, `${name} is 0`, 30_000).catch((e) => this.complain(e.message));
		for (const api of this.d.apis) api.close();
	}

	// Its descriptors, as soon as there are no more of them than after a start; what ended lets go of
	// them a moment later.
	async #descriptors_are_back(what) {
		const more = () => {
			const now = descriptors(this.d.child.pid, this.state);
			return Object.entries(now).filter(([kind, n]) => n > (this.at_start[kind] ?? 0));
		};
		await until(() => more().length === 0, "they are back", 20_000).catch(() => {
			const said = more().map(([kind, n]) => `${n} of ${kind} instead of ${this.at_start[kind] ?? 0}`);
			if (said.length) this.complain(`descriptors left over ${what}: ${said.join(", ")}`);
		});
	}

	// To the end: gone by, then looked at what is left of it.
	async end() {
		if (!this.day.clients) this.day.clients = [];
		await this.settle();
		// of the very process that the fault met: what its clients had of it is given back
		await this.day.close();
		await this.quiet();
		await this.#descriptors_are_back("by it");

		await this.d.kill();
		await this.d.start();
		for (const s of this.day.sessions) {
			const { status } = await this.d.admin.get(base(s));
			this.expect(status === 404, `${s} had ended, and is back`);
		}
		await this.quiet();
		await this.#descriptors_are_back("by the next start");

		const { port } = this.d;
		const { code, signal } = await this.d.stop();
		this.expect(code === 0, `at SIGTERM it ended with ${code ?? signal}`);
		this.expect(!fs.existsSync(this.d.socket), "its socket is left over");
		this.expect(await can_bind(port), `port ${port} is left bound`);
		await until(() => processes_about(this.d.dir).length + processes_about(this.dir).length === 0, "no process is left", 10_000).catch(() => {
			this.complain(`processes left over: ${[...processes_about(this.d.dir), ...processes_about(this.dir)].join("; ")}`);
		});
		this.check_files(this.state, (text) => this.complain(text));
		const said = this.d.log.filter((line) => /Sanitizer|runtime error:|Assertion/.test(line));
		this.expect(said.length === 0, said.join("\n"));
	}

	// Of a daemon that ended in peace, with no session left.
	check_files(state, complain) {
		const left = files_below(state).filter((name) => !may_stay.some((re) => re.test(name)));
		if (left.length > 0) complain(`files left over: ${left.slice(0, 8).join(" ")}`);
		for (const page of fs.readdirSync(path.join(state, "published"))) {
			const n = fs.readdirSync(path.join(state, "published", page, "releases")).length;
			if (n > RELEASES + 1) complain(`${n} releases of ${page}`);
		}
	}

	async clean_up() {
		for (const fn of this.undo.reverse()) {
			try {
				await fn();
			} catch (e) {
				this.complain(e.message);
			}
		}
	}
}
