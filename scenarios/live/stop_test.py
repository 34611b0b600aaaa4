# SPDX-License-Identifier: BSD-3-Clause
"""A signal ends the runner cleanly: every packet is accounted for, and the trace holds a row for each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from datasets.record.namespaces import stop
from scenarios.live.connections_test import ping
from scenarios.live.counters_test import settled
from scenarios.live.runner import Runner
from scenarios.live.world import BEYOND_V4, DATA, DESK, HOSTS, WEB, World

VALID = 1  # tag status
TYPES = 7  # of packets, among which one is predicted


@dataclass(frozen=True)
class Traced:
    document: dict[str, Any]  # the runner's final count
    packets: np.ndarray
    decisions: np.ndarray
    predictions: np.ndarray
    kernel: dict[str, dict[str, int]]  # of each port, by the kernel's counts


@pytest.fixture(name="traced", scope="module", params=["runner"])
def _traced(request: pytest.FixtureRequest, folder: Path) -> Iterator[Traced]:
    """One life of the runner: a page every now and then, names, echoes, a file, a long stream; then SIGTERM."""
    own = folder / "traced"
    own.mkdir()
    with World(own) as world:
        world.between = runner = Runner(world)
        runner.start("--trace")
        kernel_before, runner_before = settled(world)
        stream = world.start(DESK.name, "ping", "-q", "-i", "0.02", DATA.v4)
        for _ in range(15):
            world.run(DESK.name, "dig", "+short", "+tries=1", f"@{DATA.v4}", "web.test")
            world.run(DESK.name, "curl", "-sf", "-o", "/dev/null", "-o", "/dev/null", f"http://{WEB.v4}/small", f"http://{BEYOND_V4}/small")
            world.run(DESK.name, "redis-benchmark", "-h", DATA.v4, "-n", "100", "-c", "2", "-t", "get,set", "-q")
        world.run(DESK.name, "curl", "-sf", "-o", "/dev/null", f"http://{WEB.v4}/large")
        stop(stream)
        ping(world, DESK, WEB.v6, 56)
        for host in HOSTS:
            world.ip(host.name, "link", "set", "eth0", "arp", "off", "multicast", "off")  # nobody says a word any more
        kernel_after, _ = settled(world)
        document = runner.stop()
        with h5py.File(runner.out / "trace.h5") as file:
            tables = [file[name][:] for name in ("packets", "decisions", "predictions")]
        # Of the runner's whole life: what it had counted when the kernel's counts were taken, and what these rose by.
        expected = {
            name: {key: runner_before[name][key] + kernel_after[name][key] - count for key, count in counts.items()}
            for name, counts in kernel_before.items()
        }
        yield Traced(document, *tables, expected)


def test_every_packet_has_its_row(traced: Traced) -> None:
    counted = traced.document["packets"]
    assert traced.document["trace_lost"] == 0
    assert counted["in"] == counted["out"] + counted["held"] + sum(counted["dropped"].values())
    assert len(traced.packets) == len(traced.decisions) == counted["in"]


def test_final_counts_are_those_of_the_kernel(traced: Traced) -> None:
    for host, port in zip(HOSTS, traced.document["ports"]):
        for key, value in traced.kernel[host.port_name].items():
            assert port[key] == value, f"{key} of {host.name}"


def test_a_packet_belongs_to_the_vm_of_its_port(traced: Traced) -> None:
    rows = np.bincount(traced.packets["vm"], minlength=len(HOSTS))
    assert {host.name: rows[host.vm] for host in HOSTS} == {host.name: traced.kernel[host.port_name]["in"] for host in HOSTS}
    sizes = np.bincount(traced.packets["vm"], weights=traced.packets["wire_bytes"], minlength=len(HOSTS))
    assert {host.name: sizes[host.vm] for host in HOSTS} == {host.name: traced.kernel[host.port_name]["in_bytes"] for host in HOSTS}


def test_prediction_acts_on_real_traffic(traced: Traced) -> None:
    tagged = np.count_nonzero(traced.decisions["tag_status"] == VALID)
    assert np.count_nonzero(traced.decisions["tag_status"] > VALID) == 0, "no tag that the host itself wrote may fail"
    assert tagged > len(traced.packets) // 20
    assert len(traced.predictions) == tagged
    right = np.count_nonzero(traced.predictions["predicted"] == traced.predictions["truth"])
    assert right > tagged / TYPES, "no better than guessing"
