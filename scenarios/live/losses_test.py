# SPDX-License-Identifier: BSD-3-Clause
"""What a live unit writes down of what it opened, against what its peer sent and its network lost; and that there is something to learn."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from foreflow.learning import fragment_loss
from foreflow.live.control import core
from scenarios.live.record_losses import record
from scenarios.live.units import Units

PROCESS, TOPOLOGY = "bursts of 3, 1 %", "live, 2 ms, 1 % late by 0.2 to 0.8 ms"
OPENED = ("delivered", "held", "feedback", "old_feedback", "probe", "duplicate", "already_whole", "too_late", "old_packet", "repair_unused")
AGREED = 12  # frames that are no messages and may be among the lost, and messages after the last that came


def test_a_trace_has_all_that_was_sent_less_what_the_network_lost(folder: Path) -> None:
    own = folder / "losses"
    own.mkdir()
    process, paths = fragment_loss.LOSSES[False][PROCESS], fragment_loss.LIVE_TOPOLOGIES[False][TOPOLOGY]
    with Units(own, is_traced=True) as units:
        rows, round_trip, counted = record(units, process, paths, 1, seed=3)
    assert len(np.unique(rows["number"])) == len(rows) > 4000
    assert (np.diff(rows["arrival_ns"]) >= 0).all() and rows["number"].min() < AGREED
    assert {0, 2} <= set(rows["type"]) <= {0, 2, 3}, "data, feedback and probes"
    opened = counted["b"]["from_port_1"]
    assert len(rows) == sum(opened[verdict] for verdict in OPENED)
    fates = counted["network"]["from_port_0"]
    lost = sum(fates.values()) - fates["passed"]
    missing = int(rows["number"].max()) + 1 - len(rows)
    assert lost - AGREED <= missing <= lost, (lost, missing)
    assert round_trip > 4_000_000

    found = core().LossTrace([], [(rows["arrival_ns"], rows["number"])], round_trip).rows()
    assert missing - AGREED <= found["is_lost"].sum() <= missing < len(found), "some are late"
    table, _ = fragment_loss.learn_from([found])
    base = np.full(len(found), found["is_lost"].mean())
    assert fragment_loss.log_loss(found, table[found["context"]] / 65536) <= fragment_loss.log_loss(found, base)
