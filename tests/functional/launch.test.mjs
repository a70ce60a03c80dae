// SPDX-License-Identifier: MIT
//
// previewctl run NAME: a configuration of the project's .claude/launch.json.
import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import test from "node:test";

import { environment } from "./agents.mjs";
import { Child, defer, free_port, previewctl, run, start, temp_dir, within } from "./harness.mjs";
import * as targets from "./targets.mjs";

const server = 'require("http").createServer((q,r)=>{r.setHeader("Content-Type","text/html");r.end("<!doctype html>"+process.cwd()+" "+process.env.COLOR)}).listen(process.env.PORT||process.argv[2],"127.0.0.1")';

function project(t, configurations) {
	const dir = fs.realpathSync(temp_dir(t));
	fs.mkdirSync(path.join(dir, ".claude"));
	fs.mkdirSync(path.join(dir, "app", "src"), { recursive: true });
	fs.writeFileSync(path.join(dir, "app", "server.js"), server);
	fs.writeFileSync(
		path.join(dir, ".claude", "launch.json"),
		`// how it is started\n{ "version": "0.0.1", /* */ "configurations": ${JSON.stringify(configurations)},\n}`,
	);
	return dir;
}

async function begin(t, d, cwd, ...args) {
	const child = new Child(t, [previewctl(), "run", "--session", "s1", ...args], { env: environment(d), cwd });
	defer(t, async () => {
		if (!child.running) return;
		child.signal("SIGTERM");
		child.signal("SIGTERM");
		await within(child.exited, "the end of run");
	});
	const match = await child.stderr.match(/previewctl: (http:\S+)/);
	if (!match) throw new Error(child.stderr.text);
	return { child, url: match[1] };
}

const configuration = (more) => ({ name: "web", runtimeExecutable: process.execPath, program: "server.js", cwd: "app", env: { COLOR: "blue" }, ...more });

test("a configuration is run in its folder with its environment, and its port is attached under its name", async (t) => {
	const d = await start(t);
	const port = await free_port();
	const dir = project(t, [configuration({ args: [String(port)], port }), configuration({ name: "other" })]);
	const { url } = await begin(t, d, path.join(dir, "app", "src"), "web");
	assert.equal(url, `http://localhost:${port}`);
	assert.equal(await (await fetch(url)).text(), `<!doctype html>${path.join(dir, "app")} blue`);
	assert.deepEqual(await d.local.names("s1"), ["web"]);
});

test("the only configuration needs no name, and --name says the preview's", async (t) => {
	const d = await start(t);
	const port = await free_port();
	const dir = project(t, [configuration({ name: "Web server", args: [String(port)] })]);
	const { child } = await begin(t, d, dir);
	assert.deepEqual(await d.local.names("s1"), ["default"], "its name is none for a preview");
	child.signal("SIGTERM");
	await within(child.exited, "its end");
	await begin(t, d, dir, "--name", "mine", "Web server");
	assert.deepEqual(await d.local.names("s1"), ["mine"]);
});

test("options behind the name are told to be the command's", async (t) => {
	const d = await start(t);
	const dir = project(t, [configuration({})]);
	const { code, stderr } = await run(t, [previewctl(), "run", "web", "--session", "s1"], { env: environment(d), cwd: dir });
	assert.equal(code, 127);
	assert.match(stderr, /cannot run 'web'.*\n.*hint: .*options of previewctl go before it/);
});

test("autoPort takes a port that is free, and tells it as PORT", async (t) => {
	const d = await start(t);
	const taken = await targets.http_server(t);
	const dir = project(t, [configuration({ port: taken.port, autoPort: true })]);
	const { url } = await begin(t, d, dir, "web");
	assert.notEqual(url, `http://localhost:${taken.port}`);
	assert.match(await (await fetch(url)).text(), /blue/);
});

test("without autoPort a port that is taken is told, and nothing begins", async (t) => {
	const d = await start(t);
	const taken = await targets.http_server(t);
	const dir = project(t, [configuration({ port: taken.port })]);
	const { code, stderr } = await run(t, [previewctl(), "run", "web"], { env: environment(d), cwd: dir });
	assert.equal(code, 5);
	assert.match(stderr, new RegExp(`port ${taken.port}.*\n.*autoPort`));
});

test("what is no configuration's name is a command, and so is all behind --", async (t) => {
	const d = await start(t);
	const dir = project(t, [configuration({ name: "true", runtimeExecutable: "false", program: undefined }), configuration({ name: "b" })]);
	const ctl = (...args) => run(t, [previewctl(), "run", ...args], { env: environment(d), cwd: dir });
	assert.equal((await ctl("true")).code, 1, "the configuration of that name");
	assert.equal((await ctl("--", "true")).code, 0);
	assert.equal((await ctl("sh", "-c", "exit 3")).code, 3);
	const which = await ctl();
	assert.equal(which.code, 2);
	assert.match(which.stderr, /true, b/);

	fs.writeFileSync(path.join(dir, ".claude", "launch.json"), "{");
	const broken = await ctl("true");
	assert.equal(broken.code, 0);
	assert.match(broken.stderr, /warning: .*launch\.json/);
	assert.equal((await ctl()).code, 1);
});

test("with neither a command nor a file it says what it wants", async (t) => {
	const d = await start(t);
	const { code, stderr } = await run(t, [previewctl(), "run"], { env: environment(d), cwd: temp_dir(t) });
	assert.equal(code, 2);
	assert.match(stderr, /launch\.json/);
});
