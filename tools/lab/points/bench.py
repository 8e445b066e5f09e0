# SPDX-License-Identifier: GPL-2.0-only
"""A machine in which a device dies, and is plugged again, over and over."""

import asyncio
import errno
import json
import time

from errors import AgentError, Failed, QemuGone
from machine import Machine
from run import Run
from slots import ECAM
from points import symbols
from points.trap import Trap

# What a device file gives while the device is not quite there, or its last user
# not quite gone
NOT_YET = {errno.ENXIO, errno.ENODEV, errno.ENOENT, errno.EBUSY}

# A scan of 256 SCSI targets takes 10 s, on an idle host
PROBED = 40


class Bench:
    def __init__(self, dev, limits, qemu, kernel, initramfs, plugin, mode,
                 workdir, logfile):
        self.m = Machine(qemu, kernel, initramfs, workdir, logfile,
                         mode == "ones" and "ivshmem-plain", dev.window)
        self.r = Run(self.m, dev, mode, limits)
        self.dev = self.r.dev
        self.limits = limits
        self.trap = Trap(plugin, workdir)
        self.points = 0         # tried here
        self.inside = True      # the device is in the slot, bound, and usable
        self.bare = False       # but without what is behind it
        self.silent = False     # how it dies next
        self.loaded = False     # workers were started
        self.seen = 0           # lines of the console
        self.reads_checked = False
        self.starved = None     # m.starved() when it died
        self.patience = None    # hung_task_timeout_secs

    async def start(self):
        m, dev = self.m, self.dev
        args = ["-object", "rng-builtin,id=probe", *await dev.backends(m)]
        for device in dev.plug():
            args += ["-device", json.dumps(device)]
        ready = await m.start([*args, *self.trap.arguments()], dev.cmdline)
        self.over = asyncio.create_task(m.gone())
        m.tasks.append(self.over)
        await self.guard(self.boot(ready))

    async def boot(self, ready):
        await self.r.setup(ready)
        self.limits = self.r.limits     # as slow as this machine is
        if self.r.failed():
            raise Failed(self.complaints())
        slot = self.m.slot
        self.bdf = slot.bdf
        self.sysfs = f"/sys/bus/pci/devices/{slot.bdf}"
        ecam = ECAM + (slot.bus << 20)
        self.trap.windows([*await slot.windows(),
                           (ecam, ecam + (1 << 20) - 1)])

    async def guard(self, work):
        """An end of QEMU goes before what comes of it"""
        work = asyncio.create_task(work)
        self.m.tasks.append(work)
        await asyncio.wait([self.over, work],
                           return_when=asyncio.FIRST_COMPLETED)
        if self.over.done() or (work.exception() and
                                self.m.proc.returncode is not None):
            work.cancel()
            await self.over
        return await work

    async def stop(self):
        self.trap.disarm()
        await self.m.stop()

    def complaints(self):
        return "; ".join(f"{name}: {detail}"
                         for name, good, detail in self.r.checks if not good)

    def driver(self, what):
        return self.m.begin(
            "write", f"/sys/bus/pci/drivers/{self.dev.driver}/{what}",
            self.bdf)

    # ---- into the slot, and out of it -----------------------------------

    async def add(self):
        """Only that: nobody waits for the driver"""
        self.inside = True
        await self.m.slot.insert(self.dev.plug()[0])

    async def probed(self):
        """pciehp is done with the new card: bound is said before that"""
        if not await self.within(PROBED, self.m.slot.on):
            raise Failed(f"the new card is not probed in {PROBED} s")

    async def within(self, seconds, look):
        """LOOK says so in SECONDS, and what the guest had no processor for"""
        begin, starved = time.monotonic(), self.m.starved()
        while not await look(0.5):
            if (time.monotonic() - begin - self.r.waited(starved) >=
                    seconds * self.m.slow):
                return False
        return True

    async def emptied(self):
        if not await self.within(6, self.m.slot.off):
            raise Failed("pciehp never turned the slot off")
        # QEMU may hold the back end a while longer, for requests of its own
        end = time.monotonic() + 6 * self.m.slow
        while "dut" not in self.m.deleted and time.monotonic() < end:
            await asyncio.sleep(0.05)
        await self.dev.before_replug(self.m)

    async def plug(self):
        """The device, with all that is behind it, at work"""
        m = self.m
        m.deleted.clear()
        await self.add()
        driver = await self.r.bound(self.bdf)
        if driver != self.dev.driver:
            raise Failed(f"{driver} is bound")
        self.bare = False
        for child in self.dev.plug()[1:]:
            try:
                await m.device_add(child)
            except Failed as e:
                if "does not support hotplug" not in str(e):
                    raise
                self.bare = True
        await self.probed()
        await self.r.alive()
        if not self.bare:
            await self.use()
        if self.r.failed():
            raise Failed(self.complaints())

    async def use(self):
        """It works, at most so much later: its device files appear earlier"""
        r, begin, starved = self.r, time.monotonic(), self.m.starved()

        def late(seconds):
            return (time.monotonic() - begin - r.waited(starved) >
                    seconds * self.m.slow)
        while True:
            checks = len(r.checks)
            good = await r.start_load(use=True)
            r.load = []
            stat = await r.stat()
            while not all(w["ended"] for w in stat):
                if late(20):
                    return
                await asyncio.sleep(0.05)
                stat = await r.stat()
            await self.m.ask("forget")
            if good or late(10) or not all(
                    w["errno"] in NOT_YET for w in stat if w["errno"]):
                return
            del r.checks[checks:]
            await asyncio.sleep(0.2)

    async def unplug(self):
        """By a yank, when nothing goes on"""
        self.inside = False
        watch = self.m.begin("watch", self.bdf)
        when = await self.m.slot.yank()
        if not await self.r.wait("gone", watch, when):
            raise Failed("a yank of the idle device does not end")
        await self.emptied()
        self.m.deleted.clear()

    async def ready(self, plugged):
        if plugged and not self.inside:
            await self.plug()
        elif not plugged and self.inside:
            await self.unplug()
        self.loaded = False
        # Timeouts of the device are not what hangs, if it dies unnoticed
        patience = 0 if self.silent else int(10 * self.m.slow)
        if patience != self.patience:
            self.patience = patience
            await self.m.ask(
                "write", "/proc/sys/kernel/hung_task_timeout_secs", patience)

    # ---- after it has died ----------------------------------------------

    async def workers_ended(self, since, limit):
        r = self.r
        while True:
            stat = await r.stat()
            if all(w["ended"] for w in stat):
                break
            late = time.monotonic() - since - self.r.waited(self.starved)
            if late > limit:
                await r.stacks()
                break
            await asyncio.sleep(0.05)
        if r.check("ended", all(w["ended"] for w in stat), r.summary(stat)):
            await self.m.ask("forget")

    async def returned(self, commands, since, limit):
        """Whether it worked does not matter: the device is gone"""
        if not commands:
            return
        while True:
            left = (since + limit - time.monotonic() +
                    self.r.waited(self.starved))
            done, late = await asyncio.wait(commands, timeout=max(0, left))
            if not late or left <= 0:
                break
        for command in done:
            command.exception()
        if late:
            await self.r.stacks()
        self.r.check("returned", not late, f"not within {limit:.4g} s"
                     if late else "")

    async def deaf(self):
        """Has a processor lost an interrupt?  Nobody is asked if QEMU ended"""
        if self.over.done():
            return False
        try:
            return bool((await self.m.deaf())[0])
        except (Failed, OSError, QemuGone, TimeoutError):
            return False

    async def memory(self):
        """kB that the guest uses, caches left out"""
        await self.m.ask("write", "/proc/sys/vm/drop_caches", 3, timeout=15)
        await asyncio.sleep(1)      # what RCU frees
        words = (await self.m.ask("cat", "/proc/meminfo")).replace(
            "|", " ").split()
        has = {name: int(words[words.index(name + ":") + 1])
               for name in ("MemTotal", "MemFree", "Buffers", "Cached")}
        return has.pop("MemTotal") - sum(has.values())

    def new_lines(self):
        lines = self.m.console()[self.seen:]
        self.seen += len(lines)
        return lines

    async def names(self, paths):
        """The functions that addresses are in, innermost first"""
        addresses = sorted({a for path in paths for a in path})
        names = symbols.names(self.m.kernel, addresses)
        if names is None:
            names = await self.guest_names(addresses)
        return [" < ".join(names.get(a, f"{a:#x}") for a in path)
                for path in paths]

    async def guest_names(self, addresses):
        """Takes a while"""
        names = {}
        try:
            for nr in range(0, len(addresses), 500):
                part = addresses[nr:nr + 500]
                said = await self.m.ask(
                    "names", ",".join(f"{a:x}" for a in part), timeout=60)
                names |= dict(zip(part, said.split()))
        except (AgentError, TimeoutError):
            pass
        return names
