# SPDX-License-Identifier: GPL-2.0-only
"""What is done to devices, by name: a module for each kind."""

from devices import DEVICES         # noqa: F401
from scenarios.base import SCENARIOS    # noqa: F401
import scenarios.yank               # noqa: F401
import scenarios.graceful           # noqa: F401
import scenarios.racing             # noqa: F401
import scenarios.error              # noqa: F401
import scenarios.vfs                # noqa: F401
import scenarios.access             # noqa: F401
import scenarios.moment             # noqa: F401
