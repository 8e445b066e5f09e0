# SPDX-License-Identifier: GPL-2.0-only
"""What can stand in the slot, by name: a module for each kind."""

from devices.base import DEVICES
import devices.disk     # noqa: F401
import devices.nic      # noqa: F401
import devices.serial   # noqa: F401
import devices.misc     # noqa: F401
import devices.usb      # noqa: F401
import devices.switch   # noqa: F401

DISKS = tuple(name for name, d in DEVICES.items() if d.load == "disk")
