// SPDX-License-Identifier: MIT
//
// From one tenant to another by what is built and published: whose files are read, what a build sees
// of others, what its output may hold, and whom it keeps waiting.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import test from "node:test";

import { Api, Child, base, have, is_root, temp_dir, until } from "./harness.mjs";
import { NOBODY, as_nobody } from "./isolation.mjs";
import { project, publish, why_no_sandbox, write_files } from "./publishing.mjs";
import { jwt, with_jwt } from "./socketio.mjs";
import * as targets from "./targets.mjs";

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

/*
 * Output as it lies there, with a secret beside it: what may come of each, and what never does.
 */
const outputs = {
	"a link out of it": [(dir, out) => fs.symlinkSync(out, path.join(dir, "x.txt")), "bad_output"],
	"a link out of it and back": [(dir) => fs.symlinkSync(`../${path.basename(dir)}/index.html`, path.join(dir, "x.txt")), "bad_output"],
	"a link to the daemon's environment": [(dir) => fs.symlinkSync("/proc/self/environ", path.join(dir, "x.txt")), "bad_output"],
	"a link to its descriptors": [(dir) => fs.symlinkSync("/proc/self/fd/0", path.join(dir, "x.txt")), "bad_output"],
	"its index as a link out": [(dir, out) => (fs.rmSync(path.join(dir, "index.html")), fs.symlinkSync(out, path.join(dir, "index.html"))), /bad_output|no_index|not_a_project/],
	"a directory that is a link out": [(dir, out) => fs.symlinkSync(path.dirname(out), path.join(dir, "d")), "bad_output"],
	"a link that leads to itself": [(dir) => fs.symlinkSync("x.txt", path.join(dir, "x.txt")), "succeeded"],
	"a link to what is left out": [(dir) => (fs.writeFileSync(path.join(dir, ".env"), SECRET), fs.symlinkSync(".env", path.join(dir, "x.txt"))), "succeeded"],
	"a hard link to a file outside": [(dir, out) => fs.linkSync(out, path.join(dir, "x.txt")), "bad_output"],
	"a FIFO": [(dir) => execFileSync("mkfifo", [path.join(dir, "x.txt")]), "bad_output"],
	"a socket": [(dir) => execFileSync("python3", ["-c", "import socket,sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])", path.join(dir, "x.txt")]), "bad_output", !have("python3")],
	"a device": [(dir) => execFileSync("mknod", [path.join(dir, "x.txt"), "c", "1", "5"], { stdio: "ignore" }), "bad_output", !is_root],
	"a name with a line break": [(dir) => fs.writeFileSync(path.join(dir, "a\nSet-Cookie: x=y.txt"), "x"), "bad_output"],
	"a name with an escape": [(dir) => fs.writeFileSync(path.join(dir, "a\u001b[2J.txt"), "x"), "bad_output"],
	"a name with a backslash": [(dir) => fs.writeFileSync(path.join(dir, "a\\..\\x.txt"), "x"), "bad_output"],
	"a name that is not UTF-8": [(dir) => fs.writeFileSync(Buffer.concat([Buffer.from(`${dir}/`), Buffer.from([0xff, 0xfe])]), "x"), "bad_output"],
	"names that look like paths": [(dir) => fs.writeFileSync(path.join(dir, "%2e%2e%2fx.txt"), "x"), "succeeded"],
	"names that differ in case": [(dir) => ["A.txt", "a.txt"].map((n) => fs.writeFileSync(path.join(dir, n), n)), "succeeded"],
	"directories without an end": [(dir) => { let at = dir; for (let i = 0; i < 100; i++) fs.mkdirSync((at += "/d")); }, "output_too_large"],
	"directories without number": [(dir) => { for (let i = 0; i < 1500; i++) fs.mkdirSync(path.join(dir, `d${i}`)); }, "output_too_large"],
	"a file of holes": [(dir) => fs.truncateSync(path.join(dir, "index.html"), 2 ** 40), "output_too_large"],
	"more files than may be": [(dir) => { for (let i = 0; i < 150; i++) fs.writeFileSync(path.join(dir, `f${i}`), ""); }, "output_too_large"],
};
const SECRET = "secret-beside-it";

test("what lies in an output is published as it is, or not at all", async (t) => {
	const d = await with_jwt(t, { "publish.files_max": 100, "publish.file_max": "1M" });
	const top = temp_dir(t);
	for (const [i, [what, [make, expected, skipped]]] of Object.entries(outputs).entries()) {
		if (skipped) continue;
		const out = path.join(top, `${i}`, "out", "secret.txt");
		write_files(path.join(top, `${i}`), { "out/secret.txt": SECRET });
		const dir = write_files(path.join(top, `${i}`, "site"), { "index.html": "<h1>x</h1>" });
		make(dir, out);
		const build = await publish(d, `s${i}`, { workdir: dir });
		assert.match(build.code ?? build.state, new RegExp(`^(${expected.source ?? expected})$`), `${what}: ${JSON.stringify(build)}`);
		assert.ok(!JSON.stringify(build).includes("\u001b") && !/[^\\]\n/.test(build.detail ?? ""), what);
		if (!build.url) continue;
		for (const target of ["", "x.txt", "d/secret.txt", ".env", "../out/secret.txt", "%2e%2e/out/secret.txt", "..%2fout%2fsecret.txt", "%252e%252e%252fx.txt", "./x.txt", "x.txt/", "%2fetc%2fpasswd", "x%00.txt"]) {
			const answer = await d.anonymous.get(build.url + target);
			assert.ok(!answer.text.includes(SECRET) && !/root:.*:0:0/.test(answer.text), `${what}: ${target}`);
		}
	}
	assert.deepEqual(fs.readdirSync(d.state).sort().filter((n) => !/^(previewd\.db|token|published|builds|packages|lock)/.test(n) && fs.statSync(path.join(d.state, n)).isFile()), []);
});

test("a build sees nothing of other tenants, nor of the daemon, and leaves nothing running", needs_sandbox, async (t) => {
	const d = await with_jwt(t, { "publish.builds": 2 });
	const her_project = write_files(temp_dir(t), { "index.html": SECRET, "package.json": JSON.stringify({ name: "hers", private: true, scripts: { build: "node build.cjs" } }), "build.cjs": `console.log("begun"); setInterval(() => {}, 1000); // ${SECRET}` });
	await d.local.put(base("hers"), { user_id: "ada", workdir: her_project });
	const hers = (await d.local.post(`${base("hers")}/publish`, {})).json;
	await until(async () => /begun/.test((await d.local.get(`${base("hers")}/builds/${hers.build_id}/log`)).text), "hers runs", 60_000);
	const server = await targets.http_server(t, (req, res) => res.end(SECRET));
	const abstract = `previewd-test-${process.pid}`;
	const listening = have("python3") && new Child(t, ["python3", "-c", `import socket,time\ns=socket.socket(socket.AF_UNIX); s.bind("\\0${abstract}"); s.listen(); print("listens", flush=True); time.sleep(600)`]);
	if (listening) await listening.stdout.match(/listens/);

	const marker = `previewd-left-over-${process.pid}`;
	const script = `
		const fs = require("fs"), net = require("net"), cp = require("child_process"), out = {};
		const tried = (name, fn) => { try { out[name] = String(fn()); } catch (e) { out[name] = "-" + (e.code ?? e.message); } };
		const paths = ${JSON.stringify({ project: path.join(her_project, "build.cjs"), project_dir: her_project, state: d.state, database: path.join(d.state, "previewd.db"), token: path.join(d.state, "token"), published: path.join(d.state, "published"), builds: path.join(d.state, "builds"), socket_file: d.socket, shadow: "/etc/shadow", home: "/root", tmp: path.dirname(her_project), run: "/run", mem: "/dev/mem", kmsg: "/dev/kmsg" })};
		for (const [name, at] of Object.entries(paths)) tried(name, () => { try { return fs.readdirSync(at).join(" "); } catch (e) { if (e.code !== "ENOTDIR") throw e; return fs.readFileSync(at, "latin1").slice(0, 2000); } });
		tried("cmdlines", () => fs.readdirSync("/proc").filter((n) => /^\\d+$/.test(n)).map((n) => { try { return fs.readFileSync("/proc/" + n + "/cmdline", "latin1"); } catch { return ""; } }).join(" "));
		tried("root", () => fs.readlinkSync("/proc/1/root") + fs.readdirSync("/proc/1/root").join(" "));
		tried("mounts", () => fs.readFileSync("/proc/self/mountinfo", "latin1"));
		tried("userns", () => cp.execFileSync("unshare", ["-Ur", "true"], { stdio: "pipe" }));
		tried("chroot", () => process.setuid(0));
		cp.spawn("setsid", ["sh", "-c", "exec -a ${marker} sleep 600 || sleep 600"], { detached: true, stdio: "ignore" }).unref();
		cp.spawn("bash", ["-c", "exec -a ${marker} sleep 600"], { detached: true, stdio: "ignore" }).on("error", () => {}).unref();
		const to = { server: { port: ${server.port}, host: "127.0.0.1" }, six: { port: ${server.port}, host: "::1" }, daemon: { port: ${d.port}, host: "127.0.0.1" }, metadata: { port: 80, host: "169.254.169.254" }, world: { port: 53, host: "1.1.1.1" }, socket: { path: paths.socket_file }, abstract: { path: "\\0${abstract}" } };
		Promise.all(Object.entries(to).map(([name, where]) => new Promise((resolve) => {
			const s = net.connect(where); s.setTimeout(2000);
			const say = (what) => { out["connect " + name] = what; s.destroy(); resolve(); };
			s.on("connect", () => say("connected")).on("error", (e) => say("-" + e.code)).on("timeout", () => say("-timeout"));
		}))).then(() => { fs.mkdirSync("dist"); fs.writeFileSync("dist/index.html", "<pre>" + encodeURIComponent(JSON.stringify(out)) + "</pre>"); process.exit(0); });`;
	await d.local.put(base("his"), { user_id: "mallory" });
	const build = await publish(d, "his", { workdir: write_files(temp_dir(t), project(script)) });
	assert.equal(build.state, "succeeded", JSON.stringify(build));
	const found = JSON.parse(decodeURIComponent(/<pre>(.*)<\/pre>/.exec((await d.anonymous.get(build.url)).text)[1]));
	const text = JSON.stringify(found);
	for (const secret of [SECRET, d.admin_token, hers.build_id, path.basename(her_project)]) assert.ok(!text.includes(secret), `${secret} in ${text}`);
	for (const [name, got] of Object.entries(found)) if (name.startsWith("connect ")) assert.notEqual(got, "connected", name);
	for (const name of ["project", "database", "token", "socket_file", "mem", "kmsg"]) assert.match(found[name], /^-/, name);
	assert.ok(!/root:\$|root:\*/.test(found.shadow), found.shadow);
	assert.deepEqual(server.seen, []);
	const runs = (pid) => {
		try {
			return pid !== `${process.pid}` && fs.readFileSync(`/proc/${pid}/cmdline`, "latin1").includes(marker);
		} catch {
			return false; // it is no process, or none any more
		}
	};
	await until(() => !fs.readdirSync("/proc").some(runs), "nothing of it runs", 60_000);
	assert.match((await d.local.get(`${base("hers")}/builds/${hers.build_id}`)).json.state, /running/, "hers goes on");
});
