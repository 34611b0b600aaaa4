# SPDX-License-Identifier: BSD-3-Clause
"""The VMs of the plan, joined by a bridge that lives in a namespace of its own."""

from __future__ import annotations

import subprocess
from pathlib import Path

from .namespaces import Namespaces, what_is_missing
from .plan import PREFIX_LENGTH, Plan, Vm

SWITCH = "switch"


class Refused(Exception):
    """The recording cannot be made here; one sentence says why."""


class Network(Namespaces):
    """A context: the VMs exist inside it, and all they ran is stopped when it ends, however it ends."""

    def __init__(self, logs: Path, plan: Plan) -> None:
        super().__init__(logs)
        self.plan = plan

    def __enter__(self) -> Network:
        if missing := what_is_missing():
            raise Refused(f"record: {missing}")
        super().__enter__()
        try:
            self.add(SWITCH)
            self.ip(SWITCH, "link", "add", "bridge", "type", "bridge")
            self.silence(SWITCH, "bridge")
            for vm in self.plan.vms.values():
                self._plug(vm)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def _plug(self, vm: Vm) -> None:
        port = f"port{vm.number}"
        self.add(vm.name)
        self.join(SWITCH, port, vm.name, vm.mac)
        self.ip(SWITCH, "link", "set", port, "master", "bridge")
        self.silence(SWITCH, port)
        for address in vm.addresses:
            self.ip(vm.name, "address", "add", f"{address}/{PREFIX_LENGTH}", "dev", "eth0")
        self.ip(vm.name, "link", "set", "eth0", "up")
        self.ip(vm.name, "route", "add", "224.0.0.0/4", "dev", "eth0")

    def start_at_switch(self, *command: str) -> subprocess.Popen[bytes]:
        """Starts a program beside the bridge, interface `bridge`."""
        return self.start(SWITCH, *command)
