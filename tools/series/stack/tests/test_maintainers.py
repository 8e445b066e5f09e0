# SPDX-License-Identifier: GPL-2.0-only
import unittest

from .. import maintainers
from ..util import Refused

OURS = """Who.

Maintainers List
----------------

PCI YANK TESTS
L:	linux-pci@vger.kernel.org
S:	Maintained
F:	drivers/pci/tests/
F:	include/kunit/pci.h
F:	lib/kunit/pci*.c
"""

KERNEL = """List of maintainers
===================

	M: *Mail* patches to

Maintainers List
----------------

.. note:: X

3C59X NETWORK DRIVER
M:	A <a@localhost>
S:	Odd Fixes
F:	drivers/net/3c59x.c

PCI SUBSYSTEM
M:	B <b@localhost>
F:	drivers/pci/

OUT OF ORDER
M:	B <b@localhost>
F:	drivers/o/

QLOGIC
M:	C <c@localhost>
F:	drivers/q/

THE REST
M:	D <d@localhost>
F:	*
"""


class Maintainers(unittest.TestCase):
    def setUp(self):
        self.entries = maintainers.read(OURS)

    def add(self, kernel, *files):
        return maintainers.with_entries(kernel, self.entries, files, "E <e@localhost>")

    def test_place_and_form(self):
        text = self.add(KERNEL, "lib/kunit/pci.c", "include/kunit/pci.h")
        entry = ("PCI YANK TESTS\nM:\tE <e@localhost>\nL:\tlinux-pci@vger.kernel.org\nS:\tMaintained\n"
                 "F:\tinclude/kunit/pci.h\nF:\tlib/kunit/pci*.c\n\n")
        self.assertEqual(text.replace(entry, ""), KERNEL)
        self.assertLess(text.index("\nOUT OF ORDER"), text.index(entry))
        self.assertLess(text.index(entry), text.index("\nQLOGIC"))

    def test_grows(self):
        one = self.add(KERNEL, "lib/kunit/pci.c")
        two = self.add(one, "lib/kunit/pci.c", "drivers/pci/tests/a.c")
        self.assertEqual(two.count("PCI YANK TESTS"), 1)
        self.assertIn("F:\tdrivers/pci/tests/\nF:\tlib/kunit/pci*.c\n\n", two)
        self.assertNotIn("include/kunit", two)
        self.assertEqual(two, self.add(KERNEL, "lib/kunit/pci.c", "drivers/pci/tests/a.c"))

    def test_covers_nothing(self):
        self.assertEqual(self.add(KERNEL, "drivers/pci/pci.c", "lib/kunit/sub/pci.c"), KERNEL)

    def test_last(self):
        self.entries[0].title = "ZZZ"
        text = self.add(KERNEL, "lib/kunit/pci.c")
        self.assertLess(text.index("\nQLOGIC"), text.index("\nZZZ"))
        self.assertLess(text.index("\nZZZ"), text.index("\nTHE REST"))

    def test_bad(self):
        for text in ("no list\n", OURS + "\nX\nnonsense\n", OURS + "\nALONE\n"):
            with self.assertRaises(Refused):
                maintainers.read(text)
        with self.assertRaises(Refused):
            self.add("nothing\n", "lib/kunit/pci.c")


if __name__ == "__main__":
    unittest.main()
