# SPDX-License-Identifier: GPL-2.0-only
"""What all commands share: one clear line for what is wrong, progress, scratch, locks."""

import errno
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TOP = Path(__file__).resolve().parents[3]
TOOLS = TOP / "tools/series"


class Refused(Exception):
    """Told to the user as "error: ..."; ends with status 3."""


def die(text):
    raise Refused(text)


def say(text):
    print(text, file=sys.stderr, flush=True)


def setting(name, default=""):
    """A variable of make; an empty one means its default."""
    return os.environ.get(name) or default


def cache():
    path = setting("CACHE", setting("XDG_CACHE_HOME", str(Path.home() / ".cache")) + "/pci-surprise-removal")
    if not path.startswith("/"):
        die(f"CACHE={path} is a relative path: give an absolute one")
    return Path(path)


def clean_environment(keep=False):
    # A git hook or an outer git may have left these behind.
    for name in () if keep else ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR"):
        os.environ.pop(name, None)
    os.environ.update(LC_ALL="C.UTF-8", TZ="UTC")
    os.umask(0o022)


class Progress:
    """A line now and then on standard error, once it has taken 5 seconds."""

    def __init__(self, what, total):
        self.what, self.total, self.done = what, total, 0
        self.next = time.monotonic() + 5

    def step(self):
        self.done += 1
        if time.monotonic() >= self.next:
            say(f"{self.what}: {self.done}" + (f" of {self.total}" if self.done <= self.total else ""))
            self.next = time.monotonic() + 10


def scratch(where):
    """A directory that is gone when the process is."""
    Path(where).mkdir(parents=True, exist_ok=True)
    path = Path(tempfile.mkdtemp(prefix=".tmp.", dir=where))
    SCRATCH.append(path)
    return path


SCRATCH = []


def cleanup():
    for path in SCRATCH:
        shutil.rmtree(path, ignore_errors=True)
    SCRATCH.clear()


def wait_lock(file, what, seconds):
    end = time.monotonic() + seconds
    while True:
        try:
            return fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > end:
                die(f"{what} is in use by another make: wait for it to end")
            time.sleep(0.2)


class Uninterrupted:
    """Signals wait until a half-done job, which would look like somebody's edits, is whole."""

    SIGNALS = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)

    def __enter__(self):
        self.old = signal.pthread_sigmask(signal.SIG_BLOCK, self.SIGNALS)

    def __exit__(self, *_):
        signal.pthread_sigmask(signal.SIG_SETMASK, self.old)


def free_mb(path):
    path = Path(path)
    while not path.exists():
        path = path.parent
    s = os.statvfs(path)
    return s.f_bavail * s.f_frsize >> 20


def full():
    """Not every program says why it wrote only half of a file."""
    build = TOP / "build"
    if build.exists():
        s = os.statvfs(build)
        if s.f_bavail * s.f_frsize < 1 << 16:
            return f"the disk that holds {build} is full: make room, then again (nothing was changed)"
    return None


def disk_trouble(text, where):
    """One true line for what is the disk's fault, or None."""
    if "No space left on device" in text or os.strerror(errno.EDQUOT) in text:
        return f"the disk that holds {where} is full: make room, then again (nothing was changed)"
    if "Read-only file system" in text:
        return f"{where} cannot be written to: it is on a read-only file system"
    return None


def run(args, **kw):
    """subprocess.run() of what must not fail: its complaint is the line that is told."""
    kw.setdefault("stdin", None if "input" in kw else subprocess.DEVNULL)
    if kw.get("stdin") is None:
        kw.pop("stdin")
    p = subprocess.run(args, capture_output=True, check=False, **kw)
    if p.returncode < 0 and -p.returncode in Uninterrupted.SIGNALS:
        raise KeyboardInterrupt
    if p.returncode:
        err = p.stderr if isinstance(p.stderr, str) else p.stderr.decode(errors="replace")
        lines = [line for line in err.splitlines() if line.strip()]
        what = next((line for line in lines if line.startswith(("fatal: ", "error: "))), lines[-1] if lines else f"status {p.returncode}")
        die(disk_trouble(err, TOP / "build") or f"{' '.join(map(str, args[:1]))} {first_word(args)}: {what.removeprefix('fatal: ').removeprefix('error: ')}: please report")
    return p.stdout


def first_word(args):
    words = iter(args[1:])
    for a in words:
        if a in ("-c", "-C"):
            next(words, None)
        elif not a.startswith("-"):
            return a
    return ""


def prepared(path, data, executable=False):
    """What only has to be renamed to path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.new")
    try:
        new.write_bytes(data)
        new.chmod(0o755 if executable else 0o644)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
    return new


def write_atomically(path, data, executable=False):
    prepared(Path(path), data, executable).rename(path)
