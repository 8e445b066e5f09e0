# SPDX-License-Identifier: GPL-2.0-only
"""build/<base>/git: the repository of a base, and the kernel source in it."""

import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

from .util import TOOLS, TOP, Progress, die, run, say, scratch, setting, wait_lock

# The user's git configuration must not change what is composed.
PLAIN = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1", "GIT_OPTIONAL_LOCKS": "0"}
CONFIG = (("core.bare", "false"), ("gc.auto", "0"),
          ("notes.displayRef", "refs/notes/series"), ("notes.rewriteRef", "refs/notes/series"),
          ("notes.rewrite.amend", "true"), ("notes.rewrite.rebase", "true"), ("core.worktree", "../linux"))
BUSY = ("rebase-merge", "rebase-apply", "MERGE_HEAD", "CHERRY_PICK_HEAD", "REVERT_HEAD", "BISECT_LOG")


class Ident:
    """Who composes; known is false if git was not told."""

    def __init__(self, text=None):
        """text: as str() gives it, of somebody else."""
        if text:
            self.name, _, self.email = text.rstrip(">").rpartition(" <")
            self.known = True
            return

        def config(key):
            p = subprocess.run(["git", "-C", str(TOP), "config", key], capture_output=True, text=True, check=False)
            return p.stdout.strip()
        self.name = setting("GIT_AUTHOR_NAME") or config("user.name")
        self.email = setting("GIT_AUTHOR_EMAIL") or config("user.email") or setting("EMAIL")
        self.known = bool(self.name and self.email)
        if not self.known:
            self.name, self.email = "series", "series@localhost"

    def __str__(self):
        return f"{self.name} <{self.email}>"


class Repo:
    def __init__(self, base):
        self.base = base
        self.b = TOP / "build" / base.name	# everything built for this base
        self.w = self.b / "linux"		# the work tree of `make tree`
        self.gd = self.b / "git"		# its objects, refs, notes, index
        self.env = {**os.environ, **PLAIN, "GIT_DIR": str(self.gd), "GIT_WORK_TREE": str(self.b)}
        self.commit = self.what = ""
        self.upstream = False
        self._batch = self._lock = None

    # Locked for the seconds that composing, moving and refreshing take; a shell
    # script that sources lib.sh has done it (lock), and says so.
    def lock(self):
        self.b.mkdir(parents=True, exist_ok=True)
        if setting("STACK_LOCKED") != self.base.name and self._lock is None:
            self._lock = open(self.b / "lock", "a", encoding="ascii")
            wait_lock(self._lock, f"build/{self.base.name}", 120)

    def git(self, *args, data=None, env=None, text=True):
        kw = {"env": {**self.env, **(env or {})}}
        if data is not None:
            kw["input"] = data
        if text:
            return run(["git", *args], text=True, **kw).rstrip("\n")
        return run(["git", *args], **kw)

    def try_git(self, *args, env=None, cwd=None):
        """(status, output, complaint) of what may fail."""
        p = subprocess.run(["git", *args], env={**self.env, **(env or {})}, cwd=cwd,
                           stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False)
        return p.returncode, p.stdout.rstrip("\n"), p.stderr

    def in_tree(self, *args, text=True, uninterrupted=False, tree=None):
        """git as its user runs it in build/<base>/linux."""
        env = {**os.environ, **PLAIN}
        kw = {"start_new_session": True} if uninterrupted else {}
        return run(["git", "-C", str(tree or self.w), *args], env=env, text=text, **kw)

    def rev(self, name):
        return self.try_git("rev-parse", "-q", "--verify", name)[1] or None

    def create(self):
        if self.gd.is_dir():
            return
        tmp = scratch(self.b)
        env = {**os.environ, **PLAIN}
        run(["git", "init", "-q", "--bare", "-b", "series", str(tmp / "git")], env=env)
        for key, value in CONFIG:
            run(["git", f"--git-dir={tmp}/git", "config", key, value], env=env)
        (tmp / "git").rename(self.gd)

    def borrow(self, objects):
        alternates = self.gd / "objects/info/alternates"
        have = alternates.read_text().splitlines() if alternates.exists() else []
        if objects not in have:
            have = [d for d in have if Path(d).is_dir()] + [objects]
            alternates.write_text("".join(d + "\n" for d in have))

    def source(self, env=None):
        """What tools/series/source finds: a dict of objects, shallow, commit, what, version, upstream."""
        with subprocess.Popen([str(TOOLS / "source")], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True,
                              env={**os.environ, "BASE": self.base.name, **(env or {})}) as p:
            try:
                out = p.communicate()[0]
            except BaseException:
                p.send_signal(signal.SIGTERM)
                p.wait()	# it cleans up, too
                raise
        if p.returncode:
            raise SystemExit(3 if 0 < p.returncode < 128 else 130)
        found = dict(line.split("=", 1) for line in out.splitlines() if "=" in line)
        if found.get("objects"):
            self.borrow(found["objects"])
        shallow = found.get("shallow")
        if shallow and Path(shallow).is_file():
            mine = self.gd / "shallow"
            lines = set(Path(shallow).read_text().split()) | set(mine.read_text().split() if mine.exists() else ())
            mine.write_text("".join(line + "\n" for line in sorted(lines)))
        if self.try_git("cat-file", "-e", found["commit"] + "^{tree}")[0]:
            die(f"the base's objects are not readable from build/{self.base.name}/git: run make clean, then again")
        return found

    def open(self):
        """Fetches or finds the source; afterwards the repository has it."""
        self.create()
        found = self.source()
        self.commit, self.what = found["commit"], found["what"]
        self.upstream = found.get("upstream", "0") == "1"
        # The commit that others know it by; a Debian tarball has the tree only.
        self.sha = found["commit"] if self.upstream else found.get("sha", "")
        self.tag = found.get("tag", "")
        (self.gd / "series.what").write_text(self.what + "\n")
        return self

    def open_taken(self):
        """The base that build/<base>/linux stands on, whatever the source is today."""
        self.commit = self.rev("refs/series/base") or die(f"build/{self.base.name}/linux does not exist: run make tree BASE={self.base.name}")
        what = self.gd / "series.what"
        self.what = what.read_text().strip() if what.exists() else "base"
        return self

    # Objects, by one git cat-file that stays.
    def object(self, name):
        """(type, bytes), or None if there is none."""
        if self._batch is None:
            self._batch = subprocess.Popen(["git", "cat-file", "--batch"], env=self.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        b = self._batch
        b.stdin.write(name.encode() + b"\n")
        b.stdin.flush()
        head = b.stdout.readline().decode().split()
        if len(head) < 3 or head[-1] == "missing":
            return None
        data = b.stdout.read(int(head[2]))
        b.stdout.read(1)
        return head[1], data

    def close(self):
        if self._batch:
            self._batch.stdin.close()
            self._batch.wait()
            self._batch = None

    def modes(self, commit, paths):
        """path -> mode, of those that the commit has."""
        if not paths:
            return {}
        out = self.git("--literal-pathspecs", "ls-tree", "-z", "--full-tree", commit, "--", *paths)
        return {line.split("\t", 1)[1]: line.split(" ", 1)[0] for line in out.split("\0") if line}

    def changes(self, commit, parent=None):
        """What a commit changes: [(path, (mode, id) or None before, the same after)]."""
        out = self.git("diff-tree", "-r", "-z", "--no-renames", "--no-commit-id", parent or commit + "^", commit).split("\0")
        result = []
        for head, path in zip(out[::2], out[1::2]):
            m0, m1, i0, i1, _ = head.lstrip(":").split(" ")
            result.append((path, None if set(m0) == {"0"} else (m0, i0), None if set(m1) == {"0"} else (m1, i1)))
        return result

    def blob(self, at):
        """(mode, id) as (mode, bytes)."""
        return None if at is None else (at[0], self.object(at[1])[1])

    def commit_text(self, commit):
        """(author, date, message) of a commit."""
        head, _, message = self.object(commit)[1].partition(b"\n\n")
        author = re.search(rb"^author (.*)$", head, re.M)[1].decode()
        return author, message.decode()

    def subject(self, commit):
        return self.git("log", "-1", "--format=%s", commit)

    def checkout_tree(self, commit, dest, index):
        """A new work tree at dest (not there yet), and its index."""
        say(f"checking out {dest.relative_to(TOP)}")
        tmp = scratch(self.b)
        (tmp / "tree").mkdir()
        env = {"GIT_INDEX_FILE": str(tmp / "index"), "GIT_WORK_TREE": str(tmp / "tree")}
        self.git("read-tree", "-u", "--reset", commit, env=env)
        shutil.move(tmp / "index", index)
        return tmp / "tree"


def progress(what, items):
    p = Progress(what, len(items))
    for i in items:
        yield i
        p.step()
