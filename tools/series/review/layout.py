# SPDX-License-Identifier: GPL-2.0-only
"""patches/, as stack.model reads it, for what looks at the patches' texts."""

import hashlib
import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from stack import model
from stack.util import Refused

TOP = Path(__file__).resolve().parents[3]


def git(git_dir, *args, check=True):
    """What git says of the repository of a base; its work tree may be gone"""
    return subprocess.run(
        ["git", f"--git-dir={git_dir}", f"--work-tree={Path(git_dir).parent}",
         *args], capture_output=True, text=True, errors="replace",
        check=check).stdout


# What is wrong in patches/, or with a choice made from it: one line
LayoutError = Refused


def lines(path):
    """The lines of a file without comments and what is empty"""
    return list(model.lines_of(path.read_text())) if path.exists() else []


def words(text):
    """A list as it is given on the command line: by commas or spaces"""
    return (text or "").replace(",", " ").split()


# What the lab's kernel is not made of, nor runs there; and what comes along.
NOT_RUN = re.compile(r"^(Documentation|scripts|lib/kunit|include/kunit|arch/um|"
                     r"tools/testing/kunit)/|/tests/|_kunit\.c$|kunitconfig$")
BUILT_BY = re.compile(r"(^|/)(Kconfig|Makefile)$")


@dataclass
class Patch:
    topic: str
    path: str               # base/topic/name.patch, below patches/
    files: list             # the files it brings
    top: Path = TOP

    @property
    def name(self):
        return self.path.rsplit("/", 1)[1].removesuffix(".patch")

    @property
    def label(self):
        """TOPIC/NAME, whichever base the patch is stored with"""
        return f"{self.topic}/{self.name}"

    def parts(self):
        """Its message with the headers, and its diff"""
        text = (self.top / "patches" / self.path).read_text(errors="replace")
        message, _, diff = text.partition("\n---\n")
        return message, diff

    def touches(self):
        return re.findall(r"^\+\+\+ b/(\S+)", self.parts()[1], re.M) + \
            self.files

    def changes(self, everything=True):
        """What it does to the kernel, file by file: path, diff or content.
        Or to what the lab runs of it: no documents, scripts and tests."""
        diff = self.parts()[1]
        found = [(part.split("\n")[1].removeprefix("+++ b/"), part)
                 for part in re.split(r"^(?=--- a/|--- /dev/null)", diff,
                                      flags=re.M)[1:]]
        found += [(name, self.top / name) for name in self.files]
        if not everything:
            found = [f for f in found if not NOT_RUN.search(f[0])]
            if all(BUILT_BY.search(name) for name, _ in found):
                return []
        return found


@dataclass
class Topic:
    """What stack.model reads of it, with its patches as texts"""
    base: str
    name: str
    keys: dict
    patches: list
    where: Path
    needs: list = field(default_factory=list)

    def key(self, name):
        return self.keys.get(name, [""])[0]

    @property
    def cover(self):
        path = self.where / "cover"
        return path.read_text() if path.exists() else ""


class Base:
    def __init__(self, name, top=TOP):
        self.name, self.top = name, top
        self.where = top / "patches" / name
        read = model.Base(name, model.Files(top))
        self.topics = {t.name: self.topic(t) for t in read.topics.values()}

    def topic(self, t):
        return Topic(self.name, t.name, t.keys, [
            Patch(t.name, e.path, e.files, self.top) for e in t.entries],
            self.where / t.name, t.needs)

    def patches(self):
        return [p for t in self.topics.values() for p in t.patches]

    def titles(self):
        """Of its covers, and of its patches"""
        return [t.cover.split("\n", 1)[0] for t in self.topics.values()] + [
            re.sub(r"^(\[[^]]*\] )*", "", message_of(p).split("\n", 1)[0])
            for p in self.patches()]

    def chosen(self, topic="", patch=""):
        """The patches that TOPIC= and PATCH= leave; refuses what is unknown"""
        names = words(topic) or list(self.topics)
        for name in names:
            if name not in self.topics:
                raise LayoutError(
                    f"TOPIC={name}: base {self.name} has no such topic: one "
                    f"of: {' '.join(self.topics)}")
        left = [p for t in self.topics if t in names
                for p in self.topics[t].patches]
        wanted = words(patch)
        for word in wanted:
            if not any(word in p.name for p in left):
                raise LayoutError(
                    f"PATCH={word}: no patch of "
                    f"{'topic ' + topic if topic else 'base ' + self.name} "
                    "has this word in its name")
        return [p for p in left
                if not wanted or any(w in p.name for w in wanted)]

    def noted(self, name):
        """A file of lines WHAT: REASON, such as left-out"""
        path = self.where / name
        entries = path.read_text().splitlines() if path.exists() else []
        pairs = [line.split(": ", 1) for line in entries
                 if ": " in line and not line.startswith("#")]
        return {what.removesuffix(".patch"): why for what, why in pairs}

    def digest(self, topics=None):
        """Of all that these topics do to the kernel; or of what all of them do
        to the lab's: not of messages, nor then of tests and documents"""
        total = hashlib.sha256()
        for patch in self.chosen(" ".join(topics)) if topics else self.patches():
            for name, change in patch.changes(bool(topics)):
                total.update(name.encode() + b"\0")
                if isinstance(change, Path):
                    change = change.read_bytes() if change.exists() else b""
                else:
                    change = change.encode()
                total.update(change)
        return total.hexdigest()[:16]


def message_of(patch):
    """The message without its headers, its subject first"""
    head, _, body = patch.parts()[0].partition("\n\n")
    subject, inside = "", False
    for line in head.splitlines():
        if line[:1] in " \t":
            subject += " " + line.strip() if inside else ""
            continue
        inside = line.lower().startswith("subject:")
        if inside:
            subject = line[8:].strip()
    return f"{subject}\n\n{body}"


def bases(top=TOP):
    return sorted(model.bases(top), key=lambda name: name != "mainline")
