// SPDX-License-Identifier: MIT
//
// From one tenant to another, or to the machine, by what the daemon and the edge connect to: hosts in
// every spelling, names that lead elsewhere, redirects, ports of others, hosts of others' previews.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import dgram from "node:dgram";
import { once } from "node:events";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import test from "node:test";

import { Api, Child, base, blind, defer, free_port, is_root, start, temp_dir, until } from "./harness.mjs";
import { NOBODY, as_nobody } from "./isolation.mjs";
import * as targets from "./targets.mjs";

const B = base("s1");

test("attach: by default a host is loopback, in whatever spelling, or refused and not asked", async (t) => {
	const d = await start(t);
	const server = await targets.http_server(t, undefined, { host: "::" });
	const { port } = server;
	const to_us = ["127.0.0.1", "localhost", "LOCALHOST", "::1", "0.0.0.0", "::", "::ffff:127.0.0.1", "::ffff:7f00:1", "0:0:0:0:0:0:0:1"];
	const lan = Object.values(os.networkInterfaces()).flat().filter((i) => !i.internal && i.family === "IPv4").map((i) => i.address);
	const elsewhere = [
		"169.254.169.254", "metadata.google.internal", "metadata", "instance-data", "100.100.100.200", "fd00:ec2::254", "10.0.0.1", "172.16.0.1", "192.168.0.1", ...lan,
		"127.0.0.2", "127.1", "127.0.1", "2130706433", "0x7f000001", "0x7f.0.0.1", "0177.0.0.1", "017700000001", "127.0.0.01", "1", "0", "0x0",
		"2852039166", "0xa9fea9fe", "0251.0376.0251.0376", "169.254.43518",
		"127.0.0.1.", "localhost..", "127.0.0.1.nip.io", "localhost.example.org", "a.localhost.example.org", "localhost%00", "localhost\0",
		"[::1]", "[127.0.0.1]", "::1%lo", "fe80::1", "fe80::1%lo", "::ffff:169.254.169.254", "::169.254.169.254", "64:ff9b::a9fe:a9fe", "64:ff9b::7f00:1", "2002:7f00:1::1", "2002:a9fe:a9fe::",
		"user@127.0.0.1", "127.0.0.1@169.254.169.254", "127.0.0.1:80", "127.0.0.1/x", "127.0.0.1#x", "127.0.0.1?x", "http://127.0.0.1", "127.0.0.1\\@x", "127.0.0.1 x", " 127.0.0.1", "127.0.0.1\r\nHost: x",
		"①②⑦.⓪.⓪.①", "１２７.0.0.1", "ⅼocalhost", "127。0。0。1", "ſocalhost", "*", "*.localhost", "unix:/run/x", "", ".", "-",
	];
	for (const host of to_us) {
		const answer = await d.admin.attach("s1", { port, host });
		assert.ok(answer.status < 300, `${host}: ${answer.text}`);
		assert.equal(new URL(answer.json.url).hostname, "localhost", host);
	}
	const asked = server.seen.length;
	for (const health_check of [true, false])
		for (const host of elsewhere) {
			const answer = await d.admin.attach("s1", { port, host, health_check });
			assert.ok(["invalid_field", "target_not_allowed", "bad_json"].includes(answer.json?.code), `${host}: ${answer.text}`);
		}
	for (const refused of [0, 1, 22, 25, 80, 443, 1023, 65536, -1, 1.5, "5173", d.port])
		assert.ok(["invalid_field", "target_not_allowed"].includes((await d.admin.attach("s1", { port: refused })).json.code), `port ${refused}`);
	for (const bad of ["//\n", "x", "@evil", "/\r\nX: y", "/ x", ":80/"])
		assert.equal((await d.admin.attach("s1", { port, path: bad })).json.code, "invalid_field", JSON.stringify(bad));
	assert.equal(server.seen.length, asked, "nobody was asked for what was refused");
});

test("attach: the daemon's own port is its own at every address of this machine", async (t) => {
	const lan = Object.values(os.networkInterfaces()).flat().filter((i) => !i.internal).map((i) => i.address).find((a) => !a.startsWith("fe80"));
	const d = await start(t, { settings: { "preview.allow_hosts": `0.0.0.0/0,::/0,localhost,*.localhost` } });
	for (const host of ["127.0.0.1", "127.0.0.2", "::1", "::ffff:127.0.0.1", "localhost", "x.localhost", ...(lan ? [lan] : [])])
		for (const health_check of [true, false])
			assert.equal((await d.admin.attach("s1", { port: d.port, host, health_check })).json.code, "target_not_allowed", host);
});

test("probe: redirects are not followed, whatever is said with them", async (t) => {
	const d = await start(t);
	const victim = await targets.http_server(t);
	for (const [status, head] of [[301], [302], [303], [307], [308], [300], [302, 405], [200], [201]]) {
		const server = await targets.http_server(t, (req, res) => {
			const to = `http://127.0.0.1:${victim.port}/admin`;
			res.writeHead(req.method === "HEAD" && head ? head : status, { location: to, refresh: `0; url=${to}`, link: `<${to}>; rel=preload`, "alt-svc": `h2="127.0.0.1:${victim.port}"; ma=1`, "content-location": to });
			res.end();
		});
		const answer = await d.admin.attach("s1", { port: server.port });
		assert.equal(answer.json.probe.http_status, status, answer.text);
	}
	assert.deepEqual(victim.seen, []);
});

/*
 * A name server of our own, and the daemon in a mount namespace where that is the one that is asked.
 * `zone`: name → addresses, or a function of how often it was asked.
 */
const NAME_SERVER = "127.77.0.1";

function answer_of(query, addresses) {
	const end = query.indexOf(0, 12) + 5;
	const wanted = query.readUInt16BE(end - 4);
	const records = addresses
		.map((a) => (a.includes(":") ? [28, Buffer.from(a.split(":").map((h) => h.padStart(4, "0")).join(""), "hex")] : [1, Buffer.from(a.split(".").map(Number))]))
		.filter(([type]) => type === wanted)
		.map(([type, data]) => Buffer.concat([Buffer.from([0xc0, 12, 0, type, 0, 1, 0, 0, 0, 0, 0, data.length]), data]));
	const head = Buffer.from(query.subarray(0, 12));
	head.writeUInt16BE(0x8180, 2);
	head.writeUInt16BE(records.length, 6);
	head.fill(0, 8);
	return Buffer.concat([head, query.subarray(12, end), ...records]);
}

function name_of(query) {
	const labels = [];
	for (let at = 12; query[at]; at += query[at] + 1) labels.push(query.toString("latin1", at + 1, at + 1 + query[at]));
	return labels.join(".").toLowerCase();
}

async function name_server(t, zone) {
	const asked = {};
	const socket = dgram.createSocket("udp4");
	socket.on("message", (query, from) => {
		const name = name_of(query);
		const is_a = query.readUInt16BE(query.indexOf(0, 12) + 1) === 1;
		if (is_a) asked[name] = (asked[name] ?? 0) + 1;
		const found = typeof zone[name] === "function" ? zone[name](asked[name] ?? 1) : (zone[name] ?? []);
		socket.send(answer_of(query, found), from.port, from.address);
	});
	socket.bind(53, NAME_SERVER);
	await once(socket, "listening");
	defer(t, () => new Promise((resolve) => socket.close(resolve)));
	return asked;
}

// Puts files over those of the machine, for what is run behind it.
function with_files(t, files) {
	const dir = temp_dir(t);
	const mounts = Object.entries(files).map(([over, text], i) => {
		fs.writeFileSync(path.join(dir, `${i}`), text);
		return `mount --bind ${dir}/${i} ${over}`;
	});
	return ["unshare", "-m", "sh", "-c", `${mounts.join(" && ")} && exec "$@"`, "sh"];
}

const resolver = { "/etc/resolv.conf": `nameserver ${NAME_SERVER}\noptions timeout:5 attempts:2\n`, "/etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: dns\n" };

async function why_no_names() {
	if (!is_root) return "needs root, for a name server";
	if (!fs.existsSync("/etc/nsswitch.conf") || !fs.existsSync("/etc/resolv.conf")) return "there is no resolver to set";
	const tried = spawnSync("unshare", ["-m", "mount", "--bind", "/etc/nsswitch.conf", "/etc/resolv.conf"]);
	if (tried.status !== 0) return "a mount namespace cannot be had here";
	const socket = dgram.createSocket("udp4");
	const bound = new Promise((resolve) => socket.once("listening", () => resolve(true)).once("error", () => resolve(false)));
	socket.bind(53, NAME_SERVER);
	if (!(await bound)) return `${NAME_SERVER}:53 cannot be had here`;
	await new Promise((resolve) => socket.close(resolve));
	return false;
}

const no_names = await why_no_names();

test("attach by name: an address that is not allowed itself is not connected to, nor one that comes later", { skip: no_names }, async (t) => {
	const server = await targets.http_server(t, undefined, { host: "127.0.0.1" });
	const special = {
		"metadata.dev.test": ["169.254.169.254"],
		"self.dev.test": ["127.0.0.1"],
		"other-loopback.dev.test": ["127.0.0.2"],
		"any.dev.test": ["0.0.0.0"],
		"mapped.dev.test": ["0:0:0:0:0:ffff:7f00:1"],
		"six.dev.test": ["0:0:0:0:0:0:0:1"],
		"nat64.dev.test": ["64:ff9b:0:0:0:0:a9fe:a9fe"],
		"six-to-four.dev.test": ["2002:7f00:1:0:0:0:0:1"],
		"link.dev.test": ["fe80:0:0:0:0:0:0:1"],
		"alibaba.dev.test": ["100.100.100.200"],
	};
	const zone = { ...special, "changes.dev.test": (n) => (n === 1 ? ["127.0.0.1"] : ["169.254.169.254"]), "two.dev.test": ["127.0.0.1", "127.0.0.1"] };
	const asked = await name_server(t, zone);
	const wrap = with_files(t, resolver);
	const strict = await start(t, { wrap, settings: { "preview.allow_hosts": "*.dev.test" } });
	for (const host of Object.keys(special)) {
		const answer = await strict.admin.attach("s1", { port: server.port, host, wait_seconds: 1 });
		assert.deepEqual([answer.status, answer.json.code], [403, "target_not_allowed"], `${host}: ${answer.text}`);
		assert.doesNotMatch(answer.text, /\d+\.\d+\.\d+\.\d+|::/, "where it leads is not told");
	}
	assert.deepEqual(server.seen, []);
	assert.equal(asked["metadata.dev.test"] >= 1, true, "it was looked up");

	const settings = { "preview.allow_hosts": "*.dev.test,127.0.0.1", "server.trusted_proxies": "127.0.0.1", "preview.public_url_template": "https://{label}.preview.localhost", "edge.visibility": "unlisted" };
	const d = await start(t, { wrap, settings });
	const upstream = async (label) => (await d.anonymous.get("/edge/verify", { headers: { "x-forwarded-host": `${label}.preview.localhost`, "x-forwarded-proto": "https" } })).headers["x-previewd-upstream"];
	assert.equal((await d.admin.attach("s1", { port: d.port, host: "self.dev.test" })).json.code, "target_not_allowed", "the daemon's own port");
	assert.equal((await d.admin.attach("s1", { port: server.port, host: "metadata.dev.test" })).json.code, "target_not_allowed");

	const made = await d.admin.attach("s1", { port: server.port, host: "changes.dev.test" });
	assert.equal(made.status, 201, made.text);
	assert.equal(made.json.probe.address, "127.0.0.1");
	assert.equal(await upstream(made.json.label), `127.0.0.1:${server.port}`);
	await d.admin.get(`${B}/previews/default/why`);
	assert.equal(await upstream(made.json.label), `127.0.0.1:${server.port}`, "and stays there");
	assert.equal(asked["changes.dev.test"], 1, "it is looked up once");
	assert.equal((await d.admin.attach("s1", { name: "two", port: server.port, host: "two.dev.test" })).json.probe.address, "127.0.0.1");

	// Where nobody has looked, the proxy would: it is sent nowhere.
	const blindly = (await d.admin.attach("s1", { name: "blind", port: server.port, host: "changes.dev.test", health_check: false })).json;
	assert.equal(await upstream(blindly.label), undefined);
	assert.equal(asked["changes.dev.test"], 1);
});

test("listener_owner = same: another's server on the port, in the other family too, is no preview of mine", { skip: !is_root && "needs root, to be another user" }, async (t) => {
	const d = await start(t, { settings: { "preview.listener_owner": "same", "server.socket_mode": "0666" } });
	fs.chmodSync(d.dir, 0o755);
	const peer = new Api({ socketPath: d.socket });
	d.apis.push(peer);
	const attach = (body) => as_nobody(() => peer.post(`${base("mine")}/previews`, body));
	const nobodys = async (host, port) => {
		const child = new Child(t, [process.execPath, "-e", `require("http").createServer((q, r) => r.end("mine")).listen({ port: ${port}, host: "${host}", ipv6Only: true }, () => console.log("listens"))`], { uid: NOBODY, gid: NOBODY, cwd: "/" });
		assert.ok(await child.stdout.match(/listens/), child.stderr.text);
		return child;
	};
	const roots = await targets.http_server(t);
	for (const body of [{}, { host: "::1" }, { host: "localhost" }, { health_check: false }])
		assert.equal((await attach({ port: roots.port, ...body })).json.code, "target_not_allowed", JSON.stringify(body));
	await nobodys("::1", roots.port); // root has it at 127.0.0.1
	for (const body of [{}, { host: "::1" }, { host: "localhost" }, { health_check: false }, { host: "::1", health_check: false }])
		assert.equal((await attach({ port: roots.port, ...body })).json.code, "target_not_allowed", JSON.stringify(body));
	assert.deepEqual(await as_nobody(async () => (await peer.get(`${base("mine")}/previews`)).json?.previews ?? []), []);

	const port = await free_port();
	const own = await nobodys("127.0.0.1", port);
	assert.equal((await attach({ port })).status, 201);
	const preview = async () => (await d.local.get(`${base("mine")}/previews/default`)).json;
	await own.kill();
	await until(async () => (await preview()).status === "down", "it is down");
	await targets.http_server(t, undefined, { port });
	assert.equal((await preview()).status, "down", "another's server doesn't bring it back");
});

test("the edge: a pass, a link or a code is for its own host, and for nothing else", async (t) => {
	const suffix = "preview.example.org";
	const d = await start(t, { settings: { "server.trusted_proxies": "127.0.0.1", "preview.public_url_template": `https://{label}.${suffix}`, "server.allowed_hosts": "127.0.0.1,localhost" } });
	const server = await targets.http_server(t);
	const labels = [];
	for (const [session, user_id] of [["hers", "ada"], ["his", "bob"]]) {
		await d.local.put(base(session), { user_id });
		labels.push((await d.local.post(`${base(session)}/previews`, { port: session === "hers" ? server.port : server.port + 1, health_check: false })).json.label);
	}
	const [hers, his] = labels;
	const verify = (label, headers = {}) => d.anonymous.get("/edge/verify", { headers: { "x-forwarded-host": `${label}.${suffix}`, "x-forwarded-proto": "https", "x-forwarded-method": "GET", "x-forwarded-uri": "/", ...headers } });
	const link = async (session) => new URL((await d.local.post(`${base(session)}/previews/default/link`, {})).json.url);
	const theirs = await link("hers");
	const uri = theirs.pathname + theirs.search;

	// The link at another host does nothing, and is not used up by that.
	for (const label of [his, "none", hers.slice(0, -1), `${hers}x`]) assert.equal((await verify(label, { "x-forwarded-uri": uri })).status, 401, label);
	assert.equal((await d.anonymous.post("/ui/exchange", { code: theirs.searchParams.get("code") })).json.code, "code_invalid");
	const opened = await verify(hers, { "x-forwarded-uri": uri });
	assert.equal(opened.status, 302, opened.text);
	assert.equal((await verify(hers, { "x-forwarded-uri": uri })).status, 401, "once");
	const cookie = opened.headers["set-cookie"][0].split(";")[0];
	assert.equal((await verify(hers, { cookie })).headers["x-previewd-upstream"], `127.0.0.1:${server.port}`);

	const [name, pass] = cookie.split("=");
	const [expiry, signature] = pass.split(".");
	const rows = {
		"at another's host": [his, cookie],
		"at no host": ["none", cookie],
		"later than it ends": [hers, `${name}=${Number(expiry) + 1}.${signature}`],
		"earlier": [hers, `${name}=1.${signature}`],
		"with a sign": [hers, `${name}=+${expiry}.${signature}`],
		"with zeros": [hers, `${name}=0${expiry}.${signature}`],
		"without a signature": [hers, `${name}=${expiry}.`],
		"with another's signature": [hers, `${name}=${expiry}.${"0".repeat(signature.length)}`],
		"in capitals": [hers, `${name}=${expiry}.${signature.toUpperCase()}`],
		"under the name without TLS": [hers, `previewd-edge=${pass}`],
		"a session's token": [hers, `${name}=${(await d.local.post(`${base("hers")}/tokens`, { scopes: ["view"] })).json.token}`],
		"the admin's token": [hers, `${name}=${d.admin_token}`],
	};
	for (const [what, [label, shown]] of Object.entries(rows)) {
		const answer = await verify(label, { cookie: shown });
		assert.equal(answer.status, 401, what);
		assert.equal(answer.headers["x-previewd-upstream"], undefined, what);
	}
	// Whether there is a preview of that name is told to who may see it alone.
	const [there, not_there] = [await verify(his), await verify("n".repeat(his.length))];
	for (const answer of [there, not_there]) for (const volatile of ["date", "x-request-id"]) delete answer.headers[volatile];
	assert.deepEqual([there.status, there.text, there.headers], [not_there.status, not_there.text, not_there.headers]);
	// and it is no credential of the API's
	for (const headers of [{ cookie }, { authorization: `Bearer ${pass}` }]) assert.equal((await d.anonymous.get(base("hers"), { headers })).status, 401);

	// What was detached is let through by nothing.
	await d.local.del(`${base("hers")}/previews/default`);
	assert.equal((await verify(hers, { cookie })).status, 403);
	await d.local.post(`${base("his")}/previews`, blind({ name: "next", port: server.port }));
	assert.equal((await verify(hers, { cookie })).status, 403, "nor by who has the port next");
});
