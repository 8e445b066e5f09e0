# SPDX-License-Identifier: GPL-2.0-only
"""Fixes: and Cc: stable lines, as submitting-patches and stable-kernel-rules
want them, and as fixes.known has what they name."""

import re

FIXES = re.compile(r'Fixes: ([0-9a-f]{12}) \("(.+)"\)')
STABLE = re.compile(r"Cc: (?:stable@vger\.kernel\.org|"
                    r"<stable@vger\.kernel\.org>)(?: # (.+))?")
NOTE = re.compile(r"v?\d+\.\d+(?:\.[\dx]+)?\+?"
                  r"(?:: ([0-9a-f]{7,40}): (.+))?|after -rc\d+|see .+")
VERSION = re.compile(r"v?\d+\.\d+")


class Trailers:
    """What a message says in them, and what is wrong with that"""

    def __init__(self, message, known, base):
        self.known, self.base = known, base
        self.said, self.bad, self.fixes = [], [], []
        self.stable = self.versioned = self.fixed = False
        lines = message.strip().splitlines()
        # (The last paragraph, unless it is prose.)
        start = max((i for i, line in enumerate(lines) if not line),
                    default=len(lines))
        for i, line in enumerate(lines):
            if re.match(r"\s*fixes\s*:", line, re.I):
                self.read_fixes(line)
            elif re.match(r"\s*cc:.*stable", line, re.I):
                self.read_stable(line)
            else:
                continue
            if i <= start:
                self.bad.append("not among the trailers at the end of the "
                                f"message: {line}")

    def lookup(self, sha, subject):
        full = [k for k in self.known.values()
                if k.sha.startswith(sha) or sha.startswith(k.sha)]
        if not full:
            self.bad.append(f"{sha} is not in tools/series/fixes.known: look "
                            "it up, and add it")
        elif full[0].subject != subject:
            self.bad.append(f'{sha} is "{full[0].subject}", not "{subject}"')

    def read_fixes(self, line):
        m = FIXES.fullmatch(line)
        if not m:
            self.bad.append('not of the form Fixes: <12 digits> ("<subject>")'
                            f", on one line: {line}")
            return
        self.fixed = True
        self.said.append("Fixes: " + m[1])
        self.lookup(m[1], m[2])
        entry = self.known.get(m[1])
        if entry:
            self.fixes.append(entry)
            if not entry.in_base(self.base):
                self.bad.append(f"{self.base} does not have {m[1]}, says "
                                "tools/series/fixes.known")

    def read_stable(self, line):
        m = STABLE.fullmatch(line)
        if not m:
            self.bad.append(f"not as stable-kernel-rules has it: {line}")
            return
        self.stable = True
        self.said.append("Cc: stable")
        if not m[1]:
            return
        self.versioned = bool(VERSION.match(m[1]))
        note = NOTE.fullmatch(m[1])
        if not note:
            self.bad.append("not a version, a prerequisite, nor a note (see "
                            f"..., after -rcN): # {m[1]}")
        elif note[1]:
            self.lookup(note[1], note[2])


def missing(label, trailers, stable_bases):
    """A patch for stable is in each stable base that has what it fixes"""
    if not trailers.stable:
        return
    for base in stable_bases:
        if trailers.fixes and not any(k.in_base(base.name)
                                      for k in trailers.fixes):
            continue
        name = label.split("/", 1)[1]
        # (A stable base may have it in a topic of another name.)
        if name not in {p.name for p in base.patches()} and \
                label not in base.noted("left-out"):
            yield (f"{base.name} has what it fixes, but not the fix: add it "
                   f"to a topic of patches/{base.name}, or the reason to "
                   f"patches/{base.name}/left-out")
