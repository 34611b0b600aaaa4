# SPDX-License-Identifier: BSD-3-Clause
"""Scores against sklearn, closed forms and cases whose answer is known; intervals against what they promise."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import calibration, metrics

from foreflow.learning import recovery, scores

RNG = np.random.default_rng(7)  # seed 7
ROWS, CLASSES = 4000, 5


def _said(rows: int = ROWS, classes: int = CLASSES) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities, and truths drawn from them."""
    said = RNG.dirichlet(np.ones(classes), size=rows)
    return said, (said.cumsum(axis=1) < RNG.random((rows, 1))).sum(axis=1)


def _value(measure: scores.Measure) -> float:
    return float(measure.of(measure.columns.sum(axis=0)))


def test_log_loss_is_sklearns_in_bits() -> None:
    said, truth = _said()
    expected = metrics.log_loss(truth, said, labels=range(CLASSES)) / np.log(2)
    assert _value(scores.log_loss(said, truth)) == pytest.approx(expected, rel=1e-9)


def test_log_loss_of_the_impossible_is_the_floors() -> None:
    assert _value(scores.log_loss(np.array([[1.0, 0.0]]), np.array([1]))) == 16


def test_brier_and_accuracy_are_sklearns() -> None:
    said, truth = _said()
    one = np.eye(CLASSES)[truth]
    per_class = sum(metrics.brier_score_loss(one[:, each], said[:, each]) for each in range(CLASSES))
    assert _value(scores.brier(said, truth)) == pytest.approx(per_class, rel=1e-9)
    assert _value(scores.accuracy(said, truth)) == metrics.accuracy_score(truth, said.argmax(axis=1))


def test_reliability_is_sklearns_where_bins_are_quantiles() -> None:
    said, truth = _said(classes=2)
    sure, right = said.max(axis=1), said.argmax(axis=1) == truth
    accuracy, confidence = calibration.calibration_curve(right, sure, n_bins=10, strategy="quantile")
    blocks = scores.Blocks(np.arange(ROWS), np.zeros(ROWS, dtype=int), 1, 100)
    bins = blocks.reliability(said, truth, 10)
    # sklearn interpolates its edges: a row or two change bins.
    assert [each.confidence for each in bins] == pytest.approx(confidence, abs=2e-3)
    assert [each.accuracy.mean for each in bins] == pytest.approx(accuracy, abs=5e-3)
    assert all(abs(each.rows - ROWS // 10) <= 1 for each in bins)


def test_ece_by_hand_and_of_the_calibrated() -> None:
    said = np.array([[0.9, 0.1]] * 10 + [[0.4, 0.6]] * 10)
    truth = np.array([0] * 7 + [1] * 3 + [1] * 8 + [0] * 2)  # 0.9 sure, 0.7 right; 0.6 sure, 0.8 right
    assert _value(scores.ece(said, truth)) == pytest.approx((0.2 + 0.2) / 2)
    many, drawn = _said(200_000)
    assert _value(scores.ece(many, drawn)) < 0.01
    shy = many * 0.5 + 0.5 / CLASSES
    assert _value(scores.ece(shy, drawn)) > 0.1


def test_accuracy_at_coverage_by_hand() -> None:
    said = np.array([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.6, 0.4]])
    truth = np.array([0, 1, 0, 1])
    assert _value(scores.accuracy_at(0.5, said, truth)) == 0.5
    assert _value(scores.accuracy_at(1.0, said, truth)) == 0.5
    curve = scores.risk_coverage(said, truth)
    assert curve[0][0] == 0.25 and _value(curve[0][1]) == 0
    assert curve[-1][0] == 1 and _value(curve[-1][1]) == 0.5


def test_pinball_is_sklearns() -> None:
    value = RNG.normal(size=ROWS)
    levels = np.array([0.1, 0.5, 0.9])
    quantiles = np.sort(RNG.normal(size=(ROWS, 3)), axis=1)
    expected = np.mean([metrics.mean_pinball_loss(value, quantiles[:, i], alpha=level) for i, level in enumerate(levels)])
    assert _value(scores.pinball(quantiles, levels, value)) == pytest.approx(expected, rel=1e-9)
    inside = np.mean((quantiles[:, 0] <= value) & (value <= quantiles[:, 2]))
    assert _value(scores.interval_coverage(quantiles, value)) == inside


def test_mase_is_a_ratio_of_absolute_errors_on_rows_with_both() -> None:
    value, forecast, naive = np.array([1.0, 2, 3]), np.array([1.5, 2, 9]), np.array([3.0, 3, np.nan])
    assert _value(scores.mase(forecast, value, naive)) == pytest.approx(0.5 / 3)


def test_largest_is_sklearns_precision_and_recall() -> None:
    value, score = RNG.lognormal(size=ROWS), RNG.normal(size=ROWS)
    score[value > np.quantile(value, 0.995)] += 5
    precision, recall = scores.largest(score, value, 0.01)
    large, flagged = value > np.sort(value)[-41], score > np.sort(score)[-41]
    assert _value(precision) == metrics.precision_score(large, flagged)
    assert _value(recall) == metrics.recall_score(large, flagged)
    always = scores.largest(np.zeros(ROWS), value, 0.01)  # all tie: all are flagged
    assert (_value(always[0]), _value(always[1])) == (pytest.approx(0.01), 1)


def test_gap_share() -> None:
    ones = np.ones(100)
    reference, model, ceiling = (scores.ratio(each * ones + RNG.normal(0, 1e-3, 100)) for each in (2.0, 1.25, 1.0))
    blocks = scores.Blocks(np.arange(100), np.zeros(100, dtype=int), 1, 200)
    assert blocks.score(scores.gap_share(reference, model, ceiling)).mean == pytest.approx(0.75, abs=0.01)
    assert blocks.score(scores.gap_share(reference, model, None)).mean == pytest.approx(0.375, abs=0.01)
    assert blocks.score(scores.gap_share(ceiling, model, ceiling)).mean is None


def test_interval_of_independent_rows_is_the_normal_one() -> None:
    values = RNG.normal(size=10_000)
    blocks = scores.Blocks(np.arange(10_000), np.zeros(10_000, dtype=int), 1, 2000)
    found = blocks.score(scores.ratio(values))
    half = 1.96 * values.std() / 100
    assert found.low == pytest.approx(values.mean() - half, abs=0.12 * half)
    assert found.high == pytest.approx(values.mean() + half, abs=0.12 * half)


def test_interval_of_dependent_rows_holds_the_truth_as_often_as_it_says() -> None:
    """40 conversations of 25 rows that share a mean: rows alone would give an interval a fifth as wide."""
    generator = np.random.default_rng(11)
    held = 0
    for trial in range(200):
        means = np.repeat(generator.normal(size=40), 25)
        blocks = scores.Blocks(np.repeat(np.arange(40), 25), np.zeros(1000, dtype=int), trial, 300)
        found = blocks.score(scores.ratio(means + generator.normal(0, 0.1, 1000)))
        held += found.low <= 0 <= found.high
    assert held / 200 >= 0.88  # nominal 0.95; the percentile interval of 40 blocks is a little short


def test_pairs_are_resampled_together() -> None:
    level = RNG.normal(0, 10, 500)
    one, other = scores.ratio(level + 0.1), scores.ratio(level)
    blocks = scores.Blocks(np.arange(500), np.zeros(500, dtype=int), 3, 200)
    found = blocks.score(scores.difference(one, other))
    assert found.low == pytest.approx(0.1) and found.high == pytest.approx(0.1)


def test_blocks_are_conversations_and_where_these_are_few_parts_of_them() -> None:
    sequence = np.array([0] * 1200 + [1, 2, 3] * 10)
    source = np.array([0] * 1200 + [1] * 30)
    blocks = scores.Blocks(sequence, source, 1, 10)
    sizes = np.bincount(blocks.block)
    assert sizes.max() == 1200 // scores.BLOCKS_A_SOURCE
    for each in range(blocks.count):
        inside = blocks.block == each
        assert len(set(sequence[inside])) == 1 and len(set(source[inside])) == 1


def test_a_single_block_has_no_interval() -> None:
    found = scores.Blocks(np.zeros(1, dtype=int), np.zeros(1, dtype=int), 1, 10).score(scores.ratio(np.ones(1)))
    assert found.mean == 1 and found.low is None


def test_detection_is_counted_around_the_change() -> None:
    found = recovery.detect(np.array([10, 120, 180, 190]), 200, 100)
    assert (found.delay, found.before, found.after) == (20, 1, 2)
    assert found.false_per_thousand == 10 and found.f1 == pytest.approx(2 / 5)
    assert recovery.detect(np.array([], dtype=int), 200, 100).f1 == 0
    blind = recovery.detect(recovery.always(20_000), 20_000, 10_000)
    assert blind.delay == 99 and blind.f1 == pytest.approx(2 / 201)


def test_recovery_is_when_a_whole_window_is_good_again() -> None:
    loss = np.r_[np.ones(500), np.full(300, 5.0), np.ones(700)]
    after = recovery.recovered_after(loss, 500, window=200)
    # 1.1 x 1 + 0.1 = 1.2: at most 10 bad rows of 200 in the window.
    assert after == 300 - 10 + 200
    assert recovery.recovered_after(np.r_[np.ones(500), np.full(700, 5.0)], 500) is None
    places, means = recovery.windows(loss, 500, 100)
    assert places[np.argmax(means > 1)] == 50 and means.max() == 5
