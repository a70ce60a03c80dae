// SPDX-License-Identifier: MIT
//
// Unmodified clients of both generations of the SDK, in both eras, over previewctl mcp.
import assert from "node:assert/strict";
import test from "node:test";

import { Client as ClientV2 } from "@modelcontextprotocol/client";
import { StdioClientTransport as TransportV2 } from "@modelcontextprotocol/client/stdio";
import { Client as ClientV1 } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport as TransportV1 } from "@modelcontextprotocol/sdk/client/stdio.js";

import * as targets from "../functional/targets.mjs";
import { base, defer, previewctl, start, until } from "./harness.mjs";

const info = { name: "previewd-tests", version: "1" };
const sdks = [
	{ name: "sdk 1", client: () => new ClientV1(info), Transport: TransportV1 },
	...["legacy", "auto", { pin: "2026-07-28" }].map((mode) => ({
		name: `sdk 2, ${JSON.stringify(mode)}`,
		client: () => new ClientV2(info, { versionNegotiation: { mode } }),
		Transport: TransportV2,
	})),
];

async function connect(t, sdk, d, session) {
	const client = sdk.client();
	const { ASAN_OPTIONS, UBSAN_OPTIONS } = process.env;
	const env = { PATH: process.env.PATH, PREVIEWD_SOCKET: d.socket, CLAUDE_CODE_SESSION_ID: session, ASAN_OPTIONS, UBSAN_OPTIONS };
	const transport = new sdk.Transport({
		command: previewctl(),
		args: ["mcp"],
		env: Object.fromEntries(Object.entries(env).filter(([, value]) => value)),
		cwd: d.dir,
	});
	await client.connect(transport);
	defer(t, async () => client.close());
	client.pid = transport.pid;
	return client;
}

for (const sdk of sdks)
	test(`${sdk.name}: attaches over stdio, over a restart of the daemon, until it is closed`, async (t) => {
		const d = await start(t, { settings: { "sessions.grace": "1s" } });
		const { port } = await targets.http_server(t);
		const client = await connect(t, sdk, d, "c1");
		assert.equal(client.getServerVersion()?.name, "previewd");
		assert.ok((await client.listTools()).tools.length >= 4);
		const attached = await client.callTool({ name: "PreviewProxy", arguments: { port } });
		assert.equal(attached.structuredContent.session_id, "c1");

		await d.kill();
		await d.start();
		const listed = await client.callTool({ name: "PreviewList", arguments: {} });
		assert.deepEqual(listed.structuredContent.previews.map((p) => p.name), ["default"]);

		await client.close();
		await until(async () => (await d.local.get(base("c1"))).status === 404, "its session has ended", 30_000);
		assert.deepEqual((await d.local.get("/api/previews")).json.previews, []);
	});

for (const signal of ["SIGTERM", "SIGKILL"])
	test(`${signal} of the bridge ends the session`, async (t) => {
		const d = await start(t, { settings: { "sessions.grace": "0s" } });
		const { port } = await targets.http_server(t);
		const client = await connect(t, sdks[0], d, "c1");
		await client.callTool({ name: "PreviewProxy", arguments: { port } });
		process.kill(client.pid, signal);
		await until(async () => (await d.local.get(base("c1"))).status === 404, "its session has ended", 30_000);
	});
