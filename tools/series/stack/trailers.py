# SPDX-License-Identifier: GPL-2.0-only
"""make trailers TOPIC= MBOX=: Reviewed-by, Acked-by, Tested-by and the like from a
thread into the right patches of patches/. b4 am does the reading: it applies what
was said of a patch to that patch, and of the cover letter to all.
"""

import mailbox
import re

from . import patch
from .commands import load
from .repo import Repo
from .thread import b4, subject, the_mailbox, trouble
from .util import TOP, die, say, scratch, write_atomically

TAKEN = ("Reviewed-by", "Acked-by", "Tested-by", "Reported-by", "Suggested-by", "Closes")
TRAILER = re.compile(r"([A-Z][A-Za-z]*(-[A-Za-z]+)*-(by|to)|Cc|Closes|Fixes|Link): \S")


def take(args):
    base, box = load(args), the_mailbox()
    if not args.topic:
        die(f"which topic? make trailers TOPIC=name MBOX=file: one of: {' '.join(base.topics)}")
    repo = Repo(base)
    tmp = scratch(repo.b)
    topic = base.topics[args.topic]
    mails = [(e, patch.read_mail(base.files.get(f"patches/{e.path}")[0], e.path, tmp)) for e in topic.entries]
    ours = {mail.subject for _, mail in mails} | {line for line in (base.files.text(f"{topic.where}/cover") or "").splitlines()[:1]}
    said = read(box, ours, tmp)
    done = 0
    for e, mail in mails:
        data = base.files.get(f"patches/{e.path}")[0]
        new = [t for t in said.pop(mail.subject, []) if t not in mail.message.splitlines()]
        if new:
            write_atomically(TOP / f"patches/{e.path}", with_trailers(data.decode(), new).encode())
            done += 1
            for t in new:
                say(f"patches/{e.path}: {t}")
    for s in said:
        say(f"WARNING: \"{s}\" is no patch of topic {args.topic} today: its trailers were not taken")
    say(f"{done} patches have new trailers" + (": look, and commit them" if done else ""))


def read(box, ours, tmp):
    """subject -> trailers, as b4 am hands out those of the thread."""
    (tmp / "am").mkdir()
    first = next((m for m in mailbox.mbox(box, create=False) if not m["In-Reply-To"] and bare(m) in ours), None)
    if first is None:
        die(f"{box.name} has no mail that begins a thread of this topic: no cover letter or patch of it that is no answer")
    flat = unfolded(box, tmp / "flat")
    status, log = b4(["b4", "--offline-mode", "-n", "am", "-t", "-o", str(tmp / "am"), "-C", "-m", str(flat), first["Message-Id"].strip("<>")], tmp, tmp)
    made = sorted((tmp / "am").glob("*.mbx"))
    if status or not made:
        die(f"b4 cannot read {box.name}: {trouble(log) or status}")
    found = {}
    for m in mailbox.mbox(made[0], create=False):
        text = m.get_payload(decode=True).decode("utf-8", "replace").partition("\n---\n")[0]
        lines = [line.strip() for line in text.splitlines() if line.split(":")[0] in TAKEN]
        if lines:
            found[bare(m)] = lines
    return found


def unfolded(box, path):
    """A copy, for b4: 0.12 fails at headers on two lines, if there are trailers to add."""
    out = mailbox.mbox(path)
    for m in mailbox.mbox(box, create=False):
        head = m.items()
        for key in set(m.keys()):
            del m[key]
        for key, value in head:
            m[key] = " ".join(str(value).split())
        out.add(m)
    out.flush()
    return path


def bare(mail):
    """The subject without [PATCH ...]."""
    return subject(mail).split("] ", 1)[-1]


def with_trailers(text, new):
    """Below the trailers that the message has, ahead of the "---"."""
    head, _, rest = text.partition("\n---\n")
    lines = head.rstrip("\n").split("\n")
    glue = [] if TRAILER.match(lines[-1]) else [""]
    return "\n".join(lines + glue + new) + "\n---\n" + rest
