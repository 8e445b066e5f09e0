# SPDX-License-Identifier: GPL-2.0-only
"""What the plugin is told, and tells: the file that both map"""

import asyncio
import os
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from points.trap import (AFTER, CODE, COUNT, FIELDS, HEADER,    # noqa: E402
                         NR_CODE, READY, Site, Trap, WANTED)


class TrapFile(unittest.TestCase):
    def test_layout(self):
        with tempfile.TemporaryDirectory() as tmp:
            trap = Trap("plugin", tmp)
            for nr, word in enumerate((7, 0xff, 0xfe, 0, 0, 2, 3, 9)):
                trap.put(HEADER + 5 * FIELDS + nr, word)
            trap.put(COUNT, 9)
            self.assertEqual(trap.sites(), [Site(7, (0xff, 0xfe), 2, 3, 9)])
            trap.arm(4, 7)
            self.assertEqual((trap.count, trap.sites()), (0, []))

    def test_watch(self):
        async def watch(trap, code):
            asked, task = trap.get(WANTED), asyncio.create_task(trap.watch(code))
            await asyncio.sleep(0)
            new = trap.get(WANTED) != asked
            trap.put(READY, trap.get(WANTED))
            await task
            return new, [trap.get(AFTER + nr) for nr in range(trap.get(NR_CODE))]

        async def all():
            with tempfile.TemporaryDirectory() as tmp:
                trap = Trap("plugin", tmp)
                # (What is wanted, does the plugin have to translate anew?)
                for code, new, given in (
                        ((), True, []), ({9, 5, 7}, True, [5, 7, 9]),
                        ({9, 7, 5}, False, [5, 7, 9]),
                        (range(CODE + 1), True, [])):
                    self.assertEqual(await watch(trap, code), (new, given))
                trap.arm(4, 7)
                self.assertEqual(trap.get(WANTED), 3)
        asyncio.run(all())


if __name__ == "__main__":
    unittest.main()
