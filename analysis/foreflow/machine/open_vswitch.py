# SPDX-License-Identifier: BSD-3-Clause
"""An Open vSwitch of our own: its database, sockets and logs lie in one folder, and it ends when we do."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType

from foreflow.errors import Failed

SCHEMA = Path("/usr/share/openvswitch/vswitch.ovsschema")
WITH_DPDK = Path("/usr/lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk")
WITHOUT_DPDK = Path("/usr/lib/openvswitch-switch/ovs-vswitchd")
START_SECONDS = 60.0
PROTOCOL = ("-O", "OpenFlow15")


def version() -> str:
    """As in 3.1.0."""
    first = subprocess.run([WITH_DPDK if WITH_DPDK.exists() else WITHOUT_DPDK, "--version"], capture_output=True, text=True, check=True)
    return first.stdout.split()[-1] if WITHOUT_DPDK.exists() and not WITH_DPDK.exists() else first.stdout.splitlines()[0].split()[-1]


def end(process: subprocess.Popen[bytes], seconds: float = 10.0) -> None:
    """Ends a process of ours, also one that is stopped."""
    if process.poll() is not None:
        return
    process.send_signal(signal.SIGCONT)
    process.terminate()
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class Control:
    """One connection to a daemon's control socket: as `ovs-appctl`, without a process a command."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(30)
        self._socket.connect(str(path))
        self._decoder = json.JSONDecoder()
        self._text = ""
        self._id = 0

    def __call__(self, command: str, *arguments: str) -> str:
        """The answer; raises Failed where the daemon refuses."""
        self._id += 1
        self._socket.sendall(json.dumps({"method": command, "params": arguments, "id": self._id}).encode())
        while True:
            try:
                answer, used = self._decoder.raw_decode(self._text)
                break
            except ValueError:
                more = self._socket.recv(1 << 16)
                if not more:
                    raise Failed(f"ovs-vswitchd went away during {command}") from None
                self._text += more.decode()
        self._text = self._text[used:]
        if answer.get("error") is not None:
            raise Failed(f"ovs-vswitchd: {command}: {answer['error']}")
        return answer["result"]

    def close(self) -> None:
        self._socket.close()


class OpenVSwitch:
    """A running switch with one bridge, `br`; a context manager.

    `eal`: DPDK's arguments; None: no DPDK, and dummy ports. `core`: the CPU of its one polling thread, `control_core`
    that of all others.
    """

    def __init__(self, folder: Path, eal: str | None = None, core: int = 0, control_core: int = 0) -> None:
        self.folder = folder
        self._eal = eal
        self._core, self._control_core = core, control_core
        self._environment = {**os.environ, **{f"OVS_{name}DIR": str(folder) for name in ("RUN", "DB", "LOG", "SYSCONF")}}
        self._server: subprocess.Popen[bytes] | None = None
        self.process: subprocess.Popen[bytes] | None = None
        self.control: Control | None = None

    def __enter__(self) -> OpenVSwitch:
        try:
            self._start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        database, remote = self.folder / "conf.db", self.folder / "db.sock"
        self._call("ovsdb-tool", "create", str(database), str(SCHEMA))
        self._server = self._daemon(["ovsdb-server", str(database), f"--remote=punix:{remote}", f"--unixctl={self.folder / 'server.ctl'}"])
        self._wait_for(remote, self._server)
        self._call("ovs-vsctl", f"--db=unix:{remote}", "--no-wait", "init")
        options = []
        if self._eal is not None:
            options = [
                "other_config:dpdk-init=true",
                f"other_config:dpdk-extra={json.dumps(self._eal)}",
                f"other_config:pmd-cpu-mask={1 << self._core:#x}",
                f"other_config:dpdk-lcore-mask={1 << self._control_core:#x}",
            ]
            self.vsctl("--no-wait", "set", "Open_vSwitch", ".", *options)
        program = WITH_DPDK if self._eal is not None else WITHOUT_DPDK
        control = self.folder / "switch.ctl"
        command = ["taskset", "-c", str(self._control_core)] if self._eal is not None else []
        command += [str(program), f"unix:{remote}", f"--unixctl={control}", "-vconsole:off", f"--log-file={self.folder / 'switch.log'}"]
        self.process = self._daemon(command + ([] if self._eal is not None else ["--enable-dummy", "--disable-system"]))
        self._wait_for(control, self.process)
        self.control = Control(control)
        kind = "netdev" if self._eal is not None else "dummy"
        self.vsctl("add-br", "br", "--", "set", "bridge", "br", f"datapath_type={kind}", "fail_mode=secure", "protocols=OpenFlow15,OpenFlow10")
        # Ports of a datagram's first fragment are known; those of the later ones are 0.
        self._call("ovs-ofctl", *PROTOCOL, "set-frags", self._bridge(), "nx-match")

    def _bridge(self) -> str:
        return str(self.folder / "br.mgmt")

    def _daemon(self, command: list[str]) -> subprocess.Popen[bytes]:
        with (self.folder / "daemons.log").open("ab") as log:
            return subprocess.Popen(command, env=self._environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def _wait_for(self, path: Path, process: subprocess.Popen[bytes]) -> None:
        """Until it listens."""
        until = time.monotonic() + START_SECONDS
        while True:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as attempt:
                if attempt.connect_ex(str(path)) == 0:
                    return
            if process.poll() is not None or time.monotonic() > until:
                raise Failed(f"Open vSwitch did not start; logs: {self.folder}")
            time.sleep(0.02)

    def _call(self, *command: str, text: str | None = None) -> str:
        done = subprocess.run(command, env=self._environment, input=text, capture_output=True, text=True, check=False, timeout=120)
        if done.returncode != 0:
            raise Failed(f"{command[0]} {' '.join(command[1:])[:200]}: {done.stderr.strip()[:500]}; logs: {self.folder}")
        return done.stdout

    def vsctl(self, *arguments: str) -> str:
        return self._call("ovs-vsctl", f"--db=unix:{self.folder / 'db.sock'}", "--timeout=60", *arguments)

    def add_port(self, name: str, number: int, kind: str, arguments: str | None = None) -> None:
        """`kind`: dummy, dpdk ... ; `arguments`: the device's, where it is DPDK's."""
        options = [f"options:dpdk-devargs={json.dumps(arguments)}"] if arguments is not None else []
        self.vsctl("add-port", "br", name, "--", "set", "Interface", name, f"type={kind}", f"ofport_request={number}", *options)
        error = self.vsctl("get", "Interface", name, "error").strip()
        if error != "[]":
            raise Failed(f"Open vSwitch: port {name}: {error}; log: {self.folder / 'switch.log'}")

    def load(self, flows: list[str], meters: list[str]) -> None:
        """Replaces all flows and meters of the bridge."""
        self._call("ovs-ofctl", *PROTOCOL, "del-flows", self._bridge())
        self._call("ovs-ofctl", *PROTOCOL, "del-meters", self._bridge())
        for meter in meters:
            self._call("ovs-ofctl", *PROTOCOL, "add-meter", self._bridge(), meter)
        self._call("ovs-ofctl", *PROTOCOL, "add-flows", self._bridge(), "-", text="\n".join(flows) + "\n")

    def close(self) -> None:
        if self.control is not None:
            self.control.close()
        for process in (self.process, self._server):
            if process is not None:
                end(process)

    def remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
