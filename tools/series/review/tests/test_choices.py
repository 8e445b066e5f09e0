# SPDX-License-Identifier: GPL-2.0-only
import os
import shutil
import subprocess

from .. import choices
from ..layout import TOP, Base, LayoutError
from . import Tree


class Choices(Tree):
    def refused(self, **kw):
        with self.assertRaises(LayoutError) as caught:
            Base("mainline", self.top).chosen(**kw)
        return str(caught.exception)

    def test_topic_and_patch(self):
        base = Base("mainline", self.top)
        names = [p.name for p in base.chosen("two", "a")]
        self.assertEqual(names, ["two-a"])
        self.assertEqual(len(base.chosen("one,two")), 4)
        self.assertIn("no such topic", self.refused(topic="on"))
        self.assertIn("PATCH=two-a", self.refused(topic="one", patch="two-a"))

    def test_base(self):
        for name in ("nil", "../x", "", "-x"):
            with self.assertRaises(LayoutError):
                Base(name, self.top)

    def test_values(self):
        for env in ({"KUNIT": "uml"}, {"CONFIGS": "x86"}, {"LINT": "all"},
                    {"JOBS": "0"}, {"REALLY": "0"}, {"PRISTINE": "no"},
                    {"KERNEL": "/nonexistent"}, {"BASES": "6.1"},
                    {"TOPIC": "typo"}, {"PATCH": "no-such-word"},
                    {"BASE": "typo"}, {"DISCLOSE": "/nonexistent"},
                    {"DISCLOSE": "/dev/null"}, {"TRAILERS": "nonsense"},
                    {"TRAILERS": "Acked-by: A <a@b>; a b: c"}):
            with self.subTest(env), self.assertRaises(LayoutError):
                choices.check(env)
        choices.check({"KUNIT": "um,arm64", "JOBS": "2", "REALLY": "1",
                       "DISCLOSE": "none", "TRAILERS":
                       "Assisted-by: A:1; Link: https://a.b/;"})

    def test_mutate(self):
        every = sorted((TOP / "tools/series/mutations").glob("*.diff"))
        for path in every:
            choices.check({"PATCH": path.stem}, "mutate")
        topic = every[0].read_text()[2:].split(":")[0]
        last = every[-1].read_text()[2:].split(":")[0]
        choices.check({"TOPIC": topic, "PATCH": every[0].stem}, "mutate")
        choices.check({"TOPIC": f"{topic} {last}", "PATCH":
                       f"{every[0].stem} {every[-1].stem}"}, "mutate")
        for env in ({"PATCH": "no-such-word"}, {"TOPIC": "typo"},
                    {"TOPIC": topic, "PATCH": every[-1].stem}):
            with self.subTest(env), self.assertRaises(LayoutError):
                choices.check(env, "mutate")

    def test_lab(self):
        for env in ({"DEVICES": "typo"}, {"SCENARIOS": "typo"},
                    {"MMIO": "twos"}):
            with self.subTest(env), self.assertRaises(LayoutError) as caught:
                choices.check(env)
            name = list(env)[0]
            self.assertIn(f"{name}={env[name]}: ", str(caught.exception))

    def test_required(self):
        for target, env in (("send", {}), ("verify", {"TOPIC": "one"}),
                            ("trailers", {"MBOX": "x"}), ("rebase", {}),
                            ("lint", {"TOPIC": "one two"})):
            with self.subTest(target), self.assertRaises(LayoutError):
                choices.required(target, env)
        choices.required("rebase", {"CONTINUE": "1"})


class Makefile(Tree):
    """The real one, over scripts that only say what they were given"""

    SAYS = ("#!/bin/sh\necho \"${0##*/} $* MMIO=$MMIO DEVICES=$DEVICES "
            "BASE=$BASE JOBS=$JOBS KASAN=$KASAN TOPIC=$TOPIC\"\n")

    def setUp(self):
        super().setUp()
        shutil.copy(TOP / "Makefile", self.top)
        for name in ("check", "run-lab", "kernel", "need", "stack.py"):
            self.write(f"tools/series/{name}", self.SAYS)
            (self.top / f"tools/series/{name}").chmod(0o755)
        self.write("tools/series/review/__init__.py", "")
        self.write("tools/series/review/__main__.py", "")

    def make(self, *args, **env):
        env = {"PATH": os.environ["PATH"]} | env
        done = subprocess.run(["make", *args], cwd=self.top, env=env,
                              capture_output=True, text=True)
        return done.returncode, done.stdout.splitlines()[-1:], done.stderr

    def test_config_and_check(self):
        before = self.make("check")
        self.write(".config", 'CONFIG_BASE="6.1.y"\nCONFIG_LAB_MMIO="ones"\n'
                   'CONFIG_LAB_DEVICES="nvme"\nCONFIG_KASAN=y\n')
        self.assertEqual(self.make("check"), before)
        self.assertIn("BASE=mainline", before[1][0])
        said = self.make("lab")[1][0]
        for word in ("MMIO=ones", "DEVICES=nvme", "BASE=6.1.y", "KASAN=y"):
            self.assertIn(word, said)
        self.assertIn("MMIO=zeros", self.make("lab", "MMIO=zeros")[1][0])
        # (What a choice is not for does not get it.)
        self.assertIn("MMIO= DEVICES= ", self.make("kernel")[1][0])

    def test_unknown(self):
        for args, why in ((("lab", "DEVICE=nvme"), "no such variable"),
                          (("check", "DEVICES=nvme"), "does not look at it"),
                          (("lab", "TOPIC=one"), "does not look at it"),
                          (("series", "CASE=a.b"), "no such variable")):
            code, out, err = self.make(*args)
            self.assertNotEqual(code, 0)
            self.assertEqual(out, [])
            self.assertIn(why, err)
            self.assertEqual(len(err.splitlines()), 1)

    def test_known(self):
        code, out, err = self.make("series", "TOPIC=one", "V=2")
        self.assertEqual((code, err), (0, ""))
        self.assertIn("TOPIC=one", out[0])
        self.assertEqual(self.make("series", "PATCH=a,b")[0], 0)
        self.assertEqual(self.make("help")[0], 0)
        # What somebody's environment has of these names is not ours.
        self.assertIn("TOPIC=\n", self.make("check", TOPIC="x")[1][0] + "\n")

    def test_help_has_all(self):
        text = (TOP / "Makefile").read_text()
        wanted = set()
        for line in text.splitlines():
            if line.startswith(("takes_", "COMPOSE ", "BUILD ", "LAB ")):
                wanted |= set(line.split(":=")[1].split())
        described = "\n".join(line for line in text.splitlines()
                              if line.startswith("#?"))
        for name in wanted:
            if not name.startswith("$"):
                self.assertRegex(described, rf"\b{name}\b")
