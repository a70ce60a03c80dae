// SPDX-License-Identifier: MIT
// What is said to people: spans of time, sizes, reasons, and how to do things.

export function span(seconds) {
	const s = Math.max(0, Math.round(seconds));
	if (s < 60) return `${s} s`;
	if (s < 3600) return `${Math.floor(s / 60)} min`;
	if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
	return `${Math.floor(s / 86400)} d`;
}

// For what counts down: "4:05".
export function countdown(seconds) {
	const s = Math.max(0, Math.round(seconds));
	if (s >= 3600) return span(s);
	return `${Math.floor(s / 60)}:${String(s % 60).padStart(2, "0")}`;
}

export const ago = (time) => {
	const seconds = (Date.now() - Date.parse(time)) / 1000;
	return seconds < 5 ? "just now" : `${span(seconds)} ago`;
};

export function bytes(n) {
	const units = ["B", "KB", "MB", "GB"];
	let i = 0;
	while (n >= 1000 && i < units.length - 1) {
		n /= 1000;
		i++;
	}
	return `${i && n < 10 ? n.toFixed(1) : Math.round(n)} ${units[i]}`;
}

// A word of a shell: quoted where it has to be.
const word = (value) => (/^[\w@%+=:,./-]+$/.test(value) ? value : `'${value.replaceAll("'", "'\\''")}'`);

const where = ({ app, session }) => `--session ${word(session)}${app === "default" ? "" : ` --app ${word(app)}`}`;

export const attach_command = (place, port = 5173, name = "default") =>
	`previewctl attach ${port}${name === "default" ? "" : ` --name ${word(name)}`} ${where(place)}`;

export const run_command = (place) => `previewctl run ${where(place)} -- npm run dev`;

export const open_command = (place) => `previewctl open ${place?.session ? where(place) : ""}`.trim();

const LOOPBACK = /^(localhost|.*\.localhost|127(\.\d+){3}|\[::1\])$/i;
const PRIVATE = /^(10\.|192\.168\.|172\.(1[6-9]|2\d|3[01])\.|169\.254\.|\[f[cde])/i;

export const is_loopback = (host) => LOOPBACK.test(host);
const is_near = (host) => is_loopback(host) || PRIVATE.test(host) || host.endsWith(".local");

// Why a preview went, and whether its task went with it.
export function detached_text(reason, name) {
	switch (reason) {
		case "idle":
			return ["Detached: nobody used it", `No page of “${name}” was asked for in a long time, so it was detached and its task ended.`];
		case "task_exit":
			return ["Its task ended", `The process that served “${name}” ended by itself, and the preview went with it.`];
		case "session_end":
			return ["The session ended", `Everything of it was detached, “${name}” with it.`];
		case "detach":
			return ["Detached", `“${name}” was detached, by the agent or by hand.`];
		default:
			return ["No longer attached", `“${name}” was detached while this page was not connected.`];
	}
}

/*
 * What keeps a browser from showing the page, before a blank frame says nothing: null, or
 * { code, title, text, command? }.  `soft` ones leave the page visible.
 */
export function obstacle(preview, page, permission) {
	const warning = (code) => preview.warnings?.find((w) => w.code === code);
	const url = new URL(preview.url, page.href);
	let w;

	if ((w = warning("frame_refused")))
		return { code: "frame_refused", title: "This page does not allow itself to be shown here", text: sentence(w.detail), only_tab: true };
	if (page.protocol === "https:" && url.protocol === "http:" && !is_loopback(url.hostname))
		return {
			code: "mixed_content",
			title: "Your browser blocks this address",
			text: `This page came over https, and ${url.host} is plain http: browsers refuse to mix them. Give previews an https address with preview.public_url_template, or open it in a tab of its own.`,
		};
	if (is_loopback(url.hostname) && !is_loopback(page.hostname))
		return {
			code: "other_machine",
			title: "This server is on another machine",
			text: `It is attached as ${url.host}, which on your computer is your computer itself. Set preview.public_url_template for addresses that reach it, or forward its port:`,
			command: `ssh -N -L ${url.port}:localhost:${url.port} ${page.hostname}`,
		};
	if (permission === "denied" && is_near(url.hostname) && !is_near(page.hostname))
		return {
			code: "local_network",
			title: "Your browser keeps this page from your local network",
			text: `${url.host} is on your local network, and access to it was refused. Allow “Local network access” in the site settings beside the address, then reload.`,
		};
	if ((w = warning("blocked_host")))
		return { code: "blocked_host", title: "The server refuses this host name", text: sentence(w.detail) };
	return null;
}

export function sentence(detail) {
	const s = String(detail ?? "");
	return s ? s[0].toUpperCase() + s.slice(1) + (/[.!?]$/.test(s) ? "" : ".") : "";
}
