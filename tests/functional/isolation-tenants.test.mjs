// SPDX-License-Identifier: MIT
//
// Each way from one tenant to another: a row a way.  Routes and tools are taken from what the daemon
// says it has, so that one that is added is tried, too.
import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import test from "node:test";

import * as events from "./events.mjs";
import { Api, base, blind, free_port, is_root, previewctl, run, start, temp_dir, until, within } from "./harness.mjs";
import * as mcp from "./mcp.mjs";
import { publish, write_files } from "./publishing.mjs";
import { NAMESPACES, ask, connected, jwt } from "./socketio.mjs";
import { as_nobody, comparable, ids_of, no_ids, strangers, victim } from "./isolation.mjs";

// What each route that takes a body is sent; made of the ids that are tried.
const bodies = {
	hook: (id) => ({ event: "session_end", session_id: id.session_id, app_id: id.app_id }),
	session_put: () => ({ meta: { taken: true } }),
	attach: () => blind({ name: "mine", port: 24_243 }),
	attach_named: () => blind({ port: 24_243 }),
	hold_add: () => ({}),
	task_add: (id) => ({ task_id: id.task_id }),
	canvas_list: () => [{ action: "get_state", params: {} }, { action: "set_state", params: { key: "k", value: 1 } }],
	canvas_action: () => ({ label: "mine" }),
	code_mint: () => ({}),
	link: () => ({ path: "/x" }),
	code_exchange: () => ({ code: "0".repeat(48) }),
	publish: () => ({}),
	release_activate: () => ({}),
	rotate: (id) => ({ name: id.name }),
	token_mint: () => ({ scopes: ["view"] }),
	mcp_post: (id) => ({ jsonrpc: "2.0", id: 1, method: "tools/call", params: { name: "PreviewDetach", arguments: { session_id: id.session_id, name: id.name } } }),
};

const queries = {
	lookup: (id) => `?session_id=${id.session_id}&name=${id.name}`,
	previews_all: (id) => `?after=${id.session_id}`,
	release_list: () => "?name=published",
	unpublish: () => "?name=published",
};

// These are nobody's in particular, or tell by another's name: see the tests named.
const elsewhere = {
	published: "published.test.mjs: an unlisted page is seen by its token alone; isolation-builds.test.mjs",
	web_static: "bundled.test.mjs",
	edge_verify: "edge_previews.test.mjs, isolation-network.test.mjs",
	ui_file: "panel.test.mjs: the same for everybody",
};

const fixed = { agent: "generic", action: "push_node", file: "web-preview.js" };

async function routes_of(d) {
	const { paths } = (await d.anonymous.get("/openapi.json")).json;
	return Object.entries(paths).flatMap(([pattern, operations]) => Object.entries(operations).map(([method, operation]) => ({ pattern, method: method.toUpperCase(), ...operation, id: operation.operationId })));
}

function request_of(route, ids) {
	const target = route.pattern.replace(/\{(\w+)\}/g, (_, name) => ids[name] ?? fixed[name] ?? assert.fail(`${route.id}: what is ${name}?`));
	const query = queries[route.id]?.(ids) ?? "";
	const body = route.requestBody ? (bodies[route.id] ?? assert.fail(`${route.id} takes a body: which?`))(ids) : undefined;
	return [route.method, target + query, { body }];
}

// What is asked for must not be told from what there isn't, wherever in the request it stands.
const variants = [
	["all of it", (theirs, none) => [theirs, none]],
	["in a session of one's own", (theirs, none, session_id) => [{ ...theirs, session_id }, { ...none, session_id }], ["session_end", "session_put", "hook", "publish"]],
	["by the name in a session that there isn't", (theirs, none) => [{ ...theirs, session_id: none.session_id }, none]],
	["in another app", (theirs, none) => [{ ...theirs, app_id: "yet-another" }, { ...none, app_id: "yet-another" }]],
	["its session with other names", (theirs, none) => [{ ...none, session_id: theirs.session_id }, none]],
];

// All of what is hers, as she sees it: nobody's trying may change it.
async function all_of(v) {
	const get = async (what) => (await v.d.local.get(`${v.base}${what}`)).json;
	const { previews } = await get("/previews");
	const state = {
		session: await get(""),
		previews: previews.map(({ name, url, port, label, touched_at, pinned, attached_at, bash_task_id }) => ({ name, url, port, label, touched_at, pinned, attached_at, bash_task_id })),
		tasks: (await get("/tasks")).tasks.map(({ task_id, state: is }) => [task_id, is]),
		tokens: await get("/tokens"),
		builds: await get("/builds"),
		releases: await get("/releases?name=published"),
		holds: (await get("/holds")).holds,
		canvas: await get("/canvas"),
	};
	for (const moment of ["attachments", "ts"]) delete state.canvas[moment];
	return JSON.parse(JSON.stringify(state));
}

test("REST: every route, by every stranger, tells and does no more than for what there isn't", async (t) => {
	const v = await victim(t);
	const who = await strangers(v);
	const routes = (await routes_of(v.d)).filter((r) => !elsewhere[r.id]);
	const before = await all_of(v);
	assert.ok(routes.length >= 45, `${routes.length} routes`);

	for (const stranger of who) {
		await t.test(stranger.name, async () => {
			await stranger.wrap(async () => {
				for (const route of routes) {
					for (const [what, pair, without = []] of variants) {
						if (without.includes(route.id)) continue;
						const [theirs, none] = pair(ids_of(v), { ...no_ids(v), ...stranger.none }, stranger.own);
						const where = `${route.id}: ${what}`;
						const [asked, not_there] = [request_of(route, theirs), request_of(route, none)];
						const told = await stranger.api.request(...asked);
						const otherwise = await stranger.api.request(...not_there);
						assert.ok(told.status < 500 || told.status === 503, `${where}: ${told.text}`);
						// What they may do in their own they may call by her names, and it has times and numbers.
						const in_own = without.length > 0;
						const known = [JSON.stringify(asked), v.app, stranger.user, ...(in_own ? Object.values(theirs) : [])];
						assert.deepEqual(v.leaks(told.text + JSON.stringify(told.headers), known), [], `${where}: ${told.text}`);
						if (in_own && told.status < 300 && otherwise.status < 300) continue;
						assert.deepEqual(comparable(told, theirs), comparable(otherwise, none), where);
					}
				}
			});
			assert.deepEqual(await all_of(v), before);
		});
	}
	assert.equal((await v.d.api(v.token).get(v.base)).status, 200, "her token is as good as before");
	assert.equal((await v.d.anonymous.post("/ui/exchange", { code: v.code })).status, 200, "and her code");
});

// The ways in which a call may say which session it is for.
const claims = {
	"an argument": (session_id) => [{ session_id }, undefined, {}],
	"our own _meta": (session_id) => [{}, { "dev.previewd/sessionId": session_id }, {}],
	"an agent's _meta": (session_id) => [{}, { "claudecode/sessionId": session_id }, {}],
	"a field of the request": (session_id) => [{}, undefined, { "x-previewd-session": session_id }],
};

const required = { port: 24_243, name: "mine" };

test("MCP: every tool, prompt and resource, by every claim and every stranger", async (t) => {
	const v = await victim(t);
	const who = (await strangers(v)).filter((s) => s.api.token);
	const hers = ids_of(v);
	const before = await all_of(v);
	for (const stranger of who) {
		await t.test(stranger.name, async () => {
			const none = { ...no_ids(v), ...stranger.none };
			const known = (ids) => [JSON.stringify(ids), v.app, stranger.user];
			const same = async (where, ask) => {
				const [told, otherwise] = [await ask(hers), await ask(none)];
				assert.deepEqual(v.leaks(told.text, known(hers)), [], `${where}: ${told.text}`);
				assert.deepEqual(comparable(told, hers), comparable(otherwise, none), where);
			};
			const session = await mcp.begin(stranger.api);
			const { tools } = mcp.last(await session.request("tools/list", {})).result;
			assert.ok(tools.length >= 5);
			for (const tool of tools) {
				for (const [way, claim] of Object.entries(claims)) {
					await same(`${tool.name}: ${way}`, (ids) => {
						const [args, _meta, headers] = claim(ids.session_id);
						const more = Object.fromEntries((tool.inputSchema.required ?? []).map((name) => [name, required[name] ?? assert.fail(`${tool.name}: what is ${name}?`)]));
						return mcp.modern(stranger.api, "tools/call", { name: tool.name, arguments: { ...more, ...args, ...("name" in tool.inputSchema.properties ? { name: ids.name } : {}), app_id: v.app }, ...(_meta ? { _meta } : {}) }, { _meta, headers });
					});
				}
			}
			for (const [way, claim] of Object.entries(claims))
				await same(`resources/list: ${way}`, (ids) => {
					const [, _meta, headers] = claim(ids.session_id);
					return mcp.modern(stranger.api, "resources/list", {}, { _meta, headers });
				});
			for (const tail of ["", "/NAME", "/published", "/..", "/%2e%2e", "//"])
				await same(`resources/read ${tail}`, (ids) => mcp.modern(stranger.api, "resources/read", { uri: `preview://sessions/${ids.session_id}${tail.replace("NAME", ids.name)}` }));
			for (const cursor of [hers.session_id, v.token_id]) assert.deepEqual(v.leaks((await mcp.modern(stranger.api, "resources/list", { cursor })).text, [cursor, v.app, stranger.user]), []);
			await same("prompts/get", () => mcp.modern(stranger.api, "prompts/get", { name: "preview" }));
		});
	}
	assert.deepEqual(await all_of(v), before);
});

test("MCP: a session of it is for whom it was begun by: its user, held to what they are held to", async (t) => {
	const v = await victim(t);
	const { d } = v;
	const port = await free_port();
	const hers = await mcp.begin(d.api(v.token));
	const waits = hers.request("tools/call", { name: "PreviewProxy", arguments: { port, name: "waits", wait_seconds: 60 }, _meta: { progressToken: "p" } }, 7);
	await d.probing(1);
	for (const stranger of await strangers(v)) {
		const taken = new mcp.Session(stranger.api);
		taken.id = hers.id;
		const status = stranger.api.token ? 404 : stranger.wrap.length && stranger.name.includes("peer") ? 404 : 401;
		await stranger.wrap(async () => {
			const tries = {
				cancel: await taken.notify("notifications/cancelled", { requestId: 7 }),
				list: await taken.request("tools/list", {}),
				call: await taken.request("tools/call", { name: "PreviewDetach", arguments: { name: v.name } }),
				end: await taken.end(),
			};
			for (const [what, answer] of Object.entries(tries)) assert.equal(answer.status, status, `${stranger.name}: ${what}: ${answer.text}`);
		});
	}
	assert.equal(await d.metric("previewd_probes"), 1, "it waits on");
	assert.equal(mcp.last(await hers.request("tools/list", {})).error, undefined);
	await hers.notify("notifications/cancelled", { requestId: 7 });
	await within(waits, "the end of the call that was cancelled");
});

test("a hook in any agent's words says nothing of another's session and does nothing to it", async (t) => {
	const v = await victim(t);
	const before = await all_of(v);
	const words = (ids) => [
		["generic", { event: "session_start", session_id: ids.session_id, cwd: "/tmp" }],
		["generic", { event: "session_end", session_id: ids.session_id }],
		["generic", { event: "task_end", session_id: ids.session_id, task_id: ids.task_id }],
		["claude-code", { hook_event_name: "SessionStart", session_id: ids.session_id, cwd: "/tmp", source: "startup" }],
		["claude-code", { hook_event_name: "SessionEnd", session_id: ids.session_id, reason: "exit" }],
		["claude-code", { hook_event_name: "PreToolUse", session_id: ids.session_id, tool_name: "mcp__previewd__PreviewList", tool_use_id: "toolu_1", tool_input: {} }],
		["codex", { hook_event_name: "SessionEnd", session_id: ids.session_id }],
		["gemini", { hook_event_name: "SessionEnd", session_id: ids.session_id, reason: "exit" }],
		["cursor", { hook_event_name: "sessionEnd", conversation_id: ids.session_id }],
	];
	for (const stranger of await strangers(v)) {
		const none = { ...no_ids(v), ...stranger.none };
		await stranger.wrap(async () => {
			for (const [i, [agent, body]] of words(ids_of(v)).entries()) {
				const where = `${stranger.name}: ${agent} ${JSON.stringify(body)}`;
				const told = await stranger.api.post(`/hooks/${agent}`, body);
				const otherwise = await stranger.api.post(`/hooks/${agent}`, words(none)[i][1]);
				assert.deepEqual(comparable(told, ids_of(v)), comparable(otherwise, none), where);
				assert.deepEqual(v.leaks(told.text, [JSON.stringify(body), stranger.user, v.app]), [], where);
			}
		});
	}
	assert.deepEqual(await all_of(v), before);
});

test("/ws/events: another's session and none are refused alike, and nothing of it is heard", async (t) => {
	const v = await victim(t);
	const { d } = v;
	const streams = [];
	for (const stranger of await strangers(v)) {
		const { token } = stranger.api;
		if (stranger.wrap.length && !token && stranger.name !== "nobody") continue; // by REST above
		const queries = (ids) => [{ session_id: ids.session_id }, { session_id: ids.session_id, since: 1, epoch: "0" }, { session_id: ids.session_id, entity_ids: ids.name }];
		const none = { ...no_ids(v), ...stranger.none };
		if (token) {
			for (const [i, query] of queries(ids_of(v)).entries()) {
				const [told, otherwise] = [await events.refusal(d, query, { token }), await events.refusal(d, queries(none)[i], { token })];
				for (const answer of [told, otherwise]) answer.text = JSON.stringify(answer.json);
				assert.deepEqual(comparable(told, ids_of(v)), comparable(otherwise, none), stranger.name);
				assert.equal(told.status, 404);
			}
			// all that the credential may see: hers is not of it
			streams.push([stranger.name, await events.join(d, null, {}, { token })]);
		}
		for (const query of queries(ids_of(v))) {
			const said = [];
			for (const ids of [ids_of(v), none]) {
				const stream = await events.open(d, { ...query, session_id: ids.session_id }, { token: null });
				stream.send({ type: "auth", token: token ?? "" });
				const { code, reason } = await stream.end();
				said.push(comparable({ status: code, text: JSON.stringify([reason, stream.frames]) }, ids));
			}
			assert.deepEqual(said[0], said[1], stranger.name);
		}
	}
	await d.local.post(`${v.base}/canvas/set_state`, { key: "k", value: "value-of-marks" });
	await d.local.post(`${v.base}/previews`, blind({ name: "later-of-marks", port: 24_244 }));
	for (const [name, stream] of streams) {
		await stream.flush();
		assert.deepEqual(stream.events.filter((e) => e.payload.session_id === v.session), [], name);
	}
});

test("Socket.IO: another's session and none are refused alike in both namespaces, and nothing of it is heard", async (t) => {
	const v = await victim(t);
	const { d } = v;
	const heard = [];
	for (const stranger of (await strangers(v)).filter((s) => s.api.token)) {
		for (const nsp of NAMESPACES) {
			const socket = await connected(t, d, { nsp, token: stranger.api.token });
			socket.onAny((...args) => heard.push([stranger.name, nsp, ...args]));
			const none = { ...no_ids(v), ...stranger.none };
			const asks = (ids) => [
				["join_session", { app_id: ids.app_id, session_id: ids.session_id }],
				["join_session", { app_id: ids.app_id, session_id: ids.session_id, since: 1, epoch: "0" }],
				["join_session", { app_id: "yet-another", session_id: ids.session_id }],
				["leave_session", { app_id: ids.app_id, session_id: ids.session_id }],
				["canvas", "get_state", { app_id: ids.app_id, session_id: ids.session_id }],
				["canvas", "set_state", { app_id: ids.app_id, session_id: ids.session_id, key: "k", value: 1 }],
				["canvas", [{ action: "clear", params: {} }], { app_id: ids.app_id, session_id: ids.session_id }],
			];
			for (const [i, asked] of asks(ids_of(v)).entries()) {
				const where = `${stranger.name} in ${nsp}: ${JSON.stringify(asked)}`;
				const [told, otherwise] = [await ask(socket, ...asked), await ask(socket, ...asks(none)[i])];
				assert.deepEqual(comparable(told, ids_of(v)), comparable(otherwise, none), where);
				assert.deepEqual(v.leaks(JSON.stringify(told), [JSON.stringify(asked), stranger.user]), [], where);
				assert.equal(told.ok, asked[0] === "leave_session", where);
			}
		}
	}
	await d.local.post(`${v.base}/canvas/set_state`, { key: "k", value: "value-of-marks" });
	await d.local.post(`${v.base}/previews`, blind({ name: "later-of-marks", port: 24_244 }));
	await d.local.post(`${v.base}/canvas/get_state`, {});
	assert.deepEqual(heard, []);
});

// Of each command its words with another's session, and what else it needs.
const commands = (ids) => [
	["ls"],
	["status"],
	["why", "--name", ids.name],
	["touch", "--name", ids.name],
	["pin", "--name", ids.name],
	["detach", "--name", ids.name],
	["open", "--print"],
	["open", "--direct", "--print", "--name", ids.name],
	["releases"],
	["rollback", ids.release_id],
	["unpublish"],
	["rotate"],
	["publish"],
	["session", "end"],
	["session", "show"],
	["token", "list"],
	["token", "revoke", ids.token_id],
	["token", "new", "--scope", "view"],
	["task", "list"],
	["task", "log", ids.task_id],
	["task", "end", ids.task_id],
];

test("previewctl says of another's session what it says of none", async (t) => {
	const v = await victim(t);
	const { d } = v;
	const [mallory] = await strangers(v);
	const before = await all_of(v);
	const ctl = async (ids, argv) => {
		const env = { PATH: process.env.PATH, HOME: d.dir, PREVIEWD_URL: d.url, PREVIEWD_TOKEN: mallory.api.token, PREVIEWD_APP_ID: ids.app_id, PREVIEWD_SESSION_ID: ids.session_id };
		const { code, stdout, stderr } = await run(t, [previewctl(), ...argv], { env, cwd: d.dir });
		return { status: code, text: stdout + stderr };
	};
	await Promise.all(
		commands(ids_of(v)).map(async (argv, i) => {
			const told = await ctl(ids_of(v), argv);
			const otherwise = await ctl(no_ids(v), commands(no_ids(v))[i]);
			assert.deepEqual(comparable(told, ids_of(v)), comparable(otherwise, no_ids(v)), argv.join(" "));
			assert.doesNotMatch(told.text, /unknown command|usage:/i, argv.join(" "));
			assert.deepEqual(v.leaks(told.text, [JSON.stringify(argv), v.session, v.app, "mallory"]), [], argv.join(" "));
		}),
	);
	assert.deepEqual(await all_of(v), before);
});

test("/metrics, /health and /api/figures are an admin's, and name nobody but users to the admin", async (t) => {
	const v = await victim(t);
	for (const target of ["/metrics", "/health/web_preview", "/api/figures"]) {
		for (const stranger of await strangers(v)) {
			await stranger.wrap(async () => {
				const answer = await stranger.api.get(target);
				assert.equal(answer.status, stranger.name === "nobody" ? 401 : 403, `${target}: ${stranger.name}`);
			});
		}
		const told = (await v.d.admin.get(target)).text;
		assert.deepEqual(v.leaks(told, target === "/health/web_preview" ? [v.user] : [""]), [], target);
	}
	const open = await victim(t, { "metrics.public": "yes" });
	const { text } = await open.d.anonymous.get("/metrics");
	assert.match(text, /previewd_attachments 2\n/);
	assert.deepEqual(open.leaks(text, [""]), []);
	for (const target of ["/healthz", "/healthz?verbose=1", "/readyz", "/openapi.json"]) assert.deepEqual(open.leaks((await open.d.anonymous.get(target)).text, [""]), [], target);
});

test("who has a command started has it run as the daemon's user: no credential may that says nothing of it", async (t) => {
	const v = await victim(t);
	const claims = { sub: v.user, exp: Math.floor(Date.now() / 1000) + 600 };
	const command = ["cat", `${v.d.state}/token`];
	const begin = async (token) => v.d.api(token).post(`${v.base}/tasks`, { command });
	for (const token of [await jwt(claims), await jwt({ ...claims, sid: v.session }), await jwt({ ...claims, scope: "" }), await jwt({ ...claims, scope: "preview publish view canvas" }), v.token, v.viewer])
		assert.equal((await begin(token)).json.code, "forbidden");
	assert.equal((await begin(await jwt({ ...claims, scope: "task" }))).status, 201, "that is what the scope is for");
	// and it isn't to be had by a detour
	const api = v.d.api(await jwt(claims));
	assert.equal((await api.post(`${v.base}/tokens`, { scopes: ["task"] })).json.code, "forbidden");
	assert.equal((await api.post(`${v.base}/codes`, { scopes: ["task"] })).json.code, "forbidden");
	if (!is_root) return;
	const peer = new Api({ socketPath: v.d.socket });
	v.d.apis.push(peer);
	await as_nobody(async () => {
		await peer.put(base("of-nobody"), {});
		assert.equal((await peer.post(`${base("of-nobody")}/tasks`, { command })).json.code, "task_not_allowed");
	});
});

test("ids that tenants choose are no options, paths or commands for the operator's tasks.kill_command", async (t) => {
	const dir = temp_dir(t);
	const told = path.join(dir, "told");
	const script = path.join(dir, "kill");
	fs.writeFileSync(script, `#!/bin/sh\nprintf '%s|' "$@" >> ${told}\necho >> ${told}\n`, { mode: 0o755 });
	const d = await start(t, { settings: { "tasks.kill_command": `${script},{task_id},--session={session_id}` } });
	const odd = ["a b", "$(touch x)", "a;b", "a\nb", "../x", "{session_id}", "%s"];
	for (const [i, bash_task_id] of ["--all", "-9", "-", ...odd].entries()) {
		await d.admin.attach("-s", blind({ name: `n${i}`, port: 20_000 + i, bash_task_id }));
		await d.admin.detach("-s", `n${i}`);
	}
	await until(() => fs.existsSync(told) && fs.readFileSync(told, "utf8").split("--session=-s|\n").length > odd.length, "all were told");
	const lines = fs.readFileSync(told, "utf8").split("|--session=-s|\n").slice(0, -1);
	assert.deepEqual(lines.sort(), odd.sort());
});

test("what is a secret is too long to be guessed, and another each time", async (t) => {
	const d = await start(t, { settings: { "publish.visibility": "unlisted", "server.trusted_proxies": "127.0.0.1", "preview.public_url_template": "https://{label}.preview.example.org" } });
	const site = write_files(temp_dir(t), { "index.html": "x" });
	const handshake = async () => JSON.parse((await d.anonymous.get("/socket.io/?EIO=4&transport=polling")).text.slice(1)).sid;
	const link = async (s) => new URL((await d.local.post(`${base(s)}/previews/default/link`, {})).json.url).searchParams.get("code");
	const bits = (alphabet, length) => Math.floor(Math.log2(alphabet) * length);
	const rows = [
		// what, how one comes by it, its form, bits
		["the admin's token", () => d.admin_token, /^[0-9a-f]{64}$/, bits(16, 64)],
		["a session's token", async (s) => (await d.local.post(`${base(s)}/tokens`, { scopes: ["view"] })).json.token.split("_")[2], /^[0-9a-f]{48}$/, bits(16, 48)],
		["a code of the panel", async (s) => (await d.local.post(`${base(s)}/codes`, {})).json.code, /^[0-9a-f]{48}$/, bits(16, 48)],
		["a code of a link", link, /^[0-9a-f]{48}$/, bits(16, 48)],
		["a preview's label", async (s) => (await d.local.get(`${base(s)}/previews/default`)).json.label, /^[a-z0-9]{26}$/, bits(36, 26)],
		["a page's token", async (s) => /~(\w+)\/$/.exec((await publish(d, s, { workdir: site })).url)[1], /^[a-z0-9]{26}$/, bits(36, 26)],
		["a transport of Socket.IO", handshake, /^[A-Za-z0-9_-]{20}$/, bits(64, 20)],
		["a session of MCP", async () => (await mcp.begin(d.admin)).id, /^[0-9a-f]{32}$/, bits(16, 32)],
	];
	for (const s of ["s1", "s2"]) await d.local.post(`${base(s)}/previews`, blind({ port: 24_242 }));
	for (const [what, get, form, least] of rows) {
		const [one, other] = [await get("s1"), await get("s2")];
		assert.match(one, form, what);
		assert.ok(least >= 120, `${what}: ${least} bits`);
		if (what !== "the admin's token") assert.notEqual(one, other, what);
	}
});
