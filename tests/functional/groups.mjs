// SPDX-License-Identifier: MIT
//
// Control groups made by hand, as root, and a user's systemd that lives in one.
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import path from "node:path";

import { Child, defer, have, is_root, temp_dir, until } from "./harness.mjs";

export const NOBODY = 65534;

const mount_point = () =>
	fs
		.readFileSync("/proc/self/mountinfo", "utf8")
		.split("\n")
		.filter((line) => / - cgroup2 /.test(line))
		.map((line) => line.split(" ")[4])[0];

// Why there are none to be had here; false where there are.
export function no_groups() {
	if (!is_root) return "needs root, to make a cgroup";
	const point = mount_point();
	if (!point) return "needs a cgroup2 hierarchy";
	try {
		const probe = fs.mkdtempSync(path.join(point, "previewd-test-"));
		fs.rmdirSync(probe);
	} catch (e) {
		return `needs a cgroup2 hierarchy that can be written: ${e.code}`;
	}
	return false;
}

// The directory of the group that a process is in.
export function group_of(pid) {
	const line = fs.readFileSync(`/proc/${pid}/cgroup`, "utf8").split("\n").find((one) => one.startsWith("0::"));
	return path.join(mount_point(), line.slice(3));
}

export const groups_below = (group) =>
	fs
		.readdirSync(group, { withFileTypes: true })
		.filter((entry) => entry.isDirectory())
		.map((entry) => path.join(group, entry.name));

function remove(group) {
	for (const below of groups_below(group)) remove(below);
	fs.rmdirSync(group);
}

const is_populated = (group) => /^populated 1$/m.test(fs.readFileSync(path.join(group, "cgroup.events"), "utf8"));

// A group that is gone after the test, with all that runs in it.
export function make_group(t, { uid = 0, mark = false } = {}) {
	const group = fs.mkdtempSync(path.join(mount_point(), "previewd-test-"));
	defer(t, async () => {
		fs.writeFileSync(path.join(group, "cgroup.kill"), "1");
		await until(() => !is_populated(group), "nothing is left in the test's group");
		remove(group);
	});
	give(group, uid);
	if (mark) {
		// As systemd does for Delegate=yes.
		const set = 'import os, sys; os.setxattr(sys.argv[1], "trusted.delegate", b"1")';
		const { status, stderr } = spawnSync("python3", ["-c", set, group]);
		if (status !== 0) throw new Error(`the group cannot be marked: ${stderr}`);
	}
	return group;
}

export function make_group_below(group, name, uid = 0) {
	const below = path.join(group, name);
	fs.mkdirSync(below);
	give(below, uid);
	return below;
}

function give(group, uid) {
	for (const name of ["", "cgroup.procs", "cgroup.subtree_control", "cgroup.threads", "cgroup.kill"]) fs.chownSync(path.join(group, name), uid, uid);
}

// Before a command: it begins in that group, as that user.
export function inside(group, uid = 0) {
	const as = uid ? ["setpriv", `--reuid=${uid}`, `--regid=${uid}`, "--clear-groups"] : [];
	return ["sh", "-c", 'echo 0 >"$0/cgroup.procs" && exec "$@"', group, ...as];
}

export function no_user_manager() {
	const systemd = ["/usr/lib/systemd/systemd", "/lib/systemd/systemd"].find((program) => fs.existsSync(program));
	if (no_groups()) return no_groups();
	if (!systemd) return "needs systemd";
	for (const program of ["busctl", "dbus-daemon", "setpriv", "unshare"]) if (!have(program)) return `needs ${program}`;
	if (spawnSync("unshare", ["-m", "mount", "-t", "tmpfs", "none", "/run"]).status !== 0) return "needs a mount namespace";
	return false;
}

const units = {
	"dbus.socket": "[Unit]\nDefaultDependencies=no\n[Socket]\nListenStream=%t/bus\n",
	"dbus.service":
		"[Unit]\nDefaultDependencies=no\nRequires=dbus.socket\n[Service]\nType=notify\n" +
		"ExecStart=/usr/bin/env dbus-daemon --session --address=systemd: --nofork --nopidfile --systemd-activation\n",
	"test.target": "[Unit]\nDefaultDependencies=no\nRequires=dbus.socket dbus.service\n",
};

// A real `systemd --user` of an ordinary user, with a bus, in a group of its own; no other one is
// touched.  It wants to see that the machine was booted by systemd: so it does, in its own /run.
export async function user_manager(t) {
	const dir = temp_dir(t);
	const group = make_group(t, { uid: NOBODY });
	const runtime = path.join(dir, "runtime");
	const config = path.join(dir, "config");
	fs.mkdirSync(path.join(config, "systemd/user"), { recursive: true });
	fs.mkdirSync(runtime, { mode: 0o700 });
	for (const [name, text] of Object.entries(units)) fs.writeFileSync(path.join(config, "systemd/user", name), text);
	for (const each of [dir, runtime]) fs.chownSync(each, NOBODY, NOBODY);

	const script =
		'mount -t tmpfs none /run && mkdir -p /run/systemd/system && for s in /usr/lib/systemd/systemd /lib/systemd/systemd; do [ ! -x $s ] || exec "$@" $s --user --unit=test.target --log-target=console; done';
	const env = { PATH: process.env.PATH, HOME: dir, XDG_RUNTIME_DIR: runtime, XDG_CONFIG_HOME: config };
	const as = inside(group, NOBODY);
	const child = new Child(t, ["unshare", "-m", "sh", "-c", script, "sh", ...as], { env });
	const asked = ["--reuid=65534", "--regid=65534", "--clear-groups", "busctl", "--user", "status", "org.freedesktop.systemd1"];
	await until(() => {
		if (!child.running) throw new Error(`systemd --user ended:\n${child.stderr.text}`);
		return spawnSync("setpriv", asked, { env }).status === 0;
	}, "the user's systemd is on its bus");
	return { group, runtime };
}
