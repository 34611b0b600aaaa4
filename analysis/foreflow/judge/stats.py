# SPDX-License-Identifier: BSD-3-Clause
"""Means, intervals over seeds, and the share of the oracle gap closed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import special

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Estimate:
    """A mean over `n` independent seeds with its 95 % t-interval; None where the number does not exist."""

    mean: float | None
    low: float | None
    high: float | None
    n: int
    why: str = ""  # why there is no mean

    def as_json(self) -> dict[str, Any]:
        document: dict[str, Any] = {"mean": self.mean, "ci95": [self.low, self.high], "n": self.n}
        return {**document, "why": self.why} if self.why else document


def mean(values: list[float | None]) -> Estimate:
    """Mean and t-interval; one value has no interval, and values that are not finite do not count."""
    sample = np.array([v for v in values if v is not None and math.isfinite(v)], dtype=float)
    n = len(sample)
    if n == 0:
        return Estimate(None, None, None, 0, "no seed has a value")
    centre = float(sample.mean())
    if n == 1:
        return Estimate(centre, None, None, 1)
    if sample.min() == sample.max():  # exact, where the sums above may round
        return Estimate(float(sample[0]), float(sample[0]), float(sample[0]), n)
    half = float(special.stdtrit(n - 1, (1 + CONFIDENCE) / 2) * sample.std(ddof=1) / math.sqrt(n))
    return Estimate(centre, centre - half, centre + half, n)


def gap_closed(
    reactive: list[float], predictive: list[float], oracle: list[float], higher_is_better: bool
) -> Estimate:
    """Share of the way from reactive to the oracle that predictive goes: (reactive - predictive) / (reactive - oracle).

    The lists are paired by seed (common random numbers). The estimate is the ratio of the paired mean differences,
    its interval the t-interval of the linearised residuals (the ratio estimator, Cochran 1977, section 6), which
    equals the mean of the seeds' ratios when all gaps are equal and stays tame when one seed's gap is small. There is
    no number when the oracle's own gain is not distinguishable from 0.
    """
    sign = -1.0 if higher_is_better else 1.0
    rows = np.array(
        [row for row in zip(reactive, predictive, oracle, strict=True) if all(v is not None and math.isfinite(v) for v in row)],
        dtype=float,
    ).reshape(-1, 3)
    n = len(rows)
    if n == 0:
        return Estimate(None, None, None, 0, "no seed has all three arms")
    gain = sign * (rows[:, 0] - rows[:, 1])
    gap = sign * (rows[:, 0] - rows[:, 2])
    whole = float(gap.mean())
    scale = float(np.abs(rows).max())
    t = float(special.stdtrit(n - 1, (1 + CONFIDENCE) / 2)) if n > 1 else 0.0
    spread = float(gap.std(ddof=1)) / math.sqrt(n) if n > 1 else 0.0
    if abs(whole) - t * spread <= 1e-9 * max(scale, 1e-300):
        return Estimate(None, None, None, n, "the oracle's gap to reactive is not distinguishable from 0")
    if whole < 0:
        return Estimate(None, None, None, n, "the oracle is worse than reactive here: there is no gap to close")
    share = float(gain.mean()) / whole
    if n == 1:
        return Estimate(share, None, None, 1)
    half = t * float((gain - share * gap).std(ddof=1)) / (whole * math.sqrt(n))
    return Estimate(share, share - half, share + half, n)


def relative_cost(reactive: list[float], other: list[float], higher_is_better: bool) -> Estimate:
    """How much worse `other` is than reactive, as a share of reactive, paired by seed; negative when better."""
    sign = 1.0 if higher_is_better else -1.0
    shares = [
        sign * (a - b) / a
        for a, b in zip(reactive, other, strict=True)
        if a is not None and b is not None and math.isfinite(a) and math.isfinite(b) and a != 0
    ]
    return mean(shares)
