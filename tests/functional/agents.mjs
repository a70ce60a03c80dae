// SPDX-License-Identifier: MIT
//
// An agent to test with: tests/fixtures/agent.mjs, and what it asks of its environment.
import path from "node:path";
import { fileURLToPath } from "node:url";

import { Child, fixtures, previewctl, until } from "./harness.mjs";

export const root = path.join(path.dirname(fileURLToPath(import.meta.url)), "..", "..");

// Where `previewctl` is the one that was built.
export const environment = (d, more = {}) => ({
	PATH: `${path.dirname(previewctl())}:${process.env.PATH}`,
	HOME: d.dir,
	PREVIEWD_SOCKET: d.socket,
	...Object.fromEntries(["ASAN_OPTIONS", "UBSAN_OPTIONS"].filter((n) => process.env[n]).map((n) => [n, process.env[n]])),
	...more,
});

export class Agent extends Child {
	constructor(t, d, session) {
		const argv = [process.execPath, path.join(fixtures, "agent.mjs"), path.join(root, "contrib", "claude-code"), session];
		super(t, argv, { env: environment(d), cwd: d.dir });
		this.n_answers = 0;
	}

	async ready() {
		const { mcp } = await this.answer();
		this.mcp = mcp;
		return this;
	}

	async answer() {
		const match = await this.stdout.match(/^\{.*|^\[.*/, this.n_answers);
		if (!match) throw new Error(`the agent has ended:\n${this.stderr.text}`);
		this.n_answers = this.stdout.all.indexOf(match[0], this.n_answers) + 1;
		return JSON.parse(match[0]);
	}

	ask(command) {
		this.process.stdin.write(`${JSON.stringify(command)}\n`);
		return this.answer();
	}
}

export const start_agent = (t, d, session) => new Agent(t, d, session).ready();

export const nothing_left = (d) =>
	until(
		async () => {
			const { previews } = (await d.local.get("/api/previews")).json;
			return previews.length === 0 && (await d.metric("previewd_tasks")) === 0 && (await d.metric("previewd_sessions")) === 0;
		},
		"nothing is attached and no task lives",
		40_000,
	);
