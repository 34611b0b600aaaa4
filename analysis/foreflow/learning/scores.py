# SPDX-License-Identifier: BSD-3-Clause
"""How good predictions are, with block-bootstrap intervals.

A measure is a function of column sums over rows: so that a resample of blocks of rows needs only the blocks' sums.
Probabilities below FLOOR count as FLOOR: log loss is at most 16 bits, for every model alike.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

FLOOR = 2.0**-16
BINS = 15  # of equal mass, for calibration
CONFIDENCE = 0.95
ENOUGH_BLOCKS = 30  # of a source, in effect: to resample conversations whole
BLOCKS_A_SOURCE = 60  # where there are not enough: none holds a greater share of the source's rows


@dataclass(frozen=True)
class Measure:
    """`of(columns.sum(axis=0))` is the number; `columns` has a row a scored row, [M, K]."""

    unit: str
    columns: np.ndarray
    of: Callable[[np.ndarray], np.ndarray]  # [..., K] sums -> [...]
    # Bounded below and biased upwards in resamples, as ECE is: the interval is reflected (the basic bootstrap).
    reflected: bool = False
    # The number means something only where this one is above 0 with its whole interval.
    given: Measure | None = None


@dataclass(frozen=True)
class Scored:
    """A number with its 95 % interval; None where there is none."""

    mean: float | None
    low: float | None
    high: float | None
    unit: str = ""

    def as_json(self) -> dict[str, object]:
        return {"mean": self.mean, "ci95": [self.low, self.high], "unit": self.unit}


def ratio(numerator: np.ndarray, denominator: np.ndarray | None = None, unit: str = "", scale: float = 1.0) -> Measure:
    """scale * sum(numerator) / sum(denominator); the mean over rows without a denominator."""
    below = np.ones(len(numerator)) if denominator is None else denominator
    return Measure(unit, np.column_stack([numerator, below]).astype(float), lambda sums: scale * divide(sums[..., 0], sums[..., 1]))


def divide(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """NaN where below is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(below != 0, above / below, np.nan)


def difference(one: Measure, other: Measure) -> Measure:
    """one - other, on the same rows in every resample."""
    split = one.columns.shape[1]
    return Measure(
        one.unit,
        np.hstack([one.columns, other.columns]),
        lambda sums: one.of(sums[..., :split]) - other.of(sums[..., split:]),
    )


def gap_share(reference: Measure, model: Measure, ceiling: Measure | None) -> Measure:
    """(reference - model) / (reference - ceiling) of a loss; without a ceiling the least loss is 0. None without a gap."""
    parts = [reference, model] + ([ceiling] if ceiling else [])
    ends = np.cumsum([0] + [part.columns.shape[1] for part in parts])

    def of(sums: np.ndarray) -> np.ndarray:
        values = [part.of(sums[..., ends[i] : ends[i + 1]]) for i, part in enumerate(parts)]
        least = values[2] if ceiling else 0.0
        return divide(values[0] - values[1], values[0] - least)

    gap = difference(reference, ceiling) if ceiling else reference
    return Measure("share", np.hstack([part.columns for part in parts]), of, given=gap)


# Classes: probability [M, C], truth [M] in 0..C-1.


def surprise(probability: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Bits: -log2 of what was said of the truth."""
    said = probability[np.arange(len(truth)), truth].astype(float)
    return -np.log2(np.clip(said, FLOOR, 1.0))


def log_loss(probability: np.ndarray, truth: np.ndarray) -> Measure:
    """Mean surprise in bits, at most 16 a row."""
    return ratio(surprise(probability, truth), unit="bits")


def brier(probability: np.ndarray, truth: np.ndarray) -> Measure:
    """Brier 1950: squared distance to the truth's indicator, summed over classes: 0 to 2."""
    said = probability.astype(float)
    squares = (said**2).sum(axis=1) - 2 * said[np.arange(len(truth)), truth] + 1
    return ratio(squares, unit="1")


def accuracy(probability: np.ndarray, truth: np.ndarray) -> Measure:
    """Share of rows whose likeliest class, the first of equals, is the truth."""
    return ratio(probability.argmax(axis=1) == truth, unit="share")


def upper(values: np.ndarray, share: float) -> np.ndarray:
    """The rows of the greatest `share` of values, one at least; all that tie with the last of them are in."""
    count = min(len(values), max(1, round(share * len(values))))
    return values >= np.partition(values, len(values) - count)[len(values) - count]


def accuracy_at(coverage: float, probability: np.ndarray, truth: np.ndarray) -> Measure:
    """Accuracy among the rows whose confidence is in the upper `coverage` of all; ties at the threshold are in."""
    taken = upper(probability.max(axis=1), coverage)
    return ratio((probability.argmax(axis=1) == truth) & taken, taken, "share")


def risk_coverage(probability: np.ndarray, truth: np.ndarray, points: int = 50) -> list[tuple[float, Measure]]:
    """Share of rows acted on, and the error among them, from the most confident on."""
    confidence = probability.max(axis=1)
    wrong = probability.argmax(axis=1) != truth
    curve = []
    for share in np.linspace(0, 1, points + 1)[1:]:
        taken = upper(confidence, float(share))
        if curve and curve[-1][0] == float(taken.mean()):
            continue
        curve.append((float(taken.mean()), ratio(wrong & taken, taken, "share")))
    return curve


def equal_mass_bins(confidence: np.ndarray, bins: int = BINS) -> np.ndarray:
    """A row's bin: bins of as equal mass as ties allow, equal confidences in one bin."""
    edges = np.unique(np.quantile(confidence, np.linspace(0, 1, bins + 1)[1:-1], method="inverted_cdf"))
    return np.searchsorted(edges, confidence, side="left")


def ece(probability: np.ndarray, truth: np.ndarray, bins: int = BINS) -> Measure:
    """Expected calibration error of the likeliest class: mean over rows of |accuracy - confidence| of their bin."""
    confidence = probability.max(axis=1).astype(float)
    correct = probability.argmax(axis=1) == truth
    return _calibration_error(confidence, correct, equal_mass_bins(confidence, bins))


def _calibration_error(said: np.ndarray, happened: np.ndarray, bin_of: np.ndarray) -> Measure:
    count = bin_of.max() + 1 if len(bin_of) else 1
    columns = np.zeros((len(said), count + 1))
    rows = np.arange(len(said))
    columns[rows, bin_of] = happened - said
    columns[:, count] = 1
    return Measure("share", columns, lambda sums: divide(np.abs(sums[..., :count]).sum(axis=-1), sums[..., count]), reflected=True)


@dataclass(frozen=True)
class ReliabilityBin:
    """One point of a reliability diagram: mean confidence 0..1, and how often such rows were right."""

    confidence: float
    accuracy: Scored
    rows: int


# Real values: quantiles [M, Q] at `levels` [Q], value [M].


def pinball(quantiles: np.ndarray, levels: np.ndarray, value: np.ndarray, unit: str = "") -> Measure:
    """Mean over rows and levels of max(level * error, (level - 1) * error), error = value - quantile."""
    error = value[:, None].astype(float) - quantiles
    return ratio(np.maximum(levels * error, (levels - 1) * error).mean(axis=1), unit=unit)


def interval_coverage(quantiles: np.ndarray, value: np.ndarray) -> Measure:
    """Values between the lowest and the highest quantile, ends included."""
    return ratio((quantiles[:, 0] <= value) & (value <= quantiles[:, -1]), unit="share")


def median_of(quantiles: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """[M]: the quantile whose level is nearest to 0.5."""
    return quantiles[:, int(np.argmin(np.abs(levels - 0.5)))].astype(float)


def mase(forecast: np.ndarray, value: np.ndarray, naive: np.ndarray) -> Measure:
    """Hyndman and Koehler 2006, out of sample: absolute error over that of the naive forecast, on rows that have one."""
    both = np.isfinite(forecast) & np.isfinite(naive)
    return ratio(np.where(both, np.abs(value - forecast), 0), np.where(both, np.abs(value - naive), 0), "1")


def largest(score: np.ndarray, value: np.ndarray, share: float) -> tuple[Measure, Measure]:
    """Precision and recall of flagging the upper `share` by `score` as the upper `share` by `value`; ties are in."""
    large, flagged = upper(value, share), upper(score, share)
    return ratio(large & flagged, flagged, "share"), ratio(large & flagged, large, "share")


# Intervals.


class Blocks:
    """Rows that hang together, and resamples of them: blocks within sources (stratified block bootstrap).

    A block is a conversation. Where a source's conversations are too few in effect, (sum n)^2 / sum n^2 below
    ENOUGH_BLOCKS for n rows each, the longer ones are cut into runs of rows: the interval then says nothing about how
    much conversations differ.
    """

    def __init__(self, sequence: np.ndarray, source: np.ndarray, seed: int, resamples: int) -> None:
        keys = np.empty((len(sequence), 3), dtype=np.int64)
        for each in np.unique(source):
            rows = np.flatnonzero(source == each)
            sizes = np.unique(sequence[rows], return_counts=True)[1].astype(float)
            few = sizes.sum() ** 2 / (sizes**2).sum() < ENOUGH_BLOCKS
            most = max(1, -(-len(rows) // BLOCKS_A_SOURCE)) if few else len(rows)
            order = np.argsort(sequence[rows], kind="stable")
            own = sequence[rows][order]
            starts = np.flatnonzero(np.r_[True, own[1:] != own[:-1]])
            place = np.arange(len(own)) - np.repeat(starts, np.diff(np.r_[starts, len(own)]))
            keys[rows[order]] = np.column_stack([np.full(len(own), each), own, place // most])
        _, self.block = np.unique(keys, axis=0, return_inverse=True)
        self.block = self.block.reshape(-1)
        self.count = int(self.block.max()) + 1 if len(self.block) else 0
        source_of = np.zeros(self.count, dtype=np.int64)
        source_of[self.block] = source
        self.resamples = resamples
        generator = np.random.default_rng(seed)
        self._weights = np.zeros((resamples, self.count), dtype=np.float32)
        for each in np.unique(source_of):
            own = np.flatnonzero(source_of == each)
            self._weights[:, own] = generator.multinomial(len(own), np.full(len(own), 1 / len(own)), size=resamples)

    def sums(self, columns: np.ndarray) -> np.ndarray:
        """[blocks, C]: the sums of [M, C] columns by block."""
        return np.stack([np.bincount(self.block, weights=column, minlength=self.count) for column in columns.T], axis=1)

    def draws(self, measure: Measure) -> np.ndarray:
        """The measure of each resample."""
        sums = self.sums(measure.columns)
        return measure.of(np.vstack([part.astype(float) @ sums for part in np.array_split(self._weights, max(1, self.resamples // 100))]))

    def score(self, measure: Measure) -> Scored:
        """Percentile interval; none where a single block holds all rows."""
        if len(measure.columns) == 0:
            return Scored(None, None, None, measure.unit)
        if measure.given is not None:
            gap = self.score(measure.given)
            if gap.low is None or gap.low <= 0:
                return Scored(None, None, None, measure.unit)
        value = float(measure.of(measure.columns.sum(axis=0)))
        if not np.isfinite(value):
            return Scored(None, None, None, measure.unit)
        draws = self.draws(measure)
        draws = draws[np.isfinite(draws)]
        if self.count < 2 or len(draws) < self.resamples // 2:
            return Scored(value, None, None, measure.unit)
        low, high = (float(np.quantile(draws, end)) for end in ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2))
        if abs(value) < 1e-12:  # nothing but rounding
            value = 0.0
        if high - low <= max(1e-9 * abs(value), 1e-12):  # exact, where sums round
            low = high = value
        if measure.reflected:
            low, high = max(0.0, 2 * value - high), max(0.0, 2 * value - low)
        return Scored(value, low, high, measure.unit)

    def reliability(self, probability: np.ndarray, truth: np.ndarray, bins: int = BINS) -> list[ReliabilityBin]:
        """Mean confidence, accuracy with interval and rows, of bins of equal mass of the likeliest class."""
        confidence = probability.max(axis=1).astype(float)
        correct = probability.argmax(axis=1) == truth
        bin_of = equal_mass_bins(confidence, bins)
        found = []
        for each in np.unique(bin_of):
            inside = bin_of == each
            found.append(
                ReliabilityBin(float(confidence[inside].mean()), self.score(ratio(correct & inside, inside, "share")), int(inside.sum()))
            )
        return found
