// SPDX-License-Identifier: MIT
// Tokens of jose, the JSON Web Token library of the JavaScript world, as previewd reads them.
//
//	make tests/interop/jwt-check
//	JWT_CHECK=tests/interop/jwt-check node --test $(srcdir)/tests/interop/jwt.test.mjs
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import * as jose from "jose";

const program = process.env.JWT_CHECK ?? "tests/interop/jwt-check";
const directory = mkdtempSync(join(tmpdir(), "jwt-test-"));
after(() => rmSync(directory, { recursive: true }));

function keyFile(name, content) {
	const path = join(directory, name);
	writeFileSync(path, content, { mode: 0o600 });
	return path;
}

const secret = randomBytes(48).toString("base64");
const secretBytes = new TextEncoder().encode(secret);
const rsa = await jose.generateKeyPair("RS256", { extractable: true });
const ec = await jose.generateKeyPair("ES256", { extractable: true });
const p384 = await jose.generateKeyPair("ES384");
const rsaPem = await jose.exportSPKI(rsa.publicKey);

const algorithms = {
	HS256: { key: secretBytes, file: keyFile("secret", secret) },
	RS256: { key: rsa.privateKey, file: keyFile("rsa.pem", rsaPem) },
	ES256: { key: ec.privateKey, file: keyFile("ec.pem", await jose.exportSPKI(ec.publicKey)) },
};

// What previewd makes of tokens.
function checkAll(algorithm, tokens, ...parties) {
	const input = tokens.map((token) => `${token}\n`).join("");
	const r = spawnSync(program, [algorithm, algorithms[algorithm].file, ...parties], { input, encoding: "utf8" });

	assert.equal(r.status, 0, r.stderr || String(r.error));
	return r.stdout.trim().split("\n").map((line) => JSON.parse(line));
}
const check = (algorithm, token, ...parties) => checkAll(algorithm, [token], ...parties)[0];

const claims = { app: "shop", sid: "s-1", scope: "view task" };
const token = (more = {}) => new jose.SignJWT({ ...claims, ...more }).setSubject("ann");
const soon = (more) => token(more).setExpirationTime("1m");
const signed = (alg, jwt, key = algorithms[alg].key, header = {}) =>
	jwt.setProtectedHeader({ alg, ...header }).sign(key);

for (const alg of Object.keys(algorithms)) {
	test(`${alg}: jose's token is accepted`, async () => {
		const now = Math.floor(Date.now() / 1000);
		const jwt = token().setIssuedAt(now).setNotBefore(now).setExpirationTime(now + 60)
			.setAudience(["other", "previewd"]).setIssuer("idp").setJti("1");
		const text = await signed(alg, jwt, undefined, { typ: "JWT", kid: "k" });

		assert.deepEqual(check(alg, text, "previewd", "idp"), {
			sub: "ann", ...claims, expires_at: new Date((now + 60) * 1000).toISOString(),
		});
	});

	// An ECDSA signature's r and s may begin with zero bytes; among so many tokens some do.
	test(`${alg}: so are three hundred of them`, async () => {
		const tokens = await Promise.all(Array.from({ length: 300 }, (_, n) => signed(alg, soon({ n }))));
		const verdicts = checkAll(alg, tokens);

		assert.equal(verdicts.length, tokens.length);
		for (const verdict of verdicts)
			assert.equal(verdict.sub, "ann");
	});

	test(`${alg}: an expired one is told so`, async () => {
		assert.equal(check(alg, await signed(alg, token().setExpirationTime("-1m"))).code, "token_expired");
	});

	test(`${alg}: a changed payload is refused`, async () => {
		const [head, , signature] = (await signed(alg, soon())).split(".");
		const forged = Buffer.from(JSON.stringify({ sub: "eve", exp: 2e9 })).toString("base64url");

		assert.equal(check(alg, `${head}.${forged}.${signature}`).code, "token_invalid");
	});
}

const unsigned = (alg) => [{ alg }, { sub: "ann", exp: 4e9 }]
	.map((part) => Buffer.from(JSON.stringify(part)).toString("base64url")).join(".");

const bad = {
	"no algorithm (jose's UnsecuredJWT)": ["HS256", () => new jose.UnsecuredJWT({ sub: "ann", exp: 4e9 }).encode()],
	"algorithm None": ["HS256", () => `${unsigned("None")}.`],
	"algorithm none with a signature": ["RS256", () => `${unsigned("none")}.AAAA`],
	"the RSA public key as an HMAC secret": ["RS256", () => signed("HS256", soon(), new TextEncoder().encode(rsaPem))],
	"another secret": ["HS256", () => signed("HS256", soon(), randomBytes(32))],
	"HS512 with the right secret": ["HS256", () => signed("HS512", soon(), secretBytes)],
	"PS256 with the right key": ["RS256", async () => {
		const { alg, ...jwk } = await jose.exportJWK(rsa.privateKey);
		return signed("PS256", soon(), await jose.importJWK(jwk, "PS256"));
	}],
	"another curve": ["ES256", () => signed("ES384", soon(), p384.privateKey)],
	"an ES256 token where RS256 is wanted": ["RS256", () => signed("ES256", soon())],
	"no exp": ["HS256", () => signed("HS256", token())],
	"a beginning to come": ["HS256", () => signed("HS256", soon().setNotBefore("1m"))],
	"issued in time to come": ["HS256", () => signed("HS256", soon().setIssuedAt(Math.floor(Date.now() / 1000) + 60))],
	"no sub": ["HS256", () => signed("HS256", new jose.SignJWT({}).setExpirationTime("1m"))],
	"a sid that is no identifier": ["HS256", () => signed("HS256", soon({ sid: "../x" }))],
	"an encrypted one": ["HS256", () => new jose.EncryptJWT({ sub: "ann" }).setExpirationTime("1m")
		.setProtectedHeader({ alg: "dir", enc: "A256GCM" }).encrypt(randomBytes(32))],
};

for (const [name, [alg, make]] of Object.entries(bad)) {
	test(`refused: ${name}`, async () => {
		assert.equal(check(alg, await make()).code, "token_invalid");
	});
}

test("refused: another audience, and another issuer", async () => {
	const jwt = await signed("HS256", soon().setAudience("previewd").setIssuer("idp"));

	assert.equal(check("HS256", jwt, "previewd", "idp").sub, "ann");
	assert.equal(check("HS256", jwt, "other", "idp").code, "token_invalid");
	assert.equal(check("HS256", jwt, "previewd", "other").code, "token_invalid");
});
