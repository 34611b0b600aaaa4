# SPDX-License-Identifier: BSD-3-Clause
"""Starts the real servers, each in its VM, with everything they write below one scratch folder."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from .network import Network
from .plan import FILE_SIZES, HOSTS, VMS, WEB

_NGINX = """daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
user nobody nogroup;
events {{ worker_connections 256; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{ listen 80; root {site}; }}
}}
"""

_SSHD = """ListenAddress {address}
HostKey {folder}/host_key
PidFile {folder}/sshd.pid
AuthorizedKeysFile {folder}/authorized_keys
StrictModes no
UsePAM no
PasswordAuthentication no
PermitRootLogin prohibit-password
Subsystem sftp internal-sftp
ForceCommand internal-sftp
"""


def _postgres(program: str) -> str:
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{program}"))
    return str(found[-1])


def _start_web(network: Network, scratch: Path) -> None:
    site = scratch / "site"
    site.mkdir()
    for name, size in FILE_SIZES.items():
        (site / name).write_bytes(b"x" * size)
    for vm in WEB:
        folder = scratch / vm
        folder.mkdir()
        (folder / "nginx.conf").write_text(_NGINX.format(folder=folder, site=site))
        network.start(vm, "nginx", "-p", str(folder), "-c", str(folder / "nginx.conf"))
    for vm in WEB:
        network.wait_for(vm, "curl", "-sf", "-o", os.devnull, f"http://{VMS[vm].addresses[0]}/small")


def _start_names(network: Network, scratch: Path) -> None:
    hosts = scratch / "hosts"
    hosts.write_text("".join(f"{address} {host}\n" for host, address in HOSTS.items()))
    address = VMS["names"].addresses[0]
    network.start("names", "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts",
                  f"--addn-hosts={hosts}", "--user=nobody", "--group=nogroup", f"--listen-address={address}",
                  "--bind-interfaces", "--local-ttl=15", "--pid-file=")  # fmt: skip
    network.wait_for("names", "dig", "+short", "+tries=1", "+time=1", f"@{address}", next(iter(HOSTS)))


def _start_files(network: Network, scratch: Path) -> None:
    folder = scratch / "files"
    folder.mkdir()
    for name in ("host_key", "client_key"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(folder / name)], check=True)
    shutil.copy(folder / "client_key.pub", folder / "authorized_keys")
    (folder / "sshd_config").write_text(_SSHD.format(address=VMS["files"].addresses[0], folder=folder))
    Path("/run/sshd").mkdir(exist_ok=True)  # sshd insists on it; Debian makes it at boot
    network.start("files", "/usr/sbin/sshd", "-D", "-e", "-f", str(folder / "sshd_config"))


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
    address = VMS["database"].addresses[0]
    network.start("database", *as_postgres, _postgres("postgres"), "-D", cluster, "-h", address, "-k", str(folder),
                  "-c", "fsync=off", cwd=folder)  # fmt: skip
    network.wait_for("database", "psql", "-h", address, "-U", "postgres", "-c", "select 1")
    network.wait_for("database", "pgbench", "-h", address, "-U", "postgres", "-i", "-q", "postgres")


def start_all(network: Network, scratch: Path) -> None:
    """Returns when all of them answer."""
    _start_database(network, scratch)
    _start_web(network, scratch)
    _start_names(network, scratch)
    _start_files(network, scratch)
    cache = VMS["cache"].addresses[0]
    network.start("cache", "redis-server", "--bind", cache, "--protected-mode", "no", "--save", "", "--dir", str(scratch))
    network.wait_for("cache", "redis-cli", "-h", cache, "ping")
    network.start("bulk", "iperf3", "-s", "-B", VMS["bulk"].addresses[0])
