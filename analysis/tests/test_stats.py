# SPDX-License-Identifier: BSD-3-Clause
"""Intervals against scipy, and the share of the gap where it exists and where it does not."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from foreflow.judge import stats

finite = st.floats(-1e6, 1e6)


@given(st.lists(finite, min_size=2, max_size=30))
def test_interval_is_scipys(values: list[float]) -> None:
    estimate = stats.mean(values)
    spread = scipy_stats.sem(values)
    assert estimate.n == len(values)
    assert estimate.mean == pytest.approx(np.mean(values), abs=1e-6)
    if spread > 0:
        low, high = scipy_stats.t.interval(0.95, len(values) - 1, loc=np.mean(values), scale=spread)
        assert estimate.low == pytest.approx(low, rel=1e-6, abs=1e-6)
        assert estimate.high == pytest.approx(high, rel=1e-6, abs=1e-6)


def test_one_value_has_no_interval_and_none_has_no_mean() -> None:
    assert stats.mean([3.0]) == stats.Estimate(3.0, None, None, 1)
    nothing = stats.mean([None, math.nan])
    assert nothing.mean is None and nothing.n == 0 and nothing.why


@given(
    st.lists(st.tuples(st.floats(100, 200), st.floats(1, 50)), min_size=2, max_size=20),
    st.floats(-0.5, 1.5),
    st.booleans(),
)
def test_exact_share_is_found(rows: list[tuple[float, float]], share: float, flip: bool) -> None:
    """Every seed closes the same share of its own gap: that is the estimate, without spread."""
    gaps = np.array([gap for _, gap in rows])
    assume(gaps.mean() > 1.2 * scipy_stats.t.ppf(0.975, len(rows) - 1) * gaps.std(ddof=1) / math.sqrt(len(rows)))
    sign = -1 if flip else 1
    reactive = [sign * base for base, _ in rows]
    oracle = [sign * (base - gap) for base, gap in rows]
    predictive = [sign * (base - share * gap) for base, gap in rows]
    estimate = stats.gap_closed(reactive, predictive, oracle, higher_is_better=flip)
    assert estimate.mean == pytest.approx(share, abs=1e-6)
    assert estimate.high - estimate.low == pytest.approx(0, abs=1e-5)


def test_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    random = np.random.default_rng(20240501)
    covered = 0
    trials = 1000
    for _ in range(trials):
        gap = random.normal(10, 1.5, 10)
        gain = 0.4 * gap + random.normal(0, 1, 10)
        reactive = random.normal(100, 20, 10)
        estimate = stats.gap_closed(list(reactive), list(reactive - gain), list(reactive - gap), higher_is_better=False)
        covered += estimate.low <= 0.4 <= estimate.high
    # 0.95 within four standard errors, and the small bias of a ratio.
    assert 0.91 <= covered / trials <= 0.98


@pytest.mark.parametrize(
    ("reactive", "oracle", "word"),
    [
        ([0.5, 0.5, 0.5], [0.5, 0.5, 0.5], "not distinguishable"),
        ([0.50, 0.52, 0.48], [0.51, 0.50, 0.49], "not distinguishable"),
        ([0.5, 0.51, 0.52], [0.3, 0.31, 0.32], "worse than reactive"),
        ([math.nan], [0.5], "no seed"),
        ([], [], "no seed"),
        ([0.0, 0.0], [0.0, 0.0], "not distinguishable"),
    ],
)
def test_no_number_without_a_gap(reactive: list[float], oracle: list[float], word: str) -> None:
    estimate = stats.gap_closed(reactive, [0.4] * len(reactive), oracle, higher_is_better=True)
    assert estimate.mean is None and estimate.low is None and word in estimate.why


def test_one_small_gap_does_not_make_the_estimate_wild() -> None:
    estimate = stats.gap_closed([10] * 8, [9] * 8, [8] * 7 + [9.999], higher_is_better=False)
    assert 0.3 < estimate.mean < 1.0


def test_one_seed_gives_a_share_without_interval() -> None:
    assert stats.gap_closed([10], [9], [8], higher_is_better=False) == stats.Estimate(0.5, None, None, 1)


@given(st.lists(st.tuples(finite, finite, finite), max_size=8), st.booleans())
def test_never_a_number_that_is_not_finite(rows: list[tuple[float, float, float]], higher: bool) -> None:
    columns = [list(column) for column in zip(*rows)] or [[], [], []]
    estimate = stats.gap_closed(*columns, higher_is_better=higher)
    for value in (estimate.mean, estimate.low, estimate.high):
        assert value is None or math.isfinite(value)


def test_relative_cost_has_the_sign_of_harm() -> None:
    assert stats.relative_cost([100, 200], [101, 202], higher_is_better=False).mean == pytest.approx(0.01)
    assert stats.relative_cost([0.5, 0.4], [0.55, 0.44], higher_is_better=True).mean == pytest.approx(-0.1)
    assert stats.relative_cost([0.0], [1.0], higher_is_better=False).n == 0
