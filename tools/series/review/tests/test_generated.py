# SPDX-License-Identifier: GPL-2.0-only
import json

from .. import generated, results, sweeps
from ..layout import Base, LayoutError
from ..page import page
from . import Tree

ABOUT = {"what": "7.3.0-rc7 (linux-source)", "tree": "t", "kernel": "7.3",
         "qemu": "QEMU emulator version 10.0.2 (Debian)", "date": "2026-11-26"}
CASES = {
    "nvme.idle.ones": {"base": ["fail", None, "gone"],
                       "series": ["pass", 0.25, ""]},
    "nvme.load.ones": {"base": ["fail", 0.3, "console"],
                       "series": ["pass", 0.4, ""]}}


class Generated(Tree):
    def setUp(self):
        super().setUp()
        self.record(Base("mainline", self.top).digest())
        self.write("README.md", "# X\n<!-- make report: topics -->\nold\n"
                   "<!-- end of topics -->\nmore\n"
                   "<!-- make report: results -->\n"
                   "<!-- end of results -->\n")

    def record(self, digest):
        about = {"base": ABOUT | {"patches": "none"},
                 "series": ABOUT | {"patches": "2, from abc",
                                    "digest": digest}}
        self.write("results/mainline.json", json.dumps(
            {"base": "mainline", "about": about, "check": None,
             "cases": CASES}))

    def update(self):
        base = Base("mainline", self.top)
        return [p.name for p in generated.update(
            base, results.Places(self.top))]

    def check(self):
        return {name: (bad, warn) for name, bad, warn in generated.check(
            Base("mainline", self.top), self.top)}

    def test_page(self):
        self.assertTrue(self.check()["README.md"][0])
        self.assertEqual(self.update(), ["README.md"])
        self.assertEqual(self.update(), [])
        self.assertEqual(self.check()["README.md"], ([], []))
        text = (self.top / "README.md").read_text()
        self.assertIn("| nvme | base | never | 0.30! |\n", text)
        self.assertIn("| [two](patches/mainline/two/) | two: The cover | net | 2 | "
                      "one | | draft |",
                      text)
        self.assertIn("more\n", text)

    def test_stale(self):
        self.update()
        self.write("include/one.h", "/* changed */\n")
        bad, warn = self.check()["README.md"]
        self.assertEqual(bad, [])
        self.assertIn("the patches have changed", warn[0])
        self.update()
        self.assertIn("**Stale**", (self.top / "README.md").read_text())
        # A message is no change of the kernel, nor a hand-made table right.
        self.record(Base("mainline", self.top).digest())
        path = self.top / "patches/mainline/one/one-a.patch"
        path.write_text(path.read_text().replace("it hangs", "it waits"))
        self.assertEqual(self.check()["README.md"], ([], []))
        # Nor is what the lab does not run: it stays what was measured.
        whole = Base("mainline", self.top).digest(["one"])
        tests = "drivers/tests/one_kunit.c"
        self.write(tests, "/* a test */\n")
        self.write("patches/mainline/one/series",
                   f"one-a.patch\none-b.patch include/one.h {tests}\n")
        self.assertEqual(self.check()["README.md"], ([], []))
        self.assertNotEqual(Base("mainline", self.top).digest(["one"]), whole)
        path = self.top / "README.md"
        path.write_text(path.read_text().replace("0.25", "0.15"))
        self.assertTrue(self.check()["README.md"][0])

    def test_cover(self):
        self.topic("one", "tree=pci\ntable=nvme idle,load\n")
        self.update()
        cover = (self.top / "patches/mainline/one/cover").read_text()
        self.assertIn("  nvme  never -> 0.25  0.30! -> 0.40\n", cover)
        self.assertTrue(all(len(line) <= 75 for line in cover.split("\n")))
        self.assertEqual(generated.own_numbers(cover), [])
        self.assertEqual(self.update(), [])
        path = self.top / "patches/mainline/one/cover"
        path.write_text(cover.replace("0.25", "0.20") + "\nThe end.\n")
        self.assertTrue(self.check()["patches/mainline/one/cover"][0])
        self.update()
        self.assertEqual(path.read_text(), cover + "\nThe end.\n")

    def test_cover_unknown(self):
        for spec in ("nvme", "igb idle", "nvme a,b"):
            self.topic("one", f"tree=pci\ntable={spec}\n")
            with self.subTest(spec), self.assertRaises(LayoutError):
                self.update()

    def test_numbers_of_pages(self):
        self.update()
        path = self.top / "README.md"
        path.write_text(path.read_text() + "It takes 0.5 s now.\n")
        self.assertIn("not of results/", self.check()["README.md"][0][0])

    def sweep(self, name, about, rows, **how):
        where = f"out/lab/sweep-mainline{name}"
        self.write(f"{where.split('.d/')[0]}.d/about.json", json.dumps(about))
        self.write(f"{where}.json", json.dumps({"rows": rows} | how))

    def recorded(self):
        places = results.Places(self.top)
        self.write("results/sweep.json",
                   sweeps.record("sweep", "mainline", places))
        return json.loads((self.top / "results/sweep.json").read_text())

    def test_sweep(self):
        places = results.Places(self.top)
        self.write("tools/lab/sweep", "#!/bin/sh\necho nvme.probe.event "
                   "nvme.reset.event nvme.load.event igb.load.event\n")
        (self.top / "tools/lab/sweep").chmod(0o755)
        self.assertIsNone(sweeps.record("soak", "mainline", places))
        row = {"device": "nvme", "phase": "probe", "dying": "event",
               "sites": 9, "planned": 40, "points": 40, "never": 3,
               "missed": 0, "limit": 2.5, "slowest": 0.4, "failing": [
                   {"point": "12ab:1", "site": "f+0x1", "notes": ["y"]}]}
        other = row | {"phase": "reset", "never": 0}
        self.sweep("-pristine.d/1", {"tree": "b", "digest": "d"}, [row, other])
        self.sweep(".d/1", {"tree": "s", "digest": "e"}, [row])
        self.sweep(".d/2", {"tree": "s", "digest": "e"}, [
            row | {"never": 0, "failing": []},
            row | {"skipped": "out of time"}])
        data = self.recorded()
        self.assertEqual(data["rows"][0]["base"]["never"], 3)
        self.assertEqual(data["rows"][0]["series"]["never"], 0)
        self.assertNotIn("missed", data["rows"][0]["series"])
        self.assertNotIn("failing", data["rows"][0]["base"])
        self.assertEqual(data["failing"][0], {
            "device": "nvme", "phase": "probe", "dying": "event",
            "side": "base", "point": "12ab:1", "site": "f+0x1"})
        wrong = len(data["failing"])
        self.assertNotIn("series", data["rows"][1])
        self.assertEqual(data["left"], {"nvme": ["reset", "load"],
                                        "igb": ["load"]})
        # What was not run again stays.
        (self.top / "out/lab/sweep-mainline-pristine.d/1.json").unlink()
        data = self.recorded()
        self.assertEqual(data["rows"][1]["base"]["points"], 40)
        self.assertEqual(len(data["failing"]), wrong)
        # Some points are no measure, nor are other values.
        for nr, how in enumerate(({"handful": 1}, {"chosen": "1"},
                                  {"step": 3}, {"mmio": "zeros"}), 3):
            self.sweep(f".d/{nr}", {"tree": "s", "digest": "e"},
                       [row | {"points": 1}], **how)
        self.assertEqual(self.recorded()["rows"][0]["series"]["points"], 40)
        text = generated.sweep_table(places)
        self.assertIn("**Stale**: recorded on ", text)
        self.assertIn("Series: 40 points in 1 rows, 0 never, 0 splat", text)
        self.assertIn(": at most 2.5 s.", text)
        self.assertIn("Not run: nvme reset, load.\n\nNot begun: igb.\n", text)
        self.assertIn("| nvme | reset | event | 9 | 40 of 40: none; 0.40 s at most | not run |",
                      text)
        self.assertNotIn("That failed", text)      # (of the base only)
        self.assertEqual(generated.block("swept", None, places).split("\n")[2:],
                         ["Series: 40 points in 1 rows, 0 never, 0 splat, 0 slow, "
                          "0 good; 0 of the rows are not complete; gone after "
                          "0.40 s at most.", ""])
        # Another kernel's do not count with it.
        for path in (self.top / "out/lab/sweep-mainline.d").iterdir():
            path.unlink()
        self.sweep(".d/1", {"tree": "t", "digest": "f"},
                   [other | {"good": 38, "points": 39, "failing": [
                       {"point": "3", "access": 3, "verdict": "never",
                        "site": "f < g", "wrong": ["gone: never"]}]},
                    other | {"phase": "load", "skipped": "no | such"}])
        data = self.recorded()
        self.assertEqual(data["rows"][0]["series"]["digest"], "e")
        text = generated.sweep_table(places)
        self.assertIn("(stale, of ", text)
        self.assertIn("39 points in 1 rows", text)
        self.assertIn("; 1 of the rows are not complete", text)
        self.assertIn("Not run: nvme probe.", text)
        self.assertIn("\n- nvme.reset.event, access 3: never after f \\< g: "
                      "gone: never\n", text)
        self.assertIn("skip: no \\| such", text)
        self.assertIn("39 of 40: 38 good; 0.40 s at most", page(places))

    def test_other_results(self):
        row = {"device": "nvme", "phase": "probe", "sites": 12,
               "base": {"points": 40, "never": 3, "slow": 1.5},
               "series": {"points": 40, "never": 0}}
        for data in ([row], {"about": "x", "rows": [row]}):
            self.write("results/soak.json", json.dumps(data))
            text = generated.other(results.Places(self.top), "soak")
            self.assertIn("| base never |", text)
            self.assertIn("| nvme | probe | 12 | 40 | 3 | 1.50 | 40 | 0 |",
                          text)
        self.assertIn("Not recorded", generated.sweep_table(
            results.Places(self.top)))
        text = page(results.Places(self.top))
        self.assertIn("make soak", text)
        self.assertNotIn("http:", text.replace("http://www.w3.org", ""))

    def test_unknown_block(self):
        self.write("README.md", "<!-- make report: typo -->\n"
                   "<!-- end of typo -->\n")
        with self.assertRaises(LayoutError):
            self.update()
