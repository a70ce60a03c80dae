// SPDX-License-Identifier: MIT
//
// The project's own conformance suites: all of their scenarios over the fixture that they ask for,
// and those that want none over the daemon itself.
import assert from "node:assert/strict";
import test from "node:test";

import { in_here, lend_token, package_file, run_script, start, start_fixture } from "./harness.mjs";

const stable = package_file("conformance-stable", "dist", "index.js");
const next = package_file("@modelcontextprotocol", "conformance", "dist", "index.js");

// The suite says how many checks passed; one that ran none would say that all is well, too.
async function conform(t, script, url, args, least) {
	const { code, stdout, stderr } = await run_script(t, script, ["server", "--url", url, ...args]);
	const total = /Total: (\d+) passed/.exec(stdout);
	const scenarios = stdout.split("\n").filter((line) => /^[✓✗]/.test(line));
	assert.equal(code, 0, `${scenarios.join("\n")}\n${stderr.slice(-2000)}\n${stdout.slice(-4000)}`);
	assert.ok(total && Number(total[1]) >= least, `${total?.[0]} of at least ${least}`);
}

test("0.1.16: all of it but what asks the client something", async (t) => {
	const url = await start_fixture(t);
	await conform(t, stable, url, ["--suite", "all", "--expected-failures", in_here("baseline.yml")], 31);
});

test("0.2, what 2025-11-25 requires: all of it but what asks the client something", async (t) => {
	const url = await start_fixture(t);
	await conform(t, next, url, ["--requirements", "2025-11-25", "--expected-failures", in_here("baseline.yml")], 68);
});

test("0.2, what 2026-07-28 requires: all of it", async (t) => {
	const url = await start_fixture(t);
	await conform(t, next, url, ["--requirements", "2026-07-28"], 140);
});

async function scenarios(t, script, names, version) {
	const d = await start(t);
	const url = await lend_token(t, d);
	for (const name of names) {
		const { code, stdout, stderr } = await run_script(t, script, [
			"server",
			"--url",
			url,
			"--scenario",
			name,
			...(version ? ["--spec-version", version] : []),
		]);
		assert.equal(code, 0, `${name}:\n${stdout.slice(-6000)}\n${stderr.slice(-2000)}`);
		assert.match(stdout, /[1-9]\d* passed|Passed: [1-9]|SUCCESS/i, name);
	}
}

test("the daemon itself, 2025-11-25", async (t) => {
	await scenarios(
		t,
		next,
		["server-initialize", "server-session-lifecycle", "dns-rebinding-protection"],
		"2025-11-25",
	);
});

test("the daemon itself, 2026-07-28", async (t) => {
	await scenarios(
		t,
		next,
		["tools-list", "dns-rebinding-protection", "sep-2164-resource-not-found", "caching", "http-header-validation"],
		"2026-07-28",
	);
});
