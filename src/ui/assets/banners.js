// SPDX-License-Identifier: MIT
// Words above the page: what is about to happen to it, or has.

import { h, icon, text } from "./dom.js";
import { button, doing } from "./screens.js";
import { countdown, sentence } from "./texts.js";

const KEPT = "what was published stays";

function of_build({ id, name, state, phase, detail }) {
	switch (state) {
		case "running":
			return { key: `build:${id}`, icon: "publish", said: `A new build is ${doing(phase)}.`, action: "Show it", what: "build" };
		case "failed":
			return { key: `failed:${id}`, kind: "bad", icon: "warn", said: `The build failed, and ${KEPT}. ${sentence(detail)}`, action: "Dismiss", what: "dismiss_build", value: name };
		case "canceled":
			return { key: `canceled:${id}`, icon: "publish", said: `The build was canceled, and ${KEPT}.`, action: "Dismiss", what: "dismiss_build", value: name };
		default:
			return { key: `done:${id}`, kind: "good", icon: "check", said: "Published.", action: "Copy link", what: "copy_published" };
	}
}

/*
 * { ending: previews that end soon, build?, unreached?: { port, host }, warnings } → what to say, in
 * this order, each with what the button beside it does.
 */
export function banners({ ending, build, unreached, warnings }) {
	const list = ending.map(({ name, reaps_at }) => ({
		key: `idle:${name}`,
		kind: "warn",
		icon: "clock",
		said: `Nobody has used “${name}” for a while. It ends in ${countdown((Date.parse(reaps_at) - Date.now()) / 1000)}.`,
		action: "Keep it",
		what: "keep",
		value: name,
	}));
	if (build) list.push(of_build(build));
	if (unreached)
		list.push({
			key: `unreached:${unreached.port}`,
			kind: "warn",
			icon: "warn",
			said: `No connection from a browser has come to port ${unreached.port} yet. If the page stays blank, your browser does not reach ${unreached.host}.`,
			action: "Dismiss",
			what: "reached",
		});
	for (const { code, detail } of warnings) if (code === "blocked_origin") list.push({ key: code, kind: "warn", icon: "warn", said: sentence(detail) });
	return list;
}

// Those that stay are left where they are, with the focus that one of them may have.
export function lay(container, list, act) {
	const there = new Map([...container.children].map((element) => [element.dataset.key, element]));
	const keys = new Set(list.map((b) => b.key));
	for (const [key, element] of there) if (!keys.has(key)) element.remove();
	for (const b of list) {
		let element = there.get(b.key);
		if (!element) {
			element = h(
				"div",
				{ class: `banner ${b.kind ?? ""}`, part: "banner", "data-key": b.key, role: b.kind ? "alert" : "status" },
				icon(b.icon),
				h("span", {}),
				b.action ? button(b.action, () => act(b.what, b.value), "small") : null,
			);
			container.append(element);
		}
		text(element.children[1], b.said);
	}
}
