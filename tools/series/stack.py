#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""The front of tools/series/stack: stack.py --help."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.dont_write_bytecode = True
from stack.__main__ import main	# noqa: E402 pylint: disable=wrong-import-position

sys.exit(main())
