# SPDX-License-Identifier: GPL-2.0-only
"""More than one thing at a time: other slots, the port itself, the boot.

What happens while VFs come and go, at each access: sweep, sriov-on, sriov-off.
"""

import asyncio
import time

from errors import AgentError, Failed, Late, QemuGone
from scenarios.base import (after_yank, pending, power_file, returned,
                            scenario, slow_load)
from slots import SPARE_PORT, Port

CARD = {"driver": "virtio-rng-pci", "id": "spare", "rng": "probe",
        "bus": f"port{SPARE_PORT}"}
SOME = "virtio-blk", "virtio-net", "nvme", "igb"
TWO = "virtio-blk", "nvme"


async def second_card(r):
    """In the other slot"""
    m = r.m
    await m.spare.insert(CARD)
    driver = await r.bound(m.spare.bdf)
    if not r.check("second", driver == "virtio-pci", f"{driver} is bound"):
        raise Failed("no second card")
    if not await m.spare.on(10):
        raise Failed("the second card is not probed in 10 s")


# ---- other slots --------------------------------------------------------

@scenario(SOME, default=False, zeros=False)
async def two_slots(r):
    """two slots are emptied in the same instant, one under load"""
    m = r.m
    await second_card(r)
    await slow_load(r, lose=True)
    watch = m.begin("watch", m.slot.bdf)
    other = m.begin("watch", m.spare.bdf)
    commands = [*await m.slot.yank_commands(), *await m.spare.yank_commands()]
    when = time.monotonic()
    await m.qtest_send(*commands)
    for slot in m.slot, m.spare:
        if await m.plugged(slot.name):
            raise Failed(f"QEMU did not unplug {slot.name}")
    # One waits for the other: they have the rescan lock in turn
    await after_yank(r, when, watch, False, 2 * r.limits.gone)
    await r.wait("other-gone", other, when, 2 * r.limits.gone)
    r.check("other-slot", await m.spare.off(6), "pciehp has turned it off")
    await r.check_slot()


@scenario(SOME, default=False, zeros=False)
async def insert_yank(r):
    """another card is plugged into another slot, yank while it is probed"""
    m = r.m
    await slow_load(r, lose=True)
    watch = m.begin("watch", m.slot.bdf)
    there = m.begin("there", m.spare.bdf)
    await m.spare.insert(CARD)
    async with asyncio.timeout(10):
        await there
    if await m.spare.on(0.001):
        raise Late("the other card was probed before the yank")
    when = await m.slot.yank()
    # The other card's probe has the rescan lock
    await after_yank(r, when, watch, False, 3 * r.limits.gone)
    try:
        r.check("second", await r.bound(m.spare.bdf, 10) == "virtio-pci")
    except AgentError as e:
        r.check("second", False, str(e))
    await r.check_slot()


@scenario(TWO, default=False, zeros=False)
async def waiting_yank(r):
    """removal by sysfs waits for pending requests, yank in another slot"""
    m = r.m
    await second_card(r)
    await slow_load(r, 2, 4)
    watch = m.begin("watch", m.slot.bdf)
    other = m.begin("watch", m.spare.bdf)
    command = r.begin_remove()
    await asyncio.sleep(1)
    yanked = await m.spare.yank()
    await asyncio.sleep(1)
    pending(r, command, at="1 s after the yank")
    await r.dev.slow_down(m, 1000)
    when = time.monotonic()
    await r.wait("removed", command, when)
    await r.wait("gone", watch, when)
    await r.ended(when)
    await r.dev.check_data(m, r)
    await r.wait("other-gone", other, yanked, since=when)
    r.check("other-slot", await m.spare.off(6), "pciehp has turned it off")
    await r.rescan()


# ---- the slot and its port ----------------------------------------------

async def yank_in_removal(r, path, value):
    """The write waits for pending requests, yank 1 s later"""
    m = r.m
    await slow_load(r, 2, 4, lose=True)
    watch = m.begin("watch", m.slot.bdf)
    command = m.begin("write", path, value)
    await asyncio.sleep(1)
    pending(r, command, "write")
    when, watch = await r.yank(watch)
    await after_yank(r, when, watch, False)
    await returned(r, command, when, path)


@scenario(TWO, default=False, zeros=False)
async def power_yank(r):
    """0 in the slot's power file: waits for pending requests, yank 1 s later"""
    await yank_in_removal(r, await power_file(r), 0)
    await r.check_slot()


@scenario(SOME, default=False, zeros=False)
async def yank_power(r):
    """yank; at the same time 0, then 1 are written to the slot's power file"""
    m = r.m
    path = await power_file(r)
    commands = [m.begin("write", path, 0)]
    when, watch = await r.yank()
    commands.append(m.begin("write", path, 1))
    await after_yank(r, when, watch, False)
    for value, command in enumerate(commands):
        await returned(r, command, when, f"write of {value}")
    await r.check_slot()


def remove_port(r):
    return f"/sys/bus/pci/devices/{r.m.slot.port_bdf}/remove", 1


async def port_again(r):
    """The port is back, by a rescan, and its slot takes a card"""
    m = r.m
    if await r.wait("rescan", m.begin("write", "/sys/bus/pci/rescan", 1),
                    time.monotonic()):
        driver = await r.bound(m.slot.port_bdf)
        r.check("port", driver == "pcieport", driver)
        await r.check_card(m.slot)


@scenario(TWO, default=False, zeros=False)
async def port_yank(r):
    """sysfs removal of the port waits for pending requests, yank 1 s later"""
    await yank_in_removal(r, *remove_port(r))
    await port_again(r)


@scenario(SOME, default=False, zeros=False)
async def yank_port(r):
    """yank under load; at the same time the port is removed by sysfs"""
    m = r.m
    await slow_load(r, lose=True)
    when, watch = await r.yank()
    command = m.begin("write", *remove_port(r))
    await after_yank(r, when, watch, False)
    await returned(r, command, when, "removal of the port")
    await port_again(r)


# ---- many ---------------------------------------------------------------

NOISE = 1.25            # of two measurements that are compared


async def all_below(r, name, slot, number, which):
    """Yank NUMBER nvme with the switch in the slot; WHICH workers are theirs"""
    m = r.m

    def mine(good):
        return r.until(lambda stat: good(stat[which]), r.limits.hang)
    good, stat = await mine(lambda stat: r.pending(stat) >= number)
    r.check(f"{name}-pending", good, r.summary(stat[which]))
    watch = m.begin("watch", slot.bdf)
    when = await slot.yank()
    # What is in the slot goes last
    await r.wait(name, watch, when, 1.5 * r.limits.gone)
    good, stat = await mine(lambda stat: all(w["ended"] for w in stat))
    r.check(f"{name}-ended", good and all(w["failed"] for w in stat[which]),
            r.summary(stat[which]))
    try:
        left = await m.ask("find", slot.port_bdf, "bus/pci/devices", 0)
    except AgentError:
        left = ""
    r.check(f"{name}-all", not left, left or "nothing is left")
    r.check(f"{name}-off", await slot.off(6), "pciehp has turned it off")


@scenario(("switch-many",), default=False, zeros=False)
async def many(r):
    """4, then 16 nvme under load are yanked, with the switch above them"""
    m, dev = r.m, r.dev
    few = Port(m, dev.MANY, m.slot.bus + 1, "few")
    await few.setup()
    await slow_load(r, 20)
    await all_below(r, "few-gone", few, dev.FEW, slice(-dev.FEW, None))
    await all_below(r, "gone", m.slot, dev.MANY, slice(-dev.FEW))
    await r.check_reads()
    await dev.check_data(m, r)
    of_few, of_many = (r.times.get(name) for name in ("few-gone", "gone"))
    if of_few and of_many:
        r.check("linear", of_many <= NOISE * of_few * dev.MANY / dev.FEW,
                f"{dev.MANY} in {of_many:.2f} s, {dev.FEW} in {of_few:.2f} s")
    await r.check_slot()


# ---- the boot -----------------------------------------------------------

async def yank_booting(r, ready, text, mapped=True):
    """Yank when the kernel says so, long before it runs init"""
    m = r.m
    begin = "PCI host bridge to bus 0000:00"     # SeaBIOS has left the ports
    if not await r.on_console(begin, 60):
        raise Failed(f"not said: {begin}")
    await m.slot.setup()
    text = text.format(bdf=m.slot.bdf, port=m.slot.port_bdf)
    if not await r.on_console(text, 60):
        raise Failed(f"not said: {text}")
    if mapped and r.mode == "ones":
        await m.shadow.setup()
    await m.slot.yank()
    last = m.console()[-1]
    r.check("early", not ready.done(), f"the last line was: {last}")
    try:
        await r.booted(ready)
    except QemuGone as e:       # not by QEMU's fault
        await r.stacks()
        raise Failed(str(e))
    watch = m.begin("watch", m.slot.bdf)
    await r.wait("gone", watch, time.monotonic(), r.limits.gone)
    await r.check_card(m.slot)


@scenario(TWO, default=False, zeros=False, booting=True)
async def boot_scan(r, ready):
    """yank while the booting kernel finds what is there"""
    # Its BARs are not looked at then, and the windows may move
    await yank_booting(r, ready, "pci {bdf}: [", mapped=False)


@scenario(TWO, default=False, zeros=False, booting=True)
async def boot_port(r, ready):
    """yank when the booting kernel binds its port, pciehp not yet"""
    await yank_booting(r, ready, "pcieport {port}: PME: ")


@scenario(TWO, default=False, zeros=False, booting=True)
async def boot_probe(r, ready):
    """yank while its driver probes it, in the booting kernel"""
    await yank_booting(r, ready, {
        "virtio-blk": "virtio_blk virtio0: ",
        "nvme": "nvme nvme0: pci function"}[r.dev.name])
