# SPDX-License-Identifier: GPL-2.0-only
"""What of the review of the patches, and of their results, is parsing.

python3 -m review COMMAND, as the scripts of tools/series run it, with
tools/series in PYTHONPATH; python3 -m review --help lists the commands.
"""
