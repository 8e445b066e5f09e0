# SPDX-License-Identifier: GPL-2.0-only
"""What can stand in the slot, by name: a module for each kind."""

import importlib

from devices.base import DEVICES

for kind in "disk", "nic", "serial", "files", "misc", "usb", "switch":
    importlib.import_module(f"devices.{kind}")

DISKS = tuple(name for name, d in DEVICES.items() if d.load == "disk")
LOADED = tuple(name for name, d in DEVICES.items() if d.load)
