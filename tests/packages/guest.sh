#!/bin/sh
# SPDX-License-Identifier: MIT
# shellcheck disable=SC2317 # functions that are called by name
#
# In the machine that check.sh boots, as root: the package's whole life there.  Each check prints "ok - what"
# or "not ok - what", and then what was said instead.
LC_ALL=C
export LC_ALL DEBIAN_FRONTEND=noninteractive
said=/tmp/said

ok() { echo "ok - $*"; }
not_ok() {
	echo "not ok - $*"
	tail -n 30 "$said" | sed 's/^/#   /'
}

# check WHAT COMMAND...: it ends with 0.
check() {
	what=$1
	shift
	if "$@" >$said 2>&1 </dev/null; then ok "$what"; else not_ok "$what"; fi
}

# says WHAT PATTERN COMMAND...: that is in what it prints, however it ends.
says() {
	what=$1 pattern=$2
	shift 2
	"$@" >$said 2>&1 </dev/null
	if grep -Eq -- "$pattern" $said; then ok "$what"; else not_ok "$what (no '$pattern')"; fi
}

# lacks WHAT PATTERN COMMAND...: it ends with 0, and that is not in what it prints.
lacks() {
	what=$1 pattern=$2
	shift 2
	if "$@" >$said 2>&1 </dev/null && ! grep -Eq -- "$pattern" $said; then ok "$what"; else not_ok "$what"; fi
}

# until_ok SECONDS COMMAND...
until_ok() {
	n=$1
	shift
	while ! "$@" >$said 2>&1 </dev/null; do
		n=$((n - 1))
		[ $n -gt 0 ] || return 1
		sleep 1
	done
}

home_of() { getent passwd "$1" | cut -d: -f6; }

# as USER COMMAND...: with what a login has in its environment, and no more.
as() {
	user=$1 uid=$(id -u "$1") home=$(home_of "$1")
	shift
	runuser -u "$user" -- env -i HOME="$home" USER="$user" PATH=/usr/bin:/bin LC_ALL=C \
		XDG_RUNTIME_DIR="/run/user/$uid" DBUS_SESSION_BUS_ADDRESS="unix:path=/run/user/$uid/bus" "$@"
}

session=default
ctl() { as ada env PREVIEWD_SESSION_ID=$session previewctl "$@"; }

# With the admin token: of the system's daemon nobody is admin by their login.
admin_ctl() { env PREVIEWD_URL=http://127.0.0.1:7070 PREVIEWD_TOKEN="$(cat "$token")" previewctl "$@"; }
can_isolate() { admin_ctl health --json | grep '"usable":true'; }

section() { echo "# $*"; }

# --- what is previewed and built

make_projects() {
	dir=$1
	mkdir -p "$dir/static" "$dir/built" "$dir/bomb" "$dir/hog"
	echo '<!doctype html><title>static</title><h1>plain files</h1>' >"$dir/static/index.html"
	for name in built bomb hog; do
		echo '{ "name": "x", "private": true, "scripts": { "build": "node build.cjs" } }' \
			>"$dir/$name/package.json"
	done
	cat >"$dir/built/build.cjs" <<-'END'
		const fs = require("fs");
		fs.mkdirSync("dist", { recursive: true });
		fs.writeFileSync("dist/index.html", "<!doctype html><title>built</title><h1>" + 6 * 7 + "</h1>");
	END
	cat >"$dir/bomb/build.cjs" <<-'END'
		const { spawn } = require("child_process");
		const fork = () => spawn(process.execPath, [__filename], { stdio: "ignore" }).on("error", () => {});
		setInterval(fork, 1);
	END
	cat >"$dir/hog/build.cjs" <<-'END'
		const all = [];
		for (;;) all.push(Buffer.alloc(1 << 24, all.length % 255 + 1));
	END
	cat >"$dir/server.cjs" <<-'END'
		const port = Number(process.argv[2] || 0);
		require("http").createServer((request, answer) => answer.end("hello from " + process.pid))
			.listen(port, "127.0.0.1");
	END
}

# page WHAT PATTERN: of the page whose address the publish before it has printed.
page() {
	url=$(tail -n 1 $said)
	says "$1" "$2" curl -fsSL "$url"
}

# --- the package

section 'the package'
dpkg-query -W -f '${Package}\n' | sort >/tmp/before
cp /packages/archives/*.deb /var/cache/apt/archives/
check 'apt installs it' apt-get install -y -o APT::Sandbox::User=root /packages/previewd.deb
[ -x /usr/bin/previewd ] || exit 1
dpkg-query -W -f '${Package}\n' | sort >/tmp/after
comm -13 /tmp/before /tmp/after | tr '\n' ' ' | sed 's/^/# new: /; s/ $/\n/'
says 'it brings bubblewrap and what it is linked with, and no more' '^none$' sh -c "
	comm -13 /tmp/before /tmp/after | grep -Ev '^(lib.*|previewd|bubblewrap|ca-certificates|openssl|publicsuffix)\$' ||
		echo none"
says 'nothing of it was started' '^inactive' systemctl is-active previewd.service
says 'nor enabled' '^disabled' systemctl is-enabled previewd.service
check 'no program of it lacks a library' sh -c '! ldd /usr/bin/previewd /usr/bin/previewctl \
	/usr/libexec/previewd/previewd-sandbox | grep "not found"'
check 'dpkg finds its files whole' dpkg --verify previewd
check 'its units are sound' systemd-analyze --man=no verify /usr/lib/systemd/system/previewd.service

for user in ada ben; do
	useradd --create-home --shell /bin/sh $user
	loginctl enable-linger $user
	make_projects "$(home_of $user)/work"
	chown -R $user: "$(home_of $user)"
done
hers=$(home_of ada)
token=$hers/.local/state/previewd/token
until_ok 60 as ada systemctl --user show-environment

# --- a user's own

section 'the unit of a user'
check 'it is sound' as ada systemd-analyze --user --man=no verify /usr/lib/systemd/user/previewd.service
serve() { # USER PORT: in the background, as that user; ended with the unit
	place=$(home_of "$1")
	systemd-run -q --unit "server-$2" --uid "$1" -E HOME="$place" node "$place/work/server.cjs" "$2"
}
mkdir -p "$hers/.config/previewd"
printf '[publish]\nmemory_max = 300M\nprocesses_max = 60\nbuild_timeout = 3m\n' >"$hers/.config/previewd/previewd.conf"
chown -R ada: "$hers/.config"

check 'systemctl --user enable --now' as ada systemctl --user enable --now previewd
says 'it runs' '^active' as ada systemctl --user is-active previewd
check 'it is healthy' ctl health
says 'builds can be isolated' '"usable":true' ctl health --json
serve ada 5173
check 'attach' ctl attach 5173
says 'ls' 'default.*5173' ctl ls
says 'why' 'It is detached at' ctl why
check 'the preview answers' curl -fsS http://127.0.0.1:5173/
says 'status knows whose process it is' 'node' ctl status --json default
check 'publish of a directory of plain files' ctl publish "$hers/work/static"
page 'its page' 'plain files'
check 'publish of what has to be built' ctl publish -n built "$hers/work/built"
page 'its page' '<h1>42</h1>'
check 'systemctl --user restart' as ada systemctl --user restart previewd
says 'what was attached is there' 'default.*5173' ctl ls
says 'what was published, too' 'published' ctl ls

pid=$(as ada systemctl --user show -P MainPID previewd)
check 'it has a process to kill' kill -9 "$pid"
check 'kill -9: it comes again' until_ok 30 ctl health
says 'with what was attached' 'default.*5173' ctl ls
check 'and its page' sh -c "curl -fsSL http://localhost:7070/api/apps/default/sessions/default/published/ | grep 'plain files'"
check 'detach' ctl detach
lacks 'ls is without it' '5173' ctl ls

section 'previewctl run'
has_web() { ctl ls | grep -q 'web.*5180'; }
has_no_web() { ! has_web && ! curl -fsS http://127.0.0.1:5180/; }
as ada systemd-run --user -q --unit run-it --working-directory="$hers/work" \
	previewctl run -n web -- node server.cjs 5180
check 'its server is attached' until_ok 60 has_web
says 'in a scope of its own' 'previewd-run-.*scope' as ada systemctl --user list-units --no-legend 'previewd-run*'
as ada systemctl --user kill -s INT run-it
check 'an interrupt ends it and its preview' until_ok 60 has_no_web
check 'and its scope' until_ok 60 sh -c '! systemctl --user -M ada@ list-units --no-legend "previewd-run*" | grep .'

# limits WHO: of builds, which "ctl" has built; WHO's group is $cg.
limits() {
	says "$1 group has memory and pids to give" 'memory.*pids' cat "$cg/cgroup.subtree_control"
	says "a build of $1 that eats memory is ended" 'needed more memory than publish.memory_max' \
		ctl publish -n hog "$2/hog"
	ctl publish --json -n bomb "$2/bomb" >/tmp/bomb 2>&1
	check "with exit status 5" test $? = 5
	says "a fork bomb of $1 is ended" 'made more processes than publish.processes_max' cat /tmp/bomb
	says "both are build_limit" '"code":"build_limit"' cat /tmp/bomb
	check 'no group of a build is left' until_ok 20 sh -c "! ls -d $cg/task-build-* 2>/dev/null"
	check 'nor any process' until_ok 20 sh -c '! pgrep -a bwrap'
	check 'the daemon has lived through it' ctl health
	says 'and says who holds the limits' 'memory and processes, by a cgroup' admin_ctl health --json
	ctl publish -n built "$2/built" >$said 2>&1
	page 'and builds' '<h1>42</h1>'
}

quiet() { # WHAT JOURNAL-FIELD
	journalctl -b -q -o cat -p warning "$2" >/tmp/warnings
	lacks "$1" . cat /tmp/warnings
}

section 'limits of builds'
cg=/sys/fs/cgroup$(as ada systemctl --user show -P ControlGroup previewd)
quiet 'its journal has no warning so far' _SYSTEMD_USER_UNIT=previewd.service
limits "the user's" "$hers/work"

check 'systemctl --user disable --now' as ada systemctl --user disable --now previewd
check 'no process of it is left' sh -c '! pgrep -a previewd'
check 'nor its socket' test ! -e /run/user/1000/previewd

# --- the host's

section 'the unit of the system'
session=one
mkdir -p /srv/ada
make_projects /srv/ada
chown -R ada: /srv/ada
chmod -R a+rX /srv/ada
mkdir -p /etc/previewd
printf '[publish]\nmemory_max = 300M\nprocesses_max = 60\nbuild_timeout = 3m\n' >/etc/previewd/previewd.conf
check 'systemctl enable --now' systemctl enable --now previewd
systemd-analyze security previewd --no-pager | tail -n 1 | sed 's/^/# /'
says 'it is hardened' 'OK|SAFE' sh -c 'systemd-analyze security previewd --no-pager | tail -n 1'
check 'a user finds it by itself' ctl health
check 'attach' ctl attach 5173
says 'ls' 'default.*5173' ctl ls
says 'why' 'It is detached at' ctl why
check 'a page load is seen' sh -c 'for i in 1 2 3; do curl -fsS http://127.0.0.1:5173/; done'
ctl why | sed 's/^/# /'
says "another user's session is not to be seen" 'there is no session' as ben previewctl status -s one
lacks 'nor its preview' 5173 as ben previewctl ls -s one
serve ben 5174
check 'nor attached by two' sh -c '! runuser -u ben -- previewctl attach 5173 -s two'
check 'ben attaches his own' as ben previewctl attach 5174 -s two
as ada sh -c "cd /tmp && exec previewctl run -s one -n web -- node $hers/work/server.cjs 5180" >/tmp/run 2>&1 &
check 'previewctl run' until_ok 60 has_web
task=$(ctl task ls --json | sed -n 's/.*"task_id":"\([^"]*\)".*/\1/p')
says 'what it cannot end it says: the process is not its own' 'could not be ended' ctl task end "$task"
lacks 'the preview is gone all the same' '5180' ctl ls
check 'its user ends it' pkill -INT -u ada -x previewctl
check 'and then it is' until_ok 60 sh -c '! curl -fsS http://127.0.0.1:5180/'

section 'publishing by the system unit'
token=/var/lib/previewd/token
check 'plain files' ctl publish /srv/ada/static
page 'their page' 'plain files'
says 'a build is refused with what to do' 'builds.conf' ctl publish -n built /srv/ada/built
sed 's/^/# /' $said
mkdir -p /etc/systemd/system/previewd.service.d
cp /usr/share/previewd/systemd/builds.conf /etc/systemd/system/previewd.service.d/
systemctl daemon-reload
check 'with builds.conf it starts' systemctl restart previewd
systemd-analyze security previewd --no-pager | tail -n 1 | sed 's/^/# /'
says 'what was attached is there' 'default.*5173' ctl ls
check 'builds can be isolated' until_ok 20 can_isolate
check 'publish of what has to be built' ctl publish -n built /srv/ada/built
page 'its page' '<h1>42</h1>'
cg=/sys/fs/cgroup$(systemctl show -P ControlGroup previewd)
limits "the system's" /srv/ada
pid=$(systemctl show -P MainPID previewd)
check 'it has a process to kill' kill -9 "$pid"
check 'kill -9: it comes again' until_ok 60 ctl health
says 'with what was attached' 'default.*5173' ctl ls
journalctl -b -q -o cat -p warning _SYSTEMD_UNIT=previewd.service | sort | uniq -c | sed 's/^/# journal: /'

# --- its end

section 'purge'
rm -r /etc/systemd/system/previewd.service.d /etc/previewd
check 'apt purges it' apt-get purge -y -o APT::Sandbox::User=root previewd
check 'no process is left' sh -c '! pgrep -a previewd'
find / -xdev -iname '*previewd*' ! -path '/proc/*' ! -path "${hers%/*}/*" ! -path '/packages*' ! -path /etc/hostname \
	! -path '/var/cache/apt/*' ! -path '/tmp/*' >/tmp/left
lacks 'nothing of it is left but what users have in their homes' . cat /tmp/left
lacks 'nor an account' previewd cat /etc/passwd /etc/group
echo '# the end'
