# SPDX-License-Identifier: GPL-2.0-only
"""Devices that go while the machine is suspended.

With pm_test the kernel does not sleep: when all devices are suspended it waits,
and resumes them.  Processes are frozen meanwhile, the agent among them: nothing
is to be sent to it, as a serial port that is suspended loses what arrives.
"""

import asyncio
import time

from devices import DEVICES
from errors import AgentError, Failed, Skip
from scenarios.base import after_yank, scenario, sysfs_remove

ASLEEP = 2              # seconds
FREEZE = 25             # it takes at most 20 s, or the kernel gives up
# "platform": the PCI core's part as well, configuration space saved and restored
LEVEL = "platform"


async def fall_asleep(r, times=1):
    """Suspend to idle, the TIMES-th time; gives what ends when all is resumed"""
    m = r.m
    try:
        await m.ask("write", "/sys/power/pm_test", LEVEL)
    except AgentError:
        raise Skip("the kernel has no pm_test (CONFIG_PM_DEBUG)")
    await m.ask("write", "/sys/module/suspend/parameters/pm_test_delay", ASLEEP)
    # Else all that it says comes at the end
    await m.ask("write", "/sys/module/printk/parameters/console_suspend", "N")
    awake = m.begin("write", "/sys/power/state", "freeze")
    if not await r.on_console("suspend debug: Waiting for", FREEZE, times):
        if awake.done():
            await awake         # why it could not
        await r.stacks()
        raise Failed("the machine does not suspend")
    return awake


async def wake_up(r, awake):
    """Gives when; from then on the agent can see what has gone"""
    since = time.monotonic() + ASLEEP
    await r.wait("resumed", awake, since)
    return since + r.times.get("resumed", r.limits.hang)


async def wake_up_dead(r, awake):
    """The same without power: the resume of its port turns that on again"""
    slot = r.m.slot
    waking = asyncio.ensure_future(wake_up(r, awake))
    while not waking.done():
        if not await slot.dark():
            await slot.cut_power()
        await asyncio.sleep(0.002)
    return await waking


async def goes_on(r):
    """Of each kind of worker the first gets through, and none has ended"""
    before = await r.stat()
    over, stat = await r.until(
        lambda stat: any(w["ended"] for w in stat) or
        all(stat[nr]["ok"] > before[nr]["ok"] for nr, _ in r.load))
    r.check("goes-on", over and not any(w["ended"] or w["bad"] for w in stat),
            r.summary(stat))


# Readers of virtio-serial are told by an EOF, and 9p is not resumed at all
RESUMED = tuple(name for name in DEVICES
                if name not in ("virtio-serial", "virtio-9p"))


@scenario(RESUMED, zeros=False)
async def sleep(r):
    """load, suspend, resume: it goes on, nothing is lost; then yank"""
    await r.start_load()
    await wake_up(r, await fall_asleep(r))
    await r.alive()
    await goes_on(r)
    when, watch = await r.yank()
    await after_yank(r, when, watch)


@scenario()
async def sleep_yank(r):
    """yank while suspended under load, then resume"""
    m = r.m
    await r.start_load()
    awake = await fall_asleep(r)
    await m.slot.yank()
    when = await wake_up(r, awake)
    await after_yank(r, when, m.begin("watch", m.slot.bdf))


@scenario()
async def sleep_silent(r):
    """dies without an event while suspended under load, resume, sysfs removal"""
    m = r.m
    await r.dev.short_timeouts(m)
    await r.start_load()
    await wake_up_dead(r, await fall_asleep(r))
    await r.check_reads()
    when = await sysfs_remove(r)
    await r.ended(when)
    # pciehp may have seen the power that the resume of its port turned on
    if not await m.slot.off(2):
        await m.slot.yank()
    await r.check_slot()


# No load: what waits for a device that is dead can not be frozen
@scenario(tuple(name for name in DEVICES if name.startswith("virtio-")),
          default=False, zeros=False)
async def sleep_twice(r):
    """dies without an event while suspended, is suspended again, then yank"""
    m = r.m
    await wake_up_dead(r, await fall_asleep(r))
    awake = await fall_asleep(r, 2)
    await m.slot.yank()
    when = await wake_up(r, awake)
    # Whether pciehp turns the slot off is for sleep_yank
    await after_yank(r, when, m.begin("watch", m.slot.bdf), usable=False)
