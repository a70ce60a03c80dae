// SPDX-License-Identifier: MIT
//
// The real agents, with what contrib/ has for each and a model that does as it's told: a preview is
// attached by the agent's tool and another in its shell, both in the session that the agent has, and
// nothing is left when it ends or is killed.
import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import test from "node:test";
import { fileURLToPath } from "node:url";

import { environment, nothing_left, root } from "../functional/agents.mjs";
import { Child, defer, previewctl, run, start, temp_dir, within } from "../functional/harness.mjs";
import * as targets from "../functional/targets.mjs";
import { start_model } from "./model.mjs";

const here = path.dirname(fileURLToPath(import.meta.url));
const program = (name) => path.join(here, "node_modules", ".bin", name);
const contrib = (...parts) => path.join(root, "contrib", ...parts);
const PATIENCE = 100_000;

const write = (file, text) => {
	fs.mkdirSync(path.dirname(file), { recursive: true });
	fs.writeFileSync(file, text);
};

// Each: its command line and environment, with its files put in place; and what its tools are called.
const agents = {
	"Claude Code": {
		tool: /PreviewProxy$/,
		shell: /^Bash$/,
		shell_input: (command) => ({ command, description: "attach" }),
		begin: (home, url) => ({
			argv: [program("claude"), "-p", "Show me the page.", "--plugin-dir", contrib("claude-code"), "--allowedTools", "mcp__plugin_previewd_previewd__PreviewProxy", "Bash"],
			env: { ANTHROPIC_BASE_URL: url, ANTHROPIC_API_KEY: "none", CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: "1", DISABLE_AUTOUPDATER: "1", CLAUDE_CONFIG_DIR: path.join(home, ".claude") },
		}),
	},
	Codex: {
		tool: /PreviewProxy$/,
		shell: /^(exec_command|shell|shell_command)$/,
		shell_input: (command) => ({ cmd: command, command: ["sh", "-c", command] }),
		begin: (home, url, work) => {
			const provider = `model = "gpt-5-codex"\nmodel_provider = "test"\n[model_providers.test]\nname = "test"\nbase_url = "${url}/v1"\nwire_api = "responses"\n[projects."${work}"]\ntrust_level = "trusted"\n`;
			write(path.join(home, ".codex", "config.toml"), `${provider}${fs.readFileSync(contrib("codex", "config.toml.example"), "utf8")}`);
			fs.copyFileSync(contrib("codex", "hooks.json"), path.join(home, ".codex", "hooks.json"));
			return { argv: [program("codex"), "exec", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox", "--dangerously-bypass-hook-trust", "Show me the page."], env: {} };
		},
	},
	opencode: {
		tool: /^previewd_PreviewProxy$/,
		shell: /^bash$/,
		shell_input: (command) => ({ command, description: "attach" }),
		begin: (home, url) => {
			const config = JSON.parse(fs.readFileSync(contrib("opencode", "opencode.json"), "utf8"));
			const models = { m: { name: "m", tool_call: true } };
			config.provider = { test: { npm: "@ai-sdk/openai-compatible", name: "test", options: { baseURL: `${url}/v1`, apiKey: "none" }, models } };
			Object.assign(config, { model: "test/m", small_model: "test/m", permission: "allow", autoupdate: false });
			write(path.join(home, ".config", "opencode", "opencode.json"), JSON.stringify(config));
			fs.mkdirSync(path.join(home, ".config", "opencode", "plugin"));
			fs.copyFileSync(contrib("opencode", "previewd.js"), path.join(home, ".config", "opencode", "plugin", "previewd.js"));
			return { argv: [program("opencode"), "run", "--print-logs", "Show me the page."], env: { OPENCODE_DISABLE_MODELS_FETCH: "1" } };
		},
	},
	"Gemini CLI": {
		tool: /^mcp_previewd_PreviewProxy$/,
		shell: null, // is told no session
		begin: (home, url) => {
			const extension = path.join(home, ".gemini", "extensions", "previewd");
			fs.cpSync(contrib("gemini"), extension, { recursive: true });
			write(path.join(home, ".gemini", "settings.json"), JSON.stringify({ security: { auth: { selectedType: "gemini-api-key" } }, tools: { enableHooks: true }, hooksConfig: { enabled: true }, general: { disableAutoUpdate: true }, privacy: { usageStatisticsEnabled: false } }));
			return { argv: [program("gemini"), "-m", "gemini-2.5-flash", "--yolo", "-p", "Show me the page."], env: { GEMINI_API_KEY: "none", GOOGLE_GEMINI_BASE_URL: url, GEMINI_CLI_TRUST_WORKSPACE: "true" } };
		},
	},
};

async function at_work(t, agent, { then }) {
	const d = await start(t, { settings: { "sessions.grace": "1s" } });
	const home = temp_dir(t);
	const work = path.join(home, "work");
	fs.mkdirSync(work);
	const [page, other] = [await targets.http_server(t), await targets.http_server(t)];
	let reached;
	const arrived = new Promise((resolve) => (reached = resolve));
	const model = await start_model(t, async ({ tools, results }) => {
		const name = (pattern) => tools.find((tool) => pattern.test(tool)) ?? assert.fail(`no ${pattern} among ${tools}`);
		if (results.length === 0) return { tool: name(agent.tool), input: { port: page.port, name: "tool" } };
		if (results.length === 1 && agent.shell) return { tool: name(agent.shell), input: agent.shell_input(`${previewctl()} attach ${other.port} --name shell`) };
		reached(results);
		return then();
	});
	const { argv, env } = agent.begin(home, model.url, work);
	const { HOME, ...common } = environment(d);
	const child = new Child(t, argv, { env: { ...common, HOME: home, NO_COLOR: "1", ...env }, cwd: work, detached: true, on_end: false });
	child.process.stdin.end();
	// Some are a script that runs the agent.
	child.signal_all = (signal) => process.kill(-child.pid, signal);
	defer(t, async () => {
		try {
			child.signal_all("SIGKILL");
		} catch {} // it has ended
		await within(child.exited, "the agent's end");
	});
	const first = await Promise.race([arrived, child.exited.then((how) => ({ how }))]);
	const said = () => `${child.stdout.text}\n${child.stderr.text}\n${JSON.stringify(model.requests.at(-1)?.results)}\n${model.others}`;
	assert.ok(!first.how, `it ended with ${JSON.stringify(first.how)} before its work was done:\n${said()}`);
	return { d, child, model, said, work };
}

for (const [name, agent] of Object.entries(agents)) {
	test(`${name}: the tool and the shell attach in one session, and its end leaves nothing`, { timeout: PATIENCE }, async (t) => {
		let go_on;
		const waits = new Promise((resolve) => (go_on = resolve));
		const { d, child, said, work } = await at_work(t, agent, { then: () => waits });
		const { previews } = (await d.local.get("/api/previews")).json;
		assert.deepEqual(previews.map((p) => p.name).sort(), agent.shell ? ["shell", "tool"] : ["tool"], said());
		assert.equal(new Set(previews.map((p) => p.session_id)).size, 1, JSON.stringify(previews));
		assert.notEqual(previews[0].session_id, "default");
		const session = (await d.local.get(`/api/apps/default/sessions/${previews[0].session_id}`)).json;
		assert.equal(session.workdir, fs.realpathSync(work));

		go_on({ text: "There it is." });
		assert.deepEqual(await within(child.exited, "its end", PATIENCE), { code: 0, signal: null }, said());
		await nothing_left(d);
	});

	for (const signal of ["SIGTERM", "SIGKILL"])
		test(`${name}: ${signal} leaves nothing`, { timeout: PATIENCE }, async (t) => {
			const { d, child } = await at_work(t, agent, { then: () => new Promise(() => {}) });
			assert.equal((await d.local.get("/api/previews")).json.previews.length, agent.shell ? 2 : 1);
			child.signal_all(signal);
			await nothing_left(d);
		});
}

test("Claude Code's plugin and marketplace are valid", { timeout: PATIENCE }, async (t) => {
	const home = temp_dir(t);
	for (const dir of [contrib("claude-code"), root]) {
		const { code, stdout } = await run(t, [program("claude"), "plugin", "validate", dir], { env: { PATH: process.env.PATH, HOME: home } });
		assert.equal(code, 0, stdout);
		assert.match(stdout, /Validation passed/);
		assert.doesNotMatch(stdout, /warning/i);
	}
});
