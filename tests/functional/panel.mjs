// SPDX-License-Identifier: MIT
//
// The Preview panel in a real browser: Debian's Chromium, driven by playwright-core.
import assert from "node:assert/strict";
import fs from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { chromium } from "playwright-core";

import { defer, have, previewctl, previewd, run } from "./harness.mjs";

export const skip = have("chromium") ? false : "chromium is not installed";

const axe = fs.readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

// Beside the program that was tested: pictures to be looked at.
const pictures = path.join(path.dirname(previewd()), "tests", "panel");

export const WIDTHS = [360, 768, 1280, 1600];
const PATIENCE = 20_000;

export class Panel {
	static async open(t, daemon, options = {}) {
		const browser = await chromium.launch({
			executablePath: "/usr/bin/chromium",
			args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
				"--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"],
		});
		defer(t, () => browser.close());
		const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, reducedMotion: "reduce", ...options });
		context.setDefaultTimeout(PATIENCE);
		return Object.assign(new Panel(), { t, daemon, context }).#page();
	}

	async #page() {
		this.page = await this.context.newPage();
		this.errors = [];
		this.quiet = false; // while something is down that a browser complains of by itself
		this.said = [];
		this.page.on("console", (m) => {
			this.said.push(m.text());
			if (m.type() === "error" && !this.quiet) this.errors.push(`${m.text()} (${m.location().url})`);
		});
		this.page.on("pageerror", (e) => this.errors.push(e.stack));
		return this;
	}

	// As a person does: previewctl prints the address, where there is no screen to open it on.
	async go(session, ...args) {
		const ctl = [previewctl(), "--socket", this.daemon.socket, "open", "--session", session, ...args];
		const { code, stdout, stderr } = await run(this.t, ctl, { env: { PATH: process.env.PATH } });
		assert.equal(code, 0, stderr);
		this.address = stdout.trim();
		await this.page.goto("about:blank");
		await this.page.goto(this.address);
		await this.page.locator("web-preview").waitFor();
	}

	locator(selector, options) {
		return this.page.locator(`web-preview ${selector}`, options);
	}

	says(text) {
		return this.locator(".panel").getByText(text).first().waitFor();
	}

	tab(name) {
		return this.locator(`[role=tab][data-name="${name}"]`);
	}

	// Until that tab is the one that is shown.
	shows(name) {
		return this.locator(`[role=tab][data-name="${name}"][aria-selected=true]`).waitFor();
	}

	// The page inside.
	inside(name) {
		return this.page.frameLocator(`web-preview iframe[title="Preview ${name}"]`);
	}

	button(name) {
		return this.locator(".panel").getByRole("button", { name, exact: true });
	}

	async menu(item) {
		await this.button("More").click();
		await this.locator("[role=menuitem]", { hasText: item }).click();
	}

	// Nothing that axe calls serious.
	async accessible(what) {
		await this.page.evaluate(axe);
		const { violations } = await this.page.evaluate(() =>
			globalThis.axe.run(document, { iframes: false, resultTypes: ["violations"], rules: { "color-contrast": { enabled: true } } }),
		);
		const bad = violations.filter((v) => ["serious", "critical"].includes(v.impact));
		assert.deepEqual(bad.map((v) => `${what}: ${v.id}: ${v.nodes.map((n) => `${n.html} ${n.failureSummary}`).join("; ")}`), []);
	}

	// Pictures of what there is, light at each width, dark at a narrow and a wide one; and nothing is cut
	// off at the side.
	async picture(what, { widths = WIDTHS } = {}) {
		fs.mkdirSync(pictures, { recursive: true });
		for (const colorScheme of ["light", "dark"]) {
			await this.page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
			for (const width of colorScheme === "light" ? widths : widths.filter((w) => w === 360 || w === 1280)) {
				await this.page.setViewportSize({ width, height: width < 500 ? 720 : 800 });
				await this.page.screenshot({ path: path.join(pictures, `${what}-${width}-${colorScheme}.png`) });
				const wide = await this.page.evaluate(() => {
					const root = document.querySelector("web-preview")?.shadowRoot;
					const all = [document.documentElement, ...(root?.querySelectorAll(".head, .toolbar, .banners, .overlay, .drawer-body") ?? [])];
					return all.filter((e) => e.scrollWidth > e.clientWidth + 1).map((e) => e.className || e.tagName);
				});
				assert.deepEqual(wide, [], `${what} at ${width} is cut off`);
			}
		}
		await this.page.setViewportSize({ width: 1280, height: 800 });
		await this.page.emulateMedia({ colorScheme: "light", reducedMotion: "reduce" });
	}

	no_errors() {
		assert.deepEqual(this.errors, []);
	}
}
