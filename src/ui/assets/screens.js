// SPDX-License-Identifier: MIT
// What stands where the page would be, when there is none to show: each says what is, and what can
// be done about it.

import { command, h, icon, text } from "./dom.js";
import { attach_command, detached_text, run_command, sentence } from "./texts.js";

const screen = (state, picture, title, ...body) =>
	h("div", { class: "screen", part: "screen", "data-state": state }, h("div", { class: "inner" }, picture, h("h2", {}, title), ...body));

const picture = (name) => h("div", { class: "picture", "aria-hidden": "true" }, icon(name));
const wait = () => h("div", { class: "wait", role: "presentation" }, h("i"), h("i"), h("i"));
const actions = (...buttons) => h("div", { class: "actions" }, ...buttons);

export const button = (label, onclick, kind = "") => h("button", { type: "button", class: `button ${kind}`, part: "button", onclick }, label);

export const nothing = (place) =>
	screen(
		"nothing",
		picture("plug"),
		"Nothing to see yet",
		h("p", {}, "As soon as the agent attaches a running server, it shows up here by itself. By hand, that is:"),
		command(attach_command(place), "the command that attaches a running server"),
		h("p", { class: "muted" }, "or, to start one and attach whatever it listens on:"),
		command(run_command(place), "the command that starts a server"),
	);

export const connecting = () => screen("connecting", wait(), "Connecting…");

export const refused = (hint) => screen("refused", picture("key"), "No access", h("p", {}, "This panel has no valid access to the session, or it has expired."), hint ?? null);

export const starting = (preview, slow) =>
	screen(
		"starting",
		wait(),
		`Starting ${preview.name}`,
		h("p", {}, slow ? "The server has accepted the connection and is not done with its first answer yet. A first compile can take a while." : "Loading the page."),
	);

export const down = (preview, act) =>
	screen(
		"down",
		picture("down"),
		preview.down_reason === "owner_changed" ? "Another server took its port" : "The server is down",
		h(
			"p",
			{},
			preview.down_reason === "owner_changed"
				? `Port ${preview.port} is now served by a process that is not the one attached. Attach it again if it is meant.`
				: `Nothing listens on port ${preview.port} any more. Waiting for it to come back: the page then shows by itself.`,
		),
		wait(),
		actions(button("Why?", () => act("why")), act.may("preview") ? button("Detach", () => act("stop"), "plain") : null),
	);

export const gone = (name, { reason, port, left }, place, act) => {
	const [title, body] = detached_text(reason, name);
	return screen(
		"detached",
		picture("plug"),
		title,
		h("p", {}, body),
		left?.length ? h("p", { class: "muted" }, `${left.length} of its processes could not be ended.`) : null,
		reason === "session_end" ? null : h("p", { class: "muted" }, "To have it here again:"),
		reason === "session_end" ? null : command(attach_command(place, port ?? 5173, name), "the command that attaches it again"),
		actions(button("Dismiss", () => act("dismiss", name))),
	);
};

export const blocked = (obstacle, url, act) =>
	screen(
		"blocked",
		picture("warn"),
		obstacle.title,
		h("p", {}, obstacle.text),
		obstacle.command ? command(obstacle.command, "the command") : null,
		actions(
			h("a", { class: "button", href: url.href, target: "_blank", rel: "noopener noreferrer" }, "Open in a new tab"),
			obstacle.only_tab ? null : button("Show it anyway", () => act("show_anyway"), "plain"),
		),
	);

/*
 * A build under way, or one that failed.
 */
const PHASES = [
	["detect", "Look"],
	["install", "Install"],
	["build", "Build"],
	["check", "Check"],
	["release", "Publish"],
];

const DOING = { queued: "waiting for its turn", detect: "being prepared", install: "installing its packages", build: "being built", check: "being checked", release: "being published" };

export const doing = (phase) => DOING[phase] ?? "under way";

export class BuildScreen {
	constructor(build, act) {
		this.id = build.id;
		this.title = h("h2", {});
		this.detail = h("p", {});
		this.bar = h("progress", { max: "1", "aria-label": "Progress of the build" });
		this.phases = h("ol", { class: "phases" });
		this.log = h("pre", { class: "log", part: "log", tabindex: "0", role: "log", "aria-label": "Log of the build" });
		this.actions = h("div", { class: "actions" });
		this.element = h("div", { class: "screen build", part: "screen", "data-state": "publishing" }, h("div", { class: "inner" }, this.title, this.detail, this.phases, this.bar, this.log, this.actions));
		this.act = act;
		this.update(build);
	}

	update(build) {
		const failed = build.state === "failed";
		this.element.dataset.state = build.state === "running" ? "publishing" : build.state;
		text(this.title, failed ? "The build failed" : build.state === "finished" ? "Published" : "Publishing");
		text(this.detail, failed ? sentence(build.detail ?? "see the end of its log") : build.phase === "queued" ? `Waiting for its turn${build.position ? `, as number ${build.position}` : ""}.` : "What is on the air stays until this is done, and is then replaced whole.");
		const now = PHASES.findIndex(([id]) => id === build.phase);
		this.phases.replaceChildren(
			...PHASES.map(([, label], i) => {
				const state = build.state === "finished" || i < now ? "done" : i > now ? "to do" : failed ? "failed" : "doing";
				return h("li", { "data-state": state, "aria-current": state === "doing" ? "step" : null }, label, h("span", { class: "visually-hidden" }, `, ${state}`));
			}),
		);
		this.bar.hidden = failed;
		this.bar.value = build.state === "finished" ? 1 : Math.max(0.04, (now + 0.5) / PHASES.length);
		this.#lines(build);
		const key = build.state;
		if (this.key === key) return;
		this.key = key;
		this.actions.replaceChildren(
			...(failed
				? [this.act.may("publish") ? button("Try again", () => this.act("publish", build.name)) : null, button("Dismiss", () => this.act("dismiss_build", build.name), "plain")]
				: [this.act.may("publish") && build.state === "running" ? button("Cancel", () => this.act("cancel", build)) : null]
			).filter(Boolean),
		);
	}

	#lines(build) {
		const log = build.lines.join("\n");
		if (log === this.shown) return;
		const at_end = this.log.scrollTop + this.log.clientHeight >= this.log.scrollHeight - 24;
		this.shown = log;
		this.log.hidden = !log;
		this.log.textContent = log;
		if (at_end) this.log.scrollTop = this.log.scrollHeight;
	}
}
