# SPDX-License-Identifier: GPL-2.0-only
"""review record: what was measured, from out/ into results/<base>.json.

out/lab/<base>*.d (make lab, with and without PRISTINE=1) and out/check.tsv
(make check) become results/<base>.json, a case a line, and its picture; what
was not run again of the same kernel stays as it was recorded last.
"""

import datetime
import json
import subprocess
import sys

from .layout import TOP, LayoutError

SIDES = {"base": "-pristine", "series": ""}
LICENCE = "SPDX-License-Identifier: GPL-2.0-only"
KINDS = ("pass", "fail", "skip")


class Places:
    """Where things are, so that a test can have its own"""

    def __init__(self, top=TOP):
        self.top = top
        self.lab, self.results = top / "out/lab", top / "results"
        self.check = top / "out/check.tsv"

    def order(self):
        """device.scenario of all cases, as the lab has them"""
        listed = subprocess.run(
            [self.top / "tools/lab/lab", "--list", "--devices", "all",
             "--scenarios", "all", "--mmio", "ones"],
            capture_output=True, text=True, check=True).stdout
        return [line.rsplit(".", 1)[0] for line in listed.split()]

    def points(self):
        """Device, phase and way of dying of all that is swept by default"""
        listed = subprocess.run([self.top / "tools/lab/sweep", "--list"],
                                capture_output=True, text=True, check=True)
        return [tuple(line.rsplit(".", 2)) for line in listed.stdout.split()]


def runs(where):
    """Of all runs of the same kernel, each case as it went last"""
    try:
        about = json.loads((where / "about.json").read_text())
    except FileNotFoundError:
        return None, {}
    cases = {}
    for path in sorted(where.glob("[0-9]*.json")):
        for line in path.read_text().splitlines():
            case = json.loads(line)
            cases[f"{case['device']}.{case['scenario']}.{case['mmio']}"] = case
    return about if cases else None, cases


def condense(case):
    """[result, seconds to gone or null, what failed or why skipped, counts]"""
    bad = [c["name"] for c in case["checks"] if not c["ok"]]
    entry = [case["result"], case["times"].get("gone"),
             case["reason"] if case["result"] == "skip" else " ".join(bad)]
    return entry + [case["counts"]] if case.get("counts") else entry


def last_check(path, tree):
    """The stages of the last make check, if it was of these patches"""
    try:
        head, *lines = path.read_text().splitlines()
    except FileNotFoundError:
        return None
    if head != tree:
        print("out/check.tsv is of other patches: left out", file=sys.stderr)
        return None
    stages = []
    for line in lines:
        name, *rest = line.split("\t")
        if name:
            stages.append({"name": name, "lines": [], **dict(zip(
                ("passed", "failed", "skipped", "seconds"), map(int, rest)))})
        else:
            stages[-1]["lines"] += rest
    return {"stages": stages}


def load(base, places=None):
    path = (places or Places()).results / f"{base}.json"
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        raise LayoutError(f"no results/{base}.json: make lab PRISTINE=1; "
                          "make lab; make record")


def gather(base, old, places):
    """about and cases of both sides, with what is kept of the last record"""
    today = str(datetime.date.today())
    about, cases = {}, {}
    for side, suffix in SIDES.items():
        about[side], found = runs(places.lab / f"{base}{suffix}.d")
        for key, case in found.items():
            cases.setdefault(key, {})[side] = condense(case)
            about[side]["kernel"] = case["kernel"] or about[side].get("kernel")
            about[side] |= {"qemu": case["qemu"], "date": today}
        last = old["about"].get(side)
        if not last:
            continue
        if not about[side]:
            print(f"not run, kept as recorded on {last['date']}: {side}")
            about[side] = last
        # Cases of the same kernel; what was run again is newer.
        if about[side]["tree"] == last["tree"]:
            for key, both in old["cases"].items():
                if side in both:
                    cases.setdefault(key, {}).setdefault(side, both[side])
    return about, cases


def record(base, places=None):
    """The text of results/<base>.json as of now"""
    places = places or Places()
    try:
        old = load(base, places)
    except LayoutError:
        old = {"about": {}, "cases": {}}
    about, cases = gather(base, old, places)
    for side, suffix in SIDES.items():
        if not about[side]:
            raise LayoutError(
                f"no results in out/lab/{base}{suffix}.d: run make lab"
                f"{' PRISTINE=1' * (side == 'base')} first")
    if about["base"]["what"] != about["series"]["what"]:
        raise LayoutError(
            f"the base was run on {about['base']['what']}, the series on "
            f"{about['series']['what']}: run both again")
    tree = about["series"]["tree"]
    check = last_check(places.check, tree)
    if not check and tree == old["about"].get("series", {}).get("tree"):
        check = old["check"]
    order = [f"{case}.{mode}" for case in places.order()
             for mode in ("ones", "zeros")]
    head = {"licence": LICENCE, "base": base, "about": about, "check": check}
    lines = [f"  {json.dumps(key)}: {json.dumps(cases[key])}"
             for key in order if key in cases]
    return json.dumps(head, indent=1)[:-2] + ',\n "cases": {\n' + \
        ",\n".join(lines) + "\n }\n}\n"


# ---- what there is ------------------------------------------------------

def axes(data, mode):
    """Devices and scenarios that have cases in this MMIO mode"""
    devices, scenarios = {}, {}
    for key in data["cases"]:
        device, scenario, m = key.split(".")
        if m == mode:
            devices[device] = scenarios[scenario] = True
    return list(devices), list(scenarios)


def cell(data, device, scenario, mode, side):
    return data["cases"].get(f"{device}.{scenario}.{mode}", {}).get(side)


def words(entry):
    """0.14; never; 0.14! if something else failed; failed ahead of it; skip"""
    if not entry:
        return ""
    result, gone, why = entry[:3]
    if result == "skip":
        return "skip"
    if result == "fail" and "gone" in why.split():
        return f"{gone:.2f}" if gone else "never"
    if gone is None:
        return "ok" if result == "pass" else "failed"
    return f"{gone:.2f}" + "!" * (result == "fail")


def total(data, side):
    got = [v[side][0] for v in data["cases"].values() if side in v]
    return {what: got.count(what) for what in KINDS}


def parts(data, most):
    """Side by side there is place for so many scenarios: devices, scenarios"""
    devices, scenarios = axes(data, "ones")
    for i in range(0, len(scenarios), most):
        part = scenarios[i:i + most]
        yield [d for d in devices
               if any(cell(data, d, s, "ones", side)
                      for s in part for side in SIDES)], part


def stale(data, digest):
    """Why a record is not of these patches; empty if it is"""
    about = data["about"]["series"]
    if about.get("digest") == digest:
        return ""
    count, _, commit = about["patches"].partition(", from ")
    return (f"recorded on {about.get('date', '?')} of {count} patches "
            f"({commit or '?'}): the patches have changed since")


# ---- sweep, soak, mutate: rows of what else was measured ------------------

def rows(path):
    """(heads, rows of words, about) of a list of objects, whatever it has"""
    data = json.loads(path.read_text())
    about = {k: v for k, v in data.items() if not isinstance(v, list)} \
        if isinstance(data, dict) else {}
    found = data if isinstance(data, list) else \
        next((v for v in data.values() if isinstance(v, list)), [])
    flat = []
    for row in found:
        line = {}
        for key, value in row.items():
            if isinstance(value, dict):
                line |= {f"{key} {k}": v for k, v in value.items()}
            else:
                line[key] = value
        flat.append(line)
    heads = list(dict.fromkeys(k for line in flat for k in line))
    return heads, [[word(line.get(h)) for h in heads] for line in flat], about


def word(value):
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.2f}"
    if isinstance(value, list):
        return ", ".join(map(word, value))
    return str(value)
