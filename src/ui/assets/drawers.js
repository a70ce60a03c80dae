// SPDX-License-Identifier: MIT
// What slides in beside the page: why a preview is kept, a name's releases, a build.

import { command, h, icon, text } from "./dom.js";
import { BuildScreen } from "./screens.js";
import { ago, bytes, countdown, sentence, span } from "./texts.js";

const EVERY = 3000; // milliseconds between two looks at "why"

class Drawer {
	constructor(title, { session, name, on_close }) {
		this.session = session;
		this.name = name;
		this.body = h("div", { class: "drawer-body", tabindex: "-1" }, h("p", { class: "muted" }, "…"));
		this.element = h(
			"aside",
			{ class: "drawer", part: "drawer", "aria-label": title },
			h("header", {}, h("h2", {}, title), h("button", { type: "button", class: "tool", "aria-label": "Close", title: "Close", onclick: on_close }, icon("close"))),
			this.body,
		);
		this.element.addEventListener("keydown", (event) => {
			if (event.key === "Escape") on_close();
		});
	}

	focus() {
		this.element.querySelector("header button").focus();
	}

	failed(error) {
		this.body.replaceChildren(h("p", { class: "muted" }, sentence(error.message)));
	}

	end() {
		this.ended = true;
		clearTimeout(this.timer);
		this.element.remove();
	}
}

const row = (name, ...value) => h("div", { class: "row" }, h("dt", {}, name), h("dd", {}, ...value));

const USES = {
	attach: "the attach itself",
	start: "previewd's start",
	traffic: "traffic",
	touch: "somebody looking at it",
	unpin: "the end of its pin",
};
const STATUS = { up: "Up", down: "Down", unknown: "Not known" };
const ACTIVITY = { active: "In use", passive: "Open, but quiet", unseen: "Nobody connected" };

class Why extends Drawer {
	constructor(options) {
		super("Why it is kept", options);
		this.preview = options.preview; // () => what is known of it
		this.#look();
	}

	async #look() {
		try {
			const why = await this.session.call("GET", `/previews/${this.name}/why`);
			if (!this.ended) this.#show(why);
		} catch (error) {
			if (!this.ended) this.failed(error);
		}
		if (!this.ended) this.timer = setTimeout(() => this.#look(), EVERY);
	}

	#show(why) {
		const preview = this.preview() ?? {};
		const limit = why.idle_limit_seconds;
		const parts = [
			why.explanation.map((said) => h("p", { class: "said" }, humane(said))),
			h(
				"dl",
				{},
				row("Server", h("span", { class: "dot", "data-state": why.status, "aria-hidden": "true" }), STATUS[why.status] ?? why.status),
				row("Use", ACTIVITY[why.activity] ?? why.activity),
				row("Last use", `${ago(why.last_reset.at)}, by ${USES[why.last_reset.by] ?? why.last_reset.by}`, why.last_reset.peer ? h("span", { class: "mono muted" }, ` ${why.last_reset.peer}`) : null),
				row("Idle", limit ? `${span(why.idle_seconds)} of ${span(limit)}` : span(why.idle_seconds)),
				why.pinned ? row("Ends", "Never: it is pinned") : why.reaps_at ? row("Ends", `in ${countdown((Date.parse(why.reaps_at) - Date.now()) / 1000)}, unless it is used`) : null,
				preview.owner ? row("Process", preview.owner.pid ? h("span", { class: "mono" }, `${preview.owner.command} (${preview.owner.pid})`) : "not known", preview.owner.user ? ` of ${preview.owner.user}` : null) : null,
				preview.bash_task_id ? row("Task", h("span", { class: "mono" }, preview.bash_task_id)) : null,
				preview.probe?.http_status ? row("First answer", `${preview.probe.http_status} in ${preview.probe.took_ms} ms`) : null,
			),
			limit && !why.pinned ? h("progress", { max: limit, value: Math.min(limit, why.idle_seconds), "aria-label": "Idle time" }) : null,
			this.#sockets(why),
			(preview.warnings ?? []).map((w) => h("p", { class: "note" }, icon("warn"), h("span", {}, sentence(w.detail)))),
		];
		this.body.replaceChildren(...parts.flat().filter(Boolean));
	}

	#sockets(why) {
		if (!why.sockets.length) return null;
		return h(
			"section",
			{},
			h("h3", {}, `Connections (${why.sockets_total})`),
			h(
				"div",
				{ class: "scroll", tabindex: "0", role: "region", "aria-label": "Connections" },
				h(
					"table",
					{},
					h("thead", {}, h("tr", {}, ["From", "Open", "In", "Out", "Last data"].map((t) => h("th", { scope: "col" }, t)))),
					h(
						"tbody",
						{},
						why.sockets.map((s) =>
							h(
								"tr",
								{},
								h("td", { class: "mono" }, s.probe ? `${s.peer} (probe)` : s.peer),
								h("td", {}, s.age_seconds === null ? "–" : span(s.age_seconds)),
								h("td", {}, bytes(s.bytes_received)),
								h("td", {}, bytes(s.bytes_sent)),
								h("td", {}, s.last_data_seconds === null ? "–" : `${span(s.last_data_seconds)} ago`),
							),
						),
					),
				),
			),
		);
	}
}

// Times in the daemon's sentences are of UTC, to the millisecond.
const humane = (said) => said.replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, (time) => new Date(time).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" }));

class Releases extends Drawer {
	constructor(options) {
		super("Releases", options);
		this.on_act = options.on_act;
		this.address = options.address; // (name) => the published preview's URL, or null
		this.refresh();
	}

	async refresh() {
		try {
			const { releases } = await this.session.call("GET", `/releases?name=${encodeURIComponent(this.name)}`);
			if (!this.ended) this.#show(releases);
		} catch (error) {
			if (this.ended) return;
			if (error.status === 404) this.#show([]);
			else this.failed(error);
		}
	}

	#show(releases) {
		if (!releases.length) {
			this.body.replaceChildren(h("p", { class: "muted" }, "Nothing has been published under this name yet. A build of the project, once published, is listed here, and can be gone back to."));
			return;
		}
		const current = releases.find((r) => r.current)?.id ?? null;
		const address = this.address(this.name);
		this.body.replaceChildren(
			...[
				address ? h("section", {}, h("h3", {}, "Published address"), command(address, "the published address")) : null,
				h(
					"ol",
					{ class: "releases" },
					releases.map((release) => this.#item(release, current)),
				),
			].filter(Boolean),
		);
	}

	#item(release, current) {
		const said = h("p", { class: "error", role: "alert" });
		const about = [release.files !== undefined ? `${release.files} ${release.files === 1 ? "file" : "files"}` : null, release.bytes !== undefined ? bytes(release.bytes) : null].filter(Boolean).join(", ");
		const activate = async (event) => {
			event.currentTarget.disabled = true;
			try {
				await this.session.call("POST", `/releases/${encodeURIComponent(release.id)}/activate`, current ? { expected_current: current } : {});
				await this.refresh();
			} catch (error) {
				text(said, sentence(error.message));
				if (error.status === 409) this.refresh();
			}
		};
		return h(
			"li",
			{ "aria-current": release.current ? "true" : null },
			h("div", {}, h("time", { datetime: release.created_at }, new Date(release.created_at).toLocaleString([], { dateStyle: "medium", timeStyle: "short" })), h("p", { class: "muted" }, about), said),
			release.current
				? h("span", { class: "badge" }, icon("check"), "Current")
				: this.session.may("publish")
					? h("button", { type: "button", class: "button small", onclick: activate }, "Show this one", h("span", { class: "visually-hidden" }, `, of ${new Date(release.created_at).toLocaleString()}`))
					: null,
		);
	}
}

// A build of what is on the air already.
class Build extends Drawer {
	constructor(options) {
		super("Build", options);
		this.build = options.build;
		this.screen = new BuildScreen(this.build(), options.act);
		this.body.replaceChildren(this.screen.element);
	}

	update() {
		const build = this.build();
		if (build) this.screen.update(build);
	}
}

export const drawers = { why: Why, releases: Releases, build: Build };
