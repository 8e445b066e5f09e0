#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""What is late, and by whose fault"""

import argparse
import asyncio
import os
import sys
import time
import unittest
from unittest import mock

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
import run                      # noqa: E402
from machine import Machine     # noqa: E402
from points.bench import Bench  # noqa: E402
from run import Run             # noqa: E402


class Pace(unittest.TestCase):
    """A slow machine has more time, by as much as its boot took longer"""

    def limits(self, boot, **pace):
        r = Run(argparse.Namespace(slow=1), None, "ones", argparse.Namespace(
            gone=1, hang=12, total=60, **pace))
        r.take_time(boot)
        return r.m.slow, r.limits.gone, r.limits.hang, r.limits.total

    def test_none(self):
        self.assertEqual(self.limits(50), (1, 1, 12, 60))

    def test_slow(self):
        self.assertEqual(self.limits(10, pace=5), (2, 2, 24, 120))

    def test_fast(self):
        self.assertEqual(self.limits(4, pace=5), (1, 1, 12, 60))

    def test_not_without_end(self):
        self.assertEqual(self.limits(500, pace=5)[0], run.SLOWEST)


class Busy(unittest.TestCase):
    """What the guest could not do for want of a processor"""

    def wait(self, seconds, starved, hang=0.2):
        class FakeRun(Run):
            async def stacks(self):
                pass
        async def go():
            m = argparse.Namespace(starved=lambda: 10 + starved, slow=1)
            r = FakeRun(m, None, "ones", argparse.Namespace(hang=hang))
            future = asyncio.get_running_loop().create_future()
            begin = time.monotonic()
            asyncio.get_running_loop().call_later(seconds, lambda: (
                future.set_result((time.monotonic(), ""))))
            await r.wait("gone", future, begin, 0.1, starved=10)
            return r
        with mock.patch.object(run, "STACKS_AFTER", hang / 2):
            return asyncio.run(go())

    def test_late_by_its_own(self):
        r = self.wait(0.15, 0)
        self.assertTrue(r.failed())
        self.assertGreaterEqual(r.times["gone"], 0.1)
        self.assertFalse(r.excused)

    def test_late_by_the_host(self):
        r = self.wait(0.2, 10)
        self.assertFalse(r.failed())
        self.assertLess(r.times["gone"], 0.1)
        self.assertIn("without a processor", r.checks[0][2])
        self.assertTrue(r.excused)

    def test_never_is_later_on_a_busy_host(self):
        self.assertIn("gone", self.wait(0.4, 10).times)
        self.assertNotIn("gone", self.wait(30, 0).times)

    def test_a_card_is_waited_for(self):
        def within(starved):
            b, looks = Bench.__new__(Bench), []
            b.m = argparse.Namespace(
                starved=lambda: 10 + (starved if looks else 0), slow=1)
            b.r = Run(b.m, None, "ones", None)

            async def look(seconds):
                looks.append(seconds)
                await asyncio.sleep(0.02)
                return len(looks) > 10
            return asyncio.run(b.within(0.1, look))
        self.assertFalse(within(0))
        self.assertTrue(within(10))

    def test_of_this_machine(self):
        m = argparse.Namespace(proc=argparse.Namespace(pid=os.getpid()))
        self.assertGreaterEqual(Machine.starved(m), 0)
        self.assertIsInstance(Machine.starved(m), float)


if __name__ == "__main__":
    unittest.main()
