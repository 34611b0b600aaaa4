# SPDX-License-Identifier: BSD-3-Clause
"""Two hosts whose packet dynamics units talk over a network that is not a good one.

    left  --  unit a  --  network  --  unit b  --  right

Units and network are runners, each in a namespace of its own and started as a user would: ./foreflow unit, ./foreflow impair.
"""

from __future__ import annotations

import contextlib
import json
import signal
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from datasets.record.namespaces import Namespaces, stop
from foreflow.live import control
from scenarios.live.runner import Program

NETWORK = "network"
LEFT, RIGHT = "left", "right"
ADDRESSES = {LEFT: "10.78.0.1", RIGHT: "10.78.0.2"}
HOST_MACS = {LEFT: "02:00:00:00:78:a1", RIGHT: "02:00:00:00:78:b1"}
PORT = 6900
ENDS = {
    "a": {"mac": "02:00:00:00:78:0a", "address": "192.0.2.1", "port": PORT},
    "b": {"mac": "02:00:00:00:78:0b", "address": "192.0.2.2", "port": PORT},
}
HOST_OF = {"a": LEFT, "b": RIGHT}
INSIDE, OUTSIDE = "inside", "outside"  # a unit's interfaces


def unit_place(name: str) -> str:
    """The namespace of a unit."""
    return f"unit-{name}"


def _ports(*interfaces: str) -> list[str]:
    return [f"--vdev=net_af_packet{i},iface={name},framecnt=4096" for i, name in enumerate(interfaces)]


class Units(Namespaces):
    """A context: hosts, and between them two units and a network, none of them started. Without units the hosts are at
    the network itself. Traced, each unit writes down what it opens."""

    def __init__(self, folder: Path, has_units: bool = True, is_traced: bool = False) -> None:
        super().__init__(folder)
        self.is_traced = is_traced
        self.folder = folder
        self.units = {name: Program(self, unit_place(name), f"unit-{name}", folder) for name in ENDS if has_units}
        self.network = Program(self, NETWORK, "network", folder)
        self._links: dict[str, dict[str, Any]] = {}

    def __enter__(self) -> Units:
        super().__enter__()
        try:
            self.add(NETWORK)
            for unit, host in HOST_OF.items():
                self.add(host)
                place, interface = (unit_place(unit), INSIDE) if self.units else (NETWORK, f"to_{unit}")
                if self.units:
                    self.add(place)
                    self._wire(place, OUTSIDE, NETWORK, f"to_{unit}")
                self.join(place, interface, host, HOST_MACS[host])
                self.silence(place, interface)
                self.ip(host, "address", "add", f"{ADDRESSES[host]}/24", "dev", "eth0")
                self.ip(host, "link", "set", "eth0", "up")
            if self.units:
                self._write_links()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def _wire(self, place: str, interface: str, other_place: str, other: str) -> None:
        self.ip(place, "link", "add", interface, "type", "veth", "peer", "name", other, "netns", f"{self.tag}-{other_place}")
        for where, name in ((place, interface), (other_place, other)):
            self.run(where, "ethtool", "-K", name, "tx", "off", "gso", "off", "gro", "off")
            self.silence(where, name)

    def _write_links(self) -> None:
        public = {name: control.generate(self.folder / f"key-{name}").hex() for name in ENDS}
        for name, peer in (("a", "b"), ("b", "a")):
            self._links[name] = {"own": ENDS[name], "peer": {**ENDS[peer], "public_key": public[peer]}, "key_file": f"key-{name}"}

    def begin_unit(self, name: str, **link: Any) -> None:
        """Starts one; `link` is added to its file."""
        path = self.folder / f"link-{name}.yaml"
        path.write_text(json.dumps({**self._links[name], **link}))  # which is YAML
        options = ["--key-log", str(self.folder / "keys.log"), *(["--trace"] if self.is_traced else [])]
        self.units[name].begin(["unit", str(path), *options], _ports(INSIDE, OUTSIDE))

    def begin_network(self, *paths: dict[str, Any], seed: int = 1) -> None:
        """One whose paths are alike in both directions, as bindings/dpdk/README.md has them; {} passes everything."""
        file = self.folder / "network.yaml"
        file.write_text(json.dumps({"seed": seed, "there": {"paths": paths}, "back": {"paths": paths}}))
        self.network.begin(["impair", str(file)], _ports("to_a", "to_b"))

    def connect(self, *paths: dict[str, Any], seed: int = 1, **link: Any) -> None:
        """Starts all three; returns when the units have keys."""
        self.begin_network(*paths, seed=seed)
        for name in self.units:
            self.begin_unit(name, **link)
        for program in (self.network, *self.units.values()):
            program.await_running()
        self.await_keys()

    def await_keys(self) -> None:
        for name, unit in self.units.items():
            unit.wait_until(partial(self._has_keys, name), "got no keys")

    def _has_keys(self, name: str) -> bool:
        return bool(self.counts(name)["key"]["ready"])

    def change_network(self, path: dict[str, Any], seed: int = 1) -> dict[str, Any]:
        """Another network in the place of this one; what that one counted."""
        counted = self.network.stop()
        self.begin_network(path, seed=seed)
        self.network.await_running()
        # A host that asked for its neighbour while there was none is told so, and gives up what it begins just then.
        for host, other in ((LEFT, RIGHT), (RIGHT, LEFT)):
            self.wait_for(host, "ping", "-c", "1", "-W", "1", ADDRESSES[other])
        return counted

    def iperf3(self, *options: str, port: int = 5201) -> dict[str, Any]:
        """What the left host's client reports of one test with a server at the right."""
        server = self.start(RIGHT, "iperf3", "-s", "-1", "-p", str(port))
        self.wait_for(RIGHT, "sh", "-c", f"ss -Hltn sport = :{port} | grep -q .")
        said = self.run(LEFT, "iperf3", "-J", "-c", ADDRESSES[RIGHT], "-p", str(port), *options)
        server.wait(timeout=10)  # it holds the port until then
        end: dict[str, Any] = json.loads(said)["end"]
        return end

    @contextlib.contextmanager
    def capture(self, place: str, interface: str, *expression: str) -> Iterator[Path]:
        """A context: what passes an interface, in this file when it ends. Of a runner's interfaces that is what arrives: what
        net_af_packet sends passes no tap on its way out."""
        path = self.folder / f"{place}-{interface}-{time.monotonic_ns()}.pcap"
        words = ["tcpdump", "-i", interface, "-n", "-s", "0", "-B", "8192", "-Z", "root", "--immediate-mode", "-U", "-w", str(path), *expression]
        listening = self.start(place, *words, log=path.stem)
        log = self.folder / f"{path.stem}.log"
        while "listening on" not in log.read_text():
            if listening.poll() is not None:
                raise RuntimeError(f"tcpdump ended: {log.read_text()}")
            time.sleep(0.01)
        try:
            yield path
            time.sleep(0.2)
        finally:
            stop(listening, signal.SIGINT)
        if "0 packets dropped by kernel" not in log.read_text():
            raise RuntimeError(f"tcpdump missed packets: {log.read_text()}")

    def counts(self, name: str) -> dict[str, Any]:
        """What a unit that runs has counted, by group."""
        counted: dict[str, Any] = self.units[name].ask("/foreflow/stage")
        return counted

    def disconnect(self) -> dict[str, dict[str, Any]]:
        """Ends all three; what each counted."""
        return {**{name: unit.stop() for name, unit in self.units.items()}, "network": self.network.stop()}
