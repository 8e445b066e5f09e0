# SPDX-License-Identifier: GPL-2.0-only
"""What the kernel does with a device when it dies: a class for each phase.

A phase is begun, and then either over, or stopped at an access to the device.
S is the Slot that it happens in (slot.py); what the kernel cannot do there is
found out by trying, and raises Skip or AgentError.
"""

import asyncio
import time

from errors import AgentError, Skip

PHASES = {}


class Phase:
    plugged = True      # begins with a bound device in the slot
    powers_off = False  # ends the machine
    moves = False       # the ports' windows, and what is below them
    extra = 0           # seconds by which gone may be later, and still good
    loads = None        # kinds of devices that it is for, if not all

    def __init_subclass__(cls):
        PHASES[cls.name] = cls()

    def unavailable(self, dev):
        if self.loads and dev.load not in self.loads:
            return f"{dev.name} has none"
        return None

    async def prepare(self, s):
        """What comes before it"""

    async def begin(self, s):
        """Gives the commands that have to return, whatever happens"""
        return []

    async def end(self, s, commands):
        """Until it is over, when nothing happens"""
        if commands:
            await asyncio.wait(commands)
            for command in commands:
                command.result()


class Probe(Phase):
    """plugged, the driver binds"""
    name, plugged = "probe", False

    async def begin(self, s):
        await s.add()
        return []

    async def end(self, s, commands):
        await s.r.bound(s.bdf)
        await s.probed()
        # A thread that runs shows no stack: it may not be over yet.  What a
        # driver polls for ever after is no new site
        before = -1
        while (sites := len(s.trap.sites())) != before and not s.trap.fired:
            before = sites
            await asyncio.sleep(1.5 * s.m.slow)


class Load(Phase):
    """requests, one after the other: the first two seconds of them"""
    name = "load"

    def unavailable(self, dev):
        return None if dev.load else f"{dev.name} has none"

    async def prepare(self, s):
        if s.silent:
            await s.dev.short_timeouts(s.m)
        self.workers = await s.dev.workers(s.m)

    async def begin(self, s):
        s.loaded = True
        return [s.m.begin("load", *words) for words in self.workers]

    async def end(self, s, commands):
        await super().end(s, commands)
        await asyncio.sleep(2)


class Remove(Phase):
    """removal by sysfs"""
    name = "remove"

    async def begin(self, s):
        return [s.m.begin("write", f"{s.sysfs}/remove", 1)]


class Button(Phase):
    """removal by the attention button"""
    name = "button"

    async def begin(self, s):
        self.gone = s.m.begin("watch", s.bdf)
        await s.m.qmp("device_del", id="dut")
        return []

    async def end(self, s, commands):
        await self.gone


class Reset(Phase):
    """reset by sysfs"""
    name = "reset"

    async def begin(self, s):
        return [s.m.begin("write", f"{s.sysfs}/reset", 1)]


class Unbind(Phase):
    """the driver is unbound"""
    name = "unbind"

    async def begin(self, s):
        return [s.driver("unbind")]


class Bind(Phase):
    """and bound again"""
    name = "bind"

    async def prepare(self, s):
        await s.driver("unbind")

    async def begin(self, s):
        return [s.driver("bind")]


class Rescan(Phase):
    """all of PCI is scanned again"""
    name = "rescan"

    async def begin(self, s):
        return [s.m.begin("write", "/sys/bus/pci/rescan", 1)]


class UnitRescan(Phase):
    """namespaces or units are scanned again"""
    name, loads = "unit-rescan", ("disk",)

    async def prepare(self, s):
        nvme = s.dev.driver == "nvme"
        what = "class/nvme" if nvme else "class/scsi_host"
        try:
            name = (await s.m.ask("find", s.bdf, what, 1000)).split()[0]
        except AgentError:
            raise Skip("no controller of units")
        self.command = (
            ["write", f"/sys/class/nvme/{name}/rescan_controller", 1]
            if nvme else ["scan", name])

    async def begin(self, s):
        return [s.m.begin(*self.command)]


class IfUp(Phase):
    """the interface is brought up"""
    name, loads = "ifup", ("net",)
    before, command = "ifdown", "ifup"

    async def prepare(self, s):
        self.netdev = await s.dev.find(s.m, "class/net")
        await s.m.ask(self.before, self.netdev, timeout=15)

    async def begin(self, s):
        return [s.m.begin(self.command, self.netdev)]

    async def end(self, s, commands):
        await super().end(s, commands)
        await asyncio.sleep(0.5)


class IfDown(IfUp):
    """the interface is brought down"""
    name = "ifdown"
    before, command = "ifup", "ifdown"


class VfsOn(Phase):
    """two virtual functions are made"""
    name, number = "sriov-on", 2

    async def prepare(self, s):
        try:
            await s.m.ask("cat", f"{s.sysfs}/sriov_numvfs")
        except AgentError:
            raise Skip(f"{s.dev.name} has none")

    async def begin(self, s):
        return [s.m.begin("write", f"{s.sysfs}/sriov_numvfs", self.number)]


class VfsOff(VfsOn):
    """they are taken away"""
    name, number = "sriov-off", 0

    async def prepare(self, s):
        await super().prepare(s)
        await s.m.ask("write", f"{s.sysfs}/sriov_numvfs", 2, timeout=15)


class Suspend(Phase):
    """to memory and back, as pm_test=devices does it"""
    name, state, test, extra = "suspend", "mem", "devices", 4
    moves = True

    async def prepare(self, s):
        try:
            for path, value in (
                    ("/sys/power/pm_test", self.test),
                    ("/sys/module/suspend/parameters/pm_test_delay", 1),
                    ("/sys/module/printk/parameters/console_suspend", "N")):
                await s.m.ask("write", path, value)
            states = await s.m.ask("cat", "/sys/power/state")
        except AgentError as e:
            raise Skip(f"this kernel cannot suspend ({e})")
        if self.state not in states:
            raise Skip(f"this kernel has no {self.state}: {states}")

    async def begin(self, s):
        return [s.m.begin("write", "/sys/power/state", self.state)]


class S2Idle(Suspend):
    """to idle and back, as pm_test=platform does it"""
    name, state, test = "s2idle", "freeze", "platform"


class RuntimeSuspend(Phase):
    """the idle device is suspended"""
    name = "runtime-suspend"

    async def prepare(self, s):
        if s.dev.load == "net":         # without a link, it is idle
            await s.m.qmp("set_link", name="dut", up=False)
            await s.m.ask("ifup", await s.dev.find(s.m, "class/net"),
                          timeout=15)

    async def begin(self, s):
        return [s.m.begin("write", f"{s.sysfs}/power/control", "auto")]

    async def end(self, s, commands):
        await super().end(s, commands)
        await self.until(s, "suspended")

    async def until(self, s, state):
        end = time.monotonic() + 12
        while time.monotonic() < end:
            status = await s.m.ask("cat", f"{s.sysfs}/power/runtime_status")
            if status == state + "|":
                return
            await asyncio.sleep(0.1)
        raise Skip(f"{s.dev.name} stays " + status.strip("|"))


class RuntimeResume(RuntimeSuspend):
    """and resumed"""
    name = "runtime-resume"

    async def prepare(self, s):
        await super().prepare(s)
        await s.m.ask("write", f"{s.sysfs}/power/control", "auto")
        await self.until(s, "suspended")

    async def begin(self, s):
        return [s.m.begin("write", f"{s.sysfs}/power/control", "on")]

    async def end(self, s, commands):
        await Phase.end(self, s, commands)
        await self.until(s, "active")


class Recovery(Phase):
    """a fatal error is reported by the port"""
    name = "recovery"

    async def begin(self, s):
        self.lines = len(s.m.console())
        await s.m.monitor(f"pcie_aer_inject_error {s.dev.port} SDN")
        return []

    async def end(self, s, commands):
        end = time.monotonic() + 15
        while time.monotonic() < end:
            if any("device recovery " in line
                   for line in s.m.console()[self.lines:]):
                return
            await asyncio.sleep(0.1)
        raise Skip("no end of a recovery is reported")


class Shutdown(Phase):
    """power off; QEMU has to end"""
    name, powers_off = "shutdown", True

    async def begin(self, s):
        s.m.begin("power", "off")
        return []

    async def end(self, s, commands):
        await s.m.proc.wait()
