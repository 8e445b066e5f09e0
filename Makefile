# SPDX-License-Identifier: GPL-2.0-only
# The front door. `make help` lists it all; the work is in tools/.

.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory --no-builtin-rules
SHELL := /bin/bash

# Choices: the command line wins, then .config (make menuconfig), then these.
-include .config
unquote = $(patsubst "%",%,$(1))
BASE      ?= $(or $(call unquote,$(CONFIG_BASE)),mainline)
JOBS      ?= $(filter-out 0,$(CONFIG_JOBS))
KASAN     ?= $(CONFIG_KASAN)
DEVICES   ?= $(call unquote,$(CONFIG_LAB_DEVICES))
SCENARIOS ?= $(call unquote,$(CONFIG_LAB_SCENARIOS))
MMIO      ?= $(call unquote,$(CONFIG_LAB_MMIO))

# An empty one means its default, in the scripts.
$(foreach v,JOBS KASAN DEVICES SCENARIOS MMIO,$(if $($(v)),,$(eval override undefine $(v))))
export BASE JOBS KASAN DEVICES SCENARIOS MMIO
export LINUX CACHE UPDATE MACHINES PRISTINE KERNEL SIGNOFF TRAILERS TOPIC BASES
export KUNIT PATCHES CONFIGS COMMITS LINT V REALLY MBOX CASE

S := tools/series

.PHONY: help series tree refresh send verify kernel lab kunit prove bisect bisect-demo docs lint backport-check check check-all record report menuconfig clean
# One thing after the other, whatever -j says: make tree refresh.
.NOTPARALLEL:

help:
	@sed -n 's/^#? \{0,1\}//p' Makefile

#? A kernel patch series: composed, built, tested, mailed from here.
#?
#?   make series      out/<base>/<topic>/*.patch with cover letters, ready to send
#?   make tree        build/<base>/linux: a git tree, tag base, then one commit per patch
#?   make refresh     the commits made or amended there, back into patches/ and the new files
#?   make send TOPIC=name   whom git send-email would mail; REALLY=1 mails, nothing else does
#?   make verify TOPIC=name MBOX=file   is a mailbox what was sent, for b4 and git am too?
#?   make kernel      a bootable test kernel; its path is printed last
#?   make lab         yank devices from that kernel in QEMU (KTAP on stdout)
#?   make kunit       the KUnit suites, on UML, x86_64 and arm64 (TAP on stdout)
#?   make prove       which KUnit case, or case of the lab, fails without each fix
#?   make bisect      each commit builds, on five architectures and without PCI, IOV, hotplug
#?   make bisect-demo git bisect run over the series, the lab as its test: what mends a hang?
#?   make docs        the pages of the series, by htmldocs; says where they are
#?   make lint        Fixes: and Cc: stable; checkpatch, W=1, sparse, kernel-doc: what each commit adds
#?   make backport-check  the stable bases: each patch applies, or has a reason not to
#?   make check       as CI runs it; ends with N passed, N failed, N skipped
#?   make check-all   and what takes hours: everything in the lab, each KUNIT, mail, backports, docs
#?   make record      what the last make lab, make lab PRISTINE=1 and make check gave, into results/
#?   make report      out/report.html from results/; TABLE=1 prints the README's table
#?   make menuconfig  choices, kept in .config; also: make quick_defconfig full_defconfig
#?   make clean       removes build/ and out/ (not the cache), unless work would be lost
#?
#? Variables (command line, or .config for the first six):
#?   BASE=mainline    a directory of patches/: mainline 6.12.y 6.1.y 6.1.4
#?   BASES='6.1.y ..' backport-check: these only
#?   JOBS=n           parallel compilations
#?   KASAN=y          a kernel with KASAN
#?   DEVICES= SCENARIOS=   a part of the lab, SCENARIOS=all for more; see tools/lab/lab --help
#?   MMIO=ones|zeros|both   what reads from a vanished device give, in the lab
#?   LINT=topics      lint: compile at the end of each topic, not at each commit
#?   KUNIT=list       kunit: of um x86_64 arm64, these with -kasan, x86_64-modules (all of them)
#?   PATCHES=words    prove: only topics, or patches whose names contain a word
#?   CONFIGS= COMMITS=   bisect: of x86_64 arm64 powerpc64le s390x i386 pci-n iov-n hotplug-n
#?                    suites; topics, or words of patch names
#?   MACHINES=n       lab: how many at a time (default: one per processor)
#?   CASE=virtio-blk.load   bisect-demo: the lab's device and scenario
#?   PRISTINE=1       kernel, lab: the base without the series
#?   KERNEL=path      lab: somebody's bzImage
#?   LINUX=path       a kernel tree of your own (git or plain; never written to)
#?   SIGNOFF=1        series: your Signed-off-by; TRAILERS='A: b; C: d' for more
#?   TOPIC=name       send: which one; refresh: of new commits; series: what V is for (all)
#?   V=n              series, send: [PATCH vn], with what changed and a range-diff
#?   UPDATE=1         look for a newer source of the base
#?   CACHE=dir        downloads and imported sources (~/.cache/pci-surprise-removal)

series:
	@$(S)/need series
	@$(S)/mails

tree:
	@$(S)/need series
	@$(S)/tree

refresh:
	@$(S)/refresh

send:
	@$(S)/need series send
	@$(S)/send

verify:
	@$(S)/need series b4
	@$(S)/verify

kernel:
	@$(S)/need series kernel
	@$(S)/kernel

lab:
	@$(S)/need series kernel lab
	@$(S)/lab

kunit:
	@$(S)/need series kernel
	@$(S)/kunit

prove:
	@$(S)/need series kernel lab
	@$(S)/prove

bisect:
	@$(S)/need series kernel
	@$(S)/bisect

docs:
	@$(S)/need series docs
	@$(S)/docs

lint:
	@$(S)/need series kernel lint
	@$(S)/fixes
	@$(S)/lint

bisect-demo:
	@$(S)/need series kernel lab
	@$(S)/bisect-demo

backport-check:
	@$(S)/need series
	@$(S)/backport-check

check:
	@$(S)/check

check-all:
	@ALL=1 $(S)/check

record:
	@$(S)/report record "$(BASE)"

report:
	@$(S)/report $(if $(TABLE),table "$(BASE)",page)

menuconfig:
	@$(S)/need menuconfig
	@KCONFIG_CONFIG=.config kconfig-mconf Kconfig

%_defconfig: configs/%_defconfig
	@$(S)/need menuconfig
	@KCONFIG_CONFIG=.config kconfig-conf --defconfig=$< Kconfig

clean:
	@$(S)/clean
