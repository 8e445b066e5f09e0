# SPDX-License-Identifier: GPL-2.0-only
"""A device that lies: what is read from a register is not what the device said."""

import asyncio
import random
import time

from errors import AgentError, Failed
from scenarios.base import scenario

ONES = (1 << 64) - 1
REGISTERS = 0x40        # of an NVMe controller, all but the doorbells


def loaded(code):
    """Of the load that CODE ends with: the register it fills, or None

    readl() is one mov: an optional REX, 8b, ModRM, perhaps SIB, displacement.
    """
    for size in range(8, 1, -1):
        insn = code[-size:]
        rex = insn[0] if insn[0] & 0xf0 == 0x40 else 0
        insn = insn[bool(rex):]
        if len(insn) < 2 or insn[0] != 0x8b or insn[1] >= 0xc0:
            continue
        mod, rm = insn[1] >> 6, insn[1] & 7
        want = 2 + (rm == 4) + (0, 1, 4)[mod] + 4 * (mod == 0 and rm == 5)
        if len(insn) == want:
            # What gdb calls them: rax rbx rcx rdx rsi rdi rbp rsp r8...
            return (0, 2, 3, 1, 7, 6, 4, 5)[insn[1] >> 3 & 7] \
                if not rex & 4 else 8 + (insn[1] >> 3 & 7)
    return None


async def where(m, address):
    """The kernel's address of a page of the device; the guest is in the kernel"""
    for line in (await m.monitor("info tlb")).splitlines():
        virtual, _, rest = line.partition(": ")
        if rest and int(rest.split()[0], 16) == address:
            return int(virtual, 16)
    raise Failed(f"nothing is mapped to {address:x}")


async def one_lie(r, begun, seen, answer):
    """A reset in which one more of its loads gives ANSWER(); gives which load"""
    m, gdb = r.m, r.gdb
    await gdb.catch(begun)
    reset = m.begin("write", f"/sys/bus/pci/devices/{m.slot.bdf}/reset", 1)
    await gdb.caught(10)
    await gdb.breakpoint("z", begun)
    bar = await where(m, r.bars[m.slot.bdf, 0][0])
    await gdb.watchpoints("Z", bar, REGISTERS)
    told = None
    gdb.send("c")
    while not told:
        stop = asyncio.ensure_future(gdb.receive(r.limits.hang))
        await asyncio.wait([stop, reset], return_when=asyncio.FIRST_COMPLETED)
        if not stop.done():     # it is over, and there was no other load
            gdb.interrupt()
            await stop
            break
        at = int(stop.result().partition("rwatch:")[2].split(";")[0], 16) - bar
        rip = await gdb.register(16)
        register = loaded(await gdb.memory(rip - 8, 8))
        if (rip, at) in seen or register is None:
            gdb.send("c")
            continue
        seen.add((rip, at))
        told = at, answer() & 0xffffffff
        await gdb.set_register(register, told[1])
    await gdb.watchpoints("z", bar, REGISTERS)
    gdb.send("c")
    try:
        async with asyncio.timeout(r.limits.hang):
            await reset
    except AgentError:
        pass                    # it may well fail
    return told


async def lie(r, answer):
    m = r.m
    begun = int(await m.ask("symbol", r.dev.moments["hostile-ones"], timeout=15), 16)
    seen, begin = set(), time.monotonic()
    while told := await one_lie(r, begun, seen, answer):
        r.check(f"load-{len(seen)}", True, f"of {told[0]:#x}: {told[1]:#x}")
        await r.wait("removed", r.begin_remove(), time.monotonic())
        await m.ask("write", "/sys/bus/pci/rescan", 1, timeout=15)
        if not r.check("slot", await r.bound(m.slot.bdf, 10) == r.dev.driver):
            return
        await r.alive()
    r.check("loads", len(seen) > 5, f"{len(seen)} loads lied, "
            f"{time.monotonic() - begin:.0f} s")
    await r.start_load(use=True)


@scenario(("nvme",), default=False, zeros=False)
async def hostile_ones(r):
    """each load from a register in a reset gives all-ones, one in each reset"""
    await lie(r, lambda: ONES)


@scenario(("nvme",), default=False, zeros=False)
async def hostile_random(r):
    """the same, and it gives anything"""
    rng = random.Random(1)
    await lie(r, lambda: rng.getrandbits(32))
