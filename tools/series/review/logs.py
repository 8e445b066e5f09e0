# SPDX-License-Identifier: GPL-2.0-only
"""What KUnit in a guest, and the lab, have printed of their cases."""

import re
from dataclasses import dataclass
from pathlib import Path

from . import tap

# KUnit says PASS in spite of these.
BAD = re.compile(r"cut here|(^|\] )(WARNING|BUG|INFO): |suspicious RCU|KASAN|"
                 r"UBSAN|DEBUG_LOCKS|locking correctness validator|"
                 r"Kernel panic|Oops")


def plain(text):
    """A console's lines without colours and time stamps"""
    text = re.sub(r"\x1b\[[0-9;]*m", "", text)
    return [re.sub(r"^\[ *\d+\.\d+\] ", "", line.rstrip("\r"))
            for line in text.split("\n")]


@dataclass
class Guest:
    """cases: (result, name, detail) below the suites; rows: below these"""
    cases: list
    rows: int
    bad: list           # (line number, line)
    lines: list

    def case(self, name):
        return next((c for c in self.cases if c[1] == name), None)

    def went(self, name):
        """How a case went, in a word or two; empty if as it should"""
        found = self.case(name.rsplit(":", 1)[-1])
        what = self.bad[0][1] if self.bad else ""
        if not found:
            return "does not end" + (f": {what}" if what else "")
        if found[0] == "fail":
            return "fails"
        return f"passes, but: {what}" if what else ""

    def expectation(self):
        """The first one that failed, as KUnit has it"""
        for i, line in enumerate(self.lines):
            if "EXPECTATION FAILED" in line:
                return [text.strip() for text in self.lines[i:i + 7]]
        return []


def guest(text):
    lines = plain(text)
    found = [r for r in tap.results("\n".join(lines))]
    return Guest([(result, name, detail) for depth, result, name, detail
                  in found if depth == 1],
                 sum(depth == 2 for depth, *_ in found),
                 [(i + 1, line) for i, line in enumerate(lines)
                  if BAD.search(line)], lines)


def sweep_went(text, case):
    """How DEVICE.PHASE.DYING@POINTS went in a sweep of these points"""
    rows = {name: (result, detail)
            for _, result, name, detail in tap.results(text)}
    result, detail = rows.get(case.partition("@")[0], ("", ""))
    if result == "pass":
        return ""
    if result == "skip":
        return f"is skipped: {detail}"
    # (It fails as well if none of them was reached.)
    if re.search(r"\d (never|splat|slow)\b", detail):
        return f"fails: {detail}"
    return "does not run: " + (detail or last_line(text))


def last_line(text):
    return (text.strip().splitlines() or ["it said nothing"])[-1]


def lab_went(text, case):
    """How DEVICE.SCENARIO went in a run of the lab, and what of it failed"""
    bad, last = [], None
    for depth, result, name, detail in tap.results(text):
        if depth == 1 and result == "fail":
            bad.append(name + (f": {detail}" if detail else ""))
        if depth == 0:
            if name.startswith(case + "."):
                last = (result, bad, detail)
            bad = []
    if not last:
        return f"does not run: {last_line(text)}"
    result, bad, detail = last
    if result == "skip":
        return f"is skipped: {detail}"
    return "fails: " + "; ".join(bad) if result == "fail" else ""


def gone(text):
    """Did the device go? gone, never, or empty: it was not yanked"""
    for depth, result, name, detail in tap.results(text):
        if depth == 1 and name == "gone":
            if "not within" in detail:
                return "never"
            if " s, at most " in detail:
                return "gone"
    return ""


def run_gone(args):
    print(gone(read(args.log)))


def read(path):
    path = Path(path)
    return path.read_text(errors="replace") if path.exists() else ""


def run_kunit(args):
    """make kunit: its TAP lines of one part"""
    log = guest(read(args.log))
    out = {"pass": "ok", "fail": "not ok", "skip": "ok"}
    for result, name, detail in log.cases:
        tail = f" # SKIP {detail}" if result == "skip" else ""
        print(f"{out[result]} - kunit {args.part} {name}{tail}")
    if log.bad:
        print(f"not ok - kunit {args.part}: complaints of the kernel")
        for nr, line in log.bad[:5]:
            print(f"# {nr}:{line}")
    else:
        print(f"ok - kunit {args.part}: no WARN, BUG or lockdep line")
    print(f"# kunit {args.part}: {log.rows} rows of parameters")


def run_cases(args):
    """How many cases there were, and then what went wrong"""
    log = guest(read(args.log))
    print(len(log.cases))
    for result, name, _ in log.cases:
        if result == "fail":
            print(f"{name} fails")
    for nr, line in log.bad[:5]:
        print(f"{nr}:{line}")


def run_went(args):
    text = read(args.log)
    if "." not in args.case:
        print(guest(text).went(args.case))
    elif "@" in args.case:
        print(sweep_went(text, args.case))
    else:
        print(lab_went(text, args.case))


def run_expectation(args):
    print("\n".join("#   " + line
                    for line in guest(read(args.log)).expectation()))
