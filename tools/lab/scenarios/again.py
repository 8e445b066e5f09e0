# SPDX-License-Identifier: GPL-2.0-only
"""What has to come at the right moment: again and again, at random ones."""

import asyncio
import random
import time

from errors import AgentError
from scenarios.base import emptied, returned, scenario
from slots import Port

HELD = 0.3              # seconds for which the rescan lock is held, roughly
NUMVFS = 2.5            # for VFs to be enabled and disabled


async def switches(r):
    r.dev.number = r.limits.cycles


async def slots(r):
    """The slots of all the switches, and those below them, with their cards"""
    found = []
    for nr, port in enumerate(r.dev.ports()):
        outer = Port(r.m, port, name=r.dev.switch(nr))
        await outer.setup()
        inner = Port(r.m, 0, outer.bus + 1, f"card{nr}")
        await inner.setup()
        await r.bound(inner.bdf)
        found.append((nr, outer, inner))
    return found


async def lock_is_free(r):
    """And times to the table"""
    r.times["gone"] = max(t for name, t in r.times.items()
                          if name.startswith("gone-"))
    rescan = r.m.begin("write", "/sys/bus/pci/rescan", 1)
    await r.wait("rescan", rescan, time.monotonic())


@scenario(("switches",), default=False, zeros=False, prepare=switches,
          cycles=True)
async def nested_yanks(r):
    """a card behind a switch is yanked, the switch a moment later; N times"""
    for nr, outer, inner in await slots(r):
        watch = r.m.begin("watch", outer.bdf)
        # What is looked at in between would take time
        first, then = await inner.yank_commands(), await outer.yank_commands()
        await r.m.qtest_send(*first)
        await asyncio.sleep(random.random() * HELD)
        when = time.monotonic()
        await r.m.qtest_send(*then)
        if not await r.wait(f"gone-{nr}", watch, when):
            return
    await lock_is_free(r)


@scenario(("switches",), default=False, zeros=False, prepare=switches,
          cycles=True)
async def nested_removals(r):
    """a switch is removed, or its slot turned off, a card behind it yanked; N times"""
    m, early = r.m, 0
    for nr, outer, inner in await slots(r):
        watch = m.begin("watch", outer.bdf)
        commands = await inner.yank_commands()
        removal = m.begin("write", *(
            (f"/sys/bus/pci/slots/{r.dev.slot(nr)}/power", 0) if nr % 2 else
            (f"/sys/bus/pci/devices/{outer.bdf}/remove", 1)))
        await asyncio.sleep(random.random() * HELD)
        early += not removal.done()
        when = time.monotonic()
        await m.qtest_send(*commands)
        if not (await r.wait(f"removed-{nr}", removal, when) and
                await r.wait(f"gone-{nr}", watch, when)):
            return
    r.check("early", early, f"{early} of {nr + 1} yanks came before the "
            "removal had ended")
    await lock_is_free(r)


async def plugged_again(r):
    if not await emptied(r):
        return False
    await r.dev.before_replug(r.m)
    await r.m.device_add(r.dev.plug()[0])
    try:
        return await r.bound(r.m.slot.bdf) == r.dev.driver
    except AgentError as e:
        return r.check("replugged", False, str(e))


async def writes(r, path, *values):
    """Until one fails; gives how many did not"""
    count = 0
    while True:
        try:
            await r.m.begin("write", path, values[count % len(values)])
        except AgentError:
            return count
        count += 1


async def yank_while_written(r, nr, path, values, longest):
    """Gives how many writes had returned"""
    writer = asyncio.create_task(writes(r, path, *values))
    await asyncio.sleep(random.random() * longest)
    when, watch = await r.yank()
    if not await r.wait(f"gone-{nr}", watch, when):
        return 0
    done = await returned(r, writer, time.monotonic(), "the last write to " + path,
                          f"returned-{nr}")
    return writer.result() if done else 0


async def again(r, attribute, *values, longest):
    path = f"/sys/bus/pci/devices/{r.m.slot.bdf}/{attribute}"
    total = 0
    for nr in range(r.limits.cycles):
        if nr and not await plugged_again(r):
            return
        total += await yank_while_written(r, nr, path, values, longest)
        if r.failed():
            return
    r.check("writes", total, f"{total} writes had returned at the yanks")
    await lock_is_free(r)
    await r.check_slot()


@scenario(("igb",), default=False, zeros=False, cycles=True)
async def numvfs_yank(r):
    """sriov_numvfs is written, 2 and 0, at the yank; N times"""
    await again(r, "sriov_numvfs", 2, 0, longest=NUMVFS)


@scenario(("virtio-rng", "igb"), default=False, zeros=False, cycles=True)
async def rescan_yank(r):
    """"rescan" of the device is written at the yank; N times"""
    await again(r, "rescan", 1, longest=HELD)
