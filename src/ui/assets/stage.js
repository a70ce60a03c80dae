// SPDX-License-Identifier: MIT
// The frames: one a preview, made when it is first looked at and kept while it is attached, so that
// going to another tab and back loses nothing.

import { h } from "./dom.js";

export const DEVICES = {
	fit: { label: "Fit" },
	phone: { label: "Phone", width: 390, height: 844 },
	tablet: { label: "Tablet", width: 820, height: 1180 },
	desktop: { label: "Desktop", width: 1440, height: 900 },
};

const MARGIN = 24; // around a device
const ALLOW = "local-network-access; loopback-network; local-network; clipboard-write; fullscreen";

/*
 * A server of its own origin keeps that origin, or logins and storage would not work.  What shares
 * ours (a published page, or a template that puts all on one host) must not have it: it could take
 * the frame's sandbox off and read this page.
 */
export function sandbox_of(type, url, own_origin) {
	const apart = type === "proxy" && url.origin !== own_origin;
	return `allow-scripts ${apart ? "allow-same-origin " : ""}allow-forms allow-popups`;
}

const NOWHERE = "/.previewd/open"; // of the edge's own: no page of the server's is loaded

class Frame {
	constructor(stage, preview) {
		this.stage = stage;
		this.name = preview.name;
		this.history = [];
		this.at = -1;
		this.shell = h("div", { class: "shell", hidden: true });
		stage.viewport.append(this.shell);
		this.begin(preview);
	}

	begin(preview) {
		const url = new URL(preview.url);
		// One stays on the page one was at, when the same comes anew.
		const same = this.url && (preview.url === this.preview.url || (preview.type === "proxy" && url.origin === this.url.origin));
		this.preview = preview;
		this.revision = preview.revision;
		if (!same) {
			this.history = [url];
			this.at = 0;
			this.admitted = preview.connect !== "edge";
		}
		this.renew();
	}

	get url() {
		return this.history[this.at];
	}

	// A new frame: nothing of the old page is left.
	renew(url = this.url) {
		const name = this.name;
		const src = this.admitted ? url.href : this.#admit(url);
		this.loading = true;
		this.since = performance.now();
		this.iframe?.remove();
		this.iframe = h("iframe", {
			part: "frame",
			title: `Preview ${name}`,
			sandbox: sandbox_of(this.preview.type, url, location.origin),
			allow: ALLOW,
			referrerpolicy: "no-referrer",
		});
		this.iframe.addEventListener("load", () => {
			this.loading = false;
			this.stage.on_load(name);
		});
		this.#show(this.iframe, src);
		this.stage.on_change();
	}

	// The edge wants a one-time link first, which leaves its cookie in the frame and leads on to the preview.
	async #admit(url) {
		this.admitted = true;
		try {
			return await this.stage.link_to(this.name);
		} catch {
			return url.href; // the edge says what is wrong
		}
	}

	// Its cookie has ended with the token that it was had by: another, beside the page that is shown.
	async admit_again() {
		if (this.preview.connect !== "edge" || !this.admitted) return;
		try {
			const src = await this.stage.link_to(this.name, NOWHERE);
			const beside = h("iframe", { hidden: true, "aria-hidden": "true", tabindex: "-1", sandbox: sandbox_of(this.preview.type, new URL(src), location.origin), referrerpolicy: "no-referrer", src });
			beside.addEventListener("load", () => beside.remove());
			this.stage.element.append(beside);
		} catch {
			this.admitted = false; // by the next page that is loaded
		}
	}

	async #show(iframe, src) {
		if (typeof src !== "string") {
			this.shell.replaceChildren();
			src = await src;
			if (iframe !== this.iframe) return; // another one has come meanwhile
		}
		iframe.src = src;
		this.shell.replaceChildren(iframe);
	}

	// Within the frame; only where that would not do it (the same address but for a fragment), anew.
	load(url) {
		if (!this.admitted) return this.renew(url);
		this.loading = true;
		this.since = performance.now();
		try {
			if (url.hash) throw new Error("would only scroll");
			this.iframe.contentWindow.location.replace(url.href);
			this.stage.on_change();
		} catch {
			this.renew(url);
		}
	}

	go(url) {
		this.history.splice(this.at + 1, Infinity, url);
		this.at++;
		this.load(url);
	}

	move(by) {
		if (!this.history[this.at + by]) return;
		this.at += by;
		this.load(this.url);
	}

	// Past every cache: no browser lets a page of another origin be reloaded so, but an address
	// that was never asked for is in none.
	reload_hard() {
		const url = new URL(this.url);
		url.searchParams.set("previewd-reload", Date.now().toString(36));
		this.renew(url);
	}
}

export class Stage {
	constructor({ on_load, on_change, link_to }) {
		this.on_load = on_load;
		this.on_change = on_change;
		this.link_to = link_to;
		this.frames = new Map();
		this.device = "fit";
		this.rotated = false;
		this.viewport = h("div", { class: "viewport" });
		this.size = h("output", { class: "size", hidden: true, "aria-label": "Size of the page" });
		this.element = h("div", { class: "frames" }, this.viewport, this.size);
		this.watch = new ResizeObserver(() => this.layout());
		this.watch.observe(this.element);
	}

	frame(name) {
		return this.frames.get(name) ?? null;
	}

	// Shows this one (or none), loading it where that is due.  Its `url` is a whole one.
	show(preview, { load = true } = {}) {
		let frame = preview ? this.frames.get(preview.name) : null;
		if (preview && load) {
			if (!frame) {
				frame = new Frame(this, preview);
				this.frames.set(preview.name, frame);
			} else if (frame.revision !== preview.revision) {
				frame.begin(preview);
			}
		}
		if (frame) frame.preview = preview;
		for (const [name, other] of this.frames) other.shell.hidden = name !== preview?.name;
		this.shown = frame;
		this.layout();
		return frame;
	}

	admit_again() {
		for (const frame of this.frames.values()) frame.admit_again();
	}

	keep_only(names) {
		for (const [name, frame] of this.frames) {
			if (names.has(name)) continue;
			frame.shell.remove();
			this.frames.delete(name);
		}
	}

	set_device(device, rotated) {
		this.device = DEVICES[device] ? device : "fit";
		this.rotated = rotated;
		this.layout();
	}

	layout() {
		const device = DEVICES[this.device];
		const style = this.viewport.style;
		const fits = !device.width;
		this.viewport.classList.toggle("device", !fits);
		this.size.hidden = fits;
		if (fits) {
			for (const property of ["width", "height", "transform", "left", "top"]) style.removeProperty(property);
			return;
		}
		const [width, height] = this.rotated ? [device.height, device.width] : [device.width, device.height];
		const room = this.element.getBoundingClientRect();
		if (!room.width) return;
		const scale = Math.min(1, (room.width - 2 * MARGIN) / width, (room.height - 2 * MARGIN - 16) / height);
		style.width = `${width}px`;
		style.height = `${height}px`;
		style.transform = `scale(${scale})`;
		style.left = `${Math.round((room.width - width * scale) / 2)}px`;
		style.top = `${Math.round(Math.max(MARGIN, (room.height - height * scale - 16) / 2))}px`;
		this.size.textContent = `${width} × ${height}${scale < 0.995 ? ` · ${Math.round(scale * 100)} %` : ""}`;
	}

	end() {
		this.watch.disconnect();
		this.keep_only(new Set());
	}
}
