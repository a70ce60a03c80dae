// SPDX-License-Identifier: MIT
//
// What an attach finds at its port, and what it says of it.
import assert from "node:assert/strict";
import { once } from "node:events";
import fs from "node:fs";
import http from "node:http";
import test from "node:test";

import { base, free_port, is_root, start } from "./harness.mjs";
import * as events from "./events.mjs";
import * as targets from "./targets.mjs";

function refused(answer, status, code) {
	assert.equal(answer.json?.code, code, answer.text);
	assert.equal(answer.status, status);
	assert.match(answer.type, /^application\/problem\+json/);
}

const listed = async (d, session) => (await d.admin.get(`${base(session)}/previews`)).json.previews ?? [];

test("a running server is attached, with what the probe found", async (t) => {
	const d = await start(t);
	const server = await targets.http_server(t);

	const answer = await d.admin.attach("s1", { port: server.port, path: "/admin?x=1#top" });

	assert.equal(answer.status, 201, answer.text);
	assert.equal(answer.headers.location, `${base("s1")}/previews/default`);
	const { attached_at, label, probe, owner, idle_seconds, reaps_at, ...rest } = answer.json;
	assert.deepEqual(rest, {
		session_id: "s1", app_id: "default", user_id: rest.user_id, name: "default", type: "proxy",
		url: `http://localhost:${server.port}/admin?x=1#top`, scheme: "http", host: "127.0.0.1", port: server.port,
		path: "/admin?x=1#top", focus: true, bash_task_id: null, connect: "direct", status: "up",
		touched_at: null, warnings: [], warned: false, replaced: false, activity: "unseen", pinned: false,
	});
	assert.match(label, /^[a-z0-9]{20,63}$/);
	assert.ok(Math.abs(Date.parse(attached_at) - Date.now()) < 60_000, attached_at);
	assert.equal(probe.http_status, 200);
	assert.equal(probe.method, "HEAD");
	assert.equal(probe.address, "127.0.0.1");
	assert.equal(server.seen[0].split(" ").slice(0, 2).join(" "), "HEAD /admin?x=1");
	assert.equal(idle_seconds, 0);
	assert.ok(Date.parse(reaps_at) >= Date.parse(attached_at) + 1_790_000, reaps_at);
	assert.equal(owner.uid, process.getuid());
});

test("the process that listens is told as the owner", async (t) => {
	const d = await start(t);
	const server = await targets.deaf(t); // another process than this one
	await d.admin.attach("s1", { port: server.port, health_check: false });

	let seen;
	for (let i = 0; i < 100 && !seen?.pid; i++) seen = (await d.admin.get(`${base("s1")}/previews/default`)).json.owner;

	assert.equal(seen.pid, server.child.pid);
	assert.match(seen.command, /^python3/);
});

test("an attach waits for a server that is still starting", async (t) => {
	const d = await start(t);
	const port = await free_port();
	const stream = await events.join(d, "s1");

	const answer = d.admin.attach("s1", { port });
	await d.probing(1);
	assert.equal(stream.events.length, 0);
	await targets.http_server(t, undefined, { port });

	assert.equal((await answer).status, 201);
	await stream.event("web_preview:attached");
});

test("an attach that waits delays nobody else", async (t) => {
	const d = await start(t);
	const server = await targets.http_server(t);
	const waiting = d.admin.attach("s1", { port: await free_port(), name: "never", wait_seconds: 2 });
	await d.probing(1);

	const order = [];
	waiting.then(() => order.push("waiting"));
	const other = await d.admin.attach("s1", { port: server.port });
	order.push("other");
	await waiting;

	assert.equal(other.status, 201);
	assert.deepEqual(order, ["other", "waiting"]);
});

test("nothing listening is refused when wait_seconds is over, and leaves nothing", async (t) => {
	const d = await start(t);
	const port = await free_port();

	const began = performance.now();
	const answer = await d.admin.attach("s1", { port, wait_seconds: 1 });
	const took = performance.now() - began;

	refused(answer, 424, "target_not_listening");
	assert.match(answer.json.detail, new RegExp(`${port}`));
	assert.ok(took >= 950 && took < 3000, `${took} ms`);
	assert.deepEqual(await listed(d, "s1"), []);
});

test("probe.budget is the wait of those who name none", async (t) => {
	const d = await start(t, { settings: { "probe.budget": "1s" } });
	const began = performance.now();
	refused(await d.admin.attach("s1", { port: await free_port() }), 424, "target_not_listening");
	assert.ok(performance.now() - began < 3000);
});

test("a listener that never accepts is target_not_accepting", async (t) => {
	const d = await start(t, { settings: { "probe.http_timeout": "1s" } });
	const server = await targets.deaf(t);
	refused(await d.admin.attach("s1", { port: server.port }), 424, "target_not_accepting");
});

test("a listener whose accept queue is full is target_not_accepting", async (t) => {
	const d = await start(t, { settings: { "probe.http_timeout": "1s" } });
	const server = await targets.deaf(t, 0);
	const first = http.get({ port: server.port, host: "127.0.0.1" });
	first.on("error", () => {});
	await once(first, "socket").then(([socket]) => once(socket, "connect"));

	refused(await d.admin.attach("s1", { port: server.port }), 424, "target_not_accepting");
	first.destroy();
});

test("a server that speaks first, and no HTTP, is target_not_http", async (t) => {
	const d = await start(t);
	const server = await targets.banner(t);
	refused(await d.admin.attach("s1", { port: server.port }), 424, "target_not_http");
});

test("a server that accepts and is silent is attached with the warning slow", async (t) => {
	const d = await start(t, { settings: { "probe.http_timeout": "1s" } });
	const server = await targets.silent(t);

	const answer = await d.admin.attach("s1", { port: server.port });

	assert.equal(answer.status, 201, answer.text);
	assert.deepEqual(answer.json.warnings.map((w) => w.code), ["slow"]);
	assert.equal(answer.json.probe.http_status, null);
});

test("a port that another session has attached is attached with the warning port_shared, and no word of whose", async (t) => {
	const d = await start(t);
	const server = await targets.http_server(t);
	const codes = async (...args) => (await d.admin.attach(...args)).json.warnings.map((w) => w.code);
	assert.deepEqual(await codes("first", { port: server.port }), []);
	assert.deepEqual(await codes("first", { port: server.port, name: "again" }), [], "its own session");
	const second = await d.admin.attach("second", { port: server.port, host: "localhost" });
	assert.deepEqual([second.status, second.json.warnings.map((w) => w.code)], [201, ["port_shared"]]);
	assert.match(second.json.warnings[0].detail, new RegExp(`another session has port ${server.port} attached`));
	assert.doesNotMatch(second.text, /first/);
	await d.admin.del(base("first"));
	assert.deepEqual(await codes("second", { port: server.port }), []);
});

for (const status of [500, 404, 401, 302, 503])
	test(`a server that answers ${status} is attached and says so`, async (t) => {
		const d = await start(t);
		const server = await targets.http_server(t, (req, res) => {
			res.statusCode = status;
			if (status === 302) res.setHeader("location", "http://192.0.2.1/elsewhere");
			res.end();
		});
		const answer = await d.admin.attach("s1", { port: server.port });
		assert.equal(answer.status, 201, answer.text);
		assert.equal(answer.json.probe.http_status, status);
		assert.equal(server.seen.length, 1, "no redirect is followed");
	});

test("a server on ::1 alone is found behind 127.0.0.1", async (t) => {
	const d = await start(t);
	const server = await targets.ipv6_only(t);

	const answer = await d.admin.attach("s1", { port: server.port });

	assert.equal(answer.status, 201, answer.text);
	assert.equal(answer.json.probe.address, "::1");
	assert.equal(answer.json.url, `http://localhost:${server.port}`);
	assert.equal(answer.json.status, "up");
});

for (const host of ["localhost", "::1"])
	test(`a server on 127.0.0.1 alone is found by ${host}`, async (t) => {
		const d = await start(t);
		const server = await targets.http_server(t);
		const answer = await d.admin.attach("s1", { port: server.port, host });
		assert.equal(answer.status, 201, answer.text);
		assert.equal(answer.json.url, `http://localhost:${server.port}`);
	});

for (const refusal of [405, 501])
	test(`a server that answers HEAD with ${refusal} is asked with GET`, async (t) => {
		const d = await start(t);
		const server = await targets.http_server(t, targets.without_head(refusal));

		const answer = await d.admin.attach("s1", { port: server.port });

		assert.equal(answer.status, 201, answer.text);
		assert.equal(answer.json.probe.http_status, 200);
		assert.equal(answer.json.probe.method, "GET");
		assert.deepEqual(server.seen.map((s) => s.split(" ")[0]), ["HEAD", "GET"]);
	});

test("a TLS server is target_is_tls, and attached by scheme https", async (t) => {
	const d = await start(t);
	const server = await targets.tls_server(t);

	const plain = await d.admin.attach("s1", { port: server.port });
	refused(plain, 424, "target_is_tls");
	assert.match(plain.json.detail, /"?scheme"?: "https"/);

	const answer = await d.admin.attach("s1", { port: server.port, scheme: "https" });
	assert.equal(answer.status, 201, answer.text);
	assert.equal(answer.json.url, `https://localhost:${server.port}`);
	assert.equal(answer.json.probe.http_status, 200);
});

test("scheme https at a plain server is target_not_http", async (t) => {
	const d = await start(t);
	const server = await targets.http_server(t);
	refused(await d.admin.attach("s1", { port: server.port, scheme: "https" }), 424, "target_not_http");
	assert.deepEqual(server.seen, []);
});

test("a proxy in the environment is not used", async (t) => {
	const proxy = await targets.http_server(t, targets.answering(502));
	const url = `http://127.0.0.1:${proxy.port}`;
	const d = await start(t, { env: { http_proxy: url, https_proxy: url, all_proxy: url, HTTP_PROXY: url, ALL_PROXY: url } });
	const server = await targets.http_server(t);

	const answer = await d.admin.attach("s1", { port: server.port });

	assert.equal(answer.json.probe?.http_status, 200, answer.text);
	assert.equal(server.seen.length, 1);
	assert.deepEqual(proxy.seen, []);
});

test("an endless answer is not read to its end", async (t) => {
	const d = await start(t);
	let sent = 0;
	const server = await targets.http_server(t, (req, res) => {
		if (req.method === "HEAD") return targets.answering(405)(req, res);
		const more = () => {
			while (!res.destroyed && sent < 256 << 20) {
				sent += 65536;
				if (!res.write(Buffer.alloc(65536))) return res.once("drain", more);
			}
			res.end();
		};
		more();
	});
	const answer = await d.admin.attach("s1", { port: server.port });
	assert.equal(answer.status, 201, answer.text);
	assert.ok(sent < 64 << 20, `${sent} bytes`);
});

test("without health_check nobody asks the port", async (t) => {
	const d = await start(t);
	const port = await free_port();
	const answer = await d.admin.attach("s1", { port, health_check: false });
	assert.equal(answer.status, 201, answer.text);
	assert.equal(answer.json.probe, null);
	assert.equal(answer.json.status, "down");
});

for (const [what, body] of [
	["a port below 1024", { port: 80 }],
	["a host that is not loopback", { port: 8080, host: "192.0.2.1" }],
	["a host by name", { port: 8080, host: "example.com" }],
	["the address of clouds' metadata", { port: 8080, host: "169.254.169.254" }],
	["a host that only begins like loopback", { port: 8080, host: "localhost.example.com" }],
	["the loopback of another family's notation", { port: 8080, host: "::ffff:192.0.2.1" }],
])
	test(`${what} is target_not_allowed`, async (t) => {
		const d = await start(t);
		for (const health_check of [true, false])
			refused(await d.admin.attach("s1", { ...body, health_check }), 403, "target_not_allowed");
	});

test("previewd's own port is target_not_allowed, by any name of loopback", async (t) => {
	const d = await start(t);
	for (const host of ["127.0.0.1", "localhost", "::1"])
		refused(await d.admin.attach("s1", { port: d.port, host, health_check: false }), 403, "target_not_allowed");
});

test("preview.allow_ports and preview.allow_hosts widen and narrow", async (t) => {
	const d = await start(t, { settings: { "preview.allow_ports": "3000-3999", "preview.allow_hosts": "10.0.0.0/8,*.internal" } });
	const attach = async (body) => (await d.admin.attach("s1", { name: "x", health_check: false, ...body })).status;
	assert.equal(await attach({ port: 3000, host: "10.1.2.3" }), 201);
	assert.equal(await attach({ port: 3999, host: "a.internal" }), 200);
	assert.equal(await attach({ port: 4000, host: "10.1.2.3" }), 403);
	assert.equal(await attach({ port: 3000, host: "11.0.0.1" }), 403);
	assert.equal(await attach({ port: 3000, host: "127.0.0.1" }), 403);
});

test("a client that leaves while its attach waits attaches nothing", async (t) => {
	const d = await start(t);
	const port = await free_port();
	const agent = new http.Agent();
	const gone = d.admin.attach("s1", { port }, { agent }).catch((e) => e);
	await d.probing(1);
	agent.destroy();
	assert.ok((await gone) instanceof Error);

	await d.probing(0);
	await targets.http_server(t, undefined, { port });
	assert.deepEqual(await listed(d, "s1"), []);
});

test("preview.listener_owner = same asks that the server is the session's user's", { skip: !is_root && "needs root, to be another user" }, async (t) => {
	const d = await start(t, { settings: { "preview.listener_owner": "same" } });
	const server = await targets.http_server(t);
	await d.admin.put(base("mine"), { user_id: "root" });
	await d.admin.put(base("theirs"), { user_id: "nobody" });
	await d.admin.put(base("unknown"), { user_id: "not-a-login" });
	refused(await d.admin.attach("theirs", { port: server.port }), 403, "target_not_allowed");
	refused(await d.admin.attach("unknown", { port: server.port }), 403, "target_not_allowed");
	assert.equal((await d.admin.attach("mine", { port: server.port })).status, 201);
});

test("200 attaches that wait for their servers cost no busy loop", async (t) => {
	const d = await start(t, { settings: { "limits.probes_per_user": "200" } });
	const port = await free_port();
	const waiting = Array.from({ length: 200 }, (_, i) => d.admin.attach("s1", { port, name: `p${i}`, wait_seconds: 3 }));
	await d.probing(200);
	const used = () => fs.readFileSync(`/proc/${d.child.pid}/stat`, "utf8").split(") ")[1].split(" ").slice(11, 13).reduce((a, b) => a + Number(b), 0) / 100;
	const before = used();
	await Promise.all(waiting);
	const spent = used() - before;
	assert.ok(spent < 0.6, `${spent} s of CPU in 3 s`);
});
