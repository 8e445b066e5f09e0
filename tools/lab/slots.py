# SPDX-License-Identifier: GPL-2.0-only
"""Slots below hotplug ports: their power, and what is read where nothing is."""

import asyncio
import os
import time

from console import ECAM, count_accesses, link_disabled
from errors import Failed

PORT, SPARE_PORT = 4, 5         # device numbers on bus 0
SHADOW = 6                      # and following: what lies below the windows
WINDOW = 2 << 20                # of a port, or a multiple; of a shadow

PCI_COMMAND, PCI_COMMAND_MEMORY = 0x04, 0x2
# What can be laid below the windows, and the BAR that is: memory, all-ones, or
# a device whose accesses can be traced.  It gives ones as well, but not for its
# first 0xa0 bytes, and to reads of one or two bytes QEMU answers 0.
SHADOW_BAR = {"ivshmem-plain": 0x18, "edu": 0x10}
TRACE = ("memory_region_ops_read", "memory_region_ops_write",
         "pci_cfg_read", "pci_cfg_write")
PCI_SECONDARY_BUS = 0x19
NO_BUS = 0xfd                   # nothing is there
PCI_MEMORY_BASE = 0x20
PCI_PREF_MEMORY_BASE, PCI_PREF_BASE_UPPER32 = 0x24, 0x28
PCI_CAPABILITY_LIST = 0x34
PCI_CAP_ID_EXP = 0x10
PCI_EXP_LNKCTL, PCI_EXP_SLTCTL = 0x10, 0x18
SLOT_OFF = 0x700                # power controller off, power indicator off
BUTTON_PRESSED = 0x1            # in Slot Status
INDICATOR_ON = 0x100            # of SLOT_INDICATOR: nothing is going on
SLOT_DARK, SLOT_INDICATOR = 0x500, 0x300        # off, indicator still on



class Port:
    """A hotplug port and its slot; NAME is of the device in it"""

    def __init__(self, m, dev, bus=0, name="dut"):
        self.m, self.dev, self.on_bus, self.name = m, dev, bus, name
        self.lit = None         # Slot Control before cut_power()

    def config(self, register):
        return ECAM + (self.on_bus << 20) + (self.dev << 15) + register

    async def config_read(self, size, register):
        return (await self.m.qtest_send(
            f"read{size} {self.config(register):#x}"))[0]

    async def setup(self):
        if await Port(self.m, 0).config_read("l", 0) & 0xffff != 0x8086:
            raise Failed(f"no host bridge in ECAM at {ECAM:#x}")
        self.port_bdf = f"0000:{self.on_bus:02x}:{self.dev:02x}.0"
        self.bus = await self.config_read("b", PCI_SECONDARY_BUS)
        self.bdf = f"0000:{self.bus:02x}:00.0"
        cap = await self.config_read("b", PCI_CAPABILITY_LIST)
        while cap and await self.config_read("b", cap) != PCI_CAP_ID_EXP:
            cap = await self.config_read("b", cap + 1)
        if not cap:
            raise Failed("the port has no PCI Express capability")
        self.lnkctl, self.sltctl = cap + PCI_EXP_LNKCTL, cap + PCI_EXP_SLTCTL

    async def windows(self):
        """First and last address of the 32 and the 64 bit window"""
        mem = await self.config_read("l", PCI_MEMORY_BASE)
        pref = await self.config_read("l", PCI_PREF_MEMORY_BASE)
        upper = await self.config_read("l", PCI_PREF_BASE_UPPER32)
        limit = await self.config_read("l", PCI_PREF_BASE_UPPER32 + 4)
        return (((mem & 0xfff0) << 16, (mem & 0xfff00000) | 0xfffff),
                ((upper << 32) | (pref & 0xfff0) << 16,
                 (limit << 32) | (pref & 0xfff00000) | 0xfffff))

    async def slot_control(self):
        address = self.config(self.sltctl)
        old = (await self.m.qtest_send(f"readw {address:#x}"))[0]
        if old & SLOT_OFF == SLOT_OFF:
            raise Failed(f"the slot is off already: Slot Control {old:#x}")
        return address, old

    async def cut_power(self):
        """Silent: without power, and no event; gives the time"""
        address, self.lit = await self.slot_control()
        when = time.monotonic()
        await self.m.qtest_send(
            f"writew {address:#x} {self.lit & ~SLOT_INDICATOR | SLOT_DARK:#x}")
        return when

    async def dark(self):
        """Without power, by cut_power()"""
        control = await self.config_read("w", self.sltctl)
        return control & SLOT_DARK == SLOT_DARK

    async def yank_commands(self):
        """What to write to pull the card out.  See pcie.c in QEMU.

        Power goes first: QEMU would complete what is in flight before it
        unplugs a device, and from a device without power nothing arrives.
        The old value comes back at once: were the slot left powered off,
        pciehp would take it for already disabled.
        """
        address, old = await self.slot_control()
        dark = old & ~SLOT_INDICATOR | SLOT_DARK
        old, self.lit = self.lit or old, None
        return (f"writew {address:#x} {dark:#x}",
                f"writew {address:#x} {dark | SLOT_OFF:#x}",
                f"writew {address:#x} {old:#x}")

    async def yank(self):
        """Surprise removal; gives the time"""
        commands = await self.yank_commands()
        when = time.monotonic()
        await self.m.qtest_send(*commands)
        if await self.m.plugged(self.name):
            raise Failed("QEMU did not unplug the device at the write of "
                         "Slot Control")
        return when

    async def yank_for_link(self, device=None):
        """Yank when the guest has set Link Disable, of which QEMU knows nothing

        A DEVICE is there again a moment later, as if it had not left the slot.
        """
        event, port = "pci_cfg_write", f"{self.on_bus:02x}:{self.dev:02x}.0"
        with open(self.m.logfile + ".err", errors="replace") as log:
            begin = log.seek(0, os.SEEK_END)
            await self.m.qmp("trace-event-set-state", name=event, enable=True)
            while not link_disabled(log, port, self.lnkctl):
                await asyncio.sleep(0.01)
                log.seek(begin)
        await self.yank()
        await self.m.qmp("trace-event-set-state", name=event, enable=False)
        if device:
            while self.name not in self.m.deleted:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.3)
            await self.insert(device)

    async def insert(self, device):
        """A card, and nothing but that

        QEMU also presses the attention button.  When pciehp is told after it
        has found the card, it takes that for a wish to have it off again.
        """
        m = self.m
        status = self.config(self.sltctl + 2)
        await m.qmp("stop")
        try:
            await m.device_add(device)
            await m.qtest_send(f"writew {status:#x} {BUTTON_PRESSED:#x}")
        finally:
            await m.qmp("cont")

    async def hide(self):
        """Neither memory nor config accesses reach the device; it lives on

        Gives what to send to bring it back.
        """
        command = self.config(PCI_COMMAND)
        secondary = self.config(PCI_SECONDARY_BUS)
        old, bus = await self.m.qtest_send(f"readw {command:#x}",
                                           f"readb {secondary:#x}")
        await self.m.qtest_send(
            f"writew {command:#x} {old & ~PCI_COMMAND_MEMORY:#x}",
            f"writeb {secondary:#x} {NO_BUS:#x}")
        return (f"writeb {secondary:#x} {bus:#x}",
                f"writew {command:#x} {old:#x}")

    async def forget(self):
        """The device has lost its state, as by a reset, but answers"""
        await self.m.qtest_send(
            f"writew {ECAM + (self.bus << 20) + PCI_COMMAND:#x} 0")

    async def off(self, timeout):
        """pciehp has turned the slot off: it is ready for a card"""
        return await self.control_is(SLOT_OFF, SLOT_OFF, timeout, 0.05)

    async def on(self, timeout):
        """pciehp is done with a new card: its driver has probed it"""
        return await self.control_is(SLOT_INDICATOR, INDICATOR_ON, timeout,
                                     0.02)

    async def control_is(self, mask, value, timeout, interval):
        end = time.monotonic() + timeout * self.m.slow
        while time.monotonic() < end:
            if await self.config_read("w", self.sltctl) & mask == value:
                return True
            await asyncio.sleep(interval)
        return False


class Shadow:
    """All-ones behind both WINDOWS of a port, or the first, from devices of MODEL"""

    def __init__(self, port, model, window, windows=2):
        self.port, self.model, self.window = port, model, window
        self.numbers = range(SHADOW, SHADOW + windows * window // WINDOW
                             if model else SHADOW)

    def arguments(self, qemu, workdir):
        ones, args = os.path.join(workdir, "ones"), []
        with open(ones, "wb") as f:
            f.write(b"\xff" * WINDOW)
        for dev in self.numbers:
            what = self.model
            if what == "ivshmem-plain":
                # -device may not share a memdev: one for each
                args += ["-object", f"memory-backend-file,id=ones{dev},"
                         f"mem-path={ones},size={WINDOW},readonly=on,share=on"
                         + qemu.rom]
                what += f",memdev=ones{dev}"
            args += ["-device", f"{what},bus=pcie.0,addr={dev:x}"]
        return args

    async def setup(self):
        """Lay it there

        The port's windows have to be added again, so that they lie on top:
        QEMU does that at any write to Command.
        """
        pieces, commands, m = [], [], self.port.m
        for base, last in await self.port.windows():
            if last + 1 - base > self.window or base % WINDOW:
                raise Failed(f"shadow: window {base:#x}-{last:#x} is not "
                             f"{self.window:#x} large, or not aligned")
            pieces += range(base, last, WINDOW)
        for dev, base in zip(self.numbers, pieces):
            below = Port(m, dev)
            bar = below.config(SHADOW_BAR[self.model])
            old = await below.config_read("w", PCI_COMMAND)
            commands += [f"writel {bar:#x} {base & 0xffffffff:#x}"]
            if self.model != "edu":
                commands += [f"writel {bar + 4:#x} {base >> 32:#x}"]
            commands += [f"writew {below.config(PCI_COMMAND):#x} "
                         f"{old | PCI_COMMAND_MEMORY:#x}"]
        old = await self.port.config_read("w", PCI_COMMAND)
        commands.append(
            f"writew {self.port.config(PCI_COMMAND):#x} {old:#x}")
        await m.qtest_send(*commands)

    async def trace(self, on):
        """Have QEMU write down each access"""
        m = self.port.m
        for event in TRACE:
            await m.qmp("trace-event-set-state", name=event, enable=on)
        await m.monitor("log " + ("invalid_mem" if on else "none"))

    def accesses(self):
        with open(self.port.m.logfile + ".err", errors="replace") as f:
            return count_accesses(f, self.port.bus)
