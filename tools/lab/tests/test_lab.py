# SPDX-License-Identifier: GPL-2.0-only
"""What the lab parses and decides, on what was recorded.

python3 -m unittest discover -s tools/lab/tests
"""

import os
import random
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.realpath(__file__))
sys.path.insert(0, os.path.dirname(HERE))
sys.dont_write_bytecode = True
import console                                      # noqa: E402
from errors import LabError                         # noqa: E402
from points import choose                           # noqa: E402
from points.point import (GOOD, MISSED, NEVER, SLOW, SPLAT,     # noqa: E402
                          Outcome, verdict)
from points.results import Row, table               # noqa: E402
from points.trap import (COUNT, FIELDS, HEADER, Site, Trap)     # noqa: E402
from devices import DEVICES                         # noqa: E402
from scenarios import SCENARIOS                     # noqa: E402


def recorded(name):
    with open(os.path.join(HERE, "recorded", name)) as f:
        return f.read()


class Console(unittest.TestCase):
    def test_splats(self):
        lines = recorded("nvme-reset.console").splitlines()
        found = console.splats(lines)
        self.assertIn("held lock freed", found[0])
        self.assertTrue(any("mm/slub.c" in line for line in found))

    def test_quiet(self):
        lines = recorded("quiet.console").splitlines()
        self.assertEqual(console.splats(lines), [])

    def test_blocked(self):
        stacks = console.blocked_stacks(
            recorded("blocked.console").splitlines())
        self.assertIn("task:irq/24-pciehp state:D, 1 of these", stacks)
        self.assertTrue(any(line.startswith("  ") for line in stacks))

    def test_same_stack_is_counted(self):
        lines = 2 * ["[   1.5] task:a state:D stack:0", "[ 1.5]  f+0x1/0x2"]
        self.assertEqual(console.blocked_stacks(lines),
                         ["task:a state:D, 2 of these", "  f+0x1/0x2"])


LAPIC = ("LVTT\t 0x000000ec active-hi edge one-shot Fixed (vec 236)\n"
         "Timer\t DCR=0xb (divide by 1) initial_count = {} current_count = 0\n"
         "ISR\t {}\nIRR\t {}\n")
HALTED = "CPU#0\nRIP=1 HLT=1\nCPU#1\nRIP=1 HLT=1\n"


class LostInterrupt(unittest.TestCase):
    def lost(self, *lapics, registers=HALTED):
        return console.lost_interrupt(registers, lapics)[0]

    def test_in_service(self):
        self.assertEqual(self.lost(LAPIC.format(0, "236", "(none)"),
                                   LAPIC.format(0, "(none)", "(none)")), {0})

    def test_timer_ran_out(self):
        self.assertEqual(self.lost(LAPIC.format(0, "(none)", "(none)"),
                                   LAPIC.format(99, "(none)", "(none)")), {1})

    def test_pending(self):
        self.assertEqual(self.lost(LAPIC.format(99, "(none)", "236"),
                                   LAPIC.format(99, "(none)", "236")), set())

    def test_running(self):
        self.assertEqual(self.lost(
            LAPIC.format(0, "236", "(none)"), "",
            registers=HALTED.replace("HLT=1", "HLT=0")), set())


class Traces(unittest.TestCase):
    def test_accesses(self):
        lines = ["pci_cfg_read virtio 01:00.0 @0x0 -> 0xffff",
                 "pci_cfg_read virtio 02:00.0 @0x0 -> 0xffff",
                 "memory_region_ops_write cpu 0 mr 0x1 addr 0xb0100004 value "
                 "0x0 size 2 name 'pcie-mmcfg-mmio'",
                 "memory_region_ops_read cpu 0 mr 0x1 addr 0xfe000010 value "
                 "0x0 size 4 name 'edu-mmio'",
                 "Invalid read at addr 0x14, size 1, region 'edu-mmio', "
                 "reason: invalid size"]
        self.assertEqual(console.count_accesses(lines, 1), {
            "memory reads": 2, "memory writes": 0, "config reads": 1,
            "config writes": 1})


class Choice(unittest.TestCase):
    sites = [Site(0xabc, (1,), 1, 1, 1), Site(0xdef, (2,), 9, 2, 10)]

    def test_round_trip(self):
        points = choose.of_sites(self.sites, random.Random(1))
        text = ",".join(map(str, points))
        self.assertEqual(choose.parse(text), points)

    def test_every_site(self):
        points = choose.of_sites(self.sites, random.Random(1))
        self.assertEqual([p.number for p in points if p.site == 0xabc], [1])
        first, between, last = (p.number for p in points if p.site == 0xdef)
        self.assertEqual((first, last), (1, 9))
        self.assertIn(between, range(2, 9))

    def test_seed(self):
        a, b = (choose.handful(self.sites, 3, random.Random(5))
                for _ in range(2))
        self.assertEqual(a, b)
        self.assertEqual(len(choose.handful(self.sites, 99,
                                            random.Random(5))), 4)

    def test_step(self):
        numbers = [p.number for p in choose.stepped(20, 7, random.Random(3))]
        self.assertTrue(1 <= numbers[0] <= 7)
        self.assertEqual({b - a for a, b in zip(numbers, numbers[1:])}, {7})

    def test_nonsense(self):
        for text in "0", "-1", "x", "12:3", "":
            with self.assertRaises(LabError):
                choose.parse(text)


class Verdicts(unittest.TestCase):
    def test_order(self):
        bad, good = (lambda n: (n, False, "")), (lambda n: (n, True, ""))
        late = {"gone": 2.0}
        self.assertEqual(verdict([good("gone"), good("console")], late), GOOD)
        self.assertEqual(verdict([bad("gone")], late), SLOW)
        self.assertEqual(verdict([bad("gone")], {}), NEVER)
        self.assertEqual(verdict([bad("gone"), bad("console")], late), SPLAT)
        self.assertEqual(verdict([bad("console"), bad("returned")], late),
                         NEVER)

    def test_row(self):
        row = Row("nvme", "reset", "event", planned=3)
        for kind in GOOD, SPLAT, MISSED:
            row.add(Outcome(kind))
        self.assertEqual((row.points, row.good, row.splat, row.missed),
                         (2, 1, 1, 1))
        self.assertTrue(row.ktap(1)[-1].startswith("not ok 1 nvme.reset.event"))
        self.assertEqual(len(table([row])), 2)
        self.assertIn("# SKIP none", Row("a", "b", "event",
                                         skipped="none").ktap(2)[0])


class NothingReached(unittest.TestCase):
    def test_is_no_pass(self):
        row = Row("nvme", "probe", "event", planned=1)
        row.add(Outcome(MISSED))
        self.assertTrue(row.ktap(1)[-1].startswith("not ok"))


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


class Registered(unittest.TestCase):
    def test_both(self):
        self.assertIn("nvme", DEVICES)
        self.assertIn("remove-yank", SCENARIOS)
        for how in SCENARIOS.values():
            self.assertTrue(how.__doc__ and how.devices)


if __name__ == "__main__":
    unittest.main()
