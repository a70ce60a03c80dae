// SPDX-License-Identifier: MIT
//
// The API as HTTP: every route, every refusal, and the forms of their answers.
import assert from "node:assert/strict";
import test from "node:test";

import { base, blind, raw, run, start } from "./harness.mjs";

const problem_type = "application/problem+json";

function problem(answer, status, code) {
	assert.equal(answer.status, status, answer.text);
	assert.equal(answer.type.split(";")[0], problem_type);
	assert.equal(answer.json.code, code);
	assert.equal(answer.json.status, status);
	assert.equal(answer.json.type, `urn:previewd:problem:${code}`);
	assert.equal(typeof answer.json.title, "string");
	assert.ok(answer.json.detail?.length > 5, answer.text);
}

const fields = (answer) => (answer.json.errors ?? []).map((e) => e.field).sort();

test("who opens the daemon's address in a browser comes to the panel", async (t) => {
	const d = await start(t);
	for (const path of ["/", "/ui"]) {
		const answer = await d.anonymous.get(path);
		assert.deepEqual([answer.status, answer.headers.location], [302, "ui/"], path);
		const there = await fetch(new URL(path, d.url));
		assert.deepEqual([there.status, there.url], [200, `${d.url}/ui/`], path);
		assert.match(await there.text(), /<title>/);
	}
	assert.equal((await d.anonymous.get("/", { headers: { host: "evil.example" } })).status, 421);
});

test("every route of openapi.json exists, and answers without a credential as it declares", async (t) => {
	const d = await start(t);
	const doc = (await d.anonymous.get("/openapi.json")).json;
	assert.match(doc.openapi, /^3\.1/);
	const sample = { app_id: "default", session_id: "s1", name: "web", token_id: "abc", task_id: "t1", action: "get_state", agent: "generic", file: "web-preview.js", build_id: "b1", release_id: "r1", path: "index.html" };
	let n = 0;
	for (const [pattern, operations] of Object.entries(doc.paths)) {
		if (/\/(published|web-static)\/\{path\}$|^\/edge\/(verify|soon)$/.test(pattern)) continue; // no API: published.test.mjs, bundled.test.mjs, edge_previews.test.mjs
		const target = pattern.replace(/\{(\w+)\}/g, (_, name) => sample[name] ?? assert.fail(`parameter ${name}`));
		for (const [method, operation] of Object.entries(operations)) {
			n++;
			const where = `${method} ${pattern}`;
			assert.ok(operation.operationId && operation.summary && operation.responses, where);
			const declared = (operation.parameters ?? []).filter((p) => p.in === "path").map((p) => p.name).sort();
			assert.deepEqual(declared, [...pattern.matchAll(/\{(\w+)\}/g)].map((m) => m[1]).sort(), where);

			const security = operation.security ?? doc.security;
			const open = security.length === 0;
			const answer = await d.anonymous.request(method.toUpperCase(), target, {});
			if (open && method === "get") assert.equal(answer.status, ["/", "/ui"].includes(pattern) ? 302 : 200, where);
			else if (open) problem(answer, 422, "invalid_field");
			else if (operation.responses["101"]) assert.equal(answer.status, 426, where);
			else problem(answer, 401, "unauthenticated");
			if (!open) assert.ok(operation.responses.default || operation.responses[answer.status], where);

			const authorized = await d.admin.request(method.toUpperCase(), target, {});
			const by_socket = authorized.json?.code === "hold_not_allowed"; // and this is TCP
			assert.ok(by_socket || ![401, 403, 405, 500, 501].includes(authorized.status), `${where}: ${authorized.status}`);
			if (authorized.status === 404) assert.notEqual(authorized.json.code, "not_found", where);
			assert.ok(operation.responses.default || operation.responses[authorized.status], where);
		}
	}
	assert.ok(n >= 15, `${n} routes`);

	const promised = {
		"/api/apps/{app_id}/sessions/{session_id}": ["delete", "get", "put"],
		"/api/apps/{app_id}/sessions/{session_id}/previews": ["get", "post"],
		"/api/apps/{app_id}/sessions/{session_id}/previews/{name}": ["delete", "get", "put"],
		"/api/apps/{app_id}/sessions/{session_id}/previews/{name}/touch": ["post"],
		"/api/apps/{app_id}/sessions/{session_id}/tokens": ["get", "post"],
		"/api/apps/{app_id}/sessions/{session_id}/tokens/{token_id}": ["delete"],
		"/api/apps/{app_id}/web-preview": ["get"],
		"/api/previews": ["get"],
		"/health/web_preview": ["get"],
		"/healthz": ["get"],
		"/readyz": ["get"],
		"/metrics": ["get"],
		"/openapi.json": ["get"],
		"/ws/events": ["get"],
	};
	for (const [path, methods] of Object.entries(promised))
		for (const method of methods) assert.ok(doc.paths[path]?.[method], `${method} ${path} is described`);
});

test("the codes that openapi.json names are those that come", async (t) => {
	const d = await start(t);
	const doc = (await d.anonymous.get("/openapi.json")).json;
	const codes = doc.components.schemas.Problem.properties.code.enum;
	for (const code of ["session_limit", "target_not_listening", "unauthenticated", "invalid_field"]) assert.ok(codes.includes(code), code);
});

test("what is not there is not_found; a method that is not there is 405 with Allow", async (t) => {
	const d = await start(t);
	for (const target of ["/nothing", "/api", "/api/apps/default/sessions", "/healthz/", "/Healthz"])
		problem(await d.admin.get(target), 404, "not_found");
	for (const target of ["//healthz", "/healthz/%2e%2e/readyz", "/%zz"]) assert.ok([400, 404].includes((await d.admin.get(target)).status), target);
	const expectations = [
		["POST", "/healthz", "GET, HEAD"],
		["PATCH", `${base("s1")}/previews`, "GET, HEAD, POST"],
		["DELETE", `${base("s1")}/previews`, "GET, HEAD, POST"],
		["POST", base("s1"), "DELETE, GET, HEAD, PUT"],
	];
	for (const [method, target, allow] of expectations) {
		const answer = await d.admin.request(method, target);
		problem(answer, 405, "method_not_allowed");
		const methods = answer.headers.allow.split(/,\s*/).filter((m) => m !== "OPTIONS").sort();
		assert.deepEqual(methods, allow.split(", "), `${method} ${target}`);
	}
});

test("HEAD is GET without the body", async (t) => {
	const d = await start(t);
	await d.admin.attach("s1", blind());
	for (const target of ["/openapi.json", "/healthz", base("s1"), `${base("s1")}/previews/default`, `${base("s1")}/previews/none`]) {
		const get = await d.admin.get(target);
		const head = await d.admin.head(target);
		assert.equal(head.status, get.status, target);
		assert.equal(head.text, "");
		assert.equal(head.type, get.type);
		assert.equal(head.headers["content-length"], get.headers["content-length"]);
		assert.equal(Number(get.headers["content-length"]), Buffer.byteLength(get.text));
	}
});

test("answers are not stored, not sniffed, and carry a request id", async (t) => {
	const d = await start(t);
	await d.admin.attach("s1", blind());
	for (const target of [base("s1"), "/nothing"]) {
		const { headers } = await d.admin.get(target);
		assert.match(headers["cache-control"] ?? "", /no-store|no-cache/, target);
		assert.equal(headers["x-content-type-options"], "nosniff");
		assert.ok(headers["x-request-id"]);
	}
});

test("a body too large is 413 before it is sent", async (t) => {
	const d = await start(t, { settings: { "server.body_max": "1K" } });
	const head = (length) =>
		`POST ${base("s1")}/previews HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${d.admin_token}\r\nContent-Type: application/json\r\n${length}\r\n\r\n`;
	const announced = await raw(d.port, head("Content-Length: 5000000"));
	assert.match(announced, /^HTTP\/1\.1 413 /);
	assert.match(announced, /application\/problem\+json/);
	assert.match(announced, /"code":\s*"body_too_large"/);
	assert.match(announced, /larger than 1K/);
	const expecting = await raw(d.port, head("Content-Length: 5000000\r\nExpect: 100-continue"));
	assert.match(expecting, /^HTTP\/1\.1 413 /);
	const chunk = `400\r\n${"x".repeat(1024)}\r\n`;
	const chunked = await raw(d.port, head("Transfer-Encoding: chunked") + chunk + chunk);
	assert.match(chunked, /^HTTP\/1\.1 413 [^]*larger than 1K/);
	assert.equal((await d.admin.attach("s1", blind())).status, 201);
});

test("a body that is no JSON is 400, one of another type 415", async (t) => {
	const d = await start(t);
	const post = (text, headers) => d.admin.request("POST", `${base("s1")}/previews`, { raw: text, headers });
	for (const text of ["{", "{'port':1}", '{"port":5173,}', '{"port":5173}{}', "\xff", '{"port":5173,"port":5174}', "[".repeat(2000), '{"port":NaN}'])
		problem(await post(Buffer.from(text, "latin1")), 400, "bad_json");
	for (const type of ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/jsonx"])
		problem(await post(JSON.stringify(blind()), { "content-type": type }), 415, "unsupported_media_type");
	problem(await post(JSON.stringify(blind()), { "content-type": null }), 415, "unsupported_media_type");
	assert.equal((await post(JSON.stringify(blind()), { "content-type": "Application/JSON; charset=UTF-8" })).status, 201);
	assert.equal((await d.admin.get("/api/previews")).json.previews.length, 1);
});

test("a field that is wrong or missing is 422 and named, all of them at once", async (t) => {
	const d = await start(t);
	const attach = (body) => d.admin.attach("s1", body);
	const wrong = [
		[{}, ["port"]],
		[{ port: "5173" }, ["port"]],
		[{ port: 0 }, ["port"]],
		[{ port: 65536 }, ["port"]],
		[{ port: -1 }, ["port"]],
		[{ port: 5173.5 }, ["port"]],
		[{ port: 1e300 }, ["port"]],
		[{ port: null }, ["port"]],
		[{ port: true }, ["port"]],
		[{ port: 5173, name: "a b" }, ["name"]],
		[{ port: 5173, name: "" }, ["name"]],
		[{ port: 5173, name: ".." }, ["name"]],
		[{ port: 5173, name: "x".repeat(65) }, ["name"]],
		[{ port: 5173, name: "ä" }, ["name"]],
		[{ port: 5173, path: "x" }, ["path"]],
		[{ port: 5173, path: "/a b" }, ["path"]],
		[{ port: 5173, path: "/a\r\nX: y" }, ["path"]],
		[{ port: 5173, path: `/${"x".repeat(600)}` }, ["path"]],
		[{ port: 5173, scheme: "ftp" }, ["scheme"]],
		[{ port: 5173, host: "" }, ["host"]],
		[{ port: 5173, host: "a b" }, ["host"]],
		[{ port: 5173, host: "127.0.0.1/x" }, ["host"]],
		[{ port: 5173, host: "user@127.0.0.1" }, ["host"]],
		[{ port: 5173, health_check: "no" }, ["health_check"]],
		[{ port: 5173, wait_seconds: 121 }, ["wait_seconds"]],
		[{ port: 5173, wait_seconds: -1 }, ["wait_seconds"]],
		[{ port: 5173, focus: 1 }, ["focus"]],
		[{ port: 5173, bash_task_id: 7 }, ["bash_task_id"]],
		[{ port: 0, focus: 1, scheme: "x" }, ["focus", "port", "scheme"]],
		[{ prot: 5173, port: 5173 }, ["prot"]],
	];
	for (const [body, expected] of wrong) {
		const answer = await attach({ ...body });
		problem(answer, 422, "invalid_field");
		assert.deepEqual(fields(answer), expected, JSON.stringify(body));
		assert.ok(answer.json.errors.every((e) => e.problem.length > 3), answer.text);
	}
	for (const body of [[], "x", 1, null]) {
		const answer = await attach(body);
		assert.ok(answer.status === 422 || answer.status === 400, answer.text);
	}
	assert.deepEqual((await d.admin.get("/api/previews")).json.previews, []);
	assert.equal((await attach({ port: 5173, health_check: false, bash_task_id: null, wait_seconds: 0 })).status, 201);
});

test("identifiers are 1 to 128 of A-Z a-z 0-9 . _ : @ -, names 64, never . or ..", async (t) => {
	const d = await start(t);
	const good = ["s", "x".repeat(128), "ses_A-1.b:c@d", "..."];
	for (const id of good) assert.equal((await d.admin.attach(id, blind())).status, 201, id);
	assert.equal((await d.admin.attach("s", blind({ name: "x".repeat(64) }))).status, 201);
	const bad = ["a%20b", "x".repeat(129), "%C3%A4", "a+b", "a%25b"];
	for (const id of bad) {
		for (const answer of [await d.admin.get(`/api/apps/default/sessions/${id}`), await d.admin.attach(id, blind())]) {
			problem(answer, 422, "invalid_field");
			assert.deepEqual(fields(answer), ["session_id"], id);
		}
		const app = await d.admin.get(base("s", id));
		problem(app, 422, "invalid_field");
		assert.deepEqual(fields(app), ["app_id"], id);
	}
	for (const name of ["a%20b", "x".repeat(65), "a:b", "a@b"]) {
		const answer = await d.admin.get(`${base("s")}/previews/${name}`);
		problem(answer, 422, "invalid_field");
		assert.deepEqual(fields(answer), ["name"], name);
	}
	// Not even the router takes these for a segment.
	for (const dots of ["..", ".", "%2e%2e", "%2E", "a%2Fb", "a%00b", "%ff"]) {
		for (const target of [`/api/apps/default/sessions/${dots}`, `${base("s")}/previews/${dots}`, `/api/apps/${dots}/sessions/s`]) {
			const answer = await d.admin.get(target);
			assert.ok([400, 422].includes(answer.status), `${target}: ${answer.status} ${answer.text}`);
		}
	}
	problem(await d.admin.put(base("u"), { user_id: "a b" }), 422, "invalid_field");
});

test("an app has its own sessions: the id is known in the app that made it alone", async (t) => {
	const d = await start(t);
	await d.admin.attach("s1", blind(), { app: "shop" });
	problem(await d.admin.get(base("s1", "other")), 404, "session_not_found");
	const answer = await d.admin.attach("s1", blind(), { app: "other" });
	assert.ok([404, 409].includes(answer.status), answer.text);
	assert.equal((await d.admin.get(base("s1", "shop"))).json.previews, 1);
});

test("a session is made, changed and read", async (t) => {
	const d = await start(t);
	const made = await d.admin.put(base("s1"), { user_id: "ada", workdir: "/srv/app", meta: { branch: "main" } });
	assert.equal(made.status, 201, made.text);
	const { created_at, ...rest } = made.json;
	assert.deepEqual(rest, {
		session_id: "s1", app_id: "default", user_id: "ada", workdir: "/srv/app", meta: { branch: "main" },
		ended_at: null, previews: 0, latest_seq: 0,
	});
	assert.ok(Date.parse(created_at) > 0);
	const changed = await d.admin.put(base("s1"), { workdir: "/srv/other" });
	assert.equal(changed.status, 200);
	assert.equal(changed.json.workdir, "/srv/other");
	assert.deepEqual(changed.json.meta, { branch: "main" });
	assert.deepEqual((await d.admin.get(base("s1"))).json, changed.json);
	problem(await d.admin.put(base("s1"), { workdir: "relative" }), 422, "invalid_field");
	assert.equal((await d.admin.request("PUT", base("s2"))).status, 201, "a body is not needed");
});

test("a preview is looked up by polling clients", async (t) => {
	const d = await start(t);
	const look = (query) => d.admin.get(`/api/apps/default/web-preview?${query}`);
	await d.admin.attach("s1", blind({ name: "web" }));
	const expected = { attached: true, url: "http://localhost:5173", type: "proxy", name: "web", session_id: "s1", host: "127.0.0.1", port: 5173 };
	assert.deepEqual((await look("session_id=s1&name=web")).json, expected);
	assert.deepEqual((await look("session_id=s1")).json, expected, "the only one stands for default");
	assert.deepEqual((await look("session_id=s1&name=api")).json, { attached: false, url: null });
	await d.admin.attach("s1", blind({ name: "api" }));
	assert.deepEqual((await look("session_id=s1")).json, { attached: false, url: null });
	assert.deepEqual((await look("session_id=none")).json, { attached: false, url: null });
	problem(await look("name=web"), 422, "invalid_field");
	problem(await look("session_id=a%20b"), 422, "invalid_field");
});

test("touch resets the idle clock", async (t) => {
	const d = await start(t);
	await d.admin.attach("s1", blind());
	const answer = await d.admin.post(`${base("s1")}/previews/default/touch`);
	assert.equal(answer.status, 200, answer.text);
	assert.ok(Date.parse(answer.json.touched_at) > 0);
	assert.equal((await d.admin.get(`${base("s1")}/previews/default`)).json.touched_at, answer.json.touched_at);
	problem(await d.admin.post(`${base("s1")}/previews/none/touch`), 404, "preview_not_found");
});

test("detach tells what it was", async (t) => {
	const d = await start(t);
	const made = (await d.admin.attach("s1", blind())).json;
	const gone = await d.admin.detach("s1");
	assert.equal(gone.status, 200);
	assert.equal(gone.json.removed, true);
	assert.equal(gone.json.previous.label, made.label);
	assert.deepEqual(await d.admin.list("s1"), []);
	assert.equal((await d.admin.detach("s1")).json.removed, false);
	problem(await d.admin.get(`${base("s1")}/previews/default`), 404, "preview_not_found");
});

test("all previews are listed in pages, each once", async (t) => {
	const d = await start(t, { settings: { "limits.per_user": "100" } });
	for (let i = 0; i < 7; i++) for (const name of ["a", "b"]) await d.admin.attach(`s${i}`, blind({ name }));
	const seen = [];
	let after = null;
	do {
		const { json } = await d.admin.get(`/api/previews?limit=2${after ? `&after=${encodeURIComponent(after)}` : ""}`);
		seen.push(...json.previews.map((p) => `${p.session_id}/${p.name}`));
		after = json.next;
	} while (after);
	assert.equal(seen.length, 14);
	assert.equal(new Set(seen).size, 14);
	problem(await d.admin.get("/api/previews?limit=0"), 422, "invalid_field");
	problem(await d.admin.get("/api/previews?limit=x"), 422, "invalid_field");
});

test("curl speaks with it, over TCP and over the unix socket", async (t) => {
	const d = await start(t);
	const curl = async (...args) => {
		const { stdout, code } = await run(t, ["curl", "-sS", "--max-time", "10", ...args]);
		assert.equal(code, 0);
		return stdout;
	};
	const json = ["-H", "Content-Type: application/json"];
	const made = await curl("--unix-socket", d.socket, ...json, "-d", JSON.stringify(blind()), `http://localhost${base("s1")}/previews`);
	assert.equal(JSON.parse(made).url, "http://localhost:5173");
	const auth = ["-H", `Authorization: Bearer ${d.admin_token}`];
	const list = JSON.parse(await curl(...auth, `${d.url}${base("s1")}/previews`));
	assert.equal(list.previews.length, 1);
	assert.match(await curl("-I", `${d.url}/healthz`), /^HTTP\/1\.1 200/);
	const large = await curl(...auth, ...json, "-X", "PUT", "-d", JSON.stringify({ meta: { text: "x".repeat(15_000) } }), "-w", "%{http_code}", "-o", "/dev/null", `${d.url}${base("s2")}`);
	assert.equal(large, "201", "curl waits for 100-continue before such a body");
});

test("requests in one go are answered in their order", async (t) => {
	const d = await start(t);
	const one = (target, more = "") => `GET ${target} HTTP/1.1\r\nHost: localhost\r\n${more}\r\n`;
	const text = await raw(d.port, one("/healthz") + one("/nothing") + one("/readyz", "Connection: close\r\n"));
	assert.deepEqual([...text.matchAll(/HTTP\/1\.1 (\d+)/g)].map((m) => m[1]), ["200", "404", "200"]);
});

test("what could be read in two ways is refused and the connection closed", async (t) => {
	const d = await start(t);
	const auth = `Authorization: Bearer ${d.admin_token}\r\n`;
	const put = (lines) => `PUT ${base("s1")} HTTP/1.1\r\nHost: localhost\r\n${auth}${lines}\r\n`;
	const smuggled = `DELETE ${base("s1")} HTTP/1.1\r\nHost: localhost\r\n${auth}\r\n`;
	const ambiguous = [
		put("Content-Length: 2\r\nTransfer-Encoding: chunked\r\n") + "0\r\n\r\n",
		put("Content-Length: 2\r\nContent-Length: 3\r\n") + "{}",
		put("Content-Length: +2\r\n") + "{}",
		put("Transfer-Encoding: chunked, identity\r\n") + "0\r\n\r\n",
		put("Transfer-Encoding : chunked\r\n") + "0\r\n\r\n",
		`GET /healthz HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n`,
		`GET /healthz HTTP/1.1\r\n\r\n`,
		`GET /healthz HTTP/1.1\nHost: localhost\n\n`,
		`GET /healthz HTTP/1.1\r\nHost: localhost\r\n folded: x\r\n\r\n`,
	];
	for (const bytes of ambiguous) {
		const text = await raw(d.port, bytes + smuggled);
		assert.equal([...text.matchAll(/HTTP\/1\.1 \d+/g)].length, 1, JSON.stringify(bytes));
		assert.match(text, /^HTTP\/1\.1 (400|501) /, JSON.stringify(bytes));
		const document = JSON.parse(text.split("\r\n\r\n")[1]);
		const [, status] = /^HTTP\/1\.1 (\d+)/.exec(text);
		problem({ status: Number(status), type: /content-type: (.*)\r/i.exec(text)[1], json: document, text }, document.status, "bad_request");
		assert.equal(document.status, Number(status));
	}
});

test("numbers of a session's meta come back as they were", async (t) => {
	const d = await start(t);
	const meta = { safe: Number.MAX_SAFE_INTEGER, third: 1 / 3, sum: 0.1 + 0.2, big: 1e21, small: 5e-324, micros: 1790000000000001 };
	assert.deepEqual((await d.admin.put(base("s1"), { meta })).json.meta, meta);
	await d.restart();
	assert.deepEqual((await d.admin.get(base("s1"))).json.meta, meta);
});

test("a body may come in chunks, after 100 Continue, and from a client of HTTP/1.0", async (t) => {
	const d = await start(t);
	const head = (version, more) =>
		`PUT ${base("s1")} HTTP/${version}\r\nHost: localhost\r\nAuthorization: Bearer ${d.admin_token}\r\nContent-Type: application/json\r\nConnection: close\r\n${more}\r\n\r\n`;
	const chunked = await raw(d.port, head("1.1", "Transfer-Encoding: chunked") + '5;x=y\r\n{"met\r\nA\r\na":{"k":1}\r\n1\r\n}\r\n0\r\nTrailer: x\r\n\r\n');
	assert.match(chunked, /^HTTP\/1\.1 201 /, chunked);
	assert.match(chunked, /"meta":\{"k":1\}/);
	const patient = await raw(d.port, head("1.1", "Content-Length: 2\r\nExpect: 100-continue") + "{}");
	assert.match(patient, /^HTTP\/1\.1 (100 Continue\r\n\r\nHTTP\/1\.1 )?200 /, patient);
	const old = await raw(d.port, head("1.0", "Content-Length: 2") + "{}");
	assert.match(old, /^HTTP\/1\.[01] 200 /, old);
	assert.doesNotMatch(old, /transfer-encoding/i);
});

test("a browser's page may read a refusal, where its origin is listed", async (t) => {
	const origin = "https://app.example.org";
	const d = await start(t, { settings: { "cors.origins": origin } });
	for (const answer of [await d.anonymous.get("/api/previews", { headers: { origin } }), await d.admin.get("/nothing", { headers: { origin } })])
		assert.equal(answer.headers["access-control-allow-origin"], origin, answer.text);
});

test("previews stand in the order they were attached, also after a restart", async (t) => {
	const d = await start(t);
	for (const name of ["zeta", "alpha", "mid"]) await d.admin.attach("s1", blind({ name }));
	await d.admin.attach("s1", blind({ name: "alpha", port: 6000 }));
	const order = async () => (await d.admin.list("s1")).map((p) => p.name);
	const before = await order();
	assert.deepEqual(before, ["zeta", "mid", "alpha"]);
	await d.kill();
	await d.start();
	assert.deepEqual(await order(), before);
});
