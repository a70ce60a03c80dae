// SPDX-License-Identifier: MIT
//
// The daemon behind the real nginx and the real Caddy, asked what makes servers disagree about where
// a request ends.  The proxy puts a secret into each request that it hands on; between the two a tap
// writes down what goes over each connection.  A request without the secret is a smuggled one; fewer
// requests than secrets, and one was swallowed by the body before it.
//
//	PREVIEWD=build/previewd PARSE_ONE=build/tests/fuzz/parse-one node --test tests/interop/smuggling.test.mjs
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import crypto from "node:crypto";
import { once } from "node:events";
import net from "node:net";
import test from "node:test";

import { defer, free_port, have, start, temp_dir, until } from "../functional/harness.mjs";
import { caddy, nginx, start_proxy } from "../functional/proxies.mjs";

const parseOne = process.env.PARSE_ONE ?? "tests/fuzz/parse-one";
const IN_FLIGHT = 32;
const PATIENCE = 10_000; // with a proxy that keeps a connection open; not a failure
const STALLED = 1; // seconds after which a proxy gives a client up

const SMUGGLED = "GET /healthz?smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
const CANARY = "GET /healthz?canary HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
const chunked = (body) => `Transfer-Encoding: chunked\r\n\r\n${body}`;
const post = (rest, version = "1.1") => `POST /ui/exchange HTTP/${version}\r\nHost: a\r\nContent-Type: application/json\r\n${rest}`;
const length = SMUGGLED.length;

// What other servers, in front of one another, have been found to differ in.
const known = {
	"two lengths": post(`Content-Length: 2\r\nContent-Length: ${2 + length}\r\n\r\n{}`),
	"two lengths in one": post(`Content-Length: 2, ${2 + length}\r\n\r\n{}`),
	"the same length twice": post("Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}"),
	"a blank before the colon of a length": post(`Content-Length : ${length}\r\n\r\n`),
	"a blank before the colon of chunked": post(`Content-Length: 5\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n`),
	"length and chunked": post(`Content-Length: ${5 + length}\r\n${chunked("0\r\n\r\n")}`),
	"chunked and length": post(`Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n2c\r\n${SMUGGLED}\r\n0\r\n\r\n`),
	...Object.fromEntries(["gzip", "xchunked", "identity", "\x0bchunked", "chunked, identity", "identity, chunked", "chunked, chunked", "Chunked", '"chunked"', "chunked;q=1", "", "\x00chunked"]
		.map((te) => [`Transfer-Encoding: ${JSON.stringify(te)}`, post(`Content-Length: 5\r\nTransfer-Encoding: ${te}\r\n\r\n0\r\n\r\n`)])),
	"Transfer-Encoding twice": post(`Transfer-Encoding: identity\r\n${chunked("0\r\n\r\n")}`),
	"Transfer-Encoding folded": post("Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n"),
	"Transfer-Encoding with _": post("Transfer_Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"),
	"a folded length": post(`X: y\r\n Content-Length: ${length}\r\n\r\n`),
	"a length folded to the request line": `POST /ui/exchange HTTP/1.1\r\n Content-Length: ${length}\r\nHost: a\r\n\r\n`,
	"CR behind an empty value": post(`X:\r\rContent-Length: ${length}\r\n\r\n`),
	"CR in a value": post(`X: y\rContent-Length: ${length}\r\n\r\n`),
	...Object.fromEntries(["+2", "-2", "0x2", "2 ", "2\0 6", "2.0", "2e0", "02", "", "18446744073709551618", "4294967298", "２"]
		.map((n) => [`Content-Length: ${JSON.stringify(n)}`, post(`Content-Length: ${n}\r\n\r\n{}`)])),
	...Object.fromEntries(["0x2", "+2", " 2", "2 ", "2 junk", "2;a=b", '2;a="\r\n"', "2;\n", "2\n", "02", "2_0", "00000000000000002", "10000000000000002", "-0", "2\r\r"]
		.map((n) => [`a chunk's size ${JSON.stringify(n)}`, post(chunked(`${n}\r\n{}\r\n0\r\n\r\n`))])),
	"a chunk's data without its end": post(chunked("2\r\n{}0\r\n\r\n")),
	"another end of a chunk's data": post(chunked("2\r\n{}XX0\r\n\r\n")),
	"empty lines between chunks": post(chunked("2\r\n{}\r\n\r\n\r\n0\r\n\r\n")),
	"LF alone behind a chunk": post(chunked("2\r\n{}\n0\r\n\r\n")),
	"LF alone behind the last": post(chunked("0\n\n")),
	"a trailer that is framing": post(chunked(`2\r\n{}\r\n0\r\nContent-Length: ${length}\r\n\r\n`)),
	"a trailer that is a request": post(chunked(`2\r\n{}\r\n0\r\n${SMUGGLED}`)),
	"lines that end in LF alone": post("Content-Length: 2\r\n\r\n{}").replaceAll("\r\n", "\n"),
	"a head that ends in LF LF": post(`X: y\n\nGET /healthz?smuggled HTTP/1.1\r\n`),
	"a blank in a field's name": post(`Content Length: ${length}\r\n\r\n`),
	"no name of a field": post(`: x\r\nContent-Length: 2\r\n\r\n{}`),
	"NUL in a value": post(`X: a\0b\r\nContent-Length: 2\r\n\r\n{}`),
	"no Host": "GET /healthz HTTP/1.1\r\n\r\n",
	"two Hosts": "GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
	"a Host that is none": "GET /healthz HTTP/1.1\r\nHost: a/b@c\r\n\r\n",
	"HEAD with a body": `HEAD /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: ${length}\r\n\r\n`,
	"GET with a body": `GET /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: ${length}\r\n\r\n`,
	"GET with a chunked body": `GET /healthz HTTP/1.1\r\nHost: a\r\n${chunked("2\r\n{}\r\n0\r\n\r\n")}`,
	"OPTIONS with a body": `OPTIONS * HTTP/1.1\r\nHost: a\r\nContent-Length: ${length}\r\n\r\n`,
	"CONNECT": "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n",
	"three at once": "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n".repeat(3),
	"chunked to HTTP/1.0": post(chunked("0\r\n\r\n"), "1.0"),
	"HTTP/1.0 that stays": post("Connection: keep-alive\r\nContent-Length: 2\r\n\r\n{}", "1.0"),
	...Object.fromEntries(["4294967297.1", "-1.1", "1.10", "1,1", "2.0", "0.9", "1.1 "]
		.map((v) => [`HTTP/${v}`, post("Content-Length: 2\r\n\r\n{}", v)])),
	"a target with a blank": "GET /healthz HTTP/1.1 x HTTP/1.1\r\nHost: a\r\n\r\n",
	"a target with an encoded line's end": "GET /healthz%20HTTP/1.1%0d%0aX-Hop:%20x%0d%0a HTTP/1.1\r\nHost: a\r\n\r\n",
	"a URL as target": "GET http://b/healthz HTTP/1.1\r\nHost: a\r\n\r\n",
	"Connection names the length": post("Connection: Content-Length\r\nContent-Length: 2\r\n\r\n{}"),
	"Connection names chunked": post(`Connection: Transfer-Encoding\r\n${chunked("0\r\n\r\n")}`),
	"an upgrade that is none": `GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n`,
	"a bad WebSocket": `GET /ws/events HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 777\r\n\r\n`,
	"Expect": post("Expect: 100-continue\r\nContent-Length: 2\r\n\r\n{}"),
	"Expect, and none sent": post(`Expect: 100-continue\r\nContent-Length: ${length}\r\n\r\n`),
	"Expect of something else": post(`Expect: x\r\nContent-Length: ${length}\r\n\r\n`),
};

const lines = (text) => text.trimEnd().split("\n").map((line) => JSON.parse(line));

// The parser's own vectors, too.
const own = () =>
	lines(execFileSync(parseOne, ["--vectors"], { maxBuffer: 1 << 28 }).toString()).map(({ what, bytes }) => [what, Buffer.from(bytes, "hex")]);

const judge = (taken) => {
	const input = taken.map((bytes) => bytes.toString("hex") + "\n").join("");
	return taken.length === 0 ? [] : lines(execFileSync(parseOne, ["--hex"], { input, maxBuffer: 1 << 28 }).toString());
};

// In front of the daemon: what came to it over each connection.
class Tap {
	connections = [];

	static async start(t, port) {
		const tap = new Tap();
		const sockets = new Set();
		const server = net.createServer({ allowHalfOpen: true }, (from) => {
			const to = net.connect({ port, host: "127.0.0.1", allowHalfOpen: true });
			const taken = [];
			tap.connections.push(taken);
			for (const [a, b] of [[from, to], [to, from]]) {
				sockets.add(a);
				a.on("error", () => b.destroy());
				a.on("close", () => (sockets.delete(a), b.destroy()));
			}
			from.on("data", (bytes) => taken.push(bytes));
			from.pipe(to);
			to.pipe(from);
		});
		server.listen(0, "127.0.0.1");
		await once(server, "listening");
		defer(t, () => (sockets.forEach((s) => s.destroy()), server.close()));
		tap.port = server.address().port;
		return tap;
	}

	// Where the daemon's reading of a connection is another than the proxy's.
	disagreements(secret) {
		const taken = this.connections.map((pieces) => Buffer.concat(pieces)).filter((bytes) => bytes.length > 0);
		const wrong = [];
		let handed_on = 0;
		for (const [i, verdict] of judge(taken).entries()) {
			const text = taken[i].toString("latin1");
			const meant = text.split(new RegExp(`\r\nX-Hop: ${secret}\r\n`, "i")).length - 1;
			const whole = verdict.requests.length;
			// One that is refused, or that the client left in the middle, is no whole one.
			const last = verdict.end === "more" || verdict.end === "refused" ? 1 : 0;
			handed_on += meant;
			if (verdict.end === "refused" ? whole >= meant : whole > meant || whole + last < meant)
				wrong.push({ meant, ...verdict, text: text.slice(0, 2000) });
		}
		return { wrong, handed_on };
	}
}

const fronts = {
	nginx: (dir, port, to, secret, buffering = "on") =>
		nginx(
			dir,
			`	client_header_timeout ${STALLED}s; client_body_timeout ${STALLED}s; lingering_time ${STALLED}s; lingering_timeout ${STALLED}s;
	upstream previewd { server 127.0.0.1:${to}; keepalive 8; }
	server {
		listen 127.0.0.1:${port};
		location / {
			proxy_pass http://previewd;
			proxy_http_version 1.1;
			proxy_request_buffering ${buffering};
			proxy_set_header Connection "";
			proxy_set_header Host \$http_host;
			proxy_set_header X-Hop ${secret};
		}
	}`,
		),
	"nginx that doesn't wait for bodies": (dir, port, to, secret) => fronts.nginx(dir, port, to, secret, "off"),
	caddy: (dir, port, to, secret) =>
		caddy(
			dir,
			`http://:${port} {
	bind 127.0.0.1
	reverse_proxy 127.0.0.1:${to} {
		header_up X-Hop ${secret}
	}
}`,
			`	servers {
		timeouts {
			read_header ${STALLED}s
			read_body ${STALLED}s
			idle ${STALLED}s
		}
	}`,
		),
};

// All that is answered until the other side closes.
function ask(port, bytes) {
	return new Promise((resolve) => {
		const socket = net.connect(port, "127.0.0.1");
		const answer = [];
		const timer = setTimeout(() => socket.destroy(), PATIENCE);
		socket.on("error", () => {});
		socket.on("data", (b) => answer.push(b));
		socket.on("end", () => socket.end());
		socket.on("close", () => (clearTimeout(timer), resolve(Buffer.concat(answer).toString("latin1"))));
		socket.write(bytes);
	});
}

async function ask_all(port, vectors) {
	let next = 0;
	const worker = async () => {
		while (next < vectors.length) await ask(port, vectors[next++]);
	};
	await Promise.all(Array.from({ length: IN_FLIGHT }, worker));
}

const vectors = () =>
	[...Object.entries(known), ...own()].map(([, bytes]) =>
		Buffer.concat([Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes, "latin1"), Buffer.from(SMUGGLED + CANARY)]));

for (const [name, configure] of Object.entries(fronts)) {
	const program = name.split(" ")[0];
	test(`${name} and the daemon never disagree where a request ends`, { skip: have(program) ? false : `${program} is not installed` }, async (t) => {
		const secret = crypto.randomBytes(8).toString("hex");
		const d = await start(t, { settings: { "server.allowed_hosts": "localhost,127.0.0.1,a,b" } });
		const tap = await Tap.start(t, d.port);
		const dir = temp_dir(t);
		const port = await free_port();
		const argv = configure(dir, port, tap.port, secret);
		const front = start_proxy(t, dir, argv);
		await until(async () => !front.running || (await ask(port, CANARY)).includes("ok"), `${name} answers`, 60_000);
		assert.ok(front.running, front.stderr.text);

		const all = vectors();
		await ask_all(port, all);
		const { wrong, handed_on } = tap.disagreements(secret);
		assert.deepEqual(wrong.slice(0, 5), []);
		// Most canaries come through: a proxy that refuses everything would prove nothing.
		assert.ok(handed_on > all.length / 3, `only ${handed_on} requests of ${all.length} vectors were handed on`);

		// By the daemon's own count: it answered no request that the proxy didn't mean.
		const answered = await d.metric("previewd_http_requests_total");
		assert.ok(answered <= handed_on + 1, `${answered} answered, ${handed_on} handed on`);
		assert.match(await ask(port, CANARY), /^HTTP\/1\.1 200 [^]*ok/);
	});
}

test("a proxy that hands on what it did not read is found out", async (t) => {
	const secret = crypto.randomBytes(8).toString("hex");
	const d = await start(t, { settings: { "server.allowed_hosts": "localhost,127.0.0.1,a,b" } });
	const tap = await Tap.start(t, d.port);
	const marked = (text) => text.replace("\r\n", `\r\nX-Hop: ${secret}\r\n`);

	await ask(tap.port, marked("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n") + marked(CANARY));
	assert.deepEqual(tap.disagreements(secret), { wrong: [], handed_on: 2 });
	// It takes the rest for a body, and the daemon for a request.
	await ask(tap.port, marked("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n") + SMUGGLED + marked(CANARY));
	assert.equal(tap.disagreements(secret).wrong.length, 1);
	// The other way round: one it means is swallowed.
	await ask(tap.port, marked(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${marked(SMUGGLED).length}\r\n\r\n`) + marked(SMUGGLED) + marked(CANARY));
	assert.equal(tap.disagreements(secret).wrong.length, 2);
});
