// SPDX-License-Identifier: MIT
//
// `make check-frameworks`: the frameworks that are too large for each check, published and opened in a
// browser, below their path and on a host of their own.  FRAMEWORKS="angular qwik" runs these alone.
import assert from "node:assert/strict";
import test from "node:test";

import { Browser, skip } from "../functional/browser.mjs";
import { base, start, temp_dir, until } from "../functional/harness.mjs";
import { write_files } from "../functional/publishing.mjs";
import { complaints, node_path, visit } from "../functional/visiting.mjs";
import { projects } from "./projects.mjs";

const wanted = process.env.FRAMEWORKS?.split(/\s+/) ?? Object.keys(projects);
const extras = { has_extras: false };

async function built(t, d, session, workdir) {
	const { json } = await d.local.post(`${base(session)}/publish`, { workdir, timeout_seconds: 900 });
	const get = async () => (await d.local.get(`${base(session)}/builds/${json.build_id}`)).json;
	const build = await until(async () => { const b = await get(); return b.ended_at && b; }, `${session} is built`, 1_500_000);
	const log = (await d.local.get(`${base(session)}/builds/${json.build_id}/log`)).text;
	assert.equal(build.state, "succeeded", log);
	t.diagnostic(`${session}: Node ${build.node}, ${build.packages}, ${build.phases.map((p) => `${p.phase} ${p.took_ms} ms`).join(", ")}; base ${build.base}`);
	return { ...build, log };
}

const own_host = { "publish.host_template": "{label}.localhost", "publish.isolation": "separate" };

for (const name of wanted) {
	test(name, { skip, timeout: 3_600_000 }, async (t) => {
		const d = await start(t, { settings: { "publish.node_path": await node_path(t), "publish.install_timeout": "20m" } });
		const dir = write_files(temp_dir(t), projects[name].files);
		for (const settings of [{}, own_host]) {
			const what = `${name} ${settings === own_host ? "on a host of its own" : "below its path"}`;
			Object.assign(d.settings, settings);
			await d.restart();
			const build = await built(t, d, name, dir);
			assert.deepEqual(build.warnings.filter((w) => !/lock file/.test(w)), [], build.log);
			const browser = await Browser.open(t);
			const { tab, shows } = await visit(browser, build.address, "Fixture home", what, extras);
			await tab.value("document.querySelectorAll('nav a')[1].click()");
			await shows("document.querySelector('h1')?.textContent.trim()", "Fixture team");
			assert.deepEqual(complaints(tab.events), [], `${what}: after a click`);
			await visit(browser, new URL("about/team", build.address).href, "Fixture team", `${what}: a nested route`, extras);
			await browser.close?.();
		}
	});
}
