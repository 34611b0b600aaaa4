# SPDX-License-Identifier: BSD-3-Clause
"""What the runner counted is what the kernel counted at the other end of each port, to the packet and the byte."""

from __future__ import annotations

import time

import pytest

from scenarios.live.connections_test import ping
from scenarios.live.runner import Runner
from scenarios.live.world import DATA, DESK, HOSTS, OUTSIDE, WEB, World

pytestmark = pytest.mark.parametrize("world", ["runner"], indirect=True)
KEYS = ("in", "in_bytes", "out", "out_bytes")


def settled(world: World) -> tuple[dict[str, dict[str, int]], dict[str, dict[str, int]]]:
    """Counts of each port by the kernel and by the runner, when neither moves any more: what arrives while the runner
    gets no time is in the kernel's count long before it is in its own."""

    def counts() -> tuple[dict[str, dict[str, int]], dict[str, dict[str, int]]]:
        ports = world.between.ask("/foreflow/ports")
        return world.kernel_counts(), {host.port_name: port for host, port in zip(HOSTS, ports.values(), strict=True)}

    last = counts()
    for _ in range(100):
        time.sleep(0.2)
        now = counts()
        if now == last:
            return now
        last = now
    raise AssertionError("the network does not fall silent")


def test_counts_are_those_of_the_kernel(world: World) -> None:
    kernel_before, runner_before = settled(world)
    for host in (WEB, OUTSIDE):
        world.run(DESK.name, "curl", "-sf", "-o", "/dev/null", f"http://{host.v4}/large")
    ping(world, DESK, WEB.v4, 1400, 50)
    ping(world, DATA, OUTSIDE.v6, 56)
    world.iperf3(DATA, WEB, 5321, "-u", "-b", "20M", "-n", "2M")
    kernel_after, runner_after = settled(world)
    for host in HOSTS:
        name = host.port_name
        kernel = {key: kernel_after[name][key] - kernel_before[name][key] for key in KEYS}
        runner = {key: runner_after[name][key] - runner_before[name][key] for key in (*KEYS, "missed")}
        assert runner == {**kernel, "missed": 0}, f"{name}, the port of {host.name}"
    assert kernel_after["port1"]["out_bytes"] - kernel_before["port1"]["out_bytes"] > 100_000_000


def test_what_finds_the_ring_full_is_counted_as_missed(world: World) -> None:
    """A stopped process takes nothing: its ring fills, and the frames beyond it are nowhere but in the kernel's count."""
    kernel_before, runner_before = settled(world)
    with world.between.paused():
        world.attempt(DESK.name, "ping", "-q", "-l", "6000", "-c", "6000", "-W", "1", WEB.v4)
    kernel_after, runner_after = settled(world)
    port = DESK.port_name
    kernel, runner = (
        {key: after[port][key] - before[port][key] for key in keys}
        for before, after, keys in ((kernel_before, kernel_after, ("in",)), (runner_before, runner_after, ("in", "missed")))
    )
    assert runner["missed"] > 0
    assert runner["in"] + runner["missed"] == kernel["in"]


def test_a_frame_goes_to_its_receiver_alone(world: World) -> None:
    ping(world, DESK, WEB.v4, 56)  # both are known by now
    before, _ = settled(world)
    ping(world, DESK, WEB.v4, 56, 50)
    after, _ = settled(world)
    assert after["port0"]["out"] - before["port0"]["out"] >= 50
    assert after["port2"]["out"] - before["port2"]["out"] < 50 > after["port3"]["out"] - before["port3"]["out"]
