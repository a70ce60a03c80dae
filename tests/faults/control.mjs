// SPDX-License-Identifier: MIT
//
// What shim.c is told, and what it tells: the fields of its struct control, in the file both map.
import fs from "node:fs";

const SIZE = 48;
// prettier-ignore
const fields = { what: 0, countdown: 4, error: 8, times: 12, steps: 16, scope: 20, kinds: 24, netlink_drops: 28, failed: 40 };
const CLOCK_OFFSET = 32;

export const NOTHING = 0, KILL = 1, KILL_TORN = 2, FAIL = 3;
export const STORE = 0, STATE = 1;
export const WRITES = 1, SYNCS = 2, CHANGES = 4, ALL = 7;
export const EIO = 5, ENOSPC = 28, EROFS = 30;

export class Control {
	constructor(file) {
		this.file = file;
		fs.writeFileSync(file, Buffer.alloc(SIZE));
		this.fd = fs.openSync(file, "r+");
	}

	#write(offset, write) {
		const bytes = Buffer.alloc(offset === CLOCK_OFFSET ? 8 : 4);
		write(bytes);
		fs.writeSync(this.fd, bytes, 0, bytes.length, offset);
	}

	set(name, value) {
		this.#write(fields[name], (bytes) => bytes.writeInt32LE(value));
	}

	get(name) {
		const bytes = Buffer.alloc(4);
		fs.readSync(this.fd, bytes, 0, 4, fields[name]);
		return bytes.readInt32LE();
	}

	get steps() {
		return this.get("steps");
	}

	clock(seconds) {
		this.#write(CLOCK_OFFSET, (bytes) => bytes.writeBigInt64LE(BigInt(seconds)));
	}

	// `what` last: from there on it holds.
	arm(what, { countdown = 0, error = EIO, times = -1, scope = STORE, kinds = ALL } = {}) {
		this.set("what", NOTHING);
		for (const [name, value] of Object.entries({ countdown, error, times, scope, kinds })) this.set(name, value);
		this.set("what", what);
	}

	rest() {
		this.set("what", NOTHING);
	}

	close() {
		fs.closeSync(this.fd);
	}
}
