// SPDX-License-Identifier: MIT
/*
 * <web-preview app="default" session="s1" src="https://preview.example.org"></web-preview>
 *
 * The Preview panel as an element: the previews of a session as tabs, live.
 *
 *	app, session	whose previews; app is "default" where it isn't said
 *	src		the daemon; where this module came from, if it isn't said
 *	name		the preview to show first
 *	theme		"light" or "dark"; the system's, if it isn't said
 *	tokenProvider	a property: async ({ refused }) => token.  Called when a token is needed, with
 *			`refused` true where the last one no longer is accepted.
 *
 * Events, which bubble: attached, ready, down, detached ({ name, url } in detail), shared ({ name }: a
 * link was given out that ends with the token), statechange ({ state }: of the connection).  Slots: lead, trail (in the row of tabs), refused (what to show to
 * whom has no access).  Parts and custom properties: see style.js.
 */
import { banners, lay } from "./banners.js";
import { copy, h, set, text } from "./dom.js";
import { Model } from "./model.js";
import * as screens from "./screens.js";
import { Session } from "./session.js";
import { Stage } from "./stage.js";
import { css } from "./style.js";
import { obstacle, sentence, span } from "./texts.js";
import { Tabs, Toolbar } from "./toolbar.js";

const TOUCH_EVERY = 60_000; // while somebody looks; a preview is idle after half an hour
const SOON = 10 * 60; // seconds: a deadline nearer than this is worth a word
const SETTLED = 5000; // milliseconds after a load, which is use by itself
const PATIENCE = 4000; // milliseconds until a page that still loads is called slow

let sheet;

export class WebPreview extends HTMLElement {
	static observedAttributes = ["app", "session", "src"];

	tokenProvider = null;
	#parts = null;
	#frame_request = 0;

	connectedCallback() {
		this.#begin();
	}

	disconnectedCallback() {
		this.#end();
	}

	attributeChangedCallback() {
		if (!this.isConnected || !this.#parts) return;
		this.#end();
		this.#begin();
	}

	get place() {
		return { app: this.getAttribute("app") || "default", session: this.getAttribute("session") ?? "" };
	}

	get base() {
		return new URL(this.getAttribute("src") || new URL("..", import.meta.url), document.baseURI).href.replace(/\/$/, "");
	}

	// The connection: connecting, live, waiting, missing, refused.
	get state() {
		return this.session?.state ?? "connecting";
	}

	get selected() {
		return this.choice.name;
	}

	#begin() {
		if (!this.place.session) return;
		const root = this.shadowRoot ?? this.attachShadow({ mode: "open" });
		if (!sheet) {
			sheet = new CSSStyleSheet();
			sheet.replaceSync(css);
		}
		root.adoptedStyleSheets = [sheet];

		this.model = new Model();
		this.choice = { name: this.getAttribute("name"), by: this.hasAttribute("name") ? "person" : null, device: "fit", rotated: false, ...this.#remembered() };
		this.shown_anyway = new Set();
		this.announced = new Map();
		this.permission = null;
		this.#build(root);

		this.session = new Session({ base: this.base, ...this.place, provider: (why) => this.tokenProvider?.(why) });
		this.session.addEventListener("state", () => this.#on_state());
		this.session.addEventListener("frame", ({ detail }) => this.#on_frame(detail));
		this.session.addEventListener("token", () => this.#parts.stage.admit_again());
		// The page that makes the element sets its tokenProvider in the same turn.
		queueMicrotask(() => this.session?.start());

		this.seen = true;
		this.looking = new IntersectionObserver(([entry]) => {
			this.seen = entry.isIntersecting;
			this.#touch();
		});
		this.looking.observe(this);
		this.on_visible = () => this.#touch();
		document.addEventListener("visibilitychange", this.on_visible);
		this.clock = setInterval(() => this.#tick(), 1000);
		this.#watch_permission();
		this.#render();
	}

	#end() {
		if (!this.#parts) return;
		this.session.stop();
		this.session = null;
		this.drawer?.end();
		this.drawer = null;
		this.looking.disconnect();
		document.removeEventListener("visibilitychange", this.on_visible);
		clearInterval(this.clock);
		cancelAnimationFrame(this.#frame_request);
		this.#frame_request = 0;
		this.#parts.toolbar.unlisten();
		this.#parts.stage.end();
		this.#parts = null;
		this.shadowRoot.replaceChildren();
	}

	#build(root) {
		const act = (what, value) => this.#act(what, value);
		act.may = (scope) => this.session?.may(scope) ?? true;
		const tabs = new Tabs({ on_choose: (name) => this.choose(name), on_stop: (name) => this.#ask_to_stop(name) });
		const toolbar = new Toolbar(act);
		const stage = new Stage({ on_load: (name) => this.#on_load(name), on_change: () => this.#render_soon(), link_to: (name, path) => this.#link_to(name, path) });
		const p = {
			act,
			tabs,
			toolbar,
			stage,
			link: h("span", { class: "link", role: "status" }),
			head: h("div", { class: "head", part: "head" }),
			banner: h("div", { class: "banners" }),
			screen: h("div", { class: "overlay" }),
			progress: h("div", { class: "loading", "aria-hidden": "true" }),
			live: h("div", { class: "visually-hidden", role: "status", "aria-live": "polite" }),
			toast: h("div", { class: "toast", role: "status", part: "toast" }),
		};
		p.head.append(h("slot", { name: "lead" }), tabs.list, p.link, h("slot", { name: "trail" }));
		p.main = h("div", { class: "stage", part: "stage", role: "tabpanel", id: "stage", tabindex: "-1" }, p.progress, stage.element, p.screen);
		p.side = h("div", { class: "middle" }, p.main);
		p.panel = h("div", { class: "panel", part: "panel" }, p.head, toolbar.element, p.banner, p.side, p.toast, p.live);
		root.replaceChildren(p.panel);
		toolbar.listen();
		stage.set_device(this.choice.device, this.choice.rotated);
		this.#parts = p;
	}

	/*
	 * The person's choice, by session.
	 */
	get #key() {
		return `previewd:${this.base}:${this.place.app}:${this.place.session}`;
	}

	#remembered() {
		try {
			const { name, device, rotated } = JSON.parse(localStorage.getItem(this.#key)) ?? {};
			return { ...(name && !this.hasAttribute("name") ? { name, by: "person" } : {}), ...(device ? { device, rotated: rotated === true } : {}) };
		} catch {
			return {}; // no storage here, or nothing in it
		}
	}

	#remember() {
		try {
			const { name, by, device, rotated } = this.choice;
			localStorage.setItem(this.#key, JSON.stringify({ name: by === "person" ? name : undefined, device, rotated }));
		} catch {
			// a page without storage forgets
		}
	}

	choose(name, by = "person") {
		if (this.choice.name !== name) {
			const left = this.choice.name;
			this.choice.name = name;
			if (this.model.gone.has(left)) this.model.gone.delete(left);
			this.#close_drawer();
		}
		this.choice.by = by;
		if (by === "person") this.#remember();
		this.#render();
		this.#touch();
	}

	/*
	 * What comes from the daemon.
	 */
	#on_state() {
		this.#emit("statechange", { state: this.session.state });
		this.#render_soon();
	}

	#on_frame(frame) {
		const change = this.model.apply(frame);
		if (!change) return;
		const { what, name } = change;
		const preview = name ? this.model.previews.get(name) : null;

		if (what === "snapshot") {
			this.#find_builds();
		} else if (what === "attached") {
			this.#learn(name);
			this.#emit("attached", { name, url: this.#url(preview)?.href });
			this.#say(`${name} is attached`);
			if (change.focus || !this.model.previews.has(this.choice.name)) this.#bring_forward(name);
		} else if (what === "detached") {
			if (name !== this.choice.name) this.model.gone.delete(name);
			this.#emit("detached", { name, reason: change.reason });
			this.#say(`${name} is detached`);
			if (this.leaving === name) this.#dismiss(name);
		} else if (what === "down") {
			this.#emit("down", { name, url: this.#url(preview)?.href });
			this.#say(`${name} is down`);
		} else if (what === "up") {
			this.#say(`${name} is back`);
		} else if (what === "idle" && name === this.choice.name) {
			this.#touch(true);
		} else if (what === "publish_started" && !this.model.previews.has(this.choice.name) && !this.model.gone.has(this.choice.name)) {
			this.choice.name = name;
		} else if (what === "publish_finished") {
			this.#say(`${name} is published`);
			this.drawer?.refresh?.();
		}
		this.#render_soon();
	}

	// One that wants to be seen is, but for somebody who is just typing an address.
	#bring_forward(name) {
		if (this.choice.name === name) return;
		if (this.#parts.toolbar.path.matches(":focus")) {
			this.#toast(`“${name}” is attached.`, "Show", () => this.choose(name));
			return;
		}
		this.choice.name = name;
		this.choice.by = "focus";
		this.#close_drawer();
		this.#touch();
	}

	async #learn(name) {
		const { revision } = this.model.previews.get(name);
		try {
			const details = await this.session.call("GET", `/previews/${name}`);
			if (this.session && this.model.details(details, revision)) this.#render_soon();
		} catch {
			// it went meanwhile, which an event tells
		}
	}

	async #find_builds() {
		try {
			const { builds } = await this.session.call("GET", "/builds");
			for (const build of builds ?? []) if (this.model.build_found(build)) this.#fill_log(build);
			this.#render_soon();
		} catch {
			// none to be seen
		}
	}

	async #fill_log({ build_id, name }) {
		const response = await this.session.fetch("GET", `/builds/${encodeURIComponent(build_id)}/log`);
		const lines = (await response.text()).split("\n").slice(-200);
		const build = this.model.builds.get(name);
		if (build?.id === build_id && !build.lines.length) build.lines.push(...lines);
		this.#render_soon();
	}

	/*
	 * Being looked at is use; being open in a tab behind is not.
	 */
	get #looked_at() {
		return this.seen && !document.hidden && this.session?.state === "live";
	}

	async #touch(at_once = false) {
		const preview = this.model.previews.get(this.choice.name);
		const frame = this.#parts?.stage.frame(this.choice.name);
		const now = performance.now();
		if (!at_once && (!frame || frame.loading || now - frame.since < SETTLED)) return;
		if (!this.#looked_at || preview?.type !== "proxy" || preview.status === "down") return;
		if (!at_once && this.touched?.name === preview.name && now - this.touched.at < TOUCH_EVERY) return;
		this.touched = { name: preview.name, at: now };
		try {
			const details = await this.session.call("POST", `/previews/${preview.name}/touch`);
			if (this.session && this.model.details(details, preview.revision)) this.#render_soon();
		} catch {
			// no connection, or gone: either shows by itself
		}
	}

	// What opens it at the edge, once: {url, once, expires_at}.
	#ask_link(name, path) {
		return this.session.call("POST", `/previews/${encodeURIComponent(name)}/link`, path === undefined ? undefined : { path });
	}

	async #link_to(name, path) {
		return (await this.#ask_link(name, path)).url;
	}

	// A tab has none of the cookies of our frames.
	async #open(preview, event) {
		if (preview?.connect !== "edge") return;
		event.preventDefault();
		const tab = window.open("", "_blank"); // at once: later it would be a pop-up
		if (!tab) return;
		tab.opener = null;
		try {
			const link = await this.#link_to(preview.name);
			this.#emit("shared", { name: preview.name });
			tab.location.replace(link);
		} catch {
			tab.location.replace(preview.url);
		}
	}

	#tick() {
		this.#touch();
		this.#render_banners();
		const frame = this.#parts.stage.shown;
		if (frame?.loading) this.#render_soon();
	}

	async #watch_permission() {
		try {
			const status = await navigator.permissions.query({ name: "local-network-access" });
			this.permission = status.state;
			status.onchange = () => {
				this.permission = status.state;
				this.#render_soon();
			};
			this.#render_soon();
		} catch {
			// a browser that doesn't ask for it
		}
	}

	/*
	 * What a person does.
	 */
	#act(what, value) {
		const { stage } = this.#parts;
		const name = this.choice.name;
		const frame = stage.frame(name);
		const preview = this.model.previews.get(name);

		switch (what) {
			case "back":
				return frame?.move(-1);
			case "forward":
				return frame?.move(1);
			case "reload":
				return frame?.load(frame.url);
			case "reload_hard":
				return frame?.reload_hard();
			case "go":
				return this.#go(frame, value);
			case "device":
				Object.assign(this.choice, { device: value });
				return this.#resize();
			case "rotate":
				Object.assign(this.choice, { rotated: !this.choice.rotated });
				return this.#resize();
			case "open":
				return this.#open(preview, value);
			case "copy":
				return this.#copy_link(preview, frame?.url ?? this.#url(preview));
			case "why":
				return this.#toggle_drawer("why", { preview: () => this.model.previews.get(name) });
			case "releases":
				return this.#toggle_drawer("releases", { name: this.#published_name(), address: (of) => this.#url(this.model.previews.get(of))?.href ?? null });
			case "build":
				return this.#toggle_drawer("build", { build: () => this.model.builds.get(name), act: this.#parts.act });
			case "stop":
				return this.#stop(value ?? name);
			case "dismiss":
				return this.#dismiss(value);
			case "dismiss_build":
				this.model.builds.delete(value);
				return this.#after(value);
			case "keep":
				return this.#ask("POST", `/previews/${value}/touch`, undefined, (details) => this.model.details(details, this.model.previews.get(value)?.revision));
			case "reached":
				frame.unreached = false;
				return this.#render();
			case "copy_published":
				return this.#copy(this.#url(preview)).then(() => this.#act("dismiss_build", name));
			case "pin":
				return this.#ask("POST", `/previews/${name}/${preview?.pinned ? "unpin" : "pin"}`, undefined, (details) => this.model.details(details, preview.revision));
			case "publish":
				return this.#ask("POST", "/publish", { name: this.#published_name() }, () => this.choose(this.#published_name()));
			case "cancel":
				return this.#ask("DELETE", `/builds/${encodeURIComponent(value.id)}`);
			case "show_anyway":
				this.shown_anyway.add(name);
				return this.#render();
		}
	}

	#published_name() {
		const preview = this.model.previews.get(this.choice.name);
		return preview?.type === "published" || (!preview && this.model.builds.has(this.choice.name)) ? this.choice.name : "published";
	}

	#go(frame, path) {
		if (!frame) return;
		let url;
		try {
			const to = path.trim() || "/";
			url = new URL(to.startsWith("/") ? this.#root(frame.preview, new URL(frame.preview.url)) + to : to, frame.url);
		} catch {
			url = null;
		}
		if (url?.origin !== frame.url.origin) return this.#toast("Only pages of this preview can be shown here.");
		frame.go(url);
		this.#parts.toolbar.path.blur();
		this.#render();
	}

	#resize() {
		this.#remember();
		this.#parts.stage.set_device(this.choice.device, this.choice.rotated);
		this.#render();
	}

	async #copy(url) {
		if (!url) return;
		this.#toast((await copy(url.href)) ? "Link copied" : `The browser did not let it be copied: ${url.href}`);
	}

	// The address alone opens nothing at an edge that lets only those in who opened a link.
	async #copy_link(preview, shown) {
		if (!shown || preview?.connect !== "edge") return this.#copy(shown);
		const path = (shown.pathname + shown.search).replace(/[\\^`{|}]/g, encodeURIComponent); // as previewd takes it
		const link = this.#ask_link(preview.name, path);
		const copied = copy(link.then(({ url }) => url + shown.hash));
		try {
			const { url, once, expires_at } = await link;
			this.#emit("shared", { name: preview.name });
			if (!(await copied)) this.#toast(`The browser did not let it be copied: ${url}`);
			else if (!once) this.#toast("Link copied");
			else this.#toast(`One-time link copied: it opens once, within ${span((Date.parse(expires_at) - Date.now()) / 1000)}`);
		} catch (error) {
			await copied;
			const plain = (await copy(shown.href)) ? "Only the plain address was copied" : `The plain address is ${shown.href}`;
			this.#toast(`${plain}, which opens for who was let in before. ${sentence(error.message)}`, "Try again", () => this.#act("copy"));
		}
	}

	async #ask(method, path, body, done) {
		try {
			const answer = await this.session.call(method, path, body);
			done?.(answer);
			this.#render_soon();
		} catch (error) {
			this.#toast(sentence(error.message));
		}
	}

	// A key is easily hit; what it ends may have been long in the making.
	#ask_to_stop(name) {
		if (!this.model.previews.has(name)) return this.#dismiss(name);
		if (this.session.may("preview")) this.#toast(`Stop “${name}” and detach it?`, "Stop", () => this.#stop(name));
	}

	async #stop(name) {
		const preview = this.model.previews.get(name);
		if (!preview) return this.#dismiss(name);
		this.leaving = name; // who stops it needs not be told that it stopped
		const path = preview.type === "published" ? `/published?name=${encodeURIComponent(name)}` : `/previews/${name}`;
		try {
			const answer = await this.session.call("DELETE", path);
			if (answer.left?.length || answer.hint) this.#toast(sentence(answer.hint ?? `${answer.left.length} processes could not be ended`));
		} catch (error) {
			this.leaving = null;
			this.#toast(sentence(error.message));
		}
	}

	#dismiss(name) {
		this.leaving = null;
		this.model.gone.delete(name);
		this.#after(name);
	}

	#after(name) {
		if (this.choice.name === name && !this.model.previews.has(name)) {
			this.choice.name = this.model.first();
			this.choice.by = null;
		}
		this.#render_soon();
	}

	// What few look at is fetched when somebody does.
	async #toggle_drawer(kind, options) {
		if (this.drawer_kind === kind) return this.#close_drawer(true);
		this.#close_drawer();
		this.drawer_kind = kind;
		const { drawers } = await import("./drawers.js");
		if (this.drawer || this.drawer_kind !== kind || !this.#parts) return;
		this.drawer = new drawers[kind]({ session: this.session, name: this.choice.name, on_close: () => this.#close_drawer(true), ...options });
		this.#parts.side.append(this.drawer.element);
		this.drawer.focus();
		this.#render();
	}

	#close_drawer(by_person = false) {
		const kind = this.drawer_kind;
		if (!kind) return;
		this.drawer?.end();
		this.drawer = this.drawer_kind = null;
		if (by_person) {
			const { toolbar } = this.#parts;
			(kind === "why" && toolbar.why.offsetParent ? toolbar.why : toolbar.more).focus();
		}
		this.#render();
	}

	/*
	 * What is shown.
	 */
	#url(preview) {
		if (!preview?.url) return null;
		try {
			// What the daemon serves itself is told without its origin, and without what a proxy puts before it.
			const url = new URL(preview.url.startsWith("/") ? this.base + preview.url : preview.url);
			return /^https?:$/.test(url.protocol) ? url : null;
		} catch {
			return null;
		}
	}

	// A published page lives beneath a path of the daemon's.
	#root(preview, url) {
		return url && preview && preview.type !== "proxy" ? url.pathname.replace(/\/$/, "") : "";
	}

	#on_load(name) {
		const preview = this.model.previews.get(name);
		if (preview && preview.status !== "down") {
			this.#emit("ready", { name, url: this.#url(preview)?.href });
			this.#see_whether_it_arrived(preview);
		}
		this.#render_soon();
	}

	/*
	 * A browser tells nobody that it could not load a frame: for that, too, there is a "load".  But
	 * the daemon knows who came to the port.  No more than a hint: a page may come from a cache.
	 */
	async #see_whether_it_arrived({ name, type, connect }) {
		const frame = this.#parts.stage.frame(name);
		if (type !== "proxy" || connect !== "direct" || !frame || frame.checked === frame.revision) return;
		frame.checked = frame.revision;
		try {
			const why = await this.session.call("GET", `/previews/${name}/why`);
			// A connection made beforehand, over which nothing came, is none.
			const came = why.sockets.some((s) => !s.probe && s.bytes_received > 0) || why.last_reset.by === "traffic" || this.touched?.at > frame.since;
			frame.unreached = why.seen_by_kernel && why.status === "up" && !came;
			this.#render_soon();
		} catch {
			// it is gone, or there is no connection
		}
	}

	#render_soon() {
		if (!this.#parts || this.#frame_request) return;
		this.#frame_request = requestAnimationFrame(() => {
			this.#frame_request = 0;
			this.#render();
		});
		// A page in a tab behind paints nothing; what it loads, it loads all the same.
		if (document.hidden) {
			cancelAnimationFrame(this.#frame_request);
			this.#frame_request = 0;
			queueMicrotask(() => this.#render());
		}
	}

	#tab(name) {
		const preview = this.model.previews.get(name);
		const build = this.model.builds.get(name);
		if (build?.state === "running") return { name, state: "publishing", note: "publishing" };
		if (!preview) return { name, state: build ? "failed" : "detached", note: build ? "the build failed" : "detached" };
		if (preview.status === "down") return { name, state: "down", note: "down" };
		if (this.#ends_soon(preview)) return { name, state: "idle", note: "ends soon" };
		return { name, state: "up", note: "" };
	}

	#ends_soon(preview) {
		if (!preview.reaps_at || preview.pinned) return false;
		return preview.warned === true && (Date.parse(preview.reaps_at) - Date.now()) / 1000 < SOON;
	}

	#render() {
		const p = this.#parts;
		if (!p || !this.session) return;
		const { model, choice, session } = this;

		if (model.known && !model.names(choice.name).includes(choice.name)) {
			const first = model.first();
			// The person's choice is waited for only where there is nothing else.
			if (first !== null || choice.by !== "person") choice.name = first;
		}
		const names = model.names(choice.name);
		const preview = model.previews.get(choice.name) ?? null;
		const url = this.#url(preview);
		const view = this.#view(preview, url);

		p.panel.toggleAttribute("data-empty", names.length === 0);
		p.tabs.render(
			names.map((name) => this.#tab(name)),
			choice.name,
		);
		p.stage.keep_only(new Set(model.previews.keys()));
		const frame = p.stage.show(preview && url ? { ...preview, url: url.href } : null, { load: view.load });
		set(p.main, { "aria-labelledby": preview ? `tab-${choice.name}` : null, "data-framed": view.screen ? null : true });
		p.toolbar.render({
			url: frame?.url ?? url,
			root: this.#root(preview, url),
			can_back: frame?.at > 0,
			can_forward: frame ? frame.at < frame.history.length - 1 : false,
			device: choice.device,
			rotated: choice.rotated,
			pinned: preview?.pinned === true,
			may: { preview: session.may("preview"), publish: session.may("publish") },
			drawer: this.drawer_kind,
		});
		p.progress.toggleAttribute("data-on", Boolean(frame?.loading && !view.screen));
		this.#render_screen(view);
		this.#render_link();
		this.#render_banners();
		this.drawer?.update?.();
	}

	// { key, screen?, load }: what stands in the page's place, if anything does, and whether the
	// page is loaded behind it.
	#view(preview, url) {
		const { model, choice, session } = this;
		const { act, stage } = this.#parts;
		const build = model.builds.get(choice.name);
		const is = (key, make, load = false) => ({ key: `${key}:${choice.name}`, screen: make, load });

		if (session.state === "refused") return is("refused", () => screens.refused(h("slot", { name: "refused" })));
		if (build && !preview && ["running", "failed"].includes(build.state)) return { ...is(`build:${build.id}`, () => new screens.BuildScreen(build, act)), build };
		if (!preview) {
			if (model.gone.has(choice.name)) return is("gone", () => screens.gone(choice.name, model.gone.get(choice.name), this.place, act));
			if (!model.known && session.state !== "missing") return is("connecting", () => screens.connecting());
			return is("nothing", () => screens.nothing(this.place));
		}
		if (preview.status === "down") return is(`down:${preview.down_reason}:${session.may("preview")}`, () => screens.down(preview, act));
		if (!url) return is("nothing", () => screens.nothing(this.place));
		const obstructed = this.shown_anyway.has(choice.name) ? null : obstacle({ ...preview, url: url.href }, location, this.permission);
		if (obstructed) return is(`blocked:${obstructed.code}`, () => screens.blocked(obstructed, url, act));

		const frame = stage.frame(choice.name);
		const is_new = !frame || frame.revision !== preview.revision;
		if (is_new || (frame.loading && performance.now() - frame.since < 60_000)) {
			const slow = preview.warnings?.some((w) => w.code === "slow") || (!is_new && performance.now() - frame.since > PATIENCE);
			// A reload keeps the page that is there until the next one comes.
			if (is_new || !frame.was_loaded) return is(`starting:${Boolean(slow)}`, () => screens.starting(preview, slow), true);
		}
		if (frame && !frame.loading) frame.was_loaded = true;
		return { key: "page", load: true };
	}

	#render_screen(view) {
		const { screen } = this.#parts;
		if (this.screen_key === view.key) {
			if (view.build) this.build_screen?.update(view.build);
			return;
		}
		this.screen_key = view.key;
		const made = view.screen?.() ?? null;
		this.build_screen = made instanceof screens.BuildScreen ? made : null;
		screen.replaceChildren(...(made ? [this.build_screen ? made.element : made] : []));
	}

	#render_link() {
		const { link } = this.#parts;
		const said = { connecting: this.model.known ? "Reconnecting…" : "", waiting: "Reconnecting…" }[this.session.state] ?? "";
		text(link, said);
		set(link, { "data-on": said ? true : null });
	}

	#render_banners() {
		const { act, banner, stage } = this.#parts;
		const preview = this.model.previews.get(this.choice.name) ?? null;
		const list = banners({
			ending: [...this.model.previews.values()].filter((p) => p.status !== "down" && this.#ends_soon(p)),
			build: preview ? this.model.builds.get(preview.name) : null,
			unreached: preview && stage.frame(preview.name)?.unreached ? { port: preview.port, host: this.#url(preview)?.host } : null,
			warnings: preview?.warnings ?? [],
		});
		lay(banner, list, act);
	}

	#toast(said, action, act) {
		const { toast } = this.#parts;
		clearTimeout(this.toast_timer);
		toast.replaceChildren(h("span", {}, said), ...(action ? [screens.button(action, () => (set(toast, { "data-on": null }), act()), "small")] : []));
		set(toast, { "data-on": true });
		this.toast_timer = setTimeout(() => set(toast, { "data-on": null }), action ? 12_000 : 5000);
	}

	#say(what) {
		if (this.#parts) this.#parts.live.textContent = `${what}.`;
	}

	#emit(type, detail) {
		this.dispatchEvent(new CustomEvent(type, { detail, bubbles: true, composed: true }));
	}
}

if (!customElements.get("web-preview")) customElements.define("web-preview", WebPreview);
