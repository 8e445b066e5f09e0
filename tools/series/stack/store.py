# SPDX-License-Identifier: GPL-2.0-only
"""What is about to be written to patches/ and the new files: staged, so that all of
it can be looked at, and nothing that somebody edited meanwhile is overwritten."""

from pathlib import Path

from . import patch
from .model import Base, Files, bases, lines_of
from .topics import rewrite_series
from .tree import digest, read_made_of
from .util import Uninterrupted, die, prepared, say


def body(data):
    """The diff of a patch file, without line numbers."""
    _, _, diff = data.partition(b"\n---\n")
    return patch.without_numbers(diff)


class Store:
    def __init__(self, repo, base, made_of=None):
        self.repo, self.base = repo, base
        self.files = Files(base.files.root)	# as they are now
        self.staged = {}			# path -> (bytes, executable), or None: goes
        self.made_of = read_made_of(repo) if made_of is None else made_of
        self.others = {}			# what is changed for other bases
        self.said = []

    def untouched(self, path):
        return path not in self.made_of or self.made_of[path] == digest(self.files.get(path))

    def put(self, path, data, executable):
        self.staged[path] = (data, executable)

    def put_series(self, topic, lines):
        """lines: [(path it had or None, Entry)]"""
        t = self.base.topics[topic]
        old = self.files.text(f"{t.where}/series")

        def short(path):
            return path.removeprefix(f"{self.base.name}/{topic}/")
        text = rewrite_series(old, [(short(was) if was else short(e.path), " ".join([short(e.path), *e.files])) for was, e in lines])
        self.put(f"{t.where}/series", text.encode(), False)

    def remove_unnamed(self, old, paths, files):
        """Patches of this base, and new files, that no series names any more."""
        self.others_name = {}	# path -> [(base, topic)]
        others_files = set()
        for name in bases(self.files.root):
            if name == self.base.name:
                continue
            for e in Base(name, Files(self.files.root)).entries():
                self.others_name.setdefault(e.path, []).append((name, e.topic))
                others_files.update(e.files)
        for e in old:
            if e.path.startswith(self.base.name + "/") and e.path not in paths and self.files.get(f"patches/{e.path}"):
                self.staged[f"patches/{e.path}"] = None
            for f in e.files:
                if f not in files and f not in others_files and self.files.get(f):
                    self.staged[f] = None

    def look_after_others(self, moved):
        """A patch that another base's series names neither changes nor goes silently:
        that base gets the old one for itself, or the new name if only that is new."""
        for path, who in self.others_name.items():
            full, to = f"patches/{path}", moved.get(path, path)
            before, after = self.files.get(full), self.staged.get(f"patches/{to}", self.files.get(f"patches/{to}"))
            if full not in self.staged or not path.startswith(self.base.name + "/"):
                continue
            gone = after is None or (self.staged[full] is None and to == path)
            if not gone and before and body(before[0]) == body(after[0]):
                if to != path:
                    for base, topic in who:
                        self.rename(base, topic, path, to)
                        self.said.append(f"patches/{base}/{topic}/series names it, too: now as {to}")
                continue
            for base, topic in who:
                mine = f"{base}/{topic}/{path.rsplit('/', 1)[1]}"
                if self.files.get(f"patches/{mine}"):
                    die(f"patches/{base}/{topic}/series names patches/{path}, which {'goes' if gone else 'changes'}, and patches/{mine} is there already: settle that in patches/{base} first (nothing was written)")
                self.put(f"patches/{mine}", before[0], False)
                self.rename(base, topic, path, mine.rsplit("/", 1)[1])
                self.said.append(f"patches/{path} {'goes' if gone else 'changes'}, and base {base} takes it as it was: that is patches/{mine} now")

    def rename(self, base, topic, path, to):
        where = f"patches/{base}/{topic}/series"
        text = (self.staged.get(where) or self.files.get(where))[0].decode()
        lines = [to + line[len(path):] if next(lines_of(line), "").split(" ")[0] == path else line for line in text.splitlines(True)]
        self.put(where, "".join(lines).encode(), False)
        self.others[where] = True

    def write(self, remember):
        """All of it, or nothing: each file by rename, the series last; then remember()."""
        self.staged = {p: at for p, at in self.staged.items() if at != self.files.get(p)}
        for path in self.staged:
            if path in self.made_of and not self.untouched(path) and path not in self.others:
                die(f"{path} was edited since make tree, and refresh would overwrite it (nothing was written): move your edit away, make refresh, and edit again; with no commits of your own in build/{self.base.name}/linux, make tree takes it")
            # (The series of a topic that was added since make tree has no line yet.)
            empty = path.endswith("/series") and not list(lines_of(self.files.text(path) or ""))
            if path not in self.made_of and path not in self.others and self.files.get(path) and self.staged[path] is not None and not empty:
                die(f"{path} is there already, and refresh would overwrite it (nothing was written): move it away")
        root = Path(self.files.root)
        with Uninterrupted():
            # (If the disk is full, it is before anything has changed.)
            ready = {}
            try:
                for path, at in self.staged.items():
                    if at is not None:
                        ready[path] = prepared(root / path, *at)
            except BaseException:
                for new in ready.values():
                    new.unlink(missing_ok=True)
                raise
            for path, at in sorted(self.staged.items(), key=lambda i: (i[1] is None, i[0].endswith("/series"), i[0])):
                if at is None:
                    say(f"removed: {path}")
                    (root / path).unlink()
                    continue
                if self.files.get(path):
                    say(f"changed: {path}")
                elif not path.startswith("patches/"):
                    say(f"new: {path}")
                ready[path].rename(root / path)
            for line in self.said:
                say(line)
            remember()
