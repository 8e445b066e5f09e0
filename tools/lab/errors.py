# SPDX-License-Identifier: GPL-2.0-only
"""How a run of the lab can end before its end."""




class LabError(Exception):
    """The lab cannot run at all: one line says why"""


class Failed(Exception):
    """A check of a scenario failed, and the scenario cannot go on"""


class Skip(Exception):
    """This QEMU cannot do it"""


class Late(Skip):
    """This machine is too slow to tell"""


class QemuGone(Exception):
    """QEMU ended by itself"""


class AgentError(Exception):
    """The guest's agent could not do it"""
