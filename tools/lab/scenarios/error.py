# SPDX-License-Identifier: GPL-2.0-only
"""Devices that die without an event, for good or for a moment."""

import time

from devices import DISKS
from errors import Failed, Late
from scenarios.base import returned, scenario, slow_load, sysfs_remove
from scenarios.graceful import lose_nothing, make_ext4
from scenarios.yank import HELD
from slots import PORT


# virtio_device_given_up(): 600 looks, 100 ms and up to two ticks apart
GIVEN_UP = 66


@scenario(("virtio-blk", "virtio-net", "virtio-scsi", "virtio-serial",
           "virtio-rng", "virtio-input", "virtio-crypto", "virtio-9p"),
          patience=GIVEN_UP)
async def silent(r):
    """dies without an event; a disk's I/O ends in a minute; sysfs removal"""
    m = r.m
    await r.dev.short_timeouts(m)
    await slow_load(r)
    when = await m.slot.cut_power()
    await r.check_reads()
    disk = r.dev.load == "disk"
    if disk:
        await r.ended(when, GIVEN_UP)
    when = await sysfs_remove(r, None if disk else r.limits.gone)
    await r.ended(when)
    await m.slot.yank()
    await r.check_slot()


@scenario(("virtio-balloon",))
async def inflated_silent(r):
    """balloon that holds some memory dies without an event; sysfs removal"""
    await r.dev.inflate(r.m, HELD)
    await r.m.slot.cut_power()
    await sysfs_remove(r, r.limits.gone)
    await r.m.slot.yank()
    await r.check_slot()


@scenario(("virtio-blk", "virtio-scsi", "nvme"), zeros=False)
async def blink(r):
    """removal by sysfs begins while the device is away for a moment"""
    m = r.m
    await slow_load(r, 4, 4)
    before = await r.stat()
    back = await m.slot.hide()
    watch = m.begin("watch", m.slot.bdf)
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


@scenario(("virtio-blk", "virtio-scsi", "virtio-net", "virtio-serial",
           "virtio-rng"), default=False, zeros=False)
async def forgotten(r):
    """loses its command register under load, sysfs removal, rescan"""
    await r.dev.short_timeouts(r.m)
    await r.start_load()
    await r.m.slot.forget()
    await r.ended(await sysfs_remove(r))
    await r.dev.check_data(r.m, r)
    await r.rescan()


# No driver, so no error handlers: with it on the port, no recovery succeeds
HELPLESS = {"driver": "pci-testdev", "id": "beside", "addr": "0.1"}

RECOVERING = "virtio-blk", "virtio-net", "virtio-scsi", "nvme", "igb", "e1000e"


async def fail_recovery(r):
    await r.start_load()
    await inject_error(r)


async def inject_error(r):
    await r.m.monitor(f"pcie_aer_inject_error port{PORT} SDN")
    if not r.check("recovery-failed", await r.on_console("device recovery failed")):
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
    await r.m.slot.cut_power()
    await r.check_reads()
    when = await sysfs_remove(r)
    await r.ended(when)
    await r.m.slot.yank()
    await r.check_slot()


@scenario(RECOVERING, default=False, zeros=False, beside=(HELPLESS,))
async def aer_fail_off(r):
    """fatal error under load, recovery fails, the machine powers off"""
    await r.dev.short_timeouts(r.m)
    await fail_recovery(r)
    await r.power_off()


@scenario(RECOVERING, default=False, zeros=False, beside=(HELPLESS,))
async def aer_fail_reset(r):
    """recovery fails, then a reset by sysfs; sysfs removal, rescan"""
    await fail_recovery(r)
    reset = r.m.begin("write", f"/sys/bus/pci/devices/{r.m.slot.bdf}/reset", 1)
    await returned(r, reset, time.monotonic(), "it was over", "reset")
    when = await sysfs_remove(r)
    await r.ended(when)
    await r.rescan()


@scenario(("virtio-blk", "nvme"), default=False, zeros=False,
          beside=(HELPLESS,), prepare=make_ext4)
async def aer_fail_dirty(r):
    """ext4 with dirty data, recovery fails, sysfs removal"""
    async def removal(r):
        await inject_error(r)
        return await sysfs_remove(r)
    await lose_nothing(r, removal)
    await r.rescan()


@scenario((*DISKS, "virtio-net", "igb", "e1000e"), default=False, zeros=False)
async def silent_off(r):
    """dies without an event under load, the machine powers off"""
    await r.dev.short_timeouts(r.m)
    await slow_load(r)
    await r.m.slot.cut_power()
    await r.check_reads()
    await r.power_off()


@scenario(("nvme",), default=False, zeros=False)
async def off_silent(r):
    """dies without an event while power off waits for its requests"""
    await slow_load(r, 1, 8)    # they take 8 s
    await r.power_off(dies=2)
