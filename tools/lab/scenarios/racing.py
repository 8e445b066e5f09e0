# SPDX-License-Identifier: GPL-2.0-only
"""A yank in the middle of a removal that was asked for."""

import asyncio
import time

from devices import DISKS
from errors import Failed
from scenarios.base import (BUTTON_WAIT, after_yank, pending, scenario,
                            slow_load)


@scenario(DISKS + ("virtio-9p",))
async def remove_yank(r):
    """removal by sysfs waits for pending requests, yank 1 s later"""
    m = r.m
    await slow_load(r, 2, 4, lose=True)
    watch = m.begin("watch", m.slot.bdf)
    command = r.begin_remove()
    await asyncio.sleep(1)
    pending(r, command)
    when, watch = await r.yank(watch)
    await after_yank(r, when, watch)
    await r.wait("removed", command, when)


@scenario(DISKS)
async def button_yank(r):
    """attention button; pciehp waits for pending requests in ->remove, yank"""
    m = r.m
    await r.start_load()
    await r.pending_now()
    watch = m.begin("watch", m.slot.bdf)
    when = time.monotonic()
    await m.qmp("device_del", id="dut")
    await asyncio.sleep(4)
    await r.dev.slow_down(m, 2)
    await r.dev.drop_pending(m)
    await r.pending_now(4)
    begun = m.begin("stack", "pciehp", "pci_stop_and_remove_bus_device",
                    10000)
    if not await r.wait("remove-begun", begun, when, since=when + BUTTON_WAIT):
        raise Failed("pciehp was never seen in ->remove()")
    await asyncio.sleep(0.5)
    pending(r, watch)
    when, watch = await r.yank(watch)
    await after_yank(r, when, watch)
