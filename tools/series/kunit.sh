# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# How the KUnit suites are built and run: by the kernel's own kunit.py, on what
# is called a part here: um, x86_64, arm64, each with lockdep, and -kasan behind
# it; but x86_64-modules, the fake host as a module, which kunit.py cannot do.
# x86_64 is the kernel of the lab, which has the suites as well.
# Sourced after lib.sh, build.sh and load_base.
unset MAKEFLAGS MFLAGS MAKELEVEL KBUILD_OUTPUT
export KUNIT_PARTS="um x86_64 arm64 um-kasan x86_64-kasan arm64-kasan x86_64-modules"

# kunit.py runs QEMU by way of tcg.
tcg_only() {
	local i
	scratch "$B"
	[ ! -d "$TMP/bin" ] || return 0
	mkdir "$TMP/bin"
	for i in x86_64 aarch64; do ln -s "$S/tcg" "$TMP/bin/qemu-system-$i"; done
}

# The same for x86_64-modules: KUnit and the suite of the fake PCI host are loaded
# and unloaded. (The suites of drivers/pci look into the core: no modules.)
modules_run() {	# SRC OUT
	local src=$1 out=$2 i d=$2/initramfs
	rm -f "$out/test.log"
	mkdir -p "$out"
	for i in 64BIT EXPERT SMP PRINTK TTY SERIAL_8250 SERIAL_8250_CONSOLE BLK_DEV_INITRD BINFMT_ELF MODULES MODULE_UNLOAD \
		PCI PCI_IOV PCIEPORTBUS DEBUG_KERNEL PROVE_LOCKING DEBUG_ATOMIC_SLEEP; do echo "CONFIG_$i=y"; done >"$out.modules"
	for i in KUNIT KUNIT_TEST; do echo "CONFIG_$i=m"; done >>"$out.modules"
	progress "${out##*/}" "$out.log" - configured_modules "$src" "$out" >"$out.log" 2>&1 </dev/null || return
	rm -rf "$d"; mkdir "$d"
	cp "$out/lib/kunit/kunit.ko" "$out/lib/kunit/pci-test.ko" "$d/"
	gcc -Os -static -nostdlib -include "$src/tools/include/nolibc/nolibc.h" -o "$d/init" "$S/kunit-modules.c" -lgcc >>"$out.log" 2>&1 || return
	(cd "$d" && find . | cpio -o -H newc --quiet | gzip -1) >"$out/initramfs.gz"
	progress "${out##*/} runs" "$out/test.log" - timeout "${KUNIT_TIMEOUT:-400}" qemu-system-x86_64 -accel tcg -m 512 -nographic -no-reboot -kernel "$out/arch/x86/boot/bzImage" \
		-initrd "$out/initramfs.gz" -append "console=ttyS0 ignore_loglevel panic=-1 rdinit=/init -- kunit.ko pci-test.ko" \
		>"$out/test.log" 2>>"$out.log" </dev/null
	grep -q 'kunit-modules: done' "$out/test.log"
}

configured_modules() (configure "$1" "$2" "$2.modules" && kmake "$1" "$2" bzImage modules)

kunit_py() {	# SRC LOG ARG...
	local src=$1 log=$2; shift 2
	tcg_only
	progress "$(basename "$log" .log)" "$log" "${log%.log}" in_kunit_py "$src" "$@" >"$log" 2>&1 </dev/null
}
in_kunit_py() (cd "$1" && PATH="$TMP/bin:$PATH" PYTHONDONTWRITEBYTECODE=1 ./tools/testing/kunit/kunit.py "${@:2}")

# The same for x86_64: the lab's kernel only has to be booted.
lab_kernel_run() {	# SRC OUT FILTER
	local o rc=0
	mkdir -p "$2"
	rm -f "$2/test.log"
	o=$("$S/kernel") || return
	o=${o%/arch/*}
	rm -f "$o/test.log"
	kunit_py "$1" "$2.log" exec --arch=x86_64 --build_dir="$o" --timeout="${KUNIT_TIMEOUT:-400}" --qemu_args='-smp 2' "$3" || rc=$?
	mv "$o/test.log" "$2/" 2>/dev/null || :
	return $rc
}

# kunit_run SRC OUT PART FILTER: what the guest printed is OUT/test.log, which is
# not there if it did not run, what kunit.py did is OUT.log.
kunit_run() {
	local src=$1 out=$2 part=$3 filter=$4 c i
	case $part in
	x86_64-modules) modules_run "$src" "$out"; return ;;
	x86_64) lab_kernel_run "$src" "$out" "$filter"; return ;;
	esac
	local args=(run --arch="${part%%-*}" --build_dir="$out" --timeout="${KUNIT_TIMEOUT:-400}"
		--jobs="$JOBS" --kunitconfig=drivers/pci --kconfig_add CONFIG_KUNIT_TEST=y)
	c="DEBUG_KERNEL=y PROVE_LOCKING=y DEBUG_ATOMIC_SLEEP=y"
	# What takes long to build and has no part in this: off.
	c+=" EXPERT=y VT=n INPUT=n BLOCK=n"
	case $part in
	um*)	# Time travel: sleeps of the core (resets, SR-IOV) take no time.
		c+=" UML_TIME_TRAVEL_SUPPORT=y"
		args+=(--kernel_args=time-travel=inf-cpu)
		# (Elsewhere there is no MMIO to emulate: they would be skipped.)
		[ ! -f "$src/drivers/virtio/.kunitconfig" ] || args+=(--kunitconfig=drivers/virtio)
		# (Before there was KUNIT_UML_PCI, PCI came with a driver that wants an ID.)
		grep -q KUNIT_UML_PCI "$src/lib/kunit/Kconfig" || c+=" UML_PCI_OVER_VIRTIO_DEVICE_ID=1234" ;;
	*)	c+=" SMP=y VIRTUALIZATION=n USB_SUPPORT=n HWMON=n HW_RANDOM=n IO_URING=n FTRACE=n"
		args+=(--qemu_args='-smp 2') ;;
	esac
	case $part in
	arm64*) args+=(--cross_compile=aarch64-linux-gnu-) c+=" EFI=n" ;;
	x86_64*) c+=" CPU_MITIGATIONS=n" ;;
	esac
	case $part in *-kasan) c+=" KASAN=y" ;; esac
	for i in $c; do args+=(--kconfig_add "CONFIG_$i"); done
	mkdir -p "$out"
	rm -f "$out/test.log"
	kunit_py "$src" "$out.log" "${args[@]}" "$filter"
}
kunit_why() { grep -iE 'error|\*\*\*|missing' "$1.log" | head -n 10 | sed 's/^/# /' || :; }	# OUT
# What the guest printed is TAP, read by review/logs.py: the number of cases
# first, then a line for each that failed, and of the kernel's complaints.
kunit_said() { review kunit-cases "$1/test.log"; }	# OUT
