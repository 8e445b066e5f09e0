# SPDX-License-Identifier: GPL-2.0-only
"""What make each-commit builds of each topic, and what a log says of it."""

import re
from pathlib import Path

from .layout import Base
from .lint import Plan, composed, normalise, own_commits

SOURCE = re.compile(r"((?:drivers|lib|net|block|kernel|arch/[a-z0-9]+|fs|mm)/"
                    r"(?:.*/)?)[^/]*\.[chS]$")
SPREADS = re.compile(r"\.h$|Kconfig|Makefile$|Kbuild$")


def directories(files):
    """As kbuild wants them"""
    found = set()
    for path in files:
        m = SOURCE.match(path)
        if m:
            found.add("drivers/pci/" if m[1].startswith("drivers/pci/")
                      else m[1])
    return found


def plan(commits, parent, changed):
    """Lines for one topic. commits: (commit, label, chosen)"""
    files = {commit: [f for f in changed(commit) if
                      not f.startswith("tools/")] for commit, _, _ in commits}
    # (Of lib/, some includes linux/pci.h whatever is configured.)
    touched = sorted(directories(
        f for c, _, chosen in commits if chosen for f in files[c]) | {"lib/"})
    yield ["start", parent, "what it rests on", "no", "-", " ".join(touched)]
    last = max(i for i, (_, _, chosen) in enumerate(commits) if chosen)
    for i, (commit, label, chosen) in enumerate(commits[:last + 1]):
        sources = [f for f in files[commit] if re.search(r"\.[cS]$", f)]
        own = directories(files[commit])
        if i == last:
            dirs = " ".join(touched)
        elif any(SPREADS.search(f) for f in files[commit]):
            dirs = " ".join(sorted(own | {"drivers/pci/", "lib/"}))
        else:
            dirs = f"({' '.join(sorted(own))})"
        yield ["commit", commit, label, "yes" if chosen else "no",
               " ".join(sources) or "-", dirs]


def run_plan(args):
    base = Base(args.base)
    chosen = {p.path: p for p in base.chosen(args.topic, args.patch)}
    where, git = Path(args.where), Plan(args.git_dir, args.where, False)
    names = list(dict.fromkeys(p.topic for p in chosen.values()))
    for name in names:
        topic = {p.path: p for p in base.topics[name].patches}
        parent, found = own_commits(composed(where / f"composed.{name}"),
                                    topic, args, base)
        lines = plan([(c, topic[p].label, p in chosen) for c, p in found],
                     parent, lambda c: [f for _, f in
                                        git.changes(f"{c}^", c)])
        (where / f"{name}.plan").write_text(
            "".join("\t".join(line) + "\n" for line in lines))
    (where / "topics").write_text("\n".join(names) + "\n")


def build_log(text, where, seen):
    """How many objects were built; warnings and errors not seen before"""
    lines = text.splitlines()
    count = sum(bool(re.match(r"  (CC|AS) ", line)) for line in lines)
    said = {normalise(line, where) for line in lines
            if re.search(r"warning:|error:|\*\*\*", line)}
    return count, sorted(said - seen)


def run_log(args):
    seen = Path(args.seen)
    known = set(seen.read_text().splitlines())
    count, new = build_log(Path(args.log).read_text(errors="replace"),
                           args.checkout, known)
    Path(args.new).write_text("".join(line + "\n" for line in new))
    seen.write_text("".join(line + "\n" for line in sorted(known | set(new))))
    print(count)


def table(lines):
    cells = [line.split("\t") for line in lines]
    configs = list(dict.fromkeys(c for c, _, _ in cells))
    patches = list(dict.fromkeys(p for _, p, _ in cells))
    words = {(c, p): w for c, p, w in cells}
    width = max(map(len, patches), default=0)
    yield "# " + "objects compiled at".ljust(width) + "".join(
        f" {c:>11}" for c in configs)
    for patch in patches:
        yield f"# {patch:{width}}" + "".join(
            f" {words.get((c, patch), ''):>11}" for c in configs)


def run_table(args):
    print("\n".join(table(Path(args.cells).read_text().splitlines())))
