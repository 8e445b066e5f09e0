# SPDX-License-Identifier: GPL-2.0-only
"""One device in one scenario: the checks, and what they rest on."""

import asyncio
import copy
import json
import os
import time

from devices.base import LOAD
from errors import AgentError, Failed, QemuGone
from gdb import Gdb
from scenarios import SCENARIOS

STACKS_AFTER = 3        # seconds after which a missing end is looked into

BOOT = 180
SLOWEST = 12            # times slower; beyond that it is no slow machine, but ill
LIMITS = "gone", "hang", "total", "silent", "off"
CYCLE = 20              # of a scenario that does the same again and again


def seconds(text):
    """As argparse wants it: an error has it name the option"""
    if not float(text) > 0:
        raise ValueError(text)
    return float(text)


def add_pace(add):
    add("--pace", type=seconds, metavar="SECONDS",
        help="these limits are for who boots in that time; a boot that takes\n"
        "n times as long makes them n times as long")


class Run:
    """One device in one scenario: the checks, and what they rest on"""

    def __init__(self, m, dev, mode, limits):
        self.m, self.mode, self.limits = m, mode, limits
        self.dev = copy.copy(dev)   # what it has and does here is its own
        self.checks, self.notes, self.times = [], [], {}
        self.counts = {}
        self.whole = None       # the timeout of all of it
        self.stuck = False      # something did not end: stacks were taken
        self.deaf = False       # and a processor has lost an interrupt
        self.excused = False    # late, but this machine may be why
        self.off = False        # the machine has powered off
        self.load = []          # workers started, by first index and kind

    def check(self, name, good, detail=""):
        self.checks.append((name, bool(good), detail))
        return bool(good)

    def failed(self):
        return any(not good for _, good, _ in self.checks)

    async def stacks(self):
        if not self.stuck:
            self.stuck = True
            # From outside: a processor that spins does not say so itself.
            for _ in range(2):
                state = await self.m.monitor("info registers -a")
                self.notes += [line.strip() for line in state.splitlines()
                               if line.startswith(("CPU#", "RIP="))]
                await asyncio.sleep(0.2)
            deaf, apics = await self.m.deaf()
            self.deaf = bool(deaf)
            self.notes += [*apics, *(f"CPU#{nr} has lost an interrupt"
                                     for nr in deaf)]
            self.notes += ["blocked tasks:", *await self.m.blocked()]
            if any("-pciehp " in line for line in self.notes):
                return
            try:
                # It may poll, and not have been asleep just then
                stack = await self.m.ask("stack", "pciehp", "pciehp_ist", 200)
                self.notes += ["pciehp:", *stack.strip("|").split("|")]
            except (AgentError, TimeoutError):
                self.notes.append("pciehp: idle")

    # ---- before ---------------------------------------------------------

    async def bound(self, bdf, seconds=15):
        """The driver is bound, and it is the right one"""
        return await self.m.ask("bound", bdf,
                                int(seconds * 1000 * self.m.slow),
                                timeout=seconds + 3)

    async def booted(self, ready):
        """The guest's init has said so"""
        m = self.m
        begin = time.monotonic()
        try:
            async with asyncio.timeout(limit := getattr(
                    self.limits, "boot", BOOT)):
                await ready
        except TimeoutError:
            error = QemuGone(f"no report from the guest's init in {limit} s, "
                             f"the console ends {m.console()[-1:]}")
            error.signal = 0
            raise error
        self.times["boot"] = time.monotonic() - begin
        self.take_time(self.times["boot"])
        self.kernel = await m.ask("uname")
        for name, value in (("hung_task_timeout_secs", int(8 * m.slow)),
                            ("hung_task_check_interval_secs", 2),
                            ("hung_task_warnings", -1)):
            await m.ask("write", f"/proc/sys/kernel/{name}", value)
        await m.slot.setup()
        await m.spare.setup()

    def take_time(self, boot):
        """Limits are for who boots within the pace: if it was slower, so are we"""
        pace = getattr(self.limits, "pace", None)
        if not pace:
            return
        self.m.slow = slow = min(max(1, boot / pace), SLOWEST)
        self.limits = copy.copy(self.limits)
        for name in LIMITS:
            if hasattr(self.limits, name):
                setattr(self.limits, name, getattr(self.limits, name) * slow)
        if self.whole:
            self.whole.reschedule(asyncio.get_running_loop().time() +
                                  self.limits.total)

    async def setup(self, ready):
        m, dev = self.m, self.dev
        await self.booted(ready)
        driver = await self.bound(m.slot.bdf)
        if not self.check("bound", driver == dev.driver,
                          f"driver {driver} at {m.slot.bdf}"):
            raise Failed("not the driver that this is about")
        if self.mode == "ones":
            await m.shadow.setup()
        await self.alive()

    async def probed(self):
        """pciehp is done with the new card: bound is said before that"""
        for _ in range(100):
            try:
                await self.m.ask("stack", "pciehp", "pciehp_configure", 700)
            except AgentError:
                return
            await asyncio.sleep(0.1)
        raise Failed("the new card is not probed in 10 s")

    async def alive(self):
        """Where the BARs are, and that the device itself answers there"""
        m = self.m
        self.bars = self.dev.bars = {}
        functions = await self.dev.functions(m)
        for bdf in functions:
            lines = await m.ask("cat", f"/sys/bus/pci/devices/{bdf}/resource")
            for nr, line in enumerate(lines.split("|")[:6]):
                start, end, flags = (int(x, 16) for x in line.split())
                if flags & 0x200:
                    self.bars[bdf, nr] = start, end - start + 1
        nr, offset, bits = self.dev.alive
        end = time.monotonic() + LOAD * self.m.slow
        while True:
            # "driver" is in sysfs before the driver has done its work
            value = (await m.ask(
                "peek", f"{self.bars[functions[0], nr][0] + offset:x}", 4)
                ).split()[0]
            good = value != "ffffffff" and int(value, 16) & bits
            if good or time.monotonic() > end:
                break
            await asyncio.sleep(0.05)
        if not self.check("answers", good, f"BAR {nr} + {offset:#x}: {value}"):
            raise Failed("the device does not answer before the yank")

    async def start_load(self, use=False, workers=None):
        """Workers, once they all are at work"""
        m = self.m
        first = len(await self.stat())
        new = []
        for kind, number, count, path in (
                workers or await self.dev.workers(m, use)):
            await m.ask("load", kind, number, count, path)
            new.append((first, kind))
            first += number
        if not new:     # it has none
            return True
        self.load += new
        end = time.monotonic() + LOAD * self.m.slow
        while True:
            stat = await self.stat()
            mine = stat[new[0][0]:]
            if use:
                if all(w["ended"] for w in mine):
                    return self.check(
                        "used", not any(w["failed"] or w["bad"] or w["errno"]
                                        for w in mine), self.summary(mine))
            else:
                # Of a kind, the first has got through, and all are there
                if (all(stat[nr]["ok"] for nr, kind in new) and
                        all(w["submitted"] for w in mine)):
                    break
            if (any(w["ended"] and not w["ok"] for w in mine) or
                    time.monotonic() > end):
                self.check("used" if use else "load", False, self.summary(stat))
                if use:
                    return False
                raise Failed("the load does not run")
            await asyncio.sleep(0.05)
        self.check("load", not any(w["ended"] for w in mine),
                   self.summary(mine))

    async def stat(self):
        fields = "submitted", "ok", "failed", "bad", "lost", "ended", "errno"
        return [dict(zip(fields, map(int, worker.split(","))))
                for worker in (await self.m.ask("stat")).split()]

    async def until(self, good, seconds=None):
        """Were the workers GOOD within SECONDS, and what have they done?"""
        end = time.monotonic() + (seconds or LOAD * self.m.slow)
        while not good(stat := await self.stat()):
            if time.monotonic() > end:
                return False, stat
            await asyncio.sleep(0.05)
        return True, stat

    @staticmethod
    def pending(stat):
        return sum(w["submitted"] - w["ok"] - w["failed"] - w["lost"]
                   for w in stat)

    def summary(self, stat):
        def total(field):
            return sum(w[field] for w in stat)
        errors = sorted({w["errno"] for w in stat
                         if w["failed"] or w["errno"]})
        return (f"{total('submitted')} submitted, {total('ok')} ok, "
                f"{total('failed')} failed, {total('bad')} bad, "
                f"{self.pending(stat)} in flight, {total('ended')} of "
                f"{len(stat)} workers ended"
                + (", errors " + " ".join(os.strerror(e) if e else "EOF"
                                          for e in errors) if errors else ""))

    async def pending_now(self, enough=1):
        """Requests are in flight; NICs have nobody waiting for a frame"""
        if self.dev.load in (None, "net"):
            return
        good, stat = await self.until(
            lambda stat: self.pending(stat) >= enough, 5 * self.m.slow)
        self.check("in-flight", good, self.summary(stat))

    # ---- yank and after -------------------------------------------------

    async def yank(self, watch=None):
        """Gives (time, future of its vanishing)"""
        watch = watch or self.m.begin("watch", self.m.slot.bdf)
        when = await self.m.slot.yank()
        return when, watch

    async def check_reads(self):
        """What the BARs of the vanished device read as, all of them"""
        want = "ffffffff" if self.mode == "ones" else "00000000"
        seen = []
        for (bdf, nr), (start, size) in self.bars.items():
            values = await self.m.ask("peek", f"{start:x}",
                                      f"{min(size, 4096):x}")
            seen.append((f"{bdf} BAR {nr}", values))
        self.check("mmio", all(v == f"{want} {want}" for _, v in seen),
                   "and, or of what the BARs read: "
                   + ", ".join(f"{bar}: {v}" for bar, v in seen))

    async def wait(self, name, future, begin, limit=None, since=None,
                   starved=None):
        """Wait for a command of the agent, look into it when it is late

        The time counts from BEGIN, the bound for a hang from SINCE. STARVED is
        m.starved() at BEGIN, if what it has risen by does not count.
        """
        hang = self.limits.hang
        for bound in (STACKS_AFTER * self.m.slow, hang):
            while True:
                left = ((since or begin) + bound - time.monotonic() +
                        self.waited(starved))
                done, _ = await asyncio.wait([future], timeout=max(left, 0))
                if done or left <= 0:
                    break
            if done:
                break
            await self.stacks()
        if not done:
            return self.check(name, False, f"not within {hang:.4g} s")
        try:
            seconds = (await future)[0] - begin
            waited = min(self.waited(starved), seconds)
            seconds -= waited
        except AgentError as e:
            return self.check(name, False, str(e))
        self.times[name] = seconds
        limit = limit or hang + (since or begin) - begin
        self.excused |= seconds <= limit < seconds + waited
        return self.check(name, seconds <= limit,
                          f"{seconds:.2f} s, at most {limit:.4g} s"
                          + (f" (and {waited:.2f} s without a processor)"
                             if waited >= 0.1 else ""))

    def waited(self, starved):
        return 0 if starved is None else max(0, self.m.starved() - starved)

    async def ended(self, since, patience=0):
        """All I/O ended: all workers, each with an error

        Drivers may wait for PATIENCE seconds, which have nothing to do with
        how fast the machine is.
        """
        if not self.load:
            return
        since += patience
        while True:
            stat = await self.stat()
            done = all(w["ended"] for w in stat)
            late = time.monotonic() - since
            if done or late > self.limits.hang:
                break
            if late > STACKS_AFTER * self.m.slow:
                await self.stacks()
            await asyncio.sleep(0.05)
        self.times.setdefault("ended", late + patience)
        self.check("ended", done and not any(
            w["bad"] or not w["failed"] for w in stat), self.summary(stat))

    def begin_remove(self):
        return self.m.begin("write",
                            f"/sys/bus/pci/devices/{self.m.slot.bdf}/remove", 1)

    async def rescan(self):
        """What was removed by sysfs comes back and is bound"""
        command = self.m.begin("write", "/sys/bus/pci/rescan", 1)
        if await self.wait("rescan", command, time.monotonic()):
            try:
                self.check("slot",
                           await self.bound(self.m.slot.bdf, 10) == self.dev.driver)
            except AgentError as e:
                self.check("slot", False, str(e))

    async def check_slot(self):
        """The slot takes another card, and its driver binds"""
        m = self.m
        hangs = any(name == "gone" and not good and name not in self.times
                    for name, good, _ in self.checks)
        if await m.slot.off(0.5 if hangs else 6):
            await self.check_card(m.slot)
        else:
            # The rescan lock is shared by all slots: does it hold up others?
            control = await m.slot.config_read("w", m.slot.sltctl)
            self.check("slot", False, "pciehp never turned it off, Slot "
                                      f"Control {control:#x}")
            if not hangs:
                await self.stacks()
            await self.check_card(m.spare)

    async def check_card(self, slot):
        """It takes a card, and its driver binds"""
        m = self.m
        await m.device_add({"driver": "virtio-rng-pci", "id": "probe",
                            "bus": f"port{slot.dev}", "rng": "probe"})
        begin = time.monotonic()
        try:
            await self.bound(slot.bdf, 10 if slot is m.slot else 3)
            detail = f"bound in {time.monotonic() - begin:.1f} s"
        except (AgentError, TimeoutError):
            detail = None
            await self.stacks()
        if slot is m.slot:
            self.check("slot", detail, detail or "a new card is not bound")
        else:
            self.notes.append("another slot: " + (detail or "hangs as well"))

    async def on_console(self, text, seconds=10, times=1):
        """The kernel has said so on the console, and so often"""
        end = time.monotonic() + seconds * self.m.slow
        while time.monotonic() < end:
            if sum(text in line for line in self.m.console()) >= times:
                return True
            await asyncio.sleep(0.05)
        return False

    async def power_off(self, dies=None):
        """The machine powers off; QEMU stays, stopped; the device may die"""
        m = self.m
        await m.qmp("set-action", shutdown="pause")
        begin = time.monotonic()
        m.begin("power", "off")
        if dies:
            await asyncio.sleep(dies)
            await m.slot.cut_power()
        while not self.off and time.monotonic() < begin + self.limits.hang:
            await asyncio.sleep(0.1)
            self.off = (await m.qmp("query-status"))["status"] == "shutdown"
        self.times["off"] = time.monotonic() - begin
        if not self.off:
            await self.stacks()
        self.check("off", self.off, f"{self.times['off']:.1f} s, at most "
                                    f"{self.limits.hang:.4g} s")

    async def finish(self):
        m = self.m
        if self.off:
            return self.check_console()
        try:
            await m.ask("uname")
            self.check("guest", True)
        except (TimeoutError, AgentError):
            self.check("guest", False, "the agent does not answer any more")
        self.check_console()

    def check_console(self):
        splats = self.m.splats()
        self.check("console", not splats, f"{len(splats)} complaints"
                   + "".join(f"; {line}" for line in splats[:3]))


async def run(r, name):
    m, dev = r.m, r.dev
    args = ["-object", "rng-builtin,id=probe", *await dev.backends(m)]
    if SCENARIOS[name].prepare:
        await SCENARIOS[name].prepare(r)
    controller, *others = dev.plug()
    beside = SCENARIOS[name].beside
    if beside:
        # Else a function with ARI (igb) would say that it is the only one
        controller |= {"multifunction": True, "x-pcie-ari-nextfn-1": True}
        others += [{"bus": controller["bus"], **device} for device in beside]
    for device in controller, *others:
        args += ["-device", json.dumps(device)]
    if name in dev.moments:
        r.gdb = Gdb(m)
    # The ports come first on QEMU's command line, see start()
    ready = await m.start(args, dev.cmdline)
    if name in dev.moments:
        await r.gdb.connect()
    over = asyncio.create_task(m.gone())
    work = asyncio.create_task(drive(r, name, ready))
    m.tasks += [over, work]
    await asyncio.wait([over, work], return_when=asyncio.FIRST_COMPLETED)
    # A crash of QEMU is not a hang of the guest: it goes first
    if over.done() or (work.exception() and m.proc.returncode is not None):
        work.cancel()
        await over
    await work


async def drive(r, name, ready):
    r.limits = copy.copy(r.limits)
    r.limits.total += SCENARIOS[name].patience
    if SCENARIOS[name].cycles:
        r.limits.total += CYCLE * r.limits.cycles
    try:
        async with asyncio.timeout(BOOT + r.limits.total) as r.whole:
            try:
                if SCENARIOS[name].booting:
                    await SCENARIOS[name](r, ready)
                else:
                    await r.setup(ready)
                    await SCENARIOS[name](r)
            except TimeoutError:
                await r.stacks()
                r.check("answered", False, "an answer did not come in time")
            except (Failed, AgentError) as e:
                r.check("went-through", False, str(e))
            await r.finish()
    except TimeoutError:
        r.check("total", False, f"took more than {r.limits.total:.4g} s")
