# SPDX-License-Identifier: GPL-2.0-only
"""What is done to devices, by name: a module for each kind."""

import importlib

from devices import DEVICES
from scenarios.base import SCENARIOS

__all__ = ["DEVICES", "SCENARIOS"]

for kind in ("yank", "graceful", "racing", "error", "hidden", "suspend", "vfs",
             "access", "moment", "hostile", "nested", "again", "together"):
    importlib.import_module(f"scenarios.{kind}")
