# SPDX-License-Identifier: GPL-2.0-only
import unittest

from .. import topics

ORDER = {"m/one/a.patch": 0, "m/one/b.patch": 1, "m/two/c.patch": 2, "m/two/d.patch": 3}
OF = {"A": "m/one/a.patch", "B": "m/one/b.patch", "C": "m/two/c.patch", "D": "m/two/d.patch"}
TOPIC = {path: path.split("/")[1] for path in ORDER}


class Topics(unittest.TestCase):
    def of(self, commits, wanted=""):
        commits = list(commits)
        subjects = {c: c for c in commits}
        found = topics.topics_of(commits, {c: OF[c] for c in commits if c in OF}, TOPIC, ORDER, wanted, subjects)
        return "".join({"one": "1", "two": "2"}[found[c]] for c in commits)

    def test_new(self):
        self.assertEqual(self.of("AnBCD"), "11122")
        self.assertEqual(self.of("ABCnD"), "11222")
        # Between two topics: the one before. Ahead of all: the one after.
        self.assertEqual(self.of("ABnCD"), "11122")
        self.assertEqual(self.of("nABCD"), "11122")
        self.assertEqual(self.of("ABnCD", "two"), "11222")

    def test_moved(self):
        # Into the middle of the other topic it is that topic's; at its edge it stays.
        self.assertEqual(self.of("BCAD"), "1222")
        self.assertEqual(self.of("BACD"), "1122")

    def test_slug(self):
        self.assertEqual(topics.slug("PCI: pciehp: Don't wait"), "pci-pciehp-don-t-wait")
        self.assertLessEqual(len(topics.slug("toy: " + "word " * 30)), 52)
        self.assertFalse(topics.slug("toy: " + "word " * 30).endswith("-"))

    def test_known(self):
        # A squash has two notes; the patch whose note is gone is found by its subject.
        found = topics.known_patches(["X", "Y"], {"X": ["m/one/a.patch", "m/one/b.patch"]}, {"X": "x", "Y": "C"}, list(ORDER))
        self.assertEqual(found, {"X": "m/one/a.patch", "Y": "m/two/c.patch"})

    def test_series(self):
        text = "# SPDX\n\n# why a\na.patch lib/a.c # new\nb.patch\n# the end\n"
        self.assertEqual(topics.rewrite_series(text, [("b.patch", "b.patch"), ("a.patch", "a.patch lib/a.c"), ("c.patch", "c.patch")]),
                         "# SPDX\n\nb.patch\n# why a\na.patch lib/a.c # new\nc.patch\n# the end\n")
