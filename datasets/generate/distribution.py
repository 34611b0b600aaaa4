# SPDX-License-Identifier: BSD-3-Clause
"""Published distributions of flow sizes, read from ../distributions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).resolve().parent.parent / "distributions"
NAMES = tuple(sorted(path.stem for path in FOLDER.glob("*.csv")))


@dataclass(frozen=True)
class Distribution:
    """Share of flows of at most `size` bytes, linear between the points."""

    source: str
    size: np.ndarray
    share: np.ndarray

    def at_most(self, size: np.ndarray) -> np.ndarray:
        return np.interp(size, self.size, self.share)

    def sample(self, uniform: np.ndarray) -> np.ndarray:
        """Bytes, at least 1, by inverse transform of numbers in [0, 1)."""
        return np.maximum(1, np.ceil(np.interp(uniform, self.share, self.size))).astype(np.int64)

    def mean(self) -> float:
        return float(np.sum(np.diff(self.share) * (self.size[1:] + self.size[:-1]) / 2))


def load(name: str) -> Distribution:
    lines = (FOLDER / f"{name}.csv").read_text().splitlines()
    rows = np.loadtxt(lines, delimiter=",", skiprows=3)
    return Distribution(lines[0].lstrip("# "), rows[:, 0], rows[:, 1])
