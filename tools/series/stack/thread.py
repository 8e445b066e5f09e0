# SPDX-License-Identifier: GPL-2.0-only
"""A mailbox: is a topic in it whole, numbered, and in one thread? And b4, offline."""

import mailbox
import os
import re
import subprocess
from email.header import decode_header, make_header
from pathlib import Path

from .util import die, setting


def subject(mail):
    return " ".join(str(make_header(decode_header(mail["Subject"] or ""))).split())


def the_mailbox():
    path = Path(setting("MBOX"))
    if not setting("MBOX") or not path.is_file():
        die(f"MBOX={setting('MBOX')}: no such file: a mailbox with the mails of a topic")
    return path.resolve()


def thread(folder, path):
    """The id of the first mail, if path has each mail of folder once, each an answer to it."""
    box = {}
    for m in mailbox.mbox(path, create=False):
        box.setdefault(subject(m), []).append(m)
    want = [subject(next(iter(mailbox.mbox(f, create=False)))) for f in sorted(folder.glob("*.patch"))]
    gone = [s for s in want if s not in box]
    if gone:
        die(f"{path.name} lacks {len(gone)} of {len(want)} mails: " + "; ".join(gone[:3]) + ("; ..." if gone[3:] else ""))
    for s in want:
        if len(box[s]) > 1:
            die(f"{path.name} has {len(box[s])} mails \"{s}\": which one?")
    first = box[want[0]][0]
    if first["In-Reply-To"]:
        die(f"\"{want[0]}\" is itself an answer, to {first['In-Reply-To']}")
    for s in want[1:]:
        m = box[s][0]
        if m["In-Reply-To"] != first["Message-Id"] or first["Message-Id"] not in (m["References"] or ""):
            die(f"\"{s}\" is no answer to the first mail, {first['Message-Id']}")
    return first["Message-Id"].strip("<>")


def b4(args, where, tmp):
    """(status, all it said), with nothing asked of the network or of the user's settings."""
    env = {**os.environ, "HOME": str(tmp), "XDG_DATA_HOME": f"{tmp}/xdg", "XDG_CACHE_HOME": f"{tmp}/xdg", "XDG_CONFIG_HOME": f"{tmp}/xdg",
           "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1", "GIT_COMMITTER_NAME": "verify", "GIT_COMMITTER_EMAIL": "verify@localhost"}
    # (Without a name it ends, and does not say why.)
    settings = (("b4.attestation-policy", "off"), ("user.name", "verify"), ("user.email", "verify@localhost"))
    env["GIT_CONFIG_COUNT"] = str(len(settings))
    for n, (key, value) in enumerate(settings):
        env[f"GIT_CONFIG_KEY_{n}"], env[f"GIT_CONFIG_VALUE_{n}"] = key, value
    p = subprocess.run(args, cwd=where, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", check=False)
    return p.returncode, p.stdout


def trouble(log):
    """The line of b4's output, or git's, that says what is wrong."""
    m = re.search(r"^ *(?:ERROR|CRITICAL|error|fatal).*|^Patch failed.*|.*Error: .*", log, re.M)
    return m[0].strip() if m else None
