# SPDX-License-Identifier: GPL-2.0-only
"""Devices that cannot be reached for a while, and live on.

During a removal drivers look three times in a row, 100 ms apart, before they
take a device for dead.  So one that is away for less than 0.2 s loses nothing,
and of one that is away for long all I/O ends: what it did not complete, with an
error.  In between it may be either.  If nobody removes it, nothing is lost: what
it had would be written to when it is back.

A doorbell that is rung meanwhile is not heard.  Where that is not what this is
about, the back end is so slow that a request follows when the device is back.
"""

import asyncio
import time

from errors import Late
from scenarios.base import scenario, slow_load, sysfs_remove

AWAY = 0.05, 0.25, 2.0
KEPT, TOLD = 0.2, 1.0   # away for less, or for more than that


async def completion(r):
    """One is just over: the next one takes a while"""
    ok = sum(w["ok"] for w in await r.stat())
    await r.until(lambda stat: sum(w["ok"] for w in stat) > ok)


async def hide(m, seconds):
    """Gives for how long it was away in truth"""
    begin = time.monotonic()
    back = await m.slot.hide()
    await asyncio.sleep(seconds)
    await m.qtest_send(*back)
    return time.monotonic() - begin


def judge(r, seconds, away, kept, told, detail):
    if seconds < KEPT <= away:
        raise Late(f"it was away for {away:.2f} s, not for {seconds} s")
    r.check(f"away-{1000 * seconds:.0f}", (kept and away < TOLD) or
            (told and away >= KEPT), f"{away:.2f} s: {detail}")


@scenario(("virtio-blk", "virtio-scsi", "virtio-net"), zeros=False)
async def hidden_busy(r):
    """away for 50 ms, again and again, under load that rings doorbells"""
    m = r.m
    await r.dev.short_timeouts(m)
    workers = await r.dev.workers(m)
    if r.dev.load == "net":     # of a frame that is lost, nobody is told
        workers = [worker for worker in workers if worker[0] == "promisc"]
    await r.start_load(workers=workers)
    for _ in range(8):
        before = await r.stat()
        away = await hide(m, AWAY[0])
        kept, stat = await r.until(
            lambda stat: not any(w["ended"] for w in stat) and all(
                now["ok"] > then["submitted"]
                for now, then in zip(stat, before)), r.limits.hang)
        judge(r, AWAY[0], away, kept, False, r.summary(stat))
        if not kept:
            await r.stacks()
            break
    await r.ended(await sysfs_remove(r))
    await r.dev.check_data(m, r)
    await r.rescan()


@scenario(("virtio-blk", "virtio-scsi"), zeros=False)
async def hidden_timeout(r):
    """away for 50, 250, 2000 ms while requests time out: nothing is lost; removal"""
    m = r.m
    await r.dev.short_timeouts(m)
    await slow_load(r, 1, 4)
    for seconds in (*AWAY[:1] * 4, *AWAY):
        await completion(r)
        before = await r.stat()
        away = await hide(m, seconds)
        # All that was pending, and more
        over, stat = await r.until(
            lambda stat: any(w["ended"] for w in stat) or all(
                now["ok"] > then["ok"] for now, then in zip(stat, before)))
        kept = over and not any(w["ended"] for w in stat)
        if not r.check(f"away-{1000 * seconds:.0f}", kept,
                       f"{away:.2f} s: {r.summary(stat)}"):
            break
    await r.dev.slow_down(m, 1000)
    await r.ended(await sysfs_remove(r))
    await r.dev.check_data(m, r)
    await r.rescan()


@scenario(("virtio-blk", "virtio-scsi", "virtio-net"), default=False,
          zeros=False)
async def hidden_remove(r):
    """away for 50, 250, 2000 ms when a removal by sysfs begins; rescan"""
    m = r.m
    for seconds in AWAY:
        first = len(await r.stat())
        await slow_load(r, 4, 4)
        before = (await r.stat())[first:]
        begin = time.monotonic()
        back = await m.slot.hide()
        removal = asyncio.create_task(sysfs_remove(r))
        await asyncio.sleep(seconds)
        await m.qtest_send(*back)
        away = time.monotonic() - begin
        await r.ended(await removal)
        stat = (await r.stat())[first:]
        done = sum(w["ok"] for w in stat) - sum(w["ok"] for w in before)
        judge(r, seconds, away, r.dev.load == "net" or
              done >= r.pending(before), all(w["failed"] for w in stat),
              f"{r.pending(before)} in flight when it began, {done} completed")
        await r.dev.check_data(m, r)
        await r.dev.slow_down(m, 1000)
        await r.rescan()
