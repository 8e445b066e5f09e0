# SPDX-License-Identifier: GPL-2.0-only
import tempfile
import unittest

from .. import patch
from ..util import Refused

MAIL = b"""From: Someone Else <else@example.com>
Subject: [PATCH v2 3/7] toy: [a tag that stays] A subject that is
 folded

Why.

---
 drivers/toy/a.c | 2 +-

diff --git a/drivers/toy/a.c b/drivers/toy/a.c
--- a/drivers/toy/a.c
+++ b/drivers/toy/a.c
@@ -1,3 +1,3 @@
 one
-two
+zwei
 three
@@ -8,3 +8,3 @@
 eight
-nine
+neun
 ten
"""
OLD = b"one\ntwo\nthree\nfour\nfive\nsix\nseven\neight\nnine\nten\n"
NEW = OLD.replace(b"two", b"zwei").replace(b"nine", b"neun")
PATH = "drivers/toy/a.c"


class Patch(unittest.TestCase):
    def setUp(self):
        where = tempfile.TemporaryDirectory()
        self.addCleanup(where.cleanup)
        self.tmp = where.name
        self.mail = patch.read_mail(MAIL, "x", self.tmp)

    def apply(self, old, **kw):
        return patch.apply(self.mail.diff, {PATH: old}, self.tmp, **kw)

    def test_mail(self):
        self.assertEqual(self.mail.subject, "toy: [a tag that stays] A subject that is folded")
        self.assertEqual(self.mail.author, ("Someone Else", "else@example.com"))
        self.assertEqual(self.mail.message, self.mail.subject + "\n\nWhy.\n")
        self.assertEqual(patch.files_of(self.mail.diff), [PATH])
        with self.assertRaisesRegex(Refused, "no Subject"):
            patch.read_mail(b"Why.\n---\n", "x", self.tmp)

    def test_applies(self):
        self.assertEqual(self.apply(("100644", OLD)), {PATH: ("100644", NEW)})
        self.assertEqual(self.apply(("100755", NEW), reverse=True), {PATH: ("100755", OLD)})

    def test_strictly(self):
        # No fuzz: a line of the context is another one.
        with self.assertRaisesRegex(patch.DoesNotApply, r"hunk 2 \(@@ -8,3 \+8,3 @@\) of drivers/toy/a\.c"):
            self.apply(("100644", OLD.replace(b"ten", b"11")))
        with self.assertRaisesRegex(patch.DoesNotApply, "No such file"):
            self.apply(None)

    def test_merge(self):
        def of(text):
            return "100644", text

        def merge(ours, theirs):
            return patch.merge_file(of(ours), of(OLD), of(theirs), self.tmp)
        self.assertEqual(merge(OLD.replace(b"six", b"6"), NEW)[0], of(NEW.replace(b"six", b"6")))
        self.assertEqual(merge(OLD.replace(b"two", b"2"), NEW), (None, "the same lines"))
        self.assertEqual(merge(NEW, NEW)[0], of(NEW))
        self.assertEqual(patch.merge_file(None, of(OLD), of(NEW), self.tmp), (None, "one removes it"))
