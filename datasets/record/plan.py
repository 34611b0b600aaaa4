# SPDX-License-Identifier: BSD-3-Clause
"""Who is there and what they do: VMs with their addresses, the sites on the web servers, and the labels of it all."""

from __future__ import annotations

import csv
import random
from dataclasses import dataclass, field
from functools import cached_property
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


@dataclass(frozen=True)
class Page:
    """What one visit fetches, in order: (host, path) of the page itself and of its parts."""

    parts: tuple[tuple[str, str], ...] = field(default_factory=tuple)


def _numbered(name: str, count: int) -> tuple[str, ...]:
    return (name,) if count == 1 else tuple(f"{name}{i}" for i in range(1, count + 1))


@dataclass(frozen=True)
class Plan:
    """One mix of programs. Counts are of VMs, sizes in bytes, pauses the means of exponential ones in seconds."""

    browsers: int = 6
    workers: int = 3
    backups: int = 1  # each with an iperf3 server of its own
    page_exponent: float = 0.6  # Zipf popularity of pages; each browser ranks them in its own order
    parts: tuple[int, int] = (1, 3)  # of a page, besides itself: least and most
    files: tuple[tuple[str, int, int], ...] = (("small", 900, 6), ("medium", 6_000, 3), ("large", 30_000, 1))  # name, size, weight
    fronts: tuple[str, ...] = ("medium",)  # the files that are a page itself
    reading: float = 1.5
    job_pause: float = 1.5
    values: tuple[int, int] = (10, 400)  # in the cache: least and most
    asks_database: float = 0.7  # share of jobs
    transactions: tuple[int, int] = (1, 3)
    benchmarks: float = 0.08  # share of jobs
    benchmark: tuple[str, ...] = ("-n", "60", "-c", "2", "-t", "get,set")
    measures_first: bool = False
    backup_pause: float = 3.5
    backup_bytes: tuple[int, ...] = (120_000,)
    measurements: tuple[tuple[str, ...], ...] = (("-b", "2M", "-t", "2"), ("-u", "-b", "800K", "-l", "1000", "-t", "3"))
    group_rate: int = 20  # multicast packets a second
    group_sizes: tuple[int, int] = (300, 1200)

    @cached_property
    def web(self) -> tuple[str, ...]:
        return _numbered("web", 3)

    @cached_property
    def browser_vms(self) -> tuple[str, ...]:
        return _numbered("browser", self.browsers)

    @cached_property
    def worker_vms(self) -> tuple[str, ...]:
        return _numbered("worker", self.workers)

    @cached_property
    def backup_vms(self) -> tuple[str, ...]:
        return _numbered("backup", self.backups)

    @cached_property
    def bulk_vms(self) -> tuple[str, ...]:
        return _numbered("bulk", self.backups)

    @property
    def listeners(self) -> tuple[str, ...]:
        """Of the multicast group."""
        return (*self.browser_vms[:2], self.worker_vms[0])

    @cached_property
    def vms(self) -> dict[str, Vm]:
        addresses: dict[str, tuple[str, ...]] = {}
        for server, name in enumerate(self.web, start=1):
            addresses[name] = tuple(f"10.20.{server}.{i}" for i in range(1, SITES_PER_SERVER + 1))
        for i, name in enumerate(("names", "files", "cache", "database", *self.bulk_vms, "media"), start=2):
            addresses[name] = (f"10.20.0.{i}",)
        for net, names in ((10, self.browser_vms), (11, self.worker_vms), (12, self.backup_vms)):
            for i, name in enumerate(names, start=1):
                addresses[name] = (f"10.20.{net}.{i}",)
        return {name: Vm(name, number, own) for number, (name, own) in enumerate(addresses.items(), start=1)}

    @cached_property
    def hosts(self) -> dict[str, str]:
        """Host name -> address; the first server's are fronts, the others serve parts."""
        return {f"{vm}-{i}.test": address for vm in self.web for i, address in enumerate(self.vms[vm].addresses, start=1)}

    def pages(self, seed: int) -> list[Page]:
        """A page for each front, with parts from hosts that stay the same."""
        chosen = random.Random(f"{seed}-pages")
        fronts = [host for host in self.hosts if host.startswith("web1-")]
        others = [host for host in self.hosts if not host.startswith("web1-")]
        of_fronts = random.Random(f"{seed}-fronts")
        names, weights = [name for name, _, _ in self.files], [weight for _, _, weight in self.files]
        made = []
        for front in fronts:
            parts = [(front, of_fronts.choice(self.fronts))]
            for host in chosen.sample(others, chosen.randint(*self.parts)):
                parts.append((host, chosen.choices(names, weights=weights)[0]))
            made.append(Page(tuple(parts)))
        return made


_SIZES = (200, 400, 800, 1_500, 2_700, 4_500, 7_000, 11_000, 14_000, 18_000, 25_000, 40_000, 80_000)
_MANY_FILES = (("small", 600, 6), *((f"file{size}", size, max(1, 5 - i // 3)) for i, size in enumerate(_SIZES)))
_MANY_FRONTS = tuple(name for name, size, _ in _MANY_FILES if size <= 25_000)
_VOICE = ("-u", "-b", "64K", "-l", "160", "-t", "4")
_VIDEO = ("-u", "-b", "400K", "-l", "700", "-t", "4")
PLANS = {
    "office": Plan(),
    "depot": Plan(  # more is copied and streamed, less is read
        browsers=4, workers=2, backups=3, reading=2.5, job_pause=2.5, backup_pause=2.0, backup_bytes=(60_000,),
        measurements=(("-b", "1M", "-t", "2"), ("-b", "1M", "-t", "2", "-R"), _VOICE, (*_VOICE, "-R"), _VIDEO),
        group_rate=10, group_sizes=(800, 1300),
    ),
    "shop": Plan(  # many small jobs and small pages
        browsers=5, workers=6, reading=1.2, job_pause=0.9, asks_database=0.85, transactions=(1, 5), benchmarks=0.03,
        parts=(0, 2), files=(("small", 300, 6), ("medium", 2_500, 3), ("large", 12_000, 1)), backup_pause=5.0,
        measurements=(_VOICE, ("-b", "1500K", "-t", "1"), _VIDEO), group_rate=30, group_sizes=(100, 400),
    ),
    "campus": Plan(
        browsers=9, workers=1, backups=2, page_exponent=1.0, parts=(2, 5), reading=1.8, backup_pause=3.0, measures_first=True,
        files=(("small", 1_500, 4), ("medium", 9_000, 4), ("large", 45_000, 1)), backup_bytes=(200_000,),
        measurements=(("-u", "-b", "96K", "-l", "240", "-t", "5"), ("-b", "3M", "-t", "1", "-R")), group_rate=15,
        group_sizes=(200, 900),
    ),
    "studio": Plan(
        browsers=3, workers=4, backups=2, reading=1.0, job_pause=1.0, asks_database=0.5, transactions=(2, 4), benchmarks=0.12,
        benchmark=("-n", "40", "-c", "3", "-t", "set,lpush", "-d", "200"), backup_pause=2.5, backup_bytes=(90_000,),
        measurements=(("-u", "-b", "500K", "-l", "600", "-t", "3", "-R"), ("-u", "-b", "32K", "-l", "80", "-t", "4"), ("-b", "1200K", "-t", "3")),
        group_rate=8, group_sizes=(1000, 1400),
    ),
    "market": Plan(  # pages and values of all sizes
        browsers=6, workers=4, parts=(0, 3), files=_MANY_FILES, fronts=_MANY_FRONTS, reading=1.2, job_pause=1.2, values=(10, 9_000),
        transactions=(1, 4), backup_bytes=(2_000, 9_000, 15_000, 30_000, 70_000), backup_pause=2.5,
        measurements=(("-b", "700K", "-t", "2"), ("-u", "-b", "48K", "-l", "120", "-t", "3"), ("-u", "-b", "250K", "-l", "500", "-t", "3")),
        group_rate=12, group_sizes=(60, 1400),
    ),
    "library": Plan(  # much reading
        browsers=9, workers=2, page_exponent=0.9, parts=(1, 6), files=_MANY_FILES, fronts=_MANY_FRONTS, reading=2.2, job_pause=3.0,
        values=(100, 4_000), asks_database=0.4, backup_bytes=(5_000, 12_000, 20_000, 150_000), backup_pause=4.0, measures_first=True,
        measurements=(("-b", "2M", "-t", "1", "-R"), ("-u", "-b", "80K", "-l", "200", "-t", "4", "-R"), ("-u", "-b", "300K", "-l", "900", "-t", "2")),
        group_rate=6, group_sizes=(150, 700),
    ),
    "harbour": Plan(  # much copying, at all rates
        browsers=3, workers=3, backups=3, parts=(0, 2), files=_MANY_FILES, fronts=_MANY_FRONTS, reading=1.5, job_pause=1.5, values=(10, 2_000),
        benchmarks=0.15, benchmark=("-n", "30", "-c", "4", "-t", "get,incr", "-d", "600"), backup_pause=2.0,
        backup_bytes=(500, 3_000, 8_000, 14_000, 17_000, 40_000, 100_000),
        measurements=(
            ("-b", "300K", "-t", "3"), ("-b", "2500K", "-t", "1", "-R"), ("-u", "-b", "24K", "-l", "60", "-t", "4"),
            ("-u", "-b", "120K", "-l", "300", "-t", "3", "-R"), ("-u", "-b", "600K", "-l", "1200", "-t", "2"),
        ),
        group_rate=25, group_sizes=(200, 500),
    ),
    "relay": Plan(  # streams of all sizes, both ways
        browsers=3, workers=2, backups=4, parts=(0, 2), files=_MANY_FILES, fronts=_MANY_FRONTS, reading=3.0, job_pause=3.0, values=(10, 3_000),
        backup_pause=1.2, backup_bytes=(1_000, 6_000, 13_000, 26_000),
        measurements=tuple(
            ("-u", "-b", rate, "-l", size, "-t", "2", *way)
            for rate, size in (("20K", "60"), ("50K", "180"), ("90K", "350"), ("240K", "560"), ("400K", "850"), ("500K", "1150"), ("450K", "1400"))
            for way in ((), ("-R",))
        ),
        group_rate=5, group_sizes=(100, 1300),
    ),
    "clinic": Plan(
        browsers=4, workers=5, backups=2, page_exponent=0.3, parts=(0, 4), reading=1.3, job_pause=1.4, values=(50, 1_500), asks_database=0.6,
        transactions=(1, 6), files=(("small", 700, 3), ("medium", 4_000, 5), ("large", 21_000, 2)), fronts=("small", "medium"),
        backup_bytes=(25_000, 130_000), backup_pause=3.2,
        measurements=(("-u", "-b", "56K", "-l", "140", "-t", "5", "-R"), ("-b", "900K", "-t", "2"), ("-u", "-b", "350K", "-l", "800", "-t", "2")),
        group_rate=18, group_sizes=(120, 1000),
    ),
}  # fmt: skip


def write_labels(plan: Plan, path: Path) -> None:
    """One row an endpoint of a program. `any` port: the program's side chooses one for each connection."""
    rows: list[tuple[str, str, str, str, str, str]] = []

    def add(vms: tuple[str, ...], protocol: str, port: str, program: str, role: str, types: str) -> None:
        rows.extend((vm, protocol, port, program, role, types) for vm in vms)

    clients = plan.browser_vms + plan.worker_vms
    add(plan.web, "tcp", "80", "nginx", "server", "control response bulk")
    add(clients, "tcp", "any:80", "curl", "client", "control request")
    add(("names",), "udp", "53", "dnsmasq", "server", "response")
    add(plan.browser_vms, "udp", "any:53", "dig", "client", "request")
    add(("files",), "tcp", "22", "sshd", "server", "control response bulk")
    add(plan.backup_vms, "tcp", "any:22", "sftp", "client", "control request bulk")
    add(("cache",), "tcp", "6379", "redis-server", "server", "control response")
    add(plan.worker_vms, "tcp", "any:6379", "redis-cli", "client", "control request")
    add(plan.worker_vms, "tcp", "any:6379", "redis-benchmark", "client", "control request")
    add(("database",), "tcp", "5432", "postgres", "server", "control response")
    add(plan.worker_vms, "tcp", "any:5432", "pgbench", "client", "control request")
    add(plan.bulk_vms, "tcp", "5201", "iperf3", "server", "control response")
    add(plan.backup_vms, "tcp", "any:5201", "iperf3", "client", "control bulk")
    add(plan.bulk_vms, "udp", "5201", "iperf3", "server", "control")
    add(plan.backup_vms, "udp", "any:5201", "iperf3", "client", "stream")
    add(("media",), "udp", f"any:{GROUP_PORT}", "multicast", "sender", "group")
    add(plan.listeners, "udp", str(GROUP_PORT), "multicast", "listener", "group")
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("vm", "mac", "addresses", "protocol", "port", "program", "role", "expected_types"))
        for vm, *rest in rows:
            writer.writerow((vm, plan.vms[vm].mac, " ".join(plan.vms[vm].addresses), *rest))
