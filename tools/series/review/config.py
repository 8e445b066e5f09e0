# SPDX-License-Identifier: GPL-2.0-only
"""Of fragments of a kernel's configuration, what did not take effect."""

import re
from pathlib import Path

LINE = re.compile(r"# (CONFIG_\w+) is not set|(CONFIG_\w+)=(.*)")


def options(text):
    """CONFIG_NAME: (value, is it optional?), the last line of each"""
    found = {}
    for line in text.splitlines():
        m = LINE.match(line)
        if m:
            value = "n" if m[1] else re.sub(r"[ \t]+#.*", "", m[3])
            found[m[1] or m[2]] = value, "# optional" in line
    return found


def missing(config, fragments):
    """Lines NAME=VALUE that config does not have"""
    have, wanted = options(config), {}
    for fragment in fragments:
        wanted.update(options(fragment))
    return [f"{name}={value}" for name, (value, optional) in wanted.items()
            if not optional and have.get(name, ("n",))[0] != value]


def run(args):
    text = [Path(f).read_text() for f in (args.config, *args.fragments)]
    print(", ".join(missing(text[0], text[1:])))
