// SPDX-License-Identifier: MIT
//
// The server that most agents start: Vite from npm.
import assert from "node:assert/strict";
import test from "node:test";

import { base, free_port, start } from "./harness.mjs";
import * as events from "./events.mjs";
import * as targets from "./targets.mjs";

test("a running Vite is attached, told to those who listen, and there after kill -9", async (t) => {
	const d = await start(t);
	const app = await targets.vite(t);
	assert.ok(await app.ready(), app.child.stderr.text);
	const stream = await events.join(d, "s1");

	const answer = await d.admin.attach("s1", { port: app.port, bash_task_id: "b1" });

	assert.equal(answer.status, 201, answer.text);
	assert.equal(answer.json.url, `http://localhost:${app.port}`);
	assert.equal(answer.json.probe.http_status, 200);
	assert.deepEqual(answer.json.warnings, []);
	const { payload } = await stream.event("web_preview:attached");
	assert.equal(payload.url, answer.json.url);
	assert.equal(payload.port, app.port);

	await d.kill();
	await d.start();
	const [again] = await d.admin.list("s1");
	for (const member of ["url", "label", "attached_at", "bash_task_id", "probe"])
		assert.deepEqual(again[member], answer.json[member], member);
	assert.equal(again.status, "up");
});

test("a Vite that is still starting is waited for", async (t) => {
	const d = await start(t);
	const port = await free_port();
	const answer = d.admin.attach("s1", { port, wait_seconds: 60 });
	await d.probing(1);

	const app = await targets.vite(t, { port });

	assert.equal((await answer).status, 201, (await answer).text);
	assert.equal((await answer).json.probe.http_status, 200);
	assert.ok(app.child.running);
});

test("a Vite that refuses the public host is attached, with the fix as a warning", async (t) => {
	const d = await start(t, { settings: { "preview.public_url_template": "https://{label}.preview.example.org" } });
	const app = await targets.vite(t, { host: "127.0.0.1" });
	assert.ok(await app.ready());

	const answer = await d.admin.attach("s1", { port: app.port });

	assert.equal(answer.status, 201, answer.text);
	const host = `${answer.json.label}.preview.example.org`;
	assert.equal(answer.json.url, `https://${host}`);
	assert.equal(answer.json.probe.http_status, 200, "as its own machine sees it");
	assert.deepEqual(answer.json.warnings.map((w) => w.code), ["blocked_host"]);
	assert.match(answer.json.warnings[0].detail, /allowedHosts/);
	assert.ok(answer.json.warnings[0].detail.includes(host));
	const again = await d.admin.get(`${base("s1")}/previews/default`);
	assert.deepEqual(again.json.warnings, answer.json.warnings);
});

test("a Vite that allows the public host is attached without a warning", async (t) => {
	const d = await start(t, { settings: { "preview.public_url_template": "https://{name}.preview.example.org" } });
	const env = { __VITE_ADDITIONAL_SERVER_ALLOWED_HOSTS: "default.preview.example.org" };
	const app = await targets.vite(t, { host: "127.0.0.1", env });
	assert.ok(await app.ready());

	const answer = await d.admin.attach("s1", { port: app.port });
	assert.deepEqual(answer.json.warnings, [], answer.text);
});
