# SPDX-License-Identifier: BSD-3-Clause
"""The runner's rules are changed over the secure channel while real programs talk through it; who may not, achieves nothing.

The controller is in a namespace of its own, `manager`, on a link to the switch that the runner does not carry.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import random
import signal
import socket
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("foreflow_core")

from datasets.record.namespaces import stop  # noqa: E402
from foreflow.config import load_rules  # noqa: E402
from foreflow.errors import Failed  # noqa: E402
from foreflow.live import control  # noqa: E402
from scenarios.live.connections_test import ping  # noqa: E402
from scenarios.live.runner import Runner  # noqa: E402
from scenarios.live.world import DATA, DESK, SWITCH, WEB, Capture, World, echoes, sha256  # noqa: E402

pytestmark = pytest.mark.parametrize("world", ["runner"], indirect=True)
MANAGER, DEVICE_V4, MANAGER_V4, PORT = "manager", "10.78.0.1", "10.78.0.2", 7700
ADDRESS = f"{DEVICE_V4}:{PORT}"
NO_ECHO = {"id": 5000, "priority": 20_000, "vm": DESK.vm, "l3": "ipv4", "protocol": "icmp", "destination": f"{DATA.v4}/32", "action": {"verb": "drop"}}
REFUSALS = ("truncated", "unknown_type", "unknown_session", "forged", "replayed", "stale", "not_for_us", "unknown_peer", "handshake_replayed", "handshake_forged", "suite_refused")


@contextlib.contextmanager
def inside(world: World, name: str) -> Iterator[None]:
    """This thread's new sockets belong to a namespace."""
    libc = ctypes.CDLL(None, use_errno=True)
    with open("/proc/self/ns/net", "rb") as here, open(f"/run/netns/{world.tag}-{name}", "rb") as there:
        if libc.setns(there.fileno(), 0) != 0:
            raise OSError(ctypes.get_errno(), "setns")
        try:
            yield
        finally:
            libc.setns(here.fileno(), 0)


@dataclass
class Site:
    """A controlled runner, and what its peers hold."""

    world: World
    runner: Runner
    folder: Path
    options: list[str]
    device: bytes

    def client(self, name: str = "operator", transport: str = "udp") -> control.Client:
        with inside(self.world, MANAGER):
            return control.Client(ADDRESS, control.load_secret(self.folder / name), self.device, transport=transport, retransmit=0.05)

    def rules(self) -> list[dict[str, Any]]:
        return load_rules(str(self.runner.rules.path), self.folder)["rules"]


@pytest.fixture(name="site", scope="module")
def _site(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("control")
    world.add(MANAGER)
    world.join(SWITCH, "control0", MANAGER, "02:00:00:00:78:02")
    for place, interface, address in ((SWITCH, "control0", DEVICE_V4), (MANAGER, "eth0", MANAGER_V4)):
        world.ip(place, "address", "add", f"{address}/24", "dev", interface)
        world.ip(place, "link", "set", interface, "up")
    device = control.generate(folder / "device")
    operator = control.generate(folder / "operator")
    control.generate(folder / "stranger")
    document = {"listen": {"udp": ADDRESS, "tcp": ADDRESS}, "key_file": "device", "peers": [{"public_key": operator.hex(), "may": ["rules", "statistics"]}]}
    (folder / "control.yaml").write_text(json.dumps(document))
    options = ["--control", str(folder / "control.yaml")]
    world.between.stop()
    world.between.start(*options)
    yield Site(world, world.between, folder, options, device)
    world.between.stop()
    world.between.start()


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_rules_change_while_programs_talk(site: Site, transport: str, tmp_path: Path) -> None:
    """iperf3 and curl go on through a hundred generations, and echoes are lost while a rule denies them and at no other time."""
    world = site.world
    with site.client(transport=transport) as client:
        client.connect()
        client.set_rules(site.rules())
        first = client.wait_in_force()
        served = world.iperf3_server(WEB, 5330)
        with Capture(world, DESK, "icmp") as seen:
            talk = world.start(DESK.name, "iperf3", "-c", WEB.v4, "-p", "5330", "-b", "20M", "-t", "30")
            fetch = world.start(DESK.name, "curl", "-sf", "--limit-rate", "10M", "-o", str(tmp_path / "large"), f"http://{WEB.v4}/large")
            pings = world.start(DESK.name, "ping", "-q", "-i", "0.02", DATA.v4)
            for i in range(49):
                client.put_rule({"id": 6000 + i, "priority": 1, "protocol": "tcp", "destination_port": [i, i + 100], "action": {"verb": "drop"}})
                client.wait_in_force()
            asks = time.time()
            client.put_rule(NO_ECHO)
            client.wait_in_force()
            denied = time.time()
            client.serve(1.0)
            permits = time.time()
            client.erase_rule(NO_ECHO["id"])
            client.wait_in_force()
            permitted = time.time()
            for i in range(49):
                client.erase_rule(6000 + i)
                client.wait_in_force()
            assert client.generation == first + 100
            assert talk.poll() is None and pings.poll() is None
            assert fetch.wait(timeout=60) == 0
            stop(pings, signal.SIGINT)
            stop(talk)
            assert "1 received" in ping(world, DESK, DATA.v4, 56, 1)  # so all before it have had time to be answered
        stop(served)
    assert sha256(tmp_path / "large") == sha256(world.site / "large")
    asked, answered = echoes(seen.frames)
    lost = [at for number, at in asked.items() if number not in answered]
    assert len([at for at in asked.values() if denied < at < permits]) > 20
    assert [at for number, at in asked.items() if denied < at < permits and number in answered] == []
    slack = 0.05  # an echo on its way, or one that the kernel of a busy machine carried late
    assert [at for at in lost if at < asks - slack or at > permitted + slack] == []


def _payloads(path: Path) -> list[bytes]:
    """Of the UDP datagrams over IPv4 in a capture of Ethernet."""
    data = path.read_bytes()
    found, at = [], 24
    while at + 16 <= len(data):
        (captured,) = struct.unpack_from("=I", data, at + 8)
        frame = data[at + 16 : at + 16 + captured]
        found.append(frame[14 + 4 * (frame[14] & 15) + 8 :])
        at += 16 + captured
    return found


def test_those_who_may_not_achieve_nothing_but_counts(site: Site, tmp_path: Path) -> None:
    world, chance = site.world, random.Random(7)
    recording = tmp_path / "exchange.pcap"
    record = world.start(MANAGER, "tcpdump", "-i", "eth0", "-n", "-U", "--immediate-mode", "-Z", "root", "-w", str(recording), f"udp and dst port {PORT}", log="record")
    time.sleep(1)
    with site.client() as busy:  # the whole life of a channel is on the recording
        busy.connect()
        busy.set_rules([*site.rules(), NO_ECHO])
        busy.wait_in_force()
        busy.erase_rule(NO_ECHO["id"])
        generation = busy.wait_in_force()
        time.sleep(0.5)
        stop(record, signal.SIGINT)
        exchange = _payloads(recording)
        assert len(exchange) >= 5
        before = busy.statistics()
        with inside(world, MANAGER), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as again:
            for packet in exchange:
                again.sendto(packet, (DEVICE_V4, PORT))
        busy.serve(0.5)
        after = busy.statistics()
        # Its handshake and every record: nothing of it is taken a second time.
        told = {name: after[f"channel_{name}"] - before[f"channel_{name}"] for name in REFUSALS}
        assert sum(told.values()) == len(exchange), told
        assert told["replayed"] > 0 and told["handshake_replayed"] == 1
        assert after["control_batches"] == before["control_batches"]
        assert "3 received" in ping(world, DESK, DATA.v4, 56, 3)

        with site.client("stranger") as stranger, pytest.raises(Failed, match="no device answers"):
            stranger.connect(1.0)
        busy.serve()
        assert busy.statistics()["channel_unknown_peer"] > after["channel_unknown_peer"]

        # Rubbish, and the recording with something of it changed.
        before = busy.statistics()
        sent = 0
        with inside(world, MANAGER), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as fuzzer:
            for _ in range(3000):
                packet = bytearray(chance.choice(exchange) if chance.random() < 0.7 else chance.randbytes(chance.randrange(1, 1400)))
                for _ in range(chance.randrange(1, 4)):
                    packet[chance.randrange(len(packet))] ^= 1 << chance.randrange(8)
                fuzzer.sendto(bytes(packet[: chance.randrange(1, len(packet) + 1)]), (DEVICE_V4, PORT))
                sent += 1
                if sent % 50 == 0:
                    busy.statistics()  # answered behind all of them: the socket of the device holds only so many
        busy.serve(0.5)
        after = busy.statistics()
        assert sum(after[f"channel_{name}"] - before[f"channel_{name}"] for name in REFUSALS) > 0.9 * sent
        assert after["control_batches"] == before["control_batches"]
        assert all(after[name] == before[name] for name in after if name.startswith("control_refused"))
        assert busy.generation == generation


def test_either_side_dies_and_comes_back(site: Site) -> None:
    world, runner = site.world, site.runner
    client = site.client()
    client.connect()
    client.set_rules([*site.rules(), NO_ECHO])
    client.wait_in_force()
    assert "0 received" in ping(world, DESK, DATA.v4, 56, 2, wait=0.5)
    runner.kill()
    runner.start(*site.options)  # with the rules of its configuration
    other = {"id": 5001, "priority": 1, "protocol": "tcp", "destination_port": [9, 9], "action": {"verb": "drop"}}
    client.put_rule(other)
    client.wait_in_force(30)
    assert "0 received" in ping(world, DESK, DATA.v4, 56, 2, wait=0.5)
    # Without a controller the last rules stay; a new one that wants the same sends none.
    generation = client.generation
    client.close()
    time.sleep(0.5)
    assert "0 received" in ping(world, DESK, DATA.v4, 56, 2, wait=0.5)
    with site.client() as new:
        new.connect()
        new.set_rules([*site.rules(), NO_ECHO, other])
        assert new.wait_in_force() == generation
        assert new.counts["parts"] == 0
        new.set_rules(site.rules())
        new.wait_in_force()
    assert "2 received" in ping(world, DESK, DATA.v4, 56, 2)
