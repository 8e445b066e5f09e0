# SPDX-License-Identifier: GPL-2.0-only
import io

from .. import known, messages, rules, trailers
from ..layout import Base
from . import Tree, patch

KNOWN = '''0123456789ab v6.9 6.1.7? ("toy: Broken")
\tdrivers/toy/a.c: line 10
'''


class Trailers(Tree):
    def setUp(self):
        super().setUp()
        self.write("fixes.known", "# comment\n" + KNOWN)
        self.known = known.read(self.top / "fixes.known")

    def read(self, text, base="mainline"):
        return trailers.Trailers("subject\n\nbody\n\n" + text, self.known,
                                 base)

    def test_good(self):
        said = self.read('Fixes: 0123456789ab ("toy: Broken")\n'
                         "Cc: stable@vger.kernel.org # 6.1.x\n")
        self.assertEqual(said.bad, [])
        self.assertTrue(said.fixed and said.stable and said.versioned)

    def test_bad(self):
        for line, why in (
                ('Fixes: 0123456789ab ("toy: broken")', 'not "toy: broken"'),
                ('Fixes: 0123456 ("toy: Broken")', "not of the form"),
                ('fixes: 0123456789ab ("toy: Broken")', "not of the form"),
                ('Fixes: ffff56789abc ("x")', "not in tools/series"),
                ("Cc: stable@kernel.org", "not as stable-kernel-rules"),
                ("Cc: stable@vger.kernel.org # soon", "not a version")):
            with self.subTest(line):
                self.assertIn(why, self.read(line).bad[0])

    def test_place(self):
        said = trailers.Trailers(
            'subject\n\nFixes: 0123456789ab ("toy: Broken")\n\nMore.\n',
            self.known, "mainline")
        self.assertIn("not among the trailers", said.bad[0])

    def test_base_without_it(self):
        said = self.read('Fixes: 0123456789ab ("toy: Broken")', "6.1.4")
        self.assertIn("6.1.4 does not have", said.bad[0])
        said = self.read('Fixes: 0123456789ab ("toy: Broken")', "6.1.y")
        self.assertEqual(said.bad, [])

    def test_known_unreadable(self):
        for text in ("\tdrivers/a.c: x\n", "nonsense\n", KNOWN + KNOWN):
            self.write("fixes.known", text)
            with self.assertRaises(known.KnownError):
                known.read(self.top / "fixes.known")


class Titles(Tree):
    def test_titles(self):
        base = Base("mainline", self.top)
        titles = base.titles()
        self.assertIn("one: The cover", titles)
        self.assertIn("two: Do b", titles)
        for text, bad in (('Needs "one:\nThe cover".', 0),
                          ('As "two: Do a", "make x" and "y".', 0),
                          ('Commit 0123456789ab ("x/y: Gone").', 0),
                          ('Without "PCI: What is\ngone", it hangs.', 1)):
            self.write("patches/mainline/one/cover", "one: X\n\n" + text)
            found = list(rules.of_titles(base.topics["one"], titles))
            self.assertEqual(len(found), bad, text)


class Rules(Tree):
    def complaints(self, body, lines=1, prefix="PATCH", backport=False):
        self.write("patches/mainline/one/one-a.patch",
                   patch("one: x", body, lines))
        self.topic("two", f"tree=x\nprefix={prefix}\nstate=draft\n")
        base = Base("mainline", self.top)
        p = base.topics["one"].patches[0]
        said = trailers.Trailers("s\n\n" + body, {}, "mainline")
        return [rule for rule, _ in rules.of_patch(
            p, "s\n\n" + body, said, base.topics["two"], backport)]

    def test_exercised(self):
        self.assertEqual(self.complaints("Text."), ["exercised"])
        for words in ("Reproduced in QEMU: so.", "Compile-tested only.",
                      "Reproduced by the KUnit case a:b.",
                      "No functional change."):
            self.assertEqual(self.complaints(words), [])

    def test_stable(self):
        cc = "Compile-tested only.\n\nCc: stable@vger.kernel.org"
        self.assertEqual(self.complaints(cc), ["stable-range"])
        self.assertEqual(self.complaints(cc, backport=True), [])
        self.assertEqual(self.complaints(cc + " # 6.1.x"), [])
        # 96 lines of context, one new, three of headers
        self.assertEqual(self.complaints(cc + " # 6.1.x", 96), [])
        self.assertEqual(self.complaints(cc + " # 6.1.x", 97),
                         ["stable-size"])

    def test_net(self):
        text = "Compile-tested only."
        for prefix in ("PATCH net", "PATCH iwl-net"):
            self.assertEqual(self.complaints(text, prefix=prefix),
                             ["net-fixes"])
        self.assertEqual(self.complaints(text, prefix="PATCH net-next"), [])

    def test_credit(self):
        link = "\nLink: https://lore.kernel.org/r/x@y\n"
        text = "Compile-tested only. It was first\nreported in 2020."
        self.assertEqual(self.complaints(text + link), ["credit"])
        self.assertEqual(self.complaints(text), [])
        self.assertEqual(self.complaints(
            text + link + "Closes: https://lore.kernel.org/r/x@y\n"), [])
        self.assertEqual(self.complaints(
            "Compile-tested only. lockdep reports it." + link), [])
        self.assertEqual(self.complaints(
            "Compile-tested only.\n\nLink: "
            "https://bugzilla.kernel.org/show_bug.cgi?id=1\n"), ["credit"])

    def test_mailbox(self):
        self.assertEqual(self.complaints(
            "Compile-tested only.\n\nFrom reading it."), ["mailbox"])
        self.assertEqual(self.complaints("Compile-tested only, From it."), [])

    def test_width(self):
        words = "Compile-tested only " + "x" * 56
        self.assertEqual(self.complaints(words), ["width"])
        self.assertEqual(self.complaints(words[:-1]), [])
        for exempt in ("    " + words, "Fixes: " + words,
                       words + " https://lore.kernel.org/r/x@y"):
            self.assertEqual(self.complaints(exempt), [])

    def test_topic(self):
        base = Base("mainline", self.top)
        self.assertEqual(list(rules.of_topic(base.topics["two"])), [])
        self.topic("one", "tree=pci\n")
        self.write("patches/mainline/one/cover", "No subject line\nhere\n")
        self.write("patches/mainline/one/series",
                   "".join(f"one-{i}.patch\n" for i in range(16)))
        base = Base("mainline", self.top)
        found = [rule for rule, _ in rules.of_topic(base.topics["one"])]
        self.assertEqual(found, ["topic-file", "topic-file", "size", "cover"])


class Review(Tree):
    def review(self):
        out = io.StringIO()
        review = messages.Review(Base("mainline", self.top), {}, [], out)
        for topic in review.base.topics.values():
            review.topic(topic)
            for p in topic.patches:
                review.patch(p)
        return review, out.getvalue()

    def test_exception(self):
        review, text = self.review()
        self.assertIn("not ok 5 - two/two-a\n# net-fixes:", text)
        self.write("patches/mainline/exceptions",
                   "net-fixes two/two-a: a reason\nsize one: none needed\n")
        review, text = self.review()
        self.assertIn("ok 5 - two/two-a\n# warning: net-fixes:", text)
        self.assertIn("let in: a reason", text)
        self.assertEqual(review.exceptions.unused({"one", "two/two-a"}),
                         ["size one"])

    def test_numbers_of_covers(self):
        self.write("patches/mainline/one/cover",
                   "one: The cover\n\nIt takes 1.4 s on 6.12.8.\n")
        _, text = self.review()
        self.assertIn("# numbers: of the cover", text)
        self.write("patches/mainline/one/cover",
                   "one: The cover\n\nOn 6.12.117 and 7.3, fine.\n")
        _, text = self.review()
        self.assertNotIn("# numbers", text)

    def test_missing_in_stable(self):
        self.write("patches/6.1.y/base", "package=x\n")
        self.write("patches/6.1.y/topics", "t\n")
        self.topic("t", "tree=stable\n", "6.1.y")
        said = trailers.Trailers("s\n\nb\n\nCc: stable@vger.kernel.org\n",
                                 {}, "mainline")
        stable = [Base("6.1.y", self.top)]
        self.assertTrue(list(trailers.missing("one/one-a", said, stable)))
        self.assertFalse(list(trailers.missing("one/t-a", said, stable)))
        self.write("patches/6.1.y/left-out", "one/one-a.patch: a reason\n")
        self.assertFalse(list(trailers.missing("one/one-a", said, stable)))
