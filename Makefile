# SPDX-License-Identifier: GPL-2.0-only
# The front door. `make help` lists it all; the work is in tools/.

.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory --no-builtin-rules
SHELL := /bin/bash

S := tools/series
STACK := $(S)/stack.py
PYTHON := PYTHONPATH=$(S) PYTHONDONTWRITEBYTECODE=1 python3 -m

# Which variables a target looks at. Any other one given is refused, and so is a
# value that does not exist, before anything is built (review/choices.py).
COMPOSE     := BASE LINUX CACHE UPDATE
BUILD       := $(COMPOSE) JOBS
LAB         := $(BUILD) KASAN PRISTINE KERNEL DEVICES MMIO MACHINES
POINT       := PHASES DYING STEP POINTS HANDFUL SEED MINUTES RESUME
takes_help       :=
takes_series     := $(COMPOSE) TOPIC PATCH V SIGNOFF TRAILERS DISCLOSE
takes_tree       := $(COMPOSE) TOPIC
takes_overlaps   := $(COMPOSE)
takes_refresh    := $(COMPOSE) TOPIC
takes_rebase     := $(COMPOSE) TOPIC CONTINUE SKIP ABORT
takes_send       := $(COMPOSE) TOPIC V SIGNOFF TRAILERS SELF REALLY DISCLOSE
takes_trailers   := $(COMPOSE) TOPIC MBOX
takes_verify     := $(COMPOSE) TOPIC MBOX V SIGNOFF TRAILERS DISCLOSE
takes_kernel     := $(BUILD) KASAN PRISTINE
takes_lab        := $(LAB) SCENARIOS CYCLES MINUTES
takes_sweep      := $(LAB) $(POINT)
takes_soak       := $(LAB) $(POINT)
takes_kunit      := $(BUILD) KUNIT
takes_prove      := $(BUILD) TOPIC PATCH
takes_mutate     := $(BUILD) TOPIC PATCH
takes_each-commit := $(BUILD) TOPIC PATCH CONFIGS
takes_bisect-demo := $(BUILD) DEVICES SCENARIOS
takes_docs       := $(BUILD)
takes_lint       := $(BUILD) TOPIC PATCH LINT
takes_backport-check := CACHE UPDATE BASES JOBS
takes_check      := $(BUILD) CHECK_MINUTES
takes_check-all  := $(BUILD) CHECK_MINUTES
takes_record     := BASE CACHE
takes_report     := BASE CACHE TABLE
takes_menuconfig := CACHE
takes_clean      :=
goals := $(or $(MAKECMDGOALS),help)

# Choices: the command line wins, then .config (make menuconfig), then a default
# in the scripts. What make check runs is not a matter of choice.
ifeq ($(filter check check-all,$(goals)),)
-include .config
endif
unquote = $(patsubst "%",%,$(1))
BASE      ?= $(or $(call unquote,$(CONFIG_BASE)),mainline)
KASAN     ?= $(CONFIG_KASAN)
DEVICES   ?= $(if $(filter lab,$(goals)),$(call unquote,$(CONFIG_LAB_DEVICES)))
SCENARIOS ?= $(if $(filter lab,$(goals)),$(call unquote,$(CONFIG_LAB_SCENARIOS)))
MMIO      ?= $(if $(filter lab,$(goals)),$(call unquote,$(CONFIG_LAB_MMIO)))

# (An empty one is none.)
$(foreach v,KASAN DEVICES SCENARIOS MMIO,$(if $($(v)),,$(eval override undefine $(v))))
known := $(sort $(foreach v,$(filter takes_%,$(.VARIABLES)),$($(v))))

# CFLAGS and the like are not ours, but make's own (SHELL, -f ...) must pass.
given := $(foreach v,$(filter-out MAKEFLAGS MAKEOVERRIDES SHELL -%,$(.VARIABLES)),$(if $(filter command,$(origin $(v))),$(v)))
takes := $(foreach g,$(goals),$(takes_$(g)))
export $(takes)
unexport $(filter-out $(takes),$(known))
$(foreach v,$(filter-out $(known),$(given)),$(error $(v)=$($(v)): there is no such variable; there are: $(known)))
$(foreach v,$(filter-out $(takes),$(given)),$(error $(v)=$($(v)): make $(goals) does not look at it; it looks at: $(or $(sort $(takes)),nothing)))

# Each target: what it needs to look at its choices, these, then what it needs.
choices = $(S)/need series && $(PYTHON) review choices $@ $(if $(1),&& $(S)/need $(1))

.PHONY: $(patsubst takes_%,%,$(filter takes_%,$(.VARIABLES)))
# One thing after the other, whatever -j says: make tree refresh.
.NOTPARALLEL:

help:
	@sed -n 's/^#? \{0,1\}//p' Makefile

#? A kernel patch series: composed, built, tested, mailed from here.
#?
#? The patches
#?   make series      out/<base>/<topic>/*.patch with cover letters, ready to send
#?   make tree        build/<base>/linux: a git tree, tag base, then one commit per patch
#?   make refresh     the commits made or amended there, back into patches/ and the new files
#?   make rebase LINUX=path   all topics onto a newer kernel; CONTINUE=1, SKIP=1, ABORT=1 as git rebase
#?   make overlaps    which topics change the same files, and lines next to each other
#?   make send TOPIC=name   whom git send-email would mail; SELF=1 mails you, REALLY=1 mails them
#?   make trailers TOPIC=name MBOX=file   Reviewed-by and the like of a thread into the patches
#?   make verify TOPIC=name MBOX=file   is a mailbox what was sent, for b4 and git am too?
#? Are they right?
#?   make lint        topics and messages; checkpatch, W=1, sparse, kernel-doc: what each commit adds
#?   make each-commit each commit builds, on five architectures and without PCI, IOV, hotplug
#?   make backport-check  the stable bases: each patch applies, or has a reason not to
#?   make docs        the pages of the series, by htmldocs; says where they are
#? Do they work?
#?   make kernel      a bootable test kernel; its path is printed last
#?   make lab         yank devices from that kernel in QEMU (KTAP on stdout)
#?   make sweep       the same at every point of what the driver does
#?   make soak        the same again and again, at random points
#?   make kunit       the KUnit suites, on UML, x86_64 and arm64 (TAP on stdout)
#?   make prove       which KUnit case, case of the lab or point of the sweep fails without each fix
#?   make mutate      which of the tests notice that the code was broken on purpose
#?   make bisect-demo git bisect run over the series, the lab as its test: what mends a hang?
#? All of it
#?   make check       as CI runs it; ends with N passed, N failed, N skipped
#?   make check-all   and what takes hours: everything in the lab, each KUNIT, mail, docs
#?   make record      what the last make lab, make lab PRISTINE=1 and make check gave, into results/
#?   make report      out/report.html, and the tables in README.md and covers, from results/
#?   make menuconfig  choices, kept in .config; also: make quick_defconfig full_defconfig
#?   make clean       removes build/ and out/ (not the cache), unless work would be lost
#?
#? What of it: a value that does not exist is refused, and a variable that the target ignores
#?   BASE=mainline    a directory of patches/: mainline 6.12.y 6.1.y 6.1.4
#?   TOPIC=name       one topic of the base: series tree refresh rebase send trailers verify lint
#?                    prove each-commit mutate
#?   PATCH=words      patches whose names have one of these words: lint prove each-commit series
#?                    (their mails, without cover letter); of tools/series/mutations: mutate
#?   DEVICES=names    devices of the lab: lab sweep soak bisect-demo (one)
#?   SCENARIOS=names  what is done to them: lab bisect-demo (one); see tools/lab/lab --help
#?   CYCLES=n         how often what is to be done again and again is (4): lab
#?   MINUTES=n        start nothing after that time, and skip it: lab sweep soak
#?   PHASES=names DYING=event,silent STEP=n POINTS=list HANDFUL=n SEED=n
#?                    when to yank; see tools/lab/sweep --help: sweep soak
#?   RESUME=1         go on where runs of the same kernel have stopped (MINUTES=): sweep
#?   MMIO=ones|zeros   what reads from a vanished device give: lab sweep soak; both: lab
#?   PRISTINE=1       the base without the series: kernel lab sweep soak
#?   KASAN=y          a kernel with KASAN: kernel lab sweep soak
#?   KERNEL=path      somebody's bzImage: lab sweep soak
#?   KUNIT=parts      of um x86_64 arm64, these with -kasan, x86_64-modules (all of them): kunit
#?   CONFIGS=names    of x86_64 arm64 powerpc64le s390x i386 pci-n iov-n hotplug-n suites (all):
#?                    each-commit
#?   LINT=topics|tree compile at the end of each topic, or of all, not at each commit: lint
#?   BASES='6.1.y ..' these only: backport-check
#?   TABLE=1          print the table of results instead: report
#? How
#?   JOBS=n           parallel compilations (one more than there are processors)
#?   MACHINES=n       how many QEMUs at a time (one per processor): lab sweep soak
#?   LINUX=path       a kernel tree of your own (git or plain; never written to)
#?   UPDATE=1         look for a newer source of the base
#?   CACHE=dir        downloads and imported sources (~/.cache/pci-surprise-removal)
#?   CHECK_MINUTES=85 all of make check (600 of check-all)
#?   SIGNOFF=1        your Signed-off-by; TRAILERS='A: b; C: d' for more: series send
#?   DISCLOSE=file    what you say of tools that helped, or none: series send verify
#?   V=n              [PATCH vn], with what changed and a range-diff: series send verify

series tree refresh rebase overlaps:
	@$(choices)
	@$(STACK) $@

send:
	@$(call choices,send)
	@$(STACK) send

trailers verify:
	@$(call choices,b4)
	@$(STACK) $@

kernel kunit each-commit mutate:
	@$(call choices,kernel)
	@$(S)/$@

lab:
	@$(call choices,kernel lab)
	@$(S)/run-lab

sweep soak:
	@$(call choices,kernel lab)
	@$(S)/run-lab $@

prove bisect-demo:
	@$(call choices,kernel lab)
	@$(S)/$@

docs:
	@$(call choices,docs)
	@$(S)/docs

lint:
	@$(call choices,kernel lint)
	@$(S)/lint-tools
	@$(S)/lint-messages
	@$(S)/lint-code

backport-check:
	@$(choices)
	@$(S)/backport-check

check:
	@$(choices)
	@$(S)/check

check-all:
	@$(choices)
	@ALL=1 $(S)/check

record report:
	@$(choices)
	@$(PYTHON) review $@ $(if $(TABLE),--table)

menuconfig:
	@$(S)/need menuconfig
	@KCONFIG_CONFIG=.config kconfig-mconf Kconfig

%_defconfig: configs/%_defconfig
	@$(S)/need menuconfig
	@KCONFIG_CONFIG=.config kconfig-conf --defconfig=$< Kconfig

clean:
	@$(STACK) clean
