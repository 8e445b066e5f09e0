# SPDX-License-Identifier: GPL-2.0-only
"""make verify TOPIC= MBOX=: does a mailbox (of one's own, or the thread from lore)
hold what make send mails, whole, in one thread, and do b4 and git am make the
composed commits of it, bit for bit? With the SIGNOFF=, TRAILERS= and V= that it was
sent with.
"""

from . import disclosure
from .commands import load
from .mails import Mails
from .repo import Ident, Repo
from .thread import b4, the_mailbox, thread, trouble
from .util import TOP, die, say, scratch

WHAT = (("the files", "%T"), ("the message", "%B"), ("the author", "%an <%ae>"))


def verify(args):
    base, box = load(args), the_mailbox()
    if not args.topic:
        die(f"which topic? make verify TOPIC=name MBOX=file: one of: {' '.join(base.topics)}")
    repo = Repo(base).open()
    repo.lock()
    made = Mails(repo, Ident(), disclosure.text())
    made.quiet = True
    made.make([args.topic])
    tmp = scratch(repo.b)
    ident = thread(TOP / "out" / base.name / args.topic, box)
    below, own = made.own[args.topic]
    check = Check(repo, tmp, box, below[-1].commit if below else repo.commit, [m.commit for m in own])
    status, log = check.b4("am", "-o", str(tmp / "am"), ident)
    if status == 0:
        check.git("am", "-q", *map(str, sorted((tmp / "am").glob("*.mbx"))))
    check.same("b4 am, then git am", status, log)
    check.git("reset", "-q", "--hard", check.start)
    check.same("b4 shazam", *check.b4("shazam", ident))


class Check:
    """A repository of its own, with only what the topic touches checked out."""

    def __init__(self, repo, tmp, box, start, commits):
        self.repo, self.tmp, self.box, self.start, self.commits = repo, tmp, box, start, commits
        self.there = tmp / "repo"
        repo.git("init", "-q", str(self.there), env={"GIT_DIR": str(self.there / ".git"), "GIT_WORK_TREE": str(self.there)})
        alternates = repo.gd / "objects/info/alternates"
        (self.there / ".git/objects/info").mkdir(parents=True, exist_ok=True)
        (self.there / ".git/objects/info/alternates").write_text((alternates.read_text() if alternates.exists() else "") + f"{repo.gd}/objects\n")
        if (repo.gd / "shallow").exists():
            (self.there / ".git/shallow").write_text((repo.gd / "shallow").read_text())
        files = repo.git("diff", "--name-only", "--no-renames", start, commits[-1]).split("\n")
        self.git("sparse-checkout", "set", "--no-cone", *("/" + f for f in files))
        self.git("checkout", "-q", "-b", "am", start)

    def git(self, *args):
        status, _, err = self.repo.try_git(*args, cwd=self.there, env={
            "GIT_DIR": str(self.there / ".git"), "GIT_WORK_TREE": str(self.there), "GIT_COMMITTER_NAME": "verify", "GIT_COMMITTER_EMAIL": "verify@localhost"})
        self.log = "" if status == 0 else err
        return status

    def b4(self, command, *args):
        (self.tmp / "am").mkdir(exist_ok=True)
        return b4(["b4", "--offline-mode", "-n", command, *args[:-1], "-C", "-T", "-m", str(self.box), args[-1]], self.there, self.tmp)

    def same(self, what, status, log):
        if status or self.log or "ERROR: missing" in log:
            die(f"{what} does not take {self.box.name}: {trouble(log + self.log) or status}")
        def log_of(commit, form, env=None):
            return self.repo.git("log", "-1", f"--format={form}", commit, env=env)
        env = {"GIT_DIR": str(self.there / ".git"), "GIT_WORK_TREE": str(self.there)}
        made = self.repo.git("rev-list", "--reverse", f"{self.start}..am", env=env).split()
        if len(made) != len(self.commits):
            die(f"{what} makes {len(made)} commits of {self.box.name}, not {len(self.commits)}")
        for theirs, ours in zip(made, self.commits):
            for name, form in WHAT:
                if log_of(theirs, form, env) != log_of(ours, form):
                    die(f"{what} makes another commit of \"{log_of(ours, '%s')}\": {name} differ")
        say(f"{what}: {len(made)} commits, as composed")
