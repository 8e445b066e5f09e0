# SPDX-License-Identifier: GPL-2.0-only
"""Network interfaces."""

import asyncio

from devices.base import ANY, NATIVE, Device, add
from errors import Failed


class Nic(Device):
    load = "net"

    async def backends(self, m):
        return ["-netdev", "user,id=net,restrict=on"]

    async def workers(self, m, use=False):
        name = await self.find(m, "class/net")
        await m.ask("ifup", name, timeout=15)
        return [("ping", 1, 5 if use else 0, name),
                ("frame", 1, 20 if use else 0, name),
                ("promisc", 1, 4 if use else 0, name),
                *([("resize", 1, 2 if use else 0, name)]
                  if self.virtio else [])]

    async def vf_workers(self, m, vf):
        name = await self.find(m, "class/net", bdf=vf)
        await m.ask("ifup", name, timeout=15)
        for _ in range(100):
            if await m.ask("cat", f"/sys/class/net/{name}/carrier") == "1|":
                return [("frame", 1, 0, name)]
            await asyncio.sleep(0.1)
        raise Failed(f"{name} has no link")


add(Nic("virtio-net", "virtio-net-pci", props={"netdev": "net"}),
    Nic("igb", "igb", props={"netdev": "net"},
        driver="igb", alive=(0, 0x8, ANY),
        moments={"in-probe": "igb_release_swfw_sync_82575",
                 "in-remove": "igb_down"}, **NATIVE),
    Nic("e1000e", "e1000e", props={"netdev": "net"},
        driver="e1000e", alive=(0, 0x8, ANY), **NATIVE))
