# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# shellcheck disable=SC2016,SC2034,SC2064 # what others run, or use
# Cases of selftest, which sources it: a machine that is full, read-only, without root,
# slow, or interrupted.
noroot() {
	printf '#!/bin/sh\n[ "$1" = -u ] && echo 1000 || exec %s "$@"\n' "$(command -v id)" >"$T/bin/id"; printf '#!/bin/sh\nexit 1\n' >"$T/bin/sudo"
	printf '#!/bin/sh\nexit 1\n' >"$T/bin/qemu-system-x86_64"; chmod +x "$T"/bin/*; rm -f "$T/bin/git"
	fails 'missing: QEMU 10 with igb' env PATH="$T/bin:$PATH" tools/series/need lab
}
oldqemu() {
	printf '#!/bin/sh\ncase $1 in --version) echo QEMU emulator version 7.2.0;; *) echo "name \\"e1000e\\"";; esac\n' >"$T/bin/qemu-system-x86_64"
	fails 'QEMU 10 with igb' env PATH="$T/bin:$PATH" tools/series/need lab
}
progresses() {	# says how far it is, ends as the command does, and leaves nobody behind
	printf '. tools/series/lib.sh; . tools/series/build.sh; scratch build; progress toy build/log "$1" sh -c "$2" >build/log 2>&1' >"$T/progress"
	export PROGRESS_EVERY=1; mkdir -p build; touch -d '1 minute ago' build/old.o
	rc() { local rc=0; bash "$T/progress" "$@" 2>"$T/said" || rc=$?; cat "$T/said"; [ "$rc" = "$want" ]; }
	want=7; rc - 'echo "  CC      a.o"; echo "  LD      b.o"; sleep 2.5; exit 7'; grep -q '^toy: 1 objects compiled, 1 s$' "$T/said"; [ -z "$(find build -name '.tmp*')" ]
	want=0; rc build 'touch build/a.o; sleep 1.5'; grep -q '^toy: 1 objects compiled, 1 s$' "$T/said"; rc - :; [ ! -s "$T/said" ]; rc - 'sleep 1.5'; grep -q '^toy: 1 s$' "$T/said"
	rm -f "$T/slow"; "$S/interrupt.py" "$T/slow" bash "$T/progress" - ": >$T/slow; sleep 20"; [ -z "$(find build -name '.tmp*')" ]; rm -rf build
}
tmpfs() { mkdir -p "$1"; mount -t tmpfs -o size="$2" none "$1" 2>/dev/null || { echo "no tmpfs may be mounted here: needs root"; exit 77; }; trap "umount -l '$1'" EXIT; }
cache_full() { tmpfs "$T/small" 4m; unset LINUX; rm -rf build; fails 'MB free, and a kernel' env CACHE="$T/small/c" make series; }
cache_readonly() {
	tmpfs "$T/ro" 4m; mount -o remount,ro "$T/ro"; unset LINUX; rm -rf build; fails "CACHE=$T/ro cannot be written to" env CACHE="$T/ro" make series
	fails "CACHE=$T/ro/c cannot be written to" env CACHE="$T/ro/c" make series; umount -l "$T/ro"
	# What it has is used.
	rm -rf "$CACHE"; mkdir "$CACHE"; deb; make series; tmpfs "$T/ro" 8m; cp -r "$CACHE"/linux-source-toy_7.3~toy-1.git "$T/ro/"; mount -o remount,ro "$T/ro"; CACHE=$T/ro make series
}
disk_full() {	# while composing, writing mails, and in refresh: one line, and nothing half-done
	reset; tmpfs "$T/co/build" 3m; make tree; head -c 4m /dev/zero >build/fill 2>/dev/null || :; (cd "$W" && ! git status >/dev/null) || :
	sed -i 's/Why/Because/' patches/toy/one/toy-first.patch; fails 'is full: make room' make series; fails 'is full: make room' make tree; git checkout -q .; rm build/fill; make tree; changed
}
