# SPDX-License-Identifier: BSD-3-Clause
"""What is learnt of losses, against references that share no code, and the committed table against its command."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

core = pytest.importorskip("foreflow_core")
metrics = pytest.importorskip("sklearn.metrics")

from foreflow import cli  # noqa: E402
from foreflow.errors import Refused  # noqa: E402
from foreflow.learning import fragment_loss, loss_recordings  # noqa: E402
from foreflow.places import TRAINED  # noqa: E402

LATE = {"delay": 1_000_000, "late": 0.02, "late_least": 300_000, "late_most": 900_000}


def trace(seed: int = 3, packets: int = 4000, **loss: Any) -> Any:
    return core.LossTrace([{**LATE, **loss}], seed, packets, 4, 390, gap=300_000, round_trip=2_000_000)


def test_rows_are_the_numbers_that_were_overtaken_or_lost() -> None:
    rows = trace(loss=0.03).rows()
    lost, late = rows[rows["is_lost"] == 1], rows[rows["is_lost"] == 0]
    assert len(np.unique(rows["number"])) == len(rows)
    # 16000 numbers: three standard deviations around what is lost, and around what is late and came.
    assert abs(len(lost) - 480) < 3 * math.sqrt(480) and abs(len(late) - 0.97 * 320) < 3 * math.sqrt(320)
    assert (lost["late_ns"] == -1).all() and (late["late_ns"] > 0).all() and (late["late_ns"] <= 900_000).all()
    assert (late["settled_ns"] == late["found_ns"] + late["late_ns"]).all()
    assert (np.diff(rows["found_ns"]) >= 0).all()
    # Runs: found at one time, side by side.
    breaks = np.flatnonzero((np.diff(rows["found_ns"]) > 0) | (np.diff(rows["number"].astype(np.int64)) != 1)) + 1
    for run in np.split(rows, breaks):
        assert (run["run"] == len(run)).all()


def test_the_filter_knows_nothing_where_losses_come_one_by_one() -> None:
    posterior = trace(loss=0.03).rows()["posterior"]
    assert posterior.std() < 1e-12
    assert abs(posterior.mean() - 0.03 / (0.03 + 0.97 * 0.02)) < 0.02


def test_a_trace_that_was_recorded_gives_the_rows_of_the_trace() -> None:
    """Three paths, a queue and others' bursts: what came, and nothing else, is handed on."""
    law = [{"delay": delay, "rate": 200_000_000, "queue_bytes": 60_000, "loss": 0.01, "to_bad": 0.004, "to_good": 0.2} for delay in (1_000_000, 1_400_000, 2_000_000)]
    simulated = core.LossTrace(law, 5, 3000, 4, 390, gap=300_000, round_trip=4_000_000, cross_gap=4_000_000, cross_burst=40.0)
    rows, again = simulated.rows(), core.LossTrace([], simulated.arrivals(), 4_000_000).rows()
    first = [numbers.min() for _, numbers in simulated.arrivals()]  # those before are not known to have been sent
    known = rows[rows["number"] >= np.array(first)[rows["path"]]]
    assert len(known) >= 300 and set(rows["path"]) == {0, 1, 2}
    for name in ("found_ns", "late_ns", "path", "run", "is_lost"):
        assert (known[name] == again[name]).all(), name
    one = trace(loss=0.03)
    if min(one.arrivals()[0][1]) == 0:
        assert core.LossTrace([{**LATE, "loss": 0.03}], one.arrivals(), 2_000_000).rows().tobytes() == one.rows().tobytes()


def test_a_number_is_missing_once_a_later_one_of_its_path_came() -> None:
    """Against a scan of all arrivals of each path."""
    law = [{"delay": delay, "loss": 0.02, "jitter": 300_000} for delay in (1_000_000, 1_700_000)]
    made = core.LossTrace(law, 8, 400, 3, 300, gap=200_000, round_trip=4_000_000)
    wanted = []
    for path, (times, numbers) in enumerate(made.arrivals()):
        came = dict(zip(numbers.tolist(), times.tolist()))
        for number in range(numbers.max()):
            found = min(time for later, time in came.items() if later > number)
            if came.get(number, math.inf) > found:
                wanted.append((found, path, number, number not in came))
    rows = made.rows()
    assert sorted(zip(rows["found_ns"].tolist(), rows["path"].tolist(), rows["number"].tolist(), (rows["is_lost"] == 1).tolist())) == sorted(wanted)
    assert (np.diff(rows["found_ns"]) >= 0).all() and rows["is_lost"].any() and not rows["is_lost"].all()


def test_what_cannot_have_been_recorded_is_refused() -> None:
    for times, numbers in (([1, 2], [5]), ([], []), ([2, 1], [5, 6]), ([1, 2], [5, 5]), ([1, 2], [0, 2**40])):
        with pytest.raises(core.Refusal):
            core.LossTrace([], [(np.array(times, np.int64), np.array(numbers, np.uint64))], 1000)


def test_a_file_gives_the_recordings_that_were_written(tmp_path: Path) -> None:
    wanted = [
        loss_recordings.Recording("one by one", "live, somewhere", [{"delay": 5}], 4_000_000, *trace(packets=200, loss=0.03).arrivals()[0]),
        loss_recordings.Recording("bursts", "live, elsewhere", [], 1, *trace(packets=50).arrivals()[0]),
    ]
    path = tmp_path / "some.h5"
    loss_recordings.write(path, wanted)
    for found, one in zip(loss_recordings.read(path), wanted):
        assert (found.process, found.topology, found.paths, found.round_trip_ns) == (one.process, one.topology, one.paths, one.round_trip_ns)
        for one_way, back in ((one.arrival_ns, found.arrival_ns), (one.number, found.number)):
            assert (one_way == back).all() and one_way.dtype == back.dtype
    other = tmp_path / "other.h5"
    loss_recordings.write(other, wanted)
    assert other.read_bytes() == path.read_bytes()
    for text in (b"no HDF5", path.read_bytes()[:3000]):
        other.write_bytes(text)
        with pytest.raises(Refused, match="is no file of loss recordings"):
            loss_recordings.read(other)
    with pytest.raises(Refused, match="nowhere.h5"):
        fragment_loss.rows_of(1, (str(tmp_path / "nowhere.h5"),))


def test_the_recording_is_of_the_networks_that_are_named() -> None:
    found = loss_recordings.read(fragment_loss.RECORDING_FILE)
    named = {
        (process, topology): fragment_loss.network_of(loss, paths)[0]
        for held_out in (False, True)
        for process, loss in fragment_loss.LOSSES[held_out].items()
        for topology, paths in fragment_loss.LIVE_TOPOLOGIES[held_out].items()
    }
    assert {(each.process, each.topology): each.paths for each in found} == named and len(found) == len(named)
    for each in found:
        least = 2 * min(path["delay"] for path in each.paths)
        assert least < each.round_trip_ns < least + 30_000_000, each.topology
        assert len(each.number) > 5000
    sources = [{(process, topology) for process, topology, _ in fragment_loss.recorded(held_out)} for held_out in (False, True)]
    assert not sources[0] & sources[1] and sources[0] | sources[1] == set(named)


def counted(rows: np.ndarray, upto: int) -> tuple[int, int]:
    known = rows[rows["settled_ns"] <= rows["found_ns"][upto]]
    return int(known["is_lost"].sum()), len(known)


def test_online_references_know_what_is_settled_and_no_more() -> None:
    rows = trace(packets=1500, loss=0.03).rows()
    base, smoothed, after_two = fragment_loss.base_rate(rows), fragment_loss.ewma(rows), fragment_loss.markov(rows)
    for upto in range(0, len(rows), 17):
        lost, known = counted(rows, upto)
        assert base[upto] == pytest.approx((lost + 1) / (known + 2))
        settled = sorted((row["settled_ns"], i) for i, row in enumerate(rows) if row["settled_ns"] <= rows["found_ns"][upto])
        fates = [int(rows["is_lost"][i]) for _, i in settled]
        share = 0.5
        for fate in fates:
            share += (fate - share) / 16
        assert smoothed[upto] == pytest.approx(min(max(share, 0.01), 0.99))
        seen = [fates[i] for i in range(2, len(fates)) if fates[i - 2 : i] == fates[-2:]]
        assert after_two[upto] == pytest.approx((sum(seen) + 1) / (len(seen) + 2) if known >= 2 else 0.5)


def test_scores_are_scikit_learns() -> None:
    rows = trace(loss=0.03).rows()
    share = fragment_loss.base_rate(rows)
    assert fragment_loss.log_loss(rows, share) == pytest.approx(metrics.log_loss(rows["is_lost"], share) / math.log(2))
    assert fragment_loss.calibration_error(np.array([0.0, 1.0] * 150), np.full(300, 0.5)) == pytest.approx(0, abs=0.04)
    assert fragment_loss.calibration_error(np.ones(300), np.full(300, 0.2)) == pytest.approx(0.8)


def test_a_table_has_the_shares_of_its_rows() -> None:
    rows = np.zeros(fragment_loss.CONTEXTS * 100, core.LOSS_ROW)
    rows["context"] = np.arange(len(rows)) % fragment_loss.CONTEXTS
    rows["is_lost"] = rows["context"] >= 128
    table, _ = fragment_loss.learn_from([rows] * 50)
    assert (table[:128] < 1500).all() and (table[128:] > 64000).all()
    only, _ = fragment_loss.learn_from([rows[rows["context"] == 7]])
    assert only[7] < 400 and 1 <= only.min()


def test_the_split_is_by_process_and_topology() -> None:
    for learnt, judged in (fragment_loss.LOSSES, fragment_loss.TOPOLOGIES, fragment_loss.LIVE_TOPOLOGIES):
        assert not set(learnt) & set(judged)
        assert not {json.dumps(each) for each in learnt.values()} & {json.dumps(each) for each in judged.values()}


def test_the_committed_table_is_what_its_command_gives() -> None:
    """Learnt again; judged on one seed: bursts are known, and one by one there is nothing to know."""
    committed = core.parse_loss_table((TRAINED / "fragment-loss.table").read_bytes(), "fragment-loss.table")
    words = committed["command"].split()
    assert f"{committed['command']} --out models/trained/fragment-loss.table" in (TRAINED / "README.md").read_text()
    seed = int(words[words.index("--seed") + 1])
    table, digest = fragment_loss.learn_from(fragment_loss.rows_of(seed))
    assert digest == committed["data_sha256"]
    # The last digit may be another processor's.
    assert np.abs(table.astype(int) - np.array(committed["share"])).max() <= 1

    def gains(networks: Any) -> dict[str, dict[str, float]]:
        judged = fragment_loss.judge(table, fragment_loss.base_rate, networks)
        return {group: {name: scores["gain_over_base_rate"]["mean"] for name, scores in models.items()} for group, models in judged.items()}

    gain = gains(fragment_loss.simulated_networks(range(seed + 1, seed + 2), 10_000))
    assert gain["all networks"]["predictor, trained"] > 0.1
    assert gain["one path, known law"]["HMM filter, true parameters"] > gain["one path, known law"]["predictor, trained"] > 0.2
    start = gain[f"their first {fragment_loss.BEGINNING} missing numbers"]
    assert start["predictor, trained"] > start["predictor, untrained"]
    assert gain["control: one by one"]["predictor, trained"] < 0.01
    live = gains(fragment_loss.recorded_networks())
    assert live["all networks"]["predictor, trained"] > 0.1
    start = live[f"their first {fragment_loss.BEGINNING} missing numbers"]
    assert start["predictor, trained"] > start["predictor, untrained"]
    assert live["control: one by one"]["predictor, trained"] < 0.02


def test_options_of_other_tasks_are_refused() -> None:
    done = CliRunner().invoke(cli.commands, ["train", "fragment-loss", "--hidden", "32"], standalone_mode=False)
    assert isinstance(done.exception, cli.Refused) and "--hidden is not for fragment-loss" in str(done.exception)
