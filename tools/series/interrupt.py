#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""interrupt.py FILE COMMAND...: Ctrl-C, to all of the command's process group, once
FILE is there. For selftest: it has to end in time, and not with 0, and nothing of it
may be left.
"""
import os
import signal
import subprocess
import sys
import time


def left(group):
    """Who of a process group has not ended. (Whether a zombie is waited for is init's affair.)"""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as f:
                state, _, pgrp = f.read().rpartition(")")[2].split()[:3]
        except OSError:
            continue
        if int(pgrp) == group and state not in "ZX":
            found.append(pid)
    return found


def main(there, *command):
    signal.signal(signal.SIGINT, signal.SIG_DFL)    # nohup and & have it ignored
    p = subprocess.Popen(command, start_new_session=True, stdin=subprocess.DEVNULL)
    for _ in range(300):
        if os.path.exists(there) or p.poll() is not None:
            break
        time.sleep(.1)
    time.sleep(.3)
    start = time.monotonic()
    os.killpg(p.pid, signal.SIGINT)
    rc = p.wait(15)
    took = time.monotonic() - start
    print(f"ended with {rc} after {took:.1f} s")
    end = time.monotonic() + 2
    while left(p.pid):
        if time.monotonic() > end:
            print("left behind:", *left(p.pid))
            return 1
        time.sleep(.1)
    return not (rc and took < 5)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
