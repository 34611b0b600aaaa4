# SPDX-License-Identifier: BSD-3-Clause
"""How far a set of runs is, on standard error: a bar with time left on a terminal, a line a minute elsewhere."""

from __future__ import annotations

import statistics
import sys
import time

from tqdm import tqdm

LINE_S = 60


def duration(seconds: float) -> str:
    """`45 s`, `3 min 20 s`, `2 h 5 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


class Bar:
    """Runs are weighed by the seconds that they are expected to take; those without, by the median of the others."""

    def __init__(self, expected: dict[str, float | None]) -> None:
        self._expected = dict(expected)
        self._share = dict.fromkeys(expected, 0.0)  # done, by run
        self._failures = 0
        self._started = self._said = time.monotonic()
        self._bar = None
        if sys.stderr.isatty():
            layout = "{desc}{percentage:3.0f} %|{bar}| {n:.1f} of {total} runs, {elapsed}{postfix}"
            self._bar = tqdm(total=len(expected), file=sys.stderr, bar_format=layout)

    def add(self, expected: dict[str, float | None]) -> None:
        self._expected |= expected
        self._share |= dict.fromkeys(expected, 0.0)

    def advanced(self, key: str, done: int, total: int) -> None:
        self._share[key] = done / total if total else 1.0
        self._show()

    def ended(self, key: str, failed: bool) -> None:
        self._share[key] = 1.0
        self._failures += failed
        self._show()

    def say(self, text: str) -> None:
        """A line of its own."""
        if self._bar is not None:
            self._bar.write(text, file=sys.stderr)
        else:
            print(text, file=sys.stderr, flush=True)

    def _left(self) -> float | None:
        """Seconds, by how fast it went so far."""
        known = [seconds for seconds in self._expected.values() if seconds]
        usual = statistics.median(known) if known else 1.0
        weights = {key: seconds or usual for key, seconds in self._expected.items()}
        done = sum(self._share[key] * weight for key, weight in weights.items())
        return (time.monotonic() - self._started) * (sum(weights.values()) - done) / done if done > 0 else None

    def _show(self) -> None:
        now = time.monotonic()
        if now - self._said < (0.2 if self._bar is not None else LINE_S):
            return
        self._said = now
        done, left = sum(self._share.values()), self._left()
        text = ([] if left is None else [f"about {duration(left)} left"]) + [f"{self._failures} failed"] * bool(self._failures)
        if self._bar is None:
            print(", ".join([f"  {done:.1f} of {len(self._share)} runs", *text]), file=sys.stderr, flush=True)
            return
        self._bar.total, self._bar.n = len(self._share), round(done, 3)
        self._bar.set_postfix_str(", ".join(text), refresh=False)
        self._bar.refresh()

    def close(self) -> None:
        if self._bar is not None:
            self._bar.n = round(sum(self._share.values()), 3)
            self._bar.refresh()
            self._bar.close()
