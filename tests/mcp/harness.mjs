// SPDX-License-Identifier: MIT
//
// The server of the suites' fixtures, the daemon, and a proxy that lends a credential to clients
// that cannot be given one.
import { once } from "node:events";
import http from "node:http";
import fs from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

import { Child, defer, run, temp_dir, within } from "../functional/harness.mjs";

export * from "../functional/harness.mjs";

const here = path.dirname(fileURLToPath(import.meta.url));

// The clients want a newer Node than the one that may run this.
export const node = ["x64", "arm64"]
	.map((arch) => path.join(here, "node_modules", `node-linux-${arch}`, "bin", "node"))
	.concat(process.execPath)
	.find((file) => fs.existsSync(file));

export const in_here = (...parts) => path.join(here, ...parts);
export const package_file = (...parts) => in_here("node_modules", ...parts);

// One that is a command line of JavaScript; its HOME is its own.
export function run_script(t, script, args, options = {}) {
	const home = temp_dir(t);
	return run(t, [node, script, ...args], {
		cwd: home,
		env: { PATH: process.env.PATH, HOME: home, NO_COLOR: "1" },
		...options,
	});
}

export async function start_fixture(t) {
	const program = process.env.MCP_FIXTURE ?? in_here("../../build/tests/mcp/mcp-fixture");
	const child = new Child(t, [path.resolve(program)], { on_end: false });
	defer(t, async () => {
		child.process.stdin.end();
		const { code, signal } = await within(child.exited, "the fixture's end");
		if (code !== 0) throw new Error(`the fixture ended with ${code ?? signal}:\n${child.stderr.text}`);
	});
	const [port] = await child.stdout.match(/^\d+$/);
	return `http://127.0.0.1:${port}/mcp`;
}

// Passes everything on as it is, and the daemon's admin token with it.
export async function lend_token(t, daemon) {
	const server = http.createServer((request, answer) => {
		const onward = http.request(
			{
				host: "127.0.0.1",
				port: daemon.port,
				method: request.method,
				path: request.url,
				headers: { ...request.headers, authorization: `Bearer ${daemon.admin_token}` },
			},
			(response) => {
				answer.writeHead(response.statusCode, response.headers);
				answer.flushHeaders();
				response.pipe(answer);
			},
		);
		onward.on("error", () => answer.destroy());
		answer.on("close", () => onward.destroy());
		request.pipe(onward);
	});
	server.listen(0, "127.0.0.1");
	await once(server, "listening");
	defer(t, async () => {
		server.closeAllConnections();
		server.close();
	});
	return `http://127.0.0.1:${server.address().port}/mcp`;
}
