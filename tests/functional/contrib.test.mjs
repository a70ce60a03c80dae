// SPDX-License-Identifier: MIT
//
// The files for agents agree with each other, with previewctl, and with what is installed.
import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import test from "node:test";
import { pathToFileURL } from "node:url";

import { environment, root } from "./agents.mjs";
import { base, previewctl, run, start, until } from "./harness.mjs";

const contrib = (...parts) => path.join(root, "contrib", ...parts);
const text = (...parts) => fs.readFileSync(path.join(root, ...parts), "utf8");
const json = (...parts) => JSON.parse(text(...parts));
const agents = ["claude-code", "codex", "cursor", "gemini", "opencode", "vscode"];

function* files(dir) {
	for (const entry of fs.readdirSync(path.join(root, dir), { withFileTypes: true })) {
		const name = path.join(dir, entry.name);
		if (entry.isDirectory()) yield* files(name);
		else yield name;
	}
}

test("manifests have the program's version and name what is there", async (t) => {
	const { stdout } = await run(t, [previewctl(), "version"]);
	const [version] = /\d+\.\d+\.\d+/.exec(stdout);
	const plugin = json("contrib/claude-code/.claude-plugin/plugin.json");
	assert.deepEqual([plugin.name, plugin.version], ["previewd", version]);
	assert.equal(json("contrib/gemini/gemini-extension.json").version, version);

	const marketplace = json(".claude-plugin/marketplace.json");
	for (const { name, source } of marketplace.plugins) assert.equal(json(source, ".claude-plugin/plugin.json").name, name);
	const skill = text("contrib/claude-code/skills/preview/SKILL.md");
	assert.match(skill, /^---\nname: preview\ndescription: .{40,1024}\n---\n/);
	for (const tool of ["PreviewProxy", "PreviewList", "PreviewDetach", "PreviewWhy"]) assert.ok(skill.includes(tool), tool);
});

test("every MCP server is previewctl mcp, by the words that it takes", async (t) => {
	const servers = [
		json("contrib/claude-code/.mcp.json").mcpServers.previewd,
		json("contrib/gemini/gemini-extension.json").mcpServers.previewd,
	];
	const [command, ...args] = json("contrib/opencode/opencode.json").mcp.previewd.command;
	servers.push({ command, args });
	const codex = text("contrib/codex/config.toml.example");
	servers.push({ command: /^command = "(.*)"$/m.exec(codex)[1], args: JSON.parse(/^args = (.*)$/m.exec(codex)[1]) });
	for (const server of servers) assert.deepEqual(server, { command: "previewctl", args: ["mcp"] });
	assert.equal((await run(t, [previewctl(), "mcp", "--help"])).code, 0);
});

for (const [agent, file] of [["claude-code", "claude-code/hooks/hooks.json"], ["codex", "codex/hooks.json"], ["gemini", "gemini/hooks/hooks.json"]])
	test(`every hook of ${agent} is previewctl's, silent and 0 whatever happens`, async (t) => {
		const { hooks } = json("contrib", file);
		assert.ok("SessionStart" in hooks && "SessionEnd" in hooks);
		for (const [event, list] of Object.entries(hooks))
			for (const { matcher, hooks: each } of list)
				for (const { type, command, timeout } of each) {
					if (matcher) assert.ok(new RegExp(matcher));
					assert.equal(type, "command");
					assert.match(command, new RegExp(`^previewctl hook ${agent} `));
					assert.ok(timeout >= 5);
					const d = { dir: "/", socket: "/nonexistent/previewd.sock" };
					const input = JSON.stringify({ session_id: "s1", hook_event_name: event });
					for (const env of [environment(d), { PATH: "/usr/bin:/bin" }])
						assert.deepEqual(await run(t, ["sh", "-c", command], { env, input }), { code: 0, signal: null, stdout: "", stderr: "" });
				}
	});

test("opencode's plugin names the session to tools and shells, and ends it", async (t) => {
	const d = await start(t);
	const { Previewd } = await import(pathToFileURL(contrib("opencode/previewd.js")));
	const before = { ...process.env };
	Object.assign(process.env, environment(d));
	t.after(() => {
		for (const name of Object.keys(process.env)) if (!(name in before)) delete process.env[name];
		Object.assign(process.env, before);
	});
	const plugin = await Previewd({ directory: d.dir });

	const shell = { env: {} };
	await plugin["shell.env"]({ cwd: d.dir, sessionID: "ses_1" }, shell);
	assert.deepEqual(shell.env, { PREVIEWD_SESSION_ID: "ses_1" });
	const holder = async () => (await d.local.get(`${base("ses_1")}/holds`)).json.holds?.[0]?.pid;
	await until(async () => (await holder()) === process.pid, "opencode holds it");
	assert.equal((await d.local.get(base("ses_1"))).json.workdir, d.dir);

	const call = { args: { port: 5173 } };
	await plugin["tool.execute.before"]({ tool: "previewd_PreviewProxy", sessionID: "ses_1" }, call);
	assert.deepEqual(call.args, { port: 5173, session_id: "ses_1" });
	const other = { args: {} };
	await plugin["tool.execute.before"]({ tool: "bash", sessionID: "ses_2" }, other);
	assert.deepEqual(other.args, {});
	assert.equal((await d.local.get(base("ses_2"))).status, 404);

	await plugin["tool.execute.before"]({ tool: "previewd_PreviewList", sessionID: "ses_2" }, { args: {} });
	await plugin.event({ event: { type: "session.deleted", properties: { info: { id: "ses_1" } } } });
	const ended = (session) => until(async () => (await d.local.get(base(session))).status === 404, `${session} has ended`);
	await ended("ses_1");
	await plugin.dispose();
	await ended("ses_2");
});

test("each has a README of one screen", () => {
	for (const agent of agents) {
		const lines = text("contrib", agent, "README.md").split("\n");
		assert.ok(lines.length <= 50, `${agent}: ${lines.length} lines`);
		assert.match(lines[0], /^# previewd for /);
		assert.ok(lines.some((line) => line.startsWith("```")));
	}
});

test("all of it is installed", () => {
	const listed = text("contrib/local.mk");
	for (const file of agents.flatMap((agent) => [...files(path.join("contrib", agent))]))
		assert.ok(listed.includes(file.replace(/^contrib\//, "%reldir%/")), file);
	assert.ok(listed.includes(".claude-plugin/marketplace.json"));
});
