# SPDX-License-Identifier: GPL-2.0-only
"""MAINTAINERS of this repository, as entries of the kernel's file.

The commit that brings a file brings the entry that covers it, with its F: lines
so far, at its alphabetical place, and with who composes as M:.
"""

import fnmatch
import re
from dataclasses import dataclass

from .util import die

PATH = "MAINTAINERS"
LIST = "Maintainers List\n----------------\n"
# The order of fields that scripts/parse-maintainers.pl keeps.
ORDER = "MRLSWQBCPTFXNK"
LAST = "THE REST"


@dataclass
class Entry:
    title: str
    fields: list	# (letter, text)

    def covering(self, files):
        """Its F: lines that cover any of these files."""
        return [text for letter, text in self.fields if letter == "F" and any(covers(text, f) for f in files)]

    def text(self, who, patterns):
        fields = [("M", who)] + [(k, t) for k, t in self.fields if k not in "FM"] + [("F", p) for p in sorted(patterns)]
        fields.sort(key=lambda kt: ORDER.index(kt[0]))
        return "".join([self.title + "\n", *(f"{k}:\t{t}\n" for k, t in fields)])


def covers(pattern, path):
    if pattern.endswith("/"):
        return path.startswith(pattern)
    return fnmatch.fnmatchcase(path, pattern) and pattern.count("/") == path.count("/")


def read(text):
    """The entries of our file; its introduction ends at the list's head."""
    _, head, rest = text.partition(LIST)
    if not head:
        die(f"{PATH} has no line \"{LIST.splitlines()[0]}\", underlined, ahead of its entries")
    entries = []
    for block in re.split(r"\n\n+", rest.strip("\n")):
        title, *lines = block.splitlines() or [""]
        fields = [re.fullmatch(r"([A-Z]):\t(\S.*)", line) for line in lines]
        if not title:
            continue
        if not lines or not all(f and f[1] in ORDER for f in fields):
            die(f"{PATH}: entry \"{title}\": not a title and lines of a letter, a colon, a tab and text")
        entries.append(Entry(title, [(f[1], f[2]) for f in fields]))
    return entries


def with_entries(kernel, entries, files, who):
    """The kernel's file with the entries that cover any of these files."""
    head, found, rest = kernel.partition(LIST)
    if not found:
        die(f"the kernel's {PATH} has no list of maintainers any more: take the entries out of ours, or mend tools/series/stack/maintainers.py")
    blocks = rest.strip("\n").split("\n\n")
    for entry in entries:
        patterns = entry.covering(files)
        if not patterns:
            continue
        blocks = [b for b in blocks if b.split("\n", 1)[0] != entry.title]
        blocks.insert(place([b.split("\n", 1)[0] for b in blocks], entry.title), entry.text(who, patterns).rstrip("\n"))
    return head + found + "\n" + "\n\n".join(blocks) + "\n"


def place(titles, title):
    """Where it goes: where the fewest others are out of order (the kernel's own
    are not quite in order), but ahead of THE REST."""
    end = titles.index(LAST) if LAST in titles else len(titles)
    wrong = best = sum(t < title for t in titles[:end])
    where = 0
    for i, other in enumerate(titles[:end], 1):
        wrong += 1 if other > title else -1 if other < title else 0
        if wrong <= best:
            best, where = wrong, i
    return where
