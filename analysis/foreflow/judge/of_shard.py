# SPDX-License-Identifier: BSD-3-Clause
"""Runs of system `shard`: packets cut and sent between two packet dynamics units. All arms see the same losses and delays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np

from foreflow.errors import Failed
from foreflow.judge import judgement, metrics, shard_plots
from foreflow.judge.systems import SHARD
from foreflow.runs.runner import Result

CAPTIONS = {
    "pareto": "99th percentile of completion time against the bytes that it takes on the wire, by arm, with 95 % intervals both ways.",
    "completion": "Share of packets that took longer, all seeds together; what never came is at the time at which it is given up.",
}
MOST_SPURIOUS = 2.0  # percent of requests


def completions_ms(trace: Path, give_up_ms: float) -> np.ndarray:
    """From leaving one host to whole at the other, in packet order, or from request to answer; `give_up_ms` for what never came, and at most."""
    try:
        with h5py.File(trace) as file:
            packets = file["packets"][()]
    except (OSError, KeyError) as error:
        raise Failed(f"{trace}: not a whole trace: {error}") from None
    times = (packets["departure_ns"] - packets["arrival_ns"]) / 1e6
    return np.where(packets["departure_ns"] < 0, give_up_ms, np.minimum(times, give_up_ms))


def measure(trace: Path, summary: dict[str, Any]) -> dict[str, float | None]:
    """Every metric of a run, from its trace and its summary."""
    shard, packets = summary["shard"], summary["packets"]["in"]
    times = completions_ms(trace, shard["give_up_ms"])
    hurt = np.array(shard["hurt"], dtype=np.int64)
    busier = shard["busier"]
    capacity, in_units = busier["link_bytes"], shard["in_units_us"]
    return {
        "completion_p50_ms": metrics.percentile(times, 50),
        "completion_p99_ms": metrics.percentile(times, 99),
        "hurt_mean_ms": float(times[hurt].mean()) if len(hurt) else None,
        "delivered_percent": 100 * summary["packets"]["out"] / packets if packets else None,
        "extra_wire_percent": 100 * (shard["wire_bytes"] - shard["plain_bytes"]) / shard["plain_bytes"] if packets else None,
        "spurious_percent": 100 * shard["spurious"] / shard["asked"] if shard["asked"] else None,
        "requests_per_thousand": 1000 * shard["requests"] / packets if packets else None,
        "offered_share": busier["wire_bytes"] / capacity if capacity else None,
        "goodput_share": busier["delivered_bytes"] / capacity if capacity else None,
        "in_units_p99_us": in_units and in_units["p99"],
    }


def draw(document: dict[str, Any], results: list[Result], folder: Path) -> list[Path]:
    """The figures of a result."""
    times = {
        arm: [completions_ms(r.trace, r.summary["shard"]["give_up_ms"]) for r in results if r.ok and r.run.arm == arm] for arm in document["arms"]
    }
    return [*shard_plots.pareto(document, folder), *shard_plots.completion(document, times, folder)]


def sentences(document: dict[str, Any], values: judgement.Values, results: list[Result]) -> list[str]:
    """The finding, one sentence a line."""
    said = []
    for arm in ("learned", "bayes"):
        gap = judgement.gaps(values, SHARD, arm).get("completion_p99_ms")
        if gap is None:
            continue
        if gap.mean is None:
            said.append(f"{arm}: no share of the gap from rack to clairvoyant in the 99th percentile: {gap.why}.")
            continue
        interval = "" if gap.low is None else f" (95 % interval {100 * gap.low:.1f} to {100 * gap.high:.1f} %)"
        spurious = document["arms"][arm]["spurious_percent"]["mean"]
        within = "nothing was asked for" if spurious is None else f"{spurious:.2g} % of what it asked for had not been lost"
        said.append(f"{arm} closes {100 * gap.mean:.1f} %{interval} of the gap from rack to clairvoyant in the 99th percentile; {within}.")
        if spurious is not None and spurious > MOST_SPURIOUS:
            said.append(f"That is more than the {MOST_SPURIOUS:g} % allowed.")
    if chosen := document.get("fixed_wait"):
        waits = ", ".join(f"{wait} us {row['completion_p99_ms']['mean']:.3g}" for wait, row in chosen["waits_us"].items())
        said.append(f"The fixed timer waits {chosen['best']} us, the best of those swept; 99th percentile [ms]: {waits}.")
    wrong = sum(result.summary["shard"]["wrong_bytes"] for result in results if result.ok)
    said.append(f"{wrong} packets came with other bytes than they were sent with.")
    return said
