# SPDX-License-Identifier: GPL-2.0-only
"""What scenarios are made of."""

import asyncio
import time

from devices import DEVICES
from errors import Failed

SCENARIOS = {}


def scenario(devices=None, default=True, zeros=True, beside=(), prepare=None,
             shadow="ivshmem-plain", cycles=False, patience=0,
             booting=False):
    """DEVICES it is meant for; is it run by default?  also with ZEROS?

    BESIDE the device, on the same slot, there may be other functions.
    PREPARE is called after its back ends are there.  SHADOW gives the ones.
    With CYCLES it takes as long as these are many (--cycles).
    PATIENCE: so many seconds more than others, as drivers wait that long.
    BOOTING: it begins with the machine, and waits for the guest's init itself.
    """
    def add(f):
        name = f.__name__.replace("_", "-")
        f.devices = [d.name for d in DEVICES.values()
                     if (not devices or d.name in devices)
                     and (not d.scenarios or name in d.scenarios)]
        f.default, f.zeros, f.beside = default, zeros, beside
        f.prepare, f.shadow, f.cycles, f.booting = prepare, shadow, cycles, booting
        f.patience = patience
        SCENARIOS[name] = f
        return f
    return add


async def after_yank(r, when, watch, usable=True, limit=None):
    await r.check_reads()
    await r.wait("gone", watch, when, limit or r.limits.gone)
    await r.ended(when)
    if r.load:
        await r.dev.check_data(r.m, r)
    if usable:
        await r.check_slot()


BUTTON_WAIT = 5         # seconds that it leaves to change one's mind


async def slow_load(r, per_second=4, enough=1, lose=False):
    """Load, the back end slow enough that requests wait at any time"""
    await r.start_load()
    await r.dev.slow_down(r.m, per_second)
    await asyncio.sleep(0.5)
    if lose:
        await r.dev.drop_pending(r.m)
    await r.pending_now(enough)


def pending(r, command, what="removal", at="at the yank"):
    r.check("pending", not command.done(),
            f"the {what} was still waiting {at}")


async def returned(r, command, when, what, name="returned"):
    """Whether it has done something does not matter: the card is gone"""
    done, _ = await asyncio.wait(
        [command], timeout=max(0, when + r.limits.hang - time.monotonic()))
    if done:
        command.exception()     # it may fail
    else:
        await r.stacks()
    return r.check(name, done, f"{what} {time.monotonic() - when:.1f} s later")


async def power_file(r):
    """The path of the slot's power file, which says 1"""
    path = "/sys/bus/pci/slots/1"   # see machine.py
    address = (await r.m.ask("cat", f"{path}/address")).strip("|")
    power = (await r.m.ask("cat", f"{path}/power")).strip("|")
    if not r.check("power", power == "1" and
                   r.m.slot.bdf.startswith(f"{address}."),
                   f"{path}, {address}: {power}"):
        raise Failed("not the slot, or it is not on")
    return f"{path}/power"


async def sysfs_remove(r, limit=None):
    """Gives the time of the request"""
    watch = r.m.begin("watch", r.m.slot.bdf)
    when = time.monotonic()
    command = r.begin_remove()
    await r.wait("removed", command, when)
    await r.wait("gone", watch, when, limit)
    return when


async def press_button(r):
    """The attention button; gives the time when the slot stops to blink"""
    m = r.m
    watch = m.begin("watch", m.slot.bdf)
    when = time.monotonic()
    await m.qmp("device_del", id="dut")
    if await r.wait("gone", watch, when, since=when + BUTTON_WAIT):
        # pciehp turns the slot off once the driver is unbound
        for _ in range(60):
            plugged = await m.plugged("dut")
            if not plugged:
                break
            await asyncio.sleep(0.1)
        r.check("unplugged", not plugged)
    return when + BUTTON_WAIT


async def emptied(r, slot=None):
    """The slot takes the device again"""
    m = r.m
    slot = slot or m.slot
    if not await slot.off(6):
        return r.check("slot", False, "pciehp never turned it off")
    # QEMU may hold the back end a while longer, for requests of its own
    for _ in range(50):
        if slot.name in m.deleted:
            break
        await asyncio.sleep(0.1)
    m.deleted.clear()
    return True
