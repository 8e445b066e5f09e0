# SPDX-License-Identifier: GPL-2.0-only
"""The commands of this package, one a module: python3 -m review COMMAND."""

import argparse
import os
import re
import sys

from . import (choices, config, each, generated, known, lint, logs, messages,
               prove, results, sweeps)
from .known import KnownError
from .layout import TOP, Base, LayoutError
from .page import page
from .picture import picture


def record(args):
    places = results.Places()
    others = 0
    for tool in ("sweep", "soak"):
        text = sweeps.record(tool, args.base, places)
        if text and (places.lab / f"{tool}-{args.base}.d").exists():
            places.results.mkdir(exist_ok=True)
            (places.results / f"{tool}.json").write_text(text)
            print(f"results/{tool}.json")
            others += 1
    try:
        text = results.record(args.base, places)
    except LayoutError as e:
        if not others:
            raise
        print(f"make lab is not recorded: {e}")
        return
    places.results.mkdir(exist_ok=True)
    (places.results / f"{args.base}.json").write_text(text)
    (places.results / f"{args.base}.svg").write_text(
        f"<!-- {results.LICENCE} -->\n"
        + picture(results.load(args.base, places)))
    print(f"results/{args.base}.json\nresults/{args.base}.svg")


def report(args):
    places = results.Places()
    base = Base(args.base)
    if args.table:
        print(generated.results_table(results.load(base.name, places)),
              end="")
        return
    for path in generated.update(base, places):
        print(path.relative_to(places.top))
    out = places.top / "out/report.html"
    out.parent.mkdir(exist_ok=True)
    out.write_text(page(places))
    print("out/report.html")


def topics(args):
    """The topics that have a chosen patch, or the chosen patches themselves"""
    chosen = Base(args.base).chosen(args.topic, args.patch)
    if args.patches:
        found = [f"{p.topic} {p.path}" for p in chosen]
    else:
        found = list(dict.fromkeys(p.topic for p in chosen))
    print("\n".join(found))


def wanted(args):
    """What of a source the patches and fixes.known need"""
    files = {f for p in Base(args.base).patches()
             for f in re.findall(r"^--- a/(\S+)", p.parts()[1], re.M)}
    for entry in known.read(TOP / "tools/series/fixes.known").values():
        files |= {path for path, _ in entry.signs}
    print("\n".join(sorted(files)))


def digest(args):
    print(Base(args.base).digest(args.topics))


def parser():
    env = os.environ.get
    p = argparse.ArgumentParser(prog="review", description=__doc__)
    p.add_argument("--base", default=env("BASE") or "mainline")
    p.add_argument("--topic", default=env("TOPIC", ""))
    p.add_argument("--patch", default=env("PATCH", ""))
    sub = p.add_subparsers(required=True, metavar="COMMAND")

    def command(name, function, text):
        one = sub.add_parser(name, help=text)
        one.set_defaults(run=function)
        return one
    one = command("choices", choices.run,
                  "refuse a value that does not exist")
    one.add_argument("target")
    one = command("messages", messages.run, "topics, messages and trailers")
    one.add_argument("git_dir")
    one.add_argument("commit")
    one = command("config-missing", config.run,
                  "what of fragments a .config does not have")
    one.add_argument("config")
    one.add_argument("fragments", nargs="+")
    one = command("lint-plan", lint.run_plan, "what make lint has to do")
    one.add_argument("git_dir")
    one.add_argument("where", help="with composed.TOPIC in it")
    one.add_argument("--topics", action="store_true",
                     help="at the end of each topic only")
    one.add_argument("--commits", action="store_true",
                     help="at each commit (default)")
    one.add_argument("--tree", action="store_true",
                     help="at the end of all topics, one on the other")
    one = command("lint-verdict", lint.run_verdict, "of one step")
    one.add_argument("where")
    one.add_argument("step")
    one.add_argument("checkout")
    command("lint-files", lint.run_files, "is every new file brought?")
    one = command("each-plan", each.run_plan, "what make each-commit builds")
    one.add_argument("git_dir")
    one.add_argument("where", help="with composed.TOPIC in it")
    one = command("build-log", each.run_log, "objects built, what is new")
    one.add_argument("log")
    one.add_argument("checkout")
    one.add_argument("seen", help="what was said before; added to")
    one.add_argument("new")
    one = command("each-table", each.run_table, "a row a commit")
    one.add_argument("cells")
    one = command("stage", lint.run_stage, "what came of a stage of check")
    one.add_argument("file")
    one = command("prove-plan", prove.run_plan, "which test for each fix")
    one.add_argument("composed")
    for name, function, text in (
            ("kunit-log", logs.run_kunit, "TAP of what a guest printed"),
            ("kunit-cases", logs.run_cases, "how many, what went wrong"),
            ("gone", logs.run_gone, "did the device go, in the lab?"),
            ("went", logs.run_went, "how one case went"),
            ("expectation", logs.run_expectation, "the first that failed")):
        one = command(name, function, text)
        one.add_argument("log")
        if name == "kunit-log":
            one.add_argument("part")
        if name == "went":
            one.add_argument("case", help="SUITE:CASE, DEVICE.SCENARIO "
                             "or DEVICE.PHASE.DYING@POINTS")
    one = command("tap-summary", lint.run_summary, "N passed, ... of a file")
    one.add_argument("file")
    command("record", record, "out/ into results/")
    one = command("report", report, "results/ into out/report.html and pages")
    one.add_argument("--table", action="store_true", help="print it instead")
    one = command("topics", topics, "which topics are chosen")
    one.add_argument("--patches", action="store_true",
                     help="lines TOPIC PATCH instead")
    command("wanted", wanted, "files that the patches change, or are asked")
    one = command("digest", digest, "of what the patches do to the kernel")
    one.add_argument("topics", nargs="*", help="of these only")
    return p


def main():
    args = parser().parse_args()
    try:
        return args.run(args)
    except (LayoutError, KnownError) as e:
        print(f"error: {e}", file=sys.stderr)
        return 3


if __name__ == "__main__":
    sys.exit(main())
