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
        self.interrupt()
        await self.receive()
        await self.breakpoint("Z", address)
        self.send("c")

    async def caught(self, seconds):
        await self.receive(seconds)

    async def release(self, address):
        await self.breakpoint("z", address)
        self.send("c")

    async def watchpoints(self, action, address, size):
        """At loads from there, one for each word"""
        for word in range(address, address + size, 4):
            self.send(f"{action}3,{word:x},4")
            if await self.receive() != "OK":
                raise Failed("QEMU's gdb stub has no watchpoints")

    def interrupt(self):
        self.writer.write(b"\x03")

    async def memory(self, address, size):
        self.send(f"m{address:x},{size:x}")
        return bytes.fromhex(await self.receive())

    async def register(self, number):
        """Of the processor that has stopped"""
        self.send(f"p{number:x}")
        return int.from_bytes(bytes.fromhex(await self.receive()), "little")

    async def set_register(self, number, value):
        self.send(f"P{number:x}={value.to_bytes(8, 'little').hex()}")
        if await self.receive() != "OK":
            raise Failed("QEMU's gdb stub does not set registers")

    def close(self):
        self.writer.close()
