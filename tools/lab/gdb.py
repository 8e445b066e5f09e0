# SPDX-License-Identifier: GPL-2.0-only
"""Stops a machine the moment its kernel enters a function: QEMU's gdb stub."""

import asyncio

from errors import Failed


class Gdb:
    def __init__(self, m):
        """Before QEMU starts"""
        self.sock = m.chardev("gdb")
        m.args += ["-gdb", "chardev:gdb"]

    async def connect(self):
        self.reader, self.writer = await asyncio.open_connection(
            sock=self.sock)
        # The machine is stopped as soon as the stub has a connection
        self.send("c")

    def send(self, packet):
        data = packet.encode()
        self.writer.write(b"+$%s#%02x" % (data, sum(data) & 0xff))

    async def receive(self, seconds=5):
        async with asyncio.timeout(seconds):
            packet = await self.reader.readuntil(b"#")
            await self.reader.readexactly(2)
        return packet[packet.index(b"$") + 1:-1].decode()

    async def breakpoint(self, action, address):
        self.send(f"{action}1,{address:x},1")
        answer = await self.receive()
        if answer != "OK":
            raise Failed(f"QEMU's gdb stub: breakpoint at {address:x}: "
                         f"{answer or 'not supported'}")

    async def catch(self, address):
        """The machine runs on, until it gets there"""
        self.writer.write(b"\x03")
        await self.receive()
        await self.breakpoint("Z", address)
        self.send("c")

    async def caught(self, seconds):
        await self.receive(seconds)

    async def release(self, address):
        await self.breakpoint("z", address)
        self.send("c")

    def close(self):
        self.writer.close()
