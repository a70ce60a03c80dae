// SPDX-License-Identifier: MIT
//
// Disks that are soon full.
import { execFileSync, spawnSync } from "node:child_process";
import fs from "node:fs";

import { defer, temp_dir } from "./harness.mjs";

// A file system of its own, small; null where it cannot be had.
export function small_disk(t, size) {
	const dir = temp_dir(t);
	const { status } = spawnSync("mount", ["-t", "tmpfs", "-o", `size=${size}`, "tmpfs", dir], { stdio: "ignore" });
	if (status !== 0) return null;
	defer(t, () => execFileSync("umount", ["-l", dir]));
	return dir;
}

export function fill(file) {
	const fd = fs.openSync(file, "w");
	try {
		for (const size of [65536, 4096]) {
			try {
				for (;;) fs.writeSync(fd, Buffer.alloc(size));
			} catch (e) {
				if (e.code !== "ENOSPC") throw e;
			}
		}
	} finally {
		fs.closeSync(fd);
	}
}
