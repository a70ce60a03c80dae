// SPDX-License-Identifier: MIT
//
// From one tenant to another by what is built and published: whose files are read, what a build sees
// of others, what its output may hold, and whom it keeps waiting.
import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import test from "node:test";

import { Api, base, is_root, temp_dir, until } from "./harness.mjs";
import { NOBODY, as_nobody } from "./isolation.mjs";
import { publish, why_no_sandbox, write_files } from "./publishing.mjs";
import { jwt, with_jwt } from "./socketio.mjs";

const ADA = 65533; // nobody's number either
const needs_root = { skip: !is_root && "needs root, to be another user" };

const soon = () => Math.floor(Date.now() / 1000) + 600;

// Another uid's connection, and a directory that is that uid's.
async function with_peer(t, settings = {}) {
	const d = await with_jwt(t, { "server.socket_mode": "0666", ...settings });
	fs.chmodSync(d.dir, 0o755);
	const peer = new Api({ socketPath: d.socket });
	d.apis.push(peer);
	const top = temp_dir(t);
	fs.chmodSync(top, 0o755);
	const own = (files, name = "own") => {
		const dir = write_files(path.join(top, name), files);
		for (const each of ["", ...fs.readdirSync(dir, { recursive: true })]) fs.lchownSync(path.join(dir, each), NOBODY, NOBODY);
		return dir;
	};
	return { d, peer, top, own };
}

test("an admin who is held to an app or a session has no rights to files", async (t) => {
	const d = await with_jwt(t);
	const dir = write_files(temp_dir(t), { "index.html": "private" });
	for (const claims of [{ app: "default" }, { sid: "s1" }]) {
		const api = d.api(await jwt({ sub: "root", scope: "admin", exp: soon(), ...claims }));
		assert.equal((await api.put(base("s1"), { workdir: dir })).status < 300, true);
		for (const body of [{}, { workdir: dir }, { workdir: "." }]) {
			const answer = await publish(d, "s1", body, { api });
			assert.deepEqual([answer.status, answer.code], [403, "forbidden"], JSON.stringify(answer));
		}
	}
	await d.local.put(base("s1"), { workdir: dir });
	assert.equal((await publish(d, "s1", {}, { api: d.api(await jwt({ sub: "root", scope: "admin", exp: soon(), sid: "s1" })) })).state, "succeeded");
});

test("what another uid may not look at, a publish does not tell of", needs_root, async (t) => {
	const { d, peer, top } = await with_peer(t);
	const private_dir = write_files(path.join(top, "private"), { "project/index.html": "hers", file: "hers" });
	fs.chownSync(private_dir, ADA, ADA);
	fs.chmodSync(private_dir, 0o700);
	fs.symlinkSync(private_dir, path.join(top, "link"));
	const said = new Map();
	await as_nobody(async () => {
		for (const what of ["private/project", "private/file", "private/none", "private", "none", "link", "link/project", "private/project/deeper"]) {
			const workdir = path.join(top, what);
			for (const [how, ask] of [
				["named", () => publish(d, "s1", { workdir }, { api: peer })],
				["of the session", async () => (await peer.put(base("s1"), { workdir }), publish(d, "s1", {}, { api: peer }))],
			]) {
				const { status, code, detail, build } = await ask();
				const told = JSON.stringify([status, code, detail, build?.error, build?.warnings]).replaceAll(workdir, "DIR");
				assert.notEqual(status, 200);
				said.set(told, [...(said.get(told) ?? []), `${what} ${how}`]);
			}
		}
	});
	assert.deepEqual([...said.values()].length, 1, JSON.stringify([...said], null, 1));
});

test("files in a directory of one's own that are another's are not read for one", needs_root, async (t) => {
	const { d, peer, own } = await with_peer(t);
	const files = { "index.html": "mine", "secret.txt": "hers", "open.txt": "everybody's", "private/secret.txt": "hers", "group.txt": "hers" };
	const dir = own(files);
	for (const [name, mode] of [["secret.txt", 0o600], ["open.txt", 0o644], ["private", 0o700], ["private/secret.txt", 0o644], ["group.txt", 0o640]]) {
		fs.chownSync(path.join(dir, name), ADA, ADA);
		fs.chmodSync(path.join(dir, name), mode);
	}
	fs.linkSync(path.join(dir, "secret.txt"), path.join(dir, "linked.txt"));
	fs.symlinkSync("secret.txt", path.join(dir, "symlink.txt"));
	const built = await as_nobody(() => publish(d, "s1", { workdir: dir }, { api: peer }));
	assert.equal(built.state, "succeeded", JSON.stringify(built));
	const got = async (name) => (await d.anonymous.get(`${built.url}${name}`)).text;
	assert.equal(await got("index.html"), "mine");
	assert.equal(await got("open.txt"), "everybody's");
	for (const name of ["secret.txt", "private/secret.txt", "group.txt", "linked.txt", "symlink.txt"]) assert.notEqual(await got(name), "hers", name);
	assert.match(JSON.stringify(built.warnings), /another/);
});

const no_sandbox = await why_no_sandbox();
const needs_sandbox = { skip: no_sandbox };

// A project whose build is a script of ours: nothing to install.
const project = (script, more = {}) => ({
	"package.json": JSON.stringify({ name: "p", private: true, scripts: { build: "node build.cjs" } }),
	"build.cjs": script,
	...more,
});

test("the queue is nobody's to fill, and users take turns in it", needs_sandbox, async (t) => {
	const d = await with_jwt(t, { "publish.queue": 6, "publish.queue_per_user": 4 });
	const slow = write_files(temp_dir(t), project(`console.log("begun"); setInterval(() => {}, 1000);`));
	const begin = async (user, i) => {
		await d.local.put(base(`${user}-${i}`), { user_id: user });
		return d.local.post(`${base(`${user}-${i}`)}/publish`, { workdir: slow });
	};
	const first = (await begin("mallory", 0)).json;
	await until(async () => (await d.local.get(`${base("mallory-0")}/builds/${first.build_id}`)).json.state === "running", "it runs");
	// However many at once.
	const answers = await Promise.all([1, 2, 3, 4, 5, 6].map((i) => begin("mallory", i)));
	assert.deepEqual(answers.map((a) => a.status).sort(), [202, 202, 202, 429, 429, 429]);
	for (const refused of answers.filter((a) => a.status === 429)) assert.equal(refused.json.code, "build_queue_full");

	const position = async ({ session_id, build_id }) => (await d.local.get(`${base(session_id)}/builds/${build_id}`)).json.position;
	const hers = [(await begin("ada", 0)).json, (await begin("ada", 1)).json];
	const his = (await begin("bob", 0)).json;
	const mallorys = answers.filter((a) => a.status === 202).map((a) => a.json);
	assert.deepEqual(await Promise.all([...hers, his].map(position)), [1, 4, 2]);
	assert.deepEqual((await Promise.all(mallorys.map(position))).sort(), [3, 5, 6], "each has one before anybody has a second");
	assert.equal((await begin("eve", 0)).json.code, "build_queue_full", "and there is an end to it");

	await d.local.del(`${base("mallory-0")}/builds/${first.build_id}`);
	await until(async () => (await d.local.get(`${base("ada-0")}/builds/${hers[0].build_id}`)).json.state === "running", "hers is next");
	assert.deepEqual(await Promise.all([hers[1], his].map(position)), [3, 1]);
});
