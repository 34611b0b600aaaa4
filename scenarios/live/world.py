# SPDX-License-Identifier: BSD-3-Clause
"""Three VMs and the world behind the uplink, each a network namespace with its own kernel stack and real servers.

    web      port0  nginx, sshd           desk     port1  the clients
    data     port2  dnsmasq, redis        outside  port3  the gateway: nginx, dnsmasq, and addresses beyond it

What is between the four ports is for others to say: this module leaves their ends up and silent in a namespace `switch`.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import secrets
import signal
import struct
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from datasets.record.namespaces import Namespaces, stop
from datasets.record.programs import start_dnsmasq, start_nginx, start_redis, start_sshd

SWITCH = "switch"


@dataclass(frozen=True)
class Host:
    name: str
    port: int  # of the switch; the last one is the uplink
    v4: str
    v6: str

    @property
    def mac(self) -> str:
        return f"02:00:00:00:77:{self.port + 1:02x}"

    @property
    def port_name(self) -> str:
        return f"port{self.port}"

    @property
    def vm(self) -> int:
        """The id that profiles, rules and traces know it by: 0 is the uplink."""
        return 0 if self.name == "outside" else self.port + 1


def _host(name: str, port: int, last: int) -> Host:
    return Host(name, port, f"10.77.0.{last}", f"fd77::{last}")


WEB, DESK, DATA, OUTSIDE = HOSTS = (_host("web", 0, 1), _host("desk", 1, 2), _host("data", 2, 3), _host("outside", 3, 254))
BEYOND_V4, BEYOND_V6 = "192.0.2.1", "2001:db8::1"  # documentation prefixes: hosts that only the gateway knows
NAMES = {"web.test": WEB.v4, "data.test": DATA.v4, "beyond.test": BEYOND_V4}
LONG_TEXT = "longer-than-a-datagram-of-512-bytes-" * 30
ECHO_REQUEST, ECHO_REPLY = 8, 0
FILES = {"small": 900, "large": 50_000_000}  # bytes


def write_random(path: Path, size: int, seed: int) -> None:
    path.write_bytes(random.Random(seed).randbytes(size))


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass(frozen=True)
class Frame:
    time: float  # seconds since 1970, by the kernel's clock
    wire_bytes: int
    data: bytes  # its first 128 bytes


def echoes(frames: list[Frame]) -> tuple[dict[bytes, float], set[bytes]]:
    """When each ICMP echo request passed, and which of them were answered. Both by identifier and number."""
    icmp = [frame for frame in frames if frame.data[14 + 9] == 1]
    asked = {frame.data[38:42]: frame.time for frame in icmp if frame.data[34] == ECHO_REQUEST}
    return asked, {frame.data[38:42] for frame in icmp if frame.data[34] == ECHO_REPLY}


class Capture:
    """A context: what passes a host's interface, in both directions, as the host's own kernel sees it."""

    def __init__(self, world: World, host: Host, expression: str) -> None:
        self._path = world.folder / f"capture-{secrets.token_hex(4)}.pcap"
        self._log = world.folder / f"{self._path.stem}.log"
        self._command = ["tcpdump", "-i", "eth0", "-n", "-s", "128", "-B", "8192", "--immediate-mode", "-U", "-Z", "root",
                         "--time-stamp-precision=nano", "-w", str(self._path), expression]  # fmt: skip
        self._world, self._host = world, host
        self.frames: list[Frame] = []  # when it has ended

    def __enter__(self) -> Capture:
        self._process = self._world.start(self._host.name, *self._command, log=self._path.stem)
        for _ in range(100):
            if "listening on" in self._log.read_text():
                return self
            time.sleep(0.05)
        raise RuntimeError(f"tcpdump does not listen: {self._log.read_text()}")

    def _has_read_all(self) -> bool:
        """Asks tcpdump how many frames it has read of those that the kernel holds for it."""
        said = len(self._log.read_text())
        self._process.send_signal(signal.SIGUSR1)
        for _ in range(200):
            if counts := re.search(r"(\d+) packets? captured, (\d+) packets? received by filter", self._log.read_text()[said:]):
                return counts[1] == counts[2]
            time.sleep(0.02)
        raise RuntimeError(f"tcpdump does not count: {self._log.read_text()}")

    def __exit__(self, *_: object) -> None:
        for _ in range(500):
            if self._has_read_all():
                break
            time.sleep(0.02)
        else:
            raise RuntimeError(f"tcpdump does not keep up: {self._log.read_text()}")
        stop(self._process, signal.SIGINT)
        data = self._path.read_bytes()
        at = 24
        while at + 16 <= len(data):
            seconds, nanoseconds, captured, length = struct.unpack_from("=IIII", data, at)
            self.frames.append(Frame(seconds + nanoseconds * 1e-9, length, data[at + 16 : at + 16 + captured]))
            at += 16 + captured
        if "0 packets dropped by kernel" not in self._log.read_text():
            raise RuntimeError(f"tcpdump missed packets: {self._log.read_text()}")


class World(Namespaces):
    """A context: hosts, their servers and the switch's silent ports. `folder` is readable by all users."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.folder = folder
        self.site = folder / "site"

    def __enter__(self) -> World:
        super().__enter__()
        try:
            self.add(SWITCH)
            for host in HOSTS:
                self._plug(host)
            self._start_servers()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def _plug(self, host: Host) -> None:
        self.add(host.name)
        self.join(SWITCH, host.port_name, host.name, host.mac)
        self.silence(SWITCH, host.port_name)
        for address in (f"{host.v4}/24", f"{host.v6}/64"):
            self.ip(host.name, "address", "add", address, "dev", "eth0", "nodad")
        if host is OUTSIDE:
            for address in (f"{BEYOND_V4}/32", f"{BEYOND_V6}/128"):
                self.ip(host.name, "address", "add", address, "dev", "lo", "nodad")
        self.ip(host.name, "link", "set", "eth0", "up")
        if host is not OUTSIDE:
            for way in (OUTSIDE.v4, OUTSIDE.v6):
                self.ip(host.name, "route", "add", "default", "via", way)

    def _start_servers(self) -> None:
        self.site.mkdir()
        for seed, (name, size) in enumerate(FILES.items()):
            write_random(self.site / name, size, seed)
        for host in (WEB, OUTSIDE):
            start_nginx(self, host.name, self.folder / f"nginx-{host.name}", self.site, ("80", "[::]:80"))
        text = ",".join(LONG_TEXT[at : at + 200] for at in range(0, len(LONG_TEXT), 200))
        for host, address in ((DATA, DATA.v4), (OUTSIDE, BEYOND_V4)):
            start_dnsmasq(self, host.name, self.folder / f"dnsmasq-{host.name}", address, NAMES, f"--txt-record=long.test,{text}")
        start_sshd(self, WEB.name, self.folder / "ssh", WEB.v4)
        start_redis(self, DATA.name, self.folder / "redis", DATA.v4)
        # Each in its own namespace: what is between the ports is not there yet.
        for host in (WEB, OUTSIDE):
            self.wait_for(host.name, "curl", "-sf", "-o", os.devnull, f"http://{host.v4}/small")
        for host, address in ((DATA, DATA.v4), (OUTSIDE, BEYOND_V4)):
            self.wait_for(host.name, "dig", "+short", "+tries=1", "+time=1", f"@{address}", "web.test")
        self.wait_for(DATA.name, "redis-cli", "-h", DATA.v4, "ping")

    def iperf3_server(self, host: Host, port: int) -> subprocess.Popen[bytes]:
        """Serves one test at `port`, and returns when it listens."""
        server = self.start(host.name, "iperf3", "-s", "-1", "-p", str(port))
        self.wait_for(host.name, "sh", "-c", f"ss -Hltn sport = :{port} | grep -q .")
        return server

    def iperf3(self, client: Host, server: Host, port: int, *options: str, timeout: float = 30) -> dict:
        """What the client reports of one test."""
        served = self.iperf3_server(server, port)
        said = self.run(client.name, "iperf3", "-J", "-c", server.v4, "-p", str(port), *options, timeout=timeout)
        served.wait(timeout=10)  # it holds the port until then
        return json.loads(said)["end"]

    def neighbour(self, host: Host, address: str) -> str | None:
        """The MAC that `host` has learnt for an address, by ARP or neighbour discovery."""
        rows = json.loads(self.ip(host.name, "-j", "neigh", "show", "to", address) or "[]")
        return rows[0].get("lladdr") if rows else None

    def kernel_counts(self) -> dict[str, dict[str, int]]:
        """Of each port of the switch, as the kernel counted: packets and bytes in (from the host) and out (to it)."""
        rows = json.loads(self.ip(SWITCH, "-j", "-s", "link", "show", "type", "veth"))
        return {
            row["ifname"]: {
                "in": row["stats64"]["rx"]["packets"], "in_bytes": row["stats64"]["rx"]["bytes"],
                "out": row["stats64"]["tx"]["packets"], "out_bytes": row["stats64"]["tx"]["bytes"],
            }
            for row in rows
        }  # fmt: skip
