// SPDX-License-Identifier: MIT
//
// Node's HTTP server (llhttp) as the judge of ours: what node refuses, we refuse; what both take is
// the same request to both: method, target, length of the body, and where the next one starts.
// We are stricter than node in many places, and that is no difference here.
//
//	PARSE_ONE=build/tests/fuzz/parse-one node --test tests/interop/llhttp.test.mjs
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import http, { METHODS } from "node:http";
import net from "node:net";
import { after, before, test } from "node:test";

const parseOne = process.env.PARSE_ONE ?? "tests/fuzz/parse-one";
const MUTATIONS = Number(process.env.MUTATIONS ?? 4000);
const SEED = Number(process.env.SEED ?? 1);
const IN_FLIGHT = 32;

// Requests we take and node doesn't, and why that is right.  Each is asked with the first request
// of ours that node didn't take, and the one before it.
const exceptions = [
	// RFC 9110 section 9.1: the set of methods is open; the router answers 405 or 501
	(request) => !METHODS.includes(request.method),
	// node drops what follows an offer to upgrade that it doesn't accept; section 7.8 goes on
	(request, previous) => previous?.upgrade,
];

let server;
let port;
const conversations = new Map(); // by the client's port

before(async () => {
	server = http.createServer({ insecureHTTPParser: false });
	server.httpAllowHalfOpen = true; // the client says all it has, then ends its half
	server.on("request", (req, res) => {
		const taken = conversations.get(req.socket.remotePort);
		let body = 0;

		req.on("data", (piece) => (body += piece.length));
		req.on("error", () => {});
		req.on("end", () => {
			taken?.push({ method: req.method, target: req.url, body });
			res.end();
		});
	});
	server.on("clientError", (error, socket) => socket.destroy());
	// The requests before the end have been told by then; node would go on waiting for some.
	server.on("connection", (socket) => {
		socket.on("end", () => setImmediate(() => socket.destroy()));
	});
	server.listen(0, "127.0.0.1");
	await once(server, "listening");
	port = server.address().port;
});

after(() => server.close());

// The requests that came whole to node.
async function ask(bytes) {
	const socket = net.connect(port, "127.0.0.1");
	const taken = [];

	socket.on("error", () => {}); // a reset is one way to refuse
	socket.resume();
	await once(socket, "connect");
	const client = socket.localPort;
	conversations.set(client, taken);
	socket.end(bytes);
	await new Promise((resolve) => socket.on("close", resolve));
	conversations.delete(client);
	return taken;
}

async function askAll(cases) {
	const answers = new Array(cases.length);
	let next = 0;
	const worker = async () => {
		for (let i = next++; i < cases.length; i = next++) answers[i] = await ask(cases[i].bytes);
	};

	await Promise.all(Array.from({ length: IN_FLIGHT }, worker));
	return answers;
}

function lines(text) {
	return text.trimEnd().split("\n").map((line) => JSON.parse(line));
}

function ours(cases) {
	const input = cases.map((c) => c.bytes.toString("hex") + "\n").join("");
	return lines(execFileSync(parseOne, ["--hex"], { input, maxBuffer: 1 << 28 }).toString());
}

function vectors() {
	const all = lines(execFileSync(parseOne, ["--vectors"], { maxBuffer: 1 << 28 }).toString());
	return all.map((v) => ({ ...v, bytes: Buffer.from(v.bytes, "hex") }));
}

function same(a, b) {
	return a.method === b.method && a.target === b.target && a.body === b.body;
}

// What we took and node did not, or took for something else.
function difference(verdict, theirs) {
	for (const [i, request] of verdict.requests.entries()) {
		if (theirs[i] && same(request, theirs[i])) continue;
		if (!theirs[i] && exceptions.some((e) => e(request, verdict.requests[i - 1]))) return null;
		return { ours: request, node: theirs[i] ?? "refused" };
	}
	return null;
}

// Returns how many requests both took: a comparison of refusals alone would say nothing.
async function compare(cases) {
	const verdicts = ours(cases);
	const answers = await askAll(cases);
	const differences = [];
	let both = 0;

	assert.equal(verdicts.length, cases.length);
	for (const [i, c] of cases.entries()) {
		const d = difference(verdicts[i], answers[i]);
		if (d) differences.push({ what: c.what, bytes: c.bytes.toString("latin1"), ...d });
		both += Math.min(verdicts[i].requests.length, answers[i].length);
	}
	assert.deepEqual(differences.slice(0, 10), []);
	return both;
}

// mulberry32: the same cases every time
function random(seed) {
	return (below) => {
		seed = (seed + 0x6d2b79f5) | 0;
		let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
		t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
		return ((t ^ (t >>> 14)) >>> 0) % below;
	};
}

const pieces = [
	"\r\n", "\n", "\r", " ", "\t", "\0", "\x0b", ":", ";", ",", "=", '"', "#", "?", "/", "0", "5", "a",
	"\x7f", "\xe4", "\r\n ", "\r\n\r\n", "0\r\n\r\n", "5\r\nhello\r\n", "Host: a\r\n", "chunked", "identity",
	"Content-Length: 5\r\n", "Content-Length: 0\r\n", "Transfer-Encoding: chunked\r\n", "Trailer: x\r\n",
	"Connection: close\r\n", "Connection: upgrade\r\nUpgrade: x\r\n", "HTTP/1.0", "HTTP/1.1", "HTTP/2.0",
	"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
].map((s) => Buffer.from(s, "latin1"));

function mutate(bytes, pick, seeds) {
	const at = pick(bytes.length + 1);
	const cut = Math.min(bytes.length, at + pick(4));
	const [head, tail] = [bytes.subarray(0, at), bytes.subarray(at)];

	switch (pick(6)) {
	case 0: // another byte
		return Buffer.concat([head, Buffer.from([pick(256)]), tail.subarray(1)]);
	case 1: // something inserted
		return Buffer.concat([head, pieces[pick(pieces.length)], tail]);
	case 2: // something lost
		return Buffer.concat([head, bytes.subarray(cut)]);
	case 3: // something replaced
		return Buffer.concat([head, pieces[pick(pieces.length)], bytes.subarray(cut)]);
	case 4: { // a line twice, or elsewhere
		const all = bytes.toString("latin1").split("\r\n");
		all.splice(pick(all.length + 1), 0, all[pick(all.length)]);
		return Buffer.from(all.join("\r\n"), "latin1");
	}
	default: // another request behind it
		return Buffer.concat([bytes, seeds[pick(seeds.length)].bytes]);
	}
}

// Bodies for the heads that announce one, so that mutations reach what follows it.
function withBodies(all) {
	return all.map((v) => {
		const length = /content-length: *(\d{1,3})\r\n/i.exec(v.bytes.toString("latin1"));
		return length ? { ...v, bytes: Buffer.concat([v.bytes, Buffer.alloc(Number(length[1]), "b")]) } : v;
	});
}

test("node takes the vectors we take, as the same requests", async () => {
	const both = await compare(withBodies(vectors()));

	assert.ok(both > 30, `only ${both} requests taken by both`);
});

test(`${MUTATIONS} mutations find no request that is ours alone (seed ${SEED})`, async () => {
	const pick = random(SEED);
	const seeds = withBodies(vectors()).filter((v) => v.bytes.length < 2000);
	const cases = Array.from({ length: MUTATIONS }, () => {
		const from = seeds[pick(seeds.length)];
		let { bytes } = from;

		for (let n = 1 + pick(2); n > 0; n--) bytes = mutate(bytes, pick, seeds);
		return { what: from.what, bytes };
	});
	const both = await compare(cases);

	assert.ok(both > MUTATIONS / 20, `only ${both} requests taken by both`);
});
