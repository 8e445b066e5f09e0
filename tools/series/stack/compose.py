# SPDX-License-Identifier: GPL-2.0-only
"""Topics as commits: each strictly on the base and what it needs, then all of them
stacked, in order. What was composed from the same inputs is not composed again."""

import hashlib
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from . import maintainers, patch
from .chain import Chain, Importer
from .repo import Ident
from .util import TOP, Progress, die, scratch, setting

VERSION = 1	# of what is composed from the same inputs: part of each key


@dataclass
class Made:
    """A commit of a stack, and the entry it was made of."""
    entry: object
    commit: str
    parent: str
    changes: dict = field(default=None)	# path -> (before, after), if it was made just now

    def __str__(self):
        return f"{self.commit} {self.entry}"


def series_date(repo, files):
    """The date of composed commits: composing twice must give the same hashes, and
    a commit to this repository that touches neither a patch nor a new file too."""
    if setting("SOURCE_DATE_EPOCH"):
        return setting("SOURCE_DATE_EPOCH")
    new = sorted({f for e in repo.base.entries() for f in e.files})
    p = subprocess.run(["git", "--literal-pathspecs", "-C", str(TOP), "log", "-1", "--format=%ct", "--", "patches", *new],
                       capture_output=True, text=True, check=False)
    return p.stdout.strip() or repo.git("log", "-1", "--format=%ct", files or repo.commit)


class Composer:
    def __init__(self, repo, base=None, trailers=None, ident=None):
        """trailers: of the mails; a list of "Name: text"."""
        self.repo, self.base = repo, base or repo.base
        self.files = self.base.files
        self.trailers = trailers or []
        ident = ident or Ident()
        self.date = f"{series_date(repo, None)} +0000"
        self.ident = f"{ident.name} <{ident.email}>"
        self.who = f"{self.ident} {self.date}"
        self.importer = Importer(repo)
        self.tmp = scratch(repo.b)
        self.stacks, self.merges, self.memo, self.new = {}, {}, {}, []
        self.progress = Progress("composing", 2 * len(self.base.entries()))
        self._load_memo()

    # What is known already: key -> commit, a line each.
    def _load_memo(self):
        self.memo_file = self.repo.gd / "series.memo"
        if self.memo_file.exists():
            self.memo = dict(line.split() for line in self.memo_file.read_text().splitlines() if line.count(" ") == 1)

    def _known(self, key):
        made = self.memo.get(key)
        return made if made and self.repo.object(made) else None

    def _remember(self, key, commit):
        self.memo[key] = commit
        self.new.append(f"{key} {commit}\n")

    def finish(self):
        self.importer.finish()
        if self.new:
            with open(self.memo_file, "a", encoding="ascii") as f:
                f.write("".join(self.new))
            self.new = []

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is None or issubclass(kind, Exception):
            try:
                self.finish()
            except Exception:
                if kind is None:
                    raise
        else:
            self.importer.abandon()
        self.repo.close()

    # One topic: on what it needs, merged, its own patches strictly.
    def stack(self, name):
        """(commits below the topic's own, its own), lists of Made."""
        if name not in self.stacks:
            below = self.merged(self.base.closure(name))
            chain = self._chain(below)
            brought = {f: m.entry.path for m in below for f in m.entry.files}
            own = [self._strictly(chain, e, brought) for e in self.base.topics[name].entries]
            self.stacks[name] = below, own, chain
        return self.stacks[name][:2]

    def _chain(self, below):
        chain = Chain(self.repo, self.importer, self.repo.commit)
        key = tuple(m.commit for m in below)
        return self.merges[key].copy() if key in self.merges else chain

    def _strictly(self, chain, entry, brought):
        self.progress.step()
        where = f"patches/{self.base.name}/{entry.topic}/series"
        text = self.files.get(f"patches/{entry.path}")
        if text is None:
            die(f"{where} names patches/{entry.path}, which does not exist: add it or remove the line")
        new = {}
        for f in entry.files:
            new[f] = self.files.get(f)
            if new[f] is None:
                die(f"{where}: {entry.path} brings {f}, which is not a file of this repository: add it or remove its name")
        key = self._key("apply", chain.commit, entry, text, new, self.files.get(maintainers.PATH) if new else None)
        made, parent = self._known(key), chain.commit
        for f in entry.files:
            brought[f] = entry.path
        if made:
            chain.move(made)
            return Made(entry, made, parent)
        mail = patch.read_mail(text[0], entry.path, self.tmp)
        changes, before = self._apply(chain, entry, mail, {f: p for f, p in brought.items() if f not in entry.files})
        there = chain.files(entry.files)
        for f, (data, executable) in new.items():
            if there[f] is not None:
                die(f"{where}: {entry.path} brings {f}, but the kernel already has it: change it in the patch instead")
            changes[f], before[f] = ("100755" if executable else "100644", data), None
        self._maintained(chain, brought, entry, changes, before)
        if not changes:
            die(f"patches/{entry.path} changes nothing: remove its line from {where}")
        author = f"{mail.author[0]} <{mail.author[1]}> {self.date}" if mail.author else self.who
        made = chain.add(changes, author, self.who, self._with_trailers(mail.message))
        self._remember(key, made)
        return Made(entry, made, parent, {f: (before[f], after) for f, after in changes.items()})

    def _maintained(self, chain, brought, entry, changes, before):
        """Who maintains the files that it brings, and those brought before."""
        was = chain.files([maintainers.PATH])[maintainers.PATH] if entry.files else None
        if was is None:
            return
        mine = maintainers.read(self.files.text(maintainers.PATH) or maintainers.LIST)
        if not any(m.covering(entry.files) for m in mine):
            return
        start = changes.get(maintainers.PATH, was)
        text = maintainers.with_entries(start[1].decode(), mine, list(brought), self.ident)
        if text.encode() != start[1]:
            changes[maintainers.PATH] = (start[0], text.encode())
            before.setdefault(maintainers.PATH, was)

    def _apply(self, chain, entry, mail, brought):
        if b"\nnew file mode" in mail.diff:
            die(f"patches/{entry.path} creates a file: put it whole at its path in the repository, and name it on the patch's line in patches/{self.base.name}/{entry.topic}/series")
        if b"diff --git" not in mail.diff:
            return {}, {}
        paths = patch.files_of(mail.diff)
        for f in paths:
            if f in brought:
                die(f"patches/{entry.path} changes {f}, which {Path(brought[f]).name} brings: a new file arrives whole, in one commit")
        before = chain.files(paths)
        try:
            return patch.apply(mail.diff, before, self.tmp), before
        except patch.DoesNotApply as e:
            needs = self.base.closure(entry.topic)
            on = f"{self.base.name}, {self.repo.what}" + (f", with {' '.join(needs)}" if needs else "")
            if str(e).startswith("hunk "):
                die(f"patches/{entry.path}: {e} does not apply to {on}: mend the patch (nothing was composed)")
            die(f"patches/{entry.path}: {e}: mend the patch (nothing was composed)")

    def _key(self, *parts):
        h = hashlib.sha256(f"{VERSION} {self.who} {self.trailers}".encode())
        for p in parts:
            h.update(b"\0" + repr(p if not hasattr(p, "path") else str(p)).encode())
        return h.hexdigest()

    def _with_trailers(self, message):
        if not self.trailers:
            return message
        args = [a for t in self.trailers for a in ("--trailer", t)]
        return self.repo.git("interpret-trailers", "--if-exists", "addIfDifferent", *args, data=message.encode(), text=False).decode()

    # Several topics, one after the other.
    def merged(self, names):
        """All commits of these topics, in this order, each from its own stack."""
        chain = Chain(self.repo, self.importer, self.repo.commit)
        made = []
        for name in names:
            for m in self.stack(name)[1]:
                made.append(self._replay(chain, m, made))
        self.merges[tuple(m.commit for m in made)] = chain
        return made

    def whole(self):
        return self.merged(list(self.base.topics))

    def _replay(self, chain, m, before):
        self.progress.step()
        if chain.commit == m.parent:
            if m.changes is None:
                chain.move(m.commit)
            else:
                chain.commit = m.commit
                chain.changed.update({f: after for f, (_, after) in m.changes.items()})
            return m
        key = self._key("merge", chain.commit, m.commit)
        parent, made = chain.commit, self._known(key)
        if made:
            chain.move(made)
            return Made(m.entry, made, parent)
        changes = self.changes(m)
        now, result = chain.files(list(changes)), {}
        for path, (was, then) in changes.items():
            merged, conflict = patch.merge_file(now[path], was, then, self.tmp)
            if conflict:
                self._conflict(m, path, before)
            if merged != now[path]:
                result[path] = merged
        if not result:
            die(f"patches/{m.entry.path} changes nothing after the topics before {m.entry.topic}: another topic has the same change: keep one")
        author, message = self._text(m)
        made = chain.add(result, author, self.who, message)
        self._remember(key, made)
        return Made(m.entry, made, parent, {f: (now[f], result[f]) for f in result})

    def changes(self, m):
        """path -> (before, after) of a commit."""
        if m.changes is None:
            m.changes = {path: (self.repo.blob(a), self.repo.blob(b)) for path, a, b in self.repo.changes(m.commit, m.parent)}
        return m.changes

    def _text(self, m):
        """(author, message) of a commit; one that was made just now cannot be read yet."""
        found = self.repo.object(m.commit)
        if found:
            return self.repo.commit_text(m.commit)
        mail = patch.read_mail(self.files.get(f"patches/{m.entry.path}")[0], m.entry.path, self.tmp)
        author = f"{mail.author[0]} <{mail.author[1]}> {self.date}" if mail.author else self.who
        return author, self._with_trailers(mail.message)

    def _conflict(self, m, path, before):
        """Which patch of another topic has the lines that m changes, too? The first
        one after which m's topic no longer fits on the file."""
        mine, needs = m.entry.topic, self.base.closure(m.entry.topic)
        own = [self.changes(o)[path] for o in self.stacks[mine][1] if path in self.changes(o)]
        until = own.index(self.changes(m)[path])
        start, then = own[0][0], own[until][1]
        guilty = None
        for o in before:
            if o.entry.topic == mine or o.entry.topic in needs or path not in self.changes(o):
                continue
            guilty = o
            if patch.merge_file(self.changes(o)[path][1], start, then, self.tmp)[1]:
                break
        other, by = (guilty.entry.topic, Path(guilty.entry.path).name) if guilty else ("?", "?")
        die(f"topics {other} and {mine} touch the same lines of {path} ({by}, {Path(m.entry.path).name}): say needs={other} in patches/{self.base.name}/{mine}/topic")


def write_notes(repo, made):
    """Which patch each commit is: a note, which amend and rebase carry along."""
    if not made:
        return
    out = ["commit refs/notes/series\ncommitter series <series@localhost> 0 +0000\ndata 0\n"]
    if repo.rev("refs/notes/series"):
        out.append("from refs/notes/series^0\n")
    for m in made:
        out.append(f"N inline {m.commit}\ndata {len(m.entry.path) + 1}\n{m.entry.path}\n")
    repo.git("fast-import", "--quiet", data="".join(out).encode(), text=False)
