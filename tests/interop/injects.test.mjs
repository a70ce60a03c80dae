// SPDX-License-Identifier: MIT
// The files that builds are shown (src/publish/inject), in the node that runs them.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";

const inject = fileURLToPath(new URL("../../src/publish/inject", import.meta.url));
const root = mkdtempSync(join(tmpdir(), "injects-"));
after(() => rmSync(root, { recursive: true }));

function put(path, text) {
	mkdirSync(dirname(join(root, path)), { recursive: true });
	writeFileSync(join(root, path), text);
}

// A bundler that says how it was called.
put("node_modules/vite/bin/vite.js", "console.log(JSON.stringify(process.argv.slice(2)))");
put("other.js", "console.log(JSON.stringify(process.argv.slice(2)))");
mkdirSync(join(root, "node_modules/.bin"));
symlinkSync("../vite/bin/vite.js", join(root, "node_modules/.bin/vite"));

function called(program, args, more = {}) {
	const env = {
		...process.env, NODE_OPTIONS: `--require=${inject}/argv.cjs`, PREVIEWD_PROGRAM: "vite", PREVIEWD_PACKAGES: "vite",
		PREVIEWD_COMMAND: "build", PREVIEWD_BASE_ARGUMENT: "--base=/p/x/", ...more,
	};
	const r = spawnSync(process.execPath, [join(root, program), ...args], { env, encoding: "utf8" });
	assert.equal(r.status, 0, r.stderr);
	return JSON.parse(r.stdout);
}

const bin = "node_modules/.bin/vite";
const rows = [
	["a build, by its link", bin, ["build"], ["build", "--base=/p/x/"]],
	["a build, by its file", "node_modules/vite/bin/vite.js", ["build", "--mode", "x"], ["build", "--mode", "x", "--base=/p/x/"]],
	["no build", bin, ["preview"], ["preview"]],
	["another program", "other.js", ["build"], ["build"]],
	["an absolute base of the script's is replaced", bin, ["build", "--base=/repo/"], ["build", "--base=/p/x/"]],
	["also as two words", bin, ["build", "--base", "/repo/", "-l", "info"], ["build", "--base=/p/x/", "-l", "info"]],
	["also with a host", bin, ["build", "--base=https://cdn.example/"], ["build", "--base=/p/x/"]],
	["a relative one stays", bin, ["build", "--base=./"], ["build", "--base=./"]],
	["also as two words", bin, ["build", "--base", "./"], ["build", "--base", "./"]],
];

for (const [name, program, args, wanted] of rows)
	test(`argv: ${name}`, () => assert.deepEqual(called(program, args), wanted));

test("argv: a program without subcommands, but not its server", () => {
	const more = { PREVIEWD_COMMAND: "" };
	assert.deepEqual(called(bin, ["--mode", "production"], more), ["--mode", "production", "--base=/p/x/"]);
	assert.deepEqual(called(bin, ["serve"], more), ["serve"]);
});

test("argv: a flag without a value is there once", () => {
	const more = { PREVIEWD_ARGUMENT: "--prerender", PREVIEWD_BASE_ARGUMENT: "" };
	assert.deepEqual(called(bin, ["build"], more), ["build", "--prerender"]);
	assert.deepEqual(called(bin, ["build", "--prerender"], more), ["build", "--prerender"]);
});

test("argv: without its variables nothing changes", () => {
	assert.deepEqual(called(bin, ["build"], { PREVIEWD_PROGRAM: "" }), ["build"]);
});

// A module's value in a node of its own, from a project's directory.
function exported(file, expression, env) {
	const code = `const it = require(${JSON.stringify(join(inject, file))}); Promise.resolve(${expression}).then((v) => console.log(JSON.stringify(v)))`;
	const r = spawnSync(process.execPath, ["-e", code], { cwd: root, env: { ...process.env, ...env }, encoding: "utf8" });
	assert.equal(r.status, 0, r.stderr);
	return JSON.parse(r.stdout);
}

test("next: an export below the base, over the project's settings, in a build alone", () => {
	const modify = (phase) => `it.modifyConfig({ images: { domains: ["d"] }, trailingSlash: true }, { phase: "${phase}" })`;
	const base = { PREVIEWD_BASE: "/p/x" };

	assert.deepEqual(exported("next-adapter.cjs", modify("phase-production-build"), base), {
		images: { domains: ["d"], unoptimized: true, path: "/p/x/_next/image" },
		trailingSlash: true, output: "export", basePath: "/p/x", assetPrefix: "/p/x",
	});
	assert.equal(exported("next-adapter.cjs", modify("phase-development-server"), base).output, undefined);
	const without = exported("next-adapter.cjs", modify("phase-production-build"), { PREVIEWD_BASE: "" });
	assert.equal(without.output, "export");
	assert.equal(without.basePath, undefined);
});

test("vue-cli: the project's settings with the base, as a function, too", () => {
	const env = { PREVIEWD_BASE: "/p/x/" };
	put("vue.config.js", "module.exports = { publicPath: '/repo/', outputDir: 'out' }");
	assert.deepEqual(exported("vue-cli.cjs", "it", env), { publicPath: "/p/x/", outputDir: "out" });
	put("vue.config.js", "module.exports = () => ({ outputDir: 'f' })");
	assert.deepEqual(exported("vue-cli.cjs", "it()", env), { publicPath: "/p/x/", outputDir: "f" });
	rmSync(join(root, "vue.config.js"));
	put("package.json", '{ "vue": { "outputDir": "p" } }');
	assert.deepEqual(exported("vue-cli.cjs", "it", env), { publicPath: "/p/x/", outputDir: "p" });
});

test("docusaurus: the project's settings with the base, and its presets found from the project", () => {
	const env = { PREVIEWD_BASE: "/p/x/" };
	put("node_modules/preset/index.js", "module.exports = 1");
	put("docusaurus.config.js", "module.exports = async () => ({ title: 't', baseUrl: '/' })");
	assert.deepEqual(exported("docusaurus.cjs", "it()", env), { title: "t", baseUrl: "/p/x/" });
	put("docusaurus.config.js", "module.exports = { title: 'o' }");
	assert.deepEqual(exported("docusaurus.cjs", "it()", env), { title: "o", baseUrl: "/p/x/" });
	const file = JSON.stringify(join(inject, "docusaurus.cjs"));
	assert.equal(exported("docusaurus.cjs", `require("node:module").createRequire(${file})("preset")`, env), 1);
	assert.throws(() => createRequire(join(inject, "docusaurus.cjs"))("preset"));
});
