# SPDX-License-Identifier: GPL-2.0-only
"""make series: out/<base>/<topic>/*.patch, by git format-patch: each topic on the base
and what it needs, with the prefix of its tree and the cover letter of
patches/<base>/<topic>/cover. out/<base>/topics has their order. A topic's folder is
replaced in one step, when all is done.

PATCH=words: of the patches whose names have one of these words the mails only, numbered
as in their topic. Each names all that it rests on, and there is no cover letter.

V=n numbers the version, of all topics or of TOPIC's. From 2 on the cover must say
what changed ("Changes in v2:"), and gets a range-diff against the last version that
patches/<base>/<topic>/topic says was sent.
"""

import re
import shutil
import subprocess
import tarfile
from pathlib import Path

from . import disclosure
from .commands import load
from .compose import Composer
from .model import Base, Files
from .repo import Ident, Repo
from .util import TOP, Refused, Uninterrupted, die, say, scratch, setting


def series(args):
    base, some = load(args), Some(setting("PATCH"))
    names = some.topics(base, [args.topic] if args.topic else list(base.topics))
    cover_text = disclosure.text()
    if some and cover_text:
        die(f"DISCLOSE={setting('DISCLOSE')} is for the cover letter, which PATCH= leaves out: leave out one of them")
    repo = Repo(base).open()
    repo.lock()
    mails = Mails(repo, Ident(), cover_text)
    mails.some = some
    mails.where = Path(args.out) if args.out else mails.where
    mails.make(names)


class Some:
    """PATCH=: words of patches' names; false without any, which picks all."""

    def __init__(self, text=""):
        self.words = text.replace(",", " ").split()

    def __bool__(self):
        return bool(self.words)

    def picks(self, entry):
        return not self.words or any(w in entry.path.rsplit("/", 1)[1].removesuffix(".patch") for w in self.words)

    def topics(self, base, names):
        """Those that have any of these patches."""
        for word in self.words:
            if not any(Some(word).picks(e) for n in names for e in base.topics[n].entries):
                die(f"PATCH={word}: no patch of {'topic ' + names[0] if len(names) == 1 else 'base ' + base.name} has this word in its name")
        return [n for n in names if not self or any(map(self.picks, base.topics[n].entries))]


def version():
    v = setting("V", "1")
    if not re.fullmatch(r"[1-9]\d*", v):
        die(f"V={v}: not the number of a version: 1, 2, ...")
    return int(v)


def trailers(ident):
    found = [f"Signed-off-by: {ident}"] if setting("SIGNOFF") else []
    return found + disclosure.trailers()


class Mails:
    def __init__(self, repo, ident, disclosure=""):
        self.disclosure, self.quiet, self.some = disclosure, False, Some()
        self.repo, self.base, self.ident, self.v = repo, repo.base, ident, version()
        if not ident.known:
            if setting("SIGNOFF"):
                die("SIGNOFF=1 but git does not know you: git config --global user.name '...' and user.email '...' first")
            say(f"WARNING: git does not know you: the mails are from \"{ident}\" and cannot be sent: git config --global user.name '...' and user.email '...', then make series again")
        if not repo.sha:
            say(f"WARNING: the commit of base {repo.base.name} is not known, or it is not upstream's: the mails end in \"base: {self.base_line()}\", and cannot be sent with REALLY=1: give LINUX=path of a git tree that is at {repo.tag or 'that version'}")
        self.tmp = scratch(repo.b)
        self.where = TOP / "out" / self.base.name
        self.own = {}	# topic -> (start, [Made]) with trailers

    def base_line(self):
        return self.repo.tag if self.repo.tag and not self.repo.what else self.repo.what

    def make(self, names):
        with Composer(self.repo, trailers=trailers(self.ident)) as composer:
            for name in names:
                below, own = composer.stack(name)
                self.own[name] = below, own
            composer.finish()
            names = [n for n in names if self.own[n][1]] or die(f"patches/{self.base.name} has no patches: nothing to mail")
            out = self.tmp / "out"
            for name in names:
                self.topic(composer, name, out / name)
                self.repo.git("update-ref", f"refs/series/mails/{name}", self.own[name][1][-1].commit)
        where, ours = self.where, self.where.is_relative_to(TOP / "out")
        where.mkdir(parents=True, exist_ok=True)
        everything = [n for n in self.base.topics if self.base.topics[n].entries]
        with Uninterrupted():
            for name in names:
                old = self.tmp / f"old-{name}"
                if (where / name).exists():
                    (where / name).rename(old)
                shutil.move(out / name, where / name)
            for d in where.iterdir() if ours else ():
                if d.is_dir() and d.name not in everything:
                    shutil.rmtree(d)
            (where / "topics").write_text("".join(n + "\n" for n in everything if (where / n).is_dir()))
        for name in () if self.quiet else names:
            self.tell(name, where / name)

    def tell(self, name, where):
        below, own = self.own[name]
        shown = where.relative_to(TOP) if where.is_relative_to(TOP) else where
        if not self.some:
            return print(f"{shown}: {len(own)} patches")
        here = [i for i, m in enumerate(own) if self.some.picks(m.entry)]
        print(f"{shown}: {len(here)} of {len(own)} patches, and no cover letter")
        for n, i in enumerate(here):	# n: how many of those before it are here
            on = [f"{i - n} before it that {'is' if i - n == 1 else 'are'} not here"] if i > n else []
            on += [f"the {len(below)} of {' '.join(self.base.closure(name))}"] if below else []
            print(f"  {next(where.glob(f'{i + 1:04}-*')).name} applies on {' and on '.join(on) or ('what is here' if i else 'the base')}")
        return None

    def topic(self, composer, name, out):
        topic, (below, own) = self.base.topics[name], self.own[name]
        start = below[-1].commit if below else self.repo.commit
        cover = self.base.files.text(f"{topic.where}/cover")
        if cover is None and self.disclosure:
            die(f"DISCLOSE={setting('DISCLOSE')}: {name} has no cover letter for it: write {topic.where}/cover")
        if cover is None and len(own) > 1:
            die(f"{topic.where}/cover is missing: write it: subject, an empty line, the text")
        args = ["-n"] if cover is not None or len(own) > 1 else []
        prefix, range_diff, since = topic.prefix, "", None
        if self.v != 1:
            prefix += f" v{self.v}"
            if f"Changes in v{self.v}:" not in (cover or "").splitlines():
                die(f"{topic.where}/cover does not say what changed: add a line \"Changes in v{self.v}:\" and a list below it")
            since = topic.last_sent(self.v)
            if since and not self.some:
                range_diff = RangeDiff(self.repo, self.tmp).text(name, since)
            elif not since:
                say(f"WARNING: {topic.where}/topic knows of no version that was sent: no range-diff")
        args.append(f"--subject-prefix={prefix}")
        if self.some:
            for n, m in enumerate(own, 1):
                if self.some.picks(m.entry):
                    self.format(out, f"{m.parent}..{m.commit}", *args, f"--start-number={n}")
                    mail = next(out.glob(f"{n:04}-*"))
                    # (It takes the last one that it writes for the last one there is.)
                    mail.write_text(re.sub(rf"^(Subject: \[.* ){n}/{n}\]", rf"\g<1>{n:0{len(str(len(own)))}}/{len(own)}]", mail.read_text(), count=1, flags=re.M))
        else:
            self.format(out, f"{start}..{own[-1].commit}", *args, *["--cover-letter"] * (cover is not None))
        # A commit that exists nowhere else says nothing to others: name the version.
        line = f"base-commit: {self.repo.sha}" if self.repo.sha else f"base: {self.base_line()}"
        for f in out.iterdir():
            f.write_text(re.sub(r"^base-commit: .*$", lambda _: line, f.read_text(), flags=re.M))
        if cover is not None and not self.some:
            first = out / "0000-cover-letter.patch"
            first.write_text(self.cover(topic, cover, first.read_text(), range_diff if since else ""))

    def format(self, out, commits, *args):
        who = {"GIT_COMMITTER_NAME": self.ident.name, "GIT_COMMITTER_EMAIL": self.ident.email}
        self.repo.git("format-patch", "-q", *args, f"--base={self.repo.commit}", "--abbrev=12", "--no-renames", "--stat=72", "-o", str(out), commits, env=who)

    def cover(self, topic, text, mail, range_diff):
        lines = [line for line in text.splitlines() if not line.startswith("#")]
        if topic.sent and self.v > 1:
            lines = with_links(lines, {s.v: s.id for s in topic.sent})
        subject, body = (lines or [""])[0].strip(), "\n".join(lines[1:]).strip("\n")
        if not subject or not body or (len(lines) > 1 and lines[1].strip()):
            die(f"{topic.where}/cover: its first line is the subject, then an empty line, then the text")
        if self.disclosure:
            body += "\n\n" + self.disclosure
        mail = mail.replace("*** SUBJECT HERE ***", subject, 1).replace("*** BLURB HERE ***", body, 1)
        if range_diff:	# ahead of the signature
            at = mail.rindex("\n-- \n") + 1
            mail = mail[:at] + range_diff + mail[at:]
        return mail


def with_links(lines, ids):
    """Each list of changes ends with where the version before it is."""
    out, n, some = [], 0, False

    def link():
        before = next((v for v in range(n - 1, 0, -1) if v in ids), None)
        if n and some and before:
            out.append(f"- Link to v{before}: https://lore.kernel.org/r/{ids[before]}")
    for line in lines:
        m = re.fullmatch(r"Changes in v(\d+):", line)
        if m or not line:
            link()
            n, some = int(m[1]) if m else 0, False
        else:
            some = True
        out.append(line)
    link()
    return out


class RangeDiff:
    """Against the last version that was sent: it is composed again, from the commit of
    this repository that is named there. Without trailers on either side: they would
    be all that differs."""

    def __init__(self, repo, tmp):
        self.repo, self.tmp = repo, tmp

    def ends(self, base, name):
        with Composer(self.repo, base) as composer:
            below, own = composer.stack(name)
        return (below[-1].commit if below else self.repo.commit), own[-1].commit

    def text(self, name, since):
        root = self.tmp / f"sent-{since.commit}"
        if not root.exists():
            root.mkdir()
            p = subprocess.run(["git", "-C", str(TOP), "archive", "-o", str(root) + ".tar", since.commit], capture_output=True, check=False)
            if p.returncode:
                say(f"WARNING: {name} v{since.v} was sent from commit {since.commit}, which is not in this clone: no range-diff (git fetch --unshallow?)")
                return ""
            with tarfile.open(str(root) + ".tar") as tar:
                tar.extractall(root)
        try:
            old = self.ends(Base(self.base.name, Files(root)), name)
        except (Refused, KeyError) as e:
            say(f"WARNING: {name} v{since.v} was for {since.base or 'another base'} and does not apply to {self.repo.what}: no range-diff ({e})")
            return ""
        new = self.ends(self.base, name)
        diff = self.repo.git("range-diff", "--no-color", "--no-notes", f"{old[0]}..{old[1]}", f"{new[0]}..{new[1]}")
        return f"Range-diff against v{since.v}:\n{diff}\n\n"

    @property
    def base(self):
        return self.repo.base
