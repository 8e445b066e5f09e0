# SPDX-License-Identifier: GPL-2.0-only
"""What a sweep found: rows of device, phase and way of dying."""

import glob
import json
import os
from dataclasses import asdict, dataclass, field, fields

from points.point import GOOD, MISSED, NEVER, SLOW, SPLAT

LATE = "out of time"
MEMORY_VARIES = 1024    # kB


@dataclass
class Row:
    device: str
    phase: str
    dying: str
    skipped: str = None         # why, if nothing was tried
    broken: str = None          # what is wrong without any yank
    accesses: int = 0
    sites: int = 0
    planned: int = 0
    points: int = 0             # tried, and reached
    never: int = 0
    splat: int = 0
    slow: int = 0
    good: int = 0
    missed: int = 0             # the access did not come
    unrepeated: int = 0         # failed once, and not in a fresh machine
    untried: int = 0            # what comes before it failed, three times
    excused: int = 0            # good, if this machine was why they were late
    qemu: int = 0               # points at which QEMU aborts
    kept_kB: int = None         # more in use after all points than before
    unmeasured: int = 0         # 1: kept_kB could not be told
    limit: float = 0            # seconds to be gone in, where it was longest
    slowest: float = 0          # and what the slowest that is good took
    seconds: float = 0
    tried: dict = field(default_factory=dict)   # points, and what came of them
    failing: list = field(default_factory=list)
    names: list = field(default_factory=list)   # of the sites

    code = ()       # addresses of the instructions of its sites, not kept

    @property
    def name(self):
        return f"{self.device}.{self.phase}.{self.dying}"

    def add(self, point, outcome):
        self.tried[str(point)] = outcome.verdict
        if outcome.verdict == MISSED:
            self.missed += 1
            return
        self.points += 1
        self.excused += outcome.verdict == GOOD and outcome.excused
        if outcome.verdict == GOOD:
            self.slowest = max(self.slowest,
                               round(outcome.times.get("gone", 0), 2))
        setattr(self, outcome.verdict, getattr(self, outcome.verdict) + 1)

    @property
    def over(self):
        """Nothing is left to be tried in another run"""
        if self.skipped or self.broken or self.untried:
            return bool(self.skipped and self.skipped != LATE)
        return bool(self.seconds) and len(self.tried) >= self.planned

    @property
    def leaks(self):
        # A page each time, and what slabs and per-CPU caches vary by
        return (self.kept_kB or 0) > 4 * self.points + MEMORY_VARIES

    @property
    def failed(self):
        # To have reached no point proves nothing
        return bool(self.never or self.splat or self.slow or self.broken or
                    self.untried or self.leaks or
                    self.planned and not self.points and not self.skipped)

    def counts(self):
        words = [f"{self.accesses} accesses from {self.sites} sites",
                 f"{self.points} of {self.planned} points"]
        words += [f"{getattr(self, kind)} {kind}"
                  for kind in (NEVER, SPLAT, SLOW, GOOD, MISSED, "unrepeated",
                               "untried", "excused", "qemu", "unmeasured")
                  if getattr(self, kind)]
        if self.kept_kB is not None:
            words.append(f"{self.kept_kB} kB more in use"
                         + (": too much" if self.leaks else ""))
        return ", ".join(words)

    def ktap(self, nr):
        if self.skipped:
            return [f"ok {nr} {self.name} # SKIP {self.skipped}"]
        lines = [f"# {self.name}: {self.broken}"] if self.broken else []
        for failing in self.failing:
            lines += [f"# {self.name}: {failing['verdict']} after "
                      f"{failing['site']}", *(
                          f"#   {line}" for line in failing["wrong"] +
                          failing["notes"][:40]),
                      f"#   again: {failing['repeat']}"]
        return [*lines, f"{'not ok' if self.failed else 'ok'} {nr} "
                f"{self.name} # {self.counts()}"]


def table(rows):
    head = ["device", "phase", "dying", "sites", "points", NEVER, SPLAT, SLOW,
            GOOD]
    lines = [head]
    for row in rows:
        if not row.skipped:
            lines.append([str(getattr(row, name)) for name in head])
    widths = [max(map(len, column)) for column in zip(*lines)]
    return ["# " + "  ".join(text.ljust(width) for text, width
                             in zip(line, widths)).rstrip() for line in lines]


def write(path, rows, **about):
    with open(path + ".new", "w") as f:
        json.dump({**about, "rows": [asdict(row) for row in rows]}, f,
                  indent=1)
        f.write("\n")
    os.replace(path + ".new", path)


def load(where, mmio):
    """Rows of earlier runs that were to try every site, each as it was last"""
    rows, known = {}, {f.name for f in fields(Row)}
    for path in sorted(glob.glob(os.path.join(where, "[0-9]*.json"))):
        with open(path) as f:
            data = json.load(f)
        if data["mmio"] != mmio or any(
                data.get(name) for name in ("step", "handful", "chosen", "soak")):
            continue
        for words in data["rows"]:
            # (One that does not say what was tried is of an older sweep.)
            row = Row(**{k: v for k, v in words.items() if k in known})
            if row.skipped != LATE and "tried" in words:
                rows[row.name] = row
    return rows
