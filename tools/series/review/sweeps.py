# SPDX-License-Identifier: GPL-2.0-only
"""What make sweep and make soak found, into results/: a row for each device,
phase and way of dying, base and series side by side.

out/lab/sweep-<base>*.d has a file for each run of the same kernel. Each row
says which kernel it is of: what was not run again stays as it was recorded, and
the report says that it is of other patches. Some points only (HANDFUL=, POINTS=,
STEP=) are no measure of a phase, and are left out. The points that failed are
listed after the rows.
"""

import datetime
import json
import re

from .results import LICENCE, SIDES

MEASURES = "sites", "planned", "points", "never", "splat", "slow", "good"
OTHERS = "missed", "unrepeated", "untried", "excused", "qemu", "kept_kB", \
    "unmeasured"
COUNTS = MEASURES + OTHERS + ("limit", "slowest")
KEY = ("device", "phase", "dying")
OF_A_POINT = ("point", "access", "verdict", "site", "wrong")
LATE = "out of time"


def key_of(row):
    return tuple(str(row.get(k, "")) for k in KEY)


def condense(row):
    """A row, without what is 0 in most of them"""
    if row.get("skipped"):
        return {"skipped": row["skipped"]}
    counts = {k: row[k] for k in COUNTS if k in row and (
        row[k] or k in MEASURES)}
    return counts | ({"broken": row["broken"]} if row.get("broken") else {})


def runs(where):
    """about, each row as it went last, and its failing points"""
    path = where / "about.json"
    if not path.exists():
        return None, {}, {}
    about, found, failing = json.loads(path.read_text()), {}, {}
    for path in sorted(where.glob("[0-9]*.json")):
        data = json.loads(path.read_text())
        if isinstance(data, list):
            data = {"rows": data}
        if data.get("mmio") == "zeros" or any(
                data.get(k) for k in ("handful", "chosen", "step")):
            continue
        for row in data["rows"]:
            if row.get("skipped") == LATE:
                continue
            found[key_of(row)] = condense(row)
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
        for row in found.values():
            row["digest"] = about[side].get("digest", "")
            row["date"] = about[side]["date"]
        for row in old.get("rows", []):
            key = key_of(row)
            if side in row and key not in found:
                found[key] = row[side]
                failing[key] = [point for point in old.get("failing", [])
                                if point["side"] == side and
                                key_of(point) == key]
        for key, counts in found.items():
            rows.setdefault(key, {})[side] = counts
            wrong += [dict(zip(KEY, key)) | {"side": side} | point
                      for point in failing.get(key, [])]
    if not rows:
        return None
    lines = [json.dumps(dict(zip(KEY, key)) | both)
             for key, both in rows.items()]
    head = {"licence": LICENCE, "base": base, "about": about}
    if tool == "sweep":
        head["left"] = {}
        for device, phase, dying in places.points():
            if not current(rows.get((device, phase, dying), {}), head):
                head["left"].setdefault(device, []).append(phase)
    head = json.dumps(head, indent=1)
    text = head[:-2] + ',\n "rows": [\n  ' + ",\n  ".join(lines) + "\n ]"
    if wrong:
        text += ',\n "failing": [\n  ' + ",\n  ".join(
            map(json.dumps, wrong)) + "\n ]"
    return text + "\n}\n"


# ---- and the table of it --------------------------------------------------

WORDS = ("never", "splat", "slow", "good")


def words(counts, latest=None):
    """40 of 44: 3 never, 37 good"""
    if not counts:
        return "not run"
    if counts.get("skipped"):
        text = f"skip: {counts['skipped']}"
    else:
        text = f"{counts.get('points', 0)} of {counts.get('planned', '?')}: " + (
            ", ".join(f"{counts[k]} {k}" for k in WORDS + OTHERS
                      if counts.get(k)) or "none")
        if counts.get("slowest"):
            text += f"; {counts['slowest']:.2f} s at most"
    if counts.get("broken"):
        text += f"; without a yank: {counts['broken']}"
    if latest and counts.get("digest") != latest:
        text += f" (stale, of {counts.get('date', '?')})"
    return text.replace("|", "\\|")


def latest(data, side="series"):
    return (data.get("about", {}).get(side) or {}).get("digest")


def current(row, data):
    """Is there a row of the series, and of its latest patches?"""
    series = row.get("series")
    return bool(series) and series.get("digest", "") == (latest(data) or "")


def table(data):
    """Heads and rows of words; what is of other patches than the latest says so"""
    body = []
    for row in data["rows"]:
        both = [row.get(side) or {} for side in SIDES]
        sites = next((str(s["sites"]) for s in reversed(both)
                      if s.get("sites")), "")
        body.append([*key_of(row), sites, *(
            words(row.get(side), latest(data, side)) for side in SIDES)])
    return [*KEY, "sites", *SIDES], body


def summary(data):
    """Of the latest patches: what was tried, what came of it, what was not run"""
    rows = [row["series"] for row in data["rows"] if current(row, data)]
    tried = [row for row in rows if not row.get("skipped")]
    total = {k: sum(row.get(k, 0) for row in tried) for k in COUNTS}
    part = sum(row.get("points", 0) + row.get("missed", 0) +
               row.get("qemu", 0) < row.get("planned", 0) for row in tried)
    text = (f"Series: {total['points']} points in {len(tried)} rows, "
            + ", ".join(f"{total[k]} {k}" for k in WORDS)
            + f"; {part} of the rows are not complete.\n")
    limit, slowest = (max((row.get(k, 0) for row in tried), default=0)
                      for k in ("limit", "slowest"))
    if slowest:
        text = text[:-2] + f"; gone after {slowest:.2f} s at most.\n"
    if limit:
        text += ("\nSlow is what takes longer than a second, times what the machine "
                 f"takes longer for a boot than 5 s: at most {limit:g} s.\n")
    left = data.get("left", {})
    begun = {row["device"] for row in data["rows"] if current(row, data)}
    parts = [f"{device} {', '.join(phases)}" for device, phases in left.items()
             if device in begun]
    whole = [device for device in left if device not in begun]
    if parts:
        text += "\nNot run: " + "; ".join(parts) + ".\n"
    if whole:
        text += "\nNot begun: " + ", ".join(whole) + ".\n"
    return text


def failing(data):
    """What failed of the latest patches: a line for each point"""
    lines = []
    for point in data.get("failing", []):
        row = next((row for row in data["rows"]
                    if key_of(row) == key_of(point)), {})
        if point["side"] == "series" and current(row, data):
            text = (f"- {'.'.join(key_of(point))}, access "
                    f"{point.get('access', '?')}: {point.get('verdict', '?')} "
                    f"after {point.get('site', '?')}: "
                    + "; ".join(point.get("wrong", [])))
            lines.append(re.sub(r"([<>|*_])", r"\\\1", text))
    return "\nThat failed:\n\n" + "\n".join(lines) + "\n" if lines else ""
