# SPDX-License-Identifier: GPL-2.0-only
import unittest

from ..model import Base
from ..util import Refused

TOPIC = """# SPDX
tree=pci
cc="A. B. C" <a@localhost>
cc=
cc=D <d@localhost>
state=draft
"""


class Files:
    root = "/nonexistent"

    def __init__(self, topic):
        self.has = {"patches/m/base": "", "patches/m/topics": "one\n", "patches/m/one/series": "", "patches/m/one/topic": topic}

    def text(self, path):
        return self.has.get(path)


class Model(unittest.TestCase):
    def test_cc(self):
        """One to a line; the quotes are the name's, not the value's."""
        topic = Base("m", Files(TOPIC)).topic("one")
        self.assertEqual(topic.cc, ['"A. B. C" <a@localhost>', "D <d@localhost>"])

    def test_unknown_key(self):
        with self.assertRaises(Refused):
            Base("m", Files("Cc=A <a@localhost>\n"))
