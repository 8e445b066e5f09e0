# SPDX-License-Identifier: GPL-2.0-only
"""make overlaps: which topics change the same files, and where within 3 lines of each
other. Those compose together, by a three-way merge, but whoever applies one of them
second has to look."""

import re
from itertools import combinations

from .commands import load
from .compose import Composer
from .repo import Repo


def hunks(text):
    """path -> [(first, last)]: the lines of the base that a diff -U0 changes."""
    found, path = {}, None
    for line in text.splitlines():
        if line.startswith("--- "):
            path = line[6:] if line.startswith("--- a/") else None
        m = re.match(r"@@ -(\d+)(?:,(\d+))? ", line)
        if m and path:
            start, n = int(m[1]), int(m[2] or 1)
            found.setdefault(path, []).append((start, start + max(n, 1) - 1))
    return found


def near(a, b, lines=3):
    return any(x[0] - lines <= y[1] and y[0] - lines <= x[1] for x in a for y in b)


def overlaps(args):
    repo = Repo(load(args)).open()
    repo.lock()
    with Composer(repo) as composer:
        tips = {}
        for name in repo.base.topics:
            below, own = composer.stack(name)
            tips[name] = (below[-1].commit if below else repo.commit, own[-1].commit if own else None)
    diffs = {}
    for name, (start, tip) in tips.items():
        if tip:
            def diff(to):
                return hunks(repo.git("diff-tree", "-r", "-p", "-U0", "--no-renames", repo.commit, to))
            below, whole = diff(start), diff(tip)
            diffs[name] = {f: [h for h in hs if h not in below.get(f, [])] for f, hs in whole.items()}
            diffs[name] = {f: hs for f, hs in diffs[name].items() if hs}
    for a, b in combinations(diffs, 2):
        for f in sorted(set(diffs[a]) & set(diffs[b])):
            needed = a in repo.base.closure(b)
            where = "lines within 3 lines of each other" if near(diffs[a][f], diffs[b][f]) else "different places"
            print(f"{a} and {b}: {f}: {where}" + (f" ({b} needs {a})" if needed else ""))
