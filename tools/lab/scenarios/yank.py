# SPDX-License-Identifier: GPL-2.0-only
"""Surprise removal: the device is gone from one moment to the next."""

import asyncio
import time

from devices import LOADED
from devices.base import LOAD
from devices.switch import UNPOWERED
from errors import AgentError, Failed, Skip
from scenarios.base import (after_yank, emptied, pending, scenario,
                            slow_load)
from slots import Port

HELD = 200              # MiB that a balloon leaves to the guest


@scenario()
async def idle(r):
    """driver bound, nothing running, yank"""
    when, watch = await r.yank()
    await after_yank(r, when, watch)


@scenario(LOADED)
async def load(r):
    """yank under load, requests in flight"""
    await slow_load(r, lose=True)
    when, watch = await r.yank()
    await after_yank(r, when, watch)


@scenario(("nvme-paths",), zeros=False)
async def path(r):
    """one of two paths is yanked under load, which goes on; then the other"""
    m = r.m
    driver = await r.bound(m.spare.bdf)
    await r.dev.find(m, "class/block", bdf=m.spare.bdf)
    r.check("paths", driver == r.dev.driver, f"{driver} at {m.spare.bdf}, too")
    await slow_load(r, enough=4)
    when, watch = await r.yank()
    await r.check_reads()
    await r.wait("gone", watch, when, r.limits.gone)
    await r.dev.slow_down(m, 200)
    before = await r.stat()
    done, stat = await r.until(
        lambda stat: all(now["ok"] > old["ok"] + 1
                         for now, old in zip(stat, before)), r.limits.hang)
    r.check("goes-on", done and not any(w["ended"] for w in stat),
            r.summary(stat))
    await r.dev.slow_down(m, 4)
    await r.pending_now(4)
    watch = m.begin("watch", m.spare.bdf)
    when = await m.spare.yank()
    await r.wait("other-gone", watch, when, r.limits.gone)
    await r.ended(when)
    await r.dev.check_data(m, r)
    await r.check_slot()


@scenario(("virtio-balloon",))
async def inflated(r):
    """balloon that holds some memory, yank"""
    await r.dev.inflate(r.m, HELD)
    when, watch = await r.yank()
    await after_yank(r, when, watch)


@scenario()
async def replug(r):
    """yank, plug the same device again, use it, yank it again"""
    m, dev = r.m, r.dev
    await r.start_load()
    when, watch = await r.yank()
    await after_yank(r, when, watch, usable=False)
    if not await emptied(r):
        return
    await dev.before_replug(m)
    controller, *children = dev.plug()
    await m.device_add(controller)
    try:
        r.check("replugged", await r.bound(m.slot.bdf, 10) == dev.driver)
    except AgentError as e:
        r.check("replugged", False, str(e))
        await r.stacks()
        return
    for child in children:
        try:
            await m.device_add(child)
        except Failed as e:
            if "does not support hotplug" in str(e):
                raise Skip(f"{controller['driver']}: {e}")
            raise
    await r.probed()
    await r.alive()
    if not await r.start_load(use=True):
        await r.stacks()
    r.load = []
    when, watch = await r.yank()
    await r.check_reads()
    await r.wait("gone-again", watch, when, r.limits.gone)
    await r.check_slot()


@scenario(("virtio-blk", "nvme", "igb", "e1000e"), zeros=False)
async def reset(r):
    """yank while a loop of sysfs resets runs"""
    if r.dev.load == "disk":    # of these, only their drivers restore it
        await r.start_load()
    else:
        await r.m.ask("ifup", await r.dev.find(r.m, "class/net"), timeout=15)
    await r.start_load(workers=[
        ("poke", 1, 0, f"/sys/bus/pci/devices/{r.m.slot.bdf}/reset")])
    await r.until(lambda stat: stat[-1]["ok"] > 1 or stat[-1]["ended"])
    await asyncio.sleep(0.5)
    before = await r.stat()
    r.check("resets", before[-1]["ok"] > 1 and not before[-1]["ended"],
            r.summary(before[-1:]))
    when, watch = await r.yank()
    await after_yank(r, when, watch)


@scenario(("vhost-blk",), default=False, zeros=False)
async def reset_yank(r):
    """sysfs reset waits for pending requests, yank 1 s later"""
    m = r.m
    await slow_load(r, 2, 4, lose=True)
    reset = m.begin("write", f"/sys/bus/pci/devices/{m.slot.bdf}/reset", 1)
    await asyncio.sleep(1)
    pending(r, reset, "reset")
    when, watch = await r.yank()
    await after_yank(r, when, watch)


@scenario(("igb",), zeros=False)   # of the devices here, only its driver can
async def suspend(r):
    """interface up, no link, device runtime-suspended; yank"""
    m = r.m
    await m.qmp("set_link", name="dut", up=False)
    await m.ask("ifup", await r.dev.find(m, "class/net"), timeout=15)
    power = f"/sys/bus/pci/devices/{m.slot.bdf}/power"
    await m.ask("write", f"{power}/control", "auto")
    end = time.monotonic() + LOAD
    while ((status := await m.ask("cat", f"{power}/runtime_status"))
           != "suspended|" and time.monotonic() < end):
        await asyncio.sleep(0.1)
    if not r.check("suspended", status == "suspended|", status.strip("|")):
        raise Failed("the device does not suspend")
    when, watch = await r.yank()
    await after_yank(r, when, watch)


@scenario(("virtio-blk", "virtio-net", "virtio-scsi", "nvme", "igb", "e1000e"),
          default=False, zeros=False)
async def probe(r):
    """plugged, and yanked while the driver probes, at several moments"""
    m = r.m
    result = "class/block" if r.dev.load == "disk" else "class/net"
    controller = r.dev.plug()[0]
    when, watch = await r.yank()
    await r.check_reads()
    await r.wait("gone", watch, when, r.limits.gone)
    early, delays = 0, (0, 0.05, 0.1, 0.2, 0.4)
    for nr, delay in enumerate(delays):
        if not await emptied(r):
            return
        await r.dev.before_replug(m)
        await r.dev.slow_down(m, 1)      # a disk does not answer the probe at once
        there = m.begin("there", m.slot.bdf)
        await m.device_add(controller)
        async with asyncio.timeout(10):
            await there
        await asyncio.sleep(delay)
        probed = m.begin("find", m.slot.bdf, result, 0)
        when, watch = await r.yank()
        try:
            await probed
        except AgentError:
            early += 1
        if not await r.wait(f"gone-{nr}", watch, when, r.limits.gone):
            break
    r.check("early", early, f"{early} of {len(delays)} yanks before the "
            "probe had made a device")
    await r.check_slot()


async def selftest_yanks(r, slot, variant, skips=None, device=None):
    """The selftest's VARIANT takes what is in SLOT, or SKIPS, and says why

    Of the link, DEVICE comes back at once.
    """
    m, name = r.m, f"{slot.name}-{variant}"
    watch = m.begin("watch", slot.bdf)
    if variant == "link":
        m.tasks.append(asyncio.create_task(slot.yank_for_link(device)))
        await asyncio.sleep(0.5)
    when = time.monotonic()
    status, *lines = (await m.ask("run", "/selftest", f"-v{variant}",
                                  f"PCI_PORT={slot.port_bdf}",
                                  timeout=40)).split("|")
    r.notes += lines
    # The whole line: what was skipped is "ok", too
    want = f"ok 1 port.{variant}.removal" + (f" # SKIP {skips}" if skips else "")
    r.check(f"selftest-{name}", status == "0" and want in lines,
            "; ".join(line for line in lines if "ok " in line))
    if skips:
        return
    empty = any("the slot is empty now" in line for line in lines)
    r.check(f"empty-{name}", empty != bool(device), "as the selftest says")
    if await r.wait(f"gone-{name}", watch, when):
        r.times["gone"] = max(r.times.get("gone", 0), r.times[f"gone-{name}"])


@scenario(("virtio-blk", "nvme", "igb", "switch"), zeros=False)
async def selftest(r):
    """the kernel's selftest yanks, from inside, by slot power and by the link"""
    if not r.limits.selftest:
        raise Skip("no selftest given")
    m, slot, device = r.m, r.m.slot, r.dev.plug()[0]
    if r.dev.name == "switch":
        (slot, device), (unpowered, card) = [
            (Port(m, nr, m.slot.bus + 1, name),
             next(d for d in r.dev.plug() if d.get("id") == name))
            for nr, name in ((0, "nvme"), (UNPOWERED, "virtio"))]
        await slot.setup()
        await unpowered.setup()
        await selftest_yanks(r, unpowered, "power",
                             "the slot has no power controller")
        # Nothing turns that slot off, so QEMU does not take the new card out
        await selftest_yanks(r, unpowered, "link", device=card)
    await selftest_yanks(r, slot, "power")
    if slot is m.slot:
        await r.check_reads()
    if not await emptied(r, slot):
        return
    await slot.insert(device)
    try:
        r.check("replugged", await r.bound(slot.bdf, 10))
    except AgentError as e:
        r.check("replugged", False, str(e))
        return
    # Before that, the selftest cannot tell whether it is in use
    await r.dev.find(m, "class/net" if r.dev.load == "net" else "class/block",
                     bdf=slot.bdf)
    await slot.on(6)
    await selftest_yanks(r, slot, "link")
