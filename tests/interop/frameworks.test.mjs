// SPDX-License-Identifier: MIT
// What previewd makes of a project beside what two hosting platforms' own detection makes of it:
// @netlify/build-info and @vercel/frameworks.  Where they differ, the difference is in the list below
// with its reason; one that isn't, and one that is gone, fails the test.
//
//	make tests/interop/detect-tool
//	DETECT_TOOL=tests/interop/detect-tool node --test $(srcdir)/tests/interop/frameworks.test.mjs
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, test } from "node:test";
import { getBuildInfo } from "@netlify/build-info/node";
import { frameworkList } from "@vercel/frameworks";

const program = process.env.DETECT_TOOL ?? "tests/interop/detect-tool";
const root = mkdtempSync(join(tmpdir(), "frameworks-"));
after(() => rmSync(root, { recursive: true }));

const npm = (build, ...packages) => ({
	"package.json": JSON.stringify({
		name: "app", scripts: { build },
		dependencies: Object.fromEntries(packages.map((text) => {
			const at = text.lastIndexOf("@");
			return [text.slice(0, at), text.slice(at + 1)];
		})),
	}),
});

// name: its files.  The names of the other two, where they know it by another, stand in `called`.
const projects = {
	next: npm("next build", "next@16.4.6", "react@19.3.1", "react-dom@19.3.1"),
	nuxt: npm("nuxt generate", "nuxt@4.5.2", "vue@3.5.45"),
	astro: npm("astro build", "astro@7.3.5"),
	sveltekit: npm("vite build", "@sveltejs/kit@2.70.0", "@sveltejs/adapter-static@3.0.0", "svelte@5.57.3", "vite@8.3.8"),
	"react-router": npm("react-router build", "@react-router/dev@8.5.1", "react-router@8.5.1", "react@19.3.1", "vite@8.3.8"),
	remix: npm("remix vite:build", "@remix-run/dev@2.17.0", "@remix-run/react@2.17.0", "vite@5.0.0"),
	"solid-start": npm("vinxi build", "@solidjs/start@1.3.0", "solid-js@1.9.0", "vinxi@0.5.0"),
	qwik: npm("qwik build", "@builder.io/qwik@1.20.0", "@builder.io/qwik-city@1.20.0", "vite@7.0.0"),
	angular: { ...npm("ng build", "@angular/cli@22.2.0", "@angular/core@22.2.0"), "angular.json": '{"version":1,"projects":{}}' },
	gatsby: npm("gatsby build", "gatsby@5.16.0", "react@18.0.0"),
	docusaurus: npm("docusaurus build", "@docusaurus/core@3.10.2", "react@19.3.1"),
	vitepress: npm("vitepress build", "vitepress@1.6.4"),
	eleventy: npm("eleventy", "@11ty/eleventy@3.1.5"),
	"create-react-app": npm("react-scripts build", "react-scripts@5.0.1", "react@19.3.1"),
	"vue-cli": npm("vue-cli-service build", "@vue/cli-service@5.0.9", "vue@3.5.45"),
	parcel: npm("parcel build index.html", "parcel@2.16.4"),
	vite: npm("vite build", "vite@8.3.8"),
	"vite-react": npm("vite build", "vite@8.3.8", "react@19.3.1", "@vitejs/plugin-react@6.3.0"),
	"vite-solid": npm("vite build", "vite@8.3.8", "solid-js@1.9.0", "vite-plugin-solid@2.11.0"),
	webpack: npm("webpack", "webpack@5.112.0", "webpack-cli@6.0.0"),
	static: { "index.html": "<p>" },
};

const called = {
	netlify: {
		"solid-start": "solid-start", sveltekit: "svelte-kit", remix: "remix", vite: "vite", "vite-react": "vite", "vite-solid": "solid-js",
		"create-react-app": "create-react-app", "vue-cli": "vue",
	},
	vercel: {
		next: "nextjs", nuxt: "nuxtjs", sveltekit: "sveltekit-1", "solid-start": "solidstart-1", docusaurus: "docusaurus-2", vue: "vue",
		"vue-cli": "vue", "vite-react": "vite", "vite-solid": "vite",
	},
};

const server = "they run the server's build; only static output is published here";
const differences = {
	netlify: {
		"next: output": { theirs: ".next", because: server },
		"nuxt: output": { theirs: "dist", because: "Nuxt's dist is a link to .output/public, which is looked for first" },
		"angular: output": { theirs: "dist/", because: "since Angular 17 the pages are in dist/NAME/browser" },
		"remix: output": { theirs: "public", because: "of Remix's compiler before Vite" },
		"solid-start: output": { theirs: "dist", because: "with SERVER_PRESET=static it is .output/public" },
		"vitepress: output": { theirs: "docs/.vitepress/dist", because: "the script has no directory, so it is its own" },
		"vite-solid: port": { theirs: 3000, because: "of Solid's plugin of long ago; Vite's is 5173" },
		"static: framework": { theirs: "none", because: "they have no row for it" },
		"webpack: framework": { theirs: "none", because: "they have no row for it" },
	},
	vercel: {
		"nuxt: output": { theirs: "dist", because: "Nuxt's dist is a link to .output/public, which is looked for first" },
		"angular: output": { theirs: "dist", because: "since Angular 17 the pages are in dist/NAME/browser" },
		"sveltekit: output": { theirs: "public", because: "adapter-static's own is build" },
		"react-router: framework": { theirs: "vite", because: "their rule asks for a configuration file beside the package" },
		"react-router: output": { theirs: "dist", because: "as of Vite; React Router's pages are in build/client" },
		"remix: output": { theirs: "public", because: "of Remix's compiler before Vite" },
		"solid-start: output": { theirs: ".output", because: server },
		"qwik: framework": { theirs: "vite", because: "they have no row for it" },
		"vitepress: output": { theirs: "docs/.vitepress/dist", because: "the script has no directory, so it is its own" },
		"static: framework": { theirs: "none", because: "they have no row for it" },
		"webpack: framework": { theirs: "none", because: "they have no row for it" },
	},
};

function directory(name, files) {
	const path = join(root, name);
	for (const [file, text] of Object.entries(files)) {
		mkdirSync(dirname(join(path, file)), { recursive: true });
		writeFileSync(join(path, file), text);
	}
	return path;
}

function ours(path) {
	const r = spawnSync(program, ["project", path], { encoding: "utf8" });
	assert.equal(r.status, 0, r.stdout || r.stderr || String(r.error));
	const { framework, outputs, dev_port } = JSON.parse(r.stdout);
	return { framework, output: outputs[0], port: dev_port };
}

async function netlify(path) {
	const { settings } = await getBuildInfo({ projectDir: path, rootDir: path });
	const [first] = settings;
	return first && { framework: first.framework.id, output: first.dist, port: first.frameworkPort };
}

// Their detectors are data: {every|some: [{path, matchContent} | {matchPackage}]}
function matches(path, detector) {
	const file = join(path, detector.path ?? "package.json");
	if (!existsSync(file)) return false;
	const text = readFileSync(file, "utf8");
	if (detector.matchPackage) {
		const { dependencies = {}, devDependencies = {} } = JSON.parse(text);
		return detector.matchPackage in { ...dependencies, ...devDependencies };
	}
	return detector.matchContent ? new RegExp(detector.matchContent, "m").test(text) : true;
}

function vercel(path) {
	const found = frameworkList.filter(({ slug, detectors }) => slug && detectors &&
		(detectors.every ?? []).every((d) => matches(path, d)) &&
		(!detectors.some || detectors.some.some((d) => matches(path, d))) &&
		(detectors.every || detectors.some));
	const superseded = new Set(found.flatMap((f) => f.supersedes ?? []));
	const [first] = found.filter((f) => !superseded.has(f.slug));
	return first && { framework: first.slug, output: first.settings.outputDirectory.value ?? undefined };
}

const clean = (path) => path?.replace(/^\.\//, "").replace(/\/$/, "");

for (const [platform, look] of Object.entries({ netlify, vercel })) {
	test(`the same as ${platform}'s detection, but for what is known`, async () => {
		const found = {};
		for (const [name, files] of Object.entries(projects)) {
			const path = directory(`${platform}-${name}`, files);
			const mine = ours(path);
			const theirs = await look(path);
			const wanted = called[platform][name] ?? name;
			if (theirs?.framework !== wanted)
				found[`${name}: framework`] = theirs?.framework ?? "none";
			if (!theirs) continue;
			if (theirs.output !== undefined && clean(theirs.output) !== clean(mine.output))
				found[`${name}: output`] = theirs.output;
			if (theirs.port !== undefined && theirs.port !== mine.port)
				found[`${name}: port`] = theirs.port;
		}
		const known = Object.fromEntries(Object.entries(differences[platform]).map(([key, { theirs }]) => [key, theirs]));
		assert.deepEqual(found, known);
	});
}
