// SPDX-License-Identifier: MIT
// Docusaurus' --config: the project's own, with the base path.  Docusaurus resolves presets, plugins
// and themes from where the configuration stands; so that they are found, that is made the project.
"use strict";
const { existsSync } = require("node:fs");
const Module = require("node:module");
const { join } = require("node:path");
const { pathToFileURL } = require("node:url");

const names = ["ts", "mts", "cts", "js", "mjs", "cjs"].map((ending) => join(process.cwd(), `docusaurus.config.${ending}`));
const own = names.find((name) => existsSync(name)) ?? names[3];

const createRequire = Module.createRequire;
Module.createRequire = (from) => createRequire(from === __filename ? own : from);

async function load() {
	const fromProject = createRequire(own);
	let config;

	// jiti reads TypeScript and either kind of module; it comes with Docusaurus.
	try {
		const core = createRequire(fromProject.resolve("@docusaurus/core/package.json"));
		const { createJiti } = core("jiti");
		config = await createJiti(own).import(own, { default: true });
	} catch {
		config = await import(pathToFileURL(own));
	}
	config = config.default ?? config;
	return typeof config === "function" ? config() : config;
}

module.exports = async () => ({ ...(await load()), baseUrl: process.env.PREVIEWD_BASE });
