// SPDX-License-Identifier: MIT
// What is known of a session, from its events: pure, so that a test can play any journal to it.

const LINES_MAX = 2000; // of a build's log

export class Model {
	constructor() {
		this.previews = new Map(); // by name
		this.gone = new Map(); // name → { reason, ts }: detached, until somebody has seen it
		this.builds = new Map(); // name → the latest build
		this.known = false; // whether a snapshot or a replay told what is attached
		this.revision = 0;
	}

	/*
	 * One frame of /ws/events.  Answers what it meant for the preview it names:
	 * { what, name, focus? } or null.
	 */
	apply(frame) {
		const p = frame.payload ?? {};
		switch (frame.event_type) {
			case "preview:snapshot":
				return this.#snapshot(p.attachments ?? []);
			case "web_preview:attached":
				return this.#attached(p);
			case "web_preview:detached":
				return this.#detached(p);
			case "web_preview:down":
				return this.#change(p.name, { status: "down", down_reason: p.reason, down_at: p.ts }, "down");
			case "web_preview:up":
				return this.#change(p.name, { status: "up", revision: ++this.revision }, "up");
			case "web_preview:idle_warning":
				return this.#change(p.name, { warned: true, idle_seconds: p.idle_seconds, reaps_at: p.reaps_at }, "idle");
			case "web_preview:publish_started":
			case "web_preview:publish_log":
			case "web_preview:publish_finished":
			case "web_preview:publish_failed":
				return this.#build(frame.event_type.slice("web_preview:publish_".length), p);
			default:
				return null;
		}
	}

	#snapshot(attachments) {
		const before = this.previews;
		this.previews = new Map();
		for (const a of attachments) {
			const old = before.get(a.name);
			const same = old && old.url === a.url && (!old.attached_at || old.attached_at === a.attached_at);
			const came_back = same && old.status === "down" && a.status !== "down";
			// A server there is, but not the one that was attached.
			const down_reason = a.status === "down" && a.owner ? "owner_changed" : "closed";
			this.previews.set(a.name, { ...a, down_reason, revision: same && !came_back ? old.revision : ++this.revision });
			this.gone.delete(a.name);
		}
		for (const { name, port } of before.values()) if (!this.previews.has(name)) this.gone.set(name, { reason: "unknown", port });
		this.known = true;
		return { what: "snapshot" };
	}

	#attached(p) {
		const { preview_seq, ts, ...attachment } = p;
		this.previews.set(p.name, { status: "up", warnings: [], attached_at: null, ...attachment, revision: ++this.revision });
		this.gone.delete(p.name);
		return { what: "attached", name: p.name, focus: p.focus === true };
	}

	#detached(p) {
		const preview = this.previews.get(p.name);
		if (p.reason === "replaced" || !preview) return null;
		this.previews.delete(p.name);
		this.gone.set(p.name, { reason: p.reason, port: preview.port, left: p.left });
		return { what: "detached", name: p.name, reason: p.reason };
	}

	#change(name, values, what) {
		const preview = this.previews.get(name);
		if (!preview) return null;
		this.previews.set(name, { ...preview, ...values });
		return { what, name };
	}

	#build(what, p) {
		const name = p.name ?? "published";
		let build = this.builds.get(name);
		if (what === "started" || !build || build.id !== p.build_id) {
			build = { id: p.build_id, name, state: "running", lines: [] };
			this.builds.set(name, build);
		}
		if (p.phase) build.phase = p.phase;
		if ("position" in p) build.position = p.position;
		if (p.dropped) build.lines.push(`… ${p.dropped} lines left out …`);
		build.lines.push(...(p.lines ?? []));
		if (what === "finished") Object.assign(build, { state: "finished", release: p.release_id, url: p.url, files: p.files, bytes: p.bytes, warnings: p.warnings });
		if (what === "failed") {
			Object.assign(build, { state: p.state === "canceled" ? "canceled" : "failed", code: p.code, detail: p.detail });
			if (!build.lines.length) build.lines.push(...(p.log_tail ?? []));
		}
		build.lines.splice(0, build.lines.length - LINES_MAX);
		return { what: `publish_${what}`, name };
	}

	// What GET of a preview answered.  It may be older than an event that came meanwhile.
	details(a, revision) {
		const preview = this.previews.get(a.name);
		if (!preview || preview.revision !== revision) return false;
		this.previews.set(a.name, { ...preview, ...a, revision });
		return true;
	}

	// What GET of the builds answered, for those whose beginning, or end, nobody here has seen.
	build_found(b) {
		const build = this.builds.get(b.name);
		const runs = ["queued", "running"].includes(b.state);
		if (build?.id === b.build_id && build.state === "running" && !runs) this.#build(b.state === "succeeded" ? "finished" : "failed", { ...b.error, ...b });
		if (!runs || build?.id === b.build_id) return false;
		this.builds.set(b.name, { id: b.build_id, name: b.name, state: "running", phase: b.phase, position: b.position, lines: [] });
		return true;
	}

	remove(name) {
		this.previews.delete(name);
		this.gone.delete(name);
	}

	// The names of the tabs, in the order they came.
	names(selected) {
		const names = [...this.previews.keys()];
		for (const build of this.builds.values())
			if (["running", "failed"].includes(build.state) && !names.includes(build.name)) names.push(build.name);
		if (selected && this.gone.has(selected) && !names.includes(selected)) names.push(selected);
		return names;
	}

	// Which to show first, where nobody has chosen.
	first() {
		const all = [...this.previews.values()];
		const latest = all.filter((p) => p.focus).sort((a, b) => ((a.attached_at ?? "") < (b.attached_at ?? "") ? 1 : -1))[0];
		return (latest ?? this.previews.get("default") ?? all[0])?.name ?? this.names()[0] ?? null;
	}
}
