// SPDX-License-Identifier: MIT
// Loaded into every node of a build (NODE_OPTIONS=--require): gives the bundler's own command line
// what it needs, whatever script or shell called it.  Arguments behind `npm run build --` would get
// lost in a script that doesn't end in the bundler.
"use strict";
const path = (process.argv[1] ?? "").replaceAll("\\", "/");
const { PREVIEWD_PROGRAM: program, PREVIEWD_PACKAGES: packages = "", PREVIEWD_COMMAND: command } = process.env;
const given = process.argv.slice(2);

const isProgram = () =>
	new RegExp(`/\\.bin/${program}(\\.[cm]?js)?$`).test(path) ||
	packages.split(" ").some((name) => path.includes(`/node_modules/${name}/`));
const isBuild = () =>
	command ? given.includes(command) : !given.some((word) => /^(serve|s|server|watch|w|--serve|--watch)$/.test(word));

// A relative value works anywhere and is the project's choice; an absolute one is for another place.
function add(argument) {
	const flag = argument.split("=", 1)[0];
	const at = process.argv.findIndex((word, i) => i > 1 && (word === flag || word.startsWith(`${flag}=`)));

	if (at < 0) {
		process.argv.push(argument);
		return;
	}
	const isApart = process.argv[at] === flag && argument !== flag;
	const value = isApart ? process.argv[at + 1] ?? "" : process.argv[at].slice(flag.length + 1);
	if (value.startsWith("/") || /^[a-z]+:\/\//.test(value))
		process.argv.splice(at, isApart ? 2 : 1, argument);
}

if (program && isProgram() && isBuild())
	for (const argument of [process.env.PREVIEWD_ARGUMENT, process.env.PREVIEWD_BASE_ARGUMENT])
		if (argument)
			add(argument);
