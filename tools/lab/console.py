# SPDX-License-Identifier: GPL-2.0-only
"""What is read from consoles, monitors and traces."""

import re

ECAM = 0xb0000000               # where SeaBIOS puts it on q35
LINK_DISABLE = 0x10             # in Link Control

# What no kernel may print while a device comes and goes
SPLAT = re.compile(
    r"WARNING: |BUG: |BUG at |BUG \S+ \((Not )?[Tt]ainted|Oops|"
    r"Kernel panic|general protection|KASAN|UBSAN|refcount_t|(list_add|list_del) corruption|"
    r"INFO: (task|rcu|trying|possible|inconsistent)|possible circular|"
    r"possible recursive|possible irq lock|inconsistent lock state|"
    r"suspicious RCU|bad unlock balance|held lock freed|lock held when|"
    r"sleeping function|scheduling while atomic|rcu.*(stall|self-detected)|"
    r"soft lockup|hard LOCKUP|slab.*(Poison|Redzone)|Object already free")


def splats(lines):
    return [line for line in lines if SPLAT.search(line)]


def blocked_stacks(lines):
    """What sysrq-w has printed, trimmed to what a reader needs"""
    stacks, task, frames = {}, None, []
    for line in [*lines, "task:"]:
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


def lost_interrupt(registers, lapics):
    """Which processors have lost an interrupt, and what their APICs say

    REGISTERS is what "info registers -a" says, LAPICS what "info lapic" says
    of each.  Halted with an interrupt in service, as Linux never is, or with a
    timer that has run out and nothing pending, where one that has nothing to
    wait for is masked: no other interrupt comes through, and what waits for
    that processor does not go on, RCU among it. Seen with QEMU 10.0, 8 times
    in 1150: in 4 the timer had been armed again, after an EOI that did not
    arrive. Why is not known; perhaps it is what has QEMU fail an assertion in
    iotlb_to_section() now and then.
    """
    cpus = registers.split("CPU#")[1:]
    deaf, notes = set(), []
    for nr, text in enumerate(lapics):
        apic = dict(re.findall(r"^(LVTT|Timer|ISR|IRR)\s+(.*\S)", text, re.M))
        notes += [f"CPU#{nr} {name} {apic[name]}" for name in apic]
        lost = apic and (apic["ISR"] != "(none)" or (
            apic["IRR"] == "(none)" and "masked" not in apic["LVTT"]
            and re.search(r"= [1-9]\d* current_count = 0$", apic["Timer"])))
        if lost and "HLT=1" in cpus[nr]:
            deaf.add(nr)
    return deaf, notes


def link_disabled(lines, port, register):
    """Was Link Disable of PORT set, whose Link Control is at REGISTER?"""
    for line in lines:
        if ((found := re.match(r"pci_cfg_write \S+ (\S+) @(\w+) <- (\w+)", line))
                and found[1] == port and int(found[2], 16) == register
                and int(found[3], 16) & LINK_DISABLE):
            return True
    return False


def count_accesses(lines, bus):
    """What was traced of accesses to what is on BUS, behind the port, by kind"""
    count = dict.fromkeys(("memory reads", "memory writes", "config reads",
                           "config writes"), 0)
    ecam = ECAM + (bus << 20)
    for line in lines:
        if found := re.match(r"pci_cfg_(read|write) \S+ (\w+:\w+\.0) ", line):
            kind = "config" if found[2] == f"{bus:02x}:00.0" else ""
        elif found := re.match(r"memory_region_ops_(read|write) .* addr "
                               r"(\w+) ", line):
            # Those that go by ports are with pci_cfg_
            kind = ("memory" if "'edu-mmio'" in line else "config" if
                    int(found[2], 16) - ecam in range(4096) else "")
        elif found := re.match(r"Invalid (read|write) .*'edu-mmio'", line):
            kind = "memory"
        else:
            continue
        if kind:
            count[f"{kind} {found[1]}s"] += 1
    return count
