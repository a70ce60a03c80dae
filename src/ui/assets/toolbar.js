// SPDX-License-Identifier: MIT
// Tabs by name, and the tools of the one that is shown.

import { h, icon, set, text } from "./dom.js";
import { DEVICES } from "./stage.js";

// A button that says what it does to those who see it and to those who hear it.
export function tool(name, label, onclick, extra = {}) {
	return h("button", { type: "button", class: "tool", part: "button", title: label, "aria-label": label, onclick, ...extra }, icon(name));
}

// One stop for the Tab key, arrows within (the ARIA authoring practices' roving tabindex).
function rove(container, selector, activate) {
	container.addEventListener("keydown", (event) => {
		const items = [...container.querySelectorAll(selector)].filter((i) => !i.disabled && i.offsetParent);
		const at = items.indexOf(event.target.closest(selector));
		if (at < 0) return;
		const to = { ArrowRight: at + 1, ArrowDown: at + 1, ArrowLeft: at - 1, ArrowUp: at - 1, Home: 0, End: items.length - 1 }[event.key];
		if (to === undefined) return;
		event.preventDefault();
		const item = items[(to + items.length) % items.length];
		item.focus();
		activate?.(item);
	});
}

export class Tabs {
	constructor({ on_choose, on_stop }) {
		this.on_choose = on_choose;
		this.list = h("div", { class: "tabs", part: "tabs", role: "tablist", "aria-label": "Previews" });
		this.tabs = new Map();
		rove(this.list, "[role=tab]", (tab) => on_choose(tab.dataset.name));
		this.list.addEventListener("keydown", (event) => {
			if (event.key === "Delete" && event.target.dataset.name) on_stop(event.target.dataset.name);
		});
	}

	// tabs: [{ name, state, note }]
	render(tabs, selected) {
		const names = new Set(tabs.map((t) => t.name));
		for (const [name, tab] of this.tabs) {
			if (names.has(name)) continue;
			tab.remove();
			this.tabs.delete(name);
		}
		for (const { name, state, note } of tabs) {
			let tab = this.tabs.get(name);
			if (!tab) {
				tab = h(
					"button",
					{ type: "button", class: "tab", part: "tab", role: "tab", id: `tab-${name}`, "data-name": name, "aria-controls": "stage", onclick: () => this.on_choose(name) },
					h("span", { class: "dot", "aria-hidden": "true" }),
					h("span", { class: "label" }, name),
					h("span", { class: "visually-hidden" }),
				);
				this.tabs.set(name, tab);
				this.list.append(tab);
			}
			const chosen = name === selected;
			set(tab, { "aria-selected": String(chosen), tabindex: chosen ? "0" : "-1", "data-state": state, title: note });
			text(tab.lastChild, note ? `, ${note}` : "");
			if (chosen && this.selected !== name) tab.scrollIntoView({ block: "nearest", inline: "nearest" });
		}
		this.selected = selected;
	}
}

export class Toolbar {
	// act(what, value): what a person asked for
	constructor(act) {
		this.act = act;
		this.back = tool("back", "Back", () => act("back"));
		this.forward = tool("forward", "Forward", () => act("forward"));
		this.reload = tool("reload", "Reload", (event) => act(event.shiftKey ? "reload_hard" : "reload"), { title: "Reload (with Shift: past the cache)" });
		this.host = h("span", { class: "host" });
		this.path = h("input", {
			type: "text",
			class: "path",
			"aria-label": "Path of the page",
			spellcheck: "false",
			autocomplete: "off",
			autocapitalize: "off",
			enterkeyhint: "go",
			onkeydown: (event) => {
				if (event.key !== "Escape") return;
				this.path.value = this.shown ?? "";
				this.path.blur();
			},
			onfocus: () => this.path.select(),
		});
		this.address = h(
			"form",
			{
				class: "address",
				part: "address",
				onsubmit: (event) => {
					event.preventDefault();
					act("go", this.path.value);
				},
			},
			this.host,
			this.path,
		);
		this.devices = h(
			"div",
			{ class: "devices", role: "radiogroup", "aria-label": "Size of the page" },
			Object.entries(DEVICES).map(([id, { label, width, height }]) =>
				h(
					"button",
					{ type: "button", class: "tool", role: "radio", part: "button", "data-device": id, "aria-label": label, title: width ? `${label}, ${width} × ${height}` : `${label} the panel`, onclick: () => act("device", id) },
					icon(id),
				),
			),
		);
		rove(this.devices, "[role=radio]", (button) => act("device", button.dataset.device));
		this.rotate = tool("rotate", "Rotate", () => act("rotate"));
		this.open = h("a", { class: "tool", role: "link", part: "button", target: "_blank", rel: "noopener noreferrer", title: "Open in a new tab", "aria-label": "Open in a new tab", onclick: (event) => act("open", event) }, icon("open"));
		this.link = tool("link", "Copy link", () => act("copy"));
		this.why = tool("why", "Why it is kept", () => act("why"), { "aria-expanded": "false" });
		this.#make_menu();
		this.element = h(
			"div",
			{ class: "toolbar", part: "toolbar", role: "group", "aria-label": "Tools of the preview" },
			h("div", { class: "group" }, this.back, this.forward, this.reload),
			this.address,
			h("div", { class: "group sizes" }, this.devices, this.rotate),
			h("div", { class: "group" }, this.open, h("span", { class: "wide" }, this.link, this.why), this.more, this.menu),
		);
	}

	#make_menu() {
		const item = (what, name, label, extra = {}) =>
			h("button", { type: "button", role: "menuitem", tabindex: "-1", "data-what": what, onclick: () => this.#choose(what), ...extra }, icon(name), h("span", {}, label));
		this.items = {
			reload_hard: item("reload_hard", "bypass", "Reload past the cache"),
			copy: item("copy", "link", "Copy link", { class: "narrow" }),
			why: item("why", "why", "Why it is kept", { class: "narrow" }),
			pin: item("pin", "pin", "Keep it for good"),
			releases: item("releases", "releases", "Releases"),
			publish: item("publish", "publish", "Publish a build"),
			stop: item("stop", "stop", "Stop and detach", { class: "danger" }),
		};
		const sizes = h(
			"div",
			{ class: "menu-sizes narrow", role: "group", "aria-label": "Size of the page" },
			Object.entries(DEVICES).map(([id, { label }]) =>
				h("button", { type: "button", role: "menuitemradio", tabindex: "-1", "data-device": id, "aria-label": label, title: label, onclick: () => this.#choose("device", id) }, icon(id)),
			),
			h("button", { type: "button", role: "menuitem", tabindex: "-1", "aria-label": "Rotate", title: "Rotate", onclick: () => this.#choose("rotate") }, icon("rotate")),
		);
		const { pin, releases, publish, stop, ...first } = this.items;
		this.menu = h("div", { class: "menu", role: "menu", "aria-label": "More", hidden: true }, sizes, Object.values(first), pin, h("hr"), publish, releases, h("hr"), stop);
		this.more = tool("more", "More", () => this.#toggle(), { "aria-haspopup": "menu", "aria-expanded": "false" });
		rove(this.menu, "[role^=menuitem]");
		const leave = (event) => {
			if (!this.menu.hidden && !event.composedPath().includes(this.menu) && !event.composedPath().includes(this.more)) this.#toggle(false);
		};
		this.menu.addEventListener("keydown", (event) => {
			if (event.key !== "Escape" && event.key !== "Tab") return;
			event.stopPropagation();
			this.#toggle(false);
			if (event.key === "Escape") this.more.focus();
		});
		this.listen = () => {
			document.addEventListener("pointerdown", leave);
			addEventListener("blur", this.close);
		};
		this.unlisten = () => {
			document.removeEventListener("pointerdown", leave);
			removeEventListener("blur", this.close);
		};
		this.close = () => this.#toggle(false); // a click in a frame takes the focus from this page
	}

	#toggle(open = this.menu.hidden) {
		if (open !== this.menu.hidden) return;
		this.menu.hidden = !open;
		set(this.more, { "aria-expanded": String(open) });
		if (open) [...this.menu.querySelectorAll("[role^=menuitem]")].find((i) => i.offsetParent)?.focus();
	}

	#choose(what, value) {
		this.#toggle(false);
		this.more.focus();
		this.act(what, value);
	}

	/*
	 * { url, root, can_back, can_forward, device, rotated, pinned, may: { preview, publish }, drawer }:
	 * `root` is what comes before the path that people care for.
	 */
	render(view) {
		const path = view.url ? view.url.pathname.slice(view.root.length) + view.url.search + view.url.hash : "";
		text(this.host, view.url ? view.url.host + view.root : "");
		if (this.shown !== path || this.path.value === "") {
			this.shown = path;
			if (!this.path.matches(":focus")) this.path.value = path;
		}
		this.back.disabled = !view.can_back;
		this.forward.disabled = !view.can_forward;
		this.reload.disabled = this.path.disabled = this.link.disabled = !view.url;
		set(this.open, { href: view.url?.href, "aria-disabled": view.url ? null : "true" });
		this.rotate.disabled = view.device === "fit";
		set(this.rotate, { "aria-pressed": String(view.rotated) });
		for (const group of [this.devices, this.menu])
			for (const button of group.querySelectorAll("[data-device]")) {
				const chosen = button.dataset.device === view.device;
				set(button, { "aria-checked": String(chosen) });
				if (group === this.devices) button.tabIndex = chosen ? 0 : -1;
			}
		set(this.why, { "aria-expanded": String(view.drawer === "why") });
		this.items.pin.hidden = this.items.stop.hidden = !view.may.preview || !view.url;
		text(this.items.pin.lastChild, view.pinned ? "Let it end when idle" : "Keep it for good");
		this.items.publish.hidden = !view.may.publish;
	}
}
