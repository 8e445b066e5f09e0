# SPDX-License-Identifier: GPL-2.0-only
"""A switch, and what is behind its ports."""

from devices.base import ANY, add
from devices.disk import Disk
from devices.nic import Nic
from slots import WINDOW


class Switch(Disk):
    """One device of each sort behind it"""
    driver, virtio, window = "pcieport", False, 4 * WINDOW
    scenarios = "idle", "load"
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
       "chassis": 3, "slot": nr} for nr in range(3)),
    {"driver": "nvme", "bus": "down0", "drive": "disk", "serial": "lab",
     "share-rw": True},
    {"driver": "virtio-blk-pci", "bus": "down1", "drive": "disk",
     "share-rw": True},
    {"driver": "igb", "bus": "down2", "netdev": "net"})))


class SwitchMany(Disk):
    """The same nvme behind each port"""
    driver, virtio, window = "pcieport", False, 16 * WINDOW
    scenarios = "idle", "many"
    swept = False

    async def functions(self, m):
        """They are found and bound late"""
        cards = [f"0000:{m.slot.bus + 2 + nr:02x}:00.0" for nr in range(16)]
        for card in cards:
            await m.ask("bound", card, 15000, timeout=20)
        return cards

    async def workers(self, m, use=False):
        # They are the same disk: only one is written to
        disks = [await self.disk(m, lambda name: True, card)
                 for card in await self.functions(m)]
        return [("disk", 1 if nr else 8, 0, disk)
                for nr, disk in enumerate(disks)]


add(SwitchMany("switch-many", "x3130-upstream", alive=(0, 0x8, ANY), children=(
    *({"driver": "xio3130-downstream", "id": f"down{nr}", "bus": "dut",
       "chassis": 3, "slot": nr} for nr in range(16)),
    *({"driver": "nvme", "id": f"card{nr}", "bus": f"down{nr}",
       "drive": "disk", "serial": f"lab{nr}", "share-rw": True}
      for nr in range(16)))))
