# SPDX-License-Identifier: GPL-2.0-only
"""What make lint compiles and checks for each commit, and what came of it.

lint-plan writes lines that tools/series/lint-code carries out, in order:
    state N COMMIT OBJECT...          compile these at this commit
    doc STEP before|after FILE...     kernel-doc, at the commit checked out
    step STEP PARENT COMMIT FILE...   checkpatch, and who maintains new files
lint-verdict reads what it has put into the directory for a step.
"""

import json
import re
from collections import Counter
from pathlib import Path

from .layout import TOP, Base, LayoutError, bases, git, lines
from .tap import Verdicts, count

HEADERS = "tools/series/lint.headers"
DIRS = ("Documentation", "arch", "drivers", "include", "lib", "kernel",
        "scripts", "tools/testing")
# checkpatch asks this of any new file; get_maintainer answers it.
ASKS = "FILE_PATH_CHANGES"
REST = re.compile(r"linux-kernel@vger\.kernel\.org|torvalds@")


def foreign(path):
    """Of another architecture than x86: not compiled here"""
    if path.startswith("arch/"):
        return not path.startswith("arch/x86/")
    return path == "drivers/pci/hotplug/pnv_php.c"


def headers(top=TOP):
    return dict(line.split() for line in lines(top / HEADERS))


def what_of(changes, declared):
    """Of (status, path) of a commit: what to compile and to look at"""
    step = {"objects": [], "docs": [], "added": [], "foreign": [],
            "problems": []}
    loose = []
    for status, path in changes:
        if status == "A":
            step["added"].append(path)
        if status == "D" or not re.search(r"\.[ch]$", path):
            continue
        step["docs"].append(path)
        if path.startswith("tools/"):   # user space: its own Makefile's
            continue
        if foreign(path):
            step["foreign"].append(path)
        elif path.endswith(".c"):
            step["objects"].append(path[:-2])
        else:
            loose.append(path)
    for path in loose:      # a header stands for what is declared
        if path in declared:
            step["objects"].append(declared[path].removesuffix(".o"))
        elif not step["objects"]:
            step["problems"].append(f"no object is declared for {path}: add "
                                    f"one to {HEADERS}")
    step["objects"] = sorted(set(step["objects"]))
    return step


class Plan:
    def __init__(self, git_dir, where, topics_only):
        self.git_dir, self.where = git_dir, Path(where)
        self.topics_only = topics_only
        self.states = self.steps = 0
        self.declared = headers()

    def changes(self, parent, commit):
        out = git(self.git_dir, "diff-tree", "-r", "--name-status",
                  "--no-renames", "--no-commit-id", parent, commit)
        return [line.split("\t", 1) for line in out.splitlines()]

    def topic(self, name, parent, commits):
        """commits: (commit, label, chosen) in order"""
        if self.topics_only:
            commits = [(commits[-1][0], name, True)]
        todo = []
        for commit, label, chosen in commits:
            if chosen:
                step = what_of(self.changes(parent, commit), self.declared)
                todo.append((parent, commit, label, step))
            parent = commit
        at = None
        for i, (parent, commit, label, step) in enumerate(todo):
            if parent != at:
                yield self.state(parent, step["objects"])
            after = set(step["objects"])
            if i + 1 < len(todo) and todo[i + 1][0] == commit:
                after |= set(todo[i + 1][3]["objects"])
            self.steps += 1
            n = self.steps
            (self.where / f"{n}.json").write_text(json.dumps(
                step | {"name": label, "before": self.states,
                        "after": self.states + 1}))
            yield " ".join(["doc", str(n), "before", *step["docs"]])
            yield self.state(commit, sorted(after))
            yield " ".join(["doc", str(n), "after", *step["docs"]])
            yield " ".join(["step", str(n), parent, commit, *step["added"]])
            at = commit

    def state(self, commit, objects):
        self.states += 1
        return " ".join(["state", str(self.states), commit, *objects])


def composed(path):
    """(commit, patch) of a file that composed_topics() wrote"""
    return [line.split()[:2] for line in path.read_text().splitlines()]


def run_plan(args):
    base = Base(args.base)
    chosen = base.chosen(args.topic, args.patch)
    paths = {p.path: p for p in chosen}
    plan = Plan(args.git_dir, args.where,
                args.tree or args.topics and not args.patch)
    if args.tree:
        found = composed(Path(args.where) / "composed.tree")
        parent = git(args.git_dir, "rev-parse", f"{found[0][0]}^").strip()
        print("\n".join(plan.topic("all topics, one on the other", parent, [
            (commit, patch, True) for commit, patch in found])))
        return
    for topic in dict.fromkeys(p.topic for p in chosen):
        found = composed(Path(args.where) / f"composed.{topic}")
        own = {p.path for p in base.topics[topic].patches}
        parent, commits = own_commits(found, own, args, base)
        print("\n".join(plan.topic(topic, parent, [
            (commit, paths[patch].label if patch in paths else patch,
             patch in paths) for commit, patch in commits])))


def own_commits(found, own, args, base):
    """What the topic rests on, and its own commits"""
    commits = [(c, p) for c, p in found if p in own]
    if not commits:
        raise LayoutError(f"nothing is composed of {base.name}: {found}")
    first = found.index(list(commits[0]))
    if first:
        return found[first - 1][0], commits
    return git(args.git_dir, "rev-parse", f"{commits[0][0]}^").strip(), commits


# ---- what came of it ------------------------------------------------------

def normalise(text, where):
    """A compiler's line without what moves: line numbers, where it was"""
    text = re.sub(r":\d+(:\d+)?(:| )", ":", text)
    text = re.sub(r"\(see line \d+\)", "", text).rstrip()
    where = str(where)
    return text.replace(where + "/", "").replace(
        f"../{Path(where).name}/", "")


def complaints(log, where):
    """(object, what) of a log of kbuild, and the objects that sparse saw"""
    current, found, checked = "", Counter(), set()
    for line in log.splitlines():
        m = re.match(r"  (CC|CHECK)( \[M\])? +(\S+)$", line)
        if m:
            current = m[3].replace(f"../{Path(where).name}/", "") \
                .replace(str(where) + "/", "")
            current = re.sub(r"\.[co]$", "", current)
            if m[1] == "CHECK":
                checked.add(current)
        elif re.search(r"warning:|error:|\*\*\*", line):
            found[current, normalise(line, where)] += 1
    return found, checked


class State:
    def __init__(self, path, where):
        def words(name):
            return set((path / name).read_text().split())
        log = path / "log"
        self.where = path.resolve()
        text = log.read_text(errors="replace") if log.exists() else ""
        self.found, self.checked = complaints(text, where)
        self.missing, self.unbuilt = words("missing"), words("unbuilt")
        for name in words("missing"):
            self.found[name, f"error: {name}.c did not compile"] += 1
        for name in words("guards"):
            for key in list(self.found):
                if key[0] == name and "warning: context imbalance" in key[1]:
                    del self.found[key]

    def of(self, names):
        return Counter({k: n for k, n in self.found.items() if k[0] in names})


def new(before, after):
    """What comes more often than before"""
    return sorted((after - before).elements())


def checkpatch(text, covered):
    for line in text.splitlines():
        if not line.strip() or (covered and f":{ASKS}:" in line):
            continue
        yield "checkpatch: " + re.sub(
            r"^.*?/(\d{4}-[^/:]*):(\d+): ", r"\1: line \2: ", line)


def verdict(where, n, checkout):
    step = json.loads((where / f"{n}.json").read_text())
    before, after = (State(where / f"state.{step[k]}", checkout)
                     for k in ("before", "after"))
    bad = list(step["problems"])
    who = {}
    for line in (where / f"{n}.maintainers").read_text().splitlines():
        path, _, name = line.partition("\t")
        who.setdefault(path, [])
        if name and not REST.search(name):
            who[path].append(name)
    nobody = [path for path in step["added"] if not who.get(path)]
    bad += checkpatch((where / f"{n}.checkpatch").read_text(), not nobody)
    for name in step["objects"]:
        if name not in after.checked and name not in after.missing:
            bad.append(f"{name}.c was not checked by sparse (see "
                       f"{after.where.name})")
        if name in after.unbuilt:
            bad.append(f"{name}.c is not compiled in this configuration: add "
                       "its option to tools/series/lint.config")
    bad += [what for _, what in new(before.of(step["objects"]),
                                    after.of(step["objects"]))]
    docs = [Counter(normalise(line, checkout) for line in
                    (where / f"{n}.doc.{when}").read_text().splitlines())
            for when in ("before", "after")]
    bad += [f"kernel-doc: {line}" for line in new(*docs)]
    bad += [f"nobody but THE REST is named for {path} in MAINTAINERS"
            for path in nobody]
    return step, bad


def run_verdict(args):
    step, bad = verdict(Path(args.where), args.step, args.checkout)
    out = Verdicts()
    out.failed = int(args.step) - 1      # (the number of the line)
    out.add(step["name"], bad)
    for path in step["foreign"]:
        print(f"ok - {step['name']}: {path} # SKIP of another architecture: "
              "neither compiled nor checked by sparse", flush=True)


def run_files(args):
    """A file laid out like the kernel's that no series brings is lost"""
    brought = {f for name in bases() for p in Base(name).patches()
               for f in p.files}
    bad = []
    for where in DIRS:
        for path in sorted((TOP / where).rglob("*")):
            name = str(path.relative_to(TOP))
            if path.is_file() and name not in brought and \
                    "__pycache__" not in name and path.suffix != ".o":
                bad.append(f"{name}: no series brings this file: name it on a "
                           "line of a topic's series")
    Verdicts().add("every new file is in a series", bad)


def run_stage(args):
    """Of a stage of make check: passed failed skipped; its results by name,
    without subtests, and without what comes behind #, which is time"""
    text = Path(args.file).read_text(errors="replace")
    print(*count(text))
    for line in text.splitlines():
        if re.match(r"(not )?ok ", line):
            print("\t" + line.split(" # ")[0])


def run_summary(args):
    passed, failed, skipped = count(Path(args.file).read_text())
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 3 if failed or not passed + failed + skipped else 0
