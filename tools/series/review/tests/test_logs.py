# SPDX-License-Identifier: GPL-2.0-only
import json
from collections import Counter
from pathlib import Path

from .. import each, lint, logs, prove, results, tap
from ..layout import Base
from . import Tree, patch, recorded


class Logs(Tree):
    def test_kunit(self):
        log = logs.guest(recorded("kunit.log"))
        self.assertEqual(
            [c[:2] for c in log.cases],
            [("pass", "test_answers"), ("fail", "test_vf"),
             ("skip", "test_set_io_state_race"),
             ("pass", "test_surprise_removal")])
        self.assertEqual(log.rows, 2)
        self.assertEqual([nr for nr, _ in log.bad], [24, 25])
        self.assertEqual(log.went("pci_presence:test_vf"), "fails")
        self.assertIn("passes, but: ---",
                      log.went("pciehp:test_surprise_removal"))
        self.assertIn("does not end", log.went("pciehp:test_nothing"))
        self.assertIn("presence_kunit.c:120", log.expectation()[0])

    def test_lab(self):
        text = recorded("lab.ktap")
        self.assertEqual(
            logs.lab_went(text, "virtio-blk.load"),
            "fails: gone: not within 12 s; ended: a process still waits")
        self.assertEqual(logs.lab_went(text, "virtio-blk.idle"), "")
        self.assertEqual(logs.lab_went(text, "ahci.replug"),
                         "is skipped: QEMU has no hot-plug of ide-hd")
        self.assertIn("does not run", logs.lab_went(text, "nvme.load"))
        self.assertIn("does not run", logs.lab_went("", "nvme.load"))
        self.assertEqual(logs.gone(text), "never")
        self.assertEqual(logs.gone(text[text.index("not ok 1 virtio"):]),
                         "gone")
        self.assertEqual(logs.gone(""), "")

    def test_sweep(self):
        text = recorded("sweep.ktap")
        self.assertEqual(logs.sweep_went(text, "nvme.reset.event@1"), "")
        self.assertEqual(
            logs.sweep_went(text, "megasas.probe.event@1"), "fails: "
            "458 accesses from 30 sites, 1 of 1 points, 1 splat")
        # That no point was reached is no failure of what is to be proved.
        self.assertEqual(
            logs.sweep_went(text, "virtio-rng.reset.event@500"), "does not "
            "run: 15 accesses from 7 sites, 0 of 1 points, 1 missed")
        self.assertEqual(logs.sweep_went(text, "virtio-rng.ifup.event@1"),
                         "is skipped: virtio-rng has none")
        self.assertIn("does not run: # 2 points",
                      logs.sweep_went(text, "nvme.probe.event@1"))
        self.assertIn("does not run", logs.sweep_went("", "nvme.load.event@1"))

    def test_tap(self):
        self.assertEqual(tap.count(recorded("lab.ktap")), (5, 3, 1))
        self.assertEqual(tap.count("ok - a\nok 2 - b # SKIP no\nnot ok - c\n"
                                   "okay\n# ok 3\n"), (1, 1, 1))

    def test_kbuild(self):
        where = Path("/home/u/build/mainline/lint")
        found, checked = lint.complaints(recorded("kbuild.log"), where)
        self.assertEqual(checked, {"drivers/pci/pci", "drivers/pci/iov"})
        self.assertEqual(Counter(k[0] for k in found), Counter(
            {"drivers/pci/pci": 2, "drivers/nvme/host/pci": 2}))
        moved = recorded("kbuild.log").replace(":4521:5:", ":4600:5:")
        again, _ = lint.complaints(moved, where)
        self.assertEqual(lint.new(found, again), [])
        more = found + Counter({("drivers/pci/pci", "warning: x"): 1})
        self.assertEqual(lint.new(found, more),
                         [("drivers/pci/pci", "warning: x")])
        count, new = each.build_log(recorded("kbuild.log"), where, set())
        self.assertEqual((count, len(new)), (3, 4))
        self.assertEqual(each.build_log(moved, where, set(new))[1], [])

    def test_checkpatch(self):
        text = recorded("checkpatch.txt")
        self.assertEqual(list(lint.checkpatch(text, True)), [
            "checkpatch: 0001-PCI-Wait.patch: line 61: "
            "CHECK:PARENTHESIS_ALIGNMENT: "
            "Alignment should match open parenthesis"])
        self.assertEqual(len(list(lint.checkpatch(text, False))), 2)

    def test_what_of(self):
        step = lint.what_of(
            [("M", "drivers/pci/pci.h"), ("A", "drivers/a/b.c"),
             ("M", "arch/powerpc/c.c"), ("M", "tools/x.c"),
             ("D", "lib/d.c"), ("M", "include/linux/pci.h")],
            {"include/linux/pci.h": "drivers/pci/pci.o"})
        self.assertEqual(step["objects"], ["drivers/a/b", "drivers/pci/pci"])
        self.assertEqual(step["foreign"], ["arch/powerpc/c.c"])
        self.assertEqual(step["added"], ["drivers/a/b.c"])
        self.assertEqual(step["problems"], [])
        self.assertTrue(lint.what_of([("M", "x/y.h")], {})["problems"])

    def test_each_plan(self):
        changed = {"a": ["drivers/pci/pci.c"], "b": ["include/linux/pci.h"],
                   "c": ["drivers/nvme/host/pci.c", "tools/x.c"]}
        lines = list(each.plan([(c, c, True) for c in "abc"], "base",
                               changed.get))
        self.assertEqual([line[-1] for line in lines], [
            "drivers/nvme/host/ drivers/pci/ lib/", "(drivers/pci/)",
            "drivers/pci/ lib/", "drivers/nvme/host/ drivers/pci/ lib/"])
        # Up to the last one chosen; the others without a verdict.
        lines = list(each.plan([(c, c, c == "b") for c in "abc"], "base",
                               changed.get))
        self.assertEqual([line[3] for line in lines], ["no", "no", "yes"])


class Prove(Tree):
    def test_case_of(self):
        base = Base("mainline", self.top)
        p = base.topics["one"].patches[0]
        cases = {"one-a": [("nvme.load", ["one-b"]),
                           ("nvme.reset.event@40,53", [])]}
        self.assertEqual(prove.cases_of(p, cases), cases["one-a"])
        self.write("patches/mainline/one/one-a.patch", patch(
            "x", "Reproduced by the KUnit case\n"
            "pciehp:test_a.\n\nCompile-tested only."))
        self.assertEqual(prove.cases_of(p, {}), [("pciehp:test_a", [])])
        self.write("patches/mainline/one/one-a.patch",
                   patch("x", "Compile-tested only: 0.2 s of it. More."))
        self.assertEqual(prove.cases_of(p, {}),
                         [("", ["Compile-tested only: 0.2 s of it."])])
        self.write("patches/mainline/one/one-a.patch", patch("x", "Text."))
        self.assertEqual(prove.cases_of(p, {}), [("", [])])

    def test_unknown(self):
        self.write("tools/series/prove.lab", "one-a nvme.load one-b two-a\n"
                   "# Another one\n"
                   "one-a nvme.reset.event@40 gone-patch\n")
        self.write("tools/series/undo/nil.diff", "")
        base = Base("mainline", self.top)
        self.assertEqual(prove.lab_cases(self.top)["one-a"], [
            ("nvme.load", ["two-a", "one-b"]),
            ("nvme.reset.event@40", ["gone-patch"])])
        self.assertEqual(len(list(prove.unknown(base, self.top))), 2)


class Record(Tree):
    def setUp(self):
        super().setUp()
        self.places = results.Places(self.top)
        self.places.order = lambda: ["virtio-blk.idle", "nvme.idle"]

    def run_of(self, side, tree, **cases):
        where = f"out/lab/mainline{side}.d"
        self.write(f"{where}/about.json", json.dumps(
            {"what": "7.3 (x)", "tree": tree, "digest": "d",
             "patches": "80, from x"}))
        lines = [json.dumps({
            "device": device.replace("_", "-"), "scenario": "idle",
            "mmio": "ones", "result": "pass" if gone else "fail",
            "reason": None, "times": {"gone": gone} if gone else {},
            "checks": [{"name": "gone", "ok": bool(gone)}],
            "kernel": "7.3", "qemu": "QEMU emulator version 10.0.2"})
            for device, gone in cases.items()]
        self.write(f"{where}/1.json", "\n".join(lines) + "\n")

    def test_record(self):
        with self.assertRaises(results.LayoutError):
            results.record("mainline", self.places)
        self.run_of("-pristine", "b", nvme=None, virtio_blk=None)
        self.run_of("", "s", nvme=0.5)
        self.write("out/check.tsv", "s\nlint\t1\t0\t0\t9\n\tok - x\n")
        data = json.loads(results.record("mainline", self.places))
        self.assertEqual(list(data["cases"]), ["virtio-blk.idle.ones",
                                               "nvme.idle.ones"])
        self.assertEqual(data["cases"]["nvme.idle.ones"]["series"],
                         ["pass", 0.5, ""])
        self.assertEqual(data["check"]["stages"][0]["lines"], ["ok - x"])
        # What was not run again of the same kernel stays.
        self.write("results/mainline.json", json.dumps(data))
        self.run_of("", "s", virtio_blk=0.25)
        data = json.loads(results.record("mainline", self.places))
        self.assertEqual(data["cases"]["nvme.idle.ones"]["series"][1], 0.5)
        # Of another one it does not.
        self.run_of("", "t", virtio_blk=0.25)
        data = json.loads(results.record("mainline", self.places))
        self.assertNotIn("series", data["cases"]["nvme.idle.ones"])
        self.assertIsNone(data["check"])

    def test_words(self):
        for entry, want in ((["pass", 0.5, ""], "0.50"), (None, ""),
                            (["fail", None, "gone slot"], "never"),
                            (["fail", 1.5, "gone"], "1.50"),
                            (["fail", 0.5, "console"], "0.50!"),
                            (["fail", None, "ready"], "failed"),
                            (["skip", None, "why"], "skip")):
            self.assertEqual(results.words(entry), want)
