# SPDX-License-Identifier: BSD-3-Clause
"""Two hosts whose packet dynamics units talk over a network that is not a good one.

    left  --  unit a  --  network  --  unit b  --  right

Units and network are runners, each in a namespace of its own and started as a user would: ./foreflow unit, ./foreflow impair.
"""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

from datasets.record.namespaces import Namespaces
from foreflow.live import control
from scenarios.live.runner import Program

NETWORK = "network"
LEFT, RIGHT = "left", "right"
ADDRESSES = {LEFT: "10.78.0.1", RIGHT: "10.78.0.2"}
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
    the network itself."""

    def __init__(self, folder: Path, has_units: bool = True) -> None:
        super().__init__(folder)
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
                self.join(place, interface, host, f"02:00:00:00:78:{unit}1")
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
        self.units[name].begin(["unit", str(path), "--key-log", str(self.folder / "keys.log")], _ports(INSIDE, OUTSIDE))

    def begin_network(self, path: dict[str, Any], seed: int = 1) -> None:
        """One whose path is alike in both directions, as bindings/dpdk/README.md has it; {} passes everything."""
        file = self.folder / "network.yaml"
        file.write_text(json.dumps({"seed": seed, "there": {"paths": [path]}, "back": {"paths": [path]}}))
        self.network.begin(["impair", str(file)], _ports("to_a", "to_b"))

    def connect(self, path: dict[str, Any], **link: Any) -> None:
        """Starts all three; returns when the units have keys."""
        self.begin_network(path)
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
        self.begin_network(path, seed)
        self.network.await_running()
        # A host that asked for its neighbour while there was none is told so, and gives up what it begins just then.
        for host, other in ((LEFT, RIGHT), (RIGHT, LEFT)):
            self.wait_for(host, "ping", "-c", "1", "-W", "1", ADDRESSES[other])
        return counted

    def counts(self, name: str) -> dict[str, Any]:
        """What a unit that runs has counted, by group."""
        counted: dict[str, Any] = self.units[name].ask("/foreflow/stage")
        return counted

    def disconnect(self) -> dict[str, dict[str, Any]]:
        """Ends all three; what each counted."""
        return {**{name: unit.stop() for name, unit in self.units.items()}, "network": self.network.stop()}
