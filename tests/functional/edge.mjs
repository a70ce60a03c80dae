// SPDX-License-Identifier: MIT
//
// The edge of contrib/edge in front of a daemon: the real nginx and the real Caddy, and Traefik where it is
// installed, else what tests/fixtures/traefik.mjs plays of it.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import fs from "node:fs";
import https from "node:https";
import path from "node:path";
import WebSocket from "ws";

import { base, defer, fixtures, have } from "./harness.mjs";
import { caddy, nginx, recipe } from "./proxies.mjs";

export const suffix = "preview.localhost"; // which Vite takes unasked, as any name beneath localhost

const recipe_of = (dir, file, d, port, more) =>
	recipe(dir, file, d, { "listen 443 ssl": `listen 127.0.0.1:${port} ssl`, "*.preview.example.org;": `*.${suffix};`, "/etc/ssl/previewd": dir, ...more });

export const edges = {
	nginx: (dir, port, d) =>
		nginx(dir, `	include ${recipe_of(dir, "nginx/previews.conf", d, port)};`),
	caddy: (dir, port, d) =>
		caddy(
			dir,
			`https://*.${suffix}:${port} {
	bind 127.0.0.1
	tls ${dir}/preview.example.org.crt ${dir}/preview.example.org.key
	import ${recipe_of(dir, "caddy/previews.caddy", d, port)}
}`,
		),
	traefik: async (dir, port, d) => {
		const { token } = (await d.admin.post("/edge/token")).json;
		recipe_of(dir, "traefik/certificates.yml", d, port);
		const file = recipe_of(dir, "traefik/traefik.yml", d, port, { '":443"': `"127.0.0.1:${port}"`, pve_TOKEN: token, "/etc/traefik": dir });
		return have("traefik") ? ["traefik", `--configFile=${file}`] : [process.execPath, path.join(fixtures, "traefik.mjs"), file];
	},
};

// Why that edge is not to be had here; false where it is.
export function why_no_edge(name) {
	const missing = [name === "traefik" ? "node" : name, "openssl"].filter((program) => !have(program));
	return missing.length > 0 && `not installed: ${missing.join(", ")}`;
}

export function certificate(dir) {
	const file = (end) => path.join(dir, `preview.example.org.${end}`);
	execFileSync(
		"openssl",
		["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=edge",
			"-addext", `subjectAltName=DNS:*.${suffix}`, "-keyout", file("key"), "-out", file("crt")],
		{ stdio: "pipe" },
	);
	return fs.readFileSync(file("crt"));
}

// A browser would find the name on this machine; here it is said.
export function asker(t, port, ca) {
	const agent = new https.Agent({ keepAlive: true, ca });
	defer(t, () => agent.destroy());
	const where = (label) => ({ agent, host: "127.0.0.1", port, servername: `${label}.${suffix}` });
	const ask = (label, target, { method = "GET", headers = {}, body } = {}) =>
		new Promise((resolve, reject) => {
			const req = https.request(
				{ ...where(label), method, path: target, headers: { host: `${label}.${suffix}:${port}`, ...headers } },
				(res) => {
					const chunks = [];
					res.on("data", (c) => chunks.push(c));
					res.on("error", reject);
					res.on("end", () => resolve({ status: res.statusCode, headers: res.headers, text: Buffer.concat(chunks).toString() }));
				},
			);
			req.on("error", reject);
			req.end(body);
		});
	// Its first message, or the status it was refused with.
	ask.ws = (label, target, headers = {}) =>
		new Promise((resolve, reject) => {
			const ws = new WebSocket(`wss://127.0.0.1:${port}${target}`, "vite-hmr", {
				ca,
				servername: `${label}.${suffix}`,
				headers: { host: `${label}.${suffix}:${port}`, origin: `https://${label}.${suffix}:${port}`, ...headers },
			});
			ws.said = [];
			ws.on("message", (data) => ws.said.push(JSON.parse(data)));
			ws.on("open", () => resolve(ws));
			ws.on("unexpected-response", (req, res) => {
				req.destroy();
				resolve({ status: res.statusCode });
			});
			ws.on("error", reject);
			defer(t, () => ws.terminate());
		});
	return ask;
}

export const link_of = async (api, session, name = "default") => {
	const answer = await api.post(`${base(session)}/previews/${name}/link`);
	assert.equal(answer.status, 201, answer.text);
	return answer.json;
};

export const cookie_of = (answer) => answer.headers["set-cookie"][0].split(";")[0];

// As the proxies ask.
export const asked = (d, label, { uri = "/", query = "", ...headers } = {}) =>
	d.anonymous.get(`/edge/verify${query}`, {
		headers: { host: "localhost", "x-forwarded-host": `${label}.${suffix}`, "x-forwarded-proto": "https", "x-forwarded-uri": uri, ...headers },
	});
