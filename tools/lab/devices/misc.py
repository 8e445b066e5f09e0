# SPDX-License-Identifier: GPL-2.0-only
"""A source of random numbers, a balloon, a keyboard, a crypto accelerator."""

import asyncio

from devices.base import Device, add
from errors import Failed


class Rng(Device):
    load = "rng"

    async def backends(self, m):
        return ["-object", "rng-random,id=rng,filename=/dev/urandom"]

    async def workers(self, m, use=False):
        current = "/sys/class/misc/hw_random/rng_current"
        while "virtio" not in await m.ask("cat", current):
            await asyncio.sleep(0.05)
        return [("read", 2, 1 if use else 0, "/dev/hwrng")]


add(Rng("virtio-rng", "virtio-rng-pci",
        props={"rng": "rng", "max-bytes": 256, "period": 500}))


class Balloon(Device):
    async def inflate(self, m, leave):
        """Until LEAVE MiB are left to the guest"""
        await m.monitor(f"balloon {leave}")
        for _ in range(200):
            if f"actual={leave}" in await m.monitor("info balloon"):
                return
            await asyncio.sleep(0.1)
        raise Failed("the balloon was not inflated")


add(Balloon("virtio-balloon", "virtio-balloon-pci"))


class Keyboard(Device):
    load = "input"

    async def backends(self, m):
        m.tasks.append(asyncio.create_task(self.type(m)))
        return []

    async def type(self, m):
        down = False
        while True:
            await asyncio.sleep(0.1)
            if not m.proc:
                continue
            down = not down
            try:
                await m.qmp("input-send-event", events=[{
                    "type": "key", "data": {
                        "down": down, "key": {"type": "qcode", "data": "a"}}}])
            except Failed:
                pass            # nobody listens

    async def workers(self, m, use=False):
        name = await self.find(m, "class/input",
                               lambda name: name.startswith("event"))
        return [("read", 2, 2 if use else 0, f"/dev/input/{name}")]


add(Keyboard("virtio-input", "virtio-keyboard-pci"))


class Crypto(Device):
    async def backends(self, m):
        return ["-object", "cryptodev-backend-builtin,id=crypto"]


add(Crypto("virtio-crypto", "virtio-crypto-pci", props={"cryptodev": "crypto"}))
