// SPDX-License-Identifier: MIT
/*
 * How the panel looks.  A page that has the element may set these custom properties on it:
 *
 *	--wp-background, --wp-surface, --wp-text, --wp-muted, --wp-line, --wp-accent, --wp-accent-text,
 *	--wp-good, --wp-warn, --wp-bad, --wp-radius, --wp-font, --wp-mono
 *
 * and style these parts: panel, head, tabs, tab, toolbar, button, address, stage, frame, screen, log,
 * banner, drawer, toast.
 */
const dark = `
	--background: var(--wp-background, #131519);
	--surface: var(--wp-surface, #1a1d23);
	--raised: #22262d;
	--text: var(--wp-text, #e7e9ee);
	--muted: var(--wp-muted, #9ba3b2);
	--line: var(--wp-line, #2c313a);
	--hover: #272c35;
	--accent: var(--wp-accent, #8ea8ff);
	--accent-text: var(--wp-accent-text, #10131c);
	--good: var(--wp-good, #5fce92);
	--warn: var(--wp-warn, #e6b450);
	--bad: var(--wp-bad, #ff8b82);
	--tint-good: #16281f;
	--tint-warn: #2b2415;
	--tint-bad: #301b1b;
	--shadow: 0 8px 28px rgb(0 0 0 / 0.5), 0 1px 3px rgb(0 0 0 / 0.4);
	color-scheme: dark;`;

const light = `
	--background: var(--wp-background, #f4f5f7);
	--surface: var(--wp-surface, #ffffff);
	--raised: #ffffff;
	--text: var(--wp-text, #1b1e25);
	--muted: var(--wp-muted, #596170);
	--line: var(--wp-line, #e1e4e9);
	--hover: #eef0f3;
	--accent: var(--wp-accent, #3b55d9);
	--accent-text: var(--wp-accent-text, #ffffff);
	--good: var(--wp-good, #197a48);
	--warn: var(--wp-warn, #8a5a00);
	--bad: var(--wp-bad, #bb2d24);
	--tint-good: #e9f6ef;
	--tint-warn: #fdf4e0;
	--tint-bad: #fdedeb;
	--shadow: 0 8px 28px rgb(20 25 40 / 0.14), 0 1px 3px rgb(20 25 40 / 0.1);
	color-scheme: light;`;

export const css = `
:host {
	display: block;
	position: relative;
	min-height: 240px;
	container: panel / inline-size;
	font: 400 13px/1.5 var(--wp-font, system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif);
	-webkit-text-size-adjust: 100%;
	--radius: var(--wp-radius, 8px);
	--mono: var(--wp-mono, ui-monospace, "SF Mono", "Cascadia Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace);
	${light}
	color: var(--text);
}
:host([hidden]) { display: none; }
@media (prefers-color-scheme: dark) { :host(:not([theme="light"])) { ${dark} } }
:host([theme="dark"]) { ${dark} }

*, *::before, *::after { box-sizing: border-box; }
[hidden] { display: none !important; }
h2, h3, p, ol, dl, dd, pre { margin: 0; padding: 0; }
button, input { font: inherit; color: inherit; }
button { cursor: pointer; border: 0; background: none; padding: 0; }
button:disabled { cursor: default; }
:focus { outline: none; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 1px; }
.visually-hidden { position: absolute; width: 1px; height: 1px; margin: -1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
.icon { width: 16px; height: 16px; flex: none; fill: none; stroke: currentColor; stroke-width: 1.4; stroke-linecap: round; stroke-linejoin: round; }
.icon[data-icon="more"] { stroke-width: 2.4; }
.mono, code { font-family: var(--mono); font-size: 12px; }
.muted { color: var(--muted); }

.panel { position: absolute; inset: 0; display: flex; flex-direction: column; background: var(--background); overflow: hidden; }

/* The row of tabs. */
.head { display: flex; align-items: stretch; min-height: 40px; padding: 0 8px; gap: 8px; flex: none; }
.head ::slotted(*) { align-self: center; flex: none; }
[data-empty] .tabs, [data-empty] .toolbar { display: none; }
.tabs { display: flex; flex: 1; min-width: 0; gap: 2px; padding-top: 6px; overflow-x: auto; scrollbar-width: none; }
.tabs::-webkit-scrollbar { display: none; }
.tab {
	display: flex; align-items: center; gap: 8px; min-width: 0; max-width: 200px; height: 34px; padding: 0 14px 0 12px; flex: none;
	border-radius: var(--radius) var(--radius) 0 0; color: var(--muted); font-weight: 500;
}
.tab:hover { color: var(--text); background: var(--hover); }
.tab[aria-selected="true"] { color: var(--text); background: var(--surface); box-shadow: 0 -1px 0 0 var(--line), -1px 0 0 0 var(--line), 1px 0 0 0 var(--line); }
.tab:focus-visible { outline-offset: -2px; }
.tab .label { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.tab[data-state="detached"] .label { text-decoration: line-through; text-decoration-color: var(--muted); }
.dot { width: 7px; height: 7px; border-radius: 50%; flex: none; background: var(--good); }
[data-state="down"] > .dot, .dot[data-state="down"], [data-state="failed"] > .dot { background: var(--bad); }
[data-state="idle"] > .dot { background: var(--warn); }
[data-state="detached"] > .dot, .dot[data-state="unknown"] { background: none; box-shadow: inset 0 0 0 1.5px var(--muted); }
[data-state="publishing"] > .dot { background: var(--accent); animation: breathe 1.4s ease-in-out infinite; }
.link { align-self: center; color: var(--muted); font-size: 12px; white-space: nowrap; opacity: 0; transition: opacity 0.3s 0.6s; }
.link[data-on] { opacity: 1; }

/* The tools. */
.toolbar { position: relative; z-index: 3; display: flex; align-items: center; gap: 8px; flex: none; height: 44px; padding: 0 8px; background: var(--surface); border-bottom: 1px solid var(--line); }
.head + .toolbar { box-shadow: 0 -1px 0 0 var(--line); }
.group, .wide, .devices { display: flex; align-items: center; gap: 2px; }
.tool { display: grid; place-items: center; width: 30px; height: 30px; border-radius: 6px; color: var(--muted); }
.tool:hover:not(:disabled) { background: var(--hover); color: var(--text); }
.tool:active:not(:disabled) { background: var(--line); }
.tool:disabled, .tool[aria-disabled] { color: color-mix(in srgb, var(--muted) 40%, transparent); }
a.tool[aria-disabled] { pointer-events: none; }
.tool[aria-expanded="true"], .tool[aria-pressed="true"]:not(:disabled) { color: var(--accent); }
.devices { padding: 2px; gap: 0; border-radius: 8px; background: var(--background); }
.devices .tool { width: 28px; height: 26px; }
.devices .tool[aria-checked="true"] { background: var(--surface); color: var(--accent); box-shadow: 0 1px 2px rgb(0 0 0 / 0.12); }
.address {
	display: flex; align-items: center; flex: 1; min-width: 0; height: 30px; padding: 0 10px; border-radius: 8px;
	background: var(--background); border: 1px solid transparent;
}
.address:hover { border-color: var(--line); }
.address:focus-within { border-color: var(--accent); background: var(--surface); }
.host { color: var(--muted); white-space: nowrap; overflow: hidden; text-overflow: ellipsis; flex: 0 1 auto; min-width: 24px; }
.path { flex: 1 1 40px; min-width: 40px; height: 100%; border: 0; padding: 0; background: none; text-overflow: ellipsis; }
.path:focus-visible { outline: none; }
.menu {
	position: absolute; top: 40px; right: 8px; z-index: 5; min-width: 220px; padding: 6px; border: 1px solid var(--line); border-radius: 10px;
	background: var(--raised); box-shadow: var(--shadow);
}
.menu > button { display: flex; align-items: center; gap: 10px; width: 100%; height: 34px; padding: 0 10px; border-radius: 6px; text-align: left; }
.menu button:hover, .menu button:focus-visible { background: var(--hover); }
.menu button .icon { color: var(--muted); }
.menu .danger, .menu .danger .icon { color: var(--bad); }
.menu hr { height: 1px; margin: 6px 4px; border: 0; background: var(--line); }
.menu hr:not(:has(~ button:not([hidden]))), .menu hr + hr { display: none; }
.menu-sizes { display: flex; gap: 4px; padding: 2px; margin-bottom: 6px; }
.menu-sizes button { display: grid; place-items: center; flex: 1; height: 34px; border-radius: 6px; }
.menu-sizes [aria-checked="true"] { background: var(--hover); }
.menu-sizes [aria-checked="true"] .icon { color: var(--accent); }
.menu .narrow { display: none; }

/* Words above the page. */
.banners { flex: none; background: var(--surface); }
.banner { display: flex; align-items: center; gap: 10px; min-height: 40px; padding: 5px 8px 5px 14px; border-bottom: 1px solid var(--line); }
.banner > span { flex: 1; min-width: 0; font-variant-numeric: tabular-nums; }
.banner > .icon { color: var(--accent); }
.banner.warn { background: var(--tint-warn); }
.banner.warn > .icon { color: var(--warn); }
.banner.bad { background: var(--tint-bad); }
.banner.bad > .icon { color: var(--bad); }
.banner.good { background: var(--tint-good); }
.banner.good > .icon { color: var(--good); }

/* The page. */
.middle { position: relative; display: flex; flex: 1; min-height: 0; }
.stage { position: relative; flex: 1; min-width: 0; overflow: hidden; }
.frames { position: absolute; inset: 0; overflow: hidden; }
.viewport { position: absolute; inset: 0; transform-origin: 0 0; }
.viewport.device { inset: auto; background: #fff; border-radius: 10px; overflow: hidden; box-shadow: 0 0 0 1px var(--line), var(--shadow); }
.shell { position: absolute; inset: 0; }
iframe { position: absolute; inset: 0; width: 100%; height: 100%; border: 0; background: #fff; color-scheme: light; }
.size { position: absolute; bottom: 6px; left: 0; right: 0; text-align: center; color: var(--muted); font-size: 12px; font-variant-numeric: tabular-nums; }
.stage:not([data-framed]) .frames { visibility: hidden; }
.loading { position: absolute; z-index: 2; top: 0; left: 0; right: 0; height: 2px; overflow: hidden; opacity: 0; transition: opacity 0.2s; }
.loading[data-on] { opacity: 1; transition-delay: 0.25s; }
.loading::after { content: ""; position: absolute; inset: 0; width: 40%; background: var(--accent); animation: pass 1.1s ease-in-out infinite; }

/* Where there is none. */
.overlay:empty { display: none; }
.overlay { position: absolute; inset: 0; overflow: auto; background: var(--background); }
.screen { display: grid; grid-template-columns: minmax(0, 1fr); min-height: 100%; padding: 32px 20px 40px; justify-items: center; align-content: center; }
.inner { display: grid; grid-template-columns: minmax(0, 1fr); gap: 12px; width: 100%; max-width: 460px; justify-items: start; animation: appear 0.25s ease-out; }
.screen h2 { font-size: 18px; line-height: 1.3; font-weight: 600; letter-spacing: -0.01em; text-wrap: balance; }
.screen p { font-size: 14px; line-height: 1.55; color: var(--muted); text-wrap: pretty; }
.picture { display: grid; place-items: center; width: 40px; height: 40px; margin-bottom: 4px; border-radius: 12px; color: var(--accent); background: color-mix(in srgb, var(--accent) 12%, transparent); }
.picture .icon { width: 20px; height: 20px; stroke-width: 1.2; }
[data-state="down"] .picture, [data-state="failed"] .picture { color: var(--bad); background: var(--tint-bad); }
[data-state="blocked"] .picture { color: var(--warn); background: var(--tint-warn); }
[data-state="detached"] .picture { color: var(--muted); background: var(--hover); }
.wait { display: flex; gap: 6px; padding: 6px 0; }
.wait i { width: 7px; height: 7px; border-radius: 50%; background: var(--accent); animation: breathe 1.4s ease-in-out infinite; }
.wait i:nth-child(2) { animation-delay: 0.18s; }
.wait i:nth-child(3) { animation-delay: 0.36s; }
[data-state="down"] .wait i { background: var(--muted); }
.actions { display: flex; flex-wrap: wrap; gap: 8px; padding-top: 6px; }
.actions:empty { display: none; }
.button {
	display: inline-flex; align-items: center; justify-content: center; gap: 6px; height: 34px; padding: 0 14px; border-radius: 8px; flex: none;
	border: 1px solid var(--line); background: var(--surface); color: var(--text); font-weight: 500; text-decoration: none; white-space: nowrap;
}
.button:hover { background: var(--hover); }
.button.plain { border-color: transparent; background: none; color: var(--muted); }
.button.plain:hover { color: var(--text); background: var(--hover); }
.button.small, .quiet.small { height: 28px; padding: 0 10px; border-radius: 6px; font-size: 12px; }
.quiet { color: var(--muted); font-weight: 500; }
.quiet:hover { color: var(--text); background: var(--hover); }
.command { min-width: 0; display: flex; align-items: center; gap: 8px; width: 100%; min-height: 38px; padding: 4px 5px 4px 12px; border: 1px solid var(--line); border-radius: var(--radius); background: var(--surface); }
.command code { flex: 1; min-width: 0; overflow-x: auto; white-space: nowrap; color: var(--text); scrollbar-width: none; }
.command button { flex: none; min-width: 62px; }

/* A build. */
.build { align-content: stretch; grid-template-rows: minmax(0, 1fr); height: 100%; }
.build .inner { max-width: 720px; grid-template-rows: auto auto auto auto minmax(0, 1fr) auto; align-content: center; min-height: 0; }
.phases { display: flex; flex-wrap: wrap; gap: 4px 18px; list-style: none; padding-top: 4px; }
.phases li { display: flex; align-items: center; gap: 7px; color: var(--muted); }
.phases li::before { content: ""; width: 7px; height: 7px; border-radius: 50%; box-shadow: inset 0 0 0 1.5px var(--muted); }
.phases [data-state="done"]::before { background: var(--good); box-shadow: none; }
.phases [data-state="doing"] { color: var(--text); font-weight: 500; }
.phases [data-state="doing"]::before { background: var(--accent); box-shadow: none; animation: breathe 1.4s ease-in-out infinite; }
.phases [data-state="failed"] { color: var(--bad); font-weight: 500; }
.phases [data-state="failed"]::before { background: var(--bad); box-shadow: none; }
progress { appearance: none; width: 100%; height: 4px; border: 0; border-radius: 2px; overflow: hidden; background: var(--line); }
progress::-webkit-progress-bar { background: var(--line); }
progress::-webkit-progress-value { background: var(--accent); border-radius: 2px; transition: inline-size 0.4s ease; }
progress::-moz-progress-bar { background: var(--accent); }
.drawer-body .build { height: auto; padding: 0; }
.drawer-body .build h2 { font-size: 14px; }
.drawer-body .log { max-height: 50vh; }
.log {
	width: 100%; max-height: 100%; min-height: 64px; overflow: auto; padding: 12px 14px; border: 1px solid var(--line); border-radius: var(--radius);
	background: var(--surface); color: var(--text); font: 400 12px/1.6 var(--mono); white-space: pre-wrap; overflow-wrap: anywhere;
}

/* What slides in. */
.drawer { display: flex; flex-direction: column; width: min(340px, 100%); flex: none; border-left: 1px solid var(--line); background: var(--surface); animation: slide 0.18s ease-out; }
.drawer header { display: flex; align-items: center; justify-content: space-between; padding: 8px 8px 4px 16px; }
.drawer h2 { font-size: 14px; font-weight: 600; }
.drawer h3 { padding-bottom: 6px; font-size: 12px; font-weight: 600; color: var(--muted); }
.drawer-body { display: grid; gap: 14px; padding: 6px 16px 24px; overflow: auto; align-content: start; min-width: 0; }
.drawer-body > * { min-width: 0; }
.said { line-height: 1.55; }
.said + .said { margin-top: -8px; }
dl { display: grid; gap: 0; }
.row { display: grid; grid-template-columns: 92px minmax(0, 1fr); gap: 12px; padding: 6px 0; border-top: 1px solid var(--line); }
.row:last-child { border-bottom: 1px solid var(--line); }
.row dt { color: var(--muted); }
.row dd { overflow-wrap: anywhere; }
.row .dot { display: inline-block; margin-right: 7px; vertical-align: 1px; }
.note { display: flex; gap: 8px; padding: 10px 12px; border-radius: var(--radius); background: var(--tint-warn); overflow-wrap: anywhere; }
.note .icon { margin-top: 2px; color: var(--warn); }
.scroll { overflow-x: auto; }
table { width: 100%; border-collapse: collapse; font-size: 12px; font-variant-numeric: tabular-nums; }
th, td { padding: 4px 10px 4px 0; text-align: left; white-space: nowrap; border-bottom: 1px solid var(--line); }
th { font-weight: 500; color: var(--muted); }
.releases { display: grid; list-style: none; }
.releases li { display: flex; align-items: center; justify-content: space-between; gap: 12px; padding: 10px 0; border-top: 1px solid var(--line); }
.badge { display: inline-flex; align-items: center; gap: 4px; color: var(--good); font-size: 12px; font-weight: 500; }
.error:empty { display: none; }
.error { color: var(--bad); }

.toast {
	position: absolute; z-index: 6; left: 50%; bottom: 20px; display: flex; align-items: center; gap: 10px; max-width: calc(100% - 32px); padding: 8px 10px 8px 16px; min-height: 40px;
	border-radius: 10px; color: var(--background); background: var(--text); box-shadow: var(--shadow); transform: translate(-50%, 12px); opacity: 0; visibility: hidden;
	transition: opacity 0.16s, transform 0.16s, visibility 0s 0.16s; overflow-wrap: anywhere;
}
.toast > span { padding-right: 6px; }
.toast[data-on] { opacity: 1; visibility: visible; transform: translate(-50%, 0); transition-delay: 0s; }
.toast .button { border-color: transparent; background: color-mix(in srgb, var(--background) 18%, transparent); color: inherit; }

@keyframes breathe { 0%, 100% { opacity: 0.35; } 50% { opacity: 1; } }
@keyframes pass { from { transform: translateX(-100%); } to { transform: translateX(250%); } }
@keyframes appear { from { opacity: 0; transform: translateY(4px); } }
@keyframes slide { from { opacity: 0; transform: translateX(12px); } }

@container panel (max-width: 720px) {
	.sizes, .wide { display: none; }
	.menu .narrow { display: flex; }
	.menu > .narrow[hidden] { display: none; }
	.drawer { position: absolute; z-index: 2; inset: 0; width: auto; border-left: 0; }
}
@container panel (max-width: 440px) {
	.toolbar { gap: 4px; padding: 0 4px; }
	.group:first-child .tool:nth-child(2) { display: none; }
	.banner { flex-wrap: wrap; }
	.screen { padding: 24px 16px 32px; }
}
@media (pointer: coarse) {
	.tool { width: 38px; height: 38px; }
	.tab { height: 34px; }
	.menu > button { height: 42px; }
}
@media (forced-colors: active) {
	.tab[aria-selected="true"] { border-bottom: 2px solid Highlight; }
	.devices .tool[aria-checked="true"] { outline: 2px solid Highlight; }
	.dot, .wait i, .loading::after { forced-color-adjust: none; }
	.button, .command, .address, .menu { border: 1px solid ButtonBorder; }
}
@media (prefers-reduced-motion: reduce) {
	*, *::before, *::after { animation-duration: 0.001s !important; animation-iteration-count: 1 !important; transition-duration: 0.001s !important; }
	.wait i { opacity: 0.7; }
}
`;
