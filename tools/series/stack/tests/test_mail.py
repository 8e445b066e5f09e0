# SPDX-License-Identifier: GPL-2.0-only
import contextlib
import io
import mailbox
import tempfile
import unittest
from pathlib import Path

from .. import mails, send, thread, trailers
from ..util import Refused

LOG = Path(__file__).with_name("data") / "send-email.log"


class SendEmail(unittest.TestCase):
    def test_log(self):
        """What git send-email says, recorded: recipients, headers decoded, Bcc apart."""
        s = send.SendEmail(None, 1, [], None, None, None)
        out = io.StringIO()
        with contextlib.redirect_stdout(out), open(LOG, "rb") as log:
            s.show(log)
        self.assertEqual(out.getvalue(), """\
[PATCH 1/2] toy: A subject that is so long that its header has to be folded, yes
  To: "Michael S. Tsirkin" <mst@example.com>, Jason Wäng <jason@example.com>
  Cc: A Tester <tester@example.com>
  Bcc: archive@example.com
[PATCH 2/2] toy: Second
  To: mst@example.com
  Cc: Jens <jens@example.com>, A Tester <tester@example.com>,
      B <b@example.com>
  Bcc: archive@example.com
""")
        self.assertEqual(len(s.ids), 2)
        self.assertTrue(all("@" in i for i in s.ids))

    def test_trailers_get_it(self):
        with tempfile.TemporaryDirectory() as d:
            mail = Path(d) / "0001-x.patch"
            mail.write_text("Subject: x\n\nReported-by: A B <a@example.com>\nCc: stable@vger.kernel.org\nLink: https://x\n---\nTested-by: C <c@example.com>\n")
            self.assertEqual(send.named(mail), [("Cc", "A B <a@example.com>")])

    def test_links(self):
        text = ["Cover", "", "Changes in v3:", "- c", "", "Changes in v2:", "- b"]
        self.assertEqual(mails.with_links(text, {1: "one", 2: "two"}), [
            "Cover", "", "Changes in v3:", "- c", "- Link to v2: https://lore.kernel.org/r/two", "",
            "Changes in v2:", "- b", "- Link to v1: https://lore.kernel.org/r/one"])


class Trailers(unittest.TestCase):
    def test_place(self):
        new = ["Reviewed-by: A <a@example.com>"]
        self.assertEqual(trailers.with_trailers("Subject: x\n\nWhy.\n\nFixes: 1 (\"x\")\n---\ndiff\n", new),
                         "Subject: x\n\nWhy.\n\nFixes: 1 (\"x\")\nReviewed-by: A <a@example.com>\n---\ndiff\n")
        for last in ("Why.", "Note: this is no trailer", "Reproduced in QEMU: it hangs."):
            self.assertIn(f"{last}\n\nReviewed-by:", trailers.with_trailers(f"Subject: x\n\n{last}\n---\ndiff\n", new), last)


class Thread(unittest.TestCase):
    def setUp(self):
        where = tempfile.TemporaryDirectory()
        self.addCleanup(where.cleanup)
        self.top = Path(where.name)
        (self.top / "out").mkdir()
        for n, s in enumerate(("[PATCH 0/2] Cover", "[PATCH 1/2] toy: First", "[PATCH 2/2] toy: Second")):
            (self.top / f"out/000{n}-x.patch").write_text(f"From 0 Mon Sep 17 00:00:00 2001\nFrom: A <a@example.com>\nSubject: {s}\n\nText\n")

    def box(self, *mail):
        path = self.top / "box"
        path.unlink(missing_ok=True)
        box = mailbox.mbox(path)
        for ident, subject, reply in mail:
            m = mailbox.mboxMessage()
            m["Message-Id"], m["Subject"] = f"<{ident}>", subject
            if reply:
                m["In-Reply-To"] = m["References"] = f"<{reply}>"
            m.set_payload("Text\n")
            box.add(m)
        box.flush()
        return path

    def test_thread(self):
        good = (("0", "[PATCH 0/2] Cover", None), ("1", "[PATCH 1/2] toy:\n First", "0"), ("2", "[PATCH 2/2] toy: Second", "0"))
        self.assertEqual(thread.thread(self.top / "out", self.box(*good)), "0")
        for bad, why in ((good[:2], "lacks 1 of 3"), (good + good[2:], "2 mails"),
                         (good[:2] + (("2", "[PATCH 2/2] toy: Second", "1"),), "no answer to the first"),
                         ((("0", "[PATCH 0/2] Cover", "x"),) + good[1:], "itself an answer")):
            with self.subTest(why), self.assertRaisesRegex(Refused, why):
                thread.thread(self.top / "out", self.box(*bad))

    def test_flat(self):
        """b4 0.12 cannot have a header on two lines."""
        path = self.box(("1", "[PATCH 1/2] toy:\n First", None))
        flat = mailbox.mbox(trailers.unfolded(path, self.top / "flat"))
        self.assertEqual(flat[0]["Subject"], "[PATCH 1/2] toy: First")

    def test_trouble(self):
        self.assertEqual(thread.trouble("a\nValueError: no\nb\n"), "ValueError: no")
        self.assertEqual(thread.trouble("x\nPatch failed at 0001\n"), "Patch failed at 0001")
        self.assertIsNone(thread.trouble("fine\n"))
