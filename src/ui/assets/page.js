// SPDX-License-Identifier: MIT
// The panel's own page: from a one-time code, or a token that somebody types in, to the element.
// The token is in this module's memory and nowhere else: a reload forgets it.

import { command, h, text } from "./dom.js";
import { open_command, sentence } from "./texts.js";
import "./web-preview.js";

const base = new URL("..", import.meta.url).href.replace(/\/$/, "");
const main = document.getElementById("main");

// What the address said, taken out of it at once: a code is of no use to those who see the history.
function take_fragment() {
	const fragment = new URLSearchParams(location.hash.slice(1));
	if (location.hash) history.replaceState(null, "", location.pathname + location.search);
	return fragment;
}

async function ask(path, { token, method = "GET", body } = {}) {
	const response = await fetch(base + path, {
		method,
		headers: { ...(token ? { authorization: `Bearer ${token}` } : {}), ...(body ? { "content-type": "application/json" } : {}) },
		body: body ? JSON.stringify(body) : undefined,
		credentials: "omit",
		cache: "no-store",
	});
	const answer = await response.json().catch(() => ({}));
	if (!response.ok) throw Object.assign(new Error(answer.detail ?? answer.title ?? `previewd answered ${response.status}`), { status: response.status });
	return answer;
}

function show_panel({ app, session, name, token, back }) {
	document.title = `${session} · previewd`;
	const lead = h("span", { slot: "lead", class: "lead", title: `Session ${session}${app === "default" ? "" : ` of ${app}`}` }, h("span", { class: "mark", "aria-hidden": "true" }), h("span", { class: "name" }, session));
	const panel = h("web-preview", { app, session, name }, lead, h("div", { slot: "refused", class: "refused" }, h("p", {}, "Access is kept in this page's memory only. To come back, run:"), command(open_command({ app, session }))));
	if (back) lead.prepend(h("button", { type: "button", class: "back", onclick: back }, "Overview"));
	panel.tokenProvider = async ({ refused }) => (refused ? null : token);
	main.replaceChildren(panel);
	return panel;
}

async function show_overview(token, admin) {
	const { Overview } = await import("./overview.js");
	const overview = new Overview({ admin, ask: (path, options) => ask(path, { token, ...options }), open: (place) => show_panel({ ...place, token, back: () => show_overview(token, admin) }) });
	document.title = "Overview · previewd";
	main.replaceChildren(overview.element);
}

/*
 * To whom has no code.
 */
function show_sign_in(said) {
	document.title = "previewd";
	const problem = h("p", { class: "problem", role: "alert" }, said ?? "");
	const token = h("input", { type: "password", id: "token", name: "token", required: true, autocomplete: "off", spellcheck: "false" });
	const session = h("input", { type: "text", id: "session", name: "session", autocomplete: "off", spellcheck: "false", autocapitalize: "off" });
	const app = h("input", { type: "text", id: "app", name: "app", value: "default", autocomplete: "off", spellcheck: "false", autocapitalize: "off" });
	const form = h(
		"form",
		{
			onsubmit: (event) => {
				event.preventDefault();
				sign_in(token.value.trim(), app.value.trim() || "default", session.value.trim()).catch((error) => text(problem, sentence(error.message)));
			},
		},
		h("label", { for: "token" }, "Token"),
		token,
		h("div", { class: "two" }, h("div", {}, h("label", { for: "session" }, "Session"), session), h("div", {}, h("label", { for: "app" }, "App"), app)),
		h("p", { class: "hint" }, "Without a session, all that the token may see is shown."),
		h("button", { type: "submit" }, "Open"),
	);
	main.replaceChildren(
		h(
			"section",
			{ class: "card" },
			h("span", { class: "mark", "aria-hidden": "true" }),
			h("h1", {}, "Open a preview"),
			problem,
			h("p", {}, "From a terminal on the daemon's machine:"),
			command(open_command()),
			h("details", { open: Boolean(said) }, h("summary", {}, "Use a token instead"), form),
		),
	);
}

async function sign_in(token, app, session) {
	const credential = await ask("/api/credential", { token });
	if (credential.session_id) show_panel({ app: credential.app_id, session: credential.session_id, token });
	else if (session) show_panel({ app: credential.app_id ?? app, session, token });
	else await show_overview(token, credential.admin);
}

async function begin() {
	const fragment = take_fragment();
	const code = fragment.get("code");
	if (!code) return show_sign_in();
	try {
		const answer = await ask("/ui/exchange", { method: "POST", body: { code } });
		give_back(answer, show_panel({ app: answer.app_id, session: answer.session_id, name: answer.name, token: answer.token }));
	} catch (error) {
		show_sign_in(sentence(error.message));
	}
}

// The token is this page's alone, so it ends with it, unless others look through links that it gave.
function give_back({ app_id, session_id, token_id, token }, panel) {
	let shared = false;
	panel.addEventListener("shared", () => (shared = true));
	addEventListener("pagehide", (event) => {
		if (event.persisted || shared) return;
		const path = `/api/apps/${encodeURIComponent(app_id)}/sessions/${encodeURIComponent(session_id)}/tokens/${token_id}`;
		fetch(base + path, { method: "DELETE", headers: { authorization: `Bearer ${token}` }, credentials: "omit", keepalive: true }).catch(() => {});
	});
}

addEventListener("hashchange", () => begin());
begin();
