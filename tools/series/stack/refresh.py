# SPDX-License-Identifier: GPL-2.0-only
"""make refresh: the commits of build/<base>/linux back into the topics of
patches/<base> and the new files. A commit finds its patch by its note
(refs/notes/series, which amend and rebase carry along), else by its subject; what
finds none is new. Each topic's commits are replayed on the base and what the topic
needs, and its patches written from that. All is staged, and composed once more,
before anything is written.
"""

from . import maintainers, patch
from .chain import Chain, Importer
from .commands import load
from .compose import Composer, Made, write_notes
from .export import Exporter, free_name
from .model import Base, Entry, Files
from .repo import Ident, Repo, progress
from .store import Store
from .topics import known_patches, slug, topics_of
from .tree import dirty, unsafe, write_made_of
from .util import die, say, scratch


def refresh(args):
    new_topic = args.topic
    args.topic = ""
    base = load(args)
    if new_topic and new_topic not in base.topics:
        base.topic(new_topic)
    repo = Repo(base)
    if not repo.w.is_dir():
        die(f"build/{base.name}/linux does not exist: run make tree BASE={base.name}")
    repo.lock()
    head = checked_head(repo)
    commits = repo.git("rev-list", "--reverse", f"{repo.commit}..{head}").split()
    work = Refresh(repo, base, commits, head, new_topic)
    work.name()
    work.stage(keep=True)
    if work.composes(quiet=True) is None:
        work.stage(keep=False)
        if work.composes(quiet=False) is None:
            die(f"the refreshed topics, stacked in the order of patches/{base.name}/topics, do not give the files of build/{base.name}/linux"
                " (nothing was written): a commit stands where it has another effect there: move it to the others of its topic by git rebase -i base, then again")
    work.write()
    repo.close()
    say(f"patches/{base.name}: {len(commits)} commits")


def checked_head(repo):
    where = f"build/{repo.base.name}/linux"
    if repo.try_git("symbolic-ref", "-q", "HEAD")[1] != "refs/heads/series":
        die(f"{where} is not on branch series (or in the middle of a rebase): finish it, then git checkout series there")
    why = unsafe(repo)
    if why and "that refresh has not taken" not in why:
        die(f"{where}: {why}")
    edit = dirty(repo)
    if edit:
        die(f"{where} has uncommitted edits ({edit}): commit them there, or put them back")
    repo.open_taken()
    head = repo.rev("HEAD")
    if repo.try_git("merge-base", "--is-ancestor", repo.commit, head)[0]:
        die(f"{where} no longer stands on tag base: rebase branch series on it, or to move all to another kernel: make rebase LINUX=path")
    if repo.git("rev-list", "--merges", f"{repo.commit}..{head}"):
        die(f"{where} has a merge: a series is a line of commits: rebase it")
    return head


def own_changes(repo, commit):
    """path -> (before, after) of a commit, without what composing puts into
    MAINTAINERS for the files that it brings."""
    changes = {p: (repo.blob(a), repo.blob(b)) for p, a, b in repo.changes(commit)}
    if any(before is None for before, _ in changes.values()):
        changes.pop(maintainers.PATH, None)
    return changes


class Refresh:
    def __init__(self, repo, base, commits, head, new_topic):
        self.repo, self.base, self.commits, self.head, self.new_topic = repo, base, commits, head, new_topic
        ident = repo.gd / "series.ident"
        self.idents = [Ident(), ident.read_text().strip() if ident.exists() else "series <series@localhost>"]
        self.old = {e.path: e for e in base.entries()}
        self.tmp = scratch(repo.b)
        self.store = Store(repo, base)

    def name(self):
        """Which patch, and which topic, is each commit? Sets of (commit -> path) and topics."""
        subjects = {c: self.repo.subject(c) for c in self.commits}
        notes = {c: self.repo.try_git("notes", "--ref=series", "show", c)[1].split("\n") for c in self.commits}
        self.of = known_patches(self.commits, notes, subjects, self.old)
        self.was = dict(self.of)
        order = {p: i for i, p in enumerate(self.old)}
        topic = {p: e.topic for p, e in self.old.items()}
        self.topics = topics_of(self.commits, self.of, topic, order, self.new_topic, subjects)
        claimed = set(self.of.values())
        for c in self.commits:
            old = self.of.get(c)
            stem = old.rsplit("/", 1)[1][:-6] if old else slug(subjects[c])
            moved = old and self.topics[c] != topic[old]
            if old and not moved:
                continue
            path = free_name(self.base.name, self.topics[c], stem, lambda p: p in claimed or (self.store.files.get(f"patches/{p}") and p not in self.old) or (p in self.old and not old))
            claimed.add(path)
            self.of[c] = path
            say(f"moved: patches/{old} is patches/{path}" if moved else f"new: patches/{path}")

    def replay(self, importer):
        """Each topic's commits on the base and what it needs: topic -> [Made]."""
        own, chains = {}, {}
        changes = {c: own_changes(self.repo, c) for c in self.commits}
        new = set()
        for c, what in changes.items():
            for f, (before, _) in what.items():
                if before is None:
                    new.add(f)
                elif f in new:
                    die(f"commit {c[:12]} \"{self.repo.subject(c)}\" changes {f}, which an earlier commit brings; a new file arrives whole: squash the change into that commit")

        def put(chain, c, what, topic):
            now, result = chain.files(list(what)), {}
            for f, (before, after) in what.items():
                merged, conflict = patch.merge_file(now[f], before, after, self.tmp)
                if conflict:
                    self.conflict(c, f, topic)
                if merged != now[f]:
                    result[f] = merged
            if not result:
                die(f"commit \"{self.repo.subject(c)}\" changes nothing on the base and what topic {topic} needs: drop it (nothing was written)")
            author, message = self.repo.commit_text(c)
            parent = chain.commit
            made = chain.add(result, author, author, message)
            return Made(None, made, parent, {f: (now[f], result[f]) for f in result})
        for name in progress("replaying topics", list(self.base.topics)):
            chain = Chain(self.repo, importer, self.repo.commit)
            for need in self.base.closure(name):
                for c, m in own[need]:
                    put(chain, c, m.changes, name)
            own[name] = [(c, put(chain, c, changes[c], name)) for c in self.commits if self.topics[c] == name]
            chains[name] = chain
        importer.finish()
        return own

    def conflict(self, c, f, topic):
        """It rests on another topic: the one of the last commit before it that changes the file."""
        below = set(self.base.closure(topic)) | {topic}
        for o in reversed(self.commits[:self.commits.index(c)]):
            if self.topics[o] not in below and any(p == f for p, _, _ in self.repo.changes(o)):
                die(f"commit \"{self.repo.subject(c)}\" of topic {topic} does not fit on the base without topic {self.topics[o]}, whose \"{self.repo.subject(o)}\" changes the same lines of {f} (nothing was written): "
                    f"say needs={self.topics[o]} in patches/{self.base.name}/{topic}/topic and run make refresh again, or move one of the two by git rebase -i base")
        die(f"commit \"{self.repo.subject(c)}\" does not fit on the commits of topic {topic} before it, in {f} (nothing was written): move it to them by git rebase -i base")

    def stage(self, keep):
        """keep: patches that differ in line numbers only stay as they are."""
        if not hasattr(self, "own"):
            self.own = self.replay(Importer(self.repo))
        exporter = Exporter(self.repo, self.idents)
        store = self.store = Store(self.repo, self.base)
        self.lines = {name: [] for name in self.base.topics}
        self.final = dict(self.of)
        composed = self.repo.rev("refs/series/composed")
        kept = set(self.repo.git("rev-list", f"{self.repo.commit}..{composed}").split()) if composed else set()
        for name, made in self.own.items():
            for c, m in made:
                path, old = self.of[c], self.was.get(c)
                new = exporter.new_files(m.commit, m.changes)
                text = exporter.text(m.commit, m.parent)
                before = store.files.get(f"patches/{old}") if old else None
                if before and store.untouched(f"patches/{old}"):
                    if c in kept or (keep and patch.without_numbers(text) == patch.without_numbers(before[0])):
                        text = before[0]
                if not path.startswith(self.base.name + "/") and before and text != before[0]:
                    # Another base's patch stays as it is; what differs is stored here.
                    path = free_name(self.base.name, name, path.rsplit("/", 1)[1][:-6], lambda p: bool(store.files.get(f"patches/{p}")) and p not in self.old)
                    say(f"patches/{old} is of another base: the changed one is patches/{path}")
                self.final[c] = path
                store.put(f"patches/{path}", text, False)
                for f, (data, executable) in new.items():
                    store.put(f, data, executable)
                self.lines[name].append((old, Entry(name, path, sorted(new, key=lambda f, o=old: self.place(o, f)))))
        for name, lines in self.lines.items():
            store.put_series(name, lines)
        now = {e.path for lines in self.lines.values() for _, e in lines}
        moved = {self.was[c]: self.final[c] for c in self.commits if c in self.was and self.final[c] != self.was[c]}
        store.remove_unnamed([e for p, e in self.old.items()], now, {f for lines in self.lines.values() for _, e in lines for f in e.files})
        store.look_after_others(moved)

    def place(self, old, f):
        """New files keep the order that their line has."""
        files = self.old[old].files if old in self.old else []
        return files.index(f) if f in files else len(files), f

    def composes(self, quiet):
        """The staged topics, composed: the commits, if they give the same files."""
        from .util import Refused
        try:
            staged = Base(self.base.name, Files(self.base.files.root, self.store.staged))
            # (As whoever made the tree: the entries in MAINTAINERS have the name.)
            with Composer(self.repo, staged, ident=Ident(self.idents[1])) as composer:
                made = composer.whole()
        except Refused as e:
            if quiet:
                return None
            die(f"{e} (nothing was written)")
        tip = made[-1].commit if made else self.repo.commit
        differ = self.repo.git("diff-tree", "-r", "--no-renames", "--name-only", tip, self.head).split("\n")
        if differ == [maintainers.PATH]:
            self.maintained(tip)
            differ = [""]
        return made if differ == [""] else None

    def maintained(self, tip):
        """The kernel's MAINTAINERS is made of this repository's: an edit of it goes there."""
        def lines(commit):
            found = self.repo.object(f"{commit}:{maintainers.PATH}")
            return set(found[1].decode().splitlines()) if found else set()
        for line in sorted(lines(self.head) - lines(tip) - lines(self.repo.commit)):
            if not any(line == f"M:\t{i}" for i in self.idents):
                die(f"build/{self.base.name}/linux has \"{line}\" in MAINTAINERS, whose entries for new files are made of MAINTAINERS here: edit that instead, and put it back there (nothing was written)")
        say("MAINTAINERS: its entries for the new files are made anew: make tree shows them")

    def write(self):
        def remember():
            write_notes(self.repo, [Made(Entry("", self.final[c], []), c, "") for c in self.commits])
            self.repo.git("update-ref", "refs/series/taken", self.head)
            write_made_of(self.repo, Base(self.base.name))
        self.store.write(remember)
