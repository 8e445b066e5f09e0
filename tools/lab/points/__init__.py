# SPDX-License-Identifier: GPL-2.0-only
"""The sweep: a device dies right after its driver's N-th access to it."""
