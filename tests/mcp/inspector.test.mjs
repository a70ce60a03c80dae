// SPDX-License-Identifier: MIT
//
// The inspector's command line in each era, with its lint of the tools' schemas (--strict).
import assert from "node:assert/strict";
import test from "node:test";

import * as targets from "../functional/targets.mjs";
import { package_file, run_script, start } from "./harness.mjs";

const script = package_file("@modelcontextprotocol", "inspector", "clients", "launcher", "build", "index.js");

async function inspect(t, d, era, args) {
	const { code, stdout, stderr } = await run_script(t, script, [
		"--cli",
		"--transport",
		"http",
		"--server-url",
		`${d.url}/mcp`,
		"--header",
		`Authorization: Bearer ${d.admin_token}`,
		"--header",
		"X-Previewd-Session: s1",
		"--stored-auth-only",
		"-q",
		"--format",
		"json",
		"--protocol-era",
		era,
		...args,
	]);
	return { code, stdout, stderr, json: stdout.trim() ? JSON.parse(stdout) : undefined };
}

for (const era of ["legacy", "auto", "modern"])
	test(`the inspector, ${era}: strict, a call, and the card's description`, async (t) => {
		const d = await start(t);
		const { port } = await targets.http_server(t);

		const list = await inspect(t, d, era, ["--method", "tools/list", "--strict"]);
		assert.equal(list.code, 0, list.stderr);
		assert.doesNotMatch(list.stderr, /warning|error/i);

		const call = await inspect(t, d, era, ["--method", "tools/call", "--tool-name", "PreviewProxy", "--tool-arg", `port=${port}`]);
		assert.equal(call.code, 0, call.stderr);
		assert.match(call.stdout, new RegExp(`http://localhost:${port}`));
		assert.equal((await d.admin.list("s1"))[0].port, port);

		const app = await inspect(t, d, era, ["--advertise-apps", "--method", "tools/call", "--tool-name", "PreviewProxy", "--app-info"]);
		assert.equal(app.code, 0, app.stderr);
		assert.match(app.stdout, /ui:\/\/previewd\/preview/);
	});
