# SPDX-License-Identifier: GPL-2.0-only
"""USB host controllers."""

import asyncio

from devices.base import ANY, NATIVE, Device, add


class Usb(Device):
    load = "usb"

    async def workers(self, m, use=False):
        name = await self.find(m, "bus/usb/devices")
        path = f"/sys/bus/usb/devices/{name}"
        # It is there before it is configured
        while not (await m.ask("cat", f"{path}/bConfigurationValue")
                   ).strip("|"):
            await asyncio.sleep(0.05)
        bus, dev = [int((await m.ask("cat", f"{path}/{file}")).strip("|"))
                    for file in ("busnum", "devnum")]
        return [("usb", 1 if use else 2, 10 if use else 0,
                 f"/dev/bus/usb/{bus:03}/{dev:03}")]


add(Usb("xhci", "qemu-xhci", driver="xhci_hcd", alive=(0, 0x0, ANY), children=(
    {"driver": "usb-tablet", "id": "tablet", "bus": "dut.0"},), **NATIVE))
