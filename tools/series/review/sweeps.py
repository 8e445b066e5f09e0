# SPDX-License-Identifier: GPL-2.0-only
"""What make sweep and make soak found, into results/: a row for each device,
phase and way of dying, base and series side by side.

out/lab/sweep-<base>*.d has a file for each run of the same kernel; what was not
run again stays as it was recorded, if it was of the same kernel.
"""

import datetime
import json

from .results import LICENCE, SIDES

COUNTS = ("sites", "points", "never", "splat", "slow", "good")


def key_of(row):
    return tuple(str(row.get(k, "")) for k in ("device", "phase", "dying"))


def runs(where):
    """about, and each row as it went last"""
    path = where / "about.json"
    if not path.exists():
        return None, {}
    about, found = json.loads(path.read_text()), {}
    for path in sorted(where.glob("[0-9]*.json")):
        data = json.loads(path.read_text())
        rows = data if isinstance(data, list) else data.get("rows", [])
        for row in rows:
            if not row.get("skipped"):
                found[key_of(row)] = {k: row[k] for k in COUNTS if k in row}
    return about, found


def record(tool, base, places):
    """The text of results/<tool>.json as of now, or none if there were no runs"""
    path = places.results / f"{tool}.json"
    old = json.loads(path.read_text()) if path.exists() else {}
    about, rows = {}, {}
    for side, suffix in SIDES.items():
        about[side], found = runs(places.lab / f"{tool}-{base}{suffix}.d")
        last = (old.get("about") or {}).get(side)
        if found:
            about[side]["date"] = str(datetime.date.today())
        elif last:
            about[side] = last
        if last and about[side].get("tree") == last.get("tree"):
            for row in old.get("rows", []):
                if side in row:
                    found.setdefault(key_of(row), row[side])
        for key, counts in found.items():
            rows.setdefault(key, {})[side] = counts
    if not rows:
        return None
    lines = [json.dumps(dict(zip(("device", "phase", "dying"), key)) | both)
             for key, both in rows.items()]
    head = json.dumps({"licence": LICENCE, "base": base, "about": about},
                      indent=1)
    return head[:-2] + ',\n "rows": [\n  ' + ",\n  ".join(lines) + "\n ]\n}\n"
