# SPDX-License-Identifier: BSD-3-Clause
"""Network namespaces joined by a bridge that lives in a namespace of its own: nothing of the host is touched."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path
from types import TracebackType
from typing import IO

from .plan import PREFIX_LENGTH, VMS, Vm


class Refused(Exception):
    """The recording cannot be made here; one sentence says why."""


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")


class Network:
    """A context: the VMs exist inside it, and all they ran is stopped when it ends, however it ends."""

    def __init__(self, logs: Path) -> None:
        self._tag = f"ff{os.getpid()}"
        self._switch = f"{self._tag}-switch"
        self._made: list[str] = []
        self._running: list[subprocess.Popen[bytes]] = []
        self._logs = logs

    def __enter__(self) -> Network:
        if os.geteuid() != 0:
            raise Refused("record: needs root (network namespaces), and this is an ordinary user")
        try:
            self._add(self._switch)
        except RuntimeError as error:
            raise Refused(f"record: network namespaces cannot be made here ({error})") from error
        try:
            _run("ip", "-n", self._switch, "link", "add", "bridge", "type", "bridge")
            self._bring_up("bridge")
            for vm in VMS.values():
                self._plug(vm)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in reversed(self._running):
            self.stop(process)
        for name in reversed(self._made):
            subprocess.run(["ip", "netns", "delete", name], capture_output=True)

    def _add(self, namespace: str) -> None:
        _run("ip", "netns", "add", namespace)
        self._made.append(namespace)

    def _bring_up(self, port: str) -> None:
        # First no IPv6 address of its own, then up: the switch itself stays silent.
        _run("ip", "-n", self._switch, "link", "set", port, "addrgenmode", "none")
        _run("ip", "-n", self._switch, "link", "set", port, "up")

    def _plug(self, vm: Vm) -> None:
        namespace, port = f"{self._tag}-{vm.name}", f"port{vm.number}"
        self._add(namespace)
        _run("ip", "-n", self._switch, "link", "add", port, "type", "veth",
             "peer", "name", "eth0", "address", vm.mac, "netns", namespace)  # fmt: skip
        # Offloads would leave checksums open and show frames that no wire carries.
        for switch in ("tx", "tso", "gso", "gro"):
            _run("ip", "netns", "exec", namespace, "ethtool", "-K", "eth0", switch, "off")
            _run("ip", "netns", "exec", self._switch, "ethtool", "-K", port, switch, "off")
        _run("ip", "-n", self._switch, "link", "set", port, "master", "bridge")
        self._bring_up(port)
        _run("ip", "-n", namespace, "link", "set", "lo", "up")
        for address in vm.addresses:
            _run("ip", "-n", namespace, "address", "add", f"{address}/{PREFIX_LENGTH}", "dev", "eth0")
        _run("ip", "-n", namespace, "link", "set", "eth0", "up")
        _run("ip", "-n", namespace, "route", "add", "224.0.0.0/4", "dev", "eth0")

    def start(self, vm: str, *command: str, cwd: Path | None = None) -> subprocess.Popen[bytes]:
        """Starts a program in a VM; it ends with the network at the latest. Its output goes to the logs."""
        with self._log(f"{vm}-{Path(command[0]).name}") as log:
            return self._start(f"{self._tag}-{vm}", command, log, cwd)

    def start_at_switch(self, *command: str) -> subprocess.Popen[bytes]:
        """Starts a program beside the bridge, interface `bridge`."""
        with self._log(f"switch-{Path(command[0]).name}") as log:
            return self._start(self._switch, command, log, None)

    def wait_for(self, vm: str, *command: str, attempts: int = 100) -> None:
        """Repeats a command in a VM every 0.1 s until it succeeds."""
        for _ in range(attempts):
            done = subprocess.run(
                ["ip", "netns", "exec", f"{self._tag}-{vm}", *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            if done.returncode == 0:
                return
            subprocess.run(["sleep", "0.1"], check=True)
        raise RuntimeError(f"{vm}: {' '.join(command)} did not succeed, see {self._logs}")

    @staticmethod
    def stop(process: subprocess.Popen[bytes], how: signal.Signals = signal.SIGTERM) -> None:
        """Ends a program and its children."""
        for attempt in (how, signal.SIGKILL):
            if process.poll() is not None:
                break
            try:
                os.killpg(process.pid, attempt)
                process.wait(timeout=5)
            except (ProcessLookupError, subprocess.TimeoutExpired):
                continue

    def _log(self, name: str) -> IO[bytes]:
        return (self._logs / f"{name}.log").open("ab")

    def _start(
        self, namespace: str, command: tuple[str, ...], log: IO[bytes], cwd: Path | None
    ) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            ["ip", "netns", "exec", namespace, *command],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            cwd=cwd,
        )
        self._running.append(process)
        return process
