# SPDX-License-Identifier: GPL-2.0-only
"""make rebase LINUX=path: all topics (or TOPIC= and what it needs) onto that kernel.

Each patch is replayed by a three-way merge, so upstream's commits never become
patches. One that upstream has is dropped, and named. A conflict stops it, with the
files as git leaves them in build/<base>/rebase; then CONTINUE=1, SKIP=1 (leaves the
patch out) or ABORT=1. Nothing is written to patches/ before all is done. What was
decided at a stop is in build/<base>/git/rebase.json; the rest is done anew each
time, which gives the same commits and takes seconds.
"""

import json
import re
import shutil

from . import patch
from .basefile import moved_base
from .chain import Chain, Importer
from .commands import load
from .compose import Composer
from .export import Exporter
from .model import Base, Entry, Files
from .refresh import own_changes
from .repo import Ident, Repo
from .store import Store
from .tree import made_of, unsafe
from .util import Progress, Refused, die, say, scratch, setting, write_atomically


def rebase(args):
    base = load(args)
    repo = Repo(base)
    repo.create()
    repo.lock()
    file = repo.gd / "rebase.json"
    again = [n for n in ("CONTINUE", "SKIP", "ABORT") if setting(n)]
    if len(again) > 1:
        die(f"{again[0]}=1 {again[1]}=1: one of them")
    if again and not file.exists():
        die(f"{again[0]}=1: no rebase of base {base.name} is under way: make rebase LINUX=path begins one")
    if not again and file.exists():
        die(f"a rebase of base {base.name} is under way: make rebase CONTINUE=1, SKIP=1 or ABORT=1")
    if setting("ABORT"):
        return Rebase(repo, json.loads(file.read_text())).forget("given up: patches/ is as it was")
    if again:
        work = Rebase(repo, json.loads(file.read_text()))
        work.unedited()
        work.settle(skip=bool(setting("SKIP")))
    else:
        work = Rebase(repo, begin(repo, args.topic))
    work.go()
    return 0


def begin(repo, topic):
    if not setting("LINUX"):
        die("onto what? make rebase LINUX=path of a kernel tree")
    why = unsafe(repo)
    if why:
        die(f"build/{repo.base.name}/linux: {why}")
    new = repo.source({"ANY": "1"})
    if repo.rev("refs/series/base"):
        repo.open_taken()
    else:
        found = repo.source({"LINUX": ""})
        repo.commit, repo.what = found["commit"], found["what"]
    if repo.commit == new["commit"]:
        die(f"LINUX={setting('LINUX')} is what base {repo.base.name} is on already: nothing to do")
    return {"new": new, "old": repo.commit, "old_what": repo.what, "topic": topic, "settled": {}, "stopped": None,
            "made_of": made_of(repo.base)}


class Stop(Exception):
    pass


class Rebase:
    def __init__(self, repo, state):
        self.repo, self.base, self.state = repo, repo.base, state
        self.file = repo.gd / "rebase.json"
        self.w = repo.b / "rebase"
        self.new = state["new"]["commit"]
        self.tmp = scratch(repo.b)
        repo.commit, repo.what = state["old"], state["old_what"]

    def unedited(self):
        now = made_of(self.base)
        for path, was in self.state["made_of"].items():
            if now.get(path) != was:
                die(f"{path} was edited since the rebase began: put it back, or make rebase ABORT=1 BASE={self.base.name} and begin anew")

    def save(self):
        write_atomically(self.file, json.dumps(self.state, indent=1).encode())

    def forget(self, text):
        if self.w.exists():
            self.repo.try_git("worktree", "remove", "--force", str(self.w))
            shutil.rmtree(self.w, ignore_errors=True)
            self.repo.try_git("worktree", "prune")
        self.file.unlink(missing_ok=True)
        say(text)

    def go(self):
        topic = self.state["topic"]
        wanted = self.base.closure(topic) + [topic] if topic else list(self.base.topics)
        self.names = [n for n in self.base.topics if n in wanted]
        with Composer(self.repo) as composer:
            old = {name: composer.stack(name)[1] for name in self.names}
        self.old = {m.entry.path: m for made in old.values() for m in made}
        self.importer = Importer(self.repo)
        self.gone, self.done = [], {}
        self.progress = Progress("rebasing", len(self.old))
        try:
            for name in self.names:
                self.topic(name, old[name])
            self.importer.finish()
            self.finish()
        except Stop:
            self.save()
            stop = self.state["stopped"]
            die(f"patches/{stop['path']}: conflict in {' '.join(stop['files'])}: mend it in build/{self.base.name}/rebase, then make rebase CONTINUE=1; SKIP=1 leaves the patch out, ABORT=1 gives up")
        finally:
            self.importer.abandon()

    def topic(self, name, made):
        chain = Chain(self.repo, self.importer, self.new)
        for need in self.base.closure(name):
            for path, changes, text in self.done[need]:
                self.put(chain, path, changes, text)
        self.done[name] = []
        for m in made:
            self.progress.step()
            path = m.entry.path
            settled = self.state["settled"].get(path, False)
            if settled is None:
                self.gone.append(path)
                continue
            text = self.repo.commit_text(m.commit)
            changes = own_changes(self.repo, m.commit)
            if settled:
                text = (text[0], self.repo.commit_text(settled)[1])
                changes = {p: (self.repo.blob(a), self.repo.blob(b)) for p, a, b in self.repo.changes(settled)}
            did = self.put(chain, path, changes, text)
            if did is None:
                say(f"patches/{path}: upstream has it: dropped")
                self.gone.append(path)
            else:
                self.done[name].append((path, did, text))

    def put(self, chain, path, changes, text):
        """Replays one; None if nothing is left of it."""
        now, result, bad = chain.files(list(changes)), {}, []
        for f, (before, after) in changes.items():
            merged, conflict = patch.merge_file(now[f], before, after, self.tmp)
            if conflict:
                bad.append(f)
            elif merged != now[f]:
                result[f] = merged
        if bad and self.taken(path, now):
            return None
        if bad:
            self.stop(chain, path, changes, text, bad)
        if not result:
            return None
        parent = chain.commit
        commit = chain.add(result, text[0], text[0], text[1])
        self.last = getattr(self, "last", {})
        self.last[path] = (commit, parent)
        return {f: (now[f], result[f]) for f in result}

    def taken(self, path, now):
        """Does the reverse of the patch apply? Then upstream has it, whatever else it did there."""
        entry = self.old[path].entry
        diff = patch.read_mail(self.base.files.get(f"patches/{path}")[0], path, self.tmp).diff
        if any(now.get(f) is None or now[f][1] != self.base.files.get(f)[0] for f in entry.files):
            return False
        if b"diff --git" not in diff:
            return bool(entry.files)
        try:
            patch.apply(diff, {f: now[f] for f in patch.files_of(diff)}, self.tmp, reverse=True)
        except (patch.DoesNotApply, KeyError):
            return False
        return True

    def stop(self, chain, path, changes, text, bad):
        """As git cherry-pick leaves it, in a work tree of its own."""
        theirs = self.importer.commit(self.old[path].parent, {f: after for f, (_, after) in changes.items()}, text[0], text[0], text[1])
        self.importer.finish()
        self.repo.close()
        if not (self.w / ".git").exists():
            say(f"checking out build/{self.base.name}/rebase")
            shutil.rmtree(self.w, ignore_errors=True)
            self.repo.try_git("worktree", "prune")
            self.repo.git("worktree", "add", "-q", "--detach", str(self.w), chain.commit)
        else:
            self.there("checkout", "-q", "-f", "--detach", chain.commit)
        status, _, _ = self.try_there("cherry-pick", "--allow-empty", theirs)
        bad = self.there("diff", "--name-only", "--diff-filter=U").split() or bad
        self.state["stopped"] = {"path": path, "parent": chain.commit, "theirs": theirs, "files": bad}
        if status == 0:	# (it knows of renames, which a merge of single files does not)
            self.save()
            raise Refused(f"patches/{path} was moved by git cherry-pick: look at build/{self.base.name}/rebase, then make rebase CONTINUE=1; SKIP=1 leaves the patch out")
        raise Stop

    def there(self, *args):
        return self.repo.in_tree(*args, tree=self.w)

    def try_there(self, *args):
        env = {"GIT_DIR": str(self.w / ".git"), "GIT_WORK_TREE": str(self.w), "GIT_EDITOR": ":",
               "GIT_COMMITTER_NAME": "rebase", "GIT_COMMITTER_EMAIL": "rebase@localhost"}
        real = (self.w / ".git").read_text().split(": ", 1)[1].strip()
        return self.repo.try_git(*args, env={**env, "GIT_DIR": real}, cwd=self.w)

    def settle(self, skip):
        """What the user made of the conflict."""
        stop = self.state["stopped"]
        if stop is None:
            return
        if skip:
            self.state["settled"][stop["path"]] = None
            say(f"patches/{stop['path']}: left out")
        else:
            marks = [f for f in stop["files"] if (self.w / f).is_file() and re.search(rb"^(<<<<<<<|>>>>>>>) ", (self.w / f).read_bytes(), re.M)]
            if marks:
                die(f"build/{self.base.name}/rebase/{marks[0]} has conflict markers still: mend it, then make rebase CONTINUE=1")
            head = self.there("rev-parse", "HEAD").strip()
            self.there("add", "-A")
            if self.try_there("diff", "--cached", "--quiet", "HEAD")[0]:
                how = ["-C", stop["theirs"]] if head == stop["parent"] else ["--amend", "--no-edit"]
                status, _, err = self.try_there("commit", "-q", "--no-verify", *how)
                if status:
                    die(f"build/{self.base.name}/rebase: git commit: {(err.strip().splitlines() or ['?'])[-1]}")
                head = self.there("rev-parse", "HEAD").strip()
            if head == stop["parent"]:
                self.state["settled"][stop["path"]] = None
                say(f"patches/{stop['path']}: nothing is left of it: dropped")
            elif self.there("rev-parse", "HEAD^").strip() != stop["parent"]:
                die(f"build/{self.base.name}/rebase has more than one commit on {stop['parent'][:12]}: make it one, for it is one patch")
            else:
                self.state["settled"][stop["path"]] = head
        self.state["stopped"] = None
        self.save()

    # All is replayed: what it is in patches/.
    def finish(self):
        new = self.state["new"]
        store = Store(self.repo, self.base, self.state["made_of"])
        exporter = Exporter(self.repo, [Ident(), "series <series@localhost>"])
        named = set()
        for name in self.names:
            lines = []
            for path, changes, _ in self.done[name]:
                commit, parent = self.last[path]
                files = exporter.new_files(commit, changes)
                text, before = exporter.text(commit, parent), store.files.get(f"patches/{path}")[0]
                if text != before:
                    if not path.startswith(self.base.name + "/"):
                        was, path = path, f"{self.base.name}/{name}/{path.rsplit('/', 1)[1]}"
                        say(f"patches/{was} is of another base: the moved one is patches/{path}")
                        lines.append((was, Entry(name, path, list(files))))
                    store.put(f"patches/{path}", text, False)
                for f, at in files.items():
                    store.put(f, *at)
                named.add(path)
                if not lines or lines[-1][1].path != path:
                    lines.append((path, Entry(name, path, list(files))))
            store.put_series(name, lines)
        keep = {e.path for e in self.base.entries() if e.topic not in self.names}
        files = {f for e in self.base.entries() if e.path in named | keep for f in e.files}
        store.remove_unnamed([m.entry for m in self.old.values()], named | keep, files)
        store.look_after_others({})
        whole = self.check(store, new)
        if whole:
            where = f"patches/{self.base.name}/base"
            text, said = moved_base(self.base.files.text(where), new)
            store.put(where, text.encode(), False)
            store.others[where] = True
            store.said += said
        store.write(lambda: None)
        self.forget(f"patches/{self.base.name}: {' '.join(self.names) if self.state['topic'] else 'all topics'} on {new['what']}: {sum(map(len, self.done.values()))} patches, {len(self.gone)} dropped"
                    + ("" if whole else f"; patches/{self.base.name}/base stays: the other topics do not apply there yet"))
        if whole:
            say(f"make tree LINUX={setting('LINUX', 'path')} has the tree")

    def check(self, store, new):
        """Composes what is staged on the new kernel, strictly: all of it?"""
        self.repo.commit, self.repo.what = new["commit"], new["what"]
        staged = Base(self.base.name, Files(self.base.files.root, store.staged))
        with Composer(self.repo, staged) as composer:
            for name in self.names:
                composer.stack(name)
        try:
            with Composer(self.repo, staged) as composer:
                composer.whole()
        except Refused:
            if not self.state["topic"]:
                raise
            return False
        return True
