// SPDX-License-Identifier: MIT
//
// The real nginx and the real Caddy, each with a directory of its own and nothing of the machine's.
import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";

import { Child, here } from "./harness.mjs";

// A file of contrib/edge as it is, but for where previewd listens, and other places of this test.
export function recipe(dir, file, d, changes = {}) {
	const at = path.join(dir, path.basename(file));
	let text = fs.readFileSync(path.join(here, "..", "..", "contrib", "edge", file), "utf8");
	assert.match(text, /127\.0\.0\.1:7070|\/etc\/ssl\/previewd/);
	for (const [from, to] of Object.entries({ "127.0.0.1:7070": `127.0.0.1:${d.port}`, ...changes })) text = text.replaceAll(from, to);
	fs.writeFileSync(at, text);
	return at;
}

// Both give the command line; `http` is what stands in that block of nginx's, `global` in Caddy's.
export function nginx(dir, http) {
	const file = path.join(dir, "nginx.conf");
	fs.writeFileSync(
		file,
		`daemon off; master_process off; pid ${dir}/pid; error_log ${dir}/error.log;
events { }
http {
	access_log off;
	client_body_temp_path ${dir}/t1; proxy_temp_path ${dir}/t2; fastcgi_temp_path ${dir}/t3;
	uwsgi_temp_path ${dir}/t4; scgi_temp_path ${dir}/t5;
${http}
}
`,
	);
	return ["nginx", "-c", file, "-e", path.join(dir, "error.log")];
}

export function caddy(dir, sites, global = "") {
	const file = path.join(dir, "Caddyfile");
	fs.writeFileSync(file, `{\n\tadmin off\n\tauto_https off\n${global}\n}\n${sites}\n`);
	return ["caddy", "run", "--config", file, "--adapter", "caddyfile"];
}

export const start_proxy = (t, dir, argv) =>
	new Child(t, argv, { env: { PATH: process.env.PATH, HOME: dir, XDG_DATA_HOME: dir, XDG_CONFIG_HOME: dir } });
