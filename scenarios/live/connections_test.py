# SPDX-License-Identifier: BSD-3-Clause
"""Every connection of real programs works, from VM to VM and to the world outside."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from scenarios.live.world import (
    BEYOND_V4,
    BEYOND_V6,
    DATA,
    DESK,
    LONG_TEXT,
    NAMES,
    OUTSIDE,
    WEB,
    Capture,
    Host,
    World,
    sha256,
    write_random,
)

PAIRS = [(DESK, WEB), (WEB, DATA), (DATA, OUTSIDE)]


def ping(world: World, source: Host, address: str, size: int, count: int = 5, wait: float = 3, fragment: str = "do") -> str:
    """The line of ping's summary that counts. All requests leave at once, and the answers have `wait` seconds: on a busy
    machine, ping's own patience of two round trips would end before a program that got no time has answered."""
    command = ["ping", "-q", "-M", fragment, "-l", str(count), "-c", str(count), "-i", str(wait), "-W", str(wait), "-s", str(size)]
    done = world.attempt(source.name, *command, address)
    lines = [line for line in done.stdout.splitlines() if "packets transmitted" in line]
    assert lines, done.stderr
    return lines[0]


@pytest.mark.parametrize("size", [0, 56, 1472])
@pytest.mark.parametrize(("source", "to"), PAIRS, ids=lambda host: host.name)
def test_ping_of_any_size_up_to_the_mtu(world: World, source: Host, to: Host, size: int) -> None:
    assert "5 received, 0% packet loss" in ping(world, source, to.v4, size)


@pytest.mark.parametrize("size", [0, 1452])
@pytest.mark.parametrize(("source", "to"), PAIRS, ids=lambda host: host.name)
def test_ping_over_ipv6(world: World, source: Host, to: Host, size: int) -> None:
    assert "5 received, 0% packet loss" in ping(world, source, to.v6, size)


@pytest.mark.parametrize("address", [BEYOND_V4, BEYOND_V6])
def test_ping_beyond_the_gateway(world: World, address: str) -> None:
    assert "5 received, 0% packet loss" in ping(world, DESK, address, 56)


def large_ping(world: World, address: str, wait: float = 3) -> str:
    """Of two requests in six fragments each."""
    return ping(world, DESK, address, 8000, 2, wait, "dont")


def test_fragments_of_ipv6_are_put_together_again(world: World) -> None:
    assert "2 received, 0% packet loss" in large_ping(world, WEB.v6)


@pytest.mark.parametrize("world", ["bridge", "runner_on_libpcap"], indirect=True)
def test_fragments_of_ipv4_are_put_together_again(world: World) -> None:
    """Not over net_af_packet: there the kernel puts them together too early (PACKET_FANOUT_FLAG_DEFRAG)."""
    assert "2 received, 0% packet loss" in large_ping(world, WEB.v4)


@pytest.mark.parametrize("family", ["v4", "v6"])
def test_neighbours_are_found(world: World, family: str) -> None:
    """ARP and neighbour discovery, from an empty cache."""
    address = getattr(WEB, family)
    world.ip(DESK.name, "neigh", "flush", "dev", "eth0")
    assert world.neighbour(DESK, address) is None
    assert "1 received" in ping(world, DESK, address, 56, 1)
    assert world.neighbour(DESK, address) == WEB.mac


@pytest.mark.parametrize("name", ["small", "large"])
@pytest.mark.parametrize("url", [f"http://{WEB.v4}", f"http://[{WEB.v6}]", f"http://{BEYOND_V4}", f"http://[{BEYOND_V6}]"])
def test_curl_fetches_the_very_file(world: World, tmp_path: Path, url: str, name: str) -> None:
    world.run(DESK.name, "curl", "-sfg", "--max-time", "30", "-o", str(tmp_path / "got"), f"{url}/{name}")
    assert sha256(tmp_path / "got") == sha256(world.site / name)


def test_many_connections_at_once(world: World, tmp_path: Path) -> None:
    urls = [f"http://{address}/small?{i}" for address in (WEB.v4, BEYOND_V4) for i in range(40)]
    command = ["curl", "-sf", "--parallel", "--parallel-immediate", "--parallel-max", "80", "--max-time", "30"]
    for i, url in enumerate(urls):
        command += ["-o", str(tmp_path / str(i)), url]
    world.run(DESK.name, *command)
    assert {sha256(path) for path in tmp_path.iterdir()} == {sha256(world.site / "small")}
    assert len(list(tmp_path.iterdir())) == len(urls)


@pytest.mark.parametrize("way", ["+notcp", "+tcp"])
@pytest.mark.parametrize("server", [DATA.v4, BEYOND_V4])
def test_dig_resolves(world: World, server: str, way: str) -> None:
    for name, address in NAMES.items():
        assert world.run(DESK.name, "dig", "+short", "+tries=1", "+time=3", way, f"@{server}", name).split() == [address]


def test_dig_turns_to_tcp_for_a_long_answer(world: World) -> None:
    said = world.run(DESK.name, "dig", "+noedns", "+tries=1", "+time=3", f"@{DATA.v4}", "long.test", "TXT")
    assert ";; Truncated, retrying in TCP mode." in said
    assert "".join(re.findall(r'"([^"]*)"', said)) == LONG_TEXT


@pytest.mark.parametrize("direction", [[], ["-R"]], ids=["up", "down"])
@pytest.mark.parametrize("to", [WEB, OUTSIDE], ids=lambda host: host.name)
def test_iperf3_tcp(world: World, to: Host, direction: list[str]) -> None:
    end = world.iperf3(DESK, to, 5301, "-n", "20M", *direction)
    assert end["sum_sent"]["bytes"] >= 20 << 20
    # It stops when all is sent: what waits in the buffers of both ends by then is not counted as received.
    assert end["sum_received"]["bytes"] >= 1 << 20


@pytest.mark.parametrize("direction", [[], ["-R"]], ids=["up", "down"])
@pytest.mark.parametrize("to", [WEB, OUTSIDE], ids=lambda host: host.name)
def test_iperf3_udp_loses_nothing(world: World, to: Host, direction: list[str]) -> None:
    """At the interfaces of both: a receiver that gets no time may let go what has arrived."""
    sender, receiver = (to, DESK) if direction else (DESK, to)
    stream = f"udp and src host {sender.v4} and port 5302"
    with Capture(world, sender, stream) as sent, Capture(world, receiver, stream) as got:
        world.iperf3(DESK, to, 5302, "-u", "-b", "4M", "-l", "1000", "-n", "500K", *direction)
        assert "1 received" in ping(world, sender, receiver.v4, 56, 1)  # so all before it has arrived
    assert len(sent.frames) >= 500
    assert sorted(frame.data for frame in got.frames) == sorted(frame.data for frame in sent.frames)


def ssh_command(world: World, program: str) -> list[str]:
    options = ["StrictHostKeyChecking=yes", f"UserKnownHostsFile={world.folder}/known_hosts", "BatchMode=yes", "ConnectTimeout=10"]
    key = (world.folder / "ssh" / "host_key.pub").read_text()
    (world.folder / "known_hosts").write_text(f"{WEB.v4} {key}")
    return [program, "-q", "-i", str(world.folder / "ssh" / "client_key"), *(word for option in options for word in ("-o", option))]


def test_ssh_runs_a_command_on_the_host_with_that_key(world: World) -> None:
    said = world.run(DESK.name, *ssh_command(world, "ssh"), f"root@{WEB.v4}", "ip -br address show dev eth0")
    assert WEB.v4 in said


def test_scp_carries_a_file_there_and_back(world: World, tmp_path: Path) -> None:
    write_random(tmp_path / "here", 5_000_000, 3)
    world.run(DESK.name, *ssh_command(world, "scp"), str(tmp_path / "here"), f"root@{WEB.v4}:{tmp_path}/there")
    world.run(DESK.name, *ssh_command(world, "scp"), f"root@{WEB.v4}:{tmp_path}/there", str(tmp_path / "back"))
    assert sha256(tmp_path / "here") == sha256(tmp_path / "there") == sha256(tmp_path / "back")


def test_redis_keeps_a_value(world: World) -> None:
    redis = ["redis-cli", "-h", DATA.v4]
    assert world.run(DESK.name, *redis, "set", "key", "value of the desk").strip() == "OK"
    assert world.run(WEB.name, *redis, "get", "key").strip() == "value of the desk"
    assert "requests per second" in world.run(DESK.name, "redis-benchmark", "-h", DATA.v4, "-n", "2000", "-c", "10", "-t", "get,set", "-q")
