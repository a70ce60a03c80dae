// SPDX-License-Identifier: MIT
import { makeTree } from "../interop/tree.mjs";
import { start, temp_dir, base } from "./harness.mjs";
export async function published(t, files, { settings = {}, session = "s" } = {}) {
	const dir = temp_dir(t);
	makeTree(dir + "/tree", files);
	const d = await start(t, { settings, env: { STUB_TREE: dir + "/tree", ...(settings["publish.visibility"] === "unlisted" || settings["server.public_base_url"] ? { STUB_UNLISTED: "1" } : {}) } });
	const unlisted = settings["publish.visibility"] === "unlisted" || settings["server.public_base_url"];
	return { d, url: settings["publish.host_template"] ? `http://lab1.localhost:${d.port}/` : `${base(session)}/published/${unlisted ? "~tok/" : ""}` };
}
