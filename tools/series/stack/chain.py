# SPDX-License-Identifier: GPL-2.0-only
"""A line of commits in the making, without a work tree or an index.

Commits go to one git fast-import, which is told only what they change. What was
changed here is remembered, so nothing has to be read back before it ends.
"""

import subprocess

from .util import Refused, disk_trouble


class Importer:
    """One git fast-import; commits are kept, the ref it needs is not."""

    REF = "refs/series/importing"

    def __init__(self, repo):
        self.repo, self.p, self.n = repo, None, 0
        self.marks = {}			# of this process: git cannot look these up yet

    def _start(self):
        self.p = subprocess.Popen(["git", "fast-import", "--quiet", "--force", "--done", "--date-format=raw"], env=self.repo.env,
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def _write(self, data):
        try:
            self.p.stdin.write(data)
        except BrokenPipeError:
            self._broken()

    def _broken(self):
        err = self.p.stderr.read().decode(errors="replace")
        self.p.wait()
        self.p = None
        first = next((line for line in err.splitlines() if line.startswith("fatal: ")), err.strip()[:200])
        raise Refused(disk_trouble(err, self.repo.gd) or f"git fast-import: {first.removeprefix('fatal: ') or 'it was ended'}: please report")

    def commit(self, parent, changes, author, committer, message):
        """changes: path -> (mode, bytes) or None. Returns the hash."""
        if self.p is None:
            self._start()
        self.n += 1
        data = message.encode()
        out = [f"commit {self.REF}\nmark :{self.n}\nauthor {author}\ncommitter {committer}\ndata {len(data)}\n".encode(), data,
               f"\nfrom {self.marks.get(parent, parent)}\n".encode()]
        for path, at in sorted(changes.items()):
            name = path.encode()
            if any(c in path for c in '"\n\\'):
                name = b'"' + name.replace(b"\\", b"\\\\").replace(b'"', b'\\"').replace(b"\n", b"\\n") + b'"'
            if at is None:
                out.append(b"D " + name + b"\n")
            else:
                out += [b"M " + at[0].encode() + b" inline " + name + f"\ndata {len(at[1])}\n".encode(), at[1], b"\n"]
        out.append(f"\nget-mark :{self.n}\n".encode())
        self._write(b"".join(out))
        try:
            self.p.stdin.flush()
        except BrokenPipeError:
            self._broken()
        made = self.p.stdout.readline().decode().strip()
        if len(made) != 40:
            self._broken()
        self.marks[made] = f":{self.n}"
        return made

    def finish(self):
        if self.p is None:
            return
        self._write(f"reset {self.REF}\nfrom {'0' * 40}\n\ndone\n".encode())
        try:
            self.p.stdin.close()
        except BrokenPipeError:
            pass
        self.p.stdout.read()
        err = self.p.stderr.read().decode(errors="replace")
        if self.p.wait():
            first = next((line for line in err.splitlines() if line.startswith("fatal: ")), err.strip()[:200])
            self.p = None
            raise Refused(disk_trouble(err, self.repo.gd) or f"git fast-import: {first.removeprefix('fatal: ')}: please report")
        self.p = None
        self.marks = {}

    def abandon(self):
        if self.p is not None:
            self.p.kill()
            self.p.wait()
            self.p = None


class Chain:
    """Where a line of commits has got to: commit is its tip."""

    def __init__(self, repo, importer, commit):
        self.repo, self.importer = repo, importer
        self.anchor = self.commit = commit	# anchor: the last one that git can read
        self.changed = {}			# since the anchor

    def move(self, commit):
        """To a commit that was made earlier, on top of this one."""
        self.commit = self.anchor = commit
        self.changed = {}

    def copy(self):
        other = Chain(self.repo, self.importer, self.anchor)
        other.commit, other.changed = self.commit, dict(self.changed)
        return other

    def files(self, paths):
        """path -> (mode, bytes) or None, as the tip has them."""
        missing = [p for p in paths if p not in self.changed]
        modes = self.repo.modes(self.anchor, missing)
        found = {}
        for p in paths:
            if p in self.changed:
                found[p] = self.changed[p]
            elif p in modes and modes[p] != "040000":
                found[p] = (modes[p], self.repo.object(f"{self.anchor}:{p}")[1])
            else:
                found[p] = None
        return found

    def add(self, changes, author, committer, message):
        self.commit = self.importer.commit(self.commit, changes, author, committer, message)
        self.changed.update(changes)
        return self.commit
