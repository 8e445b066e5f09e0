# SPDX-License-Identifier: GPL-2.0-only
"""Patches as text: the mail form, which files one touches, and applying it strictly."""

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from .util import die

HUNK = re.compile(r"^@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")


@dataclass
class Mail:
    """What git mailinfo makes of a patch file."""
    subject: str
    author: tuple	# (name, address) or None
    message: str	# subject, an empty line, the body: as git commit has it
    diff: bytes


def stripspace(text):
    """As git stripspace: no trailing space, no two empty lines, none at either end."""
    lines, out = [line.rstrip() for line in text.split("\n")], []
    for line in lines:
        if line or (out and out[-1]):
            out.append(line)
    while out and not out[-1]:
        out.pop()
    return "".join(line + "\n" for line in out)


def read_mail(data, name, tmp):
    """-b keeps other [tags]; the folded subject comes as one line."""
    msg, diff = Path(tmp) / "msg", Path(tmp) / "diff"
    p = subprocess.run(["git", "mailinfo", "-b", "--no-scissors", "--encoding=UTF-8", str(msg), str(diff)],
                       input=data, capture_output=True, check=False, cwd=tmp, env=plain_env(tmp))
    info = dict(line.split(": ", 1) for line in p.stdout.decode(errors="replace").splitlines() if ": " in line)
    if p.returncode:
        die(f"patches/{name}: git mailinfo cannot read it: it must begin with Subject:, an empty line, the message and ---")
    if not info.get("Subject"):
        die(f"patches/{name} has no Subject: line: add one")
    author = (info["Author"], info["Email"]) if info.get("Email") else None
    message = stripspace(info["Subject"] + "\n\n" + msg.read_text(errors="replace"))
    return Mail(info["Subject"], author, message, diff.read_bytes())


def plain_env(tmp):
    """git that finds neither a configuration nor a repository around tmp."""
    import os
    return {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CEILING_DIRECTORIES": str(Path(tmp)), "GIT_DISCOVERY_ACROSS_FILESYSTEM": "0"}


def files_of(diff):
    """The paths that a diff touches, in order. Renames are not ours."""
    found = {}
    for line in diff.decode(errors="replace").splitlines():
        m = re.match(r"(?:---|\+\+\+) (?:[ab]/)(.*?)(?:\t.*)?$", line) or re.match(r"diff --git a/(.*) b/\1$", line)
        if m:
            found[m[1]] = True
    return list(found)


def which_hunk(diff, path, line):
    """git's complaint has the file and the old line only: which hunk is it?"""
    n, inside = 0, False
    for text in diff.decode(errors="replace").splitlines():
        if text.startswith("+++ "):
            n, inside = 0, text.split("\t")[0] == f"+++ b/{path}"
        m = HUNK.match(text)
        if m and inside:
            n += 1
            if m[1] == line:
                return f"{n} ({' '.join(text.split()[:4])})"
    return f"at line {line}"


class DoesNotApply(Exception):
    """With path and hunk, in words."""


def apply(diff, before, tmp, reverse=False):
    """Applies diff to before (path -> (mode, bytes) or None): no fuzz, no
    three-way merge. Returns the same after, of what has changed."""
    work = Path(tmp) / "apply"
    work.mkdir()
    try:
        for path, at in before.items():
            if at is not None:
                f = work / path
                f.parent.mkdir(parents=True, exist_ok=True)
                f.write_bytes(at[1])
                f.chmod(0o755 if at[0] == "100755" else 0o644)
        p = subprocess.run(["git", "apply", "-v", "--whitespace=nowarn", "--no-ignore-whitespace", *(["-R"] if reverse else []), "-"], input=diff, cwd=work,
                           capture_output=True, check=False, env=plain_env(tmp))
        if p.returncode:
            err = p.stderr.decode(errors="replace")
            m = re.search(r"^error: patch failed: (.*):(\d+)$", err, re.M)
            if m:
                raise DoesNotApply(f"hunk {which_hunk(diff, m[1], m[2])} of {m[1]}")
            m = re.search(r"^error: (.*)$", err, re.M)
            raise DoesNotApply(m[1] if m else err.strip().splitlines()[-1])
        after = {}
        for path, at in before.items():
            f = work / path
            now = None if not f.exists() else ("100755" if f.stat().st_mode & 0o100 else "100644", f.read_bytes())
            if now != at:
                after[path] = now
        return after
    finally:
        import shutil
        shutil.rmtree(work)


def merge_file(ours, base, theirs, tmp, labels=("ours", "base", "theirs")):
    """A three-way merge of one file, each (mode, bytes) or None.
    Returns (result, None), or (None, words) if they conflict."""
    if ours == base or ours == theirs:
        return theirs, None
    if base == theirs:
        return ours, None
    if None in (ours, base, theirs):
        return None, "one removes it"
    paths = []
    for name, at in zip(("ours", "base", "theirs"), (ours, base, theirs)):
        f = Path(tmp) / f"merge.{name}"
        f.write_bytes(at[1])
        paths.append(str(f))
    p = subprocess.run(["git", "merge-file", "-p", "-q", "-L", labels[0], "-L", labels[1], "-L", labels[2], *paths],
                       capture_output=True, check=False, cwd=tmp, env=plain_env(tmp))
    if p.returncode:
        return None, "the same lines"
    mode = theirs[0] if theirs[0] != base[0] else ours[0]
    return (mode, p.stdout), None


def without_numbers(patch):
    """To compare two patches but for their line numbers."""
    return re.sub(rb"^@@ -[0-9,]+ \+[0-9,]+ @@.*$", b"@@", patch, flags=re.M)
