# SPDX-License-Identifier: GPL-2.0-only
"""One QEMU of the lab: its start and end, its agent, its QMP, its slots."""

import asyncio
import ctypes
import gzip
import itertools
import json
import os
import re
import signal
import socket
import subprocess
import time

ECAM = 0xb0000000               # where SeaBIOS puts it on q35
PORT, SPARE_PORT = 4, 5         # device numbers on bus 0
SHADOW = 6                      # and following: what lies below the windows
WINDOW = 2 << 20                # of a port, or a multiple; of a shadow

PCI_COMMAND, PCI_COMMAND_MEMORY = 0x04, 0x2
# What can be laid below the windows, and the BAR that is: memory, all-ones, or
# a device whose accesses can be traced.  It gives ones as well, but not for its
# first 0xa0 bytes, and to reads of one or two bytes QEMU answers 0.
SHADOW_BAR = {"ivshmem-plain": 0x18, "edu": 0x10}
TRACE = ("memory_region_ops_read", "memory_region_ops_write",
         "pci_cfg_read", "pci_cfg_write")
PCI_SECONDARY_BUS = 0x19
NO_BUS = 0xfd                   # nothing is there
PCI_MEMORY_BASE = 0x20
PCI_PREF_MEMORY_BASE, PCI_PREF_BASE_UPPER32 = 0x24, 0x28
PCI_CAPABILITY_LIST = 0x34
PCI_CAP_ID_EXP = 0x10
PCI_EXP_SLTCTL = 0x18
SLOT_OFF = 0x700                # power controller off, power indicator off
SLOT_DARK, SLOT_INDICATOR = 0x500, 0x300        # off, indicator still on

LIBC = ctypes.CDLL(None)
PR_SET_PDEATHSIG = 1

# What no kernel may print while a device comes and goes
SPLAT = re.compile(
    r"WARNING: |BUG: |BUG at |Oops|Kernel panic|general protection|"
    r"KASAN|UBSAN|refcount_t|(list_add|list_del) corruption|"
    r"INFO: (task|rcu|trying|possible|inconsistent)|possible circular|"
    r"possible recursive|possible irq lock|inconsistent lock state|"
    r"suspicious RCU|bad unlock balance|held lock freed|lock held when|"
    r"sleeping function|scheduling while atomic|rcu.*(stall|self-detected)|"
    r"soft lockup|hard LOCKUP|slab.*(Poison|Redzone)|Object already free")


class LabError(Exception):
    """The lab cannot run at all: one line says why"""


class Failed(Exception):
    """A check of a scenario failed, and the scenario cannot go on"""


class Skip(Exception):
    """This QEMU cannot do it"""


class Late(Skip):
    """This machine is too slow to tell"""


class QemuGone(Exception):
    """QEMU ended by itself"""


class AgentError(Exception):
    """The guest's agent could not do it"""


def die_with_parent():
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def pdeath(parent=os.getpid()):
    die_with_parent()
    if os.getppid() != parent:
        os._exit(1)


def newc(name, mode, data=b"", rdev=(0, 0)):
    """One member of an initramfs, Documentation/.../buffer-format.rst"""
    head = "070701" + "".join("%08x" % field for field in (
        0, mode, 0, 0, 1, 0, len(data), 0, 0, *rdev, len(name) + 1, 0))
    member = head.encode() + name.encode() + b"\0"
    member += b"\0" * (-len(member) % 4) + data
    return member + b"\0" * (-len(data) % 4)


def build_initramfs(source, outdir, selftest=None, cc="gcc"):
    binary = os.path.join(outdir, "init")
    try:
        run = subprocess.run(
            [cc, "-static", "-O2", "-Wall", "-Wextra", "-o", binary, source],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    except FileNotFoundError:
        raise LabError(f"no {cc} found to build the guest's init (Debian: gcc)")
    if run.returncode:
        if "cannot find -lc" in run.stdout:
            raise LabError("no static libc to build the guest's init with "
                           "(Debian: libc6-dev)")
        first = next((line for line in run.stdout.splitlines()
                      if "error" in line), run.stdout.strip())
        raise LabError(f"the guest's init does not build: {first}")
    programs = b""
    for name, path in ("init", binary), ("selftest", selftest):
        if path:
            with open(path, "rb") as f:
                programs += newc(name, 0o100755, f.read())
    path = os.path.join(outdir, "initramfs.gz")
    with open(path, "wb") as f:
        f.write(gzip.compress(
            newc("dev", 0o40755) +
            newc("dev/console", 0o20600, rdev=(5, 1)) +
            programs + newc("TRAILER!!!", 0), 1))
    return path


class Qemu:
    """What the QEMU on this machine is and has"""

    def __init__(self, binary):
        self.binary = binary
        self.version = self.ask("--version").splitlines()[0]
        self.number = (re.search(r"version (\S+)", self.version) or
                       [None, "?"])[1]
        self.devices = set(re.findall(r'^name "([^"]+)"',
                                      self.ask("-device", "help"), re.M))
        backend = self.ask("-object", "memory-backend-file,help")
        self.rom = ",rom=on" if re.search(r"\brom=", backend) else ""

    def ask(self, *args):
        try:
            return subprocess.run([self.binary, *args], text=True,
                                  stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT).stdout
        except FileNotFoundError:
            raise LabError(f"no {self.binary} found "
                           "(Debian: qemu-system-x86)")
        except PermissionError:
            raise LabError(f"{self.binary} cannot be executed")


class Machine:
    def __init__(self, qemu, kernel, initramfs, workdir, logfile, shadow,
                 window):
        self.qemu, self.kernel, self.initramfs = qemu, kernel, initramfs
        self.workdir, self.logfile, self.shadow = workdir, logfile, shadow
        self.window = window
        self.shadows = range(SHADOW, SHADOW + 2 * window // WINDOW
                             if shadow else SHADOW)
        self.args, self.fds, self.children, self.tasks = [], [], [], []
        self.pending, self.tag = {}, itertools.count(1)
        self.deleted = set()
        self.proc = self.lit = None     # lit: Slot Control before darken()

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

    async def start(self, args, smp=2, memory="256M"):
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
            "console=ttyS0 loglevel=7 no_timer_check rdinit=/init",
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
        ones = os.path.join(self.workdir, "ones")
        with open(ones, "wb") as f:
            f.write(b"\xff" * WINDOW)
        for dev in self.shadows:
            what = self.shadow
            if what == "ivshmem-plain":
                # -device may not share a memdev: one for each
                argv += ["-object", f"memory-backend-file,id=ones{dev},"
                         f"mem-path={ones},size={WINDOW},readonly=on,share=on"
                         + self.qemu.rom]
                what += f",memdev=ones{dev}"
            argv += ["-device", f"{what},bus=pcie.0,addr={dev:x}"]
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
        async with asyncio.timeout(timeout):
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

    async def qmp(self, command, **arguments):
        tag = f"qmp{next(self.tag)}"
        future = self.expect(tag)
        self.qmp_out.write(json.dumps(
            {"execute": command, "id": tag,
             "arguments": {k.replace("_", "-"): v
                           for k, v in arguments.items()}}).encode() + b"\n")
        async with asyncio.timeout(15):
            return await future

    async def device_add(self, dev):
        await self.qmp("device_add", **dev)

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
        async with self.qtest_lock, asyncio.timeout(15):
            self.qtest.write("".join(c + "\n" for c in commands).encode())
            answers = []
            for command in commands:
                words = (await self.qtest_in.readline()).decode().split()
                if not words or words[0] != "OK":
                    raise Failed(f"qtest: {command}: {' '.join(words)}")
                answers.append(int(words[1], 0) if len(words) > 1 else None)
            return answers

    @staticmethod
    def config(dev, register):
        return ECAM + (dev << 15) + register

    async def config_read(self, size, dev, register):
        return (await self.qtest_send(
            f"read{size} {self.config(dev, register):#x}"))[0]

    # ---- slots ----------------------------------------------------------

    async def slot_setup(self):
        if await self.config_read("l", 0, 0) & 0xffff != 0x8086:
            raise Failed(f"no host bridge in ECAM at {ECAM:#x}")
        self.bus = await self.config_read("b", PORT, PCI_SECONDARY_BUS)
        self.spare_bus = await self.config_read("b", SPARE_PORT,
                                                PCI_SECONDARY_BUS)
        self.bdf = f"0000:{self.bus:02x}:00.0"
        self.spare_bdf = f"0000:{self.spare_bus:02x}:00.0"
        cap = await self.config_read("b", PORT, PCI_CAPABILITY_LIST)
        while cap and (await self.config_read("b", PORT, cap) !=
                       PCI_CAP_ID_EXP):
            cap = await self.config_read("b", PORT, cap + 1)
        if not cap:
            raise Failed("the port has no PCI Express capability")
        self.sltctl = cap + PCI_EXP_SLTCTL

    async def shadow_setup(self):
        """All-ones behind both windows of the port

        The port's windows have to be added again, so that they lie on top:
        QEMU does that at any write to Command.
        """
        mem = await self.config_read("l", PORT, PCI_MEMORY_BASE)
        pref = await self.config_read("l", PORT, PCI_PREF_MEMORY_BASE)
        upper = await self.config_read("l", PORT, PCI_PREF_BASE_UPPER32)
        limit = await self.config_read("l", PORT, PCI_PREF_BASE_UPPER32 + 4)
        pieces = []
        for base, last in (
                ((mem & 0xfff0) << 16, (mem & 0xfff00000) | 0xfffff),
                ((upper << 32) | (pref & 0xfff0) << 16,
                 (limit << 32) | (pref & 0xfff00000) | 0xfffff)):
            if last + 1 - base > self.window or base % WINDOW:
                raise Failed(f"shadow: window {base:#x}-{last:#x} is not "
                             f"{self.window:#x} large, or not aligned")
            pieces += range(base, last, WINDOW)
        commands = []
        for dev, base in zip(self.shadows, pieces):
            bar = self.config(dev, SHADOW_BAR[self.shadow])
            command = self.config(dev, PCI_COMMAND)
            old = await self.config_read("w", dev, PCI_COMMAND)
            commands += [f"writel {bar:#x} {base & 0xffffffff:#x}"]
            if self.shadow != "edu":
                commands += [f"writel {bar + 4:#x} {base >> 32:#x}"]
            commands += [f"writew {command:#x} {old | PCI_COMMAND_MEMORY:#x}"]
        old = await self.config_read("w", PORT, PCI_COMMAND)
        commands.append(f"writew {self.config(PORT, PCI_COMMAND):#x} {old:#x}")
        await self.qtest_send(*commands)

    async def slot_control(self):
        address = self.config(PORT, self.sltctl)
        old = (await self.qtest_send(f"readw {address:#x}"))[0]
        if old & SLOT_OFF == SLOT_OFF:
            raise Failed(f"the slot is off already: Slot Control {old:#x}")
        return address, old

    async def darken(self):
        """Cut the power of the slot, without any event; gives the time"""
        address, self.lit = await self.slot_control()
        when = time.monotonic()
        await self.qtest_send(
            f"writew {address:#x} {self.lit & ~SLOT_INDICATOR | SLOT_DARK:#x}")
        return when

    async def yank(self, name="dut"):
        """Surprise removal; gives the time.  See pcie.c in QEMU.

        Power goes first: QEMU would complete what is in flight before it
        unplugs a device, and from a device without power nothing arrives.
        The old value comes back at once: were the slot left powered off,
        pciehp would take it for already disabled.
        """
        address, old = await self.slot_control()
        dark = old & ~SLOT_INDICATOR | SLOT_DARK
        when = time.monotonic()
        await self.qtest_send(f"writew {address:#x} {dark:#x}",
                              f"writew {address:#x} {dark | SLOT_OFF:#x}",
                              f"writew {address:#x} {self.lit or old:#x}")
        self.lit = None
        if await self.plugged(name):
            raise Failed("QEMU did not unplug the device at the write of "
                         "Slot Control")
        return when

    async def hide(self):
        """Neither memory nor config accesses reach the device; it lives on

        Gives what to send to bring it back.
        """
        command = self.config(PORT, PCI_COMMAND)
        secondary = self.config(PORT, PCI_SECONDARY_BUS)
        old, bus = await self.qtest_send(f"readw {command:#x}",
                                         f"readb {secondary:#x}")
        await self.qtest_send(
            f"writew {command:#x} {old & ~PCI_COMMAND_MEMORY:#x}",
            f"writeb {secondary:#x} {NO_BUS:#x}")
        return (f"writeb {secondary:#x} {bus:#x}",
                f"writew {command:#x} {old:#x}")

    async def trace(self, on):
        for event in TRACE:
            await self.qmp("trace-event-set-state", name=event, enable=on)
        await self.monitor("log " + ("invalid_mem" if on else "none"))

    def accesses(self):
        """What was traced of accesses to what is behind the port, by kind"""
        count = dict.fromkeys(("memory reads", "memory writes", "config reads",
                               "config writes"), 0)
        ecam = ECAM + (self.bus << 20)
        with open(self.logfile + ".err", errors="replace") as f:
            for line in f:
                if found := re.match(r"pci_cfg_(read|write) \S+ (\w+:\w+\.0) ",
                                     line):
                    kind = "config" if found[2] == f"{self.bus:02x}:00.0" else ""
                elif found := re.match(r"memory_region_ops_(read|write) .* addr "
                                       r"(\w+) ", line):
                    # Those that go by ports are with pci_cfg_
                    kind = ("memory" if "'edu-mmio'" in line else "config" if
                            int(found[2], 16) - ecam in range(4096) else "")
                elif found := re.match(r"Invalid (read|write) .*'edu-mmio'",
                                       line):
                    kind = "memory"
                else:
                    continue
                if kind:
                    count[f"{kind} {found[1]}s"] += 1
        return count

    async def slot_off(self, timeout):
        """pciehp has turned the slot off: it is ready for a card"""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            control = await self.config_read("w", PORT, self.sltctl)
            if control & SLOT_OFF == SLOT_OFF:
                return True
            await asyncio.sleep(0.05)
        return False

    # ---- console --------------------------------------------------------

    def console(self):
        with open(self.logfile, errors="replace") as f:
            return [line.rstrip() for line in f]

    def splats(self):
        return [line for line in self.console() if SPLAT.search(line)]

    async def monitor(self, command):
        return await self.qmp("human-monitor-command", command_line=command)

    async def deaf(self):
        """Which processors have lost an interrupt, and what their APICs say

        Halted with an interrupt in service, as Linux never is, or with a timer
        that has run out and nothing pending, where one that has nothing to
        wait for is masked: no other interrupt comes through, and what waits
        for that processor does not go on, RCU among it. Seen with QEMU 10.0,
        8 times in 1150: in 4 the timer had been armed again, after an EOI that
        did not arrive. Why is not known; perhaps it is what has QEMU fail an
        assertion in iotlb_to_section() now and then.
        """
        deaf = {0, 1}
        for _ in range(3):
            cpus = (await self.monitor("info registers -a")).split("CPU#")[1:]
            notes = []
            for nr in (0, 1):
                apic = dict(re.findall(r"^(LVTT|Timer|ISR|IRR)\s+(.*\S)",
                                       await self.monitor(f"info lapic {nr}"),
                                       re.M))
                notes += [f"CPU#{nr} {name} {apic[name]}" for name in apic]
                lost = apic and (apic["ISR"] != "(none)" or (
                    apic["IRR"] == "(none)" and "masked" not in apic["LVTT"]
                    and re.search(r"= [1-9]\d* current_count = 0$",
                                  apic["Timer"])))
                if not lost or "HLT=1" not in cpus[nr]:
                    deaf.discard(nr)
            await asyncio.sleep(0.2)
        return deaf, notes

    async def blocked(self):
        """The stacks of blocked tasks, trimmed to what a reader needs"""
        start = len(self.console())
        try:
            await self.ask("write", "/proc/sysrq-trigger", "w")
        except (TimeoutError, AgentError):
            return ["(the agent did not answer)"]
        await asyncio.sleep(0.5)
        stacks, task, frames = {}, None, []
        for line in [*self.console()[start:], "task:"]:
            line = re.sub(r"^\[ *[\d.]+\] ", "", line)
            if line.startswith("task:"):
                if task:
                    stacks.setdefault((task, *frames), []).append(1)
                # name and state; the same stack again is only counted
                task, frames = " ".join(line.split()[:2]), []
            elif re.match(r" +[\w.]+\+0x", line):
                frames.append("  " + line.strip())
        return [line for (task, *frames), times in stacks.items()
                for line in (f"{task}, {len(times)} of these", *frames)]
