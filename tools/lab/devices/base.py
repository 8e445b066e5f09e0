# SPDX-License-Identifier: GPL-2.0-only
"""What any device in the slot has."""

import asyncio
import time

from errors import AgentError, Failed
from slots import PORT, WINDOW

DEVICES = {}
LOAD = 20               # for a load to get going


class Device:
    """What stands in the slot

    ALIVE is a BAR, an offset, and bits of which one is set in a device whose
    driver has started it.
    """
    children = ()           # devices behind it
    window = WINDOW         # what its BARs need, at most (see machine.py)
    windows = 2             # that have BARs in them: 1 is that for 32 bit addresses
    scenarios = None        # those it is meant for, if not all
    load = None             # what kind of load it can have
    driver = "virtio-pci"
    alive = 4, 0x14, 0x4    # virtio: device_status, DRIVER_OK
    virtio = True
    moments = {}            # a function: for in_*, when it is to be yanked
    props = {}
    port = f"port{PORT}"    # the hotplug port that it is below
    swept = True            # can it be plugged over and over? (see sweep)
    # Else a disk of a subsystem is not below its controller, in sysfs
    cmdline = "nvme_core.multipath=N"

    def __init__(self, name, model, **attributes):
        self.name, self.model = name, model
        self.__dict__.update(attributes)

    def models(self):
        return [device["driver"] for device in self.plug()]

    def unavailable(self, qemu):
        """Why this machine cannot do it, or None"""
        for model in self.models():
            if model not in qemu.devices:
                return f"QEMU {qemu.number} has no {model}"
        return None

    def plug(self):
        """-device and device_add, in this order"""
        return [{"driver": self.model, "id": "dut", "bus": f"port{PORT}",
                 **self.props}, *self.children]

    async def backends(self, m):
        """Before QEMU starts: gives its arguments"""
        return []

    async def before_replug(self, m):
        """Before the device is plugged again"""

    async def functions(self, m):
        """The functions that have BARs; ALIVE is of the first"""
        return [m.slot.bdf]

    async def find(self, m, what, good=lambda name: True, bdf=None):
        end = time.monotonic() + LOAD
        while time.monotonic() < end:
            try:
                names = await m.ask("find", bdf or m.slot.bdf, what, 1000)
            except AgentError:
                continue
            for name in sorted(names.split(), key=len):
                if good(name):
                    return name
            await asyncio.sleep(0.05)
        raise Failed(f"no {what} appeared for the device")

    async def workers(self, m, use=False):
        """(KIND, HOW MANY, COUNT, PATH) of each sort of worker

        USE: few and finite, to see whether the device works.
        """
        return []

    async def slow_down(self, m, per_second):
        """Make requests wait, so that some are pending at any time"""

    async def drop_pending(self, m):
        """Just before the yank: lose what is pending, as hardware does"""

    async def short_timeouts(self, m):
        """Before any load: let its timeouts be short"""

    async def add_vfs(self, m, number):
        """Gives where they are"""
        pf = f"/sys/bus/pci/devices/{m.slot.bdf}"
        await m.ask("write", f"{pf}/sriov_numvfs", number, timeout=15)
        offset, stride = [
            int((await m.ask("cat", f"{pf}/sriov_{what}")).strip("|"))
            for what in ("offset", "stride")]
        ids = [(m.slot.bus << 8) + offset + nr * stride for nr in range(number)]
        return [f"0000:{nr >> 8:02x}:{nr >> 3 & 31:02x}.{nr & 7}"
                for nr in ids]

    async def vf_workers(self, m, vf):
        """As above"""

    async def check_data(self, m, r):
        """What was acknowledged must be there"""


ANY = 0xffffffff

NATIVE = {"virtio": False}


def add(*devices):
    """Makes them known to the lab"""
    for device in devices:
        DEVICES[device.name] = device
