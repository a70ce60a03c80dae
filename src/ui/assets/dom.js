// SPDX-License-Identifier: MIT
// Elements and icons, made without markup: nothing that comes from outside is ever parsed.

const SVG = "http://www.w3.org/2000/svg";

// h("button", { class: "quiet", onclick: f, "aria-label": "Stop" }, icon("stop"), "Stop")
export function h(tag, properties = {}, ...children) {
	const element = document.createElement(tag);
	for (const [name, value] of Object.entries(properties)) {
		if (value === null || value === undefined || value === false) continue;
		if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
		else element.setAttribute(name, value === true ? "" : value);
	}
	element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
	return element;
}

export function set(element, attributes) {
	for (const [name, value] of Object.entries(attributes)) {
		if (value === null || value === undefined || value === false) element.removeAttribute(name);
		else if (element.getAttribute(name) !== String(value === true ? "" : value)) element.setAttribute(name, value === true ? "" : value);
	}
	return element;
}

export function text(element, value) {
	if (element.textContent !== value) element.textContent = value;
	return element;
}

// Strokes on a grid of 16.
const ICONS = {
	back: "M10 3 5 8l5 5",
	forward: "m6 3 5 5-5 5",
	reload: "M13 8a5 5 0 1 1-1.5-3.6M13 2.5v3h-3",
	open: "M9 3h4v4M13 3 7.5 8.5M11.5 9.5V13h-8.5V4.5H6.5",
	link: "M6.8 9.2a2.5 2.5 0 0 0 3.6 0l2-2a2.5 2.5 0 0 0-3.6-3.6l-.6.6M9.2 6.8a2.5 2.5 0 0 0-3.6 0l-2 2a2.5 2.5 0 0 0 3.6 3.6l.6-.6",
	copy: "M6 6h7v7H6zM3 10V3h7",
	fit: "M2.5 6V2.5H6M10 2.5h3.5V6M13.5 10v3.5H10M6 13.5H2.5V10",
	phone: "M5 1.75h6v12.5H5zM7.25 12h1.5",
	tablet: "M3.25 1.75h9.5v12.5h-9.5zM7.25 12h1.5",
	desktop: "M1.75 3h12.5v8H1.75zM5.5 13.5h5",
	rotate: "M2.5 5.5h5v8h-5zM9.5 8.5h4v5h-6M8 2.5h2.5a2 2 0 0 1 2 2V6M10.9 4.6 12.5 6.2l1.6-1.6",
	more: "M3.5 8h.01M8 8h.01M12.5 8h.01",
	stop: "M4 4h8v8H4z",
	why: "M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12M8 7.5V11M8 5.2v.01",
	releases: "M2.5 8A5.5 5.5 0 1 0 4.2 4M2.5 2.5v3h3M8 5v3l2 1.5",
	publish: "M8 10.5V2.5M5 5.5l3-3 3 3M3 10v3h10v-3",
	close: "m4 4 8 8M12 4l-8 8",
	check: "m3.5 8.5 3 3 6-7",
	pin: "M6 2.5h4l-.5 4 2 2.5h-7l2-2.5zM8 9v4.5",
	warn: "M8 2.5 14 13H2zM8 6.5v3M8 11.2v.01",
	clock: "M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12M8 5v3l2 1.5",
	plug: "M6 2v3.5M10 2v3.5M4.5 5.5h7V8a3.5 3.5 0 0 1-7 0zM8 11.5V14",
	down: "M3 3l10 10M5.5 5.5H4.5V8A3.5 3.5 0 0 0 8 11.5V14M10 2v3.5h1.5V8",
	key: "M10.5 8a2.75 2.75 0 1 0-2.7-2.2L3 10.6V13h2.4l.6-1.5 1.5-.6 1.7-3.2A2.7 2.7 0 0 0 10.5 8",
	trash: "M3 4.5h10M6.5 4.5v-2h3v2M4.5 4.5 5 13.5h6l.5-9",
	bypass: "M13 8a5 5 0 1 1-1.5-3.6M13 2.5v3h-3M8 5.8v2.7l1.8 1",
};

export function icon(name) {
	const svg = document.createElementNS(SVG, "svg");
	for (const [key, value] of Object.entries({ viewBox: "0 0 16 16", class: "icon", "data-icon": name, "aria-hidden": "true", focusable: "false" }))
		svg.setAttribute(key, value);
	const path = document.createElementNS(SVG, "path");
	path.setAttribute("d", ICONS[name]);
	svg.append(path);
	return svg;
}

// A text, or the promise of one: some browsers let only that be copied which a click itself brought.
export async function copy(value) {
	const type = "text/plain";
	try {
		if (typeof value === "string") await navigator.clipboard.writeText(value);
		else await navigator.clipboard.write([new ClipboardItem({ [type]: value.then((text) => new Blob([text], { type })) })]);
		return true;
	} catch {
		return false; // no permission, or no secure context
	}
}

// A line to be copied, with its button: "Copy", and to those who hear it also what.
export function command(value, what = "this line") {
	const said = h("span", {}, "Copy");
	const code = h("code", { tabindex: "0" }, value); // to be scrolled by keyboard
	const button = h(
		"button",
		{
			type: "button",
			class: "quiet small",
			onclick: async () => {
				if (await copy(value)) {
					said.textContent = "Copied";
					setTimeout(() => (said.textContent = "Copy"), 1600);
				} else getSelection()?.selectAllChildren(code);
			},
		},
		said,
		h("span", { class: "visually-hidden" }, ` ${what}`),
	);
	return h("div", { class: "command" }, code, button);
}
