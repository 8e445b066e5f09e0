# SPDX-License-Identifier: GPL-2.0-only
"""A directory of the host that the guest mounts."""

import os

from devices.base import add
from devices.disk import Disk, disk_image


class Files(Disk):
    """What is asked for by a file on it is lost and found like a disk's

    A removal that was asked for waits until it is unmounted, by design.
    """
    load = "files"
    throttle = False
    scenarios = ("idle", "load", "replug", "remove-yank", "silent",
                 "sleep-yank", "sleep-silent")

    async def backends(self, m):
        share = os.path.join(m.workdir, "share")
        os.mkdir(share)
        self.image = os.path.join(share, "disk")
        disk_image(self.image)
        return ["-fsdev", f"local,id=share,path={share},security_model=none"]

    async def workers(self, m, use=False):
        await m.ask("mount", "share", "9p")
        return [("disk", 8, 20 if use else 0, "/mnt/disk")]

    async def before_replug(self, m):
        await m.ask("umount")

    async def short_timeouts(self, m):
        pass                    # it has none


add(Files("virtio-9p", "virtio-9p-pci",
          props={"fsdev": "share", "mount_tag": "share"}))
