# SPDX-License-Identifier: GPL-2.0-only
"""The series as a stack of topics: composed, edited, moved to a newer kernel, mailed."""
