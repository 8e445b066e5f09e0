# SPDX-License-Identifier: GPL-2.0-only
"""One point: a phase begins, the device dies at an access, what comes of it?"""

import argparse
import asyncio
import time
from dataclasses import dataclass, field

import console
from errors import AgentError, Failed, QemuGone

NEVER, SPLAT, SLOW, GOOD, MISSED = "never", "splat", "slow", "good", "missed"


@dataclass
class Outcome:
    verdict: str
    where: tuple = ()           # number, site, address, write?
    wrong: list = field(default_factory=list)
    notes: list = field(default_factory=list)
    times: dict = field(default_factory=dict)
    deaf: bool = False
    used: bool = False          # the device was plugged again, and works
    excused: bool = False       # late, but this machine may be why

    @property
    def bad(self):
        return self.verdict in (NEVER, SPLAT, SLOW)


def verdict(checks, times):
    """What the checks that failed amount to"""
    bad = {name for name, good, _ in checks if not good}
    if not bad:
        return GOOD
    if bad - {"gone", "console"} or ("gone" in bad and "gone" not in times):
        return NEVER
    return SPLAT if "console" in bad else SLOW


async def undisturbed(b, phase, begun):
    commands = await begun
    await phase.end(b, commands)


async def enter(b, phase, point, code=()):
    """Begin the phase; gives two tasks: what it has begun, and its end"""
    r = b.r
    r.checks, r.notes, r.times, r.load = [], [], {}, []
    r.stuck = r.deaf = r.excused = False
    await b.ready(phase.plugged)
    await b.trap.watch(code)
    b.new_lines()
    await phase.prepare(b)
    watch = b.m.begin("watch", b.bdf) if phase.plugged else None
    b.trap.arm(*(point.number, point.site) if point else (0, 0))
    begun = asyncio.create_task(phase.begin(b))
    over = asyncio.create_task(undisturbed(b, phase, begun))
    b.m.tasks += [begun, over]
    return begun, over, watch


async def count(b, phase):
    """The phase from its begin to its end; gives accesses and their sites"""
    begun, over, _ = await enter(b, phase, None)
    try:
        async with asyncio.timeout(60 * b.m.slow):
            await over
    except TimeoutError:
        raise Failed("the phase does not end, with the device there")
    number, sites = b.trap.count, b.trap.sites()
    b.trap.disarm()
    splats = console.splats(b.new_lines())
    if splats:
        raise Failed(f"with the device there: {splats[0]}")
    return number, sites


async def leave(b, phase):
    """The slot is empty again"""
    b.inside = False
    await b.m.slot.yank()
    if b.loaded:
        await b.workers_ended(time.monotonic(), b.limits.hang)
    await b.emptied()


async def try_point(b, phase, point, use=True, code=()):
    """Not to USE the device again leaves that to a point after this one

    CODE is what has accessed the device when the phase was counted.
    """
    b.points += 1
    m, r = b.m, b.r
    begun, over, watch = await enter(b, phase, point, code)
    if not await b.trap.wait(over):
        b.trap.disarm()
        await over      # what it could not do is no result
        return Outcome(MISSED)
    over.cancel()
    commands = await begun
    where = b.trap.where()
    if phase.powers_off:
        return await power_off(b, where)
    b.inside = False
    if phase.moves and b.r.mode == "ones":
        await m.shadow.setup()
    b.starved = m.starved()
    when = await (m.slot.cut_power() if b.silent else m.slot.yank())
    b.trap.disarm()
    watch = watch or m.begin("watch", b.bdf)
    try:
        await (silent if b.silent else noticed)(b, phase, commands, watch,
                                                when)
        await m.ask("uname")
    except TimeoutError:
        await r.stacks()
        r.check("answered", False, "an answer did not come in time")
    except (Failed, AgentError) as e:
        r.check("went-through", False, str(e))
    splats = console.splats(b.new_lines())
    r.check("console", not splats, "; ".join(splats[:3]))
    used = use and not r.failed()
    if used:
        try:
            await b.plug()
            splats = console.splats(b.new_lines())
            r.check("console", not splats, "; ".join(splats[:3]))
        except (Failed, AgentError, TimeoutError) as e:
            await r.stacks()
            r.check("again", False, "plugged again: " + (str(e) or "hangs"))
    return Outcome(verdict(r.checks, r.times), where,
                   [f"{name}: {detail}" for name, good, detail in r.checks
                    if not good], r.notes, r.times, r.deaf, used,
                   r.excused)


async def noticed(b, phase, commands, watch, when):
    """With the hotplug event"""
    r, limits = b.r, b.limits
    # Suspended, the guest has no serial line
    if not b.reads_checked and phase.plugged and not phase.moves:
        b.reads_checked = True
        await r.check_reads()
    if await r.wait("gone", watch, when, limits.gone + phase.extra,
                    since=when + phase.extra, starved=b.starved):
        await b.returned(commands, when, limits.hang + phase.extra)
        if b.loaded:
            await b.workers_ended(when, limits.hang)
    if not r.failed():
        await b.emptied()


async def silent(b, phase, commands, watch, when):
    """Nobody is told; it is removed by sysfs afterwards"""
    r, limit = b.r, b.limits.silent
    r.limits = argparse.Namespace(**vars(b.limits) | {"hang": limit})
    try:
        await b.returned(commands, when, limit)
        if not phase.plugged:
            # It may be in the middle of the probe: that has to end
            await asyncio.sleep(0.5)
        command = b.m.begin("write", f"{b.sysfs}/remove", 1)
        begin = time.monotonic()
        await b.returned([command], begin, limit)
        await r.wait("gone", watch, begin)
        if b.loaded:
            await b.workers_ended(begin, limit)
        if not r.failed():
            await b.m.slot.yank()
            await b.emptied()
    finally:
        r.limits = b.limits


async def power_off(b, where):
    m = b.m
    await (m.slot.cut_power() if b.silent else m.slot.yank())
    b.trap.disarm()
    limit = b.limits.off
    when = time.monotonic()
    wrong, notes = [], []
    try:
        async with asyncio.timeout(limit):
            await asyncio.wait([b.over])
    except TimeoutError:
        wrong = [f"off: not within {limit:.4g} s"]
        await b.r.stacks()
        notes = b.r.notes
    splats = console.splats(b.new_lines())
    kind = NEVER if wrong else SPLAT if splats else GOOD
    if not wrong:
        try:
            await b.over
        except QemuGone as e:
            if e.signal or "status 0" not in str(e):
                raise
    return Outcome(kind, where, wrong + splats[:3], notes,
                   {"off": time.monotonic() - when}, b.r.deaf)
