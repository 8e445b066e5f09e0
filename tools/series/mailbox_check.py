#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""For mailtest, of what arrived in a mailbox.

recipients MBOX PRINTED: each mail that make send printed is there, and went to those
it printed, each once; the cover letter went to whoever got any of the patches.
only MBOX ADDRESS: nobody else got any of it.
less MBOX NEW WORD: all but the mails with WORD in the subject, into NEW.
reply MBOX SUBJECT TRAILER: somebody answers the patch of this subject.
"""

import email.utils
import mailbox
import re
import sys
from email.header import decode_header, make_header

ALWAYS, BCC, ME = "linux-pci@vger.kernel.org", "archive@mail.example.com", "tester@mail.example.com"


def subject(mail):
    return " ".join(str(make_header(decode_header(mail["Subject"]))).split())


def envelope(mail):
    return sorted(a.lower() for a in mail["X-Envelope-To"].split(", "))


def check(good, what):
    if not good:
        sys.exit(f"mailbox_check: {what}")


def recipients(box, printed):
    told = {}
    for line in open(printed, encoding="utf-8"):
        if line.startswith("["):
            to = told[line.strip()] = []
        else:
            to += [a.lower() for a in re.findall(r"[^\s<>]+@[^\s<>,]+", line)]
    left, cover, rest = dict(told), None, set()
    for m in mailbox.mbox(box):
        s = subject(m)
        if s not in left:
            continue
        check(sorted(left.pop(s)) == envelope(m), f"{s}: not to whom it was printed")
        to = [a.lower() for _, a in email.utils.getaddresses([m["To"], m["Cc"]])]
        check(len(to) == len(set(to)), f"{s}: an address twice")
        check(envelope(m) == sorted([*to, BCC]), f"{s}: headers and envelope differ")
        check(ALWAYS in to and ME not in to and len(to) > 2, f"{s}: to {to}")
        if cover is None:
            cover = set(to)
        else:
            rest |= set(to)
    check(told and not left, f"not in the mailbox: {list(left)}")
    check(len(told) == 1 or cover >= rest - {"stable@vger.kernel.org"}, f"the cover letter lacks {rest - (cover or set())}")


def only(box, address):
    mails = list(mailbox.mbox(box))
    check(mails and all(envelope(m) == [address] for m in mails), f"somebody but {address} got mail")


def less(box, new, word):
    out = mailbox.mbox(new)
    for m in mailbox.mbox(box):
        if word not in subject(m):
            out.add(m)
    out.flush()


def reply(box, what, trailer):
    boxes = mailbox.mbox(box)
    to = next(m for m in boxes if subject(m).endswith("] " + what))
    m = mailbox.mboxMessage()
    m["From"] = trailer.partition(": ")[2]
    m["Subject"] = "Re: " + subject(to)
    m["Date"] = email.utils.formatdate(1790000000)
    m["Message-Id"] = "<answer@mail.example.com>"
    m["In-Reply-To"] = m["References"] = to["Message-Id"]
    m.set_payload(f"> Imagine the patch here.\n\nLooks good.\n\n{trailer}\n")
    boxes.add(m)
    boxes.flush()


if __name__ == "__main__":
    {"recipients": recipients, "only": only, "less": less, "reply": reply}[sys.argv[1]](*sys.argv[2:])
