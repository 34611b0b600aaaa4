# SPDX-License-Identifier: BSD-3-Clause
"""Changes between two samples, against scipy and closed forms."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from scipy import stats as reference

from foreflow.judge import paired

SEED = random.randrange(1 << 32)


@pytest.fixture
def numbers() -> np.random.Generator:
    print(f"seed {SEED}")
    return np.random.default_rng(SEED)


@pytest.mark.parametrize("n", [2, 3, 5, 10, 40])
def test_pairs_are_tested_as_scipy_does(numbers: np.random.Generator, n: int) -> None:
    a = numbers.normal(10, 3, n)
    b = a + numbers.normal(0.7, 1, n)
    change = paired.pairs(list(a), list(b))
    expected = reference.ttest_rel(b, a)
    assert change.p == pytest.approx(expected.pvalue, rel=1e-9)
    low, high = reference.t.interval(0.95, n - 1, loc=(b - a).mean(), scale=reference.sem(b - a))
    assert (change.difference.low, change.difference.high) == (pytest.approx(low), pytest.approx(high))
    assert change.relative == pytest.approx((b.mean() - a.mean()) / a.mean())
    assert change.difference.n == n and change.paired
    if n > 2:
        exact = math.gamma((n - 1) / 2) / (math.gamma((n - 2) / 2) * math.sqrt((n - 1) / 2))
        assert change.effect == pytest.approx(exact * (b - a).mean() / (b - a).std(ddof=1))
    else:
        assert change.effect is None


@pytest.mark.parametrize("n", [2, 4, 7, 10])
def test_the_permutation_test_goes_through_all_signs(numbers: np.random.Generator, n: int) -> None:
    a, b = numbers.normal(0, 1, n), numbers.normal(0.8, 1, n)
    expected = reference.permutation_test((b, a), lambda x, y: np.mean(x - y), permutation_type="samples", n_resamples=np.inf)
    assert paired.pairs(list(a), list(b)).p_exact == pytest.approx(expected.pvalue, abs=1e-12)


def test_no_sum_of_signs_is_lost_to_rounding() -> None:
    # All of one sign: only the two assignments that are all alike are as far from 0.
    assert paired.pairs([0.0] * 5, [0.1, 0.2, 0.3, 0.4, 0.7]).p_exact == 2 / 32
    assert paired.pairs([0.0] * 17, list(np.linspace(1, 2, 17))).p_exact is None


@pytest.mark.parametrize("sizes", [(2, 2), (5, 9), (30, 4)])
def test_samples_are_tested_as_welch_did(numbers: np.random.Generator, sizes: tuple[int, int]) -> None:
    a, b = numbers.normal(3, 1, sizes[0]), numbers.normal(4, 5, sizes[1])
    change = paired.samples(list(a), list(b))
    expected = reference.ttest_ind(b, a, equal_var=False)
    assert change.p == pytest.approx(expected.pvalue, rel=1e-9)
    parts = a.var(ddof=1) / len(a), b.var(ddof=1) / len(b)
    freedom = sum(parts) ** 2 / (parts[0] ** 2 / (len(a) - 1) + parts[1] ** 2 / (len(b) - 1))
    low, high = reference.t.interval(0.95, freedom, loc=b.mean() - a.mean(), scale=math.sqrt(sum(parts)))
    assert (change.difference.low, change.difference.high) == (pytest.approx(low), pytest.approx(high))
    pooled = math.sqrt(((len(a) - 1) * a.var(ddof=1) + (len(b) - 1) * b.var(ddof=1)) / (len(a) + len(b) - 2))
    df = len(a) + len(b) - 2
    correction = math.gamma(df / 2) / (math.gamma((df - 1) / 2) * math.sqrt(df / 2))
    assert change.effect == pytest.approx(correction * (b.mean() - a.mean()) / pooled)
    assert not change.paired


def test_what_cannot_be_tested_says_why() -> None:
    nan = float("nan")
    same = paired.pairs([1.0, 2.0], [1.0, 2.0])
    assert same.same and same.p is None and same.difference.mean == 0
    alike = paired.pairs([1.0, 2.0, 3.0], [1.5, 2.5, 3.5])
    assert not alike.same and alike.p is None and "differs by the same" in alike.why and alike.p_exact == 2 / 8
    assert paired.pairs([1.0], [2.0]).why == "one pair has no spread"
    assert paired.pairs([None, nan], [1.0, 1.0]).why == "no pair has both values"
    assert paired.pairs([1.0, None, 3.0], [2.0, 2.0, nan]).difference.n == 1
    assert paired.samples([], [1.0]).why == "one side has no value"
    assert paired.samples([1.0], [1.0]).same
    assert paired.samples([1.0], [2.0, 3.0]).p is None
    assert paired.samples([1.0, 1.0], [2.0, 2.0]).why == "neither side has any spread"


def test_holm_steps_down(numbers: np.random.Generator) -> None:
    assert paired.holm([]) == []
    assert paired.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])  # Holm (1979) by hand
    values = list(numbers.uniform(0, 1, 50) ** 3)
    # By the definition: the k-th smallest is rejected at a level where it and all smaller ones stay below level / (m - i).
    adjusted = paired.holm(values)
    ordered = sorted(values)
    for level in (0.01, 0.05, 0.2, 0.7):
        rejected = 0
        while rejected < len(ordered) and ordered[rejected] <= level / (len(ordered) - rejected):
            rejected += 1
        assert sum(each <= level for each in adjusted) == rejected


def test_holm_keeps_the_family_wise_level(numbers: np.random.Generator) -> None:
    """Where nothing changed, at most 5 % of families of 10 tests have one that seems to: 100 families, 4 deviations of the count."""
    wrong = 0
    for _ in range(100):
        found = [paired.pairs(list(numbers.normal(size=6)), list(numbers.normal(size=6))).p for _ in range(10)]
        wrong += min(paired.holm([p for p in found if p is not None])) < 0.05
    assert wrong <= 100 * 0.05 + 4 * math.sqrt(100 * 0.05 * 0.95)
