# SPDX-License-Identifier: GPL-2.0-only
"""Bases, topics and their patches, as they are in patches/ (see patches/README.md)."""

import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from .util import TOP, die

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*\Z")
KEYS = ("tree", "prefix", "needs", "cc", "state", "table")


class Files:
    """Files below a directory, with what is staged on top of them: path -> (bytes, executable) or None."""

    def __init__(self, root=TOP, staged=None):
        self.root, self.staged = Path(root), staged or {}

    def get(self, path):
        if path in self.staged:
            return self.staged[path]
        full = self.root / path
        if full.is_symlink() or not full.is_file():
            return None
        return full.read_bytes(), os.access(full, os.X_OK) and bool(full.stat().st_mode & 0o100)

    def text(self, path):
        found = self.get(path)
        return None if found is None else found[0].decode()


def lines_of(text):
    """Without comments and what is empty."""
    for line in text.splitlines():
        line = re.sub(r"(^|\s)#.*", "", line).strip()
        if line:
            yield line


def keys_of(text):
    """key=value lines; no shell. The last one wins, except in .all."""
    keys = {}
    for line in text.splitlines():
        key, eq, value = line.partition("=")
        if eq and not key.startswith("#"):
            value = value.strip()
            if len(value) > 1 and value[0] == value[-1] == '"':
                value = value[1:-1]
            keys.setdefault(key.strip(), []).append(value)
    return keys


@dataclass
class Entry:
    """A line of a topic's series: a patch, and the new files that its commit brings."""
    topic: str
    path: str		# below patches/: base/topic/name.patch
    files: list

    def __str__(self):
        return " ".join([self.path, *self.files])


@dataclass
class Sent:
    """A version that was mailed: a line of state= that send wrote."""
    v: int
    date: str
    commit: str
    id: str
    base: str


@dataclass
class Topic:
    name: str
    base: str
    keys: dict = field(default_factory=dict)	# of its file topic, as keys_of() has them
    tree: str = ""
    prefix: str = "PATCH"
    needs: list = field(default_factory=list)
    cc: list = field(default_factory=list)
    sent: list = field(default_factory=list)
    entries: list = field(default_factory=list)

    @property
    def where(self):
        return f"patches/{self.base}/{self.name}"

    def last_sent(self, before=None):
        found = [s for s in self.sent if before is None or s.v < before]
        return found[-1] if found else None


def bases(root=TOP):
    return sorted(p.parent.name for p in (Path(root) / "patches").glob("*/base"))


class Base:
    """patches/<base>: its keys, and its topics in order."""

    def __init__(self, name, files=None):
        self.files = files or Files()
        self.name = name
        known = " ".join(bases(self.files.root))
        if not NAME.match(name):
            die(f"BASE={name}: not a name: one of: {known}")
        text = self.files.text(f"patches/{name}/base")
        if text is None:
            die(f"BASE={name}: no patches/{name}/base: one of: {known}")
        self.keys = {k: v[0] for k, v in keys_of(text).items()}
        self.topics = {}
        text = self.files.text(f"patches/{name}/topics")
        if text is None:
            die(f"patches/{name}/topics is missing: it has the names of the topics, in order (it may be empty)")
        for line in lines_of(text):
            if not NAME.match(line):
                die(f"patches/{name}/topics: \"{line}\" is not the name of a topic")
            if line in self.topics:
                die(f"patches/{name}/topics names {line} twice: remove one line")
            self.topics[line] = self.read_topic(line)
        self.check()

    def read_topic(self, name):
        t = Topic(name, self.name)
        text = self.files.text(f"{t.where}/topic")
        series = self.files.text(f"{t.where}/series")
        if text is None or series is None:
            die(f"patches/{self.name}/topics names {name}, but {t.where}/{'topic' if text is None else 'series'} does not exist: add it or remove the line")
        keys = keys_of(text)
        for key in keys:
            if key not in KEYS:
                die(f"{t.where}/topic: {key}= is not known: one of: {' '.join(k + '=' for k in KEYS)}")
        t.keys = keys
        t.tree = keys.get("tree", [""])[0]
        t.prefix = keys.get("prefix", ["PATCH"])[0] or "PATCH"
        t.needs = keys.get("needs", [""])[0].replace(",", " ").split()
        t.cc = [c for c in keys.get("cc", []) if c]
        for state in keys.get("state", []):
            words = state.split(None, 5)
            if state == "draft" or not words:
                continue
            if words[0] != "sent" or len(words) < 5 or not re.fullmatch(r"v\d+", words[1]):
                die(f"{t.where}/topic: state={state}: neither draft nor \"sent vN DATE COMMIT MESSAGE-ID BASE\"")
            t.sent.append(Sent(int(words[1][1:]), words[2], words[3], words[4], words[5] if len(words) > 5 else ""))
        for line in lines_of(series):
            path, *files = line.split()
            parts = path.split("/")
            if len(parts) == 1:
                parts = [self.name, name, path]
            if len(parts) != 3 or not path.endswith(".patch") or not all(NAME.match(p) for p in parts):
                die(f"{t.where}/series: {path}: neither NAME.patch nor BASE/TOPIC/NAME.patch")
            t.entries.append(Entry(name, "/".join(parts), files))
        return t

    def check(self):
        used, brought = {}, {}
        for t in self.topics.values():
            for n in t.needs:
                if n not in self.topics:
                    die(f"{t.where}/topic: needs={n}: no such topic in patches/{self.name}/topics: one of: {' '.join(self.topics)}")
            for e in t.entries:
                if e.path in used:
                    die(f"{t.where}/series names {e.path} twice (see {used[e.path]}/series): remove one line")
                used[e.path] = t.where
                for f in e.files:
                    if f in brought:
                        die(f"{t.where}/series: {e.path} brings {f}, which {brought[f]} brings: a new file arrives whole, in one commit")
                    brought[f] = e.path
        for t in self.topics.values():
            self.closure(t.name)

    def topic(self, name):
        """TOPIC= as the user gave it."""
        if name not in self.topics:
            die(f"TOPIC={name}: no such topic in patches/{self.name}/topics: one of: {' '.join(self.topics)}")
        return self.topics[name]

    def closure(self, name):
        """All that a topic rests on, in the order of the whole tree, without itself."""
        found = set()

        def visit(n, way):
            for m in self.topics[n].needs:
                if m in way:
                    ring = way[way.index(m):] + [m]
                    die(f"patches/{self.name}: needs= goes round in a circle: {' -> '.join(ring)}: remove one")
                if m not in found:
                    visit(m, way + [m])
                    found.add(m)
        visit(name, [name])
        order = list(self.topics)
        for m in found:
            if order.index(m) > order.index(name):
                die(f"patches/{self.name}/topics has {m} after {name}, which needs it: move the line up")
        return [t for t in order if t in found]

    def entries(self):
        return [e for t in self.topics.values() for e in t.entries]
