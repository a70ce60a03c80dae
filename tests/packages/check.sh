#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The Debian package on a machine of its own: a bare Debian 12 with systemd, booted by qemu, in which
# guest.sh installs, runs, breaks and purges it.  Ends by itself; the last line is "N passed, N failed".
#
#	check.sh PACKAGE.deb WORKDIR
#
# Wants root, qemu-system-x86, debootstrap, e2fsprogs, 4 GiB of disk, and Debian's packages as apt has
# them set up here; no KVM.  WORKDIR keeps the bare system for the next time.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
deb=$(realpath "$1")
work=$2
base=$work/base
limit=${PACKAGES_TIMEOUT:-1800} # seconds

die() { printf 'check-packages: %s\n' "$*" >&2; exit 1; }
say() { printf '== %s\n' "$*" >&2; }

[ "$(id -u)" = 0 ] || die 'wants root, to make a system of files that are root'\''s'
for program in debootstrap qemu-system-x86_64 mke2fs; do
	command -v "$program" >/dev/null ||
		die "$program is missing: apt-get install debootstrap qemu-system-x86 e2fsprogs"
done

# What stands for the rest of the machine: a kernel, systemd as on a server, and Node for what is built.
make_base() {
	# shellcheck disable=SC2016 # a field of apt's
	mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Codename: bookworm' | head -n 1)
	[ -n "$mirror" ] || die 'apt knows no mirror of bookworm: apt-get update'
	say 'making a bare Debian 12'
	rm -rf "$base" "$base.tmp"
	debootstrap --variant=minbase --include=systemd,systemd-sysv,dbus,dbus-user-session,libpam-systemd \
		bookworm "$base.tmp" "$mirror" >"$work/debootstrap.log"
	inside "$base.tmp" apt-get update
	inside "$base.tmp" apt-get install -y --no-install-recommends \
		linux-image-cloud-amd64 initramfs-tools curl nodejs npm
	inside "$base.tmp" apt-get clean
	mv "$base.tmp" "$base"
}

inside() {
	root=$1
	shift
	mount -t proc proc "$root/proc"
	DEBIAN_FRONTEND=noninteractive LC_ALL=C chroot "$root" "$@" >>"$work/chroot.log" 2>&1 || {
		umount "$root/proc"
		die "'$*' failed in the bare system: see $work/chroot.log"
	}
	umount "$root/proc"
}

# With the packages that it depends on, so that the machine needs no network.
make_disk() {
	rm -rf "$work/disk" "$work/disk.img"
	mkdir -p "$work/disk/archives/partial" "$base/packages"
	cp "$deb" "$work/disk/previewd.deb"
	cp "$here/guest.sh" "$work/disk/"
	mount --bind "$work/disk" "$base/packages"
	chroot "$base" apt-get install -y --download-only -o Dir::Cache::archives=/packages/archives \
		-o APT::Sandbox::User=root /packages/previewd.deb >"$work/download.log" 2>&1 || {
		umount "$base/packages"
		die "its packages can't be had: see $work/download.log"
	}
	umount "$base/packages"
	mke2fs -qF -t ext4 -d "$work/disk" "$work/disk.img" 256M
}

make_system() {
	cat >"$base/etc/systemd/system/check.service" <<-END
		[Unit]
		After=multi-user.target
		[Service]
		Type=oneshot
		ExecStart=/bin/sh -c 'mkdir -p /packages && mount -o ro /dev/vdb /packages && exec sh /packages/guest.sh'
		ExecStopPost=/bin/systemctl --no-block poweroff
		StandardOutput=file:/dev/ttyS1
		StandardError=file:/dev/ttyS1
		TimeoutStartSec=$limit
		[Install]
		WantedBy=multi-user.target
	END
	ln -sf /etc/systemd/system/check.service "$base/etc/systemd/system/multi-user.target.wants/"
	echo previewd-check >"$base/etc/hostname"
	echo '/dev/vda / ext4 rw 0 1' >"$base/etc/fstab"
	mke2fs -qF -t ext4 -d "$base" "$work/system.img" 2500M
}

# Not KVM, which is not everywhere.
boot() {
	timeout "$limit" qemu-system-x86_64 -accel tcg,thread=multi -cpu max -smp 2 -m 2048 \
		-display none -monitor none -nic none -no-reboot \
		-serial "file:$work/console.log" -serial stdio \
		-kernel "$(ls "$base"/boot/vmlinuz-*)" -initrd "$(ls "$base"/boot/initrd.img-*)" \
		-append 'root=/dev/vda rw console=ttyS0 quiet panic=-1 systemd.show_status=no' \
		-drive "file=$work/system.img,if=virtio,format=raw,cache=unsafe" \
		-drive "file=$work/disk.img,if=virtio,format=raw,readonly=on" </dev/null
}

mkdir -p "$work"
[ -d "$base" ] || make_base
make_disk
rm -f "$work/system.img"
make_system
say "booting it (at most $limit s)"
boot | sed -u 's|\r$||' | tee "$work/results.log"

passed=$(grep -c '^ok ' "$work/results.log") || true
failed=$(grep -c '^not ok ' "$work/results.log") || true
grep -q '^# the end$' "$work/results.log" || {
	echo "not ok - it came to its end; its console is in $work/console.log"
	failed=$((failed + 1))
}
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
