# SPDX-License-Identifier: GPL-2.0-only
"""The devices, and what is done to them."""

import asyncio
import json
import os
import shutil
import signal
import struct
import time

from gdb import Gdb
from machine import (PORT, SPARE_PORT, WINDOW, AgentError, Failed, Late,
                     QemuGone, Skip)

BLOCK, BLOCKS, MAGIC = 4096, 1024, 0x6b6e6179   # see init.c
RECORDS = BLOCK // 16

STACKS_AFTER = 3        # seconds after which a missing end is looked into
BOOT = 60
BLINK = 5               # what the attention button leaves to change one's mind
LOAD = 20               # for a load to get going


def disk_image(path):
    with open(path, "wb") as f:
        for block in range(BLOCKS):
            f.write(struct.pack("<4I", MAGIC, block, 0, 0xffffffff) * RECORDS)


class Device:
    """What stands in the slot

    ALIVE is a BAR, an offset, and bits of which one is set in a device whose
    driver has started it.
    """
    children = ()           # devices behind it
    window = WINDOW         # what its BARs need, at most (see machine.py)
    scenarios = None        # those it is meant for, if not all
    load = None             # what kind of load it can have
    driver = "virtio-pci"
    alive = 4, 0x14, 0x4    # virtio: device_status, DRIVER_OK
    virtio = True
    moments = {}            # a function: for in_*, when it is to be yanked
    props = {}

    def __init__(self, name, model, **attributes):
        self.name, self.model = name, model
        self.__dict__.update(attributes)

    def models(self):
        return [self.model, *(c["driver"] for c in self.children)]

    def unavailable(self, qemu):
        """Why this machine cannot do it, or None"""
        for model in self.models():
            if model not in qemu.devices:
                return f"QEMU {qemu.number} has no {model}"
        return None

    def plug(self):
        """-device and device_add, in this order"""
        return [{"driver": self.model, "id": "dut", "bus": f"port{PORT}",
                 **self.props}, *self.children]

    async def backends(self, m):
        """Before QEMU starts: gives its arguments"""
        return []

    async def again(self, m):
        """Before the device is plugged again"""

    async def functions(self, m):
        """The functions that have BARs; ALIVE is of the first"""
        return [m.bdf]

    async def find(self, m, what, good=lambda name: True, bdf=None):
        end = time.monotonic() + LOAD
        while time.monotonic() < end:
            try:
                names = await m.ask("find", bdf or m.bdf, what, 1000)
            except AgentError:
                continue
            for name in sorted(names.split(), key=len):
                if good(name):
                    return name
            await asyncio.sleep(0.05)
        raise Failed(f"no {what} appeared for the device")

    async def workers(self, m, use=False):
        """(KIND, HOW MANY, COUNT, PATH) of each sort of worker

        USE: few and finite, to see whether the device works.
        """
        return []

    async def pend(self, m, per_second):
        """Make requests wait, so that some are pending at any time"""

    async def lose(self, m):
        """Just before the yank: lose what is pending, as hardware does"""

    async def hasten(self, m):
        """Before any load: let its timeouts be short"""

    async def add_vfs(self, m, number):
        """Gives where they are"""
        pf = f"/sys/bus/pci/devices/{m.bdf}"
        await m.ask("write", f"{pf}/sriov_numvfs", number, timeout=15)
        offset, stride = [
            int((await m.ask("cat", f"{pf}/sriov_{what}")).strip("|"))
            for what in ("offset", "stride")]
        ids = [(m.bus << 8) + offset + nr * stride for nr in range(number)]
        return [f"0000:{nr >> 8:02x}:{nr >> 3 & 31:02x}.{nr & 7}"
                for nr in ids]

    async def vf_workers(self, m, vf):
        """As above"""

    async def check_data(self, m, r):
        """What was acknowledged must be there"""


class Disk(Device):
    load = "disk"
    throttle = True

    async def backends(self, m):
        m.image = os.path.join(m.workdir, "disk")
        disk_image(m.image)
        blockdevs = [
            {"driver": "raw", "node-name": "image",
             "file": {"driver": "file", "filename": m.image}},
            {"driver": "throttle", "node-name": "disk", "file": "image",
             "throttle-group": "limit"}]
        args = ["-object", "throttle-group,id=limit"]
        for dev in blockdevs:
            args += ["-blockdev", json.dumps(dev)]
        return args

    async def disk(self, m, *which):
        name = await self.find(m, "class/block", *which)
        # It is there before its size is known
        for _ in range(200):
            if (await m.ask("cat", f"/sys/class/block/{name}/size")) != "0|":
                break
            await asyncio.sleep(0.05)
        return f"/dev/{name}"

    async def workers(self, m, use=False):
        return [("disk", 8, 20 if use else 0, await self.disk(m))]

    async def hasten(self, m):
        name = await self.find(m, "class/block")
        try:
            await m.ask("write", f"/sys/block/{name}/queue/io_timeout", 1000)
        except AgentError:
            pass        # the base's virtio_blk has none

    async def pend(self, m, per_second):
        if not self.throttle:
            return
        await m.qmp("qom-set", path="/objects/limit", property="limits",
                    value={"iops-total": per_second})

    async def check_data(self, m, r):
        acked = (await m.ask("acked")).split()
        with open(m.image, "rb") as f:
            image = f.read()
        wrong = []
        for pair in acked:
            block, stamp = (int(x, 16) for x in pair.split(":"))
            data = image[block * BLOCK:(block + 1) * BLOCK]
            magic, nr, there, _ = struct.unpack_from("<4I", data)
            # A later write, not acknowledged, may have arrived as well
            if (data != data[:16] * RECORDS or magic != MAGIC or nr != block
                    or there < stamp):
                wrong.append(f"block {block} stamp {stamp}, there {there}")
        r.check("data", acked and not wrong,
                f"{len(acked)} blocks written and acknowledged, "
                f"{len(wrong)} of them not on the backing file"
                + "".join(f"; {w}" for w in wrong[:3]))


class VhostBlk(Disk):
    """The back end is a process, and can die with requests pending"""

    def unavailable(self, qemu):
        if not shutil.which("qemu-storage-daemon"):
            return ("no qemu-storage-daemon found (Debian: qemu-utils, "
                    "of the same version as QEMU)")
        return super().unavailable(qemu)

    async def daemon(self, m):
        m.daemons = getattr(m, "daemons", 0) + 1
        path, pidfile = (os.path.join(m.workdir, f"{what}{m.daemons}")
                         for what in ("vhost", "pid"))
        # One writer at a time has the image locked
        await self.lose(m)
        m.daemon = await m.spawn(
            "qemu-storage-daemon", "--pidfile", pidfile,
            "--blockdev", "driver=file,node-name=image,filename=" + m.image,
            "--export", "type=vhost-user-blk,id=export,node-name=image,"
            f"writable=on,addr.type=unix,addr.path={path}")
        for _ in range(100):
            if os.path.exists(pidfile):
                return path
            if m.daemon.returncode is not None:
                break
            await asyncio.sleep(0.05)
        raise Failed("qemu-storage-daemon did not start")

    async def backends(self, m):
        m.image, m.daemon = os.path.join(m.workdir, "disk"), None
        disk_image(m.image)
        path = await self.daemon(m)
        return ["-chardev", f"socket,id=vhost1,path={path}"]

    async def again(self, m):
        path = await self.daemon(m)
        await m.qmp("chardev-add", id=f"vhost{m.daemons}", backend={
            "type": "socket", "data": {
                "server": False,
                "addr": {"type": "unix", "data": {"path": path}}}})
        m.vhost = f"vhost{m.daemons}"

    async def pend(self, m, per_second):
        pass

    async def lose(self, m):
        if m.daemon:
            os.killpg(m.daemon.pid, signal.SIGKILL)
            await m.daemon.wait()
            m.daemon = None
            await asyncio.sleep(0.3)


class NvmeVfs(Disk):
    """Its VFs share its namespace, once they have queues and are online"""
    ASSIGN_PRIMARY, ASSIGN, ONLINE = 1, 8, 9    # of Virtualization Management
    QUEUES, VECTORS = 0, 1

    async def backends(self, m):
        return ["-device", "nvme-subsys,id=subsys",
                *await super().backends(m)]

    async def add_vfs(self, m, number):
        # No block device knows: the controller is the disk's parent
        name = await self.find(m, "class/nvme")

        async def manage(controller, what, action, count=0):
            await m.ask("admin", f"/dev/{name}", 0x1c,
                        controller << 16 | what << 8 | action, count)
        pf = f"/sys/bus/pci/devices/{m.bdf}"
        for what in self.VECTORS, self.QUEUES:
            await manage(0, what, self.ASSIGN_PRIMARY)
        await m.ask("write", f"{pf}/reset", 1)      # that is when it counts
        await m.ask("write", f"{pf}/sriov_drivers_autoprobe", 0)
        vfs = await super().add_vfs(m, number)
        await m.ask("write", f"{pf}/sriov_drivers_autoprobe", 1)
        for nr, vf in enumerate(vfs, 1):
            await manage(nr, self.VECTORS, self.ASSIGN, 1)
            await manage(nr, self.QUEUES, self.ASSIGN, 2)
            await manage(nr, 0, self.ONLINE)
            await m.ask("write", f"/sys/bus/pci/drivers/{self.driver}/bind", vf)
        return vfs

    async def vf_workers(self, m, vf):
        return [("disk", 1, 0, await self.disk(m, lambda name: True, vf))]


class Ahci(Disk):
    """Its disk must be idle at the unplug, or QEMU 10.0.2 aborts

    So requests are not made to wait in the back end, but in the controller.
    """
    throttle = False

    async def lose(self, m):
        cmd = m.bars[m.bdf, 5][0] + 0x118      # port 0, bit 0: work on commands
        value, = await m.qtest_send(f"readl {cmd:#x}")
        await m.qtest_send(f"writel {cmd:#x} {value & ~1:#x}")
        await asyncio.sleep(0.3)


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


class Serial(Device):
    load = "serial"

    async def backends(self, m):
        m.ports = [m.chardev(name) for name in ("sink", "source", "tty")]
        m.received = bytearray()
        for s in m.ports:
            s.setblocking(False)
        asyncio.get_running_loop().add_reader(m.ports[0], self.receive, m)
        m.tasks.append(asyncio.create_task(self.feed(m)))
        return []

    @staticmethod
    def receive(m):
        data = m.ports[0].recv(65536)
        if not data:
            asyncio.get_running_loop().remove_reader(m.ports[0])
        m.received += data

    @staticmethod
    async def feed(m):
        try:
            while True:
                await asyncio.sleep(0.2)
                for s in m.ports[1:]:
                    try:
                        s.send(b"0123456789abcde\n")
                    except OSError:
                        pass
        finally:
            asyncio.get_running_loop().remove_reader(m.ports[0])
            for s in m.ports:
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
        lines = bytes(m.received).split(b"\n")[:-1]
        wrong = [nr for nr, line in enumerate(lines)
                 if not line.isdigit() or len(line) != 62]
        r.check("data", lines and not wrong,
                f"{len(lines)} lines received, {len(wrong)} wrong")


class Rng(Device):
    load = "rng"

    async def backends(self, m):
        return ["-object", "rng-random,id=rng,filename=/dev/urandom"]

    async def workers(self, m, use=False):
        current = "/sys/class/misc/hw_random/rng_current"
        while "virtio" not in await m.ask("cat", current):
            await asyncio.sleep(0.05)
        return [("read", 2, 1 if use else 0, "/dev/hwrng")]


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


class Switch(Disk):
    """One device of each sort behind it"""
    driver, virtio, window = "pcieport", False, 4 * WINDOW
    scenarios = "idle", "load"

    async def backends(self, m):
        return (await super().backends(m) +
                ["-netdev", "user,id=net,restrict=on"])

    async def functions(self, m):
        found = {}
        for name in (await m.ask("find", m.bdf, "bus/pci/devices", 1000)
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


ANY = 0xffffffff
NATIVE = {"virtio": False}
DEVICES = {d.name: d for d in (
    Disk("virtio-blk", "virtio-blk-pci", props={"drive": "disk"}),
    VhostBlk("vhost-blk", "vhost-user-blk-pci",
             props={"chardev": "vhost1", "num-queues": 1}),
    Nic("virtio-net", "virtio-net-pci", props={"netdev": "net"}),
    Disk("virtio-scsi", "virtio-scsi-pci", children=(
        {"driver": "scsi-hd", "id": "hd", "bus": "dut.0", "drive": "disk"},)),
    Serial("virtio-serial", "virtio-serial-pci", children=(
        {"driver": "virtconsole", "id": "tty", "bus": "dut.0", "nr": 0,
         "chardev": "tty"},
        {"driver": "virtserialport", "id": "sink", "bus": "dut.0", "nr": 1,
         "chardev": "sink", "name": "sink"},
        {"driver": "virtserialport", "id": "source", "bus": "dut.0", "nr": 2,
         "chardev": "source", "name": "source"})),
    Rng("virtio-rng", "virtio-rng-pci",
        props={"rng": "rng", "max-bytes": 256, "period": 500}),
    Disk("nvme", "nvme", props={"drive": "disk", "serial": "lab",
                                 "share-rw": True},
         driver="nvme", alive=(0, 0x8, ANY),
         # Each of them goes on with commands that it waits for
         moments={"in-probe": "nvme_init_ctrl_finish",
                  "in-reset": "nvme_init_ctrl_finish",
                  "in-remove": "nvme_quiesce_io_queues"}, **NATIVE),
    NvmeVfs("nvme-vfs", "nvme", driver="nvme", alive=(0, 0x8, ANY), props={
        "serial": "lab", "subsys": "subsys", "sriov_max_vfs": 2,
        "sriov_vq_flexible": 4, "sriov_vi_flexible": 2}, children=(
            {"driver": "nvme-ns", "id": "ns", "bus": "dut", "nsid": 1,
             "drive": "disk", "share-rw": True, "shared": True},),
            scenarios=("vfs",), **NATIVE),
    Nic("igb", "igb", props={"netdev": "net"},
        driver="igb", alive=(0, 0x8, ANY),
        moments={"in-probe": "igb_release_swfw_sync_82575",
                 "in-remove": "igb_down", "no-reset": "igb_reset"}, **NATIVE),
    Nic("e1000e", "e1000e", props={"netdev": "net"},
        driver="e1000e", alive=(0, 0x8, ANY), **NATIVE),
    Usb("xhci", "qemu-xhci", driver="xhci_hcd", alive=(0, 0x0, ANY), children=(
        {"driver": "usb-tablet", "id": "tablet", "bus": "dut.0"},), **NATIVE),
    Ahci("ahci", "ich9-ahci", driver="ahci",
         alive=(5, 0x10, ANY), children=(
             {"driver": "ide-hd", "id": "hd", "bus": "dut.0",
              "drive": "disk"},), **NATIVE),
    Disk("megasas", "megasas-gen2", driver="megaraid_sas",
         alive=(1, 0xb0, ANY), children=(
             {"driver": "scsi-hd", "id": "hd", "bus": "dut.0",
              "drive": "disk"},),
         moments={"in-irq": "megasas_isr"}, **NATIVE),
    Switch("switch", "x3130-upstream", alive=(0, 0x8, ANY), children=(
        *({"driver": "xio3130-downstream", "id": f"down{nr}", "bus": "dut",
           "chassis": 3, "slot": nr} for nr in range(3)),
        {"driver": "nvme", "bus": "down0", "drive": "disk", "serial": "lab",
         "share-rw": True},
        {"driver": "virtio-blk-pci", "bus": "down1", "drive": "disk",
         "share-rw": True},
        {"driver": "igb", "bus": "down2", "netdev": "net"})),
)}
DISKS = tuple(name for name, d in DEVICES.items() if d.load == "disk")


class Run:
    """One device in one scenario: the checks, and what they rest on"""

    def __init__(self, m, dev, mode, limits):
        self.m, self.dev, self.mode, self.limits = m, dev, mode, limits
        self.checks, self.notes, self.times = [], [], {}
        self.counts = {}
        self.stuck = False      # something did not end: stacks were taken
        self.deaf = False       # and a processor has lost an interrupt
        self.load = []          # workers started, by first index and kind

    def check(self, name, good, detail=""):
        self.checks.append((name, bool(good), detail))
        return bool(good)

    def failed(self):
        return any(not good for _, good, _ in self.checks)

    async def stacks(self):
        if not self.stuck:
            self.stuck = True
            # From outside: a processor that spins does not say so itself.
            for _ in range(2):
                state = await self.m.monitor("info registers -a")
                self.notes += [line.strip() for line in state.splitlines()
                               if line.startswith(("CPU#", "RIP="))]
                await asyncio.sleep(0.2)
            deaf, apics = await self.m.deaf()
            self.deaf = bool(deaf)
            self.notes += [*apics, *(f"CPU#{nr} has lost an interrupt"
                                     for nr in deaf)]
            self.notes += ["blocked tasks:", *await self.m.blocked()]
            if any("-pciehp " in line for line in self.notes):
                return
            try:
                # It may poll, and not have been asleep just then
                stack = await self.m.ask("stack", "pciehp", "pciehp_ist", 200)
                self.notes += ["pciehp:", *stack.strip("|").split("|")]
            except (AgentError, TimeoutError):
                self.notes.append("pciehp: idle")

    # ---- before ---------------------------------------------------------

    async def bound(self, bdf, seconds=15):
        """The driver is bound, and it is the right one"""
        return await self.m.ask("bound", bdf, seconds * 1000,
                                timeout=seconds + 3)

    async def setup(self, ready):
        m, dev = self.m, self.dev
        begin = time.monotonic()
        try:
            async with asyncio.timeout(BOOT):
                await ready
        except TimeoutError:
            error = QemuGone(f"no report from the guest's init in {BOOT} s, "
                             f"the console ends {m.console()[-1:]}")
            error.signal = 0
            raise error
        self.times["boot"] = time.monotonic() - begin
        self.kernel = await m.ask("uname")
        for name, value in (("hung_task_timeout_secs", 8),
                            ("hung_task_check_interval_secs", 2),
                            ("hung_task_warnings", -1)):
            await m.ask("write", f"/proc/sys/kernel/{name}", value)
        await m.slot_setup()
        driver = await self.bound(m.bdf)
        if not self.check("bound", driver == dev.driver,
                          f"driver {driver} at {m.bdf}"):
            raise Failed("not the driver that this is about")
        if self.mode == "ones":
            await m.shadow_setup()
        await self.alive()

    async def probed(self):
        """pciehp is done with the new card: bound is said before that"""
        for _ in range(100):
            try:
                await self.m.ask("stack", "pciehp", "pciehp_configure", 700)
            except AgentError:
                return
            await asyncio.sleep(0.1)
        raise Failed("the new card is not probed in 10 s")

    async def alive(self):
        """Where the BARs are, and that the device itself answers there"""
        m = self.m
        self.bars = m.bars = {}
        functions = await self.dev.functions(m)
        for bdf in functions:
            lines = await m.ask("cat", f"/sys/bus/pci/devices/{bdf}/resource")
            for nr, line in enumerate(lines.split("|")[:6]):
                start, end, flags = (int(x, 16) for x in line.split())
                if flags & 0x200:
                    self.bars[bdf, nr] = start, end - start + 1
        nr, offset, bits = self.dev.alive
        end = time.monotonic() + LOAD
        while True:
            # "driver" is in sysfs before the driver has done its work
            value = (await m.ask(
                "peek", f"{self.bars[functions[0], nr][0] + offset:x}", 4)
                ).split()[0]
            good = value != "ffffffff" and int(value, 16) & bits
            if good or time.monotonic() > end:
                break
            await asyncio.sleep(0.05)
        if not self.check("answers", good, f"BAR {nr} + {offset:#x}: {value}"):
            raise Failed("the device does not answer before the yank")

    async def start_load(self, use=False, workers=None):
        """Workers, once they all are at work"""
        m = self.m
        first = len(await self.stat())
        new = []
        for kind, number, count, path in (
                workers or await self.dev.workers(m, use)):
            await m.ask("load", kind, number, count, path)
            new.append((first, kind))
            first += number
        self.load += new
        end = time.monotonic() + LOAD
        while True:
            stat = await self.stat()
            mine = stat[new[0][0]:]
            if use:
                if all(w["ended"] for w in mine):
                    return self.check(
                        "used", not any(w["failed"] or w["bad"] or w["errno"]
                                        for w in mine), self.tell(mine))
            else:
                # Of a kind, the first has got through, and all are there
                if (all(stat[nr]["ok"] for nr, kind in new) and
                        all(w["submitted"] for w in mine)):
                    break
            if (any(w["ended"] and not w["ok"] for w in mine) or
                    time.monotonic() > end):
                self.check("used" if use else "load", False, self.tell(stat))
                if use:
                    return False
                raise Failed("the load does not run")
            await asyncio.sleep(0.05)
        self.check("load", not any(w["ended"] for w in mine),
                   self.tell(mine))

    async def stat(self):
        fields = "submitted", "ok", "failed", "bad", "lost", "ended", "errno"
        return [dict(zip(fields, map(int, worker.split(","))))
                for worker in (await self.m.ask("stat")).split()]

    @staticmethod
    def pending(stat):
        return sum(w["submitted"] - w["ok"] - w["failed"] - w["lost"]
                   for w in stat)

    def tell(self, stat):
        def total(field):
            return sum(w[field] for w in stat)
        errors = sorted({w["errno"] for w in stat
                         if w["failed"] or w["errno"]})
        return (f"{total('submitted')} submitted, {total('ok')} ok, "
                f"{total('failed')} failed, {total('bad')} bad, "
                f"{self.pending(stat)} in flight, {total('ended')} of "
                f"{len(stat)} workers ended"
                + (", errors " + " ".join(os.strerror(e) if e else "EOF"
                                          for e in errors) if errors else ""))

    async def pending_now(self, enough=1):
        """Requests are in flight; NICs have nobody waiting for a frame"""
        if self.dev.load == "net":
            return
        for _ in range(100):
            stat = await self.stat()
            if self.pending(stat) >= enough:
                self.check("in-flight", True, self.tell(stat))
                return
            await asyncio.sleep(0.05)
        self.check("in-flight", False, self.tell(stat))

    # ---- yank and after -------------------------------------------------

    async def yank(self, watch=None):
        """Gives (time, future of its vanishing)"""
        watch = watch or self.m.begin("watch", self.m.bdf)
        when = await self.m.yank()
        return when, watch

    async def prove(self):
        """What the BARs of the vanished device read as, all of them"""
        want = "ffffffff" if self.mode == "ones" else "00000000"
        seen = []
        for (bdf, nr), (start, size) in self.bars.items():
            values = await self.m.ask("peek", f"{start:x}",
                                      f"{min(size, 4096):x}")
            seen.append((f"{bdf} BAR {nr}", values))
        self.check("mmio", all(v == f"{want} {want}" for _, v in seen),
                   "and, or of what the BARs read: "
                   + ", ".join(f"{bar}: {v}" for bar, v in seen))

    async def wait(self, name, future, begin, limit=None, since=None):
        """Wait for a command of the agent, look into it when it is late

        The time counts from BEGIN, the bound for a hang from SINCE.
        """
        hang = self.limits.hang
        for bound in (STACKS_AFTER, hang):
            left = (since or begin) + bound - time.monotonic()
            done, _ = await asyncio.wait([future], timeout=max(left, 0))
            if done:
                break
            await self.stacks()
        if not done:
            return self.check(name, False, f"not within {hang} s")
        try:
            seconds = (await future)[0] - begin
        except AgentError as e:
            return self.check(name, False, str(e))
        self.times[name] = seconds
        limit = limit or hang + (since or begin) - begin
        return self.check(name, seconds <= limit,
                          f"{seconds:.2f} s, at most {limit:g} s")

    async def ended(self, since):
        """All I/O ended: all workers, each with an error"""
        if not self.load:
            return
        while True:
            stat = await self.stat()
            done = all(w["ended"] for w in stat)
            late = time.monotonic() - since
            if done or late > self.limits.hang:
                break
            if late > STACKS_AFTER:
                await self.stacks()
            await asyncio.sleep(0.05)
        self.times.setdefault("ended", late)
        self.check("ended", done and not any(
            w["bad"] or not w["failed"] for w in stat), self.tell(stat))

    def begin_remove(self):
        return self.m.begin("write",
                            f"/sys/bus/pci/devices/{self.m.bdf}/remove", 1)

    async def rescan(self):
        """What was removed by sysfs comes back and is bound"""
        command = self.m.begin("write", "/sys/bus/pci/rescan", 1)
        if await self.wait("rescan", command, time.monotonic()):
            try:
                self.check("slot",
                           await self.bound(self.m.bdf, 10) == self.dev.driver)
            except AgentError as e:
                self.check("slot", False, str(e))

    async def usable(self):
        """The slot takes another card, and its driver binds"""
        m = self.m
        hangs = any(name == "gone" and not good and name not in self.times
                    for name, good, _ in self.checks)
        if await m.slot_off(0.5 if hangs else 6):
            port, bdf = PORT, m.bdf
        else:
            # The rescan lock is shared by all slots: does it hold up others?
            self.check("slot", False, "pciehp never turned it off")
            port, bdf = SPARE_PORT, m.spare_bdf
        await m.device_add({"driver": "virtio-rng-pci", "id": "probe",
                            "bus": f"port{port}", "rng": "probe"})
        begin = time.monotonic()
        try:
            await self.bound(bdf, 10 if port == PORT else 3)
            detail = f"bound in {time.monotonic() - begin:.1f} s"
        except (AgentError, TimeoutError) as e:
            detail = None
            await self.stacks()
        if port == PORT:
            self.check("slot", detail, detail or "a new card is not bound")
        else:
            self.notes.append("another slot: " + (detail or "hangs as well"))

    async def heard(self, text, seconds=10):
        """The kernel has said so on the console"""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if any(text in line for line in self.m.console()):
                return True
            await asyncio.sleep(0.05)
        return False

    async def finish(self):
        m = self.m
        try:
            await m.ask("uname")
            self.check("guest", True)
        except (TimeoutError, AgentError):
            self.check("guest", False, "the agent does not answer any more")
        splats = m.splats()
        self.check("console", not splats, f"{len(splats)} complaints"
                   + "".join(f"; {line}" for line in splats[:3]))


# ---- scenarios ------------------------------------------------------------

SCENARIOS = {}


def scenario(devices=None, default=True, zeros=True, beside=(), prepare=None,
             shadow="ivshmem-plain"):
    """DEVICES it is meant for; is it run by default?  also with ZEROS?

    BESIDE the device, on the same slot, there may be other functions.
    PREPARE is called after its back ends are there.  SHADOW gives the ones.
    """
    def add(f):
        name = f.__name__.replace("_", "-")
        f.devices = [d.name for d in DEVICES.values()
                     if (not devices or d.name in devices)
                     and (not d.scenarios or name in d.scenarios)]
        f.default, f.zeros, f.beside = default, zeros, beside
        f.prepare, f.shadow = prepare, shadow
        SCENARIOS[name] = f
        return f
    return add


async def after_yank(r, when, watch, usable=True):
    await r.prove()
    await r.wait("gone", watch, when, r.limits.gone)
    await r.ended(when)
    if r.load:
        await r.dev.check_data(r.m, r)
    if usable:
        await r.usable()


@scenario()
async def idle(r):
    """driver bound, nothing running, yank"""
    when, watch = await r.yank()
    await after_yank(r, when, watch)


async def busy(r, per_second=4, enough=1, lose=False):
    """Load, the back end slow enough that requests wait at any time"""
    await r.start_load()
    await r.dev.pend(r.m, per_second)
    await asyncio.sleep(0.5)
    if lose:
        await r.dev.lose(r.m)
    await r.pending_now(enough)


async def sysfs_remove(r, limit=None):
    """Gives the time of the request"""
    watch = r.m.begin("watch", r.m.bdf)
    when = time.monotonic()
    command = r.begin_remove()
    await r.wait("removed", command, when)
    await r.wait("gone", watch, when, limit)
    return when


@scenario()
async def load(r):
    """yank under load, requests in flight"""
    await busy(r, lose=True)
    when, watch = await r.yank()
    await after_yank(r, when, watch)


@scenario(zeros=False)
async def remove(r):
    """graceful removal by sysfs under load, then rescan"""
    await busy(r, 200)
    when = await sysfs_remove(r)
    await r.ended(when)
    await r.dev.check_data(r.m, r)
    await r.rescan()


async def press(r):
    """The attention button; gives the time when the slot stops to blink"""
    m = r.m
    watch = m.begin("watch", m.bdf)
    when = time.monotonic()
    await m.qmp("device_del", id="dut")
    if await r.wait("gone", watch, when, since=when + BLINK):
        # pciehp turns the slot off once the driver is unbound
        for _ in range(60):
            plugged = await m.plugged("dut")
            if not plugged:
                break
            await asyncio.sleep(0.1)
        r.check("unplugged", not plugged)
    return when + BLINK


@scenario(zeros=False)
async def button(r):
    """graceful removal by the attention button under load"""
    await busy(r, 200)
    when = await press(r)
    await r.ended(when)
    await r.dev.check_data(r.m, r)
    await r.usable()


@scenario(DISKS)
async def remove_yank(r):
    """removal by sysfs waits for pending requests, yank 1 s later"""
    m = r.m
    await busy(r, 2, 4, lose=True)
    watch = m.begin("watch", m.bdf)
    command = r.begin_remove()
    await asyncio.sleep(1)
    r.check("pending", not command.done(),
            "the removal was still waiting at the yank")
    when, watch = await r.yank(watch)
    await after_yank(r, when, watch)
    await r.wait("removed", command, when)


@scenario(DISKS)
async def button_yank(r):
    """attention button; pciehp waits for pending requests in ->remove, yank"""
    m = r.m
    await r.start_load()
    await r.pending_now()
    watch = m.begin("watch", m.bdf)
    when = time.monotonic()
    await m.qmp("device_del", id="dut")
    await asyncio.sleep(4)
    await r.dev.pend(m, 2)
    await r.dev.lose(m)
    await r.pending_now(4)
    begun = m.begin("stack", "pciehp", "pci_stop_and_remove_bus_device",
                    10000)
    if not await r.wait("remove-begun", begun, when, since=when + BLINK):
        raise Failed("pciehp was never seen in ->remove()")
    await asyncio.sleep(0.5)
    r.check("pending", not watch.done(),
            "the removal was still waiting at the yank")
    when, watch = await r.yank(watch)
    await after_yank(r, when, watch)


async def empty(r):
    """The slot takes the device again"""
    m = r.m
    if not await m.slot_off(6):
        return r.check("slot", False, "pciehp never turned it off")
    # QEMU may hold the back end a while longer, for requests of its own
    for _ in range(50):
        if "dut" in m.deleted:
            break
        await asyncio.sleep(0.1)
    m.deleted.clear()
    return True


@scenario()
async def replug(r):
    """yank, plug the same device again, use it, yank it again"""
    m, dev = r.m, r.dev
    await r.start_load()
    when, watch = await r.yank()
    await after_yank(r, when, watch, usable=False)
    if not await empty(r):
        return
    await dev.again(m)
    controller, *children = dev.plug()
    if hasattr(m, "vhost"):
        controller["chardev"] = m.vhost
    await m.device_add(controller)
    try:
        r.check("replugged", await r.bound(m.bdf, 10) == dev.driver)
    except AgentError as e:
        r.check("replugged", False, str(e))
        await r.stacks()
        return
    for child in children:
        try:
            await m.device_add(child)
        except Failed as e:
            if "does not support hotplug" in str(e):
                raise Skip(f"{controller['driver']}: {e}")
            raise
    await r.probed()
    await r.alive()
    if not await r.start_load(use=True):
        await r.stacks()
    r.load = []
    when, watch = await r.yank()
    await r.prove()
    await r.wait("gone-again", watch, when, r.limits.gone)
    await r.usable()


@scenario(("virtio-blk", "virtio-net", "virtio-scsi"))
async def silent(r):
    """dies without an event; I/O ends by timeout (1 s), then sysfs removal"""
    m = r.m
    await r.dev.hasten(m)
    await busy(r)
    when = await m.darken()
    await r.prove()
    disk = r.dev.load == "disk"
    if disk:
        await r.ended(when)
    when = await sysfs_remove(r, None if disk else r.limits.gone)
    await r.ended(when)
    await m.yank()
    await r.usable()


@scenario(("virtio-blk", "virtio-scsi", "nvme"), zeros=False)
async def blink(r):
    """removal by sysfs begins while the device is away for a moment"""
    m = r.m
    await busy(r, 4, 4)
    before = await r.stat()
    back = await m.hide()
    watch = m.begin("watch", m.bdf)
    begun = m.begin("stack", "init", "pci_stop_and_remove_bus_device", 10000)
    when = time.monotonic()
    command = r.begin_remove()
    await r.wait("remove-begun", begun, when)
    await m.qtest_send(*back)
    away = time.monotonic() - when
    await r.wait("removed", command, when)
    await r.wait("gone", watch, when)
    await r.ended(when)
    # Drivers look three times, a tenth of a second apart: longer is no moment.
    if away >= 0.2:
        raise Late(f"the device was away for {away:.2f} s, not less than 0.2 s")
    done = sum(w["ok"] for w in await r.stat()) - sum(w["ok"] for w in before)
    r.check("kept", done >= r.pending(before),
            f"{r.pending(before)} in flight when it began, {done} completed")
    await r.dev.check_data(m, r)


# No driver, so no error handlers: with it on the port, no recovery succeeds
HELPLESS = {"driver": "pci-testdev", "id": "beside", "addr": "0.1"}
RECOVERING = "virtio-blk", "virtio-net", "virtio-scsi", "nvme", "igb", "e1000e"


async def fail_recovery(r):
    await r.start_load()
    await r.m.monitor(f"pcie_aer_inject_error port{PORT} SDN")
    if not r.check("recovery-failed", await r.heard("device recovery failed")):
        raise Failed("no fatal error was reported, or recovery succeeded")


@scenario(RECOVERING, zeros=False, beside=(HELPLESS,))
async def aer_fail(r):
    """fatal error under load, recovery fails, sysfs removal, rescan"""
    await fail_recovery(r)
    when = await sysfs_remove(r)
    await r.ended(when)
    await r.dev.check_data(r.m, r)
    await r.rescan()


@scenario(RECOVERING, default=False, zeros=False, beside=(HELPLESS,))
async def aer_gone(r):
    """recovery fails, then the device dies without an event, sysfs removal"""
    await fail_recovery(r)
    await r.m.darken()
    await r.prove()
    when = await sysfs_remove(r)
    await r.ended(when)
    await r.m.yank()
    await r.usable()


@scenario(("virtio-blk", "nvme", "igb", "e1000e"), zeros=False)
async def reset(r):
    """yank while a loop of sysfs resets runs"""
    if r.dev.load == "disk":    # of these, only their drivers restore it
        await r.start_load()
    else:
        await r.m.ask("ifup", await r.dev.find(r.m, "class/net"), timeout=15)
    await r.start_load(workers=[
        ("poke", 1, 0, f"/sys/bus/pci/devices/{r.m.bdf}/reset")])
    end = time.monotonic() + LOAD
    while ((before := await r.stat())[-1]["ok"] < 2 and
           not before[-1]["ended"] and time.monotonic() < end):
        await asyncio.sleep(0.05)
    await asyncio.sleep(0.5)
    before = await r.stat()
    r.check("resets", before[-1]["ok"] > 1 and not before[-1]["ended"],
            r.tell(before[-1:]))
    when, watch = await r.yank()
    await after_yank(r, when, watch)


@scenario(("vhost-blk",), default=False, zeros=False)
async def reset_yank(r):
    """sysfs reset waits for pending requests, yank 1 s later"""
    m = r.m
    await busy(r, 2, 4, lose=True)
    reset = m.begin("write", f"/sys/bus/pci/devices/{m.bdf}/reset", 1)
    await asyncio.sleep(1)
    r.check("pending", not reset.done(),
            "the reset was still waiting at the yank")
    when, watch = await r.yank()
    await after_yank(r, when, watch)


@scenario(("igb",), zeros=False)   # of the devices here, only its driver can
async def suspend(r):
    """interface up, no link, device runtime-suspended; yank"""
    m = r.m
    await m.qmp("set_link", name="dut", up=False)
    await m.ask("ifup", await r.dev.find(m, "class/net"), timeout=15)
    power = f"/sys/bus/pci/devices/{m.bdf}/power"
    await m.ask("write", f"{power}/control", "auto")
    end = time.monotonic() + LOAD
    while ((status := await m.ask("cat", f"{power}/runtime_status"))
           != "suspended|" and time.monotonic() < end):
        await asyncio.sleep(0.1)
    if not r.check("suspended", status == "suspended|", status.strip("|")):
        raise Failed("the device does not suspend")
    when, watch = await r.yank()
    await after_yank(r, when, watch)


@scenario(("nvme-vfs", "igb"), zeros=False)
async def vfs(r):
    """two VFs, they and the PF in use; yank (nvme: dies, sysfs removal)"""
    m, dev = r.m, r.dev
    vfs = await dev.add_vfs(m, 2)
    drivers = [await r.bound(vf) for vf in vfs]
    r.check("vfs", len(drivers) == 2, f"{' '.join(drivers)} at "
            + " ".join(vfs))
    await r.start_load()
    for vf in vfs:
        await r.start_load(workers=await dev.vf_workers(m, vf))
    watches = [m.begin("watch", vf) for vf in vfs]
    if dev.name == "nvme-vfs":
        # An assertion of QEMU 10.0 fails when it unplugs a PF of a subsystem
        await m.darken()
        await r.prove()
        limit = None            # nobody has marked it
        when = await sysfs_remove(r)
    else:
        limit = r.limits.gone
        when, watch = await r.yank()
        await r.prove()
        await r.wait("gone", watch, when, limit)
    for nr, each in enumerate(watches):
        await r.wait(f"vf{nr}-gone", each, when, limit)
    await r.ended(when)
    await dev.check_data(m, r)
    if dev.name != "nvme-vfs":
        await r.usable()


@scenario(("virtio-blk", "virtio-net", "virtio-scsi", "nvme", "igb", "e1000e"),
          default=False, zeros=False)
async def probe(r):
    """plugged, and yanked while the driver probes, at several moments"""
    m = r.m
    result = "class/block" if r.dev.load == "disk" else "class/net"
    controller = r.dev.plug()[0]
    when, watch = await r.yank()
    await r.prove()
    await r.wait("gone", watch, when, r.limits.gone)
    early, delays = 0, (0, 0.05, 0.1, 0.2, 0.4)
    for nr, delay in enumerate(delays):
        if not await empty(r):
            return
        await r.dev.again(m)
        await r.dev.pend(m, 1)      # a disk does not answer the probe at once
        there = m.begin("there", m.bdf)
        await m.device_add(controller)
        async with asyncio.timeout(10):
            await there
        await asyncio.sleep(delay)
        probed = m.begin("find", m.bdf, result, 0)
        when, watch = await r.yank()
        try:
            await probed
        except AgentError:
            early += 1
        if not await r.wait(f"gone-{nr}", watch, when, r.limits.gone):
            break
    r.check("early", early, f"{early} of {len(delays)} yanks before the "
            "probe had made a device")
    await r.usable()


# Their BARs are larger, and so come first: the shadow's first bytes are theirs
PUSHING = ({"driver": "pvscsi", "addr": "0.1"},
           {"driver": "pci-testdev", "membar": 65536, "addr": "0.2"})


async def count_accesses(r):
    if r.mode == "zeros":
        raise Skip("only what gives all-ones can be traced")
    await r.m.trace(True)
    when, watch = await r.yank()
    await r.wait("gone", watch, when)       # tracing takes its time
    await r.m.trace(False)
    r.counts = r.m.accesses()
    await r.prove()
    await r.ended(when)
    await r.usable()


@scenario(("virtio-blk", "nvme"), zeros=False, beside=PUSHING, shadow="edu")
async def accesses(r):
    """yank while idle; what is still read from and written to the device"""
    await count_accesses(r)
    r.check("untouched", not any(r.counts.values()))


@scenario(("virtio-blk", "nvme"), default=False, zeros=False, beside=PUSHING,
          shadow="edu")
async def accesses_load(r):
    """the same with requests in flight"""
    await busy(r)
    await count_accesses(r)


@scenario(("virtio-blk", "nvme", "igb"), zeros=False)
async def selftest(r):
    """the kernel's selftest yanks, from inside"""
    if not r.limits.selftest:
        raise Skip("no selftest given")
    m = r.m
    when = time.monotonic()
    watch = m.begin("watch", m.bdf)
    status, *lines = (await m.ask("run", "/selftest",
                                  f"PCI_PORT=0000:00:{PORT:02x}.0",
                                  timeout=30)).split("|")
    r.notes += lines
    r.check("selftest", status == "0" and any(
        line == "ok 1 port.slot_power" for line in lines),
        "; ".join(line for line in lines if "ok " in line))
    await r.wait("gone", watch, when)
    await r.prove()


SBIN = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
SYNCED, DIRTY = 64, 512     # blocks


async def tool(m, name, *args, good=(0,)):
    path = shutil.which(name, path=SBIN)
    if not path:
        raise Skip(f"no {name} found (Debian: e2fsprogs)")
    proc = await m.spawn(path, *args)
    if await proc.wait() not in good:
        raise Failed(f"{name} ended with status {proc.returncode}")


async def make_ext4(m):
    os.truncate(m.image, 16 << 20)
    await tool(m, "mkfs.ext4", "-q", "-F", "-b", str(BLOCK), m.image)


async def lose_nothing(r, removal):
    m = r.m
    await m.ask("mount", await r.dev.disk(m), "ext4")
    for kind, blocks in (("synced", SYNCED), ("dirty", DIRTY)):
        await m.ask("load", kind, 1, blocks, f"/mnt/{kind}")
    for _ in range(100):
        synced, dirty = await r.stat()
        if synced["ended"] and dirty["submitted"]:
            break
        await asyncio.sleep(0.05)
    r.check("synced", synced["ok"], r.tell([synced]))
    memory = await m.ask("cat", "/proc/meminfo")
    amount = int(memory.split("|Dirty:")[1].split()[0])
    r.check("dirty", amount >= DIRTY * BLOCK // 2048, f"{amount} kB dirty")
    begin = await removal(r)
    while not (dirty := (await r.stat())[1])["ended"] and (
            time.monotonic() < begin + r.limits.hang):
        await asyncio.sleep(0.05)
    r.check("told", dirty["ended"], "fsync() after it: " + (
        "done" if dirty["ok"] else os.strerror(dirty["errno"])))
    await r.wait("umount", m.begin("umount"), time.monotonic())
    # What the journal has is on the disk as well.  1: it was needed
    await tool(m, "e2fsck", "-fy", m.image, good=(0, 1))
    for name, blocks, promised in (("synced", SYNCED, synced["ok"]),
                                   ("dirty", DIRTY, dirty["ok"])):
        copy = os.path.join(m.workdir, name)
        open(copy, "wb").close()    # it may not be there
        await tool(m, "debugfs", "-R", f"dump /{name} {copy}", m.image)
        with open(copy, "rb") as f:
            data = f.read()
        there = sum(
            data[nr * BLOCK:(nr + 1) * BLOCK] ==
            struct.pack("<4I", MAGIC, nr, 1, 0xfffffffe) * RECORDS
            for nr in range(blocks))
        r.check(f"{name}-kept", there == blocks or not promised,
                f"{there} of {blocks} blocks on the backing file, fsync() "
                + ("succeeded" if promised else "failed"))


@scenario(("virtio-blk", "virtio-scsi", "nvme"), zeros=False,
          prepare=make_ext4)
async def dirty(r):
    """sysfs removal, ext4 with dirty data: written, or reported as an error"""
    await lose_nothing(r, sysfs_remove)
    await r.rescan()


@scenario(("virtio-blk", "virtio-scsi", "nvme"), default=False, zeros=False,
          prepare=make_ext4)
async def dirty_button(r):
    """the same by the attention button"""
    await lose_nothing(r, press)
    await r.usable()


async def at_moment(r, name, path=None, value=None):
    """Yank when the driver enters a function, after a write or in its work"""
    m, gdb = r.m, r.m.gdb
    function = r.dev.moments[name]
    address = int(await m.ask("symbol", function), 16)
    watch = m.begin("watch", m.bdf)
    await gdb.catch(address)
    command = path and m.begin("write", path, value)
    try:
        await gdb.caught(10)
    except TimeoutError:
        raise Failed(f"the driver never got to {function}()")
    when, watch = await r.yank(watch)
    await gdb.release(address)
    await after_yank(r, when, watch)
    if command and not r.check("unlocked", command.done(),
                               f"the write to {path} has ended"):
        await r.stacks()


@scenario(("nvme", "igb"), default=False, zeros=False)
async def in_probe(r):
    """yank while the driver waits for the device, in ->probe"""
    driver = f"/sys/bus/pci/drivers/{r.dev.driver}"
    await r.m.ask("write", f"{driver}/unbind", r.m.bdf, timeout=15)
    await at_moment(r, "in-probe", f"{driver}/bind", r.m.bdf)


@scenario(("nvme",), default=False, zeros=False)
async def in_reset(r):
    """yank while the driver starts the device again, after a PCI reset"""
    await at_moment(r, "in-reset", f"/sys/bus/pci/devices/{r.m.bdf}/reset", 1)


@scenario(("nvme", "igb"), default=False, zeros=False)
async def in_remove(r):
    """yank while the driver stops the device, in ->remove"""
    if r.dev.load == "net":
        await r.start_load()
    await at_moment(r, "in-remove", f"/sys/bus/pci/devices/{r.m.bdf}/remove",
                    1)


@scenario(("igb",), default=False, zeros=False)
async def no_reset(r):
    """dies without an event, sysfs removal: the driver must not reset it"""
    m, gdb = r.m, r.m.gdb
    function = r.dev.moments["no-reset"]
    address = int(await m.ask("symbol", function), 16)
    await r.start_load()
    await m.darken()
    await r.prove()
    await gdb.catch(address)
    caught = asyncio.create_task(gdb.caught(r.limits.total))
    m.tasks.append(caught)
    removal = asyncio.create_task(sysfs_remove(r, r.limits.gone))
    m.tasks.append(removal)
    await asyncio.wait([caught, removal], return_when=asyncio.FIRST_COMPLETED)
    if not r.check("no-reset", not caught.done(),
                   f"{function}() was not entered"):
        await gdb.release(address)
    await r.ended(await removal)
    await m.yank()
    await r.usable()


@scenario(("megasas",), default=False, zeros=False)
async def in_irq(r):
    """yank under load, when the driver is about to ask for the interrupt"""
    await r.start_load()
    await at_moment(r, "in-irq")


async def run(r, name):
    m, dev = r.m, r.dev
    m.args = ["-object", "rng-builtin,id=probe"]
    args = await dev.backends(m)
    if SCENARIOS[name].prepare:
        await SCENARIOS[name].prepare(m)
    controller, *others = dev.plug()
    beside = SCENARIOS[name].beside
    if beside:
        # Else a function with ARI (igb) would say that it is the only one
        controller |= {"multifunction": True, "x-pcie-ari-nextfn-1": True}
        others += [{"bus": controller["bus"], **device} for device in beside]
    for device in controller, *others:
        args += ["-device", json.dumps(device)]
    if name in dev.moments:
        m.gdb = Gdb(m)
    # The ports come first on QEMU's command line, see start()
    ready = await m.start(args)
    if name in dev.moments:
        await m.gdb.connect()
    over = asyncio.create_task(m.gone())
    work = asyncio.create_task(drive(r, name, ready))
    m.tasks += [over, work]
    await asyncio.wait([over, work], return_when=asyncio.FIRST_COMPLETED)
    # A crash of QEMU is not a hang of the guest: it goes first
    if over.done() or (work.exception() and m.proc.returncode is not None):
        work.cancel()
        await over
    await work


async def drive(r, name, ready):
    try:
        async with asyncio.timeout(BOOT + r.limits.total):
            try:
                await r.setup(ready)
                await SCENARIOS[name](r)
            except TimeoutError:
                await r.stacks()
                r.check("answered", False, "an answer did not come in time")
            except (Failed, AgentError) as e:
                r.check("went-through", False, str(e))
            await r.finish()
    except TimeoutError:
        r.check("total", False, f"took more than {r.limits.total} s")
