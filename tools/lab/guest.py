# SPDX-License-Identifier: GPL-2.0-only
"""The initramfs of the guest: its init, and what else it is to run."""

import glob
import gzip
import os
import subprocess

from errors import LabError


def check_kernel(path):
    try:
        with open(path, "rb") as f:
            f.seek(0x202)
            if f.read(4) != b"HdrS":
                raise LabError(f"{path} is not a bzImage")
    except OSError as e:
        raise LabError(f"{path}: {e.strerror}")


def newc(name, mode, data=b"", rdev=(0, 0)):
    """One member of an initramfs, Documentation/.../buffer-format.rst"""
    head = "070701" + "".join("%08x" % field for field in (
        0, mode, 0, 0, 1, 0, len(data), 0, 0, *rdev, len(name) + 1, 0))
    member = head.encode() + name.encode() + b"\0"
    member += b"\0" * (-len(member) % 4) + data
    return member + b"\0" * (-len(data) % 4)


def build_initramfs(source, outdir, selftest=None, cc="gcc"):
    binary = os.path.join(outdir, "init")
    try:
        run = subprocess.run(
            [cc, "-static", "-O2", "-Wall", "-Wextra", "-o", binary,
             *sorted(glob.glob(os.path.join(source, "*.c")))],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    except FileNotFoundError:
        raise LabError(f"no {cc} found to build the guest's init (Debian: gcc)")
    if run.returncode:
        if "cannot find -lc" in run.stdout:
            raise LabError("no static libc to build the guest's init with "
                           "(Debian: libc6-dev)")
        first = next((line for line in run.stdout.splitlines()
                      if "error" in line), run.stdout.strip())
        raise LabError(f"the guest's init does not build: {first}")
    programs = b""
    for name, path in ("init", binary), ("selftest", selftest):
        if path:
            with open(path, "rb") as f:
                programs += newc(name, 0o100755, f.read())
    path = os.path.join(outdir, "initramfs.gz")
    with open(path, "wb") as f:
        f.write(gzip.compress(
            newc("dev", 0o40755) +
            newc("dev/console", 0o20600, rdev=(5, 1)) +
            programs + newc("TRAILER!!!", 0), 1))
    return path
