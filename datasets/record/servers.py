# SPDX-License-Identifier: BSD-3-Clause
"""Starts the plan's servers, each in its VM, with everything they write below one scratch folder."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from .network import Network
from .programs import start_dnsmasq, start_nginx, start_redis, start_sshd


def _postgres(program: str) -> str:
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{program}"))
    return str(found[-1])


def _start_web(network: Network, scratch: Path) -> None:
    site = scratch / "site"
    site.mkdir()
    for name, size, _ in network.plan.files:
        (site / name).write_bytes(b"x" * size)
    for vm in network.plan.web:
        start_nginx(network, vm, scratch / vm, site)
    for vm in network.plan.web:
        network.wait_for(vm, "curl", "-sf", "-o", os.devnull, f"http://{network.plan.vms[vm].addresses[0]}/small")


def _start_names(network: Network, scratch: Path) -> None:
    address = network.plan.vms["names"].addresses[0]
    start_dnsmasq(network, "names", scratch / "names", address, network.plan.hosts)
    network.wait_for("names", "dig", "+short", "+tries=1", "+time=1", f"@{address}", next(iter(network.plan.hosts)))


def _start_database(network: Network, scratch: Path) -> None:
    folder = scratch / "database"
    folder.mkdir()
    shutil.chown(folder, "postgres", "postgres")
    as_postgres = ["runuser", "-u", "postgres", "--"]
    cluster = str(folder / "cluster")
    made = subprocess.run([*as_postgres, _postgres("initdb"), "-D", cluster, "-A", "trust", "-N"],
                          cwd=folder, capture_output=True, text=True)  # fmt: skip
    if made.returncode != 0:
        raise RuntimeError(f"initdb: {made.stderr.strip()}")
    with Path(cluster, "pg_hba.conf").open("a") as file:
        file.write("host all all 10.20.0.0/16 trust\n")
    address = network.plan.vms["database"].addresses[0]
    network.start("database", *as_postgres, _postgres("postgres"), "-D", cluster, "-h", address, "-k", str(folder),
                  "-c", "fsync=off", cwd=folder)  # fmt: skip
    network.wait_for("database", "psql", "-h", address, "-U", "postgres", "-c", "select 1")
    network.wait_for("database", "pgbench", "-h", address, "-U", "postgres", "-i", "-q", "postgres")


def start_all(network: Network, scratch: Path) -> None:
    """Returns when all of them answer."""
    _start_database(network, scratch)
    _start_web(network, scratch)
    _start_names(network, scratch)
    start_sshd(network, "files", scratch / "files", network.plan.vms["files"].addresses[0], "ForceCommand internal-sftp\n")
    cache = network.plan.vms["cache"].addresses[0]
    start_redis(network, "cache", scratch / "cache", cache)
    network.wait_for("cache", "redis-cli", "-h", cache, "ping")
    for vm in network.plan.bulk_vms:
        network.start(vm, "iperf3", "-s", "-B", network.plan.vms[vm].addresses[0])
