# SPDX-License-Identifier: GPL-2.0-only
"""What the lab parses and decides, on what was recorded.

python3 -m unittest discover -s tools/lab/tests
"""

import argparse
import asyncio
import contextlib
import dataclasses
import importlib.machinery
import importlib.util
import io
import json
import os
import random
import sys
import tempfile
import unittest
from unittest import mock

HERE = os.path.dirname(os.path.realpath(__file__))
sys.path.insert(0, os.path.dirname(HERE))
sys.dont_write_bytecode = True
import console                                      # noqa: E402
from errors import Failed, LabError, QemuGone, Skip       # noqa: E402
from machine import Machine                         # noqa: E402
from points import choose, results, sweeper, symbols         # noqa: E402
from points.phases import PHASES                    # noqa: E402
from points.point import (GOOD, MISSED, NEVER, SLOW, SPLAT,     # noqa: E402
                          Outcome, verdict)
from points.results import Row, table               # noqa: E402
from points.trap import Site                        # noqa: E402
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

    def test_link_disabled(self):
        def written(port, register, value):
            return console.link_disabled(
                [f"pci_cfg_read pcie-root-port {port} @0x64 -> 0x10",
                 f"pci_cfg_write pcie-root-port {port} @{register} <- {value}"],
                "00:04.0", 0x64)
        self.assertTrue(written("00:04.0", "0x64", "0x50"))
        self.assertFalse(written("00:04.0", "0x64", "0x40"))
        self.assertFalse(written("00:04.0", "0x68", "0x10"))
        self.assertFalse(written("00:05.0", "0x64", "0x10"))


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
            row.add(kind, Outcome(kind))
        self.assertEqual((row.points, row.good, row.splat, row.missed),
                         (2, 1, 1, 1))
        self.assertTrue(row.ktap(1)[-1].startswith("not ok 1 nvme.reset.event"))
        self.assertEqual(len(table([row])), 2)
        self.assertIn("# SKIP none", Row("a", "b", "event",
                                         skipped="none").ktap(2)[0])


class NothingReached(unittest.TestCase):
    def test_is_no_pass(self):
        row = Row("nvme", "probe", "event", planned=1)
        row.add(1, Outcome(MISSED))
        self.assertTrue(row.ktap(1)[-1].startswith("not ok"))


class FakeBench:
    """Whose points do what they are told to: see SCRIPT"""

    def __init__(self, sweep):
        self.points, self.bare, self.silent = 0, False, False
        self.sweep, self.stopped, self.gone = sweep, False, False
        self.limits = sweep.args
        sweep.made += 1

    async def guard(self, work):
        return await work

    async def stop(self):
        self.stopped = True

    async def deaf(self):
        self.sweep.asked += not self.gone
        return not self.gone

    async def names(self, paths):
        return []

    async def plug(self):
        self.sweep.did.append("plug")


class FakeSweep(sweeper.Sweep):
    """SCRIPT: for each point what its tries come to, the last for all others"""

    def __init__(self, script, **args):
        defaults = {"total": 5, "gone": 1.0, "minutes": None, "kernel": "k",
                    "mmio": "ones", "points": None,
                    "handful": None, "step": None, "soak": False}
        super().__init__(argparse.Namespace(**defaults | args), None, [], [])
        self.script = {nr: list(outcomes) for nr, outcomes in script.items()}
        self.total, self.made, self.said = 1, 0, []
        self.did, self.used, self.asked = [], [], 0
        self.running, self.rng = {}, random.Random(1)

    def print(self, text):
        self.said.append(text)

    async def bench(self, dev, name):
        return FakeBench(self)

    async def name(self, b, outcome):
        pass

    async def try_point(self, b, phase, point, use=True, code=()):
        b.points += 1
        self.did.append(point.number)
        self.used += [point.number] * use
        left = self.script.get(point.number, [GOOD])
        kind = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(kind, Exception):
            raise kind
        deaf = kind == "deaf"
        kind = NEVER if deaf else kind
        return Outcome(kind, (point.number, 1, 0, False), ["gone: never"],
                       deaf=deaf, used=use and kind == GOOD)

    def go(self, phase, numbers):
        """The row, after these points"""
        row = Row("nvme", phase, "event", planned=len(numbers))

        async def all_of_them():
            b = FakeBench(self)
            b.points = 1
            return await self.each(None, row, PHASES[phase], [
                choose.Point(number) for number in numbers], b)

        async def leave(b, phase):
            self.did.append("leave")
        with mock.patch.object(sweeper, "try_point", self.try_point), \
                mock.patch.object(sweeper, "leave", leave), \
                contextlib.redirect_stderr(io.StringIO()):
            asyncio.run(all_of_them())
        return row


class Repeats(unittest.TestCase):
    def test_fails_again(self):
        row = FakeSweep({2: [NEVER]}).go("remove", [1, 2, 3])
        self.assertEqual((row.points, row.good, row.never, row.unrepeated),
                         (3, 2, 1, 0))
        self.assertEqual(row.failing[0]["point"], "2")
        self.assertTrue(row.failed)

    def test_does_not_fail_again(self):
        sweep = FakeSweep({2: [NEVER, GOOD]})
        row = sweep.go("remove", [1, 2, 3])
        self.assertEqual((row.points, row.good, row.unrepeated), (3, 3, 1))
        self.assertEqual(sweep.made, 2)
        self.assertFalse(row.failed)

    def test_deaf_is_no_failure(self):
        row = FakeSweep({2: ["deaf", "deaf", GOOD]}).go("remove", [1, 2])
        self.assertEqual((row.points, row.good, row.unrepeated), (2, 2, 0))

    def test_cannot_be_tried(self):
        sweep = FakeSweep({1: [Failed("x")]})
        row = sweep.go("remove", [1, 2])
        self.assertEqual((row.points, row.untried), (1, 1))
        self.assertTrue(row.failed)
        self.assertIn("a processor has lost an interrupt", sweep.said[0])

    def counted(self, *left, sites=(Site(1, (1,), 7, 1, 7),)):
        """With LEFT: what leave() gives, from one machine to the next"""
        sweep, left = FakeSweep({}), list(left)

        async def count(b, phase):
            return 7, list(sites)

        async def leave(b, phase):
            error = left.pop(0)
            b.gone = isinstance(error, QemuGone)
            if error:
                raise error
        row = Row("nvme", "remove", "event")
        with mock.patch.multiple(sweeper, count=count, leave=leave,
                                 try_point=sweep.try_point), \
                contextlib.redirect_stderr(io.StringIO()):
            asyncio.run(sweep.points(None, row, PHASES["remove"], None))
        return sweep, row

    def test_counting_is_repeated(self):
        sweep, row = self.counted(Failed("never off"), QemuGone("x"), None)
        self.assertEqual((sweep.made, row.accesses, sweep.asked), (3, 7, 1))
        self.assertIn("never off; a processor", sweep.said[0])

    def test_counting_fails(self):
        with self.assertRaises(Failed):
            self.counted(*[Failed("never off")] * 3)

    def test_no_access(self):
        with self.assertRaises(Skip):
            self.counted(None, sites=())

    def test_qemu_aborts(self):
        row = FakeSweep({1: [QemuGone("x")]}).go("remove", [1, 2])
        self.assertEqual((row.points, row.qemu, row.failed), (1, 1, False))

    def test_missed(self):
        sweep = FakeSweep({1: [MISSED]})
        row = sweep.go("remove", [1])
        self.assertEqual((row.points, row.missed, row.failed), (0, 1, True))
        self.assertEqual(sweep.did, [1, "leave"])

    def test_another_instead(self):
        sweep = FakeSweep({1: [MISSED]}, handful=1)
        row = sweep.go("remove", [1, 2, 3])
        self.assertEqual((row.points, row.missed, row.failed), (1, 1, False))
        self.assertNotIn(3, sweep.did)


class GoesOn(unittest.TestCase):
    def test_sites(self):
        rng, sites = random.Random(1), [Site(0xab, (1,), 5, 1, 9),
                                        Site(0xcd, (2,), 1, 2, 2)]
        first = [str(p) for p in choose.of_sites(sites, rng)]
        self.assertEqual(len(first), 4)
        left = choose.of_sites(sites, random.Random(2), first[:2])
        self.assertEqual(len(left), 2)
        # The last access was another one this time
        sites[0].times = 6
        self.assertEqual(choose.of_sites(sites, rng, first), [])

    def test_rows(self):
        row = FakeSweep({2: [NEVER], 3: [QemuGone("x")]}).go(
            "remove", [1, 2, 3])
        row.seconds = 1
        self.assertTrue(row.over)
        self.assertEqual(row.tried, {"1": GOOD, "2": NEVER, "3": "qemu"})
        later = FakeSweep({}, minutes=1)
        later.begin -= 61
        late = later.go("reset", [1])
        self.assertFalse(late.over)
        untried = FakeSweep({1: [Failed("x")]}).go("load", [1, 2])
        untried.seconds = 1
        self.assertFalse(untried.over)
        with tempfile.TemporaryDirectory() as tmp:
            one, two = (os.path.join(tmp, f"{nr}.json") for nr in (1, 2))
            results.write(one, [row, untried], mmio="ones")
            results.write(two, [Row(row.device, row.phase, row.dying,
                                    skipped=results.LATE)], mmio="ones")
            self.assertEqual(results.load(tmp, "zeros"), {})
            found = results.load(tmp, "ones")
            self.assertEqual(found[row.name], row)
            self.assertEqual(found[untried.name].tried, {"2": GOOD})
            # Of an older sweep, and of a newer one
            old = {k: v for k, v in dataclasses.asdict(row).items()
                   if k != "tried"}
            new = dataclasses.asdict(untried) | {"more": 1}
            with open(two, "w") as f:
                json.dump({"mmio": "ones", "rows": [
                    old | {"phase": "bind"}, new | {"phase": "ifup"}]}, f)
            self.assertEqual([name.split(".")[1] for name in
                              results.load(tmp, "ones")],
                             ["remove", "load", "ifup"])
            results.write(two, [late], mmio="ones", handful=1)
            self.assertNotIn(late.name, results.load(tmp, "ones"))


class UsedLater(unittest.TestCase):
    def test_all_good(self):
        sweep = FakeSweep({})
        row = sweep.go("probe", range(1, 13))
        self.assertEqual((row.points, row.good), (12, 12))
        self.assertEqual(sweep.did, list(range(1, 13)))

    def test_fault_of_one_before(self):
        """Of what went well before a failure, each is looked into alone"""
        sweep = FakeSweep({2: [GOOD, SPLAT], 4: [NEVER, GOOD]})
        row = sweep.go("probe", [1, 2, 3, 4])
        self.assertEqual(sweep.did[:4], [1, 2, 3, 4])
        self.assertEqual((row.points, row.good, row.splat, row.unrepeated),
                         (4, 3, 1, 1))
        self.assertEqual(row.failing[0]["point"], "2")

    def test_fresh_machine(self):
        sweep = FakeSweep({2: [NEVER, GOOD]})
        sweep.go("probe", [1, 2, 3, 4])
        self.assertEqual(sweep.did, [1, 2, 2, 1, 3, 4])
        self.assertEqual(sweep.used, [2, 1, 4])

    def test_last_is_missed(self):
        sweep = FakeSweep({3: [MISSED]})
        row = sweep.go("probe", [1, 2, 3])
        self.assertEqual((row.points, row.missed), (2, 1))
        self.assertEqual(sweep.did[-1], "plug")

    def test_out_of_time(self):
        sweep = FakeSweep({}, minutes=1)
        sweep.begin -= 61
        row = sweep.go("probe", [1, 2])
        self.assertEqual((row.points, row.skipped), (0, "out of time"))


class Symbols(unittest.TestCase):
    def test_names(self):
        with tempfile.TemporaryDirectory() as tmp:
            kernel = os.path.join(tmp, "arch/x86/boot/bzImage")
            os.makedirs(os.path.dirname(kernel))
            self.assertIsNone(symbols.names(kernel, [1]))
            with open(os.path.join(tmp, "System.map"), "w") as f:
                f.write("ff10 T b\nff00 t a\nff08 D data\n")
            with open(kernel, "w"):
                pass
            self.assertEqual(symbols.names(kernel, [0xff09, 0xff10, 1]), {
                0xff09: "a+0x9", 0xff10: "b+0x0"})
            os.utime(kernel, (1, 1))
            self.assertIsNone(symbols.names(kernel, [0xff09]))


class Qtest(unittest.TestCase):
    def test_cancelled(self):
        """Whoever asks next gets answers of its own"""
        async def go():
            m = Machine.__new__(Machine)
            m.qtest_lock, m.qtest_in = asyncio.Lock(), asyncio.StreamReader()
            m.qtest = argparse.Namespace(write=lambda data: None)
            first = asyncio.create_task(m.qtest_send("readw 0x1"))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            first.cancel()
            await asyncio.sleep(0)
            m.qtest_in.feed_data(b"OK 0x1\nOK 0x2\n")
            return await m.qtest_send("readw 0x2")
        self.assertEqual(asyncio.run(go()), [2])


class Summary(unittest.TestCase):
    def test_nothing_was_checked(self):
        path = os.path.join(os.path.dirname(HERE), "lab")
        loader = importlib.machinery.SourceFileLoader("lab_itself", path)
        lab = importlib.util.module_from_spec(
            importlib.util.spec_from_loader("lab_itself", loader))
        loader.exec_module(lab)
        case = lab.Case("nvme", "load", "ones")
        case.result, case.run = "fail", lab.Run(None, None, "ones", None)
        said = []
        self.assertEqual(lab.Lab.summary(argparse.Namespace(
            todo=[case], kernel="k", print=said.append)), 1)
        self.assertIn("never!nothing-done", "\n".join(said))


class Registered(unittest.TestCase):
    def test_both(self):
        self.assertIn("nvme", DEVICES)
        self.assertIn("remove-yank", SCENARIOS)
        for how in SCENARIOS.values():
            self.assertTrue(how.__doc__ and how.devices)


if __name__ == "__main__":
    unittest.main()
