// SPDX-License-Identifier: MIT
//
// Unmodified clients of both generations of the SDK, in both eras, against the daemon.
import assert from "node:assert/strict";
import test from "node:test";

import { Client as ClientV2, StreamableHTTPClientTransport as TransportV2 } from "@modelcontextprotocol/client";
import { Client as ClientV1 } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport as TransportV1 } from "@modelcontextprotocol/sdk/client/streamableHttp.js";

import * as targets from "../functional/targets.mjs";
import { blind, defer, free_port, start, until } from "./harness.mjs";

const info = { name: "previewd-tests", version: "1" };
const sdks = [
	{ name: "sdk 1", era: "legacy", client: () => new ClientV1(info), Transport: TransportV1 },
	...[["legacy", "legacy"], ["auto", "modern"], [{ pin: "2026-07-28" }, "modern"]].map(([mode, era]) => ({
		name: `sdk 2, ${JSON.stringify(mode)}`,
		era,
		client: () => new ClientV2(info, { versionNegotiation: { mode } }),
		Transport: TransportV2,
	})),
];

async function connect(t, sdk, d, { session = "s1", token = d.admin_token, fetch } = {}) {
	const client = sdk.client();
	const transport = new sdk.Transport(new URL(`${d.url}/mcp`), {
		fetch,
		requestInit: { headers: { authorization: `Bearer ${token}`, ...(session ? { "x-previewd-session": session } : {}) } },
	});
	await client.connect(transport);
	defer(t, async () => client.close());
	client.call = (name, args = {}, options) =>
		sdk.client === sdks[0].client
			? client.callTool({ name, arguments: args }, undefined, options)
			: client.callTool({ name, arguments: args }, options);
	return client;
}

const text = (result) => result.content[0].text;

for (const sdk of sdks) {
	test(`${sdk.name}: lists, attaches, lists, explains, detaches`, async (t) => {
		const d = await start(t);
		const { port } = await targets.http_server(t);
		const client = await connect(t, sdk, d);
		assert.equal(client.getServerVersion()?.name, "previewd");
		assert.match(client.getInstructions(), /PreviewProxy/);
		assert.equal(await d.metric("previewd_mcp_sessions"), sdk.era === "legacy" ? 1 : 0);

		const { tools } = await client.listTools();
		assert.deepEqual(tools.map((tool) => tool.name), [
			"PreviewProxy",
			"PreviewPublish",
			"PreviewDetach",
			"PreviewList",
			"PreviewWhy",
		]);

		// the SDK holds each result's structuredContent against the tool's outputSchema
		const attached = await client.call("PreviewProxy", { port });
		assert.ok(!attached.isError, text(attached));
		assert.equal(attached.structuredContent.url, `http://localhost:${port}`);
		assert.equal(attached.structuredContent.session_id, "s1");
		assert.deepEqual(JSON.parse(attached.content[1].text), attached.structuredContent);
		assert.equal((await d.admin.list("s1"))[0].port, port);

		const listed = await client.call("PreviewList");
		assert.deepEqual(listed.structuredContent.previews.map((p) => p.name), ["default"]);
		const why = await client.call("PreviewWhy");
		assert.ok(why.structuredContent.explanation.length > 0);

		const gone = await client.call("PreviewDetach");
		assert.equal(gone.structuredContent.removed, true);
		const again = await client.call("PreviewDetach");
		assert.equal(again.structuredContent.removed, false);
		assert.ok(!again.isError);
		assert.deepEqual((await client.call("PreviewList")).structuredContent.previews, []);
	});

	test(`${sdk.name}: prompt, resources and the card`, async (t) => {
		const d = await start(t);
		await d.admin.attach("s1", blind());
		await d.admin.attach("s2", blind({ port: 4000, name: "other" }));
		const client = await connect(t, sdk, d);

		const { prompts } = await client.listPrompts();
		assert.deepEqual(prompts.map((p) => p.name), ["preview"]);
		const prompt = await client.getPrompt({ name: "preview", arguments: { what: "the shop" } });
		assert.match(prompt.messages[0].content.text, /the shop.*PreviewProxy/s);

		const { resources } = await client.listResources();
		assert.deepEqual(resources.map((r) => r.uri), ["preview://sessions/s1/default"]);
		const read = await client.readResource({ uri: resources[0].uri });
		assert.equal(JSON.parse(read.contents[0].text).port, 5173);
		const { resourceTemplates } = await client.listResourceTemplates();
		assert.equal(resourceTemplates.length, 2);
		const all = await client.readResource({ uri: "preview://sessions/s2" });
		assert.deepEqual(JSON.parse(all.contents[0].text).previews.map((p) => p.name), ["other"]);
		const card = await client.readResource({ uri: "ui://previewd/preview" });
		assert.equal(card.contents[0].mimeType, "text/html;profile=mcp-app");
		assert.match(card.contents[0].text, /^<!doctype html>/);
		await assert.rejects(client.readResource({ uri: "preview://sessions/s9" }), /not found/i);
		await assert.rejects(client.readResource({ uri: "file:///etc/passwd" }), /not found/i);
	});

	test(`${sdk.name}: progress while the port isn't bound, cancelling ends the wait`, async (t) => {
		const d = await start(t);
		const port = await free_port();
		const client = await connect(t, sdk, d);
		const told = [];
		const stop = new AbortController();
		const call = client.call("PreviewProxy", { port, wait_seconds: 100 }, {
			signal: stop.signal,
			onprogress: (p) => told.push(p),
		});
		const failed = assert.rejects(call);
		await d.probing(1);
		await until(() => told.length >= 1, "there is progress");
		assert.match(told[0].message, new RegExp(`port ${port}`));
		assert.equal(told[0].total, 100);

		stop.abort();

		await failed;
		await d.probing(0);
		assert.equal(await d.metric("previewd_mcp_calls"), 0);
		assert.deepEqual((await client.call("PreviewList")).structuredContent.previews, []);
	});

	test(`${sdk.name}: what fails says what to do next`, async (t) => {
		const d = await start(t, { settings: { "limits.per_session": 1 } });
		await d.admin.attach("s1", blind());
		const client = await connect(t, sdk, d);
		await client.listTools(); // so that the SDK knows the schemas

		const full = await client.call("PreviewProxy", { port: 4000, name: "more", health_check: false });
		assert.equal(full.isError, true);
		assert.match(text(full), /PreviewDetach/);
		assert.match(text(full), /default \(session s1\): http:\/\/localhost:5173/);
		assert.equal(full._meta["dev.previewd/problem"].code, "session_limit");

		const wrong = await client.call("PreviewProxy", { port: 70000 });
		assert.equal(wrong.isError, true);
		assert.match(text(wrong), /port must be a whole number/);

		await assert.rejects(client.call("PreviewNothing"), { code: -32602 });
	});
}

test("sdk 1: after a restart of the daemon the session is gone, and the next one works", async (t) => {
	const d = await start(t);
	// to wherever the daemon is now: its port is another after the restart
	const client = await connect(t, sdks[0], d, { fetch: (url, init) => fetch(new URL("/mcp", d.url), init) });
	await client.listTools();

	await d.restart();

	await assert.rejects(client.listTools(), { code: 404 });
	const again = await connect(t, sdks[0], d);
	assert.ok((await again.listTools()).tools.length >= 4);
});
