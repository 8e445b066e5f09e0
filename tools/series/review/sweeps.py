# SPDX-License-Identifier: GPL-2.0-only
"""What make sweep and make soak found, into results/: a row for each device,
phase and way of dying, base and series side by side.

out/lab/sweep-<base>*.d has a file for each run of the same kernel; what was not
run again stays as it was recorded, if it was of the same kernel. A handful of
points is no measure of a phase, and is left out. The points that failed are
listed after the rows.
"""

import datetime
import json

from .results import LICENCE, SIDES

COUNTS = ("sites", "planned", "points", "never", "splat", "slow", "good")
KEY = ("device", "phase", "dying")
OF_A_POINT = ("point", "access", "verdict", "site", "wrong")


def key_of(row):
    return tuple(str(row.get(k, "")) for k in KEY)


def runs(where):
    """about, each row as it went last, and its failing points"""
    path = where / "about.json"
    if not path.exists():
        return None, {}, {}
    about, found, failing = json.loads(path.read_text()), {}, {}
    for path in sorted(where.glob("[0-9]*.json")):
        data = json.loads(path.read_text())
        if isinstance(data, dict) and data.get("handful"):
            continue
        rows = data if isinstance(data, list) else data.get("rows", [])
        for row in rows:
            if not row.get("skipped"):
                found[key_of(row)] = {k: row[k] for k in COUNTS if k in row}
                failing[key_of(row)] = [
                    {k: point[k] for k in OF_A_POINT if k in point}
                    for point in row.get("failing", [])]
    return about, found, failing


def record(tool, base, places):
    """The text of results/<tool>.json as of now, or none if there were no runs"""
    path = places.results / f"{tool}.json"
    old = json.loads(path.read_text()) if path.exists() else {}
    about, rows, wrong = {}, {}, []
    for side, suffix in SIDES.items():
        about[side], found, failing = runs(
            places.lab / f"{tool}-{base}{suffix}.d")
        last = (old.get("about") or {}).get(side)
        if found:
            about[side]["date"] = str(datetime.date.today())
        elif last:
            about[side] = last
        if last and about[side].get("tree") == last.get("tree"):
            for row in old.get("rows", []):
                if side in row and key_of(row) not in found:
                    found[key_of(row)] = row[side]
                    failing[key_of(row)] = [
                        point for point in old.get("failing", [])
                        if point["side"] == side and
                        key_of(point) == key_of(row)]
        for key, counts in found.items():
            rows.setdefault(key, {})[side] = counts
            wrong += [dict(zip(KEY, key)) | {"side": side} | point
                      for point in failing.get(key, [])]
    if not rows:
        return None
    lines = [json.dumps(dict(zip(KEY, key)) | both)
             for key, both in rows.items()]
    head = json.dumps({"licence": LICENCE, "base": base, "about": about},
                      indent=1)
    text = head[:-2] + ',\n "rows": [\n  ' + ",\n  ".join(lines) + "\n ]"
    if wrong:
        text += ',\n "failing": [\n  ' + ",\n  ".join(
            map(json.dumps, wrong)) + "\n ]"
    return text + "\n}\n"
