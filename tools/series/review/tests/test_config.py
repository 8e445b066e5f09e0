# SPDX-License-Identifier: GPL-2.0-only
import unittest

from ..config import missing

CONFIG = """# Linux/x86 Configuration
CONFIG_PCI=y
# CONFIG_NET is not set
CONFIG_KUNIT=m
CONFIG_CMDLINE="a # b"
CONFIG_LOG=17
"""


class Config(unittest.TestCase):
    def of(self, *fragments):
        return missing(CONFIG, fragments)

    def test_taken(self):
        self.assertEqual(self.of(
            "# CONFIG_NET is not set\nCONFIG_PCI=y # why\n\nCONFIG_KUNIT=m\n"
            "CONFIG_LOG=17\n# CONFIG_GONE is not set\nCONFIG_OLD=n\n"), [])

    def test_missing(self):
        self.assertEqual(self.of("CONFIG_NET=y\n# CONFIG_PCI is not set\n"
                                 "CONFIG_KUNIT=y\nCONFIG_GONE=y\n"),
                         ["CONFIG_NET=y", "CONFIG_PCI=n", "CONFIG_KUNIT=y",
                          "CONFIG_GONE=y"])

    def test_optional(self):
        self.assertEqual(self.of("CONFIG_GONE=y # optional\n"
                                 "# CONFIG_PCI is not set # optional\n"), [])

    def test_later_wins(self):
        self.assertEqual(self.of("CONFIG_NET=y\n",
                                 "# CONFIG_NET is not set\n"), [])
        self.assertEqual(self.of("CONFIG_GONE=y # optional\n",
                                 "CONFIG_GONE=y\n"), ["CONFIG_GONE=y"])
