# SPDX-License-Identifier: BSD-3-Clause
"""The numbers of a trace made by hand: eleven packets, each with a reason of its own."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from foreflow.errors import Failed
from foreflow.judge import metrics
from foreflow.judge.systems import TAG
from tools import trace_events

# reason, verb, punted, departure - arrival in ns (None: dropped), true type
ROWS = [
    ("cache_hit", "forward", 0, 1_000, "request"),
    ("cache_hit", "forward", 0, 2_000, "response"),
    ("cache_hit", "forward", 0, None, "bulk"),  # the egress queue was full
    ("cache_miss", "forward", 1, 50_000, "request"),
    ("not_offloaded", "forward", 1, 60_000, "bulk"),
    ("trap_rule", "trap", 1, 70_000, "control"),
    ("deny_rule", "drop", 0, None, "control"),  # from the flow cache
    ("default_drop", "drop", 1, None, "control"),
    ("malformed", "drop", 0, None, "control"),
    ("truncated", "drop", 0, None, "control"),
    ("cache_hit", "forward", 0, 3_000, "stream"),
]


def name_code(table: str, column: str, name: str) -> int:
    return next(c for c in trace_events.load().tables[table].columns if c.name == column).names.index(name)


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    packets = np.zeros(len(ROWS), trace_events.dtype("packets"))
    decisions = np.zeros(len(ROWS), trace_events.dtype("decisions"))
    predictions = np.zeros(len(ROWS), trace_events.dtype("predictions"))
    for i, (reason, verb, punted, latency, truth) in enumerate(ROWS):
        packets[i]["packet"] = decisions[i]["packet"] = predictions[i]["packet"] = i
        packets[i]["arrival_ns"] = 100 * i
        packets[i]["departure_ns"] = -1 if latency is None else 100 * i + latency
        packets[i]["device_cycles"], packets[i]["host_cycles"], packets[i]["prediction_cycles"] = 10 + i, 20, 30
        decisions[i]["reason"] = name_code("decisions", "reason", reason)
        decisions[i]["verb"] = name_code("decisions", "verb", verb)
        decisions[i]["punted"] = punted
        packets[i]["truth"] = predictions[i]["truth"] = name_code("predictions", "truth", truth)
        predictions[i]["predicted"] = name_code("predictions", "truth", "request")
    path = tmp_path / "trace.h5"
    with h5py.File(path, "w") as file:
        file["packets"], file["decisions"], file["predictions"] = packets, decisions, predictions
    return path


def test_hand_made_trace(trace: Path) -> None:
    found = metrics.measure(trace)
    assert found["hit_ratio"] == pytest.approx(5 / 9)  # four cache hits and the denial, of nine decided
    assert found["punts_per_thousand"] == pytest.approx(1000 * 4 / 9)
    assert found["request_response_p50_us"] == 2.0  # of 1, 2, 50
    assert found["request_response_p99_us"] == 50.0
    assert found["p99_us"] == 70.0
    assert found["lost_per_thousand"] == pytest.approx(1000 / 11)
    assert found["device_cycles_per_packet"] == 15.0
    assert found["host_cycles_per_packet"] == 20.0
    assert found["prediction_cycles_per_packet"] == 30.0
    assert found["type_accuracy"] == pytest.approx(2 / 11)
    assert set(found) == set(TAG.metrics) - {"rule_writes_per_second"}


def test_a_loss_may_be_told_by_the_reason_too(trace: Path) -> None:
    with h5py.File(trace, "r+") as file:
        rows = file["decisions"][()]
        rows[2]["reason"] = name_code("decisions", "reason", "queue_full")
        rows[2]["verb"] = name_code("decisions", "verb", "drop")
        file["decisions"][...] = rows
    found = metrics.measure(trace)
    assert found["lost_per_thousand"] == pytest.approx(1000 / 11)
    assert found["hit_ratio"] == pytest.approx(5 / 9)  # its queue was full after the device had decided


def test_without_requests_there_is_no_latency_of_theirs(trace: Path) -> None:
    with h5py.File(trace, "r+") as file:
        rows = file["packets"][()]
        rows["truth"] = name_code("packets", "truth", "bulk")
        file["packets"][...] = rows
    assert metrics.measure(trace)["request_response_p99_us"] is None


def test_empty_trace_has_no_numbers_and_no_crash(tmp_path: Path) -> None:
    path = tmp_path / "trace.h5"
    with h5py.File(path, "w") as file:
        for name in ("packets", "decisions", "predictions"):
            file[name] = np.zeros(0, trace_events.dtype(name))
    assert set(metrics.measure(path).values()) == {None}


def test_a_cut_trace_is_a_failure_with_its_name(tmp_path: Path) -> None:
    path = tmp_path / "trace.h5"
    path.write_bytes(b"\x89HDF\r\n\x1a\n")
    with pytest.raises(Failed, match=str(path)):
        metrics.measure(path)
