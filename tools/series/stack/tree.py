# SPDX-License-Identifier: GPL-2.0-only
"""make tree: build/<base>/linux, a git work tree: tag `base`, one commit per patch
on branch `series`. Its repository is build/<base>/git. With TOPIC=: a copy of that
topic on the base and what it needs, build/<base>/topic-<name>, to look at and build.

Nothing that somebody did there is moved or removed before refresh has taken it.
"""

import hashlib
import shutil
import subprocess

from .commands import load
from .compose import Composer, write_notes
from .model import bases
from .repo import BUSY, Ident, Repo
from .util import TOP, Uninterrupted, die, say


def unsafe(repo, everything=False):
    """What keeps build/<base>/linux from being moved (or removed: everything); or None."""
    if not repo.gd.is_dir():
        return None
    for name in BUSY:
        if (repo.gd / name).exists():
            return f"git is in the middle of something there ({name}): finish or abort it"
    if not repo.rev("refs/series/taken"):
        return None
    refs = ["HEAD"]
    if everything:
        refs += repo.git("for-each-ref", "--format=%(refname)", "refs/heads", "refs/stash").split()
    for ref in refs:
        status, n, _ = repo.try_git("rev-list", "--count", ref, "--not", "refs/series/taken", "refs/series/composed")
        if status == 0 and n != "0":
            name = repo.try_git("symbolic-ref", "-q", "--short", "HEAD")[1] if ref == "HEAD" else ref.removeprefix("refs/heads/")
            return f"{name or 'HEAD'} has {n} commit(s) that refresh has not taken: run make refresh BASE={repo.base.name}"
    if repo.w.is_dir():
        edit = dirty(repo)
        if edit:
            return f"uncommitted edits there ({edit}): commit them and run make refresh BASE={repo.base.name}, or put them back"
    return None


def dirty(repo, tree=None):
    """The first path that is not as committed."""
    out = repo.in_tree("status", "--porcelain", tree=tree)
    return out.split("\n", 1)[0][3:] or None


def print_unsafe(args):
    why = unsafe(Repo(load(args)), args.all)
    if why:
        print(why)


def made_of(base):
    """What the tree was made of, so that refresh knows an edit made since in patches/: path -> sha256."""
    paths = [f"patches/{base.name}/topics"]
    for t in base.topics.values():
        paths += [f"{t.where}/series", f"{t.where}/topic"]
        for e in t.entries:
            paths += [f"patches/{e.path}", *e.files]
    return {p: digest(base.files.get(p)) for p in paths}


def digest(found):
    return hashlib.sha256(found[0]).hexdigest() + (" x" if found[1] else " -") if found else "none"


def write_made_of(repo, base):
    text = "".join(f"{v}  {k}\n" for k, v in sorted(made_of(base).items()))
    (repo.gd / "series.made-of").write_text(text)


def read_made_of(repo):
    path = repo.gd / "series.made-of"
    lines = path.read_text().splitlines() if path.exists() else []
    return {path: said for said, _, path in (line.partition("  ") for line in lines)}


def hide_debians_gitignore(repo, tree, env):
    """Debian's .gitignore ignores all: a new file would never be seen. It stays as it
    is in every commit; only the work tree has it without these lines."""
    path = tree / ".gitignore"
    lines = path.read_text().splitlines(True) if path.exists() else []
    if "/*\n" in lines:
        path.write_text("".join(line for line in lines if line != "/*\n"))
        repo.git("update-index", "--skip-worktree", ".gitignore", env={**env, "GIT_WORK_TREE": str(tree)})


def tree(args):
    repo = Repo(load(args)).open()
    repo.lock()
    if args.topic:
        return topic_tree(repo, args.topic)
    why = unsafe(repo)
    if why and repo.w.is_dir():
        if args.keep:
            say(f"build/{args.base}/linux is used as it stands: {why}")
            return 0
        die(f"build/{args.base}/linux: {why}")
    if repo.w.is_dir() and repo.try_git("symbolic-ref", "-q", "HEAD")[1] != "refs/heads/series":
        if args.keep:
            return 0
        die(f"build/{args.base}/linux is not on branch series: git checkout series there")
    if why:	# the work tree was deleted, its commits were not
        say(f"build/{args.base}/linux was deleted with commits that refresh had not taken: they are restored; make refresh takes them")
        made, tip = None, repo.rev("HEAD")
    else:
        with Composer(repo) as composer:
            made = composer.whole()
        tip = made[-1].commit if made else repo.commit
    move(repo, tip)
    if made is not None:
        settle(repo, made, tip)
        say(f"build/{args.base}/linux: {len(made)} commits on base")
    return 0


def move(repo, tip):
    """The work tree, made or moved to tip."""
    if not repo.w.is_dir():
        index = repo.gd / "index.new"
        new = repo.checkout_tree(tip, repo.w, index)
        hide_debians_gitignore(repo, new, {"GIT_INDEX_FILE": str(index)})
        (new / ".git").write_text("gitdir: ../git\n")
        with Uninterrupted():
            repo.git("update-ref", "refs/heads/series", tip)
            index.rename(repo.gd / "index")
            new.rename(repo.w)
    elif repo.rev("HEAD") != tip:
        p = subprocess.run(["git", "-C", str(repo.w), "reset", "-q", "--keep", tip], start_new_session=True, check=False,
                           stdin=subprocess.DEVNULL, env={**repo.env, "GIT_WORK_TREE": str(repo.w)})
        if p.returncode:
            die(f"build/{repo.base.name}/linux could not be moved to the composed series: see above")


def settle(repo, made, tip):
    """The tree is what patches/ says: remember it."""
    ident = Ident()
    with Uninterrupted():
        write_notes(repo, made)
        for ref, to in (("refs/series/base", repo.commit), ("refs/tags/base", repo.commit), ("refs/series/composed", tip), ("refs/series/taken", tip)):
            repo.git("update-ref", ref, to)
        write_made_of(repo, repo.base)
        (repo.gd / "series.ident").write_text(f"{ident}\n")
    # So that commits made there have the author that the checkout has.
    if ident.known:
        repo.git("config", "user.name", ident.name)
        repo.git("config", "user.email", ident.email)


def topic_tree(repo, name):
    with Composer(repo) as composer:
        below, own = composer.stack(name)
    tip = (below + own)[-1].commit if below + own else repo.commit
    dest, index = repo.b / f"topic-{name}", repo.b / f"topic-{name}.index"
    env = {"GIT_INDEX_FILE": str(index), "GIT_WORK_TREE": str(dest)}
    if dest.is_dir() and index.exists():
        repo.try_git("update-index", "-q", "--refresh", env=env)
        if repo.try_git("diff-files", "--quiet", env=env)[0]:
            die(f"build/{repo.base.name}/topic-{name} was edited; it is only a copy: save your edits, make them in build/{repo.base.name}/linux, and remove it")
        repo.git("read-tree", "-u", "--reset", tip, env=env)
    else:
        shutil.rmtree(dest, ignore_errors=True)
        repo.checkout_tree(tip, dest, index).rename(dest)
    repo.git("update-ref", f"refs/series/topics/{name}", tip)
    say(f"build/{repo.base.name}/topic-{name}: {len(own)} commits of {name}" + (f" on {len(below)} of {' '.join(repo.base.closure(name))}" if below else ""))
    return 0


def clean(_args):
    """Removes build/ and out/, unless somebody's work is in there. The cache stays."""
    from .model import Base
    build = TOP / "build"
    for gone in sorted({d.parent.name for d in build.glob("*/git")} - set(bases())):
        die(f"build/{gone} is of a base that patches/ does not have: see that nothing of yours is in build/{gone}/linux, and remove it (nothing was removed)")
    for name in bases():
        if not (build / name / "git").is_dir():
            continue
        repo = Repo(Base(name))
        if (repo.gd / "rebase.json").exists():
            die(f"build/{name}: a rebase is under way: make rebase ABORT=1 BASE={name}, or go on with it (nothing was removed)")
        if not repo.rev("HEAD^0"):
            continue	# no tree yet
        why = unsafe(repo, True)
        if why:
            die(f"build/{name}/linux: {why} (nothing was removed)")
        for copy in repo.b.glob("*.index"):
            dest = copy.with_suffix("")
            if not dest.is_dir():
                continue
            env = {"GIT_INDEX_FILE": str(copy), "GIT_WORK_TREE": str(dest)}
            repo.try_git("update-index", "-q", "--refresh", env=env)
            if repo.try_git("diff-files", "--quiet", env=env)[0]:
                die(f"build/{name}/{dest.name} was edited by hand: save your edits and remove it (nothing was removed)")
    shutil.rmtree(build, ignore_errors=True)
    shutil.rmtree(TOP / "out", ignore_errors=True)
