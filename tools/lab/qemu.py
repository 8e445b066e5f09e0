# SPDX-License-Identifier: GPL-2.0-only
"""What the QEMU on this machine is and has."""

import re
import subprocess

from errors import LabError


class Qemu:
    """What the QEMU on this machine is and has"""

    def __init__(self, binary):
        self.binary = binary
        self.version = self.ask("--version").splitlines()[0]
        self.number = (re.search(r"version (\S+)", self.version) or
                       [None, "?"])[1]
        self.devices = set(re.findall(r'^name "([^"]+)"',
                                      self.ask("-device", "help"), re.M))
        backend = self.ask("-object", "memory-backend-file,help")
        self.rom = ",rom=on" if re.search(r"\brom=", backend) else ""

    def ask(self, *args):
        try:
            return subprocess.run([self.binary, *args], text=True,
                                  stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT).stdout
        except FileNotFoundError:
            raise LabError(f"no {self.binary} found "
                           "(Debian: qemu-system-x86)")
        except PermissionError:
            raise LabError(f"{self.binary} cannot be executed")
