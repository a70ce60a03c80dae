// SPDX-License-Identifier: MIT
//
// The Preview panel and what is published: a build as it goes, its end, its releases; and what a
// published page can't do to the panel that shows it.
import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import test from "node:test";

import { base, fixtures, start, temp_dir, until } from "./harness.mjs";
import { Panel, skip } from "./panel.mjs";

function project(t, name) {
	const dir = temp_dir(t);
	fs.cpSync(path.join(fixtures, name), dir, { recursive: true });
	return dir;
}

const publish = (d, workdir, query = "") => d.admin.post(`${base("s1")}/publish${query}`, { workdir, install: false });

// The word to go, to the copy that is being built.
async function go(d, title) {
	const find = () => {
		try {
			return fs.readdirSync(d.state, { recursive: true }).find((name) => name.endsWith("/project/build.js"));
		} catch {
			return null; // something of it went meanwhile
		}
	};
	const dir = path.dirname(path.join(d.state, await until(find, "the project is copied")));
	fs.writeFileSync(path.join(dir, "go.new"), title);
	fs.renameSync(path.join(dir, "go.new"), path.join(dir, "go")); // whole at once
}

test("a build is seen as it goes, fails, is tried again, and is gone back from", { skip, timeout: 120_000 }, async (t) => {
	const d = await start(t);
	const dir = project(t, "gated-app");
	await d.admin.put(base("s1"), { workdir: dir });
	const panel = await Panel.open(t, d);
	const { page } = panel;
	await panel.go("s1");
	await panel.says("Nothing to see yet");

	const first = await publish(d, dir);
	assert.equal(first.status, 202, first.text);
	await panel.says("Publishing");
	await panel.says("waiting for the word to go");
	await panel.locator(".phases [aria-current=step]", { hasText: "Build" }).waitFor();
	await panel.accessible("publishing");
	await panel.picture("publishing");
	await go(d, "");
	await panel.says("The build failed");
	await panel.says("ERROR: Unexpected end of file");
	await panel.accessible("failed");
	await panel.picture("failed");

	// Again, by hand; and the page that comes of it.
	await panel.button("Try again").click();
	await panel.says("Publishing");
	await go(d, "One");
	await panel.inside("published").getByText("One").waitFor();
	await panel.says("Published.");
	await panel.accessible("published");
	await panel.picture("published");
	assert.equal(await panel.locator("[aria-label='Path of the page']").inputValue(), "/");
	await panel.button("Why it is kept").click();
	await panel.locator(".drawer dl").waitFor();
	assert.doesNotMatch(await panel.locator(".drawer").innerText(), /null|undefined|NaN/);
	await page.keyboard.press("Escape");
	const sandbox = await panel.locator("iframe").getAttribute("sandbox");
	assert.equal(sandbox, "allow-scripts allow-forms allow-popups");

	// A build over it: what is on the air stays until the new one is whole.
	await publish(d, dir);
	await panel.says("A new build is being built.");
	await panel.button("Show it").click();
	await panel.locator(".drawer").getByText("waiting for the word to go").waitFor();
	await panel.picture("rebuild", { widths: [360, 1280] });
	assert.ok(await panel.inside("published").getByText("One").isVisible());
	await go(d, "Two");
	await panel.inside("published").getByText("Two").waitFor();

	// A page opened in the middle of a build knows of it.
	await publish(d, dir);
	await panel.go("s1");
	await panel.says("A new build is being built.");
	await go(d, "Three");
	await panel.inside("published").getByText("Three").waitFor();

	// Back to an earlier release.
	await panel.menu("Releases");
	await panel.locator(".releases li").nth(2).waitFor();
	await panel.accessible("releases");
	await panel.picture("releases", { widths: [360, 1280] });
	await panel.locator(".releases li").nth(2).getByRole("button").click();
	await panel.inside("published").getByText("One").waitFor();
	await panel.locator(".releases li").nth(2).getByText("Current").waitFor();

	// Off the air.
	await page.keyboard.press("Escape");
	await panel.menu("Stop and detach");
	await panel.says("Nothing to see yet");
	panel.no_errors();
});

test("a published page gets nothing of the panel, the API or the origin it shares", { skip, timeout: 120_000 }, async (t) => {
	const d = await start(t);
	const dir = project(t, "hostile-app");
	await d.admin.put(base("s1"), { workdir: dir });
	const panel = await Panel.open(t, d);
	const { page } = panel;
	await panel.go("s1");
	await page.evaluate(() => localStorage.setItem("secret", "of the panel"));
	panel.quiet = true; // a browser says what it keeps a page from
	const built = await publish(d, dir, "?wait=1");
	assert.equal(built.status, 200, built.text);

	const kept_out = { storage: 1, cookie: 1, origin: 1, dom: 1, token: 1, api: 1, write: 1, worker: 1, top: 1, exchange: 1 };
	const check = async (results) => {
		for (const [name, said] of Object.entries(JSON.parse(results)))
			assert.ok(said === "kept out" || (["api", "write", "exchange"].includes(name) && /^got (401|403)$/.test(said)), `${name}: ${said}`);
		assert.deepEqual(Object.keys(JSON.parse(results)).sort(), Object.keys(kept_out).sort());
	};
	await check(await panel.inside("published").locator("#results").textContent());
	assert.equal(new URL(page.url()).pathname, "/ui/", "the panel is still there");

	// The same in a tab of its own, where no frame keeps it in.
	const alone = await panel.context.newPage();
	await alone.goto(await panel.locator("a[aria-label='Open in a new tab']").getAttribute("href"));
	await check(await alone.locator("#results").textContent());
	assert.deepEqual(await alone.evaluate(async () => (await Promise.resolve(navigator.serviceWorker?.getRegistrations()).catch(() => [])) ?? []).catch(() => []), []);
	assert.equal((await d.admin.get(base("s1"))).json.ended_at, null, "the session lives");
	await until(() => page.evaluate(() => document.querySelector("web-preview").state === "live"), "the panel is live");
});
