# SPDX-License-Identifier: GPL-2.0-only
"""Who gets a mail: as the kernel's get_maintainer.pl says, the topic's cc=, and
linux-pci."""

import os
import re
import subprocess

from .util import die

ALWAYS = "linux-pci@vger.kernel.org"
# get_maintainer.pl wants the top of a tree, and reads these.
FILES = (".get_maintainer.ignore", ".mailmap", "COPYING", "CREDITS", "Kbuild", "MAINTAINERS", "Makefile", "README", "scripts/get_maintainer.pl")
DIRS = ("Documentation", "arch", "include", "drivers", "fs", "init", "ipc", "kernel", "lib", "scripts")


def address(text):
    return text.split()[-1].strip("<>").lower()


class Maintainers:
    def __init__(self, repo, commit, tmp):
        self.k = tmp / "kernel"
        self.k.mkdir()
        have = repo.modes(commit, FILES)
        for f in have:
            (self.k / f).parent.mkdir(parents=True, exist_ok=True)
            (self.k / f).write_bytes(repo.object(f"{commit}:{f}")[1])
        if "scripts/get_maintainer.pl" not in have:
            die(f"base {repo.base.name} has no scripts/get_maintainer.pl: it cannot be said who gets the mails")
        # It looks which of the names in MAINTAINERS are directories.
        text = (self.k / "MAINTAINERS").read_text() if "MAINTAINERS" in have else ""
        named = set(re.findall(r"^[FX]:\s*(\S+?)/?$", text, re.M))
        for d in [d for d in repo.git("ls-tree", "-rd", "--name-only", commit).split("\n") if d in named] + list(DIRS):
            (self.k / d).mkdir(parents=True, exist_ok=True)

    def of(self, mail):
        """[("To" or "Cc", "Name <address>")] of a patch mail."""
        # (Without the seed it is chance which of two roles it tells.)
        p = subprocess.run(["perl", "scripts/get_maintainer.pl", "--no-git", "--no-git-fallback", "--no-fixes", "--roles", "--no-substatus", str(mail)],
                           cwd=self.k, capture_output=True, text=True, check=False,
                           env={**os.environ, "HOME": str(self.k), "PERL_HASH_SEED": "0", "PERL_PERTURB_KEYS": "0"})
        if p.returncode:
            die(f"get_maintainer.pl fails on {mail.name}: {(p.stderr.strip().splitlines() or ['?'])[-1]}")
        found = []
        for line in p.stdout.splitlines():
            m = re.match(r"(.*@\S+) \((.*)", line)
            if m:
                found.append(("To" if re.match(r"(.*,)?(maintainer|supporter)[:)]", m[2]) else "Cc", m[1]))
        return found or die(f"get_maintainer.pl names nobody for {mail.name}")


def unique(who):
    """No address twice; somebody who is To anywhere is To. Without any, the last one is."""
    kind, order = {}, {}
    for k, text in who:
        a = address(text)
        order.setdefault(a, text)
        if k == "To" or a not in kind:
            kind[a] = k
    if "To" not in kind.values():
        kind[list(order)[-1]] = "To"
    return [(k, order[a]) for k in ("To", "Cc") for a in order if kind[a] == k]


def add_headers(text, who):
    """In the mail's own header, so that toCmd and ccCmd stay the caller's."""
    return re.sub(r"^From: ", lambda m: "".join(f"{k}: {t}\n" for k, t in who) + m[0], text, count=1, flags=re.M)
