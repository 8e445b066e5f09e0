# SPDX-License-Identifier: GPL-2.0-only
"""One QEMU of the lab: its start and end, its agent, its QMP, its qtest."""

import asyncio
import ctypes
import glob
import itertools
import json
import os
import signal
import socket
import subprocess
import time

import console
from errors import AgentError, Failed, QemuGone
from slots import PORT, SPARE_PORT, Port, Shadow

LIBC = ctypes.CDLL(None)
PR_SET_PDEATHSIG = 1


def die_with_parent():
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def pdeath(parent=os.getpid()):
    die_with_parent()
    if os.getppid() != parent:
        os._exit(1)


class Machine:
    def __init__(self, qemu, kernel, initramfs, workdir, logfile, shadow,
                 window, windows=2):
        self.qemu, self.kernel, self.initramfs = qemu, kernel, initramfs
        self.workdir, self.logfile = workdir, logfile
        self.window = window
        self.slot = Port(self, PORT)
        self.spare = Port(self, SPARE_PORT, name="spare")
        self.shadow = Shadow(self.slot, shadow, window, windows)
        self.args, self.fds, self.children, self.tasks = [], [], [], []
        self.pending, self.tag = {}, itertools.count(1)
        self.deleted = set()
        self.proc = None
        self.slow = 1           # so much slower than what limits are meant for

    # ---- start and end --------------------------------------------------

    def chardev(self, name):
        """A character device, its other end in our hands"""
        ours, theirs = socket.socketpair()
        self.fds.append(theirs)
        self.args += ["-chardev", f"socket,id={name},fd={theirs.fileno()}"]
        return ours

    async def spawn(self, *argv, fds=()):
        log = open(self.logfile + ".err", "ab")
        with log:
            proc = await asyncio.create_subprocess_exec(
                *argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                pass_fds=[s.fileno() for s in fds], preexec_fn=pdeath,
                process_group=0)
        self.children.append(proc)
        return proc

    async def start(self, args, cmdline="", smp=2, memory="256M"):
        agent, qmp, qtest = map(self.chardev, ("agent", "qmp", "qtest"))
        argv = [
            self.qemu.binary, "-nodefaults", "-no-user-config",
            "-display", "none", "-no-reboot",
            "-machine", "q35,accel=tcg,memory-backend=ram",
            "-cpu", "max", "-smp", str(smp), "-m", memory,
            # share=on: a vhost-user back end maps it
            "-object", f"memory-backend-memfd,id=ram,size={memory},share=on",
            "-global", "ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off",
            "-kernel", self.kernel, "-initrd", self.initramfs, "-append",
            "console=ttyS0 loglevel=7 no_timer_check rdinit=/init " + cmdline,
            *self.args,
            "-chardev", f"file,id=console,path={self.logfile}",
            "-serial", "chardev:console", "-serial", "chardev:agent",
            "-mon", "chardev=qmp,mode=control",
            "-qtest", "chardev:qtest", "-qtest-log", "none"]
        for slot, dev in enumerate((PORT, SPARE_PORT), 1):
            argv += ["-device", f"pcie-root-port,id=port{dev},bus=pcie.0,"
                     f"addr={dev},chassis={slot},slot={slot},"
                     f"mem-reserve={self.window},"
                     f"pref64-reserve={self.window}"]
        argv += self.shadow.arguments(self.qemu, self.workdir)
        ready = self.expect("0")
        self.proc = await self.spawn(*argv, *args, fds=self.fds)
        for s in self.fds:
            s.close()
        self.agent_in, self.agent = await asyncio.open_connection(sock=agent)
        self.qmp_in, self.qmp_out = await asyncio.open_connection(
            sock=qmp, limit=1 << 20)
        self.qtest_in, self.qtest = await asyncio.open_connection(sock=qtest)
        self.qtest_lock = asyncio.Lock()
        self.tasks += [asyncio.create_task(self.read_agent()),
                       asyncio.create_task(self.read_qmp())]
        self.qmp_out.write(b'{"execute": "qmp_capabilities"}\n')
        return ready

    async def stop(self):
        for task in self.tasks:
            task.cancel()
        for proc in self.children:
            if proc.returncode is None:
                try:
                    os.killpg(proc.pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
        for proc in self.children:
            await proc.wait()
        if self.proc:
            for writer in (self.agent, self.qmp_out, self.qtest):
                writer.close()

    async def gone(self):
        """QEMU's end, as an exception"""
        code = await self.proc.wait()
        what = (f"QEMU crashed: {signal.Signals(-code).name}" if code < 0
                else f"QEMU exited with status {code}")
        with open(self.logfile + ".err", errors="replace") as f:
            last = [line.strip() for line in f][-1:]
        error = QemuGone(": ".join([what, *last]))
        error.signal = -code if code < 0 else 0
        raise error

    # ---- agent ----------------------------------------------------------

    def expect(self, tag):
        future = asyncio.get_running_loop().create_future()
        # Not every answer is waited for in the end
        future.add_done_callback(lambda f: f.cancelled() or f.exception())
        self.pending[tag] = future
        return future

    async def read_agent(self):
        while line := await self.agent_in.readline():
            now = time.monotonic()
            tag, _, text = line.decode(errors="replace").strip().partition(" ")
            future = self.pending.pop(tag, None)
            if not future or future.done():
                continue
            if text.startswith("ok"):
                future.set_result((now, text[3:]))
            else:
                future.set_exception(AgentError(text[4:]))

    def begin(self, *words):
        """Start a command; the future gives (time, text) when it has ended"""
        tag = str(next(self.tag))
        future = self.expect(tag)
        self.agent.write(" ".join([tag, *map(str, words)]).encode() + b"\n")
        return future

    async def ask(self, *words, timeout=5):
        async with asyncio.timeout(timeout * self.slow):
            return (await self.begin(*words))[1]

    # ---- QMP and qtest --------------------------------------------------

    async def read_qmp(self):
        while line := await self.qmp_in.readline():
            msg = json.loads(line)
            if msg.get("event") == "DEVICE_DELETED":
                self.deleted.add(msg["data"].get("device"))
            future = self.pending.pop(msg.get("id"), None)
            if future and not future.done():
                if "error" in msg:
                    future.set_exception(Failed("QMP: " +
                                                msg["error"]["desc"]))
                else:
                    future.set_result(msg["return"])

    async def execute(self, command, arguments):
        tag = f"qmp{next(self.tag)}"
        future = self.expect(tag)
        self.qmp_out.write(json.dumps(
            {"execute": command, "id": tag,
             "arguments": arguments}).encode() + b"\n")
        async with asyncio.timeout(15):
            return await future

    async def qmp(self, command, **arguments):
        return await self.execute(command, {k.replace("_", "-"): v
                                            for k, v in arguments.items()})

    async def device_add(self, dev):
        await self.execute("device_add", dev)   # a property is what it is

    async def plugged(self, name):
        def ids(buses):
            for bus in buses:
                for dev in bus["devices"]:
                    yield dev["qdev_id"]
                    yield from ids([dev["pci_bridge"]]
                                   if "devices" in dev.get("pci_bridge", {})
                                   else [])
        return name in ids(await self.qmp("query-pci"))

    async def qtest_send(self, *commands):
        """All in one send: QEMU runs them before the guest's next access"""
        # Who asks may be cancelled: the answers have to be read all the same
        exchange = asyncio.ensure_future(self.qtest_exchange(commands))
        exchange.add_done_callback(lambda f: f.cancelled() or f.exception())
        return await asyncio.shield(exchange)

    async def qtest_exchange(self, commands):
        async with self.qtest_lock, asyncio.timeout(15):
            self.qtest.write("".join(c + "\n" for c in commands).encode())
            answers = []
            for command in commands:
                words = (await self.qtest_in.readline()).decode().split()
                if not words or words[0] != "OK":
                    raise Failed(f"qtest: {command}: {' '.join(words)}")
                answers.append(int(words[1], 0) if len(words) > 1 else None)
            return answers

    # ---- this machine ---------------------------------------------------

    def starved(self):
        """Seconds that threads of QEMU, and we, waited for a processor

        What is late by no more than that is not the guest's fault.
        """
        nanoseconds = 0
        for pid in self.proc.pid, "self":
            for path in glob.glob(f"/proc/{pid}/task/*/schedstat"):
                try:
                    with open(path) as f:
                        nanoseconds += int(f.read().split()[1])
                except (OSError, IndexError):
                    pass        # it has ended
        return nanoseconds / 1e9

    # ---- console --------------------------------------------------------

    def console(self):
        with open(self.logfile, errors="replace") as f:
            return [line.rstrip() for line in f]

    def splats(self):
        return console.splats(self.console())

    async def monitor(self, command):
        return await self.qmp("human-monitor-command", command_line=command)

    async def deaf(self):
        """Which processors have lost an interrupt, three times one look"""
        deaf = {0, 1}
        for _ in range(3):
            registers = await self.monitor("info registers -a")
            now, notes = console.lost_interrupt(registers, [
                await self.monitor(f"info lapic {nr}") for nr in (0, 1)])
            deaf &= now
            await asyncio.sleep(0.2)
        return deaf, notes

    async def blocked(self):
        """The stacks of blocked tasks"""
        start = len(self.console())
        try:
            await self.ask("write", "/proc/sysrq-trigger", "w")
        except (TimeoutError, AgentError):
            return ["(the agent did not answer)"]
        await asyncio.sleep(0.5)
        return console.blocked_stacks(self.console()[start:])
