# SPDX-License-Identifier: BSD-3-Clause
"""Two samples of one metric: the change from a to b with its interval, an effect size and tests."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import special

from foreflow.judge.stats import CONFIDENCE, Estimate, mean

EXACT_PAIRS = 16  # up to here all 2^n signs are gone through


@dataclass(frozen=True)
class Change:
    """From a to b. `effect` is Hedges' g: of the paired differences where `paired`, else of the two samples.

    `p` is two-sided, of the t-test (paired, or Welch's); `p_exact` of the sign-flip permutation test over pairs.
    Both are None where there is no spread or too little to tell.
    """

    a: Estimate
    b: Estimate
    difference: Estimate  # b - a
    paired: bool
    effect: float | None
    p: float | None
    p_exact: float | None
    why: str = ""  # why there is no p

    @property
    def relative(self) -> float | None:
        """The difference as a share of a's mean."""
        if self.difference.mean is None or not self.a.mean:
            return None
        return self.difference.mean / abs(self.a.mean)

    @property
    def same(self) -> bool:
        """No value changed at all."""
        return self.difference.mean == 0 and self.p is None and self.why == SAME

    def as_json(self) -> dict[str, Any]:
        document = {
            "a": self.a.as_json(), "b": self.b.as_json(), "difference": self.difference.as_json(), "relative": self.relative,
            "effect": self.effect, "effect_kind": "hedges_g_of_paired_differences" if self.paired else "hedges_g",
            "p": self.p, "p_exact": self.p_exact, "test": "paired t" if self.paired else "Welch t",
        }  # fmt: skip
        return {**document, "why": self.why} if self.why else document


SAME = "every value is the same"


def small_sample_correction(freedom: float) -> float:
    """Hedges' factor that takes the bias off a standardised difference (Hedges 1981, equation 6e), for `freedom` above 1."""
    return math.exp(special.gammaln(freedom / 2) - special.gammaln((freedom - 1) / 2) - math.log(freedom / 2) / 2)


def _two_sided(t: float, freedom: float) -> float:
    return float(2 * special.stdtr(freedom, -abs(t)))


def _sign_flips(differences: np.ndarray) -> float | None:
    """Share of all assignments of signs whose sum is at least as far from 0 as the observed (Fisher 1935)."""
    n = len(differences)
    if not 2 <= n <= EXACT_PAIRS:
        return None
    # By symmetry the first sign may stay: half of the assignments say all.
    signs = 1 - 2 * ((np.arange(1 << (n - 1))[:, None] >> np.arange(n - 1)) & 1)
    sums = np.abs(differences[0] + signs @ differences[1:])
    observed = abs(float(differences.sum()))
    return float(np.mean(sums >= observed - 1e-12 * float(np.abs(differences).sum())))


def pairs(a: Sequence[float | None], b: Sequence[float | None]) -> Change:
    """Of values that belong together one by one (one seed, one traffic); a pair that lacks a finite value does not count."""
    kept = [(x, y) for x, y in zip(a, b, strict=True) if x is not None and y is not None and math.isfinite(x) and math.isfinite(y)]
    one, other = ([pair[place] for pair in kept] for place in (0, 1))
    differences = np.array(other, dtype=float) - np.array(one, dtype=float)
    difference = mean(list(differences))
    n = len(kept)
    ends = mean(one), mean(other)
    if n == 0:
        return Change(*ends, difference, True, None, None, None, "no pair has both values")
    if not differences.any():
        return Change(*ends, difference, True, None, None, None, SAME)
    if n == 1:
        return Change(*ends, difference, True, None, None, None, "one pair has no spread")
    if differences.min() == differences.max():
        return Change(*ends, difference, True, None, None, _sign_flips(differences), "every pair differs by the same")
    scale = float(differences.std(ddof=1))
    standardised = float(differences.mean()) / scale
    effect = small_sample_correction(n - 1) * standardised if n > 2 else None
    return Change(*ends, difference, True, effect, _two_sided(standardised * math.sqrt(n), n - 1), _sign_flips(differences))


def samples(a: Sequence[float | None], b: Sequence[float | None]) -> Change:
    """Of two independent samples: Welch's t-test and interval, Hedges' g with the pooled deviation."""
    one, other = (np.array([v for v in values if v is not None and math.isfinite(v)], dtype=float) for values in (a, b))
    ends = mean(list(one)), mean(list(other))
    sizes = len(one), len(other)
    if min(sizes) == 0:
        return Change(*ends, Estimate(None, None, None, 0, "one side has no value"), False, None, None, None, "one side has no value")
    centre = float(other.mean() - one.mean())
    n = min(sizes)
    if set(one) == set(other) and len(set(one)) == 1:
        return Change(*ends, Estimate(0.0, 0.0, 0.0, n), False, None, None, None, SAME)
    if n == 1:
        return Change(*ends, Estimate(centre, None, None, n), False, None, None, None, "one value has no spread")
    parts = one.var(ddof=1) / sizes[0], other.var(ddof=1) / sizes[1]
    if sum(parts) == 0:
        return Change(*ends, Estimate(centre, centre, centre, n), False, None, None, None, "neither side has any spread")
    error = math.sqrt(sum(parts))
    freedom = sum(parts) ** 2 / (parts[0] ** 2 / (sizes[0] - 1) + parts[1] ** 2 / (sizes[1] - 1))
    half = float(special.stdtrit(freedom, (1 + CONFIDENCE) / 2)) * error
    pooled = math.sqrt(((sizes[0] - 1) * one.var(ddof=1) + (sizes[1] - 1) * other.var(ddof=1)) / (sum(sizes) - 2))
    effect = small_sample_correction(sum(sizes) - 2) * centre / pooled
    return Change(*ends, Estimate(centre, centre - half, centre + half, n), False, effect, _two_sided(centre / error, freedom), None)


def holm(values: Sequence[float]) -> list[float]:
    """P-values adjusted for their number (Holm 1979), in their order: below 0.05 stands at a family-wise level of 5 %."""
    adjusted = [0.0] * len(values)
    least = 0.0
    for rank, place in enumerate(sorted(range(len(values)), key=lambda each: values[each])):
        least = max(least, min(1.0, (len(values) - rank) * values[place]))
        adjusted[place] = least
    return adjusted
