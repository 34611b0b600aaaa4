# SPDX-License-Identifier: BSD-3-Clause
"""Drives the real clients of one VM: python3 -m datasets.record.clients PLAN VM SEED SECONDS SCRATCH

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

from .plan import PLANS, Plan

NAME_LIFETIME = 15.0  # seconds: a name is asked for again after it


class Client:
    def __init__(self, plan: Plan, vm: str, seed: int, seconds: float, scratch: Path) -> None:
        self.plan = plan
        self.vm = vm
        self.seed = seed
        self.choose = random.Random(f"{seed}-{vm}")
        self.end = time.monotonic() + seconds
        self.scratch = scratch
        self.tally: dict[str, list[int]] = {}  # program -> [succeeded, failed]
        self.names: dict[str, float] = {}  # host -> when its address is forgotten

    def address_of(self, vm: str) -> str:
        return self.plan.vms[vm].addresses[0]

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
        answer = self.do("dig", "+short", "+tries=1", f"@{self.address_of('names')}", host)
        if answer.strip() == self.plan.hosts[host]:
            self.names[host] = time.monotonic() + NAME_LIFETIME

    def fetch(self, *parts: tuple[str, str]) -> None:
        """One curl for all parts, as a browser's page: one connection after another."""
        command = ["curl", "-sf"]
        for host, path in parts:
            command += ["--resolve", f"{host}:80:{self.plan.hosts[host]}", "-o", os.devnull, f"http://{host}/{path}"]
        self.do(*command)

    def browse(self) -> None:
        """A page: its name, the page itself, then the names and the parts."""
        known = self.plan.pages(self.seed)
        self.choose.shuffle(known)
        weights = [(rank + 1) ** -self.plan.page_exponent for rank in range(len(known))]
        while self.alive():
            page = self.choose.choices(known, weights)[0]
            front, *parts = page.parts
            self.resolve(front[0])
            self.fetch(front)
            for host, _ in parts:
                self.resolve(host)
            if parts:
                self.fetch(*parts)
            self.think(self.plan.reading)

    def work(self) -> None:
        """A job: look into the cache, mostly ask the database, fill the cache, report to a web service."""
        cache = ["-h", self.address_of("cache")]
        database = ["-h", self.address_of("database"), "-U", "postgres"]
        reports = self.choose.sample([h for h in self.plan.hosts if h.startswith("web3-")], 6)
        while self.alive():
            key = f"job:{self.choose.randint(1, 20)}"
            self.do("redis-cli", *cache, "get", key)
            if self.choose.random() < self.plan.asks_database:
                self.do("pgbench", *database, "-n", "-t", str(self.choose.randint(*self.plan.transactions)), "postgres")
                self.do("redis-cli", *cache, "setex", key, "30", "x" * self.choose.randint(*self.plan.values))
            self.fetch((self.choose.choices(reports, (8, 4, 2, 1, 1, 1))[0], "small"))
            if self.choose.random() < self.plan.benchmarks:
                self.do("redis-benchmark", *cache, *self.plan.benchmark, "-q")
            self.think(self.plan.job_pause)

    def back_up(self) -> None:
        """Files up and down, and now and then a measurement of the way."""
        folder = self.scratch / self.vm
        folder.mkdir()
        sftp = ["sftp", "-q", "-b", "-", "-i", str(self.scratch / "files" / "client_key"),
                "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
                f"root@{self.address_of('files')}"]  # fmt: skip
        peer = self.plan.bulk_vms[self.plan.backup_vms.index(self.vm)]
        measures = self.plan.measures_first
        while self.alive():
            if measures:
                self.do("iperf3", "-c", self.address_of(peer), *self.choose.choice(self.plan.measurements))
            else:
                size = self.choose.choice(self.plan.backup_bytes)
                (folder / "new").write_bytes(b"x" * size)
                self.do(*sftp, stdin=f"put {folder}/new {folder}/stored\nget {folder}/stored {folder}/fetched\n")
            measures = not measures
            self.think(self.plan.backup_pause)


def main() -> None:
    plan, vm, seed, seconds, scratch = PLANS[sys.argv[1]], sys.argv[2], int(sys.argv[3]), float(sys.argv[4]), Path(sys.argv[5])
    client = Client(plan, vm, seed, seconds, scratch)
    time.sleep(client.choose.random())
    life = {"browser": client.browse, "worker": client.work, "backup": client.back_up}[vm.rstrip("0123456789")]
    life()
    (scratch / f"tally-{vm}.json").write_text(json.dumps(client.tally))


if __name__ == "__main__":
    main()
