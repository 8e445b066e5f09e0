# SPDX-License-Identifier: GPL-2.0-only
"""Which points of a phase are tried."""

import re
from dataclasses import dataclass

from errors import LabError


@dataclass(frozen=True)
class Point:
    """The NUMBER-th access of a site, or of all where SITE is 0"""
    number: int
    site: int = 0

    def __str__(self):
        return f"{self.site:08x}:{self.number}" if self.site else (
            str(self.number))


def parse(text):
    """A list of points, as they are printed"""
    points = []
    for word in text.split(","):
        if found := re.fullmatch(r"([0-9a-f]{8}):([1-9]\d*)", word):
            points.append(Point(int(found[2]), int(found[1], 16)))
        elif re.fullmatch(r"[1-9]\d*", word):
            points.append(Point(int(word)))
        else:
            raise LabError(f"not a point: {word} (a number, or SITE:NUMBER)")
    return points


def of_sites(sites, rng, tried=()):
    """Of every site the first access, the last, and one between

    But those that were TRIED: as many less, as the last one may vary.
    """
    points = []
    for site in sites:
        numbers = {1, site.times}
        if site.times > 2:
            numbers.add(rng.randrange(2, site.times))
        chosen = [Point(number, site.id) for number in sorted(numbers)]
        had = sum(word.startswith(f"{site.id:08x}:") for word in tried)
        left = [point for point in chosen if str(point) not in tried]
        points += left[:max(0, len(chosen) - had)]
    return points


def stepped(count, step, rng):
    """Every STEP-th access, from a random one of the first STEP"""
    return [Point(number)
            for number in range(1 + rng.randrange(step), count + 1, step)]


def again(count, number, rng):
    """NUMBER of all accesses, the same ones again if there are so few"""
    return [Point(rng.randint(1, count)) for _ in range(number if count else 0)]


def handful(sites, number, rng):
    """NUMBER of all accesses, no site preferred because it is often used"""
    points = of_sites(sites, rng)
    return rng.sample(points, min(number, len(points)))
