# SPDX-License-Identifier: GPL-2.0-only
"""Which test stands for each fix: what make prove reverts, and runs."""

import re
from pathlib import Path

from .layout import TOP, Base, LayoutError, lines, message_of
from .lint import composed
from .rules import UNTESTED

CASE = re.compile(r'(?:reproduced|exercised) by the KUnit case "?'
                  r'(\w+:\w+)', re.I)
# What a message says that has no test.
WHY = re.compile(r"(no functional change|no change in behaviou?r|"
                 r"no misbehaviour is known|compile-tested( only)?|"
                 r"from reading the code|(seen|tested|reproduced) in QEMU)"
                 r".*?(\.(?= |$)|$)", re.I)
LAB = "tools/series/prove.lab"


def lab_cases(top=TOP):
    """NAME: [(case, [what goes with it, the last one first])]"""
    found = {}
    for line in lines(top / LAB):
        name, case, *rest = line.split()
        found.setdefault(name, []).append((case, rest[::-1]))
    return found


def undone(top=TOP):
    return {p.stem for p in (top / "tools/series/undo").glob("*.diff")}


def unknown(base, top=TOP):
    """Of prove.lab and undo/, what no patch of the base is called"""
    names = {p.name for p in base.patches()}
    for name, cases in lab_cases(top).items():
        for word in [name, *(word for _, rest in cases for word in rest)]:
            if word not in names:
                yield f"{LAB}: {word}: no patch is called so"
    for name in sorted(undone(top) - names):
        yield f"tools/series/undo/{name}.diff: no patch is called so"


def cases_of(patch, cases):
    """[(case, what goes with it)], or [("", the reason that there is none)]"""
    prose = " ".join(message_of(patch).split())
    kunit = CASE.search(prose)
    if kunit:
        return [(kunit[1], [])]
    if patch.name in cases:
        return cases[patch.name]
    why = WHY.search(prose)
    return [("", [why[0]] if why else [])]


def is_test(patch):
    """Brings tests, or changes nothing else"""
    return any(UNTESTED.match(f) for f in patch.files) or \
        all(UNTESTED.match(f) for f in patch.touches())


def run_plan(args):
    """Lines NAME COMMIT CASE WITH...; CASE is - if there is none, with why"""
    base = Base(args.base)
    commits = {path: commit for commit, path in composed(Path(args.composed))}
    cases = lab_cases() if base.name == "mainline" else {}
    bad = list(unknown(base)) if base.name == "mainline" else []
    if bad:
        raise LayoutError(bad[0])
    found = False
    for patch in base.chosen(args.topic, args.patch):
        if is_test(patch):
            continue
        for case, rest in cases_of(patch, cases):
            print("\t".join([patch.name, commits[patch.path], case or "-",
                             " ".join(rest)]))
        found = True
    if not found:
        raise LayoutError("no fix is among the patches chosen")
