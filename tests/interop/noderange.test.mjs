// SPDX-License-Identifier: MIT
// Ranges of Node's versions, as npm's own package "semver" reads them: every verdict is the same.
//
//	make tests/interop/detect-tool
//	DETECT_TOOL=tests/interop/detect-tool node --test $(srcdir)/tests/interop/noderange.test.mjs
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import semver from "semver";

const program = process.env.DETECT_TOOL ?? "tests/interop/detect-tool";

// What they are asked is the same at each run.
function random(seed) {
	let state = seed;
	return (n) => {
		state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
		return Math.floor((state / 2 ** 32) * n);
	};
}

function judge(pairs) {
	const input = pairs.map(([range, version]) => `${range}\t${version}\n`).join("");
	const r = spawnSync(program, ["range"], { input, encoding: "utf8", maxBuffer: 64 << 20 });
	assert.equal(r.status, 0, r.stderr || String(r.error));
	return r.stdout.trim().split("\n");
}

function compare(pairs) {
	const verdicts = judge(pairs);
	assert.equal(verdicts.length, pairs.length);
	const different = pairs.flatMap(([range, version], i) => {
		const wanted = `${semver.validRange(range) === null ? "invalid" : "valid"} ${semver.satisfies(version, range) ? "in" : "out"}`;
		return wanted === verdicts[i] ? [] : [`'${version}' of '${range}': semver says ${wanted}, previewd ${verdicts[i]}`];
	});
	assert.deepEqual(different.slice(0, 20), [], `${different.length} of ${pairs.length} differ`);
}

const versions = ["18.0.0", "18.19.1", "20.0.0", "20.19.0", "20.20.2", "22.11.0", "22.12.0", "22.23.3", "24.0.0", "26.10.0",
	"0.0.0", "0.10.48", "0.2.3", "1.2.3", "20.0.0-rc.1", "22.12.0-nightly.20260101", "v22.1.0", "22", "x", ""];

test("ranges that packages ask for", () => {
	const ranges = [">=18", ">= 18.0.0", "^20.19.0 || >=22.12.0", "18 || 20 || >=22", "20.x", "20.x || 22.x", "~20.19", "*", "",
		"node", "lts/*", "latest", ">=18 <23", "18 - 22", "18.x - 22.x", ">=18.18.0 <19 || >=20.9", "^18.19.1 || ^20.11.1 || >=22.0.0",
		"v20", ">=v20", "=20.19.0", ">20", "<=22", "<22.12", "20.19.0+sha", "^20.19.0-0", ">=20.0.0-0", "20 .19", "^ 20", ">=18,<20",
		"~>18", "20||22", " 20 ", "||", "20 ||", "x.x.x", "20.*.*", "20.x.1", "*.1", ">=x", "<x", ">x", "^x", "~*", "== 20", ">=>20", "20 -22", "20- 22"];
	compare(ranges.flatMap((range) => versions.map((version) => [range, version])));
});

test("ranges by the grammar", () => {
	const next = random(20260701);
	const pick = (list) => list[next(list.length)];
	const number = () => pick(["0", "1", "2", "18", "20", "22", "x", "*"]);
	const partial = () => {
		const n = 1 + next(3);
		const text = Array.from({ length: n }, number).join(".");
		return pick(["", "", "", "v"]) + text + (n === 3 && next(5) === 0 ? pick(["-rc.1", "-0", "-alpha", "+b1", "-rc.2+b"]) : "");
	};
	const comparator = () => pick(["", "", ">=", ">", "<", "<=", "=", "^", "~", "~>"]) + pick(["", "", " "]) + partial();
	const set = () => (next(6) === 0 ? `${partial()} - ${partial()}` : Array.from({ length: 1 + next(3) }, comparator).join(" "));
	const version = () => `${pick([0, 1, 2, 18, 19, 20, 22])}.${pick([0, 1, 2, 18, 20])}.${pick([0, 1, 2, 3])}` +
		(next(6) === 0 ? pick(["-rc.1", "-rc.2", "-0", "-alpha.beta"]) : "");
	compare(Array.from({ length: 20000 }, () => [Array.from({ length: 1 + next(3) }, set).join(pick(["||", " || "])), version()]));
});

test("text that is hardly a range", () => {
	const next = random(42);
	const letters = " .-+|<>=^~xX*v0123456789abr";
	const text = () => Array.from({ length: next(12) }, () => letters[next(letters.length)]).join("");
	compare(Array.from({ length: 20000 }, () => [text(), versions[next(versions.length)]]));
});
