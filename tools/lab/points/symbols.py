# SPDX-License-Identifier: GPL-2.0-only
"""Which function of the kernel an address is in."""

import bisect
import os


def load(path):
    """Sorted addresses and names, from a System.map"""
    with open(path) as f:
        lines = (line.split() for line in f)
        found = sorted((int(words[0], 16), words[2]) for words in lines
                       if len(words) == 3 and words[1] in "tTwW")
    return [a for a, _ in found], [name for _, name in found]


def names(kernel, addresses):
    """As kallsyms has them; None without a System.map that is of KERNEL"""
    path = os.path.join(os.path.dirname(kernel), "../../../System.map")
    try:
        # (linked before the bzImage is made; a build may be going on)
        if os.path.getmtime(path) > os.path.getmtime(kernel):
            return None
        starts, known = load(path)
    except (OSError, ValueError):
        return None
    found = {}
    for address in addresses:
        nr = bisect.bisect_right(starts, address) - 1
        if nr >= 0:
            found[address] = f"{known[nr]}+{address - starts[nr]:#x}"
    return found
