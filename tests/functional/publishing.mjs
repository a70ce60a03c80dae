// SPDX-License-Identifier: MIT
//
// A page of these files, published as its users publish it.
import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";

import { base, start, temp_dir, until } from "./harness.mjs";

export function write_files(dir, files) {
	for (const [name, content] of Object.entries(files)) {
		const file = path.join(dir, name);
		fs.mkdirSync(path.dirname(file), { recursive: true });
		fs.writeFileSync(file, content);
	}
	return dir;
}

// The build's document, at its end; or the problem of its failure.
export async function publish(d, session, body, { api = d.local, app } = {}) {
	const { status, json } = await api.post(`${base(session, app)}/publish?wait=1`, body);
	return { status, ...json };
}

export async function published(t, files, { settings = {}, session = "s" } = {}) {
	const d = await start(t, { settings });
	const build = await publish(d, session, { workdir: write_files(temp_dir(t), files) });
	assert.equal(build.state, "succeeded", JSON.stringify(build));
	return { d, url: build.url, build };
}

// Why builds cannot be isolated here (in a container, say), as the daemon itself finds; false where they can.
export async function why_no_sandbox() {
	const undo = [];
	const d = await start({ after: (fn) => undo.push(fn) });
	try {
		const state = async () => (await d.admin.get("/health/web_preview")).json.publish.sandbox;
		const { usable, remedy } = await until(async () => {
			const sandbox = await state();
			return (sandbox.usable || !/being tried/.test(sandbox.remedy)) && sandbox;
		}, "the sandbox was tried", 60_000);
		return usable ? false : `builds cannot be isolated here: ${remedy}`;
	} finally {
		for (const fn of undo) await fn();
	}
}

// A project whose build is a script of ours: nothing to install.
export const project = (script, more = {}) => ({
	"package.json": JSON.stringify({ name: "p", private: true, scripts: { build: "node build.cjs" } }),
	"build.cjs": script,
	...more,
});
