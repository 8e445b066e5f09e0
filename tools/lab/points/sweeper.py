# SPDX-License-Identifier: GPL-2.0-only
"""The order of a sweep: which points, in which machine, and once more."""

import asyncio
import os
import random
import sys
import tempfile
import time
import traceback

from errors import AgentError, Failed, QemuGone, Skip
from guest import build_initramfs
from points import choose, trap
from points.bench import Bench
from points.phases import PHASES
from points.point import GOOD, count, leave, try_point
from points.results import LATE, Row

HERE = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))


# Where a device is not in the slot when a phase begins, it is not worked with
# after each point, which takes longer than the point: only after so many.
TOGETHER = 5

INSTEAD = 4


class Sweep:
    def __init__(self, args, qemu, devices, phases):
        self.args, self.qemu = args, qemu
        self.devices, self.phases = devices, phases
        self.rows, self.kernel = [], None
        self.begin = time.monotonic()
        self.tried, self.planned = 0, 0
        self.before = {}        # rows of earlier runs, to go on with
        self.save = lambda: None

    def print(self, text):
        print(text, flush=True)

    def progress(self, row, point, outcome):
        """On stderr: where it is, and when it will be over"""
        self.tried += 1
        gone = time.monotonic() - self.begin
        # Those not counted yet have as many as the others
        share = len(self.rows) / max(1, self.total)
        left = ((self.planned / max(share, 0.01) - self.tried) * gone /
                self.tried)
        print(f"# {row.name} {point}: {outcome.verdict}"
              + (f" ({outcome.times['gone']:.2f} s)" if "gone" in
                 outcome.times else "")
              + f"; {self.tried} points in {gone / 60:.0f} min, about "
              f"{max(left, 0) / 60:.0f} min left", file=sys.stderr, flush=True)

    def late(self):
        return self.args.minutes and (time.monotonic() - self.begin >
                                      60 * self.args.minutes)

    # ---- machines -------------------------------------------------------

    async def bench(self, dev, name):
        """A fresh machine, when there is none"""
        for left in (2, 1, 0):
            self.benches += 1
            log = os.path.join(self.args.log_dir, f"{name}.{self.benches}.log")
            tmp = tempfile.mkdtemp(dir=self.workdir)
            for path in (log, log + ".err"):
                open(path, "w").close()
            b = Bench(dev, self.args, self.qemu, self.args.kernel,
                      self.initramfs, self.plugin, self.args.mmio, tmp, log)
            self.running[asyncio.current_task()] = b
            try:
                await b.start()
                self.kernel = b.r.kernel
                return b
            except (QemuGone, Failed, TimeoutError) as e:
                await b.stop()
                if not left:
                    raise Failed(f"does not start: {e}")

    async def attempt(self, dev, row, phase, point, b, use=True):
        """Gives the outcome, and the machine if it can go on

        What fails is repeated in a fresh machine.  A lost interrupt, and an
        end of QEMU, are no results.
        """
        failed, aborts, strange = False, 0, 0
        while True:
            whole = phase.name in ("load", "unit-rescan")
            if b and (whole and b.bare or phase.powers_off and b.points):
                await b.stop()
                b = None
            if not b:
                b = await self.bench(dev, row.name)
            b.silent = row.dying == "silent"
            row.limit = max(row.limit, round(b.limits.gone, 1))
            fresh = not b.points
            try:
                async with asyncio.timeout(b.limits.total):
                    trying = try_point(b, phase, point, use or fresh,
                                       row.code)
                    outcome = await (trying if phase.powers_off else
                                     b.guard(trying))
                if not outcome.bad:
                    if outcome.verdict == "missed" and not phase.powers_off:
                        async with asyncio.timeout(b.limits.total):
                            await b.guard(leave(b, phase))
                    elif phase.powers_off:
                        await b.stop()
                        b = None
                    row.unrepeated += failed
                    return outcome, b
                reason = "; ".join(outcome.wrong)
            except QemuGone as e:
                aborts, outcome, reason = aborts + 1, None, str(e)
            except (Failed, AgentError, TimeoutError) as e:
                # Before or after the point itself
                strange, outcome = strange + 1, None
                reason = f"{type(e).__name__}: {e}"
            await self.name(b, outcome)
            deaf = outcome.deaf if outcome else await b.deaf()
            await b.stop()
            b = None
            if outcome and fresh and not deaf:
                return outcome, None
            self.print(f"# {row.name} {point}: {reason}; "
                       + ("a processor has lost an interrupt; " if deaf else "")
                       + "once more, in a fresh machine")
            failed = failed or bool(outcome and not deaf)
            if aborts > 2 or strange > 2:
                if aborts > 2:
                    row.qemu += 1
                    row.tried[str(point)] = "qemu"
                row.untried += strange > 2
                raise Skip(reason)

    async def name(self, b, outcome):
        if outcome and outcome.where:
            site = next((s for s in b.trap.sites()
                         if s.id == outcome.where[1]), None)
            outcome.site = (await b.names([site.path]))[0] if site else "?"

    # ---- a phase --------------------------------------------------------

    def choose(self, number, sites, tried):
        args, rng = self.args, self.rng
        if args.points:
            return choose.parse(args.points)
        if args.soak:
            return choose.again(number, args.handful, rng)
        if args.handful:
            # One that is missed has others in its place
            return choose.handful(sites, INSTEAD * args.handful, rng)
        if args.step:
            return choose.stepped(number, args.step, rng)
        return choose.of_sites(sites, rng, tried)

    async def phase(self, dev, phase, dying, b):
        row = self.before.get(f"{dev.name}.{phase.name}.{dying}")
        if not row or row.broken:
            row = Row(dev.name, phase.name, dying)
        self.rows.append(row)
        if row.over:
            self.finished(row)
            return b
        row.untried, begin = 0, time.monotonic()
        try:
            row.skipped = (phase.unavailable(dev) or
                           (LATE if self.late() and not row.points else None))
            if not row.skipped and not self.late():
                b = await self.points(dev, row, phase, b)
        except Skip as e:
            row.skipped = str(e)
        except AgentError as e:
            row.skipped = f"the kernel cannot do it: {e}"
        except QemuGone as e:
            if e.signal:
                row.skipped = f"QEMU cannot do it: {e}"
            else:
                row.broken = str(e)
        except (Failed, TimeoutError) as e:
            row.broken = str(e) or "it hangs, with the device there"
        if row.skipped or row.broken:
            b = self.running.pop(asyncio.current_task(), None)
            if b:
                await b.stop()      # whatever state it is in
            b = None
        row.seconds = round(row.seconds + time.monotonic() - begin, 1)
        self.finished(row)
        return b

    async def count(self, b, row, phase):
        """What a phase has for sites, and an empty slot after it"""
        b.silent = False
        async with asyncio.timeout(b.limits.total):
            counting = count(b, phase)
            row.accesses, sites = await (
                counting if phase.powers_off else b.guard(counting))
        if phase.powers_off:
            row.names = [f"{s.id:08x}" for s in sites]
            return sites
        names = await b.names([s.path for s in sites])
        row.names = [f"{s.id:08x} x{s.times}: {name}"
                     for s, name in zip(sites, names)]
        async with asyncio.timeout(b.limits.total):
            await b.guard(leave(b, phase))
        return sites

    async def points(self, dev, row, phase, b):
        for left in (2, 1, 0):
            if b and (phase.powers_off or b.bare):
                await b.stop()
                b = None
            if not b:
                b = await self.bench(dev, row.name)
            try:
                sites = await self.count(b, row, phase)
                break
            except (Failed, QemuGone, TimeoutError) as e:
                self.print(f"# {row.name}, with no yank: {e}" + (
                    "; a processor has lost an interrupt" if await b.deaf()
                    else ""))
                await b.stop()
                b = None
                if not left:
                    raise
        row.sites, row.code = len(sites), {s.path[0] for s in sites}
        if not sites:
            raise Skip("it does not access the device")
        if phase.powers_off:
            await b.stop()
            b = None
        had = len(row.tried)
        chosen = self.choose(row.accesses, sites, row.tried)
        planned = min(len(chosen), self.args.handful or len(chosen))
        row.planned = had + planned
        self.planned += planned
        print(f"# {row.name}: {row.accesses} accesses, {row.sites} sites, "
              f"{row.planned} points" + (f", {had} of them tried" if had else
                                         ""), file=sys.stderr, flush=True)
        soak = self.args.soak and not phase.powers_off
        return await (self.soak if soak else self.each)(dev, row, phase, chosen,
                                                        b)

    async def soak(self, dev, row, phase, chosen, b):
        """And what memory it takes, if all of it was in one machine"""
        first, before = b, await b.memory()
        b = await self.each(dev, row, phase, chosen, b)
        if b is first:
            await b.guard(b.ready(False))
            row.kept_kB = await b.memory() - before
        else:
            row.unmeasured = 1
            self.print(f"# {row.name}: WHAT MEMORY IT TAKES IS NOT KNOWN: a "
                       "machine was replaced")
        return b

    async def each(self, dev, row, phase, chosen, b):
        """Point after point; gives the last machine"""
        unsure = []     # points that went well, if the device works again
        for nr, point in enumerate(chosen):
            if row.points + len(unsure) == self.args.handful:
                break
            if self.late():
                self.print(f"# {row.name}: out of time after {nr} of "
                           f"{len(chosen)} points")
                break
            use = (phase.plugged or nr + 1 == len(chosen) or
                   len(unsure) + 1 >= TOGETHER)
            had = b
            outcome, b = await self.counted(dev, row, phase, point, b, use)
            if b is not had:
                # Something went wrong: by the fault of one before?
                for one, _ in unsure:
                    _, b = await self.counted(dev, row, phase, one, b, True)
                unsure = []
            if outcome and outcome.verdict == GOOD:
                if outcome.used or phase.powers_off:
                    for one, before in unsure:
                        row.add(one, before)
                    unsure = []
                else:
                    unsure.append((point, outcome))
        if unsure:
            async with asyncio.timeout(b.limits.total):
                await b.guard(b.plug())
            for one, before in unsure:
                row.add(one, before)
        if not row.points and self.late():
            row.skipped = LATE
        return b

    async def counted(self, dev, row, phase, point, b, use):
        """A point, into the row, unless it is good but the device not used"""
        try:
            outcome, b = await self.attempt(dev, row, phase, point, b, use)
        except Skip as e:
            self.print(f"# {row.name} {point}: left out: {e}")
            return None, None
        if outcome.verdict != GOOD or outcome.used or phase.powers_off:
            row.add(point, outcome)
        self.progress(row, point, outcome)
        if outcome.bad:
            row.failing.append({
                "point": str(point), "verdict": outcome.verdict,
                "access": outcome.where[0],
                "write": outcome.where[3],
                "site": getattr(outcome, "site", "?"),
                "wrong": outcome.wrong, "notes": outcome.notes,
                "repeat": self.repeat(row, point)})
        return outcome, b

    def repeat(self, row, point):
        return (f"tools/lab/sweep --kernel {self.args.kernel} --devices "
                f"{row.device} --phases {row.phase} --dying {row.dying} "
                f"--mmio {self.args.mmio} --points {point}")

    def finished(self, row):
        self.done.append(row)
        for line in row.ktap(len(self.done)):
            self.print(line)
        self.save()

    # ---- all ------------------------------------------------------------

    async def unit(self, dev, phases):
        b = None
        try:
            for name in phases:
                for dying in self.args.dying:
                    b = await self.phase(dev, PHASES[name], dying, b)
        except Exception:
            self.bug = True
            self.print("\n".join(f"# {line}" for line in
                                 traceback.format_exc().splitlines()))
        finally:
            if b:
                await b.stop()

    async def worker(self):
        while self.left:
            await self.unit(*self.left.pop(0))

    async def all(self):
        args = self.args
        self.rng = random.Random(args.seed)
        self.benches, self.done, self.bug = 0, [], False
        self.running = {}       # the last machine of each worker
        self.left = []
        for dev in self.devices:
            reason = dev.unavailable(self.qemu)
            if reason:
                self.print(f"# {dev.name}: left out: {reason}")
            elif len(self.devices) < args.jobs:
                self.left += [(dev, [name]) for name in self.phases]
            else:
                self.left.append((dev, self.phases))
        if args.handful:        # time may be short: not always for the same
            self.rng.shuffle(self.left)
        self.total = sum(len(phases) for _, phases in self.left) * len(
            args.dying)
        self.print(f"KTAP version 1\n1..{self.total}\n# {self.qemu.version}, "
                   f"seed {args.seed}, consoles in {args.log_dir}")
        os.makedirs(args.log_dir, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="sweep-") as self.workdir:
            self.initramfs = build_initramfs(os.path.join(HERE, "init"),
                                             self.workdir)
            self.plugin = trap.build(self.workdir)
            async with asyncio.TaskGroup() as group:
                for _ in range(args.jobs):
                    group.create_task(self.worker())
