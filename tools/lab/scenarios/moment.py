# SPDX-License-Identifier: GPL-2.0-only
"""A yank when the kernel enters a function."""

from errors import Failed
from scenarios.base import after_yank, scenario


async def at_moment(r, name, path=None, value=None, load=False):
    """Yank when the driver enters a function, after a write or in its work"""
    m, gdb = r.m, r.gdb
    function = r.dev.moments[name]
    # Before the load: all of kallsyms is read for it
    address = int(await m.ask("symbol", function, timeout=15), 16)
    if load:
        await r.start_load()
    watch = m.begin("watch", m.slot.bdf)
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
    await r.m.ask("write", f"{driver}/unbind", r.m.slot.bdf, timeout=15)
    await at_moment(r, "in-probe", f"{driver}/bind", r.m.slot.bdf)


@scenario(("nvme",), default=False, zeros=False)
async def in_reset(r):
    """yank while the driver starts the device again, after a PCI reset"""
    await at_moment(r, "in-reset", f"/sys/bus/pci/devices/{r.m.slot.bdf}/reset", 1)


@scenario(("nvme",), default=False, zeros=False)
async def in_enable(r):
    """the same when it has not yet read what the device is capable of"""
    await at_moment(r, "in-enable", f"/sys/bus/pci/devices/{r.m.slot.bdf}/reset", 1)


@scenario(("nvme", "igb"), default=False, zeros=False)
async def in_remove(r):
    """yank while the driver stops the device, in ->remove"""
    await at_moment(r, "in-remove", f"/sys/bus/pci/devices/{r.m.slot.bdf}/remove",
                    1, load=r.dev.load == "net")


@scenario(("megasas",), default=False, zeros=False)
async def in_irq(r):
    """yank under load, when the driver is about to ask for the interrupt"""
    await at_moment(r, "in-irq", load=True)
