# SPDX-License-Identifier: GPL-2.0-only
"""python3 -m unittest discover -s review/tests -t . in tools/series."""

import sys
import tempfile
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
DATA = Path(__file__).with_name("data")


def recorded(name):
    return (DATA / name).read_text()


class Tree(unittest.TestCase):
    """A repository with a base, in a directory of its own"""

    def setUp(self):
        where = tempfile.TemporaryDirectory()
        self.addCleanup(where.cleanup)
        self.top = Path(where.name)
        self.write("patches/mainline/base", "package=linux-source\n")
        self.write("patches/mainline/topics", "# in order\none\ntwo\n")
        self.topic("one", "tree=pci\nprefix=PATCH\nstate=draft\n")
        self.topic("two", "tree=net\nprefix=PATCH net\nneeds=one\n"
                   "state=draft\n")

    def write(self, path, text):
        path = self.top / path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def topic(self, name, keys, base="mainline"):
        where = f"patches/{base}/{name}"
        self.write(f"{where}/topic", keys)
        self.write(f"{where}/series", f"{name}-a.patch\n"
                   f"{name}-b.patch include/{name}.h\n")
        self.write(f"include/{name}.h", "/* new */\n")
        for letter in "ab":
            self.write(f"{where}/{name}-{letter}.patch", patch(
                f"{name}: Do {letter}", "Reproduced in QEMU: it hangs."))
        self.write(f"{where}/cover", f"{name}: The cover\n\nText.\n")


def patch(subject, body, lines=1):
    return (f"Subject: [PATCH] {subject}\n\n{body}\n---\n"
            "--- a/drivers/a.c\n+++ b/drivers/a.c\n"
            f"@@ -1,{lines} +1,{lines + 1} @@\n" + " old\n" * lines +
            "+new\n")
