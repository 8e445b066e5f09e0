# SPDX-License-Identifier: GPL-2.0-only
"""Removal that is asked for, and what it must not lose."""

import os
import shutil
import struct
import time

from devices.disk import BLOCK, MAGIC, RECORDS
from errors import Failed, Skip
from scenarios.base import press_button, scenario, slow_load, sysfs_remove


@scenario(zeros=False)
async def remove(r):
    """graceful removal by sysfs under load, then rescan"""
    await slow_load(r, 200)
    when = await sysfs_remove(r)
    await r.ended(when)
    await r.dev.check_data(r.m, r)
    await r.rescan()


@scenario(zeros=False)
async def button(r):
    """graceful removal by the attention button under load"""
    await slow_load(r, 200)
    when = await press_button(r)
    await r.ended(when)
    await r.dev.check_data(r.m, r)
    await r.check_slot()


SBIN = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])

SYNCED, DIRTY = 64, 512     # blocks


async def tool(m, name, *args, good=(0,)):
    path = shutil.which(name, path=SBIN)
    if not path:
        raise Skip(f"no {name} found (Debian: e2fsprogs)")
    proc = await m.spawn(path, *args)
    if await proc.wait() not in good:
        raise Failed(f"{name} ended with status {proc.returncode}")


async def make_ext4(r):
    os.truncate(r.dev.image, 16 << 20)
    await tool(r.m, "mkfs.ext4", "-q", "-F", "-b", str(BLOCK), r.dev.image)


async def lose_nothing(r, removal):
    m = r.m
    await m.ask("mount", await r.dev.disk(m), "ext4")
    for kind, blocks in (("synced", SYNCED), ("dirty", DIRTY)):
        await m.ask("load", kind, 1, blocks, f"/mnt/{kind}")
    _, (synced, _) = await r.until(
        lambda stat: stat[0]["ended"] and stat[1]["submitted"],
        5 * m.slow)
    r.check("synced", synced["ok"], r.summary([synced]))
    memory = await m.ask("cat", "/proc/meminfo")
    amount = int(memory.split("|Dirty:")[1].split()[0])
    r.check("dirty", amount >= DIRTY * BLOCK // 2048, f"{amount} kB dirty")
    begin = await removal(r)
    _, (_, dirty) = await r.until(lambda stat: stat[1]["ended"],
                                  begin + r.limits.hang - time.monotonic())
    r.check("told", dirty["ended"], "fsync() after it: " + (
        "done" if dirty["ok"] else os.strerror(dirty["errno"])))
    await r.wait("umount", m.begin("umount"), time.monotonic())
    # What the journal has is on the disk as well.  1: it was needed
    await tool(m, "e2fsck", "-fy", r.dev.image, good=(0, 1))
    for name, blocks, promised in (("synced", SYNCED, synced["ok"]),
                                   ("dirty", DIRTY, dirty["ok"])):
        copy = os.path.join(m.workdir, name)
        open(copy, "wb").close()    # it may not be there
        await tool(m, "debugfs", "-R", f"dump /{name} {copy}", r.dev.image)
        with open(copy, "rb") as f:
            data = f.read()
        there = sum(
            data[nr * BLOCK:(nr + 1) * BLOCK] ==
            struct.pack("<4I", MAGIC, nr, 1, 0xfffffffe) * RECORDS
            for nr in range(blocks))
        r.check(f"{name}-kept", there == blocks or not promised,
                f"{there} of {blocks} blocks on the backing file, fsync() "
                + ("succeeded" if promised else "failed"))


@scenario(("virtio-blk", "virtio-scsi", "nvme"), zeros=False,
          prepare=make_ext4)
async def dirty(r):
    """sysfs removal, ext4 with dirty data: written, or reported as an error"""
    await lose_nothing(r, sysfs_remove)
    await r.rescan()


@scenario(("virtio-blk", "virtio-scsi", "nvme"), default=False, zeros=False,
          prepare=make_ext4)
async def dirty_button(r):
    """the same by the attention button"""
    await lose_nothing(r, press_button)
    await r.check_slot()
