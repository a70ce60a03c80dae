// SPDX-License-Identifier: MIT
//
// Two tenants: one who has something of each kind, and those who would like to have it, or to know
// of it.  What they are told of it must be what they are told of nothing.
import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";

import { Api, base, blind, is_root, temp_dir } from "./harness.mjs";
import { publish, write_files } from "./publishing.mjs";
import { jwt, with_jwt } from "./socketio.mjs";

export const NOBODY = 65534;

const SCOPES = "preview publish task canvas view";

// Everything that there can be of a session, with names that occur nowhere else.
export async function victim(t, settings = {}) {
	const d = await with_jwt(t, { "server.socket_mode": "0666", ...settings });
	fs.chmodSync(d.dir, 0o755); // another uid is to reach the socket
	const v = { d, user: "ada-of-marks", app: "app-of-marks", session: "session-of-marks", name: "preview-of-marks", task: "task-of-marks", node: "node-of-marks" };
	const B = (v.base = base(v.session, v.app));
	const made = async (answer, status = 201) => {
		const got = await answer;
		assert.equal(got.status, status, got.text);
		return got.json;
	};

	await made(d.local.put(B, { user_id: v.user, workdir: write_files(temp_dir(t), { "index.html": "page-of-marks" }) }));
	v.attachment = await made(d.local.post(`${B}/previews`, blind({ name: v.name, port: 24_242, path: "/path-of-marks" })));
	v.label = v.attachment.label;
	await made(d.admin.post(`${B}/tasks`, { task_id: v.task }));
	const token = await made(d.local.post(`${B}/tokens`, { scopes: ["preview", "publish", "view"], note: "note-of-marks" }));
	v.token = token.token;
	v.token_id = token.token_id;
	v.viewer = (await made(d.local.post(`${B}/tokens`, { scopes: ["view"], note: "note-of-marks" }))).token;
	v.code = (await made(d.local.post(`${B}/codes`, {}))).code;
	await made(d.local.post(`${B}/holds`, {}));
	await made(d.local.post(`${B}/canvas/push_node`, { id: v.node, label: "label-of-marks" }), 200);
	const build = await publish(d, v.session, {}, { app: v.app });
	assert.equal(build.state, "succeeded", JSON.stringify(build));
	v.build = build.build_id;
	v.release = build.release_id;

	// None of these may be heard of by others, but for what they know and have said themselves.
	v.marks = ["of-marks", "24242", v.label, v.token_id, v.token, v.viewer, v.code, v.build, v.release, d.state, d.dir];
	const own = Object.values(v).filter((value) => typeof value === "string" && value.length < 40);
	v.leaks = (text, known) => {
		const rest = own.filter((word) => known.some((k) => k.includes(word))).reduce((s, word) => s.replaceAll(word, ""), text);
		return v.marks.filter((mark) => rest.includes(mark));
	};
	return v;
}

export const ids_of = (v) => ({ app_id: v.app, session_id: v.session, name: v.name, token_id: v.token_id, task_id: v.task, build_id: v.build, release_id: v.release });

// As long as the real ones and as well formed, and of nothing.
export const no_ids = (v) => Object.fromEntries(Object.entries(ids_of(v)).map(([key, id]) => [key, key === "app_id" ? id : id.replace(/[a-z0-9]/g, (c) => (/\d/.test(c) ? (Number(c) + 5) % 10 : String.fromCharCode(((c.charCodeAt(0) - 97 + 13) % 26) + 97)))]));

// Requests within `fn` come from another uid: the kernel tells who connects.
export async function as_nobody(fn) {
	process.setegid(NOBODY);
	process.seteuid(NOBODY);
	try {
		return await fn();
	} finally {
		process.seteuid(0);
		process.setegid(0);
	}
}

// Each who is not the victim, or is the victim in another place; `own`: a session that is theirs.
export async function strangers(v) {
	const { d } = v;
	await d.local.put(base("own", v.app), { user_id: "mallory" });
	await d.local.put(base("also-hers", v.app), { user_id: v.user });
	await d.local.put(base("of-a-third", v.app), { user_id: "bob" });
	const peer = new Api({ socketPath: d.socket }); // with connections of its own
	d.apis.push(peer);
	const token = async (session, scopes = ["preview", "publish", "task", "view"]) => d.api((await d.local.post(`${base(session, v.app)}/tokens`, { scopes })).json.token);
	const claims = async (of) => d.api(await jwt({ exp: Math.floor(Date.now() / 1000) + 600, scope: SCOPES, ...of }));
	return [
		["another user, by JWT", "own", await claims({ sub: "mallory" })],
		["the user, held to another session by sid", "also-hers", await claims({ sub: v.user, sid: "also-hers" })],
		["the user, held to another app", "elsewhere", await claims({ sub: v.user, app: "other" })],
		["an admin, held to another app", "elsewhere", await claims({ sub: "root", app: "other", scope: `${SCOPES} admin` }), { session_id: "of-a-third" }],
		["an admin, held to another session", "own", await claims({ sub: "root", sid: "own", scope: `${SCOPES} admin` })],
		["a token of another user's session", "own", await token("own")],
		["a token of another session of the user", "also-hers", await token("also-hers")],
		["a viewer's token of another session of the user", "also-hers", await token("also-hers", ["view"])],
		["nobody", "own", d.anonymous],
		// Who may make sessions would make those that there aren't: for them it is a third user's.
		["another user, who may make sessions", "own", await claims({ sub: "mallory", scope: `${SCOPES} session:create` }), { session_id: "of-a-third" }],
		...(is_root ? [["a peer of the unix socket with another uid", "own", peer, { session_id: "of-a-third" }, as_nobody]] : []),
	].map(([name, own, api, none = {}, wrap = (fn) => fn()]) => ({ name, own, api, none, wrap, user: own === "own" ? "mallory" : v.user }));
}

// An answer with what a request itself said taken out, to be compared with another's.
export function comparable(answer, ids) {
	const blank = (text) => Object.entries(ids).reduce((s, [key, id]) => s.replaceAll(id, `<${key}>`), text);
	const { date, "x-request-id": id, "content-length": length, ...headers } = answer.headers ?? {};
	void date, id, length;
	return { status: answer.status, text: blank(answer.text ?? JSON.stringify(answer)), headers: JSON.parse(blank(JSON.stringify(headers))) };
}
