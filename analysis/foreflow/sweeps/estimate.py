# SPDX-License-Identifier: BSD-3-Clause
"""How long runs will take, from those of the store that are most like them."""

from __future__ import annotations

import math
import statistics
from typing import Any

NEAREST = 5  # rows that are equally near, whose median is taken


def _distance(a: dict[str, Any], b: dict[str, Any]) -> tuple[int, float]:
    """How many parameters differ, then by how many factors of e the numbers among them do. A text counts as far off."""
    different, far = 0, 0.0
    for key in a.keys() | b.keys():
        one, other = a.get(key), b.get(key)
        if one == other:
            continue
        different += 1
        numbers = all(isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0 for value in (one, other))
        far += abs(math.log(one / other)) if numbers else 10.0
    return different, far


class Durations:
    """Of finished runs: `rows` as in row.json."""

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self._past: dict[tuple[str, str], list[tuple[dict[str, Any], list[float]]]] = {}
        points: dict[tuple[str, str, str], list[float]] = {}
        for row in rows:
            if row["status"] != "done":
                continue
            kind = row["scenario"], row["arm"]
            point = (*kind, repr(sorted(row["parameters"].items())))
            if point not in points:
                points[point] = []
                self._past.setdefault(kind, []).append((row["parameters"], points[point]))
            points[point].append(row["seconds"])
        self._known: dict[tuple[str, str, str], float | None] = {}

    def expected(self, scenario: str, arm: str, parameters: dict[str, Any]) -> float | None:
        """Seconds of a run of the arm, on one core; None where the scenario was never run in this arm."""
        point = scenario, arm, repr(sorted(parameters.items()))
        if point not in self._known:
            self._known[point] = self._nearest(self._past.get((scenario, arm), []), parameters)
        return self._known[point]

    @staticmethod
    def _nearest(past: list[tuple[dict[str, Any], list[float]]], parameters: dict[str, Any]) -> float | None:
        if not past:
            return None
        by_distance = [(_distance(parameters, other), seconds) for other, seconds in past]
        least = min(distance for distance, _ in by_distance)
        near = [value for distance, seconds in by_distance if distance == least for value in seconds[-NEAREST:]]
        return statistics.median(near)
