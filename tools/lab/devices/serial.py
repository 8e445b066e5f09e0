# SPDX-License-Identifier: GPL-2.0-only
"""virtio-serial: ports, and a console."""

import asyncio

from devices.base import Device, add


class Serial(Device):
    load = "serial"

    async def backends(self, m):
        self.ports = [m.chardev(name) for name in ("sink", "source", "tty")]
        self.received = bytearray()
        for s in self.ports:
            s.setblocking(False)
        asyncio.get_running_loop().add_reader(self.ports[0], self.receive)
        m.tasks.append(asyncio.create_task(self.feed()))
        return []

    def receive(self):
        data = self.ports[0].recv(65536)
        if not data:
            asyncio.get_running_loop().remove_reader(self.ports[0])
        self.received += data

    async def feed(self):
        try:
            while True:
                await asyncio.sleep(0.2)
                for s in self.ports[1:]:
                    try:
                        s.send(b"0123456789abcde\n")
                    except OSError:
                        pass
        finally:
            asyncio.get_running_loop().remove_reader(self.ports[0])
            for s in self.ports:
                s.close()

    async def workers(self, m, use=False):
        # The console has no device of its own below the PCI device
        _, sink, source = [
            await self.find(m, "class/virtio-ports",
                            lambda name: name.endswith(port))
            for port in ("p0", "p1", "p2")]
        return [("write", 1, 20 if use else 0, f"/dev/{sink}"),
                ("read", 1, 2 if use else 0, f"/dev/{source}"),
                ("read", 1, 2 if use else 0, "/dev/hvc0")]

    async def check_data(self, m, r):
        lines = bytes(self.received).split(b"\n")[:-1]
        wrong = [nr for nr, line in enumerate(lines)
                 if not line.isdigit() or len(line) != 62]
        r.check("data", lines and not wrong,
                f"{len(lines)} lines received, {len(wrong)} wrong")


add(Serial("virtio-serial", "virtio-serial-pci", children=(
    {"driver": "virtconsole", "id": "tty", "bus": "dut.0", "nr": 0,
     "chardev": "tty"},
    {"driver": "virtserialport", "id": "sink", "bus": "dut.0", "nr": 1,
     "chardev": "sink", "name": "sink"},
    {"driver": "virtserialport", "id": "source", "bus": "dut.0", "nr": 2,
     "chardev": "source", "name": "source"})))
