# SPDX-License-Identifier: GPL-2.0-only
"""The small commands, most of them for the shell scripts of tools/series."""

from .compose import Composer, series_date
from .model import Base, Files
from .repo import Repo
from .util import TOP


def load(args):
    base = Base(args.base, Files(args.root or TOP))
    if args.topic:
        base.topic(args.topic)
    return base


def check_names(args):
    load(args)


def open_base(args):
    repo = Repo(load(args)).open()
    print(f"BASE_COMMIT={repo.commit}\nBASE_WHAT={repo.what}\nBASE_UPSTREAM={int(repo.upstream)}\nBASE_SHA={repo.sha}")


def compose(args):
    """On the base as it was opened last (open), so that it need not be looked for twice."""
    base = load(args)
    repo = Repo(base)
    from .util import setting
    if setting("BASE_COMMIT"):
        repo.commit, repo.what = setting("BASE_COMMIT"), setting("BASE_WHAT")
    else:
        repo.open()
    repo.lock()
    with Composer(repo) as composer:
        if args.topic:
            below, own = composer.stack(args.topic)
            made = below + own
        else:
            made = composer.whole()
        composer.finish()
        if not args.topic and not args.root:
            repo.git("update-ref", "refs/series/checked", made[-1].commit if made else repo.commit)
    for m in made:
        print(m)


def entries(args):
    base = load(args)
    for e in base.topics[args.topic].entries if args.topic else base.entries():
        print(e)


def topics(args):
    for t in load(args).topics:
        print(t)


def date(args):
    print(series_date(Repo(load(args)), None))


def needs(args):
    base = load(args)
    for t in base.closure(args.topic):
        print(t)
