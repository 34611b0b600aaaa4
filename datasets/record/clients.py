# SPDX-License-Identifier: BSD-3-Clause
"""Drives the real clients of one VM: python3 -m datasets.record.clients VM SEED SECONDS SCRATCH

What is done next is drawn from the seed; when it is done depends on how long the programs take.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

from .plan import HOSTS, VMS, pages

NAME_LIFETIME = 15.0  # seconds: a name is asked for again after it
PAGE_EXPONENT = 0.6  # Zipf popularity of pages; each browser ranks them in its own order


def address_of(vm: str) -> str:
    return VMS[vm].addresses[0]


class Client:
    def __init__(self, vm: str, seed: int, seconds: float, scratch: Path) -> None:
        self.vm = vm
        self.seed = seed
        self.choose = random.Random(f"{seed}-{vm}")
        self.end = time.monotonic() + seconds
        self.scratch = scratch
        self.tally: dict[str, list[int]] = {}  # program -> [succeeded, failed]
        self.names: dict[str, float] = {}  # host -> when its address is forgotten

    def alive(self) -> bool:
        return time.monotonic() < self.end

    def think(self, mean: float) -> None:
        time.sleep(min(self.choose.expovariate(1 / mean), max(0.0, self.end - time.monotonic())))

    def do(self, *command: str, stdin: str = "") -> str:
        done = subprocess.run(command, input=stdin, capture_output=True, text=True)
        self.tally.setdefault(Path(command[0]).name, [0, 0])[done.returncode != 0] += 1
        if done.returncode != 0:
            print(f"{' '.join(command)}: {done.returncode} {done.stderr.strip()}", file=sys.stderr)
        return done.stdout

    def resolve(self, host: str) -> None:
        if self.names.get(host, 0.0) > time.monotonic():
            return
        answer = self.do("dig", "+short", "+tries=1", f"@{address_of('names')}", host)
        if answer.strip() == HOSTS[host]:
            self.names[host] = time.monotonic() + NAME_LIFETIME

    def fetch(self, *parts: tuple[str, str]) -> None:
        """One curl for all parts, as a browser's page: one connection after another."""
        command = ["curl", "-sf"]
        for host, path in parts:
            command += ["--resolve", f"{host}:80:{HOSTS[host]}", "-o", os.devnull, f"http://{host}/{path}"]
        self.do(*command)

    def browse(self) -> None:
        """A page: its name, the page itself, then the names and the parts."""
        known = pages(self.seed)
        self.choose.shuffle(known)
        weights = [(rank + 1) ** -PAGE_EXPONENT for rank in range(len(known))]
        while self.alive():
            page = self.choose.choices(known, weights)[0]
            front, *parts = page.parts
            self.resolve(front[0])
            self.fetch(front)
            for host, _ in parts:
                self.resolve(host)
            self.fetch(*parts)
            self.think(1.5)

    def work(self) -> None:
        """A job: look into the cache, mostly ask the database, fill the cache, report to a web service."""
        cache = ["-h", address_of("cache")]
        database = ["-h", address_of("database"), "-U", "postgres"]
        reports = self.choose.sample([h for h in HOSTS if h.startswith("web3-")], 6)
        while self.alive():
            key = f"job:{self.choose.randint(1, 20)}"
            self.do("redis-cli", *cache, "get", key)
            if self.choose.random() < 0.7:
                self.do("pgbench", *database, "-n", "-t", str(self.choose.randint(1, 3)), "postgres")
                self.do("redis-cli", *cache, "setex", key, "30", "x" * self.choose.randint(10, 400))
            self.fetch((self.choose.choices(reports, (8, 4, 2, 1, 1, 1))[0], "small"))
            if self.choose.random() < 0.08:
                self.do("redis-benchmark", *cache, "-n", "60", "-c", "2", "-t", "get,set", "-q")
            self.think(1.5)

    def back_up(self) -> None:
        """Files up and down, and now and then a measurement of the way."""
        folder = self.scratch / "backup"
        folder.mkdir()
        (folder / "new").write_bytes(b"x" * 120_000)
        sftp = ["sftp", "-q", "-b", "-", "-i", str(self.scratch / "files" / "client_key"),
                "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
                f"root@{address_of('files')}"]  # fmt: skip
        bulk = ["iperf3", "-c", address_of("bulk")]
        while self.alive():
            self.do(*sftp, stdin=f"put {folder}/new {folder}/stored\nget {folder}/stored {folder}/fetched\n")
            self.think(3.5)
            if self.choose.random() < 0.5:
                self.do(*bulk, "-b", "2M", "-t", "2")
            else:
                self.do(*bulk, "-u", "-b", "800K", "-l", "1000", "-t", "3")
            self.think(3.5)


def main() -> None:
    vm, seed, seconds, scratch = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), Path(sys.argv[4])
    client = Client(vm, seed, seconds, scratch)
    time.sleep(client.choose.random())
    life = {"browser": client.browse, "worker": client.work, "backup": client.back_up}[vm.rstrip("0123456789")]
    life()
    (scratch / f"tally-{vm}.json").write_text(json.dumps(client.tally))


if __name__ == "__main__":
    main()
