# SPDX-License-Identifier: GPL-2.0-only
"""Virtual functions."""

from scenarios.base import scenario, sysfs_remove


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
        await m.slot.cut_power()
        await r.check_reads()
        limit = None            # nobody has marked it
        when = await sysfs_remove(r)
    else:
        limit = r.limits.gone
        when, watch = await r.yank()
        await r.check_reads()
    # They go one after another, the last VF first: to each its time
    begin = when
    for nr, each in reversed(list(enumerate(watches))):
        await r.wait(f"vf{nr}-gone", each, begin, limit)
        begin += r.times.get(f"vf{nr}-gone", 0)
    if limit:
        # More of it than of a VF; but not the 1.6 s that igb and the core wait
        await r.wait("gone", watch, when, 1.5 * limit + begin - when)
    await r.ended(when)
    await dev.check_data(m, r)
    if dev.name != "nvme-vfs":
        await r.check_slot()
