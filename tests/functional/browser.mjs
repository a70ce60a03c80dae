// SPDX-License-Identifier: MIT
import fs from "node:fs";
import path from "node:path";
import WebSocket from "ws";

import { Child, defer, have, temp_dir, until } from "./harness.mjs";

export const skip = have("chromium") ? false : "chromium is not installed";

// Chromium without a window, driven over its own protocol.
export class Browser {
	static async open(t) {
		const profile = temp_dir(t);
		const argv = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
			"--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
			"--remote-debugging-port=0", `--user-data-dir=${profile}`, "about:blank"];
		const child = new Child(t, argv, {});
		const file = path.join(profile, "DevToolsActivePort");
		await until(() => fs.existsSync(file) && fs.readFileSync(file, "utf8").includes("\n"), "chromium listens", 60_000);
		const [port] = fs.readFileSync(file, "utf8").split("\n");
		return Object.assign(new Browser(), { t, child, port });
	}

	// A tab, when its page and the page's own sockets are there.
	async tab(url) {
		const made = await fetch(`http://127.0.0.1:${this.port}/json/new?${url}`, { method: "PUT" });
		const socket = new WebSocket((await made.json()).webSocketDebuggerUrl);
		defer(this.t, () => socket.terminate());
		await new Promise((resolve, reject) => socket.once("open", resolve).once("error", reject));
		let n = 0;
		const waiting = new Map();
		const events = [];
		socket.on("message", (text) => {
			const { id, result, error, method, params } = JSON.parse(text);
			if (id) waiting.get(id)?.(result ?? error);
			else events.push({ method, params });
		});
		const call = (method, params = {}) =>
			new Promise((resolve) => {
				waiting.set(++n, resolve);
				socket.send(JSON.stringify({ id: n, method, params }));
			});
		const value = async (expression) => (await call("Runtime.evaluate", { expression })).result?.value;
		await until(() => value(`document.readyState === "complete" && location.href !== "${url === "about:blank" ? "" : "about:blank"}"`), "the page is loaded", 60_000);
		return { call, value, events };
	}
}
