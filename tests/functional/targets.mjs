// SPDX-License-Identifier: MIT
//
// What agents attach: servers that are well, slow, deaf or something else altogether.  Each is gone
// when its test is over.
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import fs from "node:fs";
import http from "node:http";
import https from "node:https";
import net from "node:net";
import path from "node:path";

import { Child, defer, fixtures, free_port, here, temp_dir } from "./harness.mjs";

async function listen(t, server, { host = "127.0.0.1", port, ...more } = {}) {
	const sockets = new Set();
	server.on("connection", (socket) => {
		sockets.add(socket);
		socket.on("error", () => {});
		socket.on("close", () => sockets.delete(socket));
	});
	server.close_now = async () => {
		if (!server.listening) return;
		for (const socket of sockets) socket.destroy();
		server.close();
		await once(server, "close");
	};
	defer(t, server.close_now);
	server.listen({ host, port: port ?? (await free_port()), ...more });
	await once(server, "listening");
	server.port = server.address().port;
	return server;
}

// `seen` gets the requests as "METHOD path host".
export function http_server(t, handler = (req, res) => res.end("hello\n"), options) {
	const seen = [];
	const server = http.createServer((req, res) => {
		seen.push(`${req.method} ${req.url} ${req.headers.host}`);
		handler(req, res);
	});
	server.seen = seen;
	return listen(t, server, options);
}

export const answering = (status) => (req, res) => {
	res.statusCode = status;
	res.end(`${status}\n`);
};

export const without_head =
	(refusal = 405) =>
	(req, res) => {
		res.statusCode = req.method === "HEAD" ? refusal : 200;
		res.end();
	};

export const ipv6_only = (t, handler) =>
	http_server(t, handler ?? ((req, res) => res.end("six\n")), { host: "::1", ipv6Only: true });

export const banner = (t) => listen(t, net.createServer((socket) => socket.write("SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n")));

export const silent = (t) => listen(t, net.createServer((socket) => socket.resume()));

export function certificate(t) {
	const dir = temp_dir(t);
	const key = path.join(dir, "key.pem");
	const cert = path.join(dir, "cert.pem");
	// prettier-ignore
	execFileSync("openssl", ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
		"-keyout", key, "-out", cert, "-days", "2", "-subj", "/CN=localhost"], { stdio: "ignore" });
	return { key: fs.readFileSync(key), cert: fs.readFileSync(cert) };
}

export const tls_server = (t) => listen(t, https.createServer(certificate(t), (req, res) => res.end("secret\n")));

// Listens, and never accepts: node always does, so it is a few lines of Python.
export async function deaf(t, backlog = 64) {
	const child = new Child(t, ["python3", path.join(fixtures, "deaf.py"), String(backlog)]);
	const [, port] = await child.stdout.match(/^(\d+)$/);
	return { port: Number(port), child };
}

// A real Vite on the fixture application.  `ready` resolves when it says that it serves.
export async function vite(t, { root, port, host, env = {}, args = [] } = {}) {
	if (!root) {
		root = temp_dir(t);
		fs.cpSync(path.join(fixtures, "vite-app"), root, { recursive: true });
	}
	port ??= await free_port();
	const program = path.join(here, "..", "node_modules", "vite", "bin", "vite.js");
	const argv = [process.execPath, program, root, "--port", String(port), "--strictPort", ...args];
	if (host) argv.push("--host", host);
	const child = new Child(t, argv, { env: { ...process.env, NO_COLOR: "1", CI: "1", ...env }, cwd: root });
	return {
		port,
		root,
		child,
		ready: () => child.stdout.match(/ready in/),
	};
}
