// SPDX-License-Identifier: MIT
//
// A real browser's tab: what it does by itself while nobody looks is not use, what a person does is.
import assert from "node:assert/strict";
import test from "node:test";

import { Browser, skip } from "./browser.mjs";
import { base, defer, start, until } from "./harness.mjs";
import * as events from "./events.mjs";
import * as targets from "./targets.mjs";

const brief = { "reaper.interval": "1s", "reaper.idle": "6s", "reaper.warning": "3s", "activity.sample": "1s" };
const preview = (name) => `${base("s1")}/previews/${name}`;

test("a tab left open on a Vite is no use, one that is looked at is", { skip, timeout: 90_000 }, async (t) => {
	const d = await start(t, { settings: brief });
	const [left, used] = [await targets.vite(t), await targets.vite(t)];
	assert.ok((await left.ready()) && (await used.ready()));
	const stream = await events.join(d, "s1");
	assert.equal((await d.admin.attach("s1", { port: left.port, name: "left" })).status, 201);
	assert.equal((await d.admin.attach("s1", { port: used.port, name: "used" })).status, 201);

	const browser = await Browser.open(t);
	const get = async (name) => (await d.admin.get(preview(name))).json;
	await browser.tab(`http://localhost:${left.port}/`);
	const looked_at = await browser.tab(`http://localhost:${used.port}/`);
	const looking = setInterval(() => looked_at.call("Page.reload"), 1000);
	defer(t, () => clearInterval(looking));

	await until(async () => (await get("left")).activity === "passive", "the tab is open and quiet");
	const open = (await d.admin.get(`${preview("left")}/why`)).json;
	assert.ok(open.sockets.length > 0, JSON.stringify(open));
	const end = await stream.event("web_preview:detached", (p) => p.name === "left");
	assert.equal(end.payload.reason, "idle");
	assert.equal((await get("used")).activity, "active");
	assert.equal((await d.admin.get(`${preview("used")}/why`)).json.last_reset.by, "traffic");
});
