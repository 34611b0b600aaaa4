# SPDX-License-Identifier: BSD-3-Clause
"""What is learnt of losses, against references that share no code, and the committed table against its command."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

core = pytest.importorskip("foreflow_core")
metrics = pytest.importorskip("sklearn.metrics")

from foreflow import cli  # noqa: E402
from foreflow.learning import fragment_loss  # noqa: E402
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
    for learnt, judged in (fragment_loss.LOSSES, fragment_loss.TOPOLOGIES):
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
    judged = fragment_loss.judge(table, fragment_loss.base_rate, range(seed + 1, seed + 2), 10_000)
    gain = {group: {name: scores["gain_over_base_rate"]["mean"] for name, scores in models.items()} for group, models in judged.items()}
    assert gain["all networks"]["predictor, trained"] > 0.1
    assert gain["one path, known law"]["HMM filter, true parameters"] > gain["one path, known law"]["predictor, trained"] > 0.2
    start = gain[f"their first {fragment_loss.BEGINNING} missing numbers"]
    assert start["predictor, trained"] > start["predictor, untrained"]
    assert gain["control: one by one"]["predictor, trained"] < 0.01


def test_options_of_other_tasks_are_refused() -> None:
    done = CliRunner().invoke(cli.commands, ["train", "fragment-loss", "--hidden", "32"], standalone_mode=False)
    assert isinstance(done.exception, cli.Refused) and "--hidden is not for fragment-loss" in str(done.exception)
