# SPDX-License-Identifier: GPL-2.0-only
"""python3 -m unittest discover -s stack/tests -t . in tools/series."""
