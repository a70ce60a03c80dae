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
import { publish, write_files } from "./publishing.mjs";
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
