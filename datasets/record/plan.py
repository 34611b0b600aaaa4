# SPDX-License-Identifier: BSD-3-Clause
"""Who is there: VMs with their addresses, the sites on the web servers, and the labels of it all."""

from __future__ import annotations

import csv
import random
from dataclasses import dataclass, field
from pathlib import Path

PREFIX_LENGTH = 16
SITES_PER_SERVER = 16
GROUP, GROUP_PORT = "239.1.1.1", 5004


@dataclass(frozen=True)
class Vm:
    name: str
    number: int
    addresses: tuple[str, ...]

    @property
    def mac(self) -> str:
        return f"02:00:00:00:00:{self.number:02x}"


def _vms() -> dict[str, Vm]:
    addresses: dict[str, tuple[str, ...]] = {}
    for server in (1, 2, 3):
        addresses[f"web{server}"] = tuple(f"10.20.{server}.{i}" for i in range(1, SITES_PER_SERVER + 1))
    for i, name in enumerate(("names", "files", "cache", "database", "bulk", "media"), start=2):
        addresses[name] = (f"10.20.0.{i}",)
    for i in range(1, 7):
        addresses[f"browser{i}"] = (f"10.20.10.{i}",)
    for i in range(1, 4):
        addresses[f"worker{i}"] = (f"10.20.11.{i}",)
    addresses["backup"] = ("10.20.12.1",)
    return {name: Vm(name, number, own) for number, (name, own) in enumerate(addresses.items(), start=1)}


VMS = _vms()
WEB = ("web1", "web2", "web3")
BROWSERS = tuple(name for name in VMS if name.startswith("browser"))
WORKERS = tuple(name for name in VMS if name.startswith("worker"))
LISTENERS = ("browser1", "browser2", "worker1")  # of the multicast group


@dataclass(frozen=True)
class Page:
    """What one visit fetches, in order: (host, path) of the page itself and of its parts."""

    parts: tuple[tuple[str, str], ...] = field(default_factory=tuple)


HOSTS = {  # host name -> address; the first server's are fronts, the others serve parts
    f"{vm}-{i}.test": address for vm in WEB for i, address in enumerate(VMS[vm].addresses, start=1)
}
FILE_SIZES = {"small": 900, "medium": 6_000, "large": 30_000}  # bytes


def pages(seed: int) -> list[Page]:
    """A page for each front, with one to three parts from hosts that stay the same."""
    chosen = random.Random(f"{seed}-pages")
    fronts = [host for host in HOSTS if host.startswith("web1-")]
    others = [host for host in HOSTS if not host.startswith("web1-")]
    made = []
    for front in fronts:
        parts = [(front, "medium")]
        for host in chosen.sample(others, chosen.randint(1, 3)):
            parts.append((host, chosen.choices(list(FILE_SIZES), weights=(6, 3, 1))[0]))
        made.append(Page(tuple(parts)))
    return made


def write_labels(path: Path) -> None:
    """One row an endpoint of a program. `any` port: the program's side chooses one for each connection."""
    rows: list[tuple[str, str, str, str, str, str]] = []

    def add(vms: tuple[str, ...], protocol: str, port: str, program: str, role: str, types: str) -> None:
        rows.extend((vm, protocol, port, program, role, types) for vm in vms)

    clients = BROWSERS + WORKERS
    add(WEB, "tcp", "80", "nginx", "server", "control response bulk")
    add(clients, "tcp", "any:80", "curl", "client", "control request")
    add(("names",), "udp", "53", "dnsmasq", "server", "response")
    add(BROWSERS, "udp", "any:53", "dig", "client", "request")
    add(("files",), "tcp", "22", "sshd", "server", "control response bulk")
    add(("backup",), "tcp", "any:22", "sftp", "client", "control request bulk")
    add(("cache",), "tcp", "6379", "redis-server", "server", "control response")
    add(WORKERS, "tcp", "any:6379", "redis-cli", "client", "control request")
    add(WORKERS, "tcp", "any:6379", "redis-benchmark", "client", "control request")
    add(("database",), "tcp", "5432", "postgres", "server", "control response")
    add(WORKERS, "tcp", "any:5432", "pgbench", "client", "control request")
    add(("bulk",), "tcp", "5201", "iperf3", "server", "control response")
    add(("backup",), "tcp", "any:5201", "iperf3", "client", "control bulk")
    add(("bulk",), "udp", "5201", "iperf3", "server", "control")
    add(("backup",), "udp", "any:5201", "iperf3", "client", "stream")
    add(("media",), "udp", f"any:{GROUP_PORT}", "multicast", "sender", "group")
    add(LISTENERS, "udp", str(GROUP_PORT), "multicast", "listener", "group")
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("vm", "mac", "addresses", "protocol", "port", "program", "role", "expected_types"))
        for vm, *rest in rows:
            writer.writerow((vm, VMS[vm].mac, " ".join(VMS[vm].addresses), *rest))
