# SPDX-License-Identifier: GPL-2.0-only
"""tools/series/fixes.known: the commits that Fixes: lines may name."""

import re

NUMBERED = re.compile(r"(\d+\.\d+)\.(y|\d+)")
ENTRY = re.compile(r'([0-9a-f]{12}) v(\S+?)(\??)((?: [\d.]+\??)*) \("(.+)"\)')


class KnownError(Exception):
    pass


def number(version):
    return tuple(int(x) for x in version.split("."))


class Known:
    def __init__(self, line):
        m = ENTRY.fullmatch(line)
        if not m:
            raise KnownError(f"fixes.known: cannot be read: {line}")
        self.sha, self.tag, doubt, stable, self.subject = m.groups()
        self.points = [p.rstrip("?") for p in stable.split()]
        self.doubt = bool(doubt) or "?" in stable
        self.signs = []     # (path, text): is in the source if the commit is

    def in_base(self, base):
        """Is it in a base of this name? mainline, 6.12.y, 6.1.4"""
        m = NUMBERED.fullmatch(base)
        if not m or number(self.tag) <= number(m[1]):
            return True
        return any(number(p)[:2] == number(m[1]) and
                   (m[2] == "y" or number(p)[2] <= int(m[2]))
                   for p in self.points)


def read(path):
    known, entry = {}, None
    for line in path.read_text().splitlines():
        if line.startswith("\t"):
            if not entry:
                raise KnownError(f"fixes.known: cannot be read: {line}")
            entry.signs.append(line.strip().split(": ", 1))
        elif line and not line.startswith("#"):
            entry = Known(line)
            if entry.sha in known:
                raise KnownError(f"fixes.known: {entry.sha} is there twice")
            known[entry.sha] = entry
    return known
