# SPDX-License-Identifier: GPL-2.0-only
"""tools/series/stack.py COMMAND: what make series, tree, refresh, rebase, send, ... run.

Variables (BASE, TOPIC, LINUX, ...) come from the environment, as make passes
them on. Each command says in its module what it does.
"""

import argparse
import importlib
import os
import signal
import sys

from . import util
from .util import Refused

# command: (module, function, help)
COMMANDS = {
    "check-names": ("commands", "check_names", "BASE=, TOPIC= and CACHE= are what can be"),
    "open": ("commands", "open_base", "find the base's source; print what lib.sh wants of it"),
    "compose": ("commands", "compose", "compose all topics, or TOPIC=; lines COMMIT PATCH [NEWFILE ...]"),
    "entries": ("commands", "entries", "the patches of a base, or of TOPIC=; lines PATCH [NEWFILE ...]"),
    "topics": ("commands", "topics", "the topics of a base, in order"),
    "needs": ("commands", "needs", "the topics below TOPIC=, in order"),
    "date": ("commands", "date", "the date of composed commits"),
    "unpack": ("unpack", "unpack", "a kernel's tar archive into GIT_DIR; for tools/series/source"),
    "overlaps": ("overlaps", "overlaps", "which topics touch the same files, and lines"),
    "tree": ("tree", "tree", "make tree"),
    "unsafe": ("tree", "print_unsafe", "what keeps build/<base>/linux from being moved"),
    "clean": ("tree", "clean", "make clean"),
    "refresh": ("refresh", "refresh", "make refresh"),
    "rebase": ("rebase", "rebase", "make rebase"),
    "series": ("mails", "series", "make series"),
    "send": ("send", "send", "make send"),
    "verify": ("verify", "verify", "make verify"),
    "trailers": ("trailers", "take", "make trailers"),
}


def ended(number, _frame):
    raise SystemExit(128 + number)


def main():
    parser = argparse.ArgumentParser(prog="stack.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sub = parser.add_subparsers(dest="command", required=True)
    for name, (_, _, text) in COMMANDS.items():
        p = sub.add_parser(name, help=text)
        p.add_argument("--base", help="BASE=")
        p.add_argument("--topic", help="TOPIC=")
        p.add_argument("--out", help="series: a directory of its own for the mails, instead of out/<base>")
        p.add_argument("--root", help="where patches/ and the new files are")
        p.add_argument("--keep", action="store_true", help="tree: leave one with commits of the user's own as it is")
        p.add_argument("--all", action="store_true", help="unsafe: look at all branches")
    args = parser.parse_args()
    util.clean_environment(keep=args.command == "unpack")
    args.base = args.base or util.setting("BASE", "mainline")
    args.topic = args.topic if args.topic is not None else util.setting("TOPIC")
    signal.signal(signal.SIGTERM, ended)
    signal.signal(signal.SIGHUP, ended)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    module, function, _ = COMMANDS[args.command]
    try:
        util.cache()
        return getattr(importlib.import_module(f".{module}", __package__), function)(args) or 0
    except Refused as e:
        print(f"error: {util.full() or e}", file=sys.stderr)
        return 3
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 141
    except OSError as e:
        where = e.filename or util.TOP / "build"
        print(f"error: {util.disk_trouble(str(e), where) or f'{where}: {e.strerror}'}", file=sys.stderr)
        return 3
    finally:
        util.cleanup()


if __name__ == "__main__":
    sys.exit(main())
