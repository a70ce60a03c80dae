// SPDX-License-Identifier: MIT
//
// opencode doesn't tell its MCP servers which session a call is for: this plugin does, and it gives
// the id to the shells.  For ~/.config/opencode/plugin/ or .opencode/plugin/.
import { spawn } from "node:child_process";

// Tells previewd; whatever comes of it is no matter of opencode's.
const hook = (event) =>
	new Promise((resolve) => {
		const child = spawn("previewctl", ["hook", "generic"], { stdio: ["pipe", "ignore", "ignore"] });
		child.on("error", resolve);
		child.on("close", resolve);
		child.stdin.on("error", () => {});
		child.stdin.end(JSON.stringify(event));
	});

export const Previewd = async ({ directory }) => {
	const begun = new Set();
	const begin = (session_id) => {
		if (!session_id || begun.has(session_id)) return;
		begun.add(session_id);
		return hook({ event: "session_start", session_id, cwd: directory, pid: process.pid });
	};
	const end = (session_id) => begun.delete(session_id) && hook({ event: "session_end", session_id });

	return {
		"shell.env": async (input, output) => {
			if (!input.sessionID) return;
			await begin(input.sessionID);
			output.env.PREVIEWD_SESSION_ID = input.sessionID;
		},
		"tool.execute.before": async (input, output) => {
			if (!input.tool.startsWith("previewd_")) return;
			await begin(input.sessionID);
			output.args.session_id ??= input.sessionID;
		},
		event: async ({ event }) => {
			if (event.type === "session.deleted") await end(event.properties.info?.id ?? event.properties.sessionID);
		},
		dispose: async () => {
			await Promise.all([...begun].map(end));
		},
	};
};
