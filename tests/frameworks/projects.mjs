// SPDX-License-Identifier: MIT
//
// A minimal project of each framework that `make check` does not build, with pinned versions: a home
// page, a page at /about/team, a link from one to the other, and an image of public/.
import fs from "node:fs";
import path from "node:path";

import { fixtures } from "../functional/harness.mjs";

const picture = fs.readFileSync(path.join(fixtures, "projects", "static", "img", "picture.png"));
const manifest = (name, scripts, dependencies, more = {}) => JSON.stringify({ name, private: true, type: "module", scripts, dependencies, ...more }, null, 1);
const react = { react: "19.2.7", "react-dom": "19.2.7" };
const tsconfig = JSON.stringify({ compilerOptions: { module: "ESNext", moduleResolution: "bundler", target: "ES2022", jsx: "react-jsx", strict: true, skipLibCheck: true } });

// Of React Router and of Remix, which was merged into it.
const react_pages = (from) => ({
	"app/root.jsx": `import { Links, Meta, Outlet, Scripts, ScrollRestoration, Link } from "${from}";
export function Layout({ children }) {
	return <html lang="en"><head><meta charSet="utf-8" /><Meta /><Links /></head><body>
		<nav><Link to="/">home</Link> <Link to="/about/team">team</Link></nav>{children}<ScrollRestoration /><Scripts /></body></html>;
}
export function HydrateFallback() { return <p>…</p>; }
export default function App() { return <Outlet />; }
`,
	"app/routes/_index.jsx": `import picture from "../picture.png?url";\nexport default function Home() { return <><h1>Fixture home</h1><img id="picture" src={picture} alt="" /></>; }\n`,
	"app/routes/about.team.jsx": `import picture from "../picture.png?url";\nexport default function Team() { return <><h1>Fixture team</h1><img id="picture" src={picture} alt="" /></>; }\n`,
	"app/picture.png": picture,
});

const react_router = (settings) => ({
	"package.json": manifest("router-app", { build: "react-router build" }, {
		...react, "react-router": "8.4.0", "@react-router/node": "8.4.0", "@react-router/dev": "8.4.0", "@react-router/serve": "8.4.0", isbot: "5.2.3", vite: "8.3.8", typescript: "5.9.3",
	}),
	"vite.config.js": `import { reactRouter } from "@react-router/dev/vite";\nexport default { base: process.env.PREVIEWD_BASE, plugins: [reactRouter()] };\n`,
	"react-router.config.js": `export default { basename: process.env.PREVIEWD_BASE ?? "/", ${settings} };\n`,
	"app/routes.js": `import { index, route } from "@react-router/dev/routes";\nexport default [index("routes/_index.jsx"), route("about/team", "routes/about.team.jsx")];\n`,
	...react_pages("react-router"),
});

const angular_component = (name, text) => `import { Component } from "@angular/core";
@Component({ selector: "app-${text}", template: '<h1>Fixture ${text}</h1><img id="picture" src="picture.png" alt="">' })
export class ${name} {}
`;

// Where the framework takes its base path only from the configuration, that has PREVIEWD_BASE.
export const projects = {
	angular: { files: {
		"package.json": JSON.stringify({ name: "shop", private: true, scripts: { build: "ng build" }, dependencies: {
			"@angular/common": "22.2.6", "@angular/compiler": "22.2.6", "@angular/core": "22.2.6", "@angular/platform-browser": "22.2.6", "@angular/router": "22.2.6", rxjs: "7.8.2", tslib: "2.8.1",
		}, devDependencies: { "@angular/build": "22.2.7", "@angular/cli": "22.2.7", "@angular/compiler-cli": "22.2.6", typescript: "~6.0.0" } }),
		"angular.json": JSON.stringify({ version: 1, cli: { analytics: false }, projects: { shop: { projectType: "application", root: "", sourceRoot: "src", architect: { build: {
			builder: "@angular/build:application", options: { browser: "src/main.ts", index: "src/index.html", tsConfig: "tsconfig.json", assets: [{ glob: "**/*", input: "public" }] },
		} } } } }),
		"tsconfig.json": JSON.stringify({ compilerOptions: { target: "ES2022", module: "preserve", moduleResolution: "bundler", experimentalDecorators: true, importHelpers: true, strict: true, skipLibCheck: true }, files: ["src/main.ts"] }),
		"src/index.html": `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>shop</title><base href="/"></head><body><app-root></app-root></body></html>\n`,
		"src/main.ts": `import { Component } from "@angular/core";
import { bootstrapApplication } from "@angular/platform-browser";
import { provideRouter, RouterLink, RouterOutlet } from "@angular/router";
import { Home } from "./home";
@Component({ selector: "app-root", imports: [RouterLink, RouterOutlet], template: '<nav><a routerLink="/">home</a> <a routerLink="/about/team">team</a></nav><router-outlet />' })
class App {}
bootstrapApplication(App, { providers: [provideRouter([{ path: "", component: Home }, { path: "about/team", loadComponent: () => import("./team").then((m) => m.Team) }])] });
`,
		"src/home.ts": angular_component("Home", "home"),
		"src/team.ts": angular_component("Team", "team"),
		"public/picture.png": picture,
	} },

	gatsby: { files: {
		"package.json": JSON.stringify({ name: "gatsby-app", private: true, scripts: { build: "gatsby build" }, dependencies: { gatsby: "5.16.1", react: "18.3.1", "react-dom": "18.3.1" } }),
		"gatsby-config.js": `module.exports = { pathPrefix: process.env.PREVIEWD_BASE };\n`,
		"src/pages/index.js": `import * as React from "react";\nimport { Link } from "gatsby";\nimport picture from "../picture.png";
export default () => <main><nav><Link to="/">home</Link> <Link to="/about/team/">team</Link></nav><h1>Fixture home</h1><img id="picture" src={picture} alt="" /></main>;\n`,
		"src/pages/about/team.js": `import * as React from "react";\nimport { Link } from "gatsby";\nimport picture from "../../picture.png";
export default () => <main><nav><Link to="/">home</Link> <Link to="/about/team/">team</Link></nav><h1>Fixture team</h1><img id="picture" src={picture} alt="" /></main>;\n`,
		"src/picture.png": picture,
	} },

	"react-router-spa": { files: react_router("ssr: false") },
	"react-router-prerendered": { files: react_router(`ssr: false, prerender: ["/", "/about/team"]`) },

	remix: { files: {
		"package.json": manifest("remix-app", { build: "remix vite:build" }, {
			"@remix-run/node": "2.17.5", "@remix-run/react": "2.17.5", "@remix-run/dev": "2.17.5", isbot: "4.4.0", react: "18.3.1", "react-dom": "18.3.1", vite: "5.4.20", typescript: "5.9.3",
		}),
		"vite.config.js": `import { vitePlugin as remix } from "@remix-run/dev";\nexport default { base: process.env.PREVIEWD_BASE, plugins: [remix({ ssr: false, basename: process.env.PREVIEWD_BASE })] };\n`,
		...react_pages("@remix-run/react"),
	} },

	"solid-start": { files: {
		"package.json": manifest("solid-app", { build: "vinxi build" }, { "@solidjs/start": "1.3.2", "@solidjs/router": "0.15.3", "solid-js": "1.9.9", vinxi: "0.5.8" }),
		"app.config.js": `import { defineConfig } from "@solidjs/start/config";\nexport default defineConfig({ server: { baseURL: process.env.PREVIEWD_BASE, prerender: { routes: ["/", "/about/team"] } } });\n`,
		"tsconfig.json": tsconfig.replace("react-jsx", "preserve"),
		"src/entry-client.jsx": `// @refresh reload\nimport { mount, StartClient } from "@solidjs/start/client";\nmount(() => <StartClient />, document.getElementById("app"));\n`,
		"src/entry-server.jsx": `// @refresh reload\nimport { createHandler, StartServer } from "@solidjs/start/server";
export default createHandler(() => <StartServer document={({ assets, children, scripts }) => (
	<html lang="en"><head><meta charset="utf-8" />{assets}</head><body><div id="app">{children}</div>{scripts}</body></html>)} />);\n`,
		"src/app.jsx": `import { Router, A } from "@solidjs/router";\nimport { FileRoutes } from "@solidjs/start/router";\nimport { Suspense } from "solid-js";
export default () => <Router base={import.meta.env.SERVER_BASE_URL} root={(props) => <><nav><A href="/">home</A> <A href="/about/team">team</A></nav><Suspense>{props.children}</Suspense></>}><FileRoutes /></Router>;\n`,
		"src/routes/index.jsx": `import picture from "../picture.png?url";\nexport default () => <><h1>Fixture home</h1><img id="picture" src={picture} alt="" /></>;\n`,
		"src/routes/about/team.jsx": `import picture from "../../picture.png?url";\nexport default () => <><h1>Fixture team</h1><img id="picture" src={picture} alt="" /></>;\n`,
		"src/picture.png": picture,
	} },

	qwik: { files: {
		"package.json": manifest("qwik-app", { build: "qwik build", "build.client": "vite build", "build.server": "vite build -c adapters/static/vite.config.js" }, {
			"@builder.io/qwik": "1.20.1", "@builder.io/qwik-city": "1.20.1", vite: "7.1.12", ignore: "5.3.2", typescript: "5.9.3",
		}),
		"tsconfig.json": tsconfig.replace('"jsx":"react-jsx"', '"jsx":"react-jsx","jsxImportSource":"@builder.io/qwik"'),
		"vite.config.js": `import { qwikVite } from "@builder.io/qwik/optimizer";\nimport { qwikCity } from "@builder.io/qwik-city/vite";\nexport default { base: process.env.PREVIEWD_BASE, plugins: [qwikCity(), qwikVite()] };\n`,
		"adapters/static/vite.config.js": `import { staticAdapter } from "@builder.io/qwik-city/adapters/static/vite";
import { extendConfig } from "@builder.io/qwik-city/vite";
import base from "../../vite.config.js";
export default extendConfig(base, () => ({ build: { ssr: true, rollupOptions: { input: ["@qwik-city-plan"] } }, plugins: [staticAdapter({ origin: "https://example.org" })] }));\n`,
		"src/entry.ssr.tsx": `import { renderToStream, type RenderToStreamOptions } from "@builder.io/qwik/server";\nimport Root from "./root";\nexport default (options: RenderToStreamOptions) => renderToStream(<Root />, options);\n`,
		"src/root.tsx": `import { component$ } from "@builder.io/qwik";\nimport { QwikCityProvider, RouterOutlet } from "@builder.io/qwik-city";
export default component$(() => <QwikCityProvider><head><meta charset="utf-8" /></head><body><RouterOutlet /></body></QwikCityProvider>);\n`,
		"src/routes/layout.tsx": `import { component$, Slot } from "@builder.io/qwik";\nimport { Link } from "@builder.io/qwik-city";
export default component$(() => <><nav><Link href="/">home</Link> <Link href="/about/team/">team</Link></nav><Slot /></>);\n`,
		"src/routes/index.tsx": `import { component$ } from "@builder.io/qwik";\nimport picture from "../picture.png?url";\nexport default component$(() => <><h1>Fixture home</h1><img id="picture" src={picture} width="8" height="8" /></>);\n`,
		"src/routes/about/team/index.tsx": `import { component$ } from "@builder.io/qwik";\nimport picture from "../../../picture.png?url";\nexport default component$(() => <><h1>Fixture team</h1><img id="picture" src={picture} width="8" height="8" /></>);\n`,
		"src/picture.png": picture,
	} },
};
