# SPDX-License-Identifier: GPL-2.0-only
"""review choices: are the values of these variables ones that exist?

Asked ahead of anything that takes time. Each variable comes from the
environment, as the Makefile passes it on.
"""

import os
import re
import subprocess

from stack import disclosure

from .layout import TOP, Base, LayoutError, bases, words

KUNIT = ("um x86_64 arm64 um-kasan x86_64-kasan arm64-kasan "
         "x86_64-modules").split()
CONFIGS = ("x86_64 arm64 powerpc64le s390x i386 pci-n iov-n hotplug-n "
           "suites").split()


def one_of(name, value, known):
    for word in words(value):
        if word not in known:
            raise LayoutError(f"{name}={word}: one of: {' '.join(known)}")


def number(name, value):
    if not re.fullmatch(r"[1-9]\d*", value):
        raise LayoutError(f"{name}={value}: a number from 1 on")


def yes(name, value):
    if value not in ("1", "y"):
        raise LayoutError(f"{name}={value}: {name}=1, or leave it out")


def path(name, value):
    if name == "LINUX" and not os.path.isdir(value):
        raise LayoutError(f"{name}={value}: no such directory")
    if not os.path.exists(value):
        raise LayoutError(f"{name}={value}: no such file")


def lab(env, tool="lab"):
    """Devices and scenarios, or phases: the lab itself knows"""
    names = ("DEVICES", "SCENARIOS", "MMIO") if tool == "lab" else \
        ("DEVICES", "PHASES", "DYING", "MMIO", "POINTS", "STEP", "HANDFUL")
    args = [TOP / "tools/lab" / tool, "--list"]
    for name in names:
        if env.get(name):
            args += ["--" + name.lower(), ",".join(words(env[name]))]
    if len(args) == 2 or not args[0].exists():
        return
    listed = subprocess.run(args, capture_output=True, text=True)
    if listed.returncode:
        said = (listed.stderr.strip().splitlines() or ["?"])[-1]
        said = re.sub(r"^(lab|sweep): (error: )?(lab: )?", "", said)
        raise LayoutError(" ".join(
            f"{n}={env[n]}" for n in names if env.get(n)) + f": {said}")


def mutations(env, where=TOP / "tools/series/mutations"):
    """make mutate: TOPIC= and PATCH= are of the ways to break the code"""
    topics = {path.stem: path.read_text()[2:].split(":")[0]
              for path in sorted(where.glob("*.diff"))}
    wanted = words(env.get("TOPIC"))
    for name in wanted:
        one_of("TOPIC", name, sorted(set(topics.values())))
    names = [m for m, t in topics.items() if not wanted or t in wanted]
    for word in words(env.get("PATCH")):
        if not any(word in name for name in names):
            raise LayoutError(
                f"PATCH={word}: no mutation "
                f"{'of ' + env['TOPIC'] + ' ' if env.get('TOPIC') else ''}"
                "has this word in its name: see tools/series/mutations")


# What a target cannot do without.
REQUIRED = {"send": ["TOPIC"], "verify": ["TOPIC", "MBOX"],
            "trailers": ["TOPIC", "MBOX"]}


def required(target, env):
    for name in REQUIRED.get(target, []):
        if not env.get(name):
            raise LayoutError(f"{name}= is missing: make {target} "
                              + " ".join(f"{n}=..." for n in REQUIRED[target]))
    if target == "rebase" and not any(
            env.get(n) for n in ("LINUX", "CONTINUE", "SKIP", "ABORT")):
        raise LayoutError("LINUX= is missing: onto which kernel tree?")
    if len(words(env.get("TOPIC"))) > 1:
        raise LayoutError(f"TOPIC={env['TOPIC']}: one topic, or none for all")


def check(env, target=""):
    base = Base(env.get("BASE") or "mainline")
    for name in words(env.get("BASES")):
        one_of("BASES", name, bases())
    if target == "mutate":
        mutations(env)
    else:
        base.chosen(env.get("TOPIC"), env.get("PATCH"))
    lab(env, target if target in ("sweep", "soak") else "lab")
    for name, known in (("KUNIT", KUNIT + ["all"]), ("CONFIGS", CONFIGS),
                        ("LINT", ["topics", "commits", "tree"])):
        one_of(name, env.get(name), known)
    if env.get("LINT") == "tree" and (env.get("TOPIC") or env.get("PATCH")):
        raise LayoutError("LINT=tree is of all topics: leave out TOPIC= and "
                          "PATCH=")
    for name in ("JOBS", "MACHINES", "V", "SEED", "MINUTES", "CYCLES",
                 "CHECK_MINUTES"):
        if env.get(name):
            number(name, env[name])
    for name in ("KASAN", "PRISTINE", "SIGNOFF", "REALLY", "UPDATE", "SELF",
                 "CONTINUE", "SKIP", "ABORT", "TABLE", "RESUME"):
        if env.get(name):
            yes(name, env[name])
    for name in ("KERNEL", "LINUX", "MBOX"):
        if env.get(name):
            path(name, env[name])
    disclosure.text(env.get("DISCLOSE", ""))
    for line in disclosure.trailers(env.get("TRAILERS", "")):
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9-]*: *\S.*", line):
            raise LayoutError(f"TRAILERS={line}: no trailer: "
                              "TRAILERS='Token: value; Token: value'")


def run(args):
    check(os.environ, args.target)
    required(args.target, os.environ)
    return 0
