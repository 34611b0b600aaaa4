# SPDX-License-Identifier: BSD-3-Clause
"""The numbers of one run, from its trace.

Counts are over the packets that rules decided on: a packet whose headers are malformed, cut or of an unknown link
is left out of all shares, in every arm alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from foreflow.errors import Failed
from tools import trace_events


@dataclass(frozen=True)
class Metric:
    unit: str
    higher_is_better: bool
    about: str


METRICS = {
    "hit_ratio": Metric("share", True, "packets the device decided alone"),
    "punts_per_thousand": Metric("packets/1000", False, "packets sent through the host's slow path"),
    "request_response_p99_us": Metric("us", False, "99th percentile of arrival to last bit out, true requests and responses"),
    "request_response_p50_us": Metric("us", False, "median of the same"),
    "p99_us": Metric("us", False, "99th percentile of arrival to last bit out, all packets"),
    "lost_per_thousand": Metric("packets/1000", False, "packets that found a queue full"),
    "device_cycles_per_packet": Metric("cycles/packet", False, "device work"),
    "host_cycles_per_packet": Metric("cycles/packet", False, "host work without prediction"),
    "prediction_cycles_per_packet": Metric("cycles/packet", False, "profiling, predicting, tagging and checking the tag"),
    "type_accuracy": Metric("share", True, "predicted type equals true type"),
    "rule_writes_per_second": Metric("slots/s", False, "slots of the device's rule table that were written or cleared"),
    "predicted_first_uses_per_thousand": Metric("packets/1000", True, "packets that met an entry a prediction installed"),
    "completion_p50_ms": Metric("ms", False, "median of leaving one host to whole in the other's memory, what never comes counts as given up; of requests: of asking to the last byte of the answer"),
    "completion_p99_ms": Metric("ms", False, "99th percentile of the same"),
    "hurt_mean_ms": Metric("ms", False, "mean of the same, of packets some of which was lost on the way"),
    "delivered_percent": Metric("%", True, "packets that came whole"),
    "extra_wire_percent": Metric("%", False, "bytes on the wire, both ways, beyond those of the packets themselves"),
    "spurious_percent": Metric("%", False, "of the numbers asked for, those that had not been lost"),
    "requests_per_thousand": Metric("numbers/1000 packets", False, "numbers asked for, with those asked for again"),
    "offered_share": Metric("share", False, "bytes on the wire in the direction that has more to carry, of what the link can carry"),
    "in_units_p99_us": Metric("us", False, "99th percentile of how long a packet is in the engines and buses of both units, waiting or served"),
    "goodput_share": Metric("share", True, "bytes of packets that came whole in that direction, with their framing, of what the link can carry"),
}  # of all systems (judge.systems)

UNDECIDED = ("malformed", "truncated", "unknown_link")
FULL = ("queue_full", "station_full")


@cache
def _code(table: str, column: str, name: str) -> int:
    columns = {c.name: c for c in trace_events.load().tables[table].columns}
    return columns[column].names.index(name)


def _share(mask: np.ndarray, of: int) -> float | None:
    return float(np.count_nonzero(mask)) / of if of else None


def percentile(values: np.ndarray, percent: float) -> float | None:
    """By the nearest rank (the smallest value that `percent` of all do not exceed): an observed value."""
    return float(np.percentile(values, percent, method="inverted_cdf")) if len(values) else None


def _latencies_us(packets: np.ndarray) -> np.ndarray:
    asked = np.isin(packets["truth"], [_code("packets", "truth", name) for name in ("request", "response")])
    rows = packets[asked & (packets["departure_ns"] >= 0)]
    return (rows["departure_ns"] - rows["arrival_ns"]) / 1000.0


def measure(trace: Path) -> dict[str, float | None]:
    """Every metric that the trace alone holds; None where the run has no such packets."""
    try:
        with h5py.File(trace) as file:
            packets, decisions, predictions = (file[name][()] for name in ("packets", "decisions", "predictions"))
    except (OSError, KeyError) as error:
        raise Failed(f"{trace}: not a whole trace: {error}") from None
    undecided = [_code("decisions", "reason", name) for name in UNDECIDED]
    full = [_code("decisions", "reason", name) for name in FULL]
    decided = decisions[~np.isin(decisions["reason"], undecided)]
    n = len(decided)
    dropped = decided["verb"] == _code("decisions", "verb", "drop")
    punted = decided["punted"] != 0
    hit = np.isin(decided["reason"], [_code("decisions", "reason", name) for name in ("cache_hit", "rule_hit")]) | (dropped & ~punted)
    hit |= np.isin(decided["reason"], full) & ~punted

    sent = packets["departure_ns"] >= 0
    of_requests = _latencies_us(packets)
    lost = _lost(packets, decisions, full)
    punts = _share(punted, n)
    used = _share(decided["used_prediction"] != 0, n)
    cycles = {
        name: float(packets[f"{name}_cycles"].mean()) if len(packets) else None
        for name in ("device", "host", "prediction")
    }
    return {
        "hit_ratio": _share(hit, n),
        "punts_per_thousand": None if punts is None else 1000 * punts,
        "request_response_p99_us": percentile(of_requests, 99),
        "request_response_p50_us": percentile(of_requests, 50),
        "p99_us": percentile((packets["departure_ns"][sent] - packets["arrival_ns"][sent]) / 1000.0, 99),
        "lost_per_thousand": 1000 * lost / len(packets) if len(packets) else None,
        "device_cycles_per_packet": cycles["device"],
        "host_cycles_per_packet": cycles["host"],
        "prediction_cycles_per_packet": cycles["prediction"],
        "type_accuracy": _share(predictions["predicted"] == predictions["truth"], len(predictions)),
        "predicted_first_uses_per_thousand": None if used is None else 1000 * used,
    }


def _lost(packets: np.ndarray, decisions: np.ndarray, full: list[int]) -> int:
    """Packets that a full queue dropped: no departure although the decision was to forward, or the reason says so."""
    may_leave = decisions["packet"][
        (decisions["verb"] != _code("decisions", "verb", "drop")) & ~np.isin(decisions["reason"], full)
    ]
    gone = packets["packet"][packets["departure_ns"] < 0]
    return int(np.isin(gone, may_leave).sum() + np.isin(decisions["reason"], full).sum())


def latencies_us(trace: Path) -> np.ndarray:
    """Latencies of the true requests and responses that left, in packet order."""
    with h5py.File(trace) as file:
        return _latencies_us(file["packets"][()])
