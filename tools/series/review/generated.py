# SPDX-License-Identifier: GPL-2.0-only
"""What make report writes into pages and covers, and make lint compares.

In pages (README.md of any folder), between two comments:
    <!-- make report: NAME -->   results, topics, summary, sweep, soak, mutate,
                                 score: of mutate, in a sentence
                                 swept: of sweep, the same
    <!-- end of NAME -->
In a cover whose topic says table=DEVICE,... SCENARIO,...: from the line that
begins as COVER does to the line that begins as COVER_END does, which are part
of the text.
"""

import json
import re
import textwrap

from . import results, sweeps
from .layout import Base, LayoutError, words

BLOCK = re.compile(r"(<!-- make report: (\w+) -->\n)(.*?)"
                   r"(<!-- end of \2 -->)", re.S)
COVER = "Seconds from the yank until the device has left sysfs"
COVER_END = "(never: "
COVER_BLOCK = re.compile(rf"^{re.escape(COVER)}.*?^{re.escape(COVER_END)}"
                         r".*?\)\n(?=\n|\Z)", re.S | re.M)
STALE = "**Stale**: "
PER, WIDTH = 9, 75
# Seconds, or a row of them: in text that make report did not write.
NUMBER = re.compile(r"\b\d+\.\d+ s\b|"
                    r"((\bnever\b|(?<![\d.])\d+\.\d\d(?![\d.])).*){2}")


def markdown(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["|" + "".join(f" {c} |" if c else " |" for c in row)
              for row in rows]
    return "\n".join(lines) + "\n"


def results_table(data):
    out = []
    for devices, scenarios in results.parts(data, PER):
        rows = []
        for device in devices:
            for side in results.SIDES:
                rows.append([device * (side == "base"), side] + [
                    results.words(results.cell(data, device, s, "ones", side))
                    for s in scenarios])
        out.append(markdown(["device", "", *scenarios], rows))
    return "\n".join(out)


def stale_line(data, base):
    why = results.stale(data, base.digest())
    return f"{STALE}{why}.\n\n" if why else ""


def summary(data):
    lines = []
    for side in results.SIDES:
        about, got = data["about"][side], results.total(data, side)
        count = ", ".join(f"{got[k]} {w}" for k, w in zip(
            results.KINDS, ("passed", "failed", "skipped")))
        lines.append(f"{side} ({about['what'].split(' ')[0]}): {count}")
    qemu = re.search(r"version ([\d.]+)", data["about"]["series"]["qemu"])
    return (f"Recorded on {data['about']['series']['date']}, QEMU "
            f"{qemu[1] if qemu else '?'}, emulated: " + "; ".join(lines)
            + ".\n")


def topics_table(base):
    rows = []
    for topic in base.topics.values():
        stable = sum(bool(re.search(r"^Cc: <?stable@", p.parts()[0], re.M))
                     for p in topic.patches)
        title = topic.cover.split("\n", 1)[0] or (
            re.sub(r"^Subject: (\[[^]]*\] )*", "",
                   topic.patches[0].parts()[0].split("\n", 1)[0])
            if topic.patches else "")
        link = f"[{topic.name}](patches/{base.name}/{topic.name}/)"
        rows.append([link, title, topic.key("tree"),
                     str(len(topic.patches)), " ".join(topic.needs),
                     str(stable) if stable else "", topic.key("state")])
    return markdown(["topic", "what", "for", "patches", "needs", "stable",
                     "state"], rows)


def stale_note(of, places):
    if not of or of.get("digest") == Base("mainline", places.top).digest(
            of.get("topics")):
        return ""
    return (f"{STALE}recorded on {of.get('date', '?')}: the patches have "
            "changed since.\n\n")


def other(places, name):
    path = places.results / f"{name.replace('score', 'mutate')}.json"
    if not path.exists():
        return f"(Not recorded: make {path.stem}; make record)\n"
    heads, rows, about = results.rows(path)
    of = about.get("about", about)
    of = of.get("series", of) if isinstance(of, dict) else {}
    note = stale_note(of, places)
    if name == "score":
        return note + mutations([dict(zip(heads, row)) for row in rows])
    return note + markdown(heads, rows)


def sweep_table(places, sentence=False):
    path = places.results / "sweep.json"
    if not path.exists():
        return other(places, "sweep")
    data = json.loads(path.read_text())
    note = stale_note(data["about"]["series"], places)
    if sentence:
        return note + sweeps.summary(data).split("\n\n")[0].rstrip("\n") + "\n"
    return (note + sweeps.summary(data) + "\n" +
            markdown(*sweeps.table(data)) + sweeps.failing(data))


def mutations(rows):
    """The score, as make mutate says it"""
    argued = sum(r["result"] == "survived" and bool(r["reason"])
                 for r in rows)
    killed = sum(r["result"] == "killed" for r in rows)
    left = len(rows) - argued
    return (f"Of {left} ways to break the code under test, the KUnit suites "
            f"notice {killed} ({100 * killed // left if left else 100} %) on "
            f"UML; {argued} more are equivalent, or out of their reach.\n")


def block(name, base, places):
    if name == "topics":
        return topics_table(base)
    if name in ("sweep", "swept"):
        return sweep_table(places, name == "swept")
    if name in ("soak", "mutate", "score"):
        return other(places, name)
    data = results.load(base.name, places)
    if name == "results":
        return stale_line(data, base) + results_table(data)
    if name == "summary":
        return stale_line(data, base) + summary(data)
    raise LayoutError(f"<!-- make report: {name} -->: there is no such block")


def cover_table(topic, data):
    """Plain text: a line per device, a column "base -> series" a scenario"""
    spec = topic.key("table").split()
    if len(spec) != 2:
        raise LayoutError(f"topic {topic.name}: table= has to be "
                          "DEVICE,... SCENARIO,...")
    devices, scenarios = words(spec[0]), words(spec[1])
    table = [["", *scenarios]]
    for d in devices:
        row = []
        for s in scenarios:
            both = [results.words(results.cell(data, d, s, "ones", side))
                    for side in results.SIDES]
            row.append(" -> ".join(w or "?" for w in both) if any(both)
                       else "-")
        if all(c == "-" for c in row):
            raise LayoutError(f"topic {topic.name}: table=: no result of {d} "
                              f"is recorded in {' '.join(scenarios)}")
        table.append([d, *row])
    widths = [max(map(len, column)) for column in zip(*table)]
    if sum(widths) + 2 * len(widths) > WIDTH:
        raise LayoutError(f"topic {topic.name}: table=: too many scenarios "
                          f"for {WIDTH} columns: drop one")
    about = data["about"]
    qemu = re.search(r"version ([\d.]+)", about["series"]["qemu"])
    head = (f"{COVER}, {about['base']['what'].split(' ')[0]} -> with all "
            f"topics (QEMU {qemu[1] if qemu else '?'}, emulated; reads of the "
            "vanished device return all-ones):")
    end = (f"{COVER_END}not within 12 s; failed: ahead of the yank; !: gone, "
           "but something else was wrong, on the base often a lockdep report "
           "only)")
    body = "\n".join("  " + "  ".join(
        text.ljust(width) for text, width in zip(row, widths)).rstrip()
        for row in table)
    return "\n\n".join([textwrap.fill(head, WIDTH), body,
                        textwrap.fill(end, WIDTH)]) + "\n"


def pages(top):
    return sorted([*top.glob("README.md"), *top.glob("*/README.md"),
                   *top.glob("*/*/README.md")])


def rendered_page(text, base, places):
    def replace(m):
        return m[1] + block(m[2], base, places) + m[4]
    return BLOCK.sub(replace, text)


def rendered_cover(text, topic, data):
    table = cover_table(topic, data)
    if COVER_BLOCK.search(text):
        return COVER_BLOCK.sub(lambda m: table, text)
    return text.rstrip("\n") + "\n\n" + table


def outputs(base, places):
    """(path, text as it is, text as it should be, label) of each"""
    # (Pages are about mainline.)
    if base.name == "mainline":
        for path in pages(places.top):
            text = path.read_text()
            if BLOCK.search(text):
                yield path, text, rendered_page(text, base, places)
    data = None
    for topic in base.topics.values():
        if not topic.key("table"):
            continue
        data = data or results.load(base.name, places)
        yield (topic.where / "cover", topic.cover,
               rendered_cover(topic.cover, topic, data))


def update(base, places):
    for path, old, new in outputs(base, places):
        if old != new:
            path.write_text(new)
            yield path


def plain(text):
    """Without what depends on the patches of the day"""
    return re.sub(rf"^{re.escape(STALE)}.*\n\n?", "", text, flags=re.M)


def own_numbers(text):
    """Numbers that were written by hand"""
    text = COVER_BLOCK.sub("", BLOCK.sub("", text))
    return [line.strip() for line in text.splitlines() if NUMBER.search(line)]


def check(base, top):
    """(what, complaints, warnings) of each page and cover that has a table"""
    places = results.Places(top)
    for path, old, new in outputs(base, places):
        bad = [] if plain(old) == plain(new) else \
            ["differs from results/ or patches/: run make report"]
        warn = [line for line in new.splitlines() if line.startswith(STALE)]
        if path.name == "README.md":
            bad += [f"not of results/: {line}" for line in own_numbers(old)]
        yield str(path.relative_to(top)), bad, warn
