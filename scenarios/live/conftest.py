# SPDX-License-Identifier: BSD-3-Clause
"""What is between the ports, and the one world that the tests of a kind share."""

from __future__ import annotations

import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from datasets.record.namespaces import what_is_missing
from scenarios.live.runner import LIBPCAP, Runner
from scenarios.live.world import HOSTS, SWITCH, World

PROGRAMS = {  # program -> Debian package
    "tcpdump": "tcpdump", "nginx": "nginx-light", "curl": "curl", "dnsmasq": "dnsmasq-base", "dig": "bind9-dnsutils",
    "sshd": "openssh-server", "ssh": "openssh-client", "redis-server": "redis-server", "redis-cli": "redis-tools",
    "iperf3": "iperf3", "ping": "iputils-ping",
}  # fmt: skip


def _missing() -> str | None:
    if sentence := what_is_missing():
        return sentence
    path = "/usr/sbin:/usr/bin:/sbin:/bin"
    packages = sorted({package for program, package in PROGRAMS.items() if not shutil.which(program, path=path)})
    return f"programs are missing; apt-get install {' '.join(packages)}" if packages else None


def pytest_configure() -> None:
    # As Ctrl-C does: the fixtures are taken down, and with them namespaces and programs.
    signal.signal(signal.SIGTERM, signal.default_int_handler)


class Bridge:
    """The control: the kernel's own bridge in the runner's place. What fails here is the fault of the world."""

    def __init__(self, world: World) -> None:
        self._world = world

    def start(self) -> None:
        self._world.ip(SWITCH, "link", "add", "bridge", "type", "bridge")
        self._world.silence(SWITCH, "bridge")
        for host in HOSTS:
            self._world.ip(SWITCH, "link", "set", host.port_name, "master", "bridge")

    def kill(self) -> None:
        self._world.ip(SWITCH, "link", "delete", "bridge")

    stop = kill


BETWEEN = {"bridge": Bridge, "runner": Runner, "runner_on_libpcap": lambda world: Runner(world, LIBPCAP)}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One world after the other: each is made once."""

    def place(item: pytest.Item) -> int:
        between = getattr(item, "callspec", None) and item.callspec.params.get("world")
        return list(BETWEEN).index(between) if between else len(BETWEEN)

    items.sort(key=place)


@pytest.fixture(name="folder", scope="session")
def _folder() -> Iterator[Path]:
    if missing := _missing():
        pytest.skip(missing)
    with tempfile.TemporaryDirectory(prefix="foreflow-live-") as name:
        Path(name).chmod(0o755)  # nginx and dnsmasq run as other users
        yield Path(name)


@pytest.fixture(name="world", scope="session", params=["bridge", "runner"])
def _world(request: pytest.FixtureRequest, folder: Path) -> Iterator[World]:
    own = folder / request.param
    own.mkdir()
    with World(own) as world:
        world.between = BETWEEN[request.param](world)
        world.between.start()
        yield world
        world.between.stop()
