# SPDX-License-Identifier: GPL-2.0-only
"""Disks: virtio, nvme, SATA, RAID, and behind a vhost-user back end."""

import asyncio
import json
import os
import re
import shutil
import signal
import struct

from devices.base import ANY, NATIVE, Device, add
from errors import AgentError, Failed
from slots import SPARE_PORT

BLOCK, BLOCKS, MAGIC = 4096, 1024, 0x6b6e6179   # see init.c

RECORDS = BLOCK // 16
# The whole path: each of its controllers has a property of this name
SUBSYS = "/machine/peripheral/subsys"


def disk_image(path):
    with open(path, "wb") as f:
        for block in range(BLOCKS):
            f.write(struct.pack("<4I", MAGIC, block, 0, 0xffffffff) * RECORDS)


class Disk(Device):
    load = "disk"
    throttle = True

    async def backends(self, m):
        self.image = os.path.join(m.workdir, "disk")
        disk_image(self.image)
        blockdevs = [
            {"driver": "raw", "node-name": "image",
             "file": {"driver": "file", "filename": self.image}},
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

    async def short_timeouts(self, m):
        name = await self.find(m, "class/block")
        try:
            await m.ask("write", f"/sys/block/{name}/queue/io_timeout", 1000)
        except AgentError:
            pass        # the base's virtio_blk has none

    async def slow_down(self, m, per_second):
        if not self.throttle:
            return
        await m.qmp("qom-set", path="/objects/limit", property="limits",
                    value={"iops-total": per_second})

    async def check_data(self, m, r):
        acked = (await m.ask("acked")).split()
        with open(self.image, "rb") as f:
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
    daemons = 0             # started so far

    def unavailable(self, qemu):
        if not shutil.which("qemu-storage-daemon"):
            return ("no qemu-storage-daemon found (Debian: qemu-utils, "
                    "of the same version as QEMU)")
        return super().unavailable(qemu)

    async def daemon(self, m):
        self.daemons += 1
        path, pidfile = (os.path.join(m.workdir, f"{what}{self.daemons}")
                         for what in ("vhost", "pid"))
        # One writer at a time has the image locked
        await self.drop_pending(m)
        self.process = await m.spawn(
            "qemu-storage-daemon", "--pidfile", pidfile,
            "--blockdev", "driver=file,node-name=image,filename=" + self.image,
            "--export", "type=vhost-user-blk,id=export,node-name=image,"
            f"writable=on,addr.type=unix,addr.path={path}")
        for _ in range(100):
            if os.path.exists(pidfile):
                return path
            if self.process.returncode is not None:
                break
            await asyncio.sleep(0.05)
        raise Failed("qemu-storage-daemon did not start")

    async def backends(self, m):
        self.image, self.process = os.path.join(m.workdir, "disk"), None
        disk_image(self.image)
        path = await self.daemon(m)
        return ["-chardev", f"socket,id=vhost{self.daemons},path={path}"]

    def plug(self):
        controller, *children = super().plug()
        return [controller | {"chardev": f"vhost{self.daemons}"}, *children]

    async def before_replug(self, m):
        path = await self.daemon(m)
        await m.qmp("chardev-add", id=f"vhost{self.daemons}", backend={
            "type": "socket", "data": {
                "server": False,
                "addr": {"type": "unix", "data": {"path": path}}}})

    async def slow_down(self, m, per_second):
        pass

    async def drop_pending(self, m):
        if self.process:
            os.killpg(self.process.pid, signal.SIGKILL)
            await self.process.wait()
            self.process = None
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
        pf = f"/sys/bus/pci/devices/{m.slot.bdf}"
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


class NvmeMany(Disk):
    """Several namespaces, of one image; only the first is written to"""
    async def workers(self, m, use=False):
        workers = await super().workers(m, use)
        for end in "n2", "n3":
            path = await self.disk(m, lambda name, end=end: name.endswith(end))
            workers.append(("disk", 1, 20 if use else 0, path))
        return workers

    async def disk(self, m, good=lambda name: name.endswith("n1"), bdf=None):
        return await super().disk(m, good, bdf)


class NvmePaths(Disk):
    """Two controllers of a subsystem, and a namespace that both lead to"""
    cmdline = "nvme_core.multipath=Y"

    async def backends(self, m):
        return ["-device", "nvme-subsys,id=subsys",
                *await super().backends(m)]

    async def disk(self, m, *which):
        # There is one device, for all paths; theirs are hidden
        return re.sub(r"c\d+n", "n", await super().disk(m, *which))


class Ahci(Disk):
    """Its disk must be idle at the unplug, or QEMU 10.0.2 aborts

    So requests are not made to wait in the back end, but in the controller.
    """
    throttle = False

    async def drop_pending(self, m):
        cmd = self.bars[m.slot.bdf, 5][0] + 0x118      # port 0, bit 0: work on commands
        value, = await m.qtest_send(f"readl {cmd:#x}")
        await m.qtest_send(f"writel {cmd:#x} {value & ~1:#x}")
        await asyncio.sleep(0.3)


add(Disk("virtio-blk", "virtio-blk-pci", props={"drive": "disk"}),
    VhostBlk("vhost-blk", "vhost-user-blk-pci", props={"num-queues": 1}),
    Disk("virtio-scsi", "virtio-scsi-pci", children=(
        {"driver": "scsi-hd", "id": "hd", "bus": "dut.0", "drive": "disk"},)),
    Disk("nvme", "nvme", props={"drive": "disk", "serial": "lab",
                                "share-rw": True},
         driver="nvme", alive=(0, 0x8, ANY),
         # Each of them goes on with commands that it waits for
         moments={"in-probe": "nvme_init_ctrl_finish",
                  "in-reset": "nvme_init_ctrl_finish",
                  "in-enable": "pci_alloc_irq_vectors",
                  "hostile-ones": "nvme_reset_work",
                  "hostile-random": "nvme_reset_work",
                  "in-remove": "nvme_quiesce_io_queues"}, **NATIVE),
    NvmeVfs("nvme-vfs", "nvme", driver="nvme", alive=(0, 0x8, ANY), props={
        "serial": "lab", "subsys": "subsys", "sriov_max_vfs": 2,
        "sriov_vq_flexible": 4, "sriov_vi_flexible": 2}, children=(
            {"driver": "nvme-ns", "id": "ns", "bus": "dut", "nsid": 1,
             "drive": "disk", "share-rw": True, "shared": True},),
            scenarios=("vfs",), swept=False, **NATIVE),
    NvmeMany("nvme-many", "nvme", driver="nvme", alive=(0, 0x8, ANY),
             props={"serial": "lab"}, children=tuple(
                 {"driver": "nvme-ns", "id": f"ns{nr}", "bus": "dut",
                  "nsid": nr, "drive": "disk", "share-rw": True}
                 for nr in (1, 2, 3)),
             scenarios=("load", "silent-off", "remove", "remove-yank",
                        "button-yank"), swept=False, **NATIVE),
    NvmePaths("nvme-paths", "nvme", driver="nvme", alive=(0, 0x8, ANY),
              props={"serial": "lab", "subsys": SUBSYS}, children=(
                  {"driver": "nvme", "id": "spare", "bus": f"port{SPARE_PORT}",
                   "serial": "lab", "subsys": SUBSYS},
                  {"driver": "nvme-ns", "id": "ns", "bus": "dut", "nsid": 1,
                   "drive": "disk", "share-rw": True, "shared": True}),
              scenarios=("path",), swept=False, **NATIVE),
    Ahci("ahci", "ich9-ahci", driver="ahci",
         alive=(5, 0x10, ANY), children=(
             {"driver": "ide-hd", "id": "hd", "bus": "dut.0",
              "drive": "disk"},), **NATIVE),
    Disk("megasas", "megasas-gen2", driver="megaraid_sas",
         alive=(1, 0xb0, ANY), children=(
             {"driver": "scsi-hd", "id": "hd", "bus": "dut.0",
              "drive": "disk"},),
         moments={"in-irq": "megasas_isr"}, **NATIVE),
    Disk("mptsas", "mptsas1068", driver="mptsas",
         alive=(1, 0x0, 0x20000000), children=(
             {"driver": "scsi-hd", "id": "hd", "bus": "dut.0",
              "drive": "disk", "wwn": 0x5000c50000000001},),
         # Pulled out during its removal it is noticed by a work, once a second
         scenarios=("idle", "load", "remove", "silent-off"), **NATIVE),
    Disk("pvscsi", "pvscsi", driver="vmw_pvscsi",
         alive=(0, 0x2010, 0x3), children=(
             {"driver": "scsi-hd", "id": "hd", "bus": "dut.0",
              "drive": "disk"},),
         scenarios=("idle", "load", "remove-yank", "button-yank",
                    "silent-off"), **NATIVE))
