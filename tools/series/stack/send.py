# SPDX-License-Identifier: GPL-2.0-only
"""make send TOPIC=: the mails of a topic as make series makes them, to whom
get_maintainer.pl and the topic's cc= say, by git send-email with the caller's own
settings. It is git send-email's dry run, so it shows what those settings add, unless
SELF=1 mails all of it to the caller alone, to look at, or REALLY=1 mails it. What was
mailed is remembered in patches/<base>/<topic>/topic.
"""

import datetime
import re
import shutil
import subprocess
from email.header import decode_header, make_header
from pathlib import Path

from . import disclosure, maintainers
from .commands import load
from .mails import Mails, version
from .repo import Ident, Repo
from .util import TOP, die, say, scratch, setting, write_atomically
from .who import ALWAYS, Maintainers, add_headers, address, unique

NOT = "(nothing was sent)"


def top_git(*args):
    return subprocess.run(["git", "-C", str(TOP), *args], capture_output=True, text=True, check=False)


def send(args):
    base = load(args)
    if not args.topic:
        die(f"which topic? make send TOPIC=name: one of: {' '.join(base.topics)}")
    topic, v = base.topics[args.topic], version()
    really, to_self = bool(setting("REALLY")), bool(setting("SELF"))
    if really and to_self:
        die(f"SELF=1 REALLY=1: one of them {NOT}")
    ident = Ident()
    if not ident.known:
        die(f"git does not know you: git config --global user.name '...' and user.email '...' first {NOT}")
    commit = committed(base, topic, v) if really else None
    # (What is shown, and what goes to oneself, is what REALLY=1 mails.)
    cover_text = disclosure.decided() if really else disclosure.text()
    repo = Repo(base).open()
    if really and not repo.sha:
        die(f"base {base.name} is {repo.what}, which is not a commit that others have: give LINUX=path of a git tree that is at upstream's {base.keys.get('tag', 'tag')} {NOT}")
    repo.lock()
    made = Mails(repo, ident, cover_text)
    made.quiet = True
    made.make([topic.name])
    tmp = scratch(repo.b)
    mails = recipients(repo, topic, made, tmp, ident, to_self)
    unsigned(mails, ident, really)
    return SendEmail(topic, v, mails, tmp, commit, repo).run(really, to_self)


def committed(base, topic, v):
    """It must be possible to compose it again, for the next version's range-diff."""
    p = top_git("rev-parse", "-q", "--verify", "HEAD")
    if p.returncode:
        die(f"this is no git checkout: what was sent could not be found again {NOT}")
    files = [x for e in base.entries() for x in (f"patches/{e.path}", *e.files)]
    edit = top_git("status", "--porcelain", "-uall", "--", f"patches/{base.name}", maintainers.PATH, *files).stdout.split("\n")[0]
    if edit:
        die(f"{edit[3:]} is not committed: what was sent could not be found again: commit it first {NOT}")
    last = topic.last_sent()
    if last and v <= last.v:
        die(f"v{last.v} of {topic.name} was sent on {last.date}: say in {topic.where}/cover what changed, and make send TOPIC={topic.name} V={last.v + 1} {NOT}")
    return p.stdout.strip()


def recipients(repo, topic, made, tmp, ident, to_self):
    """The mails with To and Cc, in tmp/mails: each patch to the maintainers of what it
    touches, the rest in copy, and whom its trailers name; the cover letter to all of
    them together. (The sender may be a maintainer: of what the topic brings.)"""
    out = tmp / "mails"
    out.mkdir()
    mails = sorted((TOP / "out" / repo.base.name / topic.name).glob("*.patch"))
    if to_self:
        who = {f: [("To", str(ident))] for f in mails}
    else:
        asked = Maintainers(repo, made.own[topic.name][1][-1].commit, tmp)
        more = [("Cc", c) for c in (*topic.cc, ALWAYS)]
        who = {f: asked.of(f) + more + named(f) for f in mails if not f.name.startswith("0000-")}
        who = {f: [w for w in ws if address(w[1]) != ident.email.lower()] for f, ws in who.items()}
        everybody = [w for ws in who.values() for w in ws]
        who.update({f: everybody for f in mails if f.name.startswith("0000-")})
    for f in mails:
        (out / f.name).write_text(add_headers(f.read_text(), unique(who[f])))
    return sorted(out.iterdir())


def named(mail):
    """Whom git send-email would add, of the trailers. (stable is to get what it may take,
    no cover letter.)"""
    message = mail.read_text().partition("\n---\n")[0]
    return [("Cc", m[1]) for m in re.finditer(r"^(?:Reported|Suggested|Reviewed|Acked|Tested)-by: (.*<\S+@\S+>)$", message, re.M)]


def unsigned(mails, ident, really):
    line = f"Signed-off-by: {ident}"
    for f in mails:
        if not f.name.startswith("0000-") and line not in f.read_text().splitlines():
            if really:
                die(f"{f.name} has no Signed-off-by of {ident}, so nobody can take it: add SIGNOFF=1 {NOT}")
            return say(f"WARNING: no Signed-off-by of {ident}: add SIGNOFF=1")
    return None


class SendEmail:
    def __init__(self, topic, v, mails, tmp, commit, repo):
        self.topic, self.v, self.mails, self.tmp, self.commit, self.repo = topic, v, mails, tmp, commit, repo
        self.ids = []

    def options(self, really, to_self):
        def config(key):
            return top_git("config", "--get-regexp", rf"^sendemail\.(.*\.)?({key})$").returncode == 0
        # A thread below the cover letter, whatever the caller does with other mails.
        args = ["--no-format-patch", "--no-annotate", "--thread", "--no-chain-reply-to", "--8bit-encoding=UTF-8"]
        if to_self:	# nobody else, whatever trailers and settings say
            args += ["--suppress-cc=all", "--no-to", "--no-cc", "--no-bcc", "--to-cmd=:", "--cc-cmd=:"]
        elif not config("to|tocmd"):	# it would ask for what is in the mails' headers
            args.append("--to-cmd=:")
        if to_self or not config("confirm"):	# REALLY=1 has said yes already
            args.append("--confirm=never")
        if not really and not to_self:
            args.append("--dry-run")
        return args

    def run(self, really, to_self):
        p = subprocess.Popen(["git", "-C", str(TOP), "send-email", *self.options(really, to_self), *map(str, self.mails)],
                             stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=open(self.tmp / "err", "wb"))
        try:
            self.show(p.stdout)
            status = p.wait()
        except KeyboardInterrupt:	# it got it, too: then told like any other end
            status = p.wait() or 130
        err = [line for line in (self.tmp / "err").read_text(errors="replace").splitlines() if line.strip()]
        why = re.sub(r" at \S*git-send-email line \d+\.*$", "", err[-1]) if err else "it was interrupted"
        whole = status == 0 and len(self.ids) == len(self.mails)
        if not really:
            if not whole:
                die(f"git send-email{'' if to_self else ' --dry-run'} fails: {why}")
            say(f"{len(self.ids)} mails went to yourself only." if to_self else self.advice())
            return 0
        if self.ids:
            self.remember()
        if not whole:
            self.rest(why)
        say(f"{len(self.mails)} mails sent: https://lore.kernel.org/r/{self.ids[0]}")
        return 0

    def advice(self):
        more = "".join([" SIGNOFF=1" if setting("SIGNOFF") else "", f" V={self.v}" if self.v > 1 else ""])
        return f"Nothing was sent. make send TOPIC={self.topic.name}{more} SELF=1 mails these {len(self.mails)} to you, REALLY=1 to them."

    def show(self, log):
        """Out of git's log: each mail's recipients."""
        head, rcpt, last, inside = {}, [], None, False
        for line in log:
            line = line.decode(errors="replace").rstrip("\n")
            if re.match(r"(Dry-)?OK\. Log says:", line):
                head, rcpt, last, inside = {}, [], None, True
            elif not inside:
                continue
            elif m := re.match(r"RCPT TO:<(.*)>", line):
                rcpt.append(m[1])
            elif m := re.match(r"Sendmail: .* -i (.*)", line):
                rcpt += m[1].split(" ")
            elif line.startswith((" ", "\t")) and last:
                head[last] += " " + line.strip()
            elif m := re.match(r"(To|Cc|Subject|Message-ID): ?(.*)", line, re.I):
                last = m[1].capitalize()
                head[last] = m[2]
            elif re.match(r"[-A-Za-z]+: ", line):
                last = None
            elif not line:
                inside = False
                self.told(head, rcpt)

    def told(self, head, rcpt):
        self.ids.append(head.get("Message-id", "").strip("<> "))
        print(words(head.get("Subject", "")))
        for key in ("To", "Cc"):
            listed(key, [words(a) for a in re.split(r",\s+(?=[^,]*@)", head.get(key, "")) if a])
        said = (head.get("To", "") + head.get("Cc", "")).lower()
        listed("Bcc", [r for r in rcpt if r.lower() not in said])

    def remember(self):
        file = TOP / self.topic.where / "topic"
        lines = [line for line in file.read_text().splitlines() if line.strip() != "state=draft"]
        base = self.repo.what.split(" (")[0]
        lines.append(f"state=sent v{self.v} {datetime.date.today()} {self.commit} {self.ids[0]} {base} {self.repo.sha}")
        write_atomically(file, ("\n".join(lines) + "\n").encode())
        say(f"{self.topic.where}/topic has v{self.v}: commit it")

    def rest(self, why):
        done, n = len(self.ids), len(self.mails)
        if not done:
            die(f"git send-email: {why}: nothing was sent")
        unsent = TOP / "out/unsent" / self.topic.name
        shutil.rmtree(unsent, ignore_errors=True)
        unsent.mkdir(parents=True)
        # (--in-reply-to would put all but the first below that first one.)
        for f in self.mails[done:]:
            reply = f"In-Reply-To: <{self.ids[0]}>\nReferences: <{self.ids[0]}>\n"
            Path(unsent / f.name).write_text(re.sub(r"^From: ", reply + "From: ", f.read_text(), count=1, flags=re.M))
        die(f"git send-email: {why}: {done} of {n} mails were sent; the rest: git send-email --to-cmd=: --no-thread out/unsent/{self.topic.name}/*.patch")


def words(text):
    return " ".join(str(make_header(decode_header(text))).split())


def listed(what, addresses):
    line = f"  {what}:"
    for a in addresses:
        a += "" if a == addresses[-1] else ","
        if len(f"{line} {a}") > 78 and "@" in line:
            print(line)
            line = "     "
        line += " " + a
    if addresses:
        print(line, flush=True)
