# SPDX-License-Identifier: GPL-2.0-only
"""out/report.html: results/ as one page."""

import json

from . import results, sweeps
from .layout import LayoutError
from .picture import STYLE, escape, picture
from .results import SIDES

PAGE = """
:root{color-scheme:light dark}
body{background:var(--paper);color:var(--ink);max-width:64rem;margin:2rem auto;
padding:0 1rem;font:15px/1.5 system-ui,sans-serif}
h1{font-size:1.5rem;line-height:1.25}h2{font-size:1.15rem;margin-top:2.5rem}
table{border-collapse:collapse;font-size:13px}
th,td{border-bottom:1px solid var(--rule);padding:3px 10px 3px 0;
text-align:left;vertical-align:top}
th{font-weight:600}td.x{font-variant-numeric:tabular-nums;white-space:nowrap}
.fail{color:var(--bad)}.skip,.dim{color:var(--dim)}
.wide{overflow-x:auto}svg{max-width:100%;height:auto}
code,pre{font:13px ui-monospace,monospace;background:var(--band)}
pre{padding:.7rem;overflow-x:auto}summary{cursor:pointer}
"""


def table_of(head, body):
    def tds(row, tag):
        return "".join(c if c.startswith("<t") else
                       f"<{tag}>{escape(c)}</{tag}>" for c in row)
    return ('<div class="wide"><table><thead><tr>' + tds(head, "th") +
            "</tr></thead><tbody>" +
            "".join(f"<tr>{tds(r, 'td')}</tr>" for r in body) +
            "</tbody></table></div>")


def td(entry):
    kind = entry[0] if entry else ""
    return f'<td class="x {kind}">{escape(results.words(entry))}</td>'


def side_by_side(data):
    """Every case: both sides, and what failed"""
    for key, both in data["cases"].items():
        device, scenario, mode = key.split(".")
        why = [f"{side}: {both[side][2]}" for side in SIDES
               if side in both and both[side][2]]
        yield [device, scenario, mode, *(td(both.get(s)) for s in SIDES),
               f'<td class="dim">{escape("; ".join(why))}</td>']


def accesses(data):
    kinds, body = {}, []
    for both in data["cases"].values():
        for entry in both.values():
            kinds.update(entry[3] if len(entry) > 3 else {})
    for key, both in data["cases"].items():
        for side, entry in both.items():
            if len(entry) > 3:
                body.append([key, side, *(str(entry[3].get(k, ""))
                                          for k in kinds)])
    return table_of(["case", "kernel", *kinds], body) if body else ""


def section(data):
    about = data["about"]
    yield f"<h2>Base {escape(data['base'])}: what was run</h2>"
    yield table_of(["", "base", "series"], [
        [what, *(about[side].get(field) or "?" for side in SIDES)]
        for what, field in (("source", "what"), ("kernel", "kernel"),
                            ("tree", "tree"), ("patches", "patches"),
                            ("QEMU", "qemu"), ("recorded", "date"))] + [
        ["cases", *(", ".join(f"{n} {w}ed" if w != "skip" else f"{n} skipped"
                              for w, n in results.total(data, side).items())
                    for side in SIDES)]])
    yield "<h2>Time from the yank to gone</h2>"
    yield ('<p>Reads of the vanished device give all-ones, as on hardware. '
           '<i>Graceful</i> scenarios count from the request.</p>')
    yield picture(data)
    table = accesses(data)
    if table:
        yield "<h2>Accesses to the dead device, from the yank to gone</h2>"
        yield table
    check = data.get("check")
    if check:
        yield "<h2>make check, on the same patches</h2>"
        yield table_of(["stage", "passed", "failed", "skipped", "seconds"], [
            [s["name"], *(str(s[k]) for k in ("passed", "failed", "skipped",
                                              "seconds"))]
            for s in check["stages"]])
        built = [line for s in check["stages"] for line in s["lines"]]
        if built:
            yield (f"<details><summary>{len(built)} results by name</summary>"
                   + table_of(["result"], [[line] for line in built])
                   + "</details>")
    yield "<details><summary>All cases, all-ones and zeros</summary>"
    yield table_of(["device", "scenario", "reads give", "base", "series",
                "what failed, or why skipped"], list(side_by_side(data)))
    yield "</details>"


EXTRA = {
    "sweep": "Yanked at every point of an operation: make sweep",
    "soak": "Yanked again and again, from random operations: make soak",
    "mutate": "Is every check needed? The suites on broken kernels: make mutate",
}


def extras(places):
    for name, title in EXTRA.items():
        path = places.results / f"{name}.json"
        if not path.exists():
            continue
        heads, body, about = results.rows(path)
        if name == "sweep":     # counts in words
            heads, body = sweeps.table(json.loads(path.read_text()))
        yield f"<h2>{escape(title)}</h2>"
        if about:
            yield "<p>" + escape("; ".join(
                f"{k}: {v}" for k, v in about.items()
                if isinstance(v, (str, int, float)) and k != "licence")) + \
                "</p>"
        yield table_of(heads, body)


def page(places):
    found = sorted((p for p in places.results.glob("*.json")
                    if p.stem not in EXTRA),
                   key=lambda p: (p.stem != "mainline", p.stem))
    if not found:
        raise LayoutError("no results/*.json: make lab PRISTINE=1; make lab; "
                          "make record")
    body = "".join("".join(section(results.load(p.stem, places)))
                   for p in found) + "".join(extras(places))
    return (
        '<!DOCTYPE html>\n<html lang="en" class="r"><head>'
        '<meta charset="utf-8"><meta name="viewport" '
        'content="width=device-width"><title>Surprise removal of PCI devices:'
        f' report</title><style>{STYLE}{PAGE}</style></head><body>'
        '<h1>Surprise removal of PCI devices: what was measured</h1>'
        '<p>Devices of QEMU are taken away from outside, in the middle of '
        'what they do, once from the base kernel and once from the kernel '
        'with the series.</p>' + body + "<h2>To run it again</h2><pre>"
        "make lab PRISTINE=1; make lab; make record report</pre>"
        "</body></html>\n")
