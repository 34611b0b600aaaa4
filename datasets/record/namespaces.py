# SPDX-License-Identifier: BSD-3-Clause
"""Network namespaces joined by veth pairs, and the programs in them: nothing of the host is touched, nothing remains."""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import shutil
import signal
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import IO

LOCKS = Path("/run/foreflow")  # a file for each network that lives, locked by the process that made it


def call(*command: str) -> str:
    """Runs a command to its end; its standard output, or a RuntimeError with what it said."""
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {(done.stderr.strip() or done.stdout.strip())[-500:]}")
    return done.stdout


def what_is_missing() -> str | None:
    """Why this process cannot make namespaces joined by veth pairs: one sentence, or None where it can."""
    if os.geteuid() != 0:
        return "needs root to make network namespaces, and this is an ordinary user: run it with sudo"
    absent = [package for program, package in (("ip", "iproute2"), ("ethtool", "ethtool")) if not shutil.which(program)]
    if absent:
        return f"programs are missing; apt-get install {' '.join(absent)}"
    name = f"ff-probe-{secrets.token_hex(3)}"
    try:
        call("ip", "netns", "add", name)
        call("ip", "-n", name, "link", "add", "veth-a", "type", "veth", "peer", "name", "veth-b")
    except RuntimeError as error:
        return f"network namespaces with veth pairs cannot be made here ({error}): a container needs CAP_SYS_ADMIN and CAP_NET_ADMIN"
    finally:
        subprocess.run(["ip", "netns", "delete", name], capture_output=True)
    return None


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


def _namespaces() -> list[str]:
    return [line.split()[0] for line in call("ip", "netns", "list").splitlines()]


def _remove(tag: str) -> None:
    """Removes every namespace of a network with whatever still runs in it."""
    for name in _namespaces():
        if not name.startswith(f"{tag}-"):
            continue
        pids = subprocess.run(["ip", "netns", "pids", name], capture_output=True, text=True).stdout.split()
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        subprocess.run(["ip", "netns", "delete", name], capture_output=True)


def _remove_what_others_left() -> None:
    """Networks whose maker was killed: nobody holds their lock any more."""
    for path in LOCKS.glob("*.lock"):
        try:
            with path.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _remove(path.stem)
                path.unlink()
        except (BlockingIOError, FileNotFoundError):
            continue


class Namespaces:
    """A context: the namespaces made in it exist until it ends, and all they ran is stopped then, however it ends."""

    def __init__(self, logs: Path) -> None:
        self.tag = f"ff{os.getpid()}-{secrets.token_hex(2)}"
        self.logs = logs
        self._running: list[subprocess.Popen[bytes]] = []
        self._lock: IO[bytes] | None = None

    def __enter__(self) -> Namespaces:
        LOCKS.mkdir(parents=True, exist_ok=True)
        _remove_what_others_left()
        # It gets its name when it is locked: before that another process would take it for one that was left.
        unnamed = LOCKS / f"{self.tag}.new"
        self._lock = unnamed.open("wb")
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        unnamed.rename(LOCKS / f"{self.tag}.lock")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in reversed(self._running):
            stop(process)
        _remove(self.tag)
        if self._lock:
            (LOCKS / f"{self.tag}.lock").unlink(missing_ok=True)
            self._lock.close()

    def add(self, name: str) -> None:
        call("ip", "netns", "add", f"{self.tag}-{name}")
        self.ip(name, "link", "set", "lo", "up")

    def ip(self, name: str, *arguments: str) -> str:
        """`ip` in a namespace."""
        return call("ip", "-n", f"{self.tag}-{name}", *arguments)

    def join(self, switch: str, port: str, name: str, mac: str, mtu: int = 1500) -> None:
        """Interface `eth0` of a namespace, at the other end `port` of the switch: down, and no offloads."""
        self.ip(switch, "link", "add", port, "mtu", str(mtu), "type", "veth",
                "peer", "name", "eth0", "address", mac, "mtu", str(mtu), "netns", f"{self.tag}-{name}")  # fmt: skip
        # Offloads would leave checksums open and show frames that no wire carries.
        offloads = [word for kind in ("tx", "tso", "gso", "gro", "txvlan", "rxvlan") for word in (kind, "off")]
        for place, interface in ((name, "eth0"), (switch, port)):
            self.run(place, "ethtool", "-K", interface, *offloads)

    def silence(self, name: str, interface: str) -> None:
        """Brings an interface up without an address of its own: the kernel sends nothing out of it."""
        self.ip(name, "link", "set", interface, "addrgenmode", "none")
        self.ip(name, "link", "set", interface, "up")

    def command(self, name: str, *command: str) -> list[str]:
        return ["ip", "netns", "exec", f"{self.tag}-{name}", *command]

    def run(self, name: str, *command: str, timeout: float = 60, cwd: Path | None = None) -> str:
        """Runs a command in a namespace to its end; its standard output, or a RuntimeError with what it said."""
        done = self.attempt(name, *command, timeout=timeout, cwd=cwd)
        if done.returncode != 0:
            said = (done.stderr.strip() or done.stdout.strip())[-500:]
            raise RuntimeError(f"{name}: {' '.join(command)}: exit code {done.returncode}: {said}")
        return done.stdout

    def attempt(
        self, name: str, *command: str, timeout: float = 60, cwd: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        """The same for a command that may fail."""
        whole = self.command(name, *command)
        return subprocess.run(whole, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=timeout, cwd=cwd)

    def start(
        self,
        name: str,
        *command: str,
        cwd: Path | None = None,
        env: dict[str, str] | None = None,
        log: str = "",
        out: IO[bytes] | None = None,
    ) -> subprocess.Popen[bytes]:
        """Starts a program in a namespace; it ends with the network at the latest. What it says goes to the logs,
        less its standard output where `out` takes that."""
        with (self.logs / f"{log or f'{name}-{Path(command[0]).name}'}.log").open("ab") as said:
            process = subprocess.Popen(
                self.command(name, *command),
                stdin=subprocess.DEVNULL,
                stdout=out or said,
                stderr=said,
                start_new_session=True,
                cwd=cwd,
                env={**os.environ, **(env or {})},
            )
        self._running.append(process)
        return process

    def wait_for(self, name: str, *command: str, attempts: int = 100) -> None:
        """Repeats a command in a namespace every 0.1 s until it succeeds."""
        for _ in range(attempts):
            if self.attempt(name, *command).returncode == 0:
                return
            time.sleep(0.1)
        raise RuntimeError(f"{name}: {' '.join(command)} did not succeed, see {self.logs}")
