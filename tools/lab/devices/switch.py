# SPDX-License-Identifier: GPL-2.0-only
"""A switch, and what is behind its ports."""

from devices.base import ANY, Device, add
from devices.disk import Disk
from devices.nic import Nic
from slots import PORT, WINDOW


UNPOWERED = 1           # port of "switch" whose slot has no power controller


class Switch(Disk):
    """One device of each sort behind it"""
    driver, virtio, window = "pcieport", False, 4 * WINDOW
    scenarios = ("idle", "load", "nested", "nested-power", "nested-outer",
                 "selftest")
    swept = False

    async def backends(self, m):
        return (await super().backends(m) +
                ["-netdev", "user,id=net,restrict=on"])

    async def functions(self, m):
        found = {}
        for name in (await m.ask("find", m.slot.bdf, "bus/pci/devices", 1000)
                     ).split():
            found[await m.ask("bound", name, 15000, timeout=20)] = name
        return [found[driver] for driver in ("nvme", "virtio-pci", "igb")]

    async def workers(self, m, use=False):
        def named(prefix):
            return lambda name: name.startswith(prefix)
        # They are the same disk: only one is written to
        nvme, virtio = [await self.disk(m, named(prefix))
                        for prefix in ("nvme", "vd")]
        return [("disk", 8, 0, nvme), ("disk", 1, 0, virtio),
                *await Nic.workers(self, m)]


add(Switch("switch", "x3130-upstream", alive=(0, 0x8, ANY), children=(
    *({"driver": "xio3130-downstream", "id": f"down{nr}", "bus": "dut",
       "chassis": 3, "slot": nr,
       # That slot can be yanked, but its power is always on
       "power_controller_present": nr != UNPOWERED} for nr in range(3)),
    {"driver": "nvme", "id": "nvme", "bus": "down0", "drive": "disk",
     "serial": "lab", "share-rw": True},
    {"driver": "virtio-blk-pci", "id": "virtio", "bus": f"down{UNPOWERED}",
     "drive": "disk", "share-rw": True},
    {"driver": "igb", "bus": "down2", "netdev": "net"})))


class SwitchMany(Disk):
    """MANY nvme behind it, and another switch with FEW, to compare

    None has a BAR in the 64 bit window.
    """
    driver, virtio, swept = "pcieport", False, False
    MANY, FEW = 16, 4
    window, windows = (MANY + FEW) * WINDOW, 1
    scenarios = "many",

    def plug(self):
        devices = []

        def switch(name, port, number, chassis):
            devices.append({"driver": self.model, "id": name, "bus": port})
            for nr in range(number):
                devices.append({
                    "driver": "xio3130-downstream", "id": f"{name}-{nr}",
                    "bus": name, "chassis": chassis, "slot": nr})
        switch("dut", f"port{PORT}", self.MANY + 1, 3)
        switch("few", f"dut-{self.MANY}", self.FEW, 4)
        for port in (*(f"dut-{nr}" for nr in range(self.MANY)),
                     *(f"few-{nr}" for nr in range(self.FEW))):
            devices.append({
                "driver": "nvme", "bus": port, "drive": "disk",
                "serial": port, "share-rw": True})
        return devices

    async def functions(self, m):
        """Those behind the other switch come last"""
        first = m.slot.bus + 2
        few = first + self.MANY + 2
        return [f"0000:{bus:02x}:00.0" for bus in
                (*range(first, first + self.MANY), *range(few, few + self.FEW))]

    async def workers(self, m, use=False):
        # They are the same disk: only one is written to
        return [("disk", 1 if nr else 8, 0,
                 await self.disk(m, lambda name: True, bdf))
                for nr, bdf in enumerate(await self.functions(m))]


class Switches(Device):
    """One in each of several slots, and a card behind it

    For what is done more than once: QEMU takes switches away, but none can be
    plugged.  The first is the device that the lab looks at.
    """
    driver, window, swept = "pcieport", 2 * WINDOW, False
    scenarios = "nested-yanks", "nested-removals"
    FIRST, MOST = 12, 20        # after the shadows of the first port
    number = 1

    def ports(self):
        """Device numbers of the root ports"""
        return [PORT, *range(self.FIRST, self.FIRST + self.MOST - 1)][:self.number]

    def switch(self, nr):
        return f"dut{nr or ''}"

    def slot(self, nr):
        return 10 + nr if nr else 1     # see Machine.start()

    def plug(self):
        devices = []
        for nr, port in enumerate(self.ports()):
            if nr:
                devices.append({
                    "driver": "pcie-root-port", "id": f"port{port}",
                    "bus": "pcie.0", "addr": f"{port:x}",
                    "chassis": 10 + nr, "slot": self.slot(nr)})
            devices += [
                {"driver": self.model, "id": self.switch(nr),
                 "bus": f"port{port}"},
                {"driver": "xio3130-downstream", "id": f"down{nr}",
                 "bus": self.switch(nr), "chassis": 100 + nr,
                 "slot": 100 + nr},
                {"driver": "virtio-rng-pci", "id": f"card{nr}",
                 "bus": f"down{nr}", "rng": "probe"}]
        return devices

    async def functions(self, m):
        return [f"0000:{m.slot.bus + 2:02x}:00.0"]


add(Switches("switches", "x3130-upstream"),
    SwitchMany("switch-many", "x3130-upstream", alive=(0, 0x8, ANY)))
