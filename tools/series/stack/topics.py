# SPDX-License-Identifier: GPL-2.0-only
"""Which patch, and which topic, each commit of a user's tree is."""

import re

from .util import die


def slug(subject):
    """A file name of a subject, as git format-patch would cut it."""
    s = re.sub(r"[^a-z0-9]+", "-", subject.lower()).strip("-")
    if len(s) > 52:
        s = re.sub(r"^(.{20,52})-.*", r"\1", s)
    return s[:52].rstrip("-")


def known_patches(commits, notes, subjects, old):
    """commit -> path, by its notes (more than one after a squash), else by its subject."""
    of, claimed = {}, set()
    for c in commits:
        for p in notes.get(c, []):
            if p in old and p not in claimed:
                of[c] = p
                claimed.add(p)
                break
    for c in commits:
        if c not in of:
            for p in old:
                if p not in claimed and p.rsplit("/", 1)[1] == slug(subjects[c]) + ".patch":
                    of[c] = p
                    claimed.add(p)
                    break
    return of


def longest_increasing(values):
    """Indices of a longest increasing subsequence: what was not moved."""
    best = []	# best[i]: (length, index before) of the longest that ends at i
    for i, v in enumerate(values):
        length, before = max(((best[j][0], j) for j in range(i) if values[j] < v), default=(0, -1))
        best.append((length + 1, before))
    i = max(range(len(values)), key=lambda k: best[k][0], default=-1)
    kept = set()
    while i >= 0:
        kept.add(i)
        i = best[i][1]
    return kept


def topics_of(commits, of, topic_of_patch, order, wanted, subjects):
    """commit -> topic. order: path -> its place in the whole tree, before.

    A known commit keeps its topic, unless it was moved into the middle of another
    one's. A new one takes that of its neighbours, the one before it if they
    differ; wanted (TOPIC=) overrides that."""
    known = [c for c in commits if c in of]
    stay = longest_increasing([order[of[c]] for c in known])
    fixed = {c: topic_of_patch[of[c]] for i, c in enumerate(known) if i in stay}
    topics = dict(fixed)

    def neighbours(i):
        before = next((topics[c] for c in reversed(commits[:i]) if c in topics), None)
        after = next((fixed[c] for c in commits[i + 1:] if c in fixed), None)
        return before, after
    for i, c in enumerate(commits):
        if c in topics:
            continue
        before, after = neighbours(i)
        if c in of:
            topics[c] = before if before and before == after else topic_of_patch[of[c]]
        else:
            topics[c] = wanted or before or after
            if not topics[c]:
                die(f"the series is empty, so commit \"{subjects[c]}\" has no topic: make refresh TOPIC=name")
    return topics


def rewrite_series(text, entries):
    """A topic's series: its head, then each line with the comments above it.
    entries: (name as the file has it, whole line); the old text keeps its words."""
    def key(line):
        words = re.sub(r"#.*", "", line).split()
        return words[0] if words else None

    def norm(line):
        return " ".join(re.sub(r"(^|\s)#.*", "", line).split())
    head, above, raw, pending, in_head = "", {}, {}, "", True
    for line in text.splitlines(True):
        k = key(line)
        if k is None:
            pending += line
            if in_head and (not line.strip() or line.startswith("# SPDX")):
                head, pending = head + pending, ""
        else:
            in_head = False
            above[k], raw[k], pending = pending, line, ""
    out = [head]
    for old, line in entries:
        out.append(above.get(old, ""))
        out.append(raw[old] if old in raw and norm(raw[old]) == line else line + "\n")
    return "".join(out) + pending
