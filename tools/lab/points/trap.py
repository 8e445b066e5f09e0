# SPDX-License-Identifier: GPL-2.0-only
"""Stops the guest's processor at an access to a device: see plugin.c."""

import asyncio
import mmap
import os
import struct
import subprocess
import time
from dataclasses import dataclass

from errors import Failed, LabError

HERE = os.path.dirname(os.path.realpath(__file__))
WINDOWS, CALLERS, SITES, CODE = 3, 3, 4096, 1024
(NR, SITE, SEEN, COUNT, FIRED, GO, AT, FROM, ADDRESS, STORE,
 OVERFLOW, ARMED, WANTED, READY, NR_CODE) = range(2 * WINDOWS, 2 * WINDOWS + 15)
HEADER = 32
FIELDS = 1 + 1 + CALLERS + 3
AFTER = HEADER + SITES * FIELDS
SIZE = 8 * (AFTER + CODE)


@dataclass
class Site:
    """An instruction of the kernel that accesses the device, and its callers"""
    id: int
    path: tuple         # addresses, the innermost first
    times: int
    first: int          # its first and last access, of all
    last: int


def build(outdir, cc="gcc"):
    """The plugin, compiled; gives its path"""
    path = os.path.join(outdir, "plugin.so")
    try:
        run = subprocess.run(
            [cc, "-shared", "-fPIC", "-O2", "-Wall", "-o", path,
             os.path.join(HERE, "plugin.c")],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    except FileNotFoundError:
        raise LabError(f"no {cc} found to build QEMU's plugin (Debian: gcc)")
    if run.returncode:
        raise LabError(f"QEMU's plugin does not build: {run.stdout.strip()}")
    return path


class Trap:
    def __init__(self, plugin, workdir):
        self.plugin, self.path = plugin, os.path.join(workdir, "trap")
        self.code = None
        with open(self.path, "wb") as f:
            f.truncate(SIZE)
        with open(self.path, "r+b") as f:
            self.map = mmap.mmap(f.fileno(), SIZE)

    def arguments(self):
        return ["-plugin", f"file={self.plugin},shm={self.path}"]

    def get(self, nr):
        return struct.unpack_from("<Q", self.map, 8 * nr)[0]

    def put(self, nr, value):
        struct.pack_into("<Q", self.map, 8 * nr, value)

    def windows(self, windows):
        for nr, (low, last) in enumerate(windows):
            self.put(nr, low)
            self.put(WINDOWS + nr, last + 1)

    async def watch(self, code=()):
        """The instructions at CODE (all, if none): the fewer, the faster"""
        code = sorted(set(code))
        if len(code) > CODE:
            code = []
        if code == self.code:
            return
        self.put(NR_CODE, len(code))
        for nr, address in enumerate(code, AFTER):
            self.put(nr, address)
        self.code = code
        wanted = self.get(WANTED) + 1
        self.put(WANTED, wanted)
        end = time.monotonic() + 30
        while self.get(READY) != wanted:
            if time.monotonic() > end:
                raise Failed("QEMU's plugin does not answer")
            await asyncio.sleep(0.02)

    def arm(self, number=0, site=0):
        """Stop at the NUMBER-th access, or the NUMBER-th of a site; 0: count"""
        self.put(NR, 0)
        self.map[8 * HEADER:8 * AFTER] = bytes(8 * (AFTER - HEADER))
        for field in (SEEN, COUNT, FIRED, GO, OVERFLOW):
            self.put(field, 0)
        self.put(SITE, site)
        self.put(NR, number)
        self.put(ARMED, 1)

    def disarm(self):
        """And let the processor go, if it has stopped"""
        self.put(ARMED, 0)
        self.put(NR, 0)
        self.put(GO, 1)

    @property
    def fired(self):
        return bool(self.get(FIRED))

    @property
    def count(self):
        return self.get(COUNT)

    def where(self):
        """Number, site, address, and was it a write?"""
        return (self.get(AT), self.get(FROM), self.get(ADDRESS),
                bool(self.get(STORE)))

    def sites(self):
        """In the order of their first access"""
        found = []
        for nr in range(SITES):
            words = struct.unpack_from(f"<{FIELDS}Q", self.map,
                                       8 * (HEADER + nr * FIELDS))
            if words[0]:
                found.append(Site(words[0], tuple(
                    word for word in words[1:2 + CALLERS] if word),
                    *words[2 + CALLERS:]))
        return sorted(found, key=lambda site: site.first)

    async def wait(self, until):
        """True once the processor has stopped; False if UNTIL comes first"""
        while not self.fired:
            if until.done():
                await asyncio.sleep(0.02)
                return self.fired
            await asyncio.sleep(0.005)
        return True
