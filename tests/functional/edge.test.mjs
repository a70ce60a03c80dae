// SPDX-License-Identifier: MIT
//
// contrib/edge: published pages under an app's own origin, behind the real nginx and the real Caddy.
import assert from "node:assert/strict";
import http from "node:http";
import test from "node:test";

import { Api, base, defer, free_port, have, temp_dir, until } from "./harness.mjs";
import { caddy, nginx, recipe, start_proxy } from "./proxies.mjs";
import { published } from "./publishing.mjs";

const edges = {
	nginx: (dir, port, app, d) =>
		nginx(
			dir,
			`	server {
		listen 127.0.0.1:${port};
		include ${recipe(dir, "nginx/published.conf", d)};
		location / { proxy_pass http://127.0.0.1:${app}; }
	}`,
		),
	caddy: (dir, port, app, d) =>
		caddy(
			dir,
			`http://:${port} {
	bind 127.0.0.1
	import ${recipe(dir, "caddy/published.caddy", d)}
	handle {
		reverse_proxy 127.0.0.1:${app}
	}
}`,
		),
};

// The app: it says what reached it, and gives out its login.
async function start_app(t) {
	const server = http.createServer((req, res) => {
		res.setHeader("Set-Cookie", "login=secret; HttpOnly");
		res.end(`app ${req.method} ${req.url}`);
	});
	await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
	defer(t, () => server.close());
	return server.address().port;
}

const site = {
	"index.html": '<!doctype html><title>home</title><script type="module" src="app.js"></script>',
	"app.js": "export default 'brotli'; // ".repeat(400),
	"docs/index.html": "<p>docs",
	"large.bin": Buffer.alloc(3e6, "0123456789"),
};

for (const [name, configure] of Object.entries(edges)) {
	const skip = have(name) ? false : `${name} is not installed`;
	test(`${name} has published pages under the app's origin, kept apart, and nothing else of previewd`, { skip }, async (t) => {
		const port = await free_port();
		const origin = `http://localhost:${port}`;
		const { d, url } = await published(t, site, { settings: { "server.public_base_url": origin, "server.trusted_proxies": "127.0.0.1" } });
		const dir = temp_dir(t);
		const argv = configure(dir, port, await start_app(t), d);
		const edge = start_proxy(t, dir, argv);
		const api = new Api({ port });
		defer(t, () => api.close());
		const ask = (target, headers = {}, method = "GET") =>
			api.request(method, target, { headers: { host: `localhost:${port}`, cookie: "login=secret", ...headers } });
		await until(async () => !edge.running || (await ask("/").catch(() => null)), `${name} answers`, 60_000);
		assert.ok(edge.running, edge.stderr.text);

		assert.match(url, /\/published\/~/, "behind a proxy a page is unlisted");
		const page = await ask(url);
		assert.deepEqual([page.status, page.text], [200, site["index.html"]]);
		for (const [status, target, headers] of [
			[200, url], [200, `${url}app.js`, { origin: "null" }], [304, url, { "if-none-match": page.headers.etag }],
			[206, `${url}large.bin`, { range: "bytes=1000000-1000009" }], [301, `${url}docs`], [404, `${url}none`],
			[404, `${base("s")}/published/`], [404, `${base("s")}/published/~wrong/`],
		]) {
			const answer = await ask(target, headers);
			assert.equal(answer.status, status, target);
			assert.match(answer.headers["content-security-policy"], /^sandbox allow-scripts [^;]*; frame-ancestors 'self'$/, target);
			assert.equal(answer.headers["access-control-allow-origin"], "*", target);
			assert.equal(answer.headers["set-cookie"], undefined, target);
		}
		const part = await ask(`${url}large.bin`, { range: "bytes=1000001-1000004" });
		assert.equal(part.text, "1234");
		assert.equal((await ask(`${url}large.bin`)).text.length, 3e6);
		const packed = await ask(`${url}app.js`, { "accept-encoding": "gzip, br" });
		assert.equal(packed.headers["content-encoding"], "br");
		assert.match(packed.headers.etag, /^"[^"]+-br"$/);
		assert.equal(packed.headers.vary, "Accept-Encoding");
		const preflight = await ask(`${url}app.js`, { origin: "null", "access-control-request-method": "GET" }, "OPTIONS");
		assert.deepEqual([preflight.status, preflight.headers["access-control-allow-headers"]], [204, "*"]);

		// Redirects stay on the app's origin; the rest of the API is the app's to have.
		assert.equal((await ask(`${url}docs`)).headers.location, `${url}docs/`);
		for (const target of ["/", "/api/previews", base("s"), `${base("s")}/previews`, "/metrics", `${base("s")}/publishedx`])
			assert.equal((await ask(target)).text, `app GET ${target}`);
		const posted = await ask(`${url}app.js`, {}, "POST");
		assert.ok(posted.status === 403 || posted.text.startsWith("app POST"), `${posted.status}`);
		const around = await ask(`${url}../../previews`);
		assert.ok(around.status === 400 || around.text.startsWith("app "), `${around.status} ${around.text}`);
	});
}
