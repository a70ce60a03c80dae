// SPDX-License-Identifier: MIT
//
// A page of these files, published as its users publish it.
import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";

import { base, start, temp_dir } from "./harness.mjs";

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
