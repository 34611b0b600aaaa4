# SPDX-License-Identifier: BSD-3-Clause
"""A sweep as text: a line a point and arm, the headline metrics with intervals over its seeds."""

from __future__ import annotations

from typing import Any

from foreflow.judge import stats, systems
from foreflow.judge.metrics import METRICS
from foreflow.judge.table import grid, with_interval
from foreflow.sweeps.plan import Plan

MOST_LINES = 60


def of_rows(plan: Plan, rows: list[dict[str, Any]]) -> str:
    """`rows`: as in row.json, of every run of the plan."""
    by_key = {row["key"]: row for row in rows}
    varied = list(plan.points[0].settings)
    headline = systems.of(rows[0]["parameters"] if rows else {}).headline
    lines = [[*varied, "arm", "n", *(f"{name} [{METRICS[name].unit}]" for name in headline)]]
    for index, point in enumerate(plan.points):
        for arm in plan.spec.arms:
            own = [by_key[key] for key in plan.keys_of(index, arm)]
            done = [row for row in own if row["status"] == "done"]
            cells = [with_interval(stats.mean([row["metrics"].get(name) for row in done]).as_json()) for name in headline]
            count = str(len(done)) if len(done) == len(own) else f"{len(done)} of {len(own)}"
            lines.append([*(str(point.settings[key]) for key in varied), arm, count, *cells])
    notes = ["means ± half width of the 95 % interval over n seeds"]
    if len(lines) > MOST_LINES + 1:
        notes.insert(0, f"the first {MOST_LINES} of {len(lines) - 1} lines; points.csv has every run")
        lines = lines[: MOST_LINES + 1]
    return "\n".join([grid(lines), *(f"  {note}" for note in notes)])
