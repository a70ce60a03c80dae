// SPDX-License-Identifier: MIT
//
// Projects of pnpm and yarn on a machine that may have neither, workspaces, and what else is odd about
// projects.
import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import test from "node:test";

import { base, run, start, temp_dir } from "./harness.mjs";
import { publish, why_no_sandbox, write_files } from "./publishing.mjs";

const no_sandbox = await why_no_sandbox();
const online = !no_sandbox && (await run({ after() {} }, ["npm", "view", "is-number", "name", "--fetch-timeout=15000", "--fetch-retries=2"])).code === 0;
const needs_registry = { skip: no_sandbox || (!online && "the npm registry cannot be reached"), timeout: 300_000 };
const needs_sandbox = { skip: no_sandbox, timeout: 120_000 };

const json = (value) => JSON.stringify(value);
const is_number = "sha512-41Cifkg6e8TylSpdtTpeLVMqvSBEVzTttHvERD741+pnZ8ANv0004MRL43QKPDlK9cGvNp6NZWZUBlbGXYxxng==";
const build_script = (expression) => `const fs = require("fs"); fs.mkdirSync("dist"); fs.writeFileSync("dist/index.html", "<h1>" + (${expression}) + "</h1>");`;
const shown = async (d, build) => /<h1>(.*)<\/h1>/.exec((await d.anonymous.get(build.url)).text)?.[1];
const log_of = async (d, build, session = "s") => (await d.local.get(`${base(session)}/builds/${build.build_id}/log`)).text;

// apps/web needs packages/lib, which needs a package of the registry.
const workspace = {
	"package.json": json({ name: "top", private: true }),
	"pnpm-workspace.yaml": `packages:\n  - "apps/*"\n  # what they share\n  - packages/*\n`,
	"pnpm-lock.yaml": `lockfileVersion: '9.0'

settings:
  autoInstallPeers: true
  excludeLinksFromLockfile: false

importers:

  .: {}

  apps/web:
    dependencies:
      '@me/lib':
        specifier: workspace:*
        version: link:../../packages/lib

  packages/lib:
    dependencies:
      is-number:
        specifier: 7.0.0
        version: 7.0.0

packages:

  is-number@7.0.0:
    resolution: {integrity: ${is_number}}
    engines: {node: '>=0.12.0'}

snapshots:

  is-number@7.0.0: {}
`,
	"apps/web/package.json": json({ name: "web", version: "1.0.0", scripts: { build: "node build.cjs" }, dependencies: { "@me/lib": "workspace:*" } }),
	"apps/web/build.cjs": build_script(`require("@me/lib")(5)`),
	"packages/lib/package.json": json({ name: "@me/lib", version: "1.0.0", main: "index.js", dependencies: { "is-number": "7.0.0" } }),
	"packages/lib/index.js": `module.exports = (n) => "lib " + require("is-number")(n);`,
};

test("a package of a pnpm workspace, with its neighbours and without pnpm on the machine", needs_registry, async (t) => {
	const d = await start(t);
	const top = write_files(temp_dir(t), workspace);
	const web = path.join(top, "apps", "web");

	const first = await publish(d, "s", { workdir: web });
	assert.equal(first.state, "succeeded", json(first));
	assert.deepEqual([first.package_manager, first.packages], ["pnpm", "installed"]);
	assert.equal(await shown(d, first), "lib true");
	assert.match(await log_of(d, first), /# detect: the package apps\/web of its workspace/);
	assert.deepEqual(fs.readdirSync(web).sort(), ["build.cjs", "package.json"], "nothing is left in the project");

	write_files(top, { "packages/lib/index.js": `module.exports = (n) => "new lib " + require("is-number")(n);` });
	const second = await publish(d, "s", { workdir: web });
	assert.equal(second.packages, "cached", json(second));
	assert.equal(await shown(d, second), "new lib true");
	assert.doesNotMatch(await log_of(d, second), /npm install/);

	// A build that writes to its packages gets its own, of the workspace's packages too.
	write_files(top, { "apps/web/build.cjs": `require("fs").writeFileSync("node_modules/mine", ""); ${build_script(`require("@me/lib")(5)`)}` });
	const writer = await publish(d, "s", { workdir: web });
	assert.equal(writer.state, "succeeded", json(writer));
	assert.match(await log_of(d, writer), /building again with a copy/);

	// The lock file does not fit any more: it is said, and the build goes on.
	write_files(top, { "packages/lib/package.json": workspace["packages/lib/package.json"].replace("7.0.0", "6.0.0") });
	const stale = await publish(d, "s", { workdir: web });
	assert.equal(stale.state, "succeeded", json(stale));
	assert.match(stale.warnings.join(), /pnpm-lock\.yaml does not fit package\.json/);
	assert.match(await log_of(d, stale), /ERR_PNPM_OUTDATED_LOCKFILE/);

	// One that is no lock file at all is an error, in the manager's words.
	write_files(top, { "pnpm-lock.yaml": "lockfileVersion: '9.0'\n<<<<<<< HEAD\nimporters: [\n" });
	const broken = await publish(d, "s", { workdir: web });
	assert.equal(broken.code, "install_failed", json(broken));
	assert.match(broken.log_tail, /pnpm-lock\.yaml/);

	const none = await publish(d, "s", { workdir: top });
	assert.equal(none.code, "no_build_script");
	assert.match(none.detail, /top of a workspace.*apps\/\*/);
});

test("yarn, of the version that the project pins", needs_registry, async (t) => {
	const d = await start(t);
	const project = {
		"package.json": json({ name: "y", private: true, packageManager: "yarn@1.22.22", scripts: { build: "yarn --version && node build.cjs" }, dependencies: { "is-number": "7.0.0" } }),
		"yarn.lock": `# yarn lockfile v1\n\n\nis-number@7.0.0:\n  version "7.0.0"\n  integrity ${is_number}\n`,
		"build.cjs": build_script(`require("is-number")(5)`),
	};
	const build = await publish(d, "s", { workdir: write_files(temp_dir(t), project) });
	assert.equal(build.state, "succeeded", json(build));
	assert.equal(await shown(d, build), "true");
	const log = await log_of(d, build);
	assert.match(log, /# install: yarn install --frozen-lockfile/);
	assert.match(log, /^1\.22\.22$/m, "its scripts find it, too");
	assert.deepEqual(build.warnings, []);

	// What is not to be had is said, with what it was.
	const none = { ...project, "package.json": project["package.json"].replaceAll("1.22.22", "1.22.9999") };
	const failed = await publish(d, "s", { workdir: write_files(temp_dir(t), none) });
	assert.equal(failed.code, "install_failed", json(failed));
	assert.match(failed.detail, /yarn@1\.22\.9999 is not installed here, and fetching it ended with/);
});

test("a token's project is not built with a workspace that lies above the session's directory", needs_sandbox, async (t) => {
	const d = await start(t);
	const top = write_files(temp_dir(t), {
		"package.json": json({ private: true, workspaces: ["apps/*"] }),
		"secret": "not theirs",
		"apps/web/package.json": json({ name: "web", scripts: { build: "node build.cjs" } }),
		"apps/web/build.cjs": build_script(`fs.existsSync("../../secret")`),
	});
	const web = path.join(top, "apps", "web");
	const plain = await publish(d, "own", { workdir: web });
	assert.equal(await shown(d, plain), "true", "an admin's is");
	await d.local.put(base("tok"), { workdir: web });
	const token = d.api((await d.admin.post(`${base("tok")}/tokens`, { scopes: ["publish"] })).json.token);
	for (const body of [{}, { workdir: "." }, { workdir: web }])
		assert.equal(await shown(d, await publish(d, "tok", body, { api: token })), "false", json(body));
	await d.local.put(base("wide"), { workdir: top });
	const wide = d.api((await d.admin.post(`${base("wide")}/tokens`, { scopes: ["publish"] })).json.token);
	assert.equal(await shown(d, await publish(d, "wide", { workdir: "apps/web" }, { api: wide })), "true", "and one whose session is the workspace's");
});

test("a failure is told by the line that says it, and a project may be called and say what it likes", needs_sandbox, async (t) => {
	const d = await start(t);
	const dir = path.join(temp_dir(t), "mein Projekt, größer");
	const project = (script) => write_files(dir, { "package.json": json({ name: "p", scripts: { build: "node build.cjs" } }), "build.cjs": script });

	const typescript = `console.log("src/a.ts(3,7): error TS2322: Type 'string' is not assignable to type 'number'.\\nsrc/b.ts(1,1): error TS2304: Cannot find name 'x'.\\n\\nFound 2 errors.\\nerror Command failed with exit code 2."); process.exit(2);`;
	const failed = await publish(d, "s", { workdir: project(typescript) });
	assert.match(failed.detail, /ended with 2: src\/a\.ts\(3,7\): error TS2322/, json(failed));
	assert.match(failed.log_tail, /src\/b\.ts\(1,1\): error TS2304/);

	write_files(dir, { ".env.production": "VITE_X=from the file\n" });
	const loud = `for (let i = 0; i < 100000; i++) console.log("line " + i); ${build_script(`fs.readFileSync(".env.production", "utf8").trim()`)}`;
	const build = await publish(d, "s", { workdir: project(loud) });
	assert.equal(build.state, "succeeded", json(build));
	assert.equal(await shown(d, build), "VITE_X=from the file");
	assert.match(await log_of(d, build), /line 99999\n/);

	write_files(dir, { ".nvmrc": "99.1.0\n" });
	const other = await publish(d, "s", { workdir: dir });
	assert.equal(other.state, "succeeded", json(other));
	assert.match(other.warnings.join(), /asks for Node 99\.1\.0, which is not installed: it is built with/);
});

test("a framework says which Node it needs only once it is installed", needs_sandbox, async (t) => {
	const d = await start(t);
	const project = (engine) => write_files(temp_dir(t), {
		"package.json": json({ name: "p", scripts: { build: "node build.cjs" }, dependencies: { vite: "file:./fake" } }),
		"fake/package.json": json({ name: "vite", version: "9.0.0", engines: { node: engine } }),
		"build.cjs": build_script("process.version"),
	});
	const old = await publish(d, "s", { workdir: project(">=99") });
	assert.equal(old.code, "node_unavailable", json(old));
	assert.match(old.detail, />=99/);
	assert.equal(old.build.error.phase, "install");
	const long = await publish(d, "s", { workdir: project(`>=99${" || >=99".repeat(100)}`) });
	assert.equal(long.state, "succeeded", "what is too long to be a range is none");
	const build = await publish(d, "s", { workdir: project(">=1") });
	assert.equal(await shown(d, build), `v${build.node}`, json(build));
});

// What a build leaves of the directories above its package must not lead out of the copy.
const leads_out = (outside) => `process.chdir("../.."); fs.renameSync("apps", "moved"); fs.symlinkSync(${json(outside)}, "apps");`;

test("a package's output is not looked for where its build says that the package is", needs_sandbox, async (t) => {
	const d = await start(t);
	const outside = write_files(temp_dir(t), { "web/dist/index.html": "<h1>not theirs</h1>" });
	const top = write_files(temp_dir(t), {
		"package.json": json({ private: true, workspaces: ["apps/*"] }),
		"apps/web/package.json": json({ name: "web", scripts: { build: "node build.cjs" } }),
		"apps/web/build.cjs": `${build_script("1")} ${leads_out(outside)}`,
	});
	const build = await publish(d, "s", { workdir: path.join(top, "apps", "web") });
	assert.equal(build.code, "bad_output", json(build));
	assert.match(build.detail, /is not where it was built/);
});

test("a copy of the packages is not put where a build says that the package is", needs_sandbox, async (t) => {
	const d = await start(t, { settings: { "publish.install_scripts": "yes" } });
	const outside = write_files(temp_dir(t), { "web/theirs": "" });
	const top = write_files(temp_dir(t), {
		"package.json": json({ private: true, workspaces: ["apps/*", "libs/*"], scripts: { postinstall: "mkdir -p apps/web/node_modules/x && echo x >apps/web/node_modules/x/planted" } }),
		"libs/lib/package.json": json({ name: "lib", version: "1.0.0" }),
		"apps/web/package.json": json({ name: "web", version: "1.0.0", scripts: { build: "node build.cjs" }, dependencies: { lib: "*" } }),
		"apps/web/build.cjs": `const fs = require("fs"); ${leads_out(outside)} console.log("EROFS: node_modules"); process.exit(1);`,
	});
	const build = await publish(d, "s", { workdir: path.join(top, "apps", "web") });
	assert.equal(build.code, "build_failed", json(build));
	assert.match(build.detail, /the packages cannot be copied/);
	assert.match(build.log_tail, /building again with a copy/);
	assert.deepEqual(fs.readdirSync(path.join(outside, "web")), ["theirs"]);
});
