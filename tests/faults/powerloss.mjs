// SPDX-License-Identifier: MIT
//
// What a disk may hold after a loss of power, made from what record.c wrote down: what was synced is
// there, and of what was not any part.  Two readings of "any":
//
//	ordered	as ext4 does it (data=ordered): names change in the order in which they were changed, up to
//		some instant; a file's fsync takes along the names changed before it; a file that was not
//		synced is short, or has some of the sectors that were written over.
//	strict	as POSIX allows it: each name for itself, until its directory is synced; each sector for
//		itself, and the length, until the file is; what was never written holds anything.
//
// A rename is done or not, in both: no file system that is in use does half of one in a directory.
import fs from "node:fs";
import path from "node:path";

export const SECTOR = 512;

// The lines of record.c, with the bytes of the writes.
export function read_record(dir) {
	const data = fs.readFileSync(path.join(dir, "data"));
	const lines = fs.readFileSync(path.join(dir, "operations"), "latin1").split("\n");
	lines.pop();
	return lines.map((line) => {
		const [letter, ...f] = line.split(" ");
		switch (letter) {
			case "C":
			case "D":
			case "L":
			case "H":
				return { letter, dir: f[0], name: f[1], inode: f[2], mode: parseInt(f[3], 8), target: f[4] };
			case "W":
				return { letter, inode: f[0], at: Number(f[1]), data: data.subarray(Number(f[3]), Number(f[3]) + Number(f[2])) };
			case "T":
				return { letter, inode: f[0], size: Number(f[1]) };
			case "M":
				return { letter, inode: f[0], mode: parseInt(f[1], 8) };
			case "S":
				return { letter, inode: f[0] };
			case "R":
				return { letter, dir: f[0], name: f[1], to_dir: f[2], to_name: f[3] };
			case "U":
				return { letter, dir: f[0], name: f[1] };
			default:
				return { letter };
		}
	});
}

// A file's bytes, which grow.
class Bytes {
	constructor(other) {
		this.length = other?.length ?? 0;
		this.buffer = other ? Buffer.from(other.buffer.subarray(0, other.length)) : Buffer.alloc(0);
	}

	resize(length) {
		if (length > this.buffer.length) this.buffer = Buffer.concat([this.buffer, Buffer.alloc(Math.max(length, 2 * this.buffer.length) - this.buffer.length)]);
		if (length < this.length) this.buffer.fill(0, length, this.length);
		this.length = length;
	}

	write(at, data) {
		if (at + data.length > this.length) this.resize(at + data.length);
		data.copy(this.buffer, at);
	}

	apply(step) {
		if (step.letter === "T") this.resize(step.size);
		else this.write(step.at, step.data);
	}

	get content() {
		return this.buffer.subarray(0, this.length);
	}
}

// A write in pieces that a disk writes whole.
function* sectors_of(step) {
	for (let at = step.at; at < step.at + step.data.length; ) {
		const to = Math.min((Math.floor(at / SECTOR) + 1) * SECTOR, step.at + step.data.length);
		yield { letter: "W", at, data: step.data.subarray(at - step.at, to - step.at) };
		at = to;
	}
}

// The disk as operations go over it: what is sure, and what is pending.
export class Disk {
	// `root`: the inode of the directory in which all of it is.
	constructor(root, mode) {
		this.mode = mode;
		this.root = { kind: "D", names: new Map(), mode: 0o755 };
		this.things = new Map([[`${root}`, this.root]]); // by inode
		this.now = new Map(); // "dir's id/name" → thing: as who runs now sees it
		this.pending = []; // changes of names: {parts: [{dir, name, thing|null}]}
		this.ids = 0;
		this.root.id = this.ids++;
		this.unknown = 0; // operations on what was never seen to be made
	}

	#change(...parts) {
		for (const { dir, name, thing } of parts) this.now.set(`${dir.id}/${name}`, thing);
		const change = { parts };
		for (const { dir, thing } of parts) for (const one of [dir, thing]) if (one) one.changed = change;
		this.pending.push(change);
	}

	#made(op) {
		const dir = this.things.get(op.dir);
		if (!dir) return;
		const thing = { id: this.ids++, kind: op.letter, mode: op.mode, target: op.target };
		if (op.letter === "C") Object.assign(thing, { sure: new Bytes(), steps: [] });
		if (op.letter === "D") thing.names = new Map();
		this.things.set(op.inode, thing);
		this.#change({ dir, name: op.name, thing });
	}

	#settle_names(changes) {
		for (const { parts } of changes) for (const { dir, name, thing } of parts) thing ? dir.names.set(name, thing) : dir.names.delete(name);
	}

	#settle_file(file) {
		for (const step of file.steps) file.sure.apply(step);
		file.steps = [];
	}

	#sync(thing) {
		if (thing.kind === "C") this.#settle_file(thing);
		if (this.mode === "ordered") {
			const until = this.pending.indexOf(thing.changed) + 1;
			this.#settle_names(this.pending.splice(0, until));
		} else if (thing.kind === "D") {
			for (const change of this.pending) {
				this.#settle_names([{ parts: change.parts.filter((p) => p.dir === thing) }]);
				change.parts = change.parts.filter((p) => p.dir !== thing);
			}
			this.pending = this.pending.filter((c) => c.parts.length > 0);
		}
	}

	#sync_all() {
		for (const thing of this.things.values()) if (thing.kind === "C") this.#settle_file(thing);
		this.#settle_names(this.pending.splice(0));
	}

	#renamed(op) {
		const [from, to] = [this.things.get(op.dir), this.things.get(op.to_dir)];
		const thing = from && this.now.get(`${from.id}/${op.name}`);
		if (!thing || !to) return void this.unknown++;
		this.#change({ dir: from, name: op.name, thing: null }, { dir: to, name: op.to_name, thing });
	}

	run(op) {
		const thing = op.inode && this.things.get(op.inode);
		switch (op.letter) {
			case "C":
			case "D":
			case "L":
				return this.#made(op);
			case "H": {
				const dir = this.things.get(op.dir);
				if (dir && thing) this.#change({ dir, name: op.name, thing });
				return;
			}
			case "W":
			case "T":
				if (thing) thing.steps.push(op);
				return;
			case "M":
				if (thing) thing.mode = op.mode;
				return;
			case "S":
				if (thing) this.#sync(thing);
				return;
			case "A":
				return this.#sync_all();
			case "R":
				return this.#renamed(op);
			case "U": {
				const dir = this.things.get(op.dir);
				if (dir) this.#change({ dir, name: op.name, thing: null });
			}
		}
	}

	// What of the names is there: maps, by the directories' ids.
	#names_found(luck) {
		const found = new Map();
		const of = (dir) => {
			if (!found.has(dir.id)) found.set(dir.id, new Map(dir.names));
			return found.get(dir.id);
		};
		const until = this.mode === "ordered" ? luck.upto(this.pending.length) : 0;
		for (const [i, { parts }] of this.pending.entries()) {
			if (this.mode === "ordered" ? i >= until : !luck.is()) continue;
			for (const { dir, name, thing } of parts) thing ? of(dir).set(name, thing) : of(dir).delete(name);
		}
		return of;
	}

	#ordered_content(file, luck) {
		const bytes = new Bytes(file.sure);
		const until = luck.upto(file.steps.length);
		for (const [i, step] of file.steps.entries()) {
			if (i < until) {
				bytes.apply(step);
				continue;
			}
			if (step.letter === "T") break; // in the journal, in order
			for (const sector of sectors_of(step)) {
				const is_new = sector.at + sector.data.length > bytes.length;
				// What makes it longer comes one after the other.
				if (is_new && (i > until || sector.at > bytes.length)) continue;
				if (luck.is()) bytes.write(sector.at, sector.data);
			}
		}
		return bytes.content;
	}

	#strict_content(file, luck) {
		const bytes = new Bytes(file.sure);
		const lengths = [bytes.length];
		const written = [];
		for (const step of file.steps) {
			lengths.push(step.letter === "T" ? step.size : Math.max(lengths.at(-1), step.at + step.data.length));
			for (const sector of step.letter === "W" ? sectors_of(step) : []) if (luck.is()) written.push(sector);
		}
		const longest = Math.max(...lengths);
		// What was never written there may hold what another file left.
		if (longest > bytes.length && luck.is()) {
			const from = bytes.length;
			bytes.resize(longest);
			for (let at = from; at < longest; at++) bytes.buffer[at] = (at * 2654435761) >>> 24;
		}
		for (const sector of written) bytes.write(sector.at, sector.data);
		bytes.resize(lengths[luck.upto(lengths.length - 1)]);
		return bytes.content;
	}

	// Writes what may be found into a directory, which is to be empty.
	write_to(target, luck) {
		const names = this.#names_found(luck);
		const done = new Map(); // a file of two names is one file
		const write = (dir, at) => {
			for (const [name, thing] of names(dir)) {
				const file = path.join(at, name);
				if (done.has(thing)) {
					if (thing.kind === "C") fs.linkSync(done.get(thing), file);
					continue;
				}
				done.set(thing, file);
				if (thing.kind === "D") {
					fs.mkdirSync(file);
					write(thing, file);
					fs.chmodSync(file, thing.mode);
				} else if (thing.kind === "L") fs.symlinkSync(thing.target, file);
				else {
					fs.writeFileSync(file, this.mode === "ordered" ? this.#ordered_content(thing, luck) : this.#strict_content(thing, luck));
					fs.chmodSync(file, thing.mode);
				}
			}
		};
		write(this.root, target);
	}
}

// What is pending is there by chance, or nothing of it, or all.
export const nothing = { is: () => false, upto: () => 0 };
export const everything = { is: () => true, upto: (n) => n };
export function by_chance(random, chance) {
	return { is: () => random() < chance, upto: (n) => Math.floor(random() * (n + 1)) };
}

// All that is beneath a directory, as {name: what it is}; to see that a record is whole.
export function listing(dir, leave_out) {
	const found = {};
	for (const name of fs.readdirSync(dir, { recursive: true })) {
		if (leave_out.test(name)) continue;
		const file = path.join(dir, name);
		const st = fs.lstatSync(file);
		if (st.isSymbolicLink()) found[name] = `→ ${fs.readlinkSync(file)}`;
		else if (st.isDirectory()) found[name] = "directory";
		else if (st.isFile()) found[name] = fs.readFileSync(file).toString("latin1");
	}
	return found;
}
