# SPDX-License-Identifier: BSD-3-Clause
"""What a change of traffic at a known time does to predictions: seen when, recovered when, with what false alarms."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

WINDOW = 200  # rows a mean of the loss is over
NEAR = 1.1  # recovered: the window's loss is at most this times what it was before, and 0.1 more
NEAR_MORE = 0.1
ALWAYS_FIRES_EACH = 100  # rows: the detector that shows what raising alarms blindly is worth


@dataclass(frozen=True)
class Detection:
    """One detector on one source. Rows are scored rows of the source, from its first."""

    delay: int | None  # rows from the change to the first alarm after it
    before: int  # alarms before the change: all false
    after: int  # alarms after the first one that follows the change: told already
    rows_before: int

    @property
    def false_per_thousand(self) -> float | None:
        """Alarms before the change, per thousand rows; None without rows before it."""
        return 1000 * self.before / self.rows_before if self.rows_before else None

    @property
    def f1(self) -> float:
        """Of alarms, with the one change to find: 2 found / (alarms + 1)."""
        found = self.delay is not None
        return 2 * found / (self.before + self.after + found + 1)


def detect(alarms: np.ndarray, rows: int, change: int) -> Detection:
    """`alarms`: rows at which a detector fired, rising, below `rows`; the change is at row `change`."""
    late = alarms[alarms >= change]
    before = int(np.count_nonzero(alarms < change))
    return Detection(int(late[0]) - change if len(late) else None, before, max(0, len(late) - 1), change)


def always(rows: int) -> np.ndarray:
    """The alarms of a detector that fires each ALWAYS_FIRES_EACH rows, whatever it sees: row numbers."""
    return np.arange(ALWAYS_FIRES_EACH - 1, rows, ALWAYS_FIRES_EACH)


def recovered_after(loss: np.ndarray, change: int, window: int = WINDOW) -> int | None:
    """Rows from the change until a whole window after it is about as good as before it; None where none is."""
    before, after = loss[:change], loss[change:]
    if len(before) == 0 or len(after) < window:
        return None
    sums = np.concatenate([[0.0], np.cumsum(after)])
    means = (sums[window:] - sums[:-window]) / window
    good = np.flatnonzero(means <= NEAR * before.mean() + NEAR_MORE)
    return int(good[0]) + window if len(good) else None


def windows(loss: np.ndarray, change: int, window: int = WINDOW) -> tuple[np.ndarray, np.ndarray]:
    """Means over whole windows on either side of the change, and the middle of each in rows after the change."""
    first = change % window
    whole = (len(loss) - first) // window
    means = loss[first : first + whole * window].reshape(whole, window).mean(axis=1)
    return first - change + window * (np.arange(whole) + 0.5), means
