# SPDX-License-Identifier: BSD-3-Clause
"""Runs of system `tag`: packets through a device that holds part of its flows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from foreflow.judge import judgement, metrics, plots, verdict
from foreflow.runs.runner import Result

CAPTIONS = {
    "fast_path": "Packets that the device decided alone, and packets that went through the host's slow path.",
    "latency": "From arrival to the last bit on the wire, of the packets that truly were requests or responses; left: all seeds together.",
    "models": "Log loss of the trained models of what learns beside them and of both mixed, alarms of drift, and whose word weighed most (seed 1).",
    "work": "Work charged to device and host, and what predicting itself costs.",
}


def measure(trace: Path, summary: dict[str, Any]) -> dict[str, float | None]:
    """Every metric of a run, from its trace and its summary."""
    writes, seconds = summary.get("counters", {}).get("rule_writes"), summary.get("simulated_s")
    values = metrics.measure(trace)
    values["rule_writes_per_second"] = writes / seconds if writes is not None and seconds else None  # of simulated time
    return values


def draw(document: dict[str, Any], results: list[Result], folder: Path) -> list[Path]:
    """The figures of a result."""
    latencies = {arm: [metrics.latencies_us(r.trace) for r in results if r.ok and r.run.arm == arm] for arm in document["arms"]}
    return [
        *plots.fast_path(document, folder),
        *plots.latency(document, latencies, folder),
        *plots.work(document, folder),
        *plots.models(document, results, folder),
    ]


def sentences(document: dict[str, Any], values: judgement.Values, results: list[Result]) -> list[str]:
    """The finding, one sentence a line."""
    said = verdict.sentences(document, values, results)
    if chosen := document.get("residency"):
        punts = ", ".join(f"{policy} {row['punts_per_thousand']['mean']:.1f}" for policy, row in chosen["policies"].items())
        said.append(f"Rules by {chosen['best']}, the best of those in use today; punts of 1000 in the reactive arm: {punts}.")
    return said
