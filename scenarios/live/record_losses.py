# SPDX-License-Identifier: BSD-3-Clause
"""Records what live packet dynamics units receive over networks of known law, for `./foreflow train fragment-loss`.

    PYTHONPATH=build/sim/bindings/python:analysis:. /usr/bin/python3 -P -m scenarios.live.record_losses FILE [--seconds 2] [--seed 1]

As root. Every network of foreflow.learning.fragment_loss that is live: a loss process on a topology. Between the hosts go iperf3's
TCP and UDP, 12 Mbit/s each in some flows, four fragments a packet. What the right unit opened is recorded. All programs share the machine's
cores, and what that does to times is in it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from datasets.record.namespaces import stop
from foreflow.learning.fragment_loss import FRAGMENTS, LIVE_TOPOLOGIES, LOSSES, network_of
from foreflow.learning.loss_recordings import Recording, write
from scenarios.live.runner import ROOT
from scenarios.live.units import OUTSIDE, Units, unit_place

MBITS, FLOWS = 12, 3
IMPAIRMENT_KEYS = {  # of foreflow_core.LossTrace -> of bindings/dpdk's impair, and its unit
    "delay": ("delay_us", 1e-3), "jitter": ("jitter_us", 1e-3), "late": ("late", 1), "late_least": ("late_least_us", 1e-3), "late_most": ("late_most_us", 1e-3),
    "loss": ("loss", 1), "bit_errors": ("bit_errors", 1), "rate": ("rate_mbps", 1e-6), "queue_bytes": ("queue_kb", 1e-3),
}  # fmt: skip
BURST_KEYS = {"to_bad": ("to_bad", 1), "to_good": ("to_good", 1), "loss_bad": ("loss_bad", 1), "good": ("good_ms", 1e-6), "bad": ("bad_ms", 1e-6)}


def impairment_of(path: dict[str, Any]) -> dict[str, Any]:
    """A path as `./foreflow impair` takes it."""
    burst = {key: path[name] * unit for name, (key, unit) in BURST_KEYS.items() if name in path}
    plain = {key: path[name] * unit for name, (key, unit) in IMPAIRMENT_KEYS.items() if name in path}
    shape = {"jitter_shape": "exponential" if path["is_exponential"] else "uniform"} if "is_exponential" in path else {}
    assert len(burst) + len(plain) + len(shape) == len(path), path
    return {**plain, **shape, **({"burst": burst} if burst else {})}


@contextlib.contextmanager
def bursts(units: Units, cross: dict[str, Any], seed: int) -> Iterator[None]:
    """A context in which others' datagrams share the network, where there are any."""
    if not cross:
        yield
        return
    words = [sys.executable, "-P", "-m", "scenarios.live.bursts", OUTSIDE, str(cross["cross_gap"] / 1e3), str(cross["cross_burst"]), str(seed)]
    others = units.start(unit_place("a"), *words, env={"PYTHONPATH": str(ROOT)})
    try:
        yield
        if others.poll() is not None:
            raise RuntimeError(f"bursts ended with exit code {others.returncode}, see {units.logs}")
    finally:
        stop(others)


def messages_of(trace: Path) -> np.ndarray:
    """The table messages of a unit's trace, of the session of which it has most."""
    with h5py.File(trace) as file:
        rows: np.ndarray = file["messages"][()]
    sessions, counts = np.unique(rows["session"], return_counts=True)
    return rows[rows["session"] == sessions[counts.argmax()]]


def record(units: Units, process: dict[str, Any], paths: list[dict[str, Any]], seconds: int, seed: int) -> tuple[np.ndarray, int, dict[str, Any]]:
    """Messages that came, the round trip in ns, and what the three programs counted. Raises RuntimeError where messages were left out."""
    law, cross = network_of(process, paths)
    units.connect(*map(impairment_of, law), seed=seed, unit={"preference": "robustness", "robust_fragments": FRAGMENTS, "repair": "never"})
    with bursts(units, cross, seed), ThreadPoolExecutor() as hosts:
        options = ("-t", str(seconds), "-P", str(FLOWS), "-b", f"{MBITS / FLOWS:g}M")
        for done in (hosts.submit(units.iperf3, *options), hosts.submit(units.iperf3, *options, "-u", "-l", "1400", port=5202)):
            done.result()
    time.sleep(0.1)
    seen = units.counts("b")
    counted = units.disconnect()
    if counted["b"]["trace_lost"]:
        raise RuntimeError(f"{counted['b']['trace_lost']} messages are not in the trace: the disk did not keep up")
    round_trip = seen["path"]["latency_us"] * 1000
    return messages_of(units.units["b"].out / "trace.h5"), round_trip, counted


def main() -> None:
    parser = argparse.ArgumentParser(description="Records what live units receive.")
    parser.add_argument("file", type=Path)
    parser.add_argument("--seconds", type=int, default=2, help="of traffic over each network")
    parser.add_argument("--seed", type=int, default=1, help="of what the networks do by chance")
    arguments = parser.parse_args()
    recordings = []
    with tempfile.TemporaryDirectory(prefix="foreflow-live-") as folder, Units(Path(folder), is_traced=True) as units:
        for held_out in (False, True):
            for topology, paths in LIVE_TOPOLOGIES[held_out].items():
                for process, loss in LOSSES[held_out].items():
                    seed = arguments.seed * 1000 + len(recordings)
                    rows, round_trip, _ = record(units, loss, paths, arguments.seconds, seed)
                    law, _ = network_of(loss, paths)
                    recordings.append(Recording(process, topology, law, round_trip, rows["arrival_ns"], rows["number"]))
                    print(json.dumps({"process": process, "topology": topology, "messages": len(rows), "round_trip_us": round_trip // 1000}))
    write(arguments.file, recordings)


if __name__ == "__main__":
    main()
