# SPDX-License-Identifier: BSD-3-Clause
"""The result as text, one row a metric and one column an arm."""

from __future__ import annotations

import math
from typing import Any

from foreflow.judge import systems
from foreflow.judge.metrics import METRICS


def number(value: float | None, digits: int = 4) -> str:
    """Four significant digits without an exponent, where that is readable."""
    if value is None:
        return "-"
    if value == 0:
        return "0"
    magnitude = math.floor(math.log10(abs(value)))
    if -4 <= magnitude < 7:
        return f"{value:.{max(0, digits - 1 - magnitude)}f}"
    return f"{value:.{digits - 1}e}"


def with_interval(estimate: dict[str, Any]) -> str:
    """`0.912 ±0.004`, the half width of the 95 % interval."""
    low, high = estimate["ci95"]
    if estimate["mean"] is None:
        return "-"
    if low is None:
        return number(estimate["mean"])
    half = (high - low) / 2
    if not 1e-7 < half < 1e7:
        return f"{number(estimate['mean'])} ±{number(half, 2)}"
    decimals = max(0, 1 - math.floor(math.log10(half)))  # two digits of the half width, the mean as far
    return f"{estimate['mean']:.{decimals}f} ±{half:.{decimals}f}"


def grid(rows: list[list[str]]) -> str:
    """Columns aligned: the first to the left, the others to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) if i == 0 else cell.rjust(width) for i, (cell, width) in enumerate(zip(row, widths))).rstrip()
        for row in rows
    )


def of_document(document: dict[str, Any]) -> str:
    """The table that `run` prints."""
    metrics = systems.of(document["config"]).headline
    arms = document["arms"]
    rows = [["metric [unit]", *arms, "gap closed"]]
    for metric in metrics:
        gap = document["gap_closed"].get(metric)
        share = "" if gap is None else with_interval(gap)
        rows.append(
            [f"{metric} [{METRICS[metric].unit}]", *(with_interval(arms[arm][metric]) for arm in arms), share]
        )
    n = document["config"]["seeds"]
    seeds = f"mean ± half width of the 95 % interval over n = {n} seeds" if n > 1 else "n = 1 seed: no intervals"
    notes = [seeds]
    for metric in metrics:
        why = document["gap_closed"].get(metric, {}).get("why")
        if why:
            notes.append(f"{metric}: {why}")
    return grid(rows) + "\n" + "\n".join("  " + note for note in notes)
