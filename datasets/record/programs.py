# SPDX-License-Identifier: BSD-3-Clause
"""Real servers, each started in one namespace with everything it writes below a folder of its own."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from .namespaces import Namespaces

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
  server {{ {listen} root {site}; }}
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
"""


def start_nginx(network: Namespaces, vm: str, folder: Path, site: Path, listen: tuple[str, ...] = ("80",)) -> None:
    """Serves the files of `site`, at port 80 of every IPv4 address unless told otherwise."""
    folder.mkdir()
    addresses = " ".join(f"listen {address};" for address in listen)
    (folder / "nginx.conf").write_text(_NGINX.format(folder=folder, site=site, listen=addresses))
    network.start(vm, "nginx", "-p", str(folder), "-c", str(folder / "nginx.conf"))


def start_dnsmasq(network: Namespaces, vm: str, folder: Path, address: str, hosts: dict[str, str], *options: str) -> None:
    """Answers for the names of `hosts` alone."""
    folder.mkdir()
    names = folder / "hosts"
    names.write_text("".join(f"{of} {host}\n" for host, of in hosts.items()))
    network.start(vm, "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts",
                  f"--addn-hosts={names}", "--user=nobody", "--group=nogroup", f"--listen-address={address}",
                  "--bind-interfaces", "--local-ttl=15", "--pid-file=", *options)  # fmt: skip


def start_sshd(network: Namespaces, vm: str, folder: Path, address: str, extra: str = "") -> None:
    """Lets in whoever holds `client_key` of the folder, as root."""
    folder.mkdir()
    for name in ("host_key", "client_key"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(folder / name)], check=True)
    shutil.copy(folder / "client_key.pub", folder / "authorized_keys")
    (folder / "sshd_config").write_text(_SSHD.format(address=address, folder=folder) + extra)
    Path("/run/sshd").mkdir(exist_ok=True)  # sshd insists on it; Debian makes it at boot
    network.start(vm, "/usr/sbin/sshd", "-D", "-e", "-f", str(folder / "sshd_config"))


def start_redis(network: Namespaces, vm: str, folder: Path, address: str) -> None:
    """Keeps its keys in memory alone."""
    folder.mkdir()
    network.start(vm, "redis-server", "--bind", address, "--protected-mode", "no", "--save", "", "--dir", str(folder))
