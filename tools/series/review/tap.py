# SPDX-License-Identifier: GPL-2.0-only
"""TAP and KTAP: what the tools print of their results, and read of others'."""

import re
import sys

LINE = re.compile(r"^( *)(not )?ok\b(?: (\d+))?(?: -)? ?(.*)$")
SKIP = re.compile(r"# *SKIP\b *(.*)", re.I)


class Verdicts:
    """Prints a line for each, and counts"""

    def __init__(self, out=None):
        self.out = out or sys.stdout
        self.passed = self.failed = self.skipped = 0

    @property
    def total(self):
        return self.passed + self.failed + self.skipped

    def say(self, text):
        print(text, file=self.out, flush=True)

    def add(self, name, bad=(), warn=()):
        self.passed += not bad
        self.failed += bool(bad)
        self.say(f"{'not ok' if bad else 'ok'} {self.total} - {name}")
        for line in bad:
            self.say(f"# {line}")
        for line in warn:
            self.say(f"# warning: {line}")

    def skip(self, name, why):
        self.skipped += 1
        self.say(f"ok {self.total} - {name} # SKIP {why}")

    def end(self):
        self.say(f"1..{self.total}")
        self.say(f"{self.passed} passed, {self.failed} failed, "
                 f"{self.skipped} skipped")
        return 3 if self.failed else 0


def results(text):
    """(depth, result, name, detail) of each line that is one"""
    for line in text.splitlines():
        m = LINE.match(line)
        if not m:
            continue
        skip = SKIP.search(m[4])
        name, _, detail = m[4].partition(" # ")
        yield (len(m[1]) // 4, "skip" if skip else
               "fail" if m[2] else "pass", name.strip(),
               skip[1] if skip else detail.strip())


def count(text):
    """passed, failed, skipped: subtests too"""
    found = [result for _, result, _, _ in results(text)]
    return tuple(found.count(what) for what in ("pass", "fail", "skip"))
