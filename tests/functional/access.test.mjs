// SPDX-License-Identifier: MIT
//
// Who may do what: every credential, and those who have none or a wrong one.
import assert from "node:assert/strict";
import { createSecretKey, randomBytes } from "node:crypto";
import fs from "node:fs";
import path from "node:path";
import test from "node:test";

import { SignJWT, UnsecuredJWT, exportSPKI, generateKeyPair } from "jose";

import { Daemon, base, blind, is_root, raw, run, start, temp_dir, until, within } from "./harness.mjs";
import * as events from "./events.mjs";

const secret = randomBytes(32).toString("hex");

async function with_jwt(t, more = {}) {
	const file = path.join(temp_dir(t), "key");
	fs.writeFileSync(file, secret, { mode: 0o600 });
	return start(t, { settings: { "auth.jwt_algorithm": "HS256", "auth.jwt_key_file": file, "auth.jwt_leeway": "0s", ...more } });
}

const hs256 = (claims, { expires = "1h", key = secret, alg = "HS256" } = {}) => {
	const jwt = new SignJWT(claims).setProtectedHeader({ alg });
	if (expires) jwt.setExpirationTime(expires);
	return jwt.sign(createSecretKey(Buffer.from(key)));
};

function refused(answer, status, code) {
	assert.equal(answer.json?.code, code, answer.text);
	assert.equal(answer.status, status);
	assert.match(answer.type, /^application\/problem\+json/);
}

test("without a credential there is only what is public, and 401 says what is missing", async (t) => {
	const d = await start(t);
	for (const open of ["/healthz", "/readyz", "/openapi.json"]) assert.equal((await d.anonymous.get(open)).status, 200, open);
	for (const closed of ["/api/previews", base("s1"), "/metrics", "/health/web_preview"]) {
		const answer = await d.anonymous.get(closed);
		refused(answer, 401, "unauthenticated");
		assert.match(answer.headers["www-authenticate"], /^Bearer/);
	}
	refused(await d.anonymous.attach("s1", blind()), 401, "unauthenticated");
});

test("the admin token is 0600, stays over a restart, and is never logged", async (t) => {
	const d = await start(t, { settings: { "log.level": "debug" } });
	const file = path.join(d.state, "token");
	assert.equal(fs.statSync(file).mode & 0o777, 0o600);
	const before = d.admin_token;
	assert.ok(before.length >= 32);
	await d.admin.attach("s1", blind());
	await d.admin.as(`${before}x`).get("/api/previews");
	await d.restart();
	assert.equal(d.admin_token, before);
	await d.stop();
	assert.ok(!d.log.join("\n").includes(before));
});

test("a wrong token is token_invalid, whatever its form", async (t) => {
	const d = await start(t);
	for (const token of ["x", `${d.admin_token}x`, d.admin_token.slice(1), "pvt_a_b", "a.b.c", "pvt_", "....", "x".repeat(4000)])
		refused(await d.api(token).get("/api/previews"), 401, "token_invalid");
	for (const authorization of ["Basic YTpi", "Bearer", d.admin_token]) {
		const answer = await d.anonymous.get("/api/previews", { headers: { authorization } });
		assert.equal(answer.status, 401, authorization);
	}
	assert.equal((await d.anonymous.get(`/api/previews?token=${d.admin_token}`)).status, 401, "not in the address");
	assert.equal((await d.anonymous.get("/api/previews", { headers: { cookie: `token=${d.admin_token}` } })).status, 401);
});

test("a token file that others can read is refused at start", async (t) => {
	const d = await start(t);
	await d.stop();
	fs.chmodSync(path.join(d.state, "token"), 0o644);
	const child = d.spawn();
	assert.notEqual((await child.exited).code, 0);
	assert.match(child.stderr.text, /token/);
});

test("a peer of the unix socket with the daemon's uid is admin without a token", async (t) => {
	const d = await start(t);
	assert.equal((await d.local.attach("s1", blind())).status, 201);
	assert.equal((await d.local.get("/health/web_preview")).status, 200);
	assert.equal((await d.local.get("/api/previews", { headers: { host: "anything" } })).status, 200);
	const stream = await events.join(d, "s1", {}, { unix: true });
	await d.local.detach("s1");
	await stream.event("web_preview:detached");
	assert.equal(fs.statSync(d.socket).mode & 0o777, 0o600);
	refused(await d.local.as("wrong").get("/api/previews"), 401, "token_invalid");
});

test("a peer of another uid is that login's user, and no admin", { skip: !is_root && "needs root, to be another user" }, async (t) => {
	const d = await start(t, { settings: { "server.socket_mode": "0666" } });
	fs.chmodSync(d.dir, 0o755);
	await d.admin.attach("s1", blind());
	const curl = async (target, ...more) => {
		const argv = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "curl", "-s", "--max-time", "10", "-w", "\n%{http_code}"];
		const { stdout, stderr } = await run(t, [...argv, "--unix-socket", d.socket, ...more, `http://localhost${target}`]);
		const lines = stdout.split("\n");
		assert.ok(lines.length > 1, stderr);
		return { status: Number(lines.at(-1)), json: JSON.parse(lines[0]) };
	};

	refused({ ...(await curl("/metrics")), type: "application/problem+json" }, 403, "forbidden");
	assert.equal((await curl("/health/web_preview")).status, 403);
	assert.equal((await curl("/edge/traefik")).status, 403);
	assert.equal((await curl(base("s1"))).json.code, "session_not_found");
	assert.deepEqual((await curl("/api/previews")).json.previews, []);
	const body = JSON.stringify(blind({ port: 6001 }));
	const made = await curl(`${base("own")}/previews`, "-H", "Content-Type: application/json", "-d", body);
	assert.equal(made.status, 201, JSON.stringify(made.json));
	assert.equal(made.json.user_id, "nobody");
});

test("a JWT is its user, and sees nothing of another's: the same 404 as for what is not there", async (t) => {
	const d = await with_jwt(t);
	const ada = d.api(await hs256({ sub: "ada", scope: "preview view session:create" }));
	const bob = d.api(await hs256({ sub: "bob", scope: "preview view session:create" }));
	const mine = await ada.attach("s1", blind());
	assert.equal(mine.status, 201, mine.text);
	assert.equal(mine.json.user_id, "ada");

	const calls = [
		(api, s) => api.get(base(s)),
		(api, s) => api.head(base(s)),
		(api, s) => api.get(`${base(s)}/previews`),
		(api, s) => api.get(`${base(s)}/previews/default`),
		(api, s) => api.detach(s),
		(api, s) => api.post(`${base(s)}/previews/default/touch`),
		(api, s) => api.del(base(s)),
		(api, s) => api.get(`${base(s)}/tokens`),
		(api, s) => api.post(`${base(s)}/tokens`, { scopes: ["view"] }),
		(api, s) => api.del(`${base(s)}/tokens/x`),
	];
	const blank = (text, ...ids) => ids.reduce((all, id) => all.replaceAll(id, "ID"), text);
	for (const call of calls) {
		const foreign = await call(bob, "s1");
		const unknown = await call(bob, "s0");
		assert.equal(foreign.status, 404, foreign.text);
		assert.equal(blank(foreign.text, "s1"), blank(unknown.text, "s0"));
		const fields = (a) => ({ ...a.headers, date: 0, "x-request-id": 0 });
		assert.deepEqual(fields(foreign), fields(unknown));
	}
	assert.deepEqual((await bob.get("/api/previews")).json.previews, []);
	for (const s of ["s1", "s0"]) {
		const answer = await bob.get(`/api/apps/default/web-preview?session_id=${s}`);
		assert.equal(answer.text, (await bob.get("/api/apps/default/web-preview?session_id=s9")).text);
		assert.deepEqual(answer.json, { attached: false, url: null });
	}
	assert.deepEqual((await ada.list("s1")).map((p) => p.name), ["default"], "and changes nothing of it");
});

test("with session:create, what another has is not there either, and cannot be taken", async (t) => {
	const d = await with_jwt(t);
	const ada = d.api(await hs256({ sub: "ada", scope: "preview session:create" }));
	const bob = d.api(await hs256({ sub: "bob", scope: "preview session:create" }));
	await ada.attach("s1", blind());
	const answer = await bob.attach("s1", blind({ port: 6000 }));
	assert.ok(answer.status === 404 || answer.status === 409, answer.text);
	assert.ok(!answer.text.includes("ada"));
	assert.deepEqual((await ada.list("s1")).map((p) => p.port), [5173]);
});

test("sid, app and scope narrow a JWT", async (t) => {
	const d = await with_jwt(t);
	const narrow = d.api(await hs256({ sub: "ada", sid: "s1", app: "shop", scope: "preview" }));
	const viewer = d.api(await hs256({ sub: "ada", scope: "view" }));
	assert.equal((await narrow.attach("s1", blind(), { app: "shop" })).status, 201, "sid makes its session");
	refused(await narrow.attach("s2", blind(), { app: "shop" }), 404, "session_not_found");
	refused(await narrow.get(base("s1", "default")), 404, "session_not_found");
	assert.equal((await viewer.get(`${base("s1", "shop")}/previews`)).json.previews.length, 1);
	refused(await viewer.attach("s1", blind(), { app: "shop" }), 403, "forbidden");
	refused(await narrow.get("/health/web_preview"), 403, "forbidden");
});

test("an expired JWT is token_expired; without exp, alg none, or by another key token_invalid", async (t) => {
	const d = await with_jwt(t);
	const ask = async (token) => d.api(await token).get("/api/previews");
	const now = Math.floor(Date.now() / 1000);
	const claims = { sub: "ada", scope: "view" };

	assert.equal((await ask(hs256(claims))).status, 200);
	refused(await ask(hs256(claims, { expires: now - 10 })), 401, "token_expired");
	refused(await ask(hs256(claims, { expires: null })), 401, "token_invalid");
	refused(await ask(hs256(claims, { key: randomBytes(32).toString("hex") })), 401, "token_invalid");
	refused(await ask(hs256(claims, { alg: "HS512", key: secret })), 401, "token_invalid");
	refused(await ask(new UnsecuredJWT(claims).setExpirationTime("1h").encode()), 401, "token_invalid");
	refused(await ask(hs256({ scope: "view" })), 401, "token_invalid");
	refused(await ask(hs256({ ...claims, nbf: now + 3600 })), 401, "token_invalid");
	const [head, , signature] = (await hs256(claims)).split(".");
	const forged = Buffer.from(JSON.stringify({ sub: "bob", scope: "admin", exp: now + 99 })).toString("base64url");
	refused(await ask(`${head}.${forged}.${signature}`), 401, "token_invalid");
});

test("who watches for a session that another then makes hears nothing of it", async (t) => {
	const d = await with_jwt(t);
	const ada = d.api(await hs256({ sub: "ada", scope: "preview session:create" }));
	const bob = await events.join(d, "s1", {}, { token: await hs256({ sub: "bob", scope: "view session:create" }) });
	const everything = await events.join(d, null, {}, { token: await hs256({ sub: "bob", scope: "view" }) });
	const own = await events.join(d, "s1", {}, { token: await hs256({ sub: "ada", scope: "view session:create" }) });
	assert.equal((await ada.attach("s1", blind())).status, 201);
	await own.event("web_preview:attached");
	for (const stream of [bob, everything]) {
		await stream.flush();
		assert.deepEqual(stream.events, []);
	}
});

test("an app's JWT sees that app alone", async (t) => {
	const d = await with_jwt(t);
	const ada = d.api(await hs256({ sub: "ada", scope: "preview session:create" }));
	await ada.attach("in", blind(), { app: "shop" });
	await ada.attach("out", blind(), { app: "other" });
	const token = await hs256({ sub: "ada", app: "shop", scope: "preview session:create" });
	const shop = d.api(token);
	assert.deepEqual((await shop.get("/api/previews")).json.previews.map((p) => p.session_id), ["in"]);
	refused(await shop.get(base("out", "other")), 404, "session_not_found");
	refused(await shop.attach("new", blind(), { app: "other" }), 404, "session_not_found");
	assert.equal((await events.refusal(d, { session_id: "out" }, { token })).status, 404);
});

test("a user says no other user's name", async (t) => {
	const d = await with_jwt(t);
	const ada = d.api(await hs256({ sub: "ada", scope: "preview session:create" }));
	refused(await ada.put(base("s1"), { user_id: "bob" }), 403, "forbidden");
	assert.equal((await ada.put(base("s1"), { user_id: "ada" })).status, 201);
});

test("SIGHUP takes over another JWT key", async (t) => {
	const d = await with_jwt(t);
	const next = randomBytes(32).toString("hex");
	const ask = async (key) => (await d.api(await hs256({ sub: "ada", scope: "view" }, { key })).get("/api/previews")).status;
	assert.deepEqual([await ask(secret), await ask(next)], [200, 401]);
	fs.writeFileSync(d.settings["auth.jwt_key_file"], next);
	d.child.signal("SIGHUP");
	assert.ok(await d.child.stderr.match(/reloaded/));
	assert.deepEqual([await ask(secret), await ask(next)], [401, 200]);

	const seen = d.child.stderr.all.length;
	fs.writeFileSync(d.settings["auth.jwt_key_file"], "short");
	d.child.signal("SIGHUP");
	assert.ok(await d.child.stderr.match(/32 bytes|too short|jwt_key_file/, seen));
	assert.equal(await ask(next), 200, "the good key stays");
});

test("SIGHUP with one wrong setting changes none, also where the old key cannot be read again", async (t) => {
	const dir = temp_dir(t);
	const next = randomBytes(32).toString("hex");
	const [old_key, new_key] = ["old", "new"].map((name) => path.join(dir, name));
	fs.writeFileSync(old_key, secret, { mode: 0o600 });
	fs.writeFileSync(new_key, next, { mode: 0o600 });
	const file = (key, tasks, more = "") => `[auth]\njwt_algorithm = HS256\njwt_key_file = ${key}\n[limits]\ntasks_per_session = ${tasks}\n${more}`;
	const d = await start(t, { file: file(old_key, 1) });
	const status = async (key) => (await d.api(await hs256({ sub: "ada", scope: "view" }, { key })).get("/api/previews")).status;
	const register = async (id) => (await d.local.post(`${base("s1")}/tasks`, { task_id: id })).status;
	assert.deepEqual([await register("a"), await register("b")], [201, 409]);

	fs.writeFileSync(d.config, file(new_key, 9, "[ui]\nframe_ancestors = nonsense\n"));
	fs.rmSync(old_key);
	d.child.signal("SIGHUP");
	assert.ok(await d.child.stderr.match(/reload: ui\.frame_ancestors.*stay as they were/));
	assert.deepEqual([await status(secret), await status(next)], [200, 401]);
	assert.equal(await register("b"), 409);
});

test("aud and iss are checked where they are set", async (t) => {
	const d = await with_jwt(t, { "auth.jwt_audience": "previewd", "auth.jwt_issuer": "https://id.example.org" });
	const status = async (claims) => (await d.api(await hs256({ sub: "ada", scope: "view", ...claims })).get("/api/previews")).status;
	const iss = "https://id.example.org";
	assert.equal(await status({ aud: "previewd", iss }), 200);
	assert.equal(await status({ aud: ["x", "previewd"], iss }), 200);
	assert.equal(await status({ aud: "other", iss }), 401);
	assert.equal(await status({ iss }), 401);
	assert.equal(await status({ aud: "previewd", iss: "https://evil.example.org" }), 401);
	assert.equal(await status({ aud: "previewd" }), 401);
});

for (const alg of ["RS256", "ES256"])
	test(`a JWT by ${alg} is checked with the public key, which is no HMAC secret`, async (t) => {
		const { publicKey, privateKey } = await generateKeyPair(alg);
		const pem = await exportSPKI(publicKey);
		const file = path.join(temp_dir(t), "key.pem");
		fs.writeFileSync(file, pem);
		const d = await start(t, { settings: { "auth.jwt_algorithm": alg, "auth.jwt_key_file": file } });
		const claims = { sub: "ada", scope: "view" };
		const good = await new SignJWT(claims).setProtectedHeader({ alg }).setExpirationTime("1h").sign(privateKey);
		const other = await generateKeyPair(alg);
		const bad = await new SignJWT(claims).setProtectedHeader({ alg }).setExpirationTime("1h").sign(other.privateKey);
		assert.equal((await d.api(good).get("/api/previews")).status, 200);
		refused(await d.api(bad).get("/api/previews"), 401, "token_invalid");
		refused(await d.api(await hs256({ ...claims, scope: "admin" }, { key: pem })).get("/api/previews"), 401, "token_invalid");
	});

test("a session token is minted, used within its scopes, listed without its secret, and revoked", async (t) => {
	const d = await start(t);
	await d.admin.attach("s1", blind());
	await d.admin.attach("s2", blind({ name: "other" }));

	const minted = await d.admin.post(`${base("s1")}/tokens`, { scopes: ["view"], ttl_seconds: 600, note: "a panel" });
	assert.equal(minted.status, 201, minted.text);
	const { token, token_id, scopes, expires_at, note } = minted.json;
	assert.match(token, /^pvt_/);
	assert.deepEqual(scopes, ["view"]);
	assert.equal(note, "a panel");
	assert.ok(Math.abs(Date.parse(expires_at) - Date.now() - 600_000) < 60_000);

	const viewer = d.api(token);
	assert.equal((await viewer.get(`${base("s1")}/previews`)).json.previews.length, 1);
	refused(await viewer.attach("s1", blind({ name: "b" })), 403, "forbidden");
	refused(await viewer.detach("s1"), 403, "forbidden");
	refused(await viewer.post(`${base("s1")}/tokens`, { scopes: ["view"] }), 403, "forbidden");
	refused(await viewer.get(base("s2")), 404, "session_not_found");
	assert.deepEqual((await viewer.get("/api/previews")).json.previews.map((p) => p.session_id), ["s1"]);

	const list = await d.admin.get(`${base("s1")}/tokens`);
	assert.deepEqual(list.json.tokens.map((x) => x.token_id), [token_id]);
	assert.ok(!list.text.includes(token));
	assert.equal(list.json.tokens[0].token, undefined);
	refused(await d.admin.del(`${base("s2")}/tokens/${token_id}`), 404, "token_not_found");
	assert.equal((await viewer.get(base("s1"))).status, 200);

	await d.kill();
	await d.start();
	const again = d.api(token);
	assert.equal((await again.get(base("s1"))).status, 200, "it survives kill -9");
	const stream = await events.join(d, "s1", {}, { token });
	const revoked = await d.admin.del(`${base("s1")}/tokens/${token_id}`);
	assert.deepEqual([revoked.status, revoked.json], [200, { revoked: true }]);
	refused(await again.get(base("s1")), 401, "token_invalid");
	assert.equal((await stream.end()).code, 4401);
	refused(await d.admin.del(`${base("s1")}/tokens/${token_id}`), 404, "token_not_found");
	await d.stop();
	assert.ok(!d.log.join("\n").includes(token.split("_").at(-1)), "its secret is never logged");
	const database = fs.readdirSync(d.state).map((f) => path.join(d.state, f)).filter((f) => fs.statSync(f).isFile());
	for (const f of database) assert.ok(!fs.readFileSync(f, "latin1").includes(token.split("_").at(-1)), f);
});

test("an agent's session token attaches in its session alone, as the session's user", async (t) => {
	const d = await start(t);
	await d.admin.put(base("s1"), { user_id: "ada" });
	const { token } = (await d.admin.post(`${base("s1")}/tokens`, { scopes: ["preview"] })).json;
	const agent = d.api(token);
	const answer = await agent.attach("s1", blind());
	assert.equal(answer.status, 201, answer.text);
	assert.equal(answer.json.user_id, "ada");
	refused(await agent.attach("s2", blind()), 404, "session_not_found");
	const more = await agent.post(`${base("s1")}/tokens`, { scopes: ["publish"] });
	assert.equal(more.status, 403, `it cannot mint what it has not: ${more.text}`);
});

test("a session token expires", async (t) => {
	const d = await start(t);
	await d.admin.put(base("s1"), {});
	const { token } = (await d.admin.post(`${base("s1")}/tokens`, { scopes: ["view"], ttl_seconds: 60 })).json;
	assert.equal((await d.api(token).get(base("s1"))).status, 200);
	// A minute is the least: the store is told that it is over.
	await d.stop();
	const past = "import sqlite3,sys; c=sqlite3.connect(sys.argv[1]); assert c.execute('update token set expires_at = expires_at - 61000000').rowcount == 1; c.commit()";
	assert.equal((await run(t, ["python3", "-c", past, path.join(d.state, "previewd.db")])).stderr, "");
	await d.start();
	const late = await d.api(token).get(base("s1"));
	assert.equal(late.status, 401);
	assert.match(late.json.code, /^token_(expired|invalid)$/);
	assert.deepEqual((await d.admin.get(`${base("s1")}/tokens`)).json.tokens, []);
});

test("the stream opened with a credential ends when that expires", async (t) => {
	const d = await with_jwt(t);
	await d.admin.put(base("s1"), { user_id: "ada" });
	const token = await hs256({ sub: "ada", scope: "view" }, { expires: Math.floor(Date.now() / 1000) + 2 });
	const stream = await events.join(d, "s1", {}, { token });
	const { code } = await stream.end();
	assert.equal(code, 4401);
	assert.equal(stream.frames.at(-1).code, "token_expired");
	refused(await d.api(token).get(base("s1")), 401, "token_expired");
});

test("a session token ends with its session, and does not come back with it", async (t) => {
	const d = await start(t);
	await d.admin.put(base("s1"), {});
	const { token } = (await d.admin.post(`${base("s1")}/tokens`, { scopes: ["preview"] })).json;
	await d.admin.del(base("s1"));
	refused(await d.api(token).get(base("s1")), 401, "token_invalid");
	await d.admin.put(base("s1"), {});
	refused(await d.api(token).get(base("s1")), 401, "token_invalid");
	await d.restart();
	refused(await d.api(token).get(base("s1")), 401, "token_invalid");
});

test("what may be minted is bounded", async (t) => {
	const d = await start(t, { settings: { "limits.tokens_per_session": "2", "auth.token_ttl_max": "1h" } });
	await d.admin.put(base("s1"), {});
	const mint = (body) => d.admin.post(`${base("s1")}/tokens`, body);
	refused(await mint({ scopes: ["view"], ttl_seconds: 3601 }), 422, "invalid_field");
	refused(await mint({ scopes: ["admin"] }), 422, "invalid_field");
	refused(await mint({ scopes: [] }), 422, "invalid_field");
	refused(await mint({ scopes: ["nonsense"] }), 422, "invalid_field");
	refused(await mint({}), 422, "invalid_field");
	assert.equal((await mint({ scopes: ["view"] })).status, 201);
	assert.equal((await mint({ scopes: ["view"] })).status, 201);
	refused(await mint({ scopes: ["view"] }), 409, "token_limit");
});

test("a panel that was closed gives its token's place to the next one, an agent's stays", async (t) => {
	const d = await start(t, { settings: { "limits.tokens_per_session": "2" } });
	await d.admin.put(base("s1"), {});
	const agents = (await d.admin.post(`${base("s1")}/tokens`, { scopes: ["view"], note: "panel" })).json.token;
	const open = async () => {
		const { code } = (await d.admin.post(`${base("s1")}/codes`, {})).json;
		const answer = await d.anonymous.post("/ui/exchange", { code });
		assert.equal(answer.status, 200, answer.text);
		return answer.json.token;
	};
	const [first, second] = [await open(), await open()];
	refused(await d.api(first).get(base("s1")), 401, "token_invalid");
	for (const token of [agents, second]) assert.equal((await d.api(token).get(base("s1"))).status, 200);
	await d.restart();
	const third = await open();
	refused(await d.api(second).get(base("s1")), 401, "token_invalid");
	for (const token of [agents, third]) assert.equal((await d.api(token).get(base("s1"))).status, 200);
});

for (const host of ["evil.example.org", "evil.example.org:7070", "127.0.0.1.evil.example.org", "localhost.evil.example.org", "169.254.169.254"])
	test(`the Host ${host} is refused, with any credential`, async (t) => {
		const d = await start(t);
		for (const target of ["/healthz", "/api/previews"]) refused(await d.admin.get(target, { headers: { host } }), 421, "host_not_allowed");
		const upgrade = await events.refusal(d, { session_id: "s1" }, { headers: { host } });
		assert.equal(upgrade.status, 421);
	});

for (const origin of ["https://evil.example.org", "null", "http://127.0.0.1", "http://localhost:5173", "file://"])
	test(`the Origin ${origin} is refused, with any credential`, async (t) => {
		const d = await start(t);
		refused(await d.admin.get("/api/previews", { headers: { origin } }), 403, "origin_not_allowed");
		refused(await d.admin.attach("s1", blind(), { headers: { origin } }), 403, "origin_not_allowed");
		const preflight = await d.anonymous.request("OPTIONS", `${base("s1")}/previews`, {
			headers: { origin, "access-control-request-method": "POST", "access-control-request-headers": "authorization" },
		});
		assert.equal(preflight.headers["access-control-allow-origin"], undefined);
		assert.equal((await events.refusal(d, { session_id: "s1" }, { headers: { origin } })).status, 403);
		assert.deepEqual((await d.admin.get("/api/previews")).json.previews, []);
	});

test("origins of cors.origins may call, null never", async (t) => {
	const d = await start(t, { settings: { "cors.origins": "https://app.example.org,http://localhost:5173" } });
	const origin = "https://app.example.org";
	const preflight = await d.anonymous.request("OPTIONS", `${base("s1")}/previews`, {
		headers: { origin, "access-control-request-method": "POST", "access-control-request-headers": "authorization,content-type" },
	});
	assert.ok(preflight.status === 200 || preflight.status === 204, preflight.text);
	assert.equal(preflight.headers["access-control-allow-origin"], origin);
	assert.match(preflight.headers["access-control-allow-methods"], /POST/);
	assert.match(preflight.headers["access-control-allow-headers"], /authorization/i);
	assert.equal(preflight.headers["access-control-allow-credentials"], undefined);
	const answer = await d.admin.attach("s1", blind(), { headers: { origin } });
	assert.equal(answer.status, 201);
	assert.equal(answer.headers["access-control-allow-origin"], origin);
	assert.match(answer.headers.vary ?? "", /origin/i);
	const failure = await d.admin.get(base("none"), { headers: { origin } });
	assert.equal(failure.headers["access-control-allow-origin"], origin, "a page may read its errors");
	refused(await d.admin.get("/api/previews", { headers: { origin: "null" } }), 403, "origin_not_allowed");
	await events.join(d, "s1", {}, { headers: { origin } });
});

test("what would never match as an origin is refused at the start, with what is wrong", async (t) => {
	for (const origin of ["https://app.example.org/", "https://app.example.org/app", "app.example.org", "null", "*", "https://*.example.org", "https://app.example.org:443", "http://localhost:80", "https://u@h"]) {
		const d = new Daemon(t, { settings: { "cors.origins": `https://good.example,${origin}` } });
		const child = d.spawn();
		const { code } = await within(child.exited, "the daemon's end");
		assert.notEqual(code, 0, origin);
		assert.match(child.stderr.text, /cors\.origins: must be a list of origins as browsers send them/);
		assert.ok(child.stderr.text.includes(`not "${origin}"`), child.stderr.text);
	}
});

test("the client behind trusted proxies is the last that is none of them, over all lines of X-Forwarded-For", async (t) => {
	const d = await start(t, { settings: { "server.trusted_proxies": "127.0.0.1,10.0.0.0/8" } });
	const from = async (lines) => {
		const n = d.child.stderr.all.length;
		const fields = lines.map((l) => `X-Forwarded-For: ${l}\r\n`).join("");
		const answer = await raw(d.port, `GET /api/previews HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer wrong\r\n${fields}Connection: close\r\n\r\n`);
		assert.match(answer, /^HTTP\/1.1 401 /);
		return (await d.child.stderr.match(/GET \/api\/previews from (\S+): token_invalid/, n))[1];
	};
	assert.equal(await from([]), "127.0.0.1");
	assert.equal(await from(["192.0.2.1"]), "192.0.2.1");
	assert.equal(await from(["198.51.100.7", "192.0.2.1"]), "192.0.2.1");
	assert.equal(await from(["198.51.100.7, 192.0.2.1", "10.1.1.1"]), "192.0.2.1");
	assert.equal(await from(["198.51.100.7", "192.0.2.1, 10.1.1.1", "10.1.1.2"]), "192.0.2.1");
	assert.equal(await from(["192.0.2.1", "nonsense"]), "127.0.0.1");
});

test("a page of the daemon's own origin may call", async (t) => {
	const d = await start(t, { settings: { "server.public_base_url": "https://preview.example.org" } });
	const own = { origin: `http://127.0.0.1:${d.port}` };
	assert.equal((await d.admin.get("/api/previews", { headers: own })).status, 200);
	const behind = { host: "preview.example.org", origin: "https://preview.example.org" };
	assert.equal((await d.admin.get("/api/previews", { headers: behind })).status, 200);
});

test("refused credentials are counted", async (t) => {
	const d = await start(t);
	await d.api("wrong").get("/api/previews");
	await until(async () => (await d.metric("previewd_auth_failures_total")) === 1, "the failure is counted");
});
