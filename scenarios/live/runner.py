# SPDX-License-Identifier: BSD-3-Clause
"""The runner between the ports of a world, started as a user would: ./foreflow nic SCENARIO -- EAL ARGUMENTS."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from datasets.record.namespaces import Namespaces
from foreflow.config import load_yaml
from scenarios.live.world import HOSTS, SWITCH, World

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_SECONDS = 20.0
EAL = ["--no-huge", "-m", "512", "--no-pci"]
REPLACED, KEPT = "are in use now", "the rules stay as they were"
AF_PACKET = "--vdev=net_af_packet{host.port},iface={host.port_name},framecnt=4096"
LIBPCAP = "--vdev=net_pcap{host.port},rx_iface_in={host.port_name},tx_iface={host.port_name}"


class Telemetry:
    """DPDK's own socket (rte_telemetry, version 2): one message a question, one an answer."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            self._socket.settimeout(PATIENCE_SECONDS)
            self._socket.connect(str(path))
            self.about = json.loads(self._socket.recv(1 << 16))
        except BaseException:
            self._socket.close()
            raise

    def ask(self, command: str) -> Any:
        self._socket.send(command.encode())
        return json.loads(self._socket.recv(1 << 20))[command.partition(",")[0]]

    def close(self) -> None:
        self._socket.close()


class RuleFile:
    """The rule set `datacentre`, and before it what a test adds."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.set()

    def set(self, *first: dict[str, Any], meters: tuple[dict[str, Any], ...] = ()) -> None:
        """`first`: rules without id and priority, the first to match wins; they know `meters` by their place in it."""
        document = load_yaml(ROOT / "scenarios" / "rules" / "datacentre.yaml")
        known = len(document["meters"])
        for i, rule in enumerate(first):
            action = dict(rule["action"])
            if "meter" in action:
                action["meter"] += known
            document["rules"].append({**rule, "id": 1000 + i, "priority": 10_000 - i, "action": action})
        document["meters"] += meters
        self.path.write_text(json.dumps(document))  # which is YAML


class Program:
    """A program of ours on DPDK ports in a namespace, which may be started again after it was stopped or killed."""

    def __init__(self, network: Namespaces, where: str, name: str, folder: Path) -> None:
        self._network = network
        self._where = where
        self._name = name
        self._folder = folder
        self._starts = 0

    def begin(self, command: list[str], ports: list[str]) -> None:
        """Starts `./foreflow COMMAND --json -- EAL ARGUMENTS`; `await_running` returns when it receives and answers."""
        self._starts += 1
        name = f"{self._name}-{self._starts}"
        self._prefix = f"{self._network.tag}-{name}"
        self.out = self._folder / name
        self._log = self._folder / f"{name}.log"
        self._result = self._folder / f"{name}.json"
        words = [sys.executable, "-P", "-m", "foreflow", *command, "--json", "--out", str(self.out)]
        words += ["--", *EAL, f"--file-prefix={self._prefix}", *ports]
        environment = {"RUNTIME_DIRECTORY": str(self._folder), "PYTHONPATH": f"{ROOT / 'analysis'}:{ROOT}"}
        with self._result.open("wb") as result:
            self._process = self._network.start(self._where, *words, env=environment, log=name, out=result)

    def await_running(self) -> None:
        self.wait_until(lambda: "foreflow-dpdk: running" in self.log(), "did not come up")
        self._telemetry = Telemetry(self._folder / "dpdk" / self._prefix / "dpdk_telemetry.v2")

    def wait_until(self, condition: Callable[[], bool], complaint: str) -> None:
        end = time.monotonic() + PATIENCE_SECONDS
        while not condition():
            if self._process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"{self._name} {complaint}; exit code {self._process.poll()}; it said:\n{self.log()}")
            time.sleep(0.005)

    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def ask(self, command: str) -> Any:
        return self._telemetry.ask(command)

    def kill(self) -> None:
        """Ends it as a fault would, without a moment to clean up; what started it sees so and ends."""
        os.kill(self._telemetry.about["pid"], signal.SIGKILL)
        self._telemetry.close()
        self._process.wait(timeout=10)

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """A context in which the system gives it no time."""
        os.kill(self._telemetry.about["pid"], signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self._telemetry.about["pid"], signal.SIGCONT)

    def stop(self) -> dict[str, Any]:
        """Stops it as Ctrl-C and service managers do; its final count."""
        self._telemetry.close()
        self._process.send_signal(signal.SIGTERM)
        code = self._process.wait(timeout=20)
        if code != 0:
            raise RuntimeError(f"{self._name} ended with exit code {code} instead of 0; it said:\n{self.log()}")
        return json.loads(self._result.read_text())


class Runner(Program):
    """The switch of a world. Its rules are those of `rules.yaml` in the world's folder."""

    def __init__(self, world: World, driver: str = AF_PACKET) -> None:
        super().__init__(world, SWITCH, "runner", world.folder)
        self._driver = driver
        self.rules = RuleFile(self._folder / "rules.yaml")
        text = (ROOT / "scenarios" / "live" / "scenario.yaml").read_text()
        (self._folder / "scenario.yaml").write_text(text + f"ruleset: {self.rules.path}\n")

    def start(self, *options: str) -> None:
        """Returns when it receives and answers."""
        ports = [self._driver.format(host=host) for host in HOSTS]
        self.begin(["nic", str(self._folder / "scenario.yaml"), *options], ports)
        self.await_running()

    def reload(self) -> float:
        """Makes it take the rules that `rules` holds now; the time (of the clock) at which it had done so."""
        said = len(self.log())
        self._process.send_signal(signal.SIGHUP)
        self.wait_until(lambda: REPLACED in self.log()[said:] or KEPT in self.log()[said:], "did not answer to SIGHUP")
        if KEPT in self.log()[said:]:
            raise RuntimeError(self.log()[said:])
        return time.time()
