// SPDX-License-Identifier: MIT
//
// How it is run: starting, being told and watched by a service manager, reloading, draining.
import assert from "node:assert/strict";
import fs from "node:fs";
import http from "node:http";
import net from "node:net";
import path from "node:path";
import test from "node:test";

import { Api, Child, Daemon, base, blind, defer, fixtures, free_port, have, previewctl, previewd, raw, run, start, temp_dir, until, within } from "./harness.mjs";
import * as events from "./events.mjs";
import * as targets from "./targets.mjs";

test("it says where it listens, is healthy and ready, and SIGTERM ends it with 0", async (t) => {
	const d = await start(t);
	for (const target of ["/healthz", "/readyz"]) {
		const answer = await d.anonymous.get(target);
		assert.deepEqual([answer.status, answer.text], [200, "ok\n"]);
		assert.match(answer.type, /^text\/plain/);
	}
	const { status, version, uptime_seconds } = (await d.anonymous.get("/healthz?verbose=1")).json;
	assert.equal(status, "ok");
	assert.match(version, /^\d+\.\d+/);
	assert.ok(uptime_seconds >= 0);
	assert.deepEqual(await d.stop(), { code: 0, signal: null });
	assert.equal(fs.existsSync(d.socket), false, "its socket is gone");
});

test("SIGINT ends it too", async (t) => {
	const d = await start(t);
	d.child.signal("SIGINT");
	assert.equal((await d.child.exited).code, 0);
});

test("after kill -9 the stale socket is replaced", async (t) => {
	const d = await start(t);
	await d.kill();
	assert.equal(fs.existsSync(d.socket), true);
	await d.start();
	assert.equal((await d.local.get("/healthz")).status, 200);
});

test("a socket path that is something else is left alone", async (t) => {
	const d = new Daemon(t);
	fs.writeFileSync(d.socket, "precious");
	const child = d.spawn();
	assert.notEqual((await child.exited).code, 0);
	assert.match(child.stderr.text, /previewd\.sock/);
	assert.equal(fs.readFileSync(d.socket, "utf8"), "precious");
});

test("an address in use is refused with a sentence", async (t) => {
	const d = await start(t);
	const other = new Daemon(t, { args: ["--listen", `127.0.0.1:${d.port}`] });
	const child = other.spawn();
	const { code } = await child.exited;
	assert.notEqual(code, 0);
	assert.match(child.stderr.text, new RegExp(`${d.port}.*in use`, "i"));
});

test("SIGTERM drains: waiting attaches are told, streams closed with 1001, exit 0", async (t) => {
	const d = await start(t);
	const stream = await events.join(d, "s1");
	const waiting = d.admin.attach("s1", { port: await free_port(), wait_seconds: 100 });
	await d.probing(1);

	d.child.signal("SIGTERM");

	const answer = await waiting;
	assert.equal(answer.status, 503, answer.text);
	assert.equal(answer.json.code, "draining");
	assert.equal((await stream.end()).code, 1001);
	assert.deepEqual(await within(d.child.exited, "its end"), { code: 0, signal: null });
});

test("while it drains /readyz is 503, and a request whose head was under way is still answered", async (t) => {
	const d = await start(t);
	const stream = await events.join(d, "s1");
	const socket = net.connect(d.port, "127.0.0.1");
	const chunks = [];
	socket.on("data", (c) => chunks.push(c));
	socket.on("error", () => {});
	const closed = new Promise((resolve) => socket.on("close", resolve));
	socket.write("GET /readyz HTTP/1.1\r\nHost: localhost\r\n");
	// An answer on another connection says that the loop has seen what came before.
	await d.anonymous.get("/healthz");

	d.child.signal("SIGTERM");
	await stream.end();
	socket.write("\r\n");

	await within(closed, "the connection's end");
	const text = Buffer.concat(chunks).toString();
	assert.match(text, /^HTTP\/1\.1 503 /);
	assert.match(text, /"code":\s*"draining"/);
	assert.match(text, /^connection: close/im);
	assert.equal((await within(d.child.exited, "its end")).code, 0);
});

test("a client that sends no more does not hold the end up beyond server.drain_timeout", async (t) => {
	const d = await start(t, { settings: { "server.drain_timeout": "1s" } });
	const socket = net.connect(d.port, "127.0.0.1");
	socket.on("error", () => {});
	socket.write(`POST ${base("s1")}/previews HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${d.admin_token}\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n{`);
	await d.anonymous.get("/healthz");
	d.child.signal("SIGTERM");
	assert.equal((await within(d.child.exited, "its end", 5000)).code, 0);
	socket.destroy();
});

test("SIGHUP takes over new settings, and keeps the old where the new are wrong", async (t) => {
	const d = await start(t, { file: "[limits]\nper_session = 2\n" });
	const limit = async () => (await d.admin.get("/health/web_preview")).json.limits.per_session;
	assert.equal(await limit(), 2);
	await d.admin.attach("s1", blind({ name: "a" }));
	await d.admin.attach("s1", blind({ name: "b" }));
	assert.equal((await d.admin.attach("s1", blind({ name: "c" }))).status, 409);

	fs.writeFileSync(d.config, "[limits]\nper_session = 3\n");
	d.child.signal("SIGHUP");
	assert.ok(await d.child.stderr.match(/reloaded/));
	assert.equal(await limit(), 3);
	assert.equal((await d.admin.attach("s1", blind({ name: "c" }))).status, 201);

	const seen = d.child.stderr.all.length;
	fs.writeFileSync(d.config, "[limits]\nper_session = many\n");
	d.child.signal("SIGHUP");
	assert.ok(await d.child.stderr.match(/previewd\.conf:2.*per_session|per_session.*previewd\.conf:2/, seen));
	assert.equal(await limit(), 3);

	fs.writeFileSync(d.config, "[preview]\npublic_url_template = http://{nonsense}/\n");
	d.child.signal("SIGHUP");
	assert.ok(await d.child.stderr.match(/nonsense/, seen));
	assert.equal(await limit(), 3);
	assert.equal((await d.admin.list("s1")).length, 3);
});

test("a setting that is wrong is refused at start, with file and line; an unknown one is a warning", async (t) => {
	const wrong = new Daemon(t, { file: "[limits]\n\nper_session = -1\n" });
	const child = wrong.spawn();
	assert.notEqual((await child.exited).code, 0);
	assert.match(child.stderr.text, /previewd\.conf:3/);

	const unknown = await start(t, { file: "[limits]\nper_sesion = 3\n" });
	assert.match(unknown.child.stderr.text, /per_sesion/);
});

test("command line before environment before file before default", async (t) => {
	const d = new Daemon(t, { file: "[limits]\nper_session = 2\nper_user = 22\n[log]\nlevel = warning\n" });
	const env = { ...d.environment(), PREVIEWD_LIMITS_PER_SESSION: "3", PREVIEWD_LIMITS_PER_USER: "33" };
	const argv = [previewd(), "--config", d.config, "-o", "limits.per_session=4", "--print-config"];
	const { code, stdout, stderr } = await run(t, argv, { env });
	assert.equal(code, 0, stderr);
	const source = (line) => stdout.split("\n").at(stdout.split("\n").indexOf(line) - 1);
	assert.match(source("per_session = 4"), /command line/);
	assert.match(source("per_user = 33"), /PREVIEWD_LIMITS_PER_USER|environment/);
	assert.match(source("level = warning"), /previewd\.conf/);
	assert.match(source("tokens_per_session = 20"), /default/);
});

test("config print --json says of each value where it comes from", async (t) => {
	const d = new Daemon(t, { file: "[limits]\nper_session = 2\n" });
	const argv = [previewctl(), "config", "print", d.config, "--json"];
	const { code, stdout, stderr } = await run(t, argv, { env: { ...d.environment(), PREVIEWD_LIMITS_PER_USER: "33" } });
	assert.equal(code, 0, stderr);
	const settings = JSON.parse(stdout);
	assert.deepEqual(settings["limits.per_session"], { value: "2", source: "file", file: d.config, line: 2 });
	assert.deepEqual(settings["limits.per_user"], { value: "33", source: "environment" });
	assert.deepEqual(settings["limits.tokens_per_session"], { value: "20", source: "default" });
});

test("it tells its service manager READY, RELOADING and STOPPING", async (t) => {
	const socket = path.join(temp_dir(t), "notify");
	const manager = new Child(t, ["python3", path.join(fixtures, "notified.py"), socket]);
	await manager.stdout.match(/^bound$/);
	const d = await start(t, { env: { NOTIFY_SOCKET: socket } });
	assert.ok(await manager.stdout.match(/READY=1/));
	const seen = manager.stdout.all.length;
	d.child.signal("SIGHUP");
	assert.ok(await manager.stdout.match(/RELOADING=1.*MONOTONIC_USEC=\d+/, seen));
	assert.ok(await manager.stdout.match(/READY=1/, seen + 1));
	await d.stop();
	assert.ok(await manager.stdout.match(/STOPPING=1/));
});

test("the watchdog is fed in half of its time", async (t) => {
	const socket = path.join(temp_dir(t), "notify");
	const manager = new Child(t, ["python3", path.join(fixtures, "notified.py"), socket]);
	await manager.stdout.match(/^bound$/);
	await start(t, { env: { NOTIFY_SOCKET: socket, WATCHDOG_USEC: "400000" } });
	assert.ok(await manager.stdout.match(/WATCHDOG=1/));
	assert.ok(await manager.stdout.match(/WATCHDOG=1/, manager.stdout.all.length));
});

test("sockets handed over by the service manager are served, and never a target", async (t) => {
	const d = new Daemon(t);
	const unix = path.join(d.dir, "handed.sock");
	d.wrap = ["python3", path.join(fixtures, "activate.py"), unix];
	const child = d.spawn();
	const [, port] = await child.stdout.match(/^(\d+)$/);
	const local = new Api({ socketPath: unix });
	defer(t, () => local.close());
	const tcp = new Api({ port: Number(port) });
	defer(t, () => tcp.close());

	// Connections wait in the sockets until it has started.
	assert.equal((await local.get("/healthz")).status, 200);
	assert.equal((await tcp.get("/healthz")).status, 200);
	assert.equal((await local.attach("s1", blind())).status, 201);
	assert.equal((await local.attach("s1", blind({ name: "x", port: Number(port) }))).json.code, "target_not_allowed");
	assert.equal(fs.existsSync(d.socket), false, "its own socket is not made beside them");
	child.signal("SIGTERM");
	assert.equal((await within(child.exited, "its end")).code, 0);
	assert.equal(fs.existsSync(unix), true, "the manager's socket is the manager's");
});

test("logs are JSON objects where that is wanted", async (t) => {
	const d = new Daemon(t, { settings: { "log.format": "json", "log.level": "debug" } });
	const child = d.spawn();
	await until(() => child.stderr.all.some((l) => l.includes("listening on unix:")), "it listens");
	child.signal("SIGTERM");
	await child.exited;
	for (const line of child.stderr.all) assert.equal(typeof JSON.parse(line), "object", line);
});

const sample = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(\{[^}]*\})? (-?[0-9.e+-]+|\+Inf|NaN)$/;

function families(text) {
	const types = new Map();
	for (const line of text.split("\n").filter((l) => l && l !== "# EOF")) {
		const type = /^# TYPE (\S+) (counter|gauge|histogram|info|unknown|untyped|summary)$/.exec(line);
		if (type) {
			assert.ok(!types.has(type[1]), `${type[1]} twice`);
			types.set(type[1], type[2]);
		} else if (!/^# (HELP|UNIT) /.test(line)) {
			const m = sample.exec(line);
			assert.ok(m, `no sample: ${line}`);
			const family = [...types.keys()].find((n) => m[1] === n || (m[1].startsWith(n) && /^_(total|bucket|sum|count|info|created)$/.test(m[1].slice(n.length))));
			assert.ok(family, `no TYPE before ${line}`);
			if (m[2]) assert.doesNotMatch(m[2], /session|secret/);
		}
	}
	return types;
}

test("/metrics are of the form asked for, count what happened, and name no session", async (t) => {
	const d = await start(t);
	await d.admin.attach("secret-session", blind());
	await d.admin.attach("secret-session", { port: 80 });

	const plain = await d.admin.get("/metrics");
	assert.match(plain.type, /^text\/plain; version=0\.0\.4/);
	const types = families(plain.text);
	for (const [name, type] of types) if (type === "counter") assert.match(name, /_total$/);
	assert.ok(!plain.text.includes("secret-session"));
	assert.match(plain.text, /^previewd_attachments 1$/m);
	assert.match(plain.text, /^previewd_attaches_total 1$/m);
	assert.match(plain.text, /^previewd_attach_failures_total 1$/m);
	assert.match(plain.text, /^previewd_build_info\{version="[^"]+"\} 1$/m);
	assert.match(plain.text, /^process_resident_memory_bytes \d+/m);

	const open = await d.admin.get("/metrics", { headers: { accept: "application/openmetrics-text; version=1.0.0" } });
	assert.match(open.type, /^application\/openmetrics-text; version=1\.0\.0/);
	assert.ok(open.text.endsWith("# EOF\n"));
	families(open.text);

	await d.admin.detach("secret-session");
	assert.equal(await d.metric("previewd_attachments"), 0);
	assert.equal(await d.metric("previewd_detaches_total"), 1);
	assert.equal((await d.anonymous.get("/metrics")).status, 401);
});

test("metrics.public answers without a credential", async (t) => {
	const d = await start(t, { settings: { "metrics.public": "yes" } });
	assert.equal((await d.anonymous.get("/metrics")).status, 200);
});

test("/health/web_preview counts by type and user", async (t) => {
	const d = await start(t);
	await d.admin.put(base("s1"), { user_id: "ada" });
	await d.admin.put(base("s2"), { user_id: "bob" });
	await d.admin.attach("s1", blind({ name: "a" }));
	await d.admin.attach("s1", blind({ name: "b" }));
	await d.admin.attach("s2", blind({ port: 6000 }));
	const { json } = await d.admin.get("/health/web_preview");
	assert.equal(json.status, "ok");
	assert.equal(json.count, 3);
	assert.deepEqual(json.by_type, { proxy: 3, published: 0, bundled: 0 });
	assert.deepEqual(json.by_user, { ada: 2, bob: 1 });
	assert.equal(json.session_count, 2);
	assert.deepEqual(json.limits, { per_session: 5, per_user: 20 });
});

test("after a restart the previews are held against what listens", async (t) => {
	const d = await start(t);
	const server = await targets.http_server(t);
	await d.admin.attach("s1", { port: server.port, name: "stays" });
	const other = await targets.http_server(t);
	await d.admin.attach("s1", { port: other.port, name: "goes" });
	await d.kill();
	await other.close_now();
	await d.start();
	const status = Object.fromEntries((await d.admin.list("s1")).map((p) => [p.name, p.status]));
	assert.deepEqual(status, { stays: "up", goes: "down" });
});

test("a connection that sends nothing is closed after server.header_timeout, others go on", async (t) => {
	const d = await start(t, { settings: { "server.header_timeout": "1s" } });
	const socket = net.connect(d.port, "127.0.0.1");
	socket.on("error", () => {});
	socket.resume();
	const closed = new Promise((resolve) => socket.on("close", resolve));
	socket.write("GET / HT");
	assert.equal((await d.anonymous.get("/healthz")).status, 200);
	await within(closed, "the close", 5000);
});

test("more connections than server.connections_max are told so", async (t) => {
	const d = await start(t, { settings: { "server.connections_max": "2" } });
	const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
	defer(t, () => agent.destroy());
	const other = new http.Agent({ keepAlive: true, maxSockets: 1 });
	defer(t, () => other.destroy());
	// attaches that wait for a server: whoever waits for an answer does not give way
	const attach = (session, port, agent) => d.admin.attach(session, { port, wait_seconds: 60 }, { agent }).catch(() => {});
	const probing = async (agent) => / 1$/m.exec((await d.admin.get("/metrics", { agent })).text.match(/^previewd_probes .*/m)[0]);
	const waiting = [attach("s0", 1024, agent)];
	await until(() => probing(other), "the first waits");
	waiting.push(attach("s1", 1025, other));
	const third = new http.Agent();
	await until(async () => (await d.anonymous.get("/healthz", { agent: third }).catch(() => ({}))).status === 503, "there is no room");
	other.destroy();
	await until(async () => (await d.anonymous.get("/healthz", { agent: third }).catch(() => ({}))).status === 200, "a place is free");
	agent.destroy();
	await Promise.all(waiting);
});

test("it listens on ::1 too, and on no unix socket where none is wanted", async (t) => {
	const d = new Daemon(t, { args: ["--listen", "[::1]:0", "--socket", "none"] });
	const child = d.spawn();
	const [, port] = await child.stderr.match(/listening on http:\/\/\[::1\]:(\d+)/);
	const answer = await new Promise((resolve, reject) => http.get({ host: "::1", port, path: "/healthz" }, resolve).on("error", reject));
	assert.equal(answer.statusCode, 200, "[::1] is among server.allowed_hosts");
	answer.resume();
	assert.equal(fs.existsSync(d.socket), false);
	child.signal("SIGTERM");
	assert.equal((await within(child.exited, "its end")).code, 0);
});

test("out of descriptors it takes new connections for those that only wait", { skip: !have("prlimit") && "needs prlimit" }, async (t) => {
	const d = await start(t, { wrap: ["prlimit", "--nofile=40:40"] });
	assert.equal((await d.admin.attach("s1", blind())).status, 201);
	const crowd = await Promise.all(
		Array.from({ length: 60 }, () => {
			const socket = net.connect(d.port, "127.0.0.1");
			socket.on("error", () => {});
			return new Promise((resolve) => socket.once("connect", () => resolve(socket)));
		}),
	);
	assert.equal((await d.admin.attach("s1", blind({ name: "b" }), { agent: false })).status, 201);
	const { text } = await d.admin.get("/metrics", { agent: false });
	for (const name of ["accept_errors", "connections_displaced"]) assert.match(text, new RegExp(`^previewd_http_${name}_total [1-9]`, "m"));
	for (const socket of crowd) socket.destroy();
	await until(async () => (await d.anonymous.get("/healthz")).status === 200, "new connections are taken");
});

test("settings that are wrong are told by --check-config", async (t) => {
	const d = new Daemon(t, { file: "[limits]\nper_session = 5\n" });
	const check = (...more) => run(t, [previewd(), "--config", d.config, "--check-config", ...more], { env: d.environment() });
	assert.equal((await check()).code, 0);
	const wrong = await check("-o", "limits.per_session=x");
	assert.notEqual(wrong.code, 0);
	assert.match(wrong.stderr, /per_session/);
	assert.notEqual((await check("-o", "nonsense")).code, 0);

	// What previewd would refuse at its start is refused here, too, and by previewctl, with the line.
	const mistakes = {
		"[server]\nlisten = 7070": /:2: server\.listen: .*HOST:PORT.*not "7070"/,
		"[server]\npublic_base_url = preview.example.org": /:2: server\.public_base_url: must be an http or https URL/,
		"[server]\ntrusted_proxies = localhost": /:2: server\.trusted_proxies: must be a list of addresses or networks/,
		"[cors]\norigins = app.example.org": /:2: cors\.origins: must be a list of origins.*https:\/\/app\.example\.org/,
		"[preview]\npublic_url_template = https://{lable}.example.org": /:2: preview\.public_url_template: .*\{label\}/,
		"[publish]\nhost_template = pages.example.org": /:2: publish\.host_template: .*\{label\}/,
		"[publish]\nregistries = https://registry.example.org": /:2: publish\.registries: /,
		"[tasks]\nkill_url = example.org/end": /:2: tasks\.kill_url: must be an http or https URL/,
	};
	for (const [file, sentence] of Object.entries(mistakes)) {
		fs.writeFileSync(d.config, `${file}\n`);
		for (const argv of [[previewd(), "--config", d.config, "--check-config"], [previewd(), "--config", d.config], [previewctl(), "config", "check", d.config]]) {
			const told = await run(t, argv, { env: d.environment() });
			assert.match(told.stderr, sentence, file);
			assert.equal(told.code, argv[0] === previewd() ? 2 : 1, file);
		}
	}
	fs.writeFileSync(d.config, "[auth]\njwt_algorithm = HS256\n");
	const keyless = await run(t, [previewd(), "--config", d.config, "--listen", "127.0.0.1:0", "--state-dir", d.dir, "--socket", "none"], { env: d.environment() });
	assert.deepEqual([keyless.code, /jwt_key_file/.test(keyless.stderr)], [2, true]);
	assert.match((await run(t, [previewd(), "--version"], { env: d.environment() })).stdout, /^previewd \d/);
});

test("a connection kept alive without a request is closed after server.idle_timeout", async (t) => {
	const d = await start(t, { settings: { "server.idle_timeout": "1s" } });
	const socket = net.connect(d.port, "127.0.0.1");
	socket.on("error", () => {});
	const closed = new Promise((resolve) => socket.on("close", resolve));
	socket.write("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
	await new Promise((resolve) => socket.once("data", resolve));
	await within(closed, "the close", 5000);
});

test("a body that stops coming is 408 after server.body_timeout", async (t) => {
	const d = await start(t, { settings: { "server.body_timeout": "1s" } });
	const head = `PUT ${base("s1")} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${d.admin_token}\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\n{`;
	assert.match(await raw(d.port, head), /^HTTP\/1\.1 408 /);
	assert.equal((await d.admin.get(base("s1"))).status, 404);
});
