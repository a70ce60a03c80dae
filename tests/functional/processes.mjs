// SPDX-License-Identifier: MIT
//
// What runs on this machine, as /proc says.
import fs from "node:fs";
import net from "node:net";

export function is_alive(pid) {
	try {
		const stat = fs.readFileSync(`/proc/${pid}/stat`, "utf8");
		return !/^[ZX]/.test(stat.slice(stat.lastIndexOf(")") + 2));
	} catch {
		return false;
	}
}

export function parent_of(pid) {
	const stat = fs.readFileSync(`/proc/${pid}/stat`, "utf8");
	return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
}

// The living processes with that in their environment, "NAME=value".
export function with_variable(variable) {
	return fs
		.readdirSync("/proc")
		.filter((name) => /^\d+$/.test(name))
		.filter((pid) => {
			try {
				return fs.readFileSync(`/proc/${pid}/environ`, "latin1").split("\0").includes(variable) && is_alive(pid);
			} catch {
				return false;
			}
		})
		.map(Number);
}

export const can_bind = (port) =>
	new Promise((resolve) => {
		const server = net.createServer();
		server.once("error", () => resolve(false));
		server.listen({ port, host: "127.0.0.1" }, () => server.close(() => resolve(true)));
	});
