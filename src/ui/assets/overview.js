// SPDX-License-Identifier: MIT
// All previews that one may see, over sessions; and for the admin what there is of everything, and how
// it went over the last hour.

import { h, text } from "./dom.js";
import { ago, sentence, span } from "./texts.js";

const EVERY = 5000; // milliseconds
const HOUR = 60; // samples
const SVG = "http://www.w3.org/2000/svg";

// { title, series, unit?, rate? }: a rate is of what a counter gained.
const FIGURES = [
	{ title: "Sessions", series: "sessions" },
	{ title: "Attachments", series: "attachments" },
	{ title: "Tasks", series: "tasks" },
	{ title: "Builds", series: "builds" },
	{ title: "Event streams", series: "streams" },
	{ title: "Requests", series: "requests", unit: "/ min", rate: true },
	{ title: "Events", series: "events", unit: "/ min", rate: true },
	{ title: "Servers gone down", series: "downs", unit: "in the hour", rate: true, sum: true },
];

function chart(values, title) {
	const svg = document.createElementNS(SVG, "svg");
	const most = Math.max(1, ...values);
	const x = (i) => (100 - ((values.length - 1 - i) * 100) / HOUR).toFixed(2); // now is at the right
	const points = values.map((v, i) => `${x(i)} ${(30 - (28 * v) / most).toFixed(2)}`);
	svg.setAttribute("viewBox", "0 0 100 32");
	svg.setAttribute("preserveAspectRatio", "none");
	svg.setAttribute("role", "img");
	svg.setAttribute("aria-label", `${title} over the last ${span(values.length * 60)}: at least ${Math.min(...values)}, at most ${Math.max(...values)}`);
	for (const [name, d] of [
		["axis", "M0 31.5 H100"],
		["area", `M${x(0)} 32 L${points.join(" L")} L100 32 Z`],
		["line", `M${points.join(" L")}`],
	]) {
		const path = document.createElementNS(SVG, "path");
		path.setAttribute("class", name);
		path.setAttribute("d", d);
		svg.append(path);
	}
	return svg;
}

export class Overview {
	constructor({ admin, ask, open }) {
		this.admin = admin;
		this.ask = ask;
		this.open = open;
		this.said = h("p", { role: "status" });
		this.figures = h("dl", { class: "figures" });
		this.sessions = h("section", { class: "sessions", "aria-label": "Previews" });
		this.element = h("div", { class: "overview" }, h("header", {}, h("span", { class: "mark", "aria-hidden": "true" }), h("h1", {}, "Overview"), this.said), this.figures, this.sessions);
		this.#look();
	}

	async #look() {
		try {
			const [figures, { previews, next }] = await Promise.all([this.admin ? this.ask("/api/figures") : null, this.ask("/api/previews?limit=200")]);
			text(this.said, figures ? `previewd ${figures.version}, up for ${span(figures.uptime_seconds)}` : "");
			if (figures) this.#show_figures(figures);
			this.#show_previews(previews, next);
		} catch (error) {
			text(this.said, sentence(error.message));
		}
		setTimeout(() => this.element.isConnected && this.#look(), EVERY);
	}

	#show_figures({ series, now: current }) {
		this.figures.replaceChildren(
			...FIGURES.filter(({ series: name }) => series[name]).map(({ title, series: name, unit, rate, sum }) => {
				const values = rate ? series[name].slice(1).map((v, i) => Math.max(0, v - series[name][i])) : [...series[name], current[name]];
				const now = sum ? current[name] - series[name][0] : (values.at(-1) ?? null);
				return h(
					"div",
					{ class: "figure" },
					h("dt", {}, title),
					h("dd", {}, now === null ? "–" : now.toLocaleString("en"), unit ? h("small", {}, ` ${unit}`) : null),
					h("dd", {}, chart(values.length > 1 ? values : [now ?? 0, now ?? 0], title)),
				);
			}),
		);
	}

	#show_previews(previews, next) {
		const key = JSON.stringify(previews.map((p) => [p.session_id, p.name, p.status, p.activity, p.idle_seconds]));
		if (key === this.key) return;
		this.key = key;
		const place = (p) => ({ app: p.app_id, session: p.session_id, name: p.name });
		this.sessions.replaceChildren(
			previews.length
				? h(
						"table",
						{},
						h("caption", {}, `Previews${next ? " (the first 200)" : ""}`),
						h("thead", {}, h("tr", {}, ["Session", "Preview", "User", "Address", "Use", "Attached", "Idle"].map((t) => h("th", { scope: "col" }, t)))),
						h(
							"tbody",
							{},
							previews.map((p) =>
								h(
									"tr",
									{},
									h("th", { scope: "row" }, h("button", { type: "button", onclick: () => this.open(place(p)) }, p.session_id)),
									h("td", {}, h("span", { class: "dot", "data-state": p.status, title: p.status }), p.name),
									h("td", {}, p.user_id),
									h("td", {}, p.host ? `${p.host}:${p.port}${p.path}` : p.url),
									h("td", {}, { active: "in use", passive: "open", unseen: "–" }[p.activity] ?? p.activity),
									h("td", {}, ago(p.attached_at)),
									h("td", {}, span(p.idle_seconds)),
								),
							),
						),
					)
				: h("p", { class: "none" }, "Nothing is attached."),
		);
	}
}
