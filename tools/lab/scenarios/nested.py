# SPDX-License-Identifier: GPL-2.0-only
"""A slot below a slot: one is yanked while the other is on its way out."""

import asyncio

from scenarios.base import pending, power_file, scenario, slow_load
from slots import Port


async def slow_switch(r):
    """Load that is slow; gives the slot of the nvme behind the switch"""
    m = r.m
    slot = Port(m, 0, m.slot.bus + 1, "nvme")
    await slot.setup()
    await slow_load(r, 6, 4)
    return slot


async def nested_yank(r, slot, command, watch):
    pending(r, command)
    when = await slot.yank()
    await r.wait("removed", command, when)
    await r.wait("gone", watch, when)
    await r.ended(when)


@scenario(("switch",), default=False)
async def nested(r):
    """sysfs removal of a switch waits for requests, a card behind it is yanked"""
    slot = await slow_switch(r)
    watch = r.m.begin("watch", r.m.slot.bdf)
    # It gets at the nvme last: at the yank it is waiting for another disk
    command = r.begin_remove()
    await asyncio.sleep(0.5)
    await nested_yank(r, slot, command, watch)
    await r.rescan()


@scenario(("switch",), default=False)
async def nested_power(r):
    """as nested, but the slot of the switch is turned off"""
    slot = await slow_switch(r)
    watch = r.m.begin("watch", r.m.slot.bdf)
    command = r.m.begin("write", await power_file(r), 0)
    await asyncio.sleep(0.5)
    await nested_yank(r, slot, command, watch)


@scenario(("switch",), default=False)
async def nested_outer(r):
    """sysfs removal of a card waits for requests, the switch above it is yanked"""
    slot = await slow_switch(r)
    watch = r.m.begin("watch", r.m.slot.bdf)
    command = r.m.begin("write", f"/sys/bus/pci/devices/{slot.bdf}/remove", 1)
    await asyncio.sleep(1)
    pending(r, command)
    when, watch = await r.yank(watch)
    await r.check_reads()
    # pciehp waits for its turn, and takes down all that is there
    await r.wait("removed", command, when)
    await r.wait("gone", watch, when)
    await r.ended(when)
    await r.dev.check_data(r.m, r)
    await r.check_slot()
