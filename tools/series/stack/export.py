# SPDX-License-Identifier: GPL-2.0-only
"""Commits as what patches/ has of them: the patch, the new files, a series line."""

import re

from . import maintainers, patch
from .model import NAME
from .util import die

DIFF = ("diff-tree", "-p", "--no-color", "--no-ext-diff", "--no-textconv", "--no-renames", "--full-index", "-U3", "--diff-algorithm=myers",
        "--indent-heuristic", "--src-prefix=a/", "--dst-prefix=b/", "--no-commit-id")
# Paths of this repository, which a kernel's file cannot be kept at.
OWN = re.compile(r"(tools/series/|tools/lab/|patches/|build/|out/|configs/|results/|\.ci/|(Makefile|Kconfig|COPYING|MAINTAINERS)$|README)")


class Exporter:
    """What a commit becomes. idents: whose names need no From:, whose sign-offs are not kept."""

    def __init__(self, repo, idents):
        self.repo, self.idents = repo, [str(i) for i in idents]

    def new_files(self, commit, changes):
        """path -> (bytes, executable) of the files that a commit brings."""
        name = f"commit {commit[:12]} \"{self.repo.subject(commit)}\""
        new = {}
        for f, (before, after) in changes.items():
            if before is not None:
                continue
            if re.search(r"[\s#]", f):
                die(f"{name} adds \"{f}\": a name with spaces or # cannot be in a series")
            if OWN.match(f):
                die(f"{name} adds {f}: that path is this repository's own")
            if after[0] not in ("100644", "100755"):
                die(f"{name} adds {f}, which is no plain file: only files can be new")
            new[f] = (after[1], after[0] == "100755")
        return new

    def text(self, commit, parent):
        """The patch file. Attributes (diff=cpp) are of the work tree; an index line says nothing here."""
        name = f"commit {commit[:12]} \"{self.repo.subject(commit)}\""
        author, subject, body = self.repo.git("log", "-1", "--format=%an <%ae>%x00%s%x00%b", commit).split("\0")
        mine = [f"Signed-off-by: {i}" for i in self.idents]
        body = patch.stripspace("\n".join(line for line in body.split("\n") if line not in mine))
        if re.search(r"^(---|diff -|Index: )", body, re.M):
            die(f"the message of {name} has a line that begins like a diff: git am would cut it there")
        where = {"GIT_WORK_TREE": str(self.repo.w)} if self.repo.w.is_dir() else {}
        diff = self.repo.git(*DIFF, "--diff-filter=a", parent, commit, text=False, env=where)
        if re.search(rb"^(GIT binary patch|Binary files)", diff, re.M):
            die(f"{name} changes a binary file: that cannot be mailed")
        head, lines = True, []
        for line in self.without_maintainers(diff, commit, parent).split(b"\n"):
            if line.startswith(b"diff --git "):
                head = True
            elif line.startswith(b"@@ "):
                head = False
            if not (head and line.startswith(b"index ")):
                lines.append(line)
        text = "" if author in self.idents or author == "series <series@localhost>" else f"From: {author}\n"
        text += f"Subject: [PATCH] {subject}\n\n{body}---\n"
        return text.encode() + b"\n".join(lines)


    def without_maintainers(self, diff, commit, parent):
        """Composing puts our entries into the kernel's MAINTAINERS, with the files that they cover."""
        ours = maintainers.read(self.repo.base.files.text(maintainers.PATH) or maintainers.LIST)
        new = [f for f, before, _ in self.repo.changes(commit, parent) if before is None]
        if not any(entry.covering(new) for entry in ours):
            return diff
        return re.sub(rb"^diff --git a/MAINTAINERS b/MAINTAINERS\n.*?(?=^diff --git |\Z)", b"", diff, flags=re.M | re.S)


def free_name(base, topic, stem, taken):
    """A path for a new patch that none has, in taken(path)'s words."""
    if not NAME.match(topic):
        die(f"TOPIC={topic}: not a name for a topic")
    path, i = f"{base}/{topic}/{stem}.patch", 2
    while taken(path):
        path, i = f"{base}/{topic}/{stem}-{i}.patch", i + 1
    return path
