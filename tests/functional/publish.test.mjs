// SPDX-License-Identifier: MIT
//
// Builds and releases, as those who publish know them: old or new and always whole.
import assert from "node:assert/strict";
import fs from "node:fs";
import http from "node:http";
import path from "node:path";
import test from "node:test";

import { join } from "./events.mjs";
import { base, previewctl, run, start, temp_dir, until } from "./harness.mjs";
import { project, publish, published, why_no_sandbox, write_files } from "./publishing.mjs";

const page = (text) => `<!doctype html><title>${text}</title><link rel="stylesheet" href="/style.css"><h1>${text}</h1>`;
const site = (text) => ({ "index.html": page(text), "style.css": `/* ${text} */`, "about/index.html": page(text) });
const B = base("s");

// Without a sandbox (a container may have none) what needs one is not tested.
const no_sandbox = await why_no_sandbox();
const needs_sandbox = { skip: no_sandbox };

const writes = (text) => `const fs = require("fs"); fs.mkdirSync("dist", { recursive: true }); fs.writeFileSync("dist/index.html", ${JSON.stringify(page(text))});`;

async function text_of(d, url) {
	const { status, text } = await d.anonymous.get(url);
	return status === 200 ? /<h1>(.*?)<\/h1>/.exec(text)[1] : status;
}

test("a directory of plain files is published, replaced, rolled back and taken off the air", async (t) => {
	const d = await start(t);
	const dir = write_files(temp_dir(t), site("one"));
	const w = await join(d, "s");

	const first = await publish(d, "s", { workdir: dir });
	assert.equal(first.state, "succeeded", JSON.stringify(first));
	assert.equal(first.url, `${B}/published/`);
	assert.equal(first.address, `http://localhost:${d.port}${B}/published/`);
	assert.equal(first.base, "rewritten");
	assert.equal(await text_of(d, first.url), "one");
	assert.match((await d.anonymous.get(first.url)).text, new RegExp(`href="${B}/published/style.css"`));

	write_files(dir, site("two"));
	const second = await publish(d, "s", { workdir: dir });
	assert.equal(await text_of(d, first.url), "two");
	assert.notEqual(second.release_id, first.release_id);

	const { json: list } = await d.local.get(`${B}/releases`);
	assert.deepEqual(list.releases.map((r) => [r.id, r.current]), [[second.release_id, true], [first.release_id, false]]);
	assert.equal(list.releases[0].files, 3);

	const stale = await d.local.post(`${B}/releases/${first.release_id}/activate`, { expected_current: first.release_id });
	assert.equal(stale.status, 409);
	assert.equal(stale.json.code, "release_changed");
	assert.equal(stale.json.current, second.release_id);
	const back = await d.local.post(`${B}/releases/${first.release_id}/activate`, { expected_current: second.release_id });
	assert.equal(back.status, 200);
	assert.equal(back.json.attachment.release_id, first.release_id);
	assert.equal(await text_of(d, first.url), "one");

	const [attachment] = await d.admin.list("s");
	assert.equal(attachment.type, "published");
	assert.deepEqual([attachment.host, attachment.port, attachment.connect, attachment.status], [null, null, "same_origin", "up"]);
	assert.equal(attachment.release_id, first.release_id);
	assert.equal(attachment.reaps_at, null);

	const gone = await d.local.del(`${B}/published`);
	assert.deepEqual(gone.json, { removed: true, name: "published", release_id: first.release_id });
	assert.equal(await text_of(d, first.url), 404);
	assert.deepEqual(await d.admin.list("s"), []);
	assert.equal((await d.local.del(`${B}/published`)).json.removed, false);
	const again = await d.local.post(`${B}/releases/${second.release_id}/activate`, { expected_current: "" });
	assert.equal(again.status, 200, again.text);
	assert.equal(await text_of(d, first.url), "two");

	await w.flush();
	const order = w.events.filter((e) => !/publish_log/.test(e.event_type)).map((e) => e.event_type.replace("web_preview:", "") + (e.payload.reason ? `/${e.payload.reason}` : ""));
	assert.equal(w.events.findLast((e) => e.event_type === "web_preview:attached").payload.release_id, second.release_id);
	assert.deepEqual(order, [
		"publish_started", "attached", "publish_finished",
		"publish_started", "detached/replaced", "attached", "publish_finished",
		"detached/replaced", "attached", "detached/detach", "attached",
	]);
});

test("who reads while it is published fifty times gets one release each time, whole", async (t) => {
	const d = await start(t);
	const big = (n) => ({ "index.html": `<h1>${n}</h1>` + `${n} `.repeat(5_000), "app.js": `${n};`.repeat(8_000) });
	const dir = write_files(temp_dir(t), big(100));
	const { url } = await publish(d, "s", { workdir: dir });
	const agent = new http.Agent({ keepAlive: true });
	let reading = true, n_read = 0;
	const failures = [];

	const read = async () => {
		while (reading) {
			const { status, text } = await d.anonymous.get(url + (n_read % 2 ? "" : "app.js"), { agent });
			const numbers = new Set(text.match(/\d{3}/g));
			if (status !== 200 || numbers.size !== 1) failures.push([status, [...numbers].slice(0, 3), text.length]);
			n_read++;
		}
	};
	const readers = [read(), read(), read(), read()];
	let releases = [];
	for (let i = 0; i < 50; i++) {
		if (i % 5 === 4) {
			releases = (await d.local.get(`${B}/releases`)).json.releases;
			const { status, text } = await d.local.post(`${B}/releases/${releases[2].id}/activate`, {});
			assert.equal(status, 200, text);
		} else {
			write_files(dir, big(101 + i));
			const build = await publish(d, "s", { workdir: dir });
			assert.equal(build.state, "succeeded", JSON.stringify(build));
		}
	}
	await until(() => n_read > 200, "enough was read");
	reading = false;
	await Promise.all(readers);
	agent.destroy();
	assert.deepEqual(failures, []);
	// the last five, and where it was rolled back in between the one before
	assert.ok((await d.local.get(`${B}/releases`)).json.releases.length <= 6);
	assert.equal(await d.metric("previewd_builds_succeeded_total"), 41);
});

test("kill -9 during publishes: what is served is whole, before and after a restart", async (t) => {
	const d = await start(t);
	const dir = write_files(temp_dir(t), site("0"));
	const first = await publish(d, "s", { workdir: dir });
	for (let i = 1; i <= 6; i++) {
		write_files(dir, site(`${i}`));
		const under_way = d.local.post(`${B}/publish?wait=1`, { workdir: dir }).catch(() => null);
		await until(async () => (await d.metric("previewd_builds").catch(() => 1)) !== undefined);
		await new Promise((resolve) => setTimeout(resolve, i)); // somewhere in it
		await d.kill();
		await under_way;
		await d.start();
		const shown = await text_of(d, first.url);
		assert.equal(typeof shown, "string", `${shown}`);
		assert.equal(/\/\* (.*) \*\//.exec((await d.anonymous.get(`${first.url}style.css`)).text)[1], shown, "of one release");
		const { json } = await d.local.get(`${B}/releases`);
		const [attachment] = await d.admin.list("s");
		assert.equal(attachment.release_id, json.current, "what the registry says is what is on the air");
		assert.ok(fs.readdirSync(path.join(d.state, "published", "s~published", "releases")).every((name) => /^[0-9a-f]{32}$/.test(name)));
		await until(() => fs.readdirSync(path.join(d.state, "builds")).length === 0, "what the build left is gone");
	}
	const states = new Set((await d.local.get(`${B}/builds`)).json.builds.map((b) => b.state));
	for (const state of states) assert.ok(["succeeded", "interrupted"].includes(state), state);
});

test("a page outlives its session, and comes back with it", async (t) => {
	const { d, url } = await published(t, site("one"));
	assert.equal((await d.local.del(B)).status, 200);
	assert.equal(await text_of(d, url), "one");
	assert.equal((await d.local.get(`${B}/releases`)).status, 404);
	await d.restart();
	assert.equal(await text_of(d, url), "one");
	const again = await publish(d, "s", { workdir: write_files(temp_dir(t), site("two")) });
	assert.equal(again.url, url);
	assert.equal(await text_of(d, url), "two");
	assert.equal((await d.local.get(`${B}/releases`)).json.releases.length, 2);
});

test("published pages count in the limits, and replacing one is free", async (t) => {
	const d = await start(t, { settings: { "limits.per_session": 2 } });
	const dir = write_files(temp_dir(t), site("one"));
	for (const name of ["published", "docs", "published"]) assert.equal((await publish(d, "s", { workdir: dir, name })).state, "succeeded");
	const third = await publish(d, "s", { workdir: dir, name: "third" });
	assert.equal(third.status, 409);
	assert.equal(third.code, "session_limit");
	assert.deepEqual(third.attached.map((a) => a.name).sort(), ["docs", "published"]);
	assert.equal(await text_of(d, `${B}/published/@docs/`), "one");
	assert.equal((await d.local.get(`${B}/builds`)).json.builds.length, 3, "nothing was built in vain");
});

test("of a user's pages the ones of ended sessions give way", async (t) => {
	const d = await start(t, { settings: { "publish.pages_per_user": 2 } });
	const dir = write_files(temp_dir(t), site("one"));
	const urls = [];
	for (const session of ["a", "b"]) urls.push((await publish(d, session, { workdir: dir })).url);
	const third = await publish(d, "c", { workdir: dir });
	assert.equal(third.code, "user_limit", JSON.stringify(third));
	await d.local.del(base("a"));
	assert.equal((await publish(d, "c", { workdir: dir })).state, "succeeded");
	assert.equal(await text_of(d, urls[0]), 404);
	assert.equal(await text_of(d, urls[1]), "one");
	assert.equal(await d.metric("previewd_published_pages"), 2);
});

test("an unlisted page is found by its token alone, and by a new one after it was rotated", async (t) => {
	const { d, url } = await published(t, site("one"), { settings: { "publish.visibility": "unlisted" } });
	assert.match(url, /\/published\/~[a-z0-9]{26}\/$/);
	assert.equal(await text_of(d, url), "one");
	assert.equal(await text_of(d, `${B}/published/`), 404);
	assert.equal(await text_of(d, `${B}/published/~${"0".repeat(26)}/`), 404);

	const { status, json } = await d.local.post(`${B}/published/rotate`, {});
	assert.equal(status, 200);
	assert.notEqual(json.url, url);
	assert.equal(await text_of(d, url), 404);
	const answer = await d.anonymous.get(json.url);
	assert.ok(answer.text.includes(`href="${json.url}style.css"`), "what was built for the old address is for the new one");
	assert.equal((await d.anonymous.get(`${json.url}style.css`)).status, 200);
	assert.equal((await d.admin.list("s"))[0].url, json.url);
	await d.restart();
	assert.equal(await text_of(d, json.url), "one");
});

test("an address that a build wrote into its data is another when the token is", async (t) => {
	const dir = write_files(temp_dir(t), site("one"));
	const d = await start(t, { settings: { "publish.visibility": "unlisted" } });
	const { url } = await publish(d, "s", { workdir: dir });
	// As those write it that put data into pages: for JSON, for scripts, for queries.
	const data = (at) => {
		const json = at.replaceAll("/", "\\/");
		return [at, json, JSON.stringify(json).slice(1, -1), at.replaceAll("/", "\\u002f"), encodeURIComponent(at), at.replaceAll("/", "&#x2F;")].join("\n");
	};
	write_files(dir, { "data.txt": data(url), "data.json": JSON.stringify(data(url)) });
	await publish(d, "s", { workdir: dir });
	const { json: rotated } = await d.local.post(`${B}/published/rotate`, {});
	assert.equal((await d.anonymous.get(`${rotated.url}data.json`)).text, JSON.stringify(data(rotated.url)));
	assert.equal((await d.anonymous.get(`${rotated.url}data.txt`)).text, data(rotated.url));
});

test("a release from before the token was rotated comes back for the address of today", async (t) => {
	const dir = write_files(temp_dir(t), site("one"));
	const d = await start(t, { settings: { "publish.visibility": "unlisted" } });
	const first = await publish(d, "s", { workdir: dir });
	write_files(dir, site("two"));
	const second = await publish(d, "s", { workdir: dir });
	const { json: rotated } = await d.local.post(`${B}/published/rotate`, {});
	assert.equal(await text_of(d, rotated.url), "two");

	const path_of_first = `${B}/releases/${first.release_id}/activate`;
	const stale = await d.local.post(path_of_first, { expected_current: second.release_id });
	assert.equal(stale.status, 409);
	assert.equal(stale.json.current, rotated.release_id);
	const back = await d.local.post(path_of_first, { expected_current: rotated.release_id });
	assert.equal(back.status, 200, back.text);
	assert.equal(back.json.url, rotated.url);
	assert.equal(back.json.previous, rotated.release_id);
	assert.equal(await text_of(d, rotated.url), "one");
	const { text } = await d.anonymous.get(rotated.url);
	assert.ok(text.includes(`href="${rotated.url}style.css"`), text);
	assert.equal((await d.anonymous.get(`${rotated.url}style.css`)).status, 200);

	const { json: list } = await d.local.get(`${B}/releases`);
	assert.equal(list.current, back.json.release_id);
	assert.deepEqual(list.releases.map((r) => r.id),
		[back.json.release_id, rotated.release_id, second.release_id, first.release_id], "nothing is left of what was refused");
	assert.equal(list.releases[0].id, back.json.release_id);
	const same = await d.local.post(`${B}/releases/${rotated.release_id}/activate`, {});
	assert.equal(same.json.release_id, rotated.release_id, "what is for the address already is not made anew");
	assert.equal((await d.local.post(`${B}/releases/${"0".repeat(32)}/activate`, {})).status, 404);
});

test("whose files may be built: an admin's, a uid's own, and for a token what is beneath the session's", async (t) => {
	const d = await start(t);
	const top = temp_dir(t);
	const theirs = write_files(path.join(top, "theirs"), site("theirs"));
	const inside = write_files(path.join(theirs, "inside"), site("inside"));
	const other = write_files(path.join(top, "other"), site("other"));
	await d.local.put(base("tok"), { workdir: theirs });
	const { json: minted } = await d.admin.post(`${base("tok")}/tokens`, { scopes: ["publish", "preview"] });
	const token = d.api(minted.token);
	const rows = [
		[{}, 200, "theirs"], [{ workdir: inside }, 200, "inside"], [{ workdir: "inside" }, 200, "inside"],
		[{ workdir: other }, 403], [{ workdir: "/" }, 403], [{ workdir: "../other" }, 403], [{ workdir: "out" }, 403],
		[{ workdir: `${theirs}/../other` }, 403],
	];
	for (const [body, status, shown] of rows) { // the link stands there from the second one on
		const answer = await publish(d, "tok", body, { api: token });
		assert.equal(answer.status, status, JSON.stringify([body, answer]));
		if (shown) assert.equal(await text_of(d, answer.url), shown);
		if (!fs.existsSync(path.join(theirs, "out"))) fs.symlinkSync(other, path.join(theirs, "out"));
	}
	// what a token itself has set is no right
	const { json: mine } = await d.admin.post(`${base("tok")}/tokens`, { scopes: ["publish", "preview"] });
	await d.api(mine.token).put(base("tok"), { workdir: other });
	assert.equal((await publish(d, "tok", {}, { api: token })).status, 403);
	assert.equal((await publish(d, "tok", { workdir: other })).state, "succeeded", "an admin may");

	const viewer = d.api((await d.admin.post(`${base("tok")}/tokens`, { scopes: ["view"] })).json.token);
	assert.equal((await viewer.post(`${base("tok")}/publish`, {})).status, 403);
	assert.equal((await viewer.get(`${base("tok")}/releases`)).status, 200);
});

test("a failed build says why, and what was there stays", needs_sandbox, async (t) => {
	const { d, url } = await published(t, site("one"));
	const dir = write_files(temp_dir(t), project(`console.log("here"); console.error("Error: \\u001b[31mno\\u001b[0m luck"); process.exit(3);`));
	const failed = await publish(d, "s", { workdir: dir });
	assert.equal(failed.status, 424);
	assert.equal(failed.code, "build_failed");
	assert.match(failed.detail, /ended with 3: Error: no luck/);
	assert.match(failed.log_tail, /here/);
	assert.equal(failed.build.error.phase, "build");
	assert.equal(await text_of(d, url), "one");
	assert.equal((await d.local.get(`${B}/releases`)).json.releases.length, 1);
	const log = await d.local.get(`${B}/builds/${failed.build.build_id}/log`);
	assert.match(log.text, /# detect:[^]*here[^]*# build: the build ended with 3/);

	const none = await publish(d, "s", { workdir: write_files(temp_dir(t), project("")) });
	assert.equal(none.code, "no_output");
	const empty = await publish(d, "s", { workdir: temp_dir(t) });
	assert.equal(empty.code, "not_a_project");
	const engine = project(writes("x"));
	engine["package.json"] = JSON.stringify({ scripts: { build: "node build.cjs" }, engines: { node: ">=99" } });
	const old = await publish(d, "s", { workdir: write_files(temp_dir(t), engine) });
	assert.equal(old.code, "node_unavailable");
	assert.match(old.detail, />=99/);
});

test("where the sandbox was missing and has been installed since, the next build has it", needs_sandbox, async (t) => {
	const bin = temp_dir(t);
	fs.symlinkSync(process.execPath, path.join(bin, "node"));
	const d = await start(t, { env: { PATH: bin } });
	const body = { workdir: write_files(temp_dir(t), project(writes("x"))), install: false };
	const refused = await publish(d, "s", body);
	assert.equal(refused.code, "sandbox_unavailable", JSON.stringify(refused));
	assert.match(refused.detail, /bwrap is not installed/);

	const bwrap = process.env.PATH.split(":").map((dir) => path.join(dir, "bwrap")).find((file) => fs.existsSync(file));
	fs.symlinkSync(bwrap, path.join(bin, "bwrap"));
	assert.equal((await publish(d, "s", body)).state, "succeeded");
	assert.equal((await d.admin.get("/health/web_preview")).json.publish.sandbox.usable, true);
});

test("one build a session; others wait their turn; each may be canceled, and nothing of it goes on", needs_sandbox, async (t) => {
	const d = await start(t, { settings: { "publish.queue": 1 } });
	const slow = write_files(temp_dir(t), project(`console.log("begun"); setInterval(() => {}, 1000);`));
	const quick = write_files(temp_dir(t), site("quick"));
	const begin = async (session, workdir) => (await d.local.post(`${base(session)}/publish`, { workdir })).json;
	const get = async (session, id) => (await d.local.get(`${base(session)}/builds/${id}`)).json;

	const a = await begin("a", slow);
	await until(async () => /begun/.test((await d.local.get(`${base("a")}/builds/${a.build_id}/log`)).text), "it runs");
	const twice = await d.local.post(`${base("a")}/publish`, { workdir: quick });
	assert.equal(twice.status, 409);
	assert.equal(twice.json.code, "build_running");
	assert.equal(twice.json.build_id, a.build_id);

	const b = await begin("b", quick);
	assert.equal((await get("b", b.build_id)).state, "queued");
	assert.equal((await get("b", b.build_id)).position, 1);
	const full = await d.local.post(`${base("c")}/publish`, { workdir: quick });
	assert.equal(full.json.code, "build_queue_full");

	const work = path.join(d.state, "builds", a.build_id);
	assert.ok(fs.existsSync(work));
	const canceled = await d.local.del(`${base("a")}/builds/${a.build_id}`);
	assert.equal(canceled.json.canceled, true);
	assert.equal((await get("a", a.build_id)).state, "canceled");
	await until(() => !fs.existsSync(work), "its files are gone");
	await until(async () => (await get("b", b.build_id)).state === "succeeded", "the next one had its turn");
	assert.equal((await d.local.del(`${base("a")}/builds/${a.build_id}`)).json.canceled, false);
});

test("a daemon that is killed leaves no build running", needs_sandbox, async (t) => {
	const d = await start(t);
	const marker = `previewd-marker-${process.pid}-${Date.now()}`;
	const dir = write_files(temp_dir(t), project(`console.log("begun"); require("child_process").spawn("sleep", ["1000"], { detached: true, argv0: "${marker}" }); setInterval(() => {}, 1000);`));
	const { status, headers, json } = await d.local.post(`${B}/publish`, { workdir: dir });
	assert.deepEqual([status, headers.location], [202, `${B}/builds/${json.build_id}`]);
	const running = () => fs.readdirSync("/proc").filter((pid) => /^\d+$/.test(pid) && (() => {
		try {
			return fs.readFileSync(`/proc/${pid}/cmdline`, "latin1").includes(marker);
		} catch {
			return false;
		}
	})()).length;
	await until(() => running() > 0, "it runs");
	await d.kill();
	await until(() => running() === 0, "nothing of it runs");
	await d.start();
	const build = (await d.local.get(`${B}/builds/${json.build_id}`)).json;
	assert.equal(build.state, "interrupted");
	assert.equal(build.error.code, "build_interrupted");
	await until(() => fs.readdirSync(path.join(d.state, "builds")).length === 0, "its files are gone");
	assert.equal((await publish(d, "s", { workdir: write_files(temp_dir(t), site("next")) })).state, "succeeded");
});

test("a session's end ends its build", needs_sandbox, async (t) => {
	const d = await start(t);
	const dir = write_files(temp_dir(t), project(`console.log("begun"); setInterval(() => {}, 1000);`));
	const { json } = await d.local.post(`${B}/publish`, { workdir: dir });
	await until(async () => /begun/.test((await d.local.get(`${B}/builds/${json.build_id}/log`)).text), "it runs");
	assert.equal((await d.local.del(B)).json.ended, true);
	await until(async () => (await d.metric("previewd_builds")) === 0, "it has ended");
	assert.deepEqual(fs.readdirSync(path.join(d.state, "published")), []);
});

test("what a hostile build tries ends there, or in a clear failure", needs_sandbox, async (t) => {
	const d = await start(t, { settings: { "publish.disk_max": "40M", "publish.build_timeout": "60s", "publish.processes_max": 64, "publish.files_max": 500, "publish.file_max": "1M", "publish.bytes_max": "4M" } });
	const secret = fs.readFileSync(path.join(d.state, "token"), "utf8").trim();
	const outside = path.join(temp_dir(t), "outside");
	const probe = http.createServer((_, res) => res.end("reached"));
	await new Promise((resolve) => probe.listen(0, "127.0.0.1", resolve));
	t.after(() => probe.close());
	const attempt = `
		const fs = require("fs"), out = {};
		const tried = (name, fn) => { try { out[name] = fn() ?? "done"; } catch (e) { out[name] = e.code ?? e.message; } };
		tried("token", () => fs.readFileSync(${JSON.stringify(path.join(d.state, "token"))}, "utf8"));
		tried("env", () => JSON.stringify(process.env));
		tried("passwd", () => fs.readFileSync("/etc/passwd", "utf8"));
		tried("outside", () => fs.writeFileSync(${JSON.stringify(outside)}, "x"));
		tried("usr", () => fs.writeFileSync("/usr/x", "x"));
		tried("root", () => fs.writeFileSync("/x", "x"));
		tried("proc", () => fs.readdirSync("/proc").filter((n) => /^[0-9]+$/.test(n)).length);
		const done = () => { fs.mkdirSync("dist"); fs.writeFileSync("dist/index.html", "<h1>" + JSON.stringify(out).replace(/</g, "") + "</h1>"); };
		require("net").connect(${probe.address().port}, "127.0.0.1").on("connect", () => { out.net = "connected"; done(); process.exit(0); }).on("error", (e) => { out.net = e.code; done(); });`;
	const looked = await publish(d, "look", { workdir: write_files(temp_dir(t), project(attempt)) });
	assert.equal(looked.state, "succeeded", JSON.stringify(looked));
	const found = JSON.parse(/<h1>(.*)<\/h1>/.exec((await d.anonymous.get(looked.url)).text)[1]);
	assert.notEqual(found.token, secret);
	assert.ok(!JSON.stringify(found).includes(secret));
	assert.ok(!found.env.includes(d.dir), "its environment tells nothing of the daemon");
	assert.ok(!/root:.*:0:0:root/.test(found.passwd), "the host's accounts");
	assert.notEqual(found.outside, "done");
	assert.ok(!fs.existsSync(outside));
	assert.notEqual(found.usr, "done");
	assert.notEqual(found.root, "done");
	assert.ok(found.proc < 20, `${found.proc} processes seen`);
	assert.notEqual(found.net, "connected");

	const rows = {
		disk: [`const fs = require("fs"); for (let i = 0; ; i++) fs.writeFileSync("f" + i, Buffer.alloc(1e6));`, /build_limit|build_failed/],
		forks: [`const { spawn } = require("child_process"); for (let i = 0; i < 200; i++) spawn("sleep", ["100"]).on("error", () => process.exit(9)); setInterval(() => {}, 1000);`, /build_limit|build_failed/],
		link: [`${writes("x")} fs.symlinkSync("/etc/passwd", "dist/p.txt");`, /bad_output/],
		files: [`${writes("x")} for (let i = 0; i < 600; i++) fs.writeFileSync("dist/f" + i, "");`, /output_too_large/],
		sparse: [`${writes("x")} fs.truncateSync("dist/index.html", 30e6);`, /output_too_large/],
		name: [`${writes("x")} fs.writeFileSync(Buffer.from("dist/\\xff\\xfe.js", "latin1"), "");`, /bad_output/],
		fifo: [`${writes("x")} require("child_process").execFileSync("mkfifo", ["dist/pipe.js"]);`, /bad_output|./],
		escape: [`const fs = require("fs"); fs.symlinkSync("/etc", "dist");`, /no_output|bad_output|no_index/],
		deep: [`${writes("x")} let p = "dist"; for (let i = 0; i < 100; i++) { p += "/d"; fs.mkdirSync(p); } fs.writeFileSync(p + "/f", "");`, /output_too_large|bad_output/],
	};
	for (const [name, [script, code]] of Object.entries(rows)) {
		const build = await publish(d, name, { workdir: write_files(temp_dir(t), project(script)) });
		assert.match(build.code ?? build.state, code, `${name}: ${JSON.stringify(build)}`);
	}
	assert.equal((await d.anonymous.get("/healthz")).status, 200);
	await until(() => fs.readdirSync(path.join(d.state, "builds")).length === 0, "nothing is left of them");
});

test("install scripts run only where they may, and then see no more than a build does", needs_sandbox, async (t) => {
	const evil = `
		const fs = require("fs"), out = { env: process.env };
		for (const [name, file] of [["token", process.env.TOKEN_FILE ?? "TOKEN"], ["passwd", "/etc/shadow"]]) try { out[name] = fs.readFileSync(file, "utf8"); } catch (e) { out[name] = e.code; }
		fs.writeFileSync("/build/found.json", JSON.stringify(out));
		require("net").connect(80, "192.0.2.1").on("error", (e) => fs.writeFileSync("/build/found.json", JSON.stringify({ ...out, net: e.code })));`;
	const files = (token) => ({
		"package.json": JSON.stringify({ name: "p", private: true, scripts: { build: "node build.cjs" }, dependencies: { x: "file:./x" } }),
		"build.cjs": `const fs = require("fs"); fs.mkdirSync("dist"); fs.writeFileSync("dist/index.html", "<h1>" + (fs.existsSync("found.json") ? fs.readFileSync("found.json") : "nothing") + "</h1>");`,
		"x/package.json": JSON.stringify({ name: "x", version: "1.0.0", scripts: { postinstall: "node evil.cjs" } }),
		"x/evil.cjs": evil.replace("TOKEN\"", `${token}"`),
	});
	const d = await start(t);
	const token_file = path.join(d.state, "token");
	const safe = await publish(d, "s", { workdir: write_files(temp_dir(t), files(token_file)) });
	assert.equal(safe.state, "succeeded", JSON.stringify(safe));
	assert.equal(await text_of(d, safe.url), "nothing");

	d.settings["publish.install_scripts"] = "yes";
	await d.restart();
	const run_it = await publish(d, "s", { workdir: write_files(temp_dir(t), files(token_file)) });
	assert.equal(run_it.state, "succeeded", JSON.stringify(run_it));
	const found = JSON.parse(await text_of(d, run_it.url));
	assert.ok(!JSON.stringify(found).includes(d.admin_token), "the daemon's token");
	assert.ok(!JSON.stringify(found.env).includes(d.dir), "the daemon's environment");
	assert.equal(found.token, "ENOENT");
	assert.match(found.passwd, /^E/);
	assert.match(found.net, /^E/, "it has no way out of its own");
});

test("the project itself is not touched by its build", needs_sandbox, async (t) => {
	const d = await start(t);
	const dir = write_files(temp_dir(t), project(`${writes("x")} fs.writeFileSync("package.json", "{}"); fs.mkdirSync(".git/hooks", { recursive: true }); fs.writeFileSync(".git/hooks/pre-commit", "evil");`));
	const before = fs.readFileSync(path.join(dir, "package.json"), "utf8");
	assert.equal((await publish(d, "s", { workdir: dir })).state, "succeeded");
	assert.equal(fs.readFileSync(path.join(dir, "package.json"), "utf8"), before);
	assert.deepEqual(fs.readdirSync(dir).sort(), ["build.cjs", "package.json"]);
});

test("previewctl publish, releases, rollback and unpublish", async (t) => {
	const d = await start(t);
	const dir = write_files(temp_dir(t), site("one"));
	const ctl = (...args) => run(t, [previewctl(), ...args], { cwd: dir, env: { PATH: process.env.PATH, HOME: d.dir, PREVIEWD_SOCKET: d.socket } });
	const address = `http://localhost:${d.port}${base("default")}/published/`;

	assert.deepEqual(await ctl("publish"), { code: 0, signal: null, stdout: address, stderr: "" });
	write_files(dir, site("two"));
	assert.equal((await ctl("publish", ".", "--no-focus")).stdout, address);
	const lines = (await ctl("releases")).stdout.split("\n").map((line) => line.split("\t"));
	assert.deepEqual(lines.map((l) => l[1]), ["yes", ""]);
	assert.equal(JSON.parse((await ctl("releases", "--json")).stdout).releases.length, 2);

	assert.equal((await ctl("rollback")).stdout, address);
	assert.equal(await text_of(d, `${base("default")}/published/`), "one");
	const none = await ctl("rollback");
	assert.equal(none.code, 3);
	assert.match(none.stderr, /no release before/);
	assert.equal((await ctl("rollback", lines[0][0])).code, 0);
	assert.equal(await text_of(d, `${base("default")}/published/`), "two");

	const id = (await ctl("publish", "--no-wait")).stdout;
	assert.match(id, /^[a-z0-9]{16}$/);
	await until(async () => (await d.local.get(`${base("default")}/builds/${id}`)).json.state === "succeeded");
	const verbose = await ctl("publish", "-v");
	assert.match(verbose.stderr, /# detect: plain static files[^]*# done/);
	fs.mkdirSync(path.join(dir, "deep"));
	fs.symlinkSync("nowhere", path.join(dir, "deep", "tab\u0085"));
	const odd = await ctl("publish", "-v");
	assert.match(odd.stderr, /'deep\/tab\?\?' is left out/, JSON.stringify(odd));
	fs.rmSync(path.join(dir, "deep"), { recursive: true });
	assert.equal((await ctl("unpublish")).stdout, "published");
	assert.match((await ctl("unpublish")).stderr, /nothing is published/);

	fs.rmSync(path.join(dir, "index.html"));
	const failed = await ctl("publish", ".", "--json");
	assert.equal(failed.code, 1);
	assert.match(failed.stderr, /neither a package.json nor an index.html[^]*hint: `previewctl publish DIR`/);
	assert.equal((await ctl("publish", "/nonexistent")).code, 2);
	for (const command of ["status", "health"]) // the one of a session, the other without any
		assert.match((await ctl(command)).stdout, no_sandbox ? /^Builds are not possible: ./m : /^Builds are isolated/m, command);
});

test("what one user's build is refused of the network is not in another's log", needs_sandbox, async (t) => {
	const d = await start(t, { settings: { "publish.builds": 2, "publish.build_network": "registry" } });
	const log = async (session, id) => (await d.local.get(`${base(session)}/builds/${id}/log`)).text;
	for (const user_id of ["ann", "bob"]) await d.local.put(base(user_id), { user_id });
	const slow = write_files(temp_dir(t), project(`console.log("begun"); setInterval(() => {}, 1000);`));
	const asks = write_files(
		temp_dir(t),
		project(`require("http").request({ host: "127.0.0.1", port: 3128, method: "CONNECT", path: "unheard.example:443" })
			.on("connect", (r) => { console.log("refused with", r.statusCode); process.exit(1); }).end();`),
	);

	const bobs = (await d.local.post(`${base("bob")}/publish`, { workdir: slow })).json;
	await until(async () => /begun/.test(await log("bob", bobs.build_id)), "it runs");
	const beside = await publish(d, "ann", { workdir: asks });
	assert.match(await log("ann", beside.build.build_id), /refused with 403/);
	assert.doesNotMatch(await log("bob", bobs.build_id), /unheard/);

	await d.local.del(`${base("bob")}/builds/${bobs.build_id}`);
	const alone = await publish(d, "ann", { workdir: asks });
	assert.match(await log("ann", alone.build.build_id), /# network: refused unheard\.example:443/);
});
