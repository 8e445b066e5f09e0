# SPDX-License-Identifier: GPL-2.0-only
"""What is still read from and written to a vanished device."""

from errors import Skip
from scenarios.base import scenario, slow_load

# Their BARs are larger, and so come first: the shadow's first bytes are theirs
PUSHING = ({"driver": "pvscsi", "addr": "0.1"},
           {"driver": "pci-testdev", "membar": 65536, "addr": "0.2"})


async def count_accesses(r):
    if r.mode == "zeros":
        raise Skip("only what gives all-ones can be traced")
    await r.m.shadow.trace(True)
    when, watch = await r.yank()
    await r.wait("gone", watch, when)       # tracing takes its time
    await r.m.shadow.trace(False)
    r.counts = r.m.shadow.accesses()
    await r.check_reads()
    await r.ended(when)
    await r.check_slot()


@scenario(("virtio-blk", "nvme"), zeros=False, beside=PUSHING, shadow="edu")
async def accesses(r):
    """yank while idle; what is still read from and written to the device"""
    await count_accesses(r)
    r.check("untouched", not any(r.counts.values()))


@scenario(("virtio-blk", "nvme"), default=False, zeros=False, beside=PUSHING,
          shadow="edu")
async def accesses_load(r):
    """the same with requests in flight"""
    await slow_load(r)
    await count_accesses(r)
