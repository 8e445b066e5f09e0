# SPDX-License-Identifier: GPL-2.0-only
"""The rules that maintainers check by eye.

Each has a name. patches/<base>/exceptions names what it may not be held
against: RULE TOPIC[/NAME]: REASON.
"""

import re

MOST_PATCHES = 15       # netdev's; submitting-patches has "15 or so"
MOST_STABLE = 100       # stable-kernel-rules: lines, with context

# Tests and documents exercise themselves, or need not be.
UNTESTED = re.compile(r"Documentation/|drivers/pci/tests/|lib/kunit/|tools/|"
                      r"include/kunit/|scripts/coccinelle/|MAINTAINERS$|"
                      r"drivers/pci/\.kunitconfig$|"
                      r"drivers/virtio/(virtio_pci_kunit\.c|\.kunitconfig)$")
EXERCISED = re.compile(
    r"reproduced (in|by|with|on)|exercised (in|by|with|on)|"
    r"compile-tested only|(tested|seen|measured) (in|with|on) (QEMU|the lab)|"
    r"no functional change|no change in behaviou?r", re.I)
TRACKER = re.compile(
    r"https?://(bugzilla\.kernel\.org|bugzilla\.redhat\.com|"
    r"bugzilla\.suse\.com|bugs\.debian\.org|bugs\.launchpad\.net|"
    r"gitlab\.[\w.]+/\S+/issues|github\.com/\S+/issues|"
    r"syzkaller\.appspot\.com)\S*")
REPORTED = re.compile(r"\b(was|were|been|had)\s+(\w+\s+)?reported\b", re.I)
LORE = re.compile(r"https?://(lore|patch)\.(kernel\.org|msgid\.link)/\S+")
# (What is quoted, a trailer and an address may be longer, as in checkpatch.)
LONG = re.compile(r"^(?! |[A-Z][\w-]+: )(?!.*://).{76,}$", re.M)


def of_topic(topic):
    """(rule, what is wrong) with a topic (needs= is stack.model's)"""
    for key in ("tree", "prefix", "state"):
        if not topic.key(key):
            yield "topic-file", f"{key}= is missing in its file topic"
    count = len(topic.patches)
    if not count:
        yield "size", "it has no patch"
    if count > MOST_PATCHES:
        yield "size", f"{count} patches, of which {MOST_PATCHES} are taken"
    if count > 1 and not topic.cover.strip():
        yield "cover", "more than one patch, and no cover letter"
    if topic.cover and not re.match(r"\S[^\n]*\n(\n|$)", topic.cover):
        yield "cover", "the cover is not a subject, an empty line, and text"


# (Not of a commit that is cited by its hash.)
QUOTED = re.compile(r'(?<!\()"([\w/]+(?:[ ,:]+[\w/]+)*: [^"]+)"')


def of_titles(topic, titles):
    """(rule, what is wrong) with what the cover calls series and patches"""
    for found in QUOTED.findall(" ".join(topic.cover.split())):
        if not any(title.startswith(found) for title in titles):
            yield "title", f'no topic or patch has this title: "{found}"'


def length(diff):
    """Lines of a diff as stable-kernel-rules counts them: with context"""
    return len(re.findall(r"^(diff |--- |\+\+\+ |@@|[ +-])", diff, re.M))


def of_patch(patch, message, trailers, topic, backport=False):
    """(rule, what is wrong) with a patch; a backport is for one kernel"""
    diff = patch.parts()[1]
    prose = " ".join(message.split())
    if trailers.stable:
        lines = length(diff)
        if lines > MOST_STABLE:
            yield "stable-size", (f"Cc: stable, and {lines} lines with "
                                  f"context, of {MOST_STABLE}")
        if not (trailers.fixed or trailers.versioned or backport):
            yield "stable-range", ("Cc: stable with neither Fixes: nor a "
                                   "version (# 6.1.x): which kernels?")
    if topic and topic.key("prefix").split() in (["PATCH", "net"],
                                                 ["PATCH", "iwl-net"]):
        if not trailers.fixed:
            yield "net-fixes", f"[{topic.key('prefix')}] without Fixes:"
    public = TRACKER.search(message) or (REPORTED.search(prose) and
                                         LORE.search(message))
    if public and not re.search(r"^(Reported-by|Closes): ", message, re.M):
        yield "credit", (f"it cites a report ({public[0]}) without "
                         "Reported-by: and Closes:")
    if found := re.search(r"^From .*", message, re.M):
        yield "mailbox", (f"a line begins with From, where a mailbox has the "
                          f"next mail begin: {found[0]}")
    if found := LONG.search(message.partition("\n")[2]):
        yield "width", f"a line of {len(found[0])} columns, of 75: {found[0]}"
    touched = patch.touches()
    if not EXERCISED.search(prose) and \
            not all(UNTESTED.match(f) for f in touched):
        yield "exercised", ("the message does not say how it was exercised: "
                            "Reproduced in ..., or compile-tested only")


class Exceptions:
    def __init__(self, base):
        self.reasons = base.noted("exceptions")
        self.used = set()

    def allow(self, rule, label):
        key = f"{rule} {label}"
        if key not in self.reasons:
            return None
        self.used.add(key)
        return self.reasons[key]

    def unused(self, labels):
        """Those about these labels which nothing was held against"""
        return [key for key in self.reasons if key not in self.used
                and key.split(" ", 1)[-1] in labels]
