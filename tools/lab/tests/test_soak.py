# SPDX-License-Identifier: GPL-2.0-only
"""The same points again and again, and the memory that they take."""

import asyncio
import os
import random
import sys
import unittest
from unittest import mock

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
from points import choose, results, sweeper         # noqa: E402
from points.phases import PHASES                    # noqa: E402
from points.results import Row                      # noqa: E402


class FakeBench:
    """That uses 5 kB more each time it is looked at"""
    kB = 100

    async def memory(self):
        self.kB += 5
        return self.kB

    async def guard(self, work):
        return await work

    async def ready(self, plugged):
        self.plugged = plugged


class Soak(unittest.TestCase):
    def soaked(self, last):
        """The row, where LAST(b) is the machine in which it ends"""
        sweep = sweeper.Sweep(None, None, [], [])
        row, b = Row("nvme", "load", "event"), FakeBench()

        async def each(dev, row, phase, chosen, b):
            return last(b)
        with mock.patch.object(sweep, "each", each), \
                mock.patch.object(sweep, "print"):
            asyncio.run(sweep.soak(None, row, PHASES["load"], [], b))
        return row, b

    def test_one_machine(self):
        row, b = self.soaked(lambda b: b)
        self.assertEqual(row.kept_kB, 5)
        self.assertFalse(b.plugged)

    def test_another_machine(self):
        for last in FakeBench(), None:
            row, _ = self.soaked(lambda b: last)
            self.assertIsNone(row.kept_kB)
            self.assertIn("1 unmeasured", row.counts())

    def test_again(self):
        points = choose.again(2, 5, random.Random(1))
        self.assertEqual(len(points), 5)
        self.assertLessEqual({p.number for p in points}, {1, 2})
        self.assertEqual(choose.again(0, 5, random.Random(1)), [])

    def test_memory(self):
        row = Row("nvme", "load", "event", planned=9, points=9, good=9)
        self.assertFalse(row.failed)
        row.kept_kB = 9 * 4 + results.MEMORY_VARIES
        self.assertFalse(row.failed)
        row.kept_kB += 1
        self.assertTrue(row.failed)
        self.assertIn("too much", row.counts())
