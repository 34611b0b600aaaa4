# SPDX-License-Identifier: BSD-3-Clause
"""The figures of an evaluation, PNG and PDF, each with its numbers beside it as CSV."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

from foreflow.judge.plots import STYLE, save, write_csv

# Okabe and Ito (2008), then dashes.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
DASHES = ("-", "--", "-.", ":")


def _style(place: int) -> dict[str, Any]:
    return {"color": COLOURS[place % len(COLOURS)], "linestyle": DASHES[place // len(COLOURS) % len(DASHES)]}


def reliability(models: dict[str, list[Any]], caption: str, folder: Path) -> list[Path]:
    """`models`: ReliabilityBins by model; one panel each, the rows of each bin below its point."""
    columns = min(3, len(models))
    lines = -(-len(models) // columns)
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(lines, columns, figsize=(3.1 * columns, 2.9 * lines + 0.4), sharex=True, sharey=True, squeeze=False)
        for place, (axis, (name, bins)) in enumerate(zip(axes.flat, models.items())):
            axis.plot([0, 1], [0, 1], color="#999999", linewidth=0.8)
            x = np.array([each.confidence for each in bins])
            y = np.array([each.accuracy.mean for each in bins])
            low = np.array([each.accuracy.mean if each.accuracy.low is None else each.accuracy.low for each in bins])
            high = np.array([each.accuracy.mean if each.accuracy.high is None else each.accuracy.high for each in bins])
            axis.errorbar(x, y, [np.maximum(y - low, 0), np.maximum(high - y, 0)], fmt="o", markersize=3.5, capsize=2, color=COLOURS[place % len(COLOURS)])
            axis.set_title(f"{name}\n{sum(each.rows for each in bins)} predictions, {len(bins)} bins", fontsize=7.5)
            axis.set_xlim(0, 1.02)
            axis.set_ylim(0, 1.02)
        for axis in axes.flat[len(models) :]:
            axis.set_visible(False)
        figure.supxlabel(f"confidence of the likeliest class\n{caption}", fontsize=8)
        figure.supylabel("share that was right (95 % interval)", fontsize=8)
        paths = save(figure, folder, "reliability")
    rows = [(name, b.confidence, b.accuracy.mean, b.accuracy.low, b.accuracy.high, b.rows) for name, bins in models.items() for b in bins]
    write_csv(folder / "reliability.csv", ["model", "confidence", "accuracy", "low", "high", "rows"], rows)
    return paths


def quantiles(models: dict[str, list[tuple[float, Any]]], caption: str, folder: Path) -> list[Path]:
    """`models`: (level, Scored share of values at most the quantile) by model."""
    with plt.rc_context(STYLE):
        figure, axis = plt.subplots(figsize=(5.2, 4.2))
        axis.plot([0, 1], [0, 1], color="#999999", linewidth=0.8)
        for place, (name, points) in enumerate(models.items()):
            x = [level + 0.004 * (place - len(models) / 2) for level, _ in points]
            y = [share.mean for _, share in points]
            error = None
            if all(share.low is not None for _, share in points):
                error = [[max(share.mean - share.low, 0) for _, share in points], [max(share.high - share.mean, 0) for _, share in points]]
            axis.errorbar(x, y, error, label=name, marker="o", markersize=3, capsize=2, linewidth=1, **_style(place))
        axis.set_xlabel(f"level of the quantile\n{caption}", fontsize=8)
        axis.set_ylabel("share of values at most the quantile (95 % interval)")
        axis.legend(fontsize=7, frameon=False)
        paths = save(figure, folder, "quantiles")
    rows = [(name, level, e.mean, e.low, e.high) for name, points in models.items() for level, e in points]
    write_csv(folder / "quantiles.csv", ["model", "level", "share", "low", "high"], rows)
    return paths


def risk_coverage(models: dict[str, list[tuple[float, Any]]], caption: str, folder: Path) -> list[Path]:
    """`models`: (coverage, Scored error) by model."""
    with plt.rc_context(STYLE):
        figure, axis = plt.subplots(figsize=(6.2, 3.8))
        for place, (name, curve) in enumerate(models.items()):
            x = [coverage for coverage, _ in curve]
            axis.plot(x, [error.mean for _, error in curve], label=name, linewidth=1.3, **_style(place))
            if all(error.low is not None for _, error in curve):
                axis.fill_between(x, [e.low for _, e in curve], [e.high for _, e in curve], color=COLOURS[place % len(COLOURS)], alpha=0.12, linewidth=0)
        axis.set_xlabel(f"share of packets acted on, the most confident first\n{caption}")
        axis.set_ylabel("share of these that is wrong (95 % interval)")
        axis.set_xlim(0, 1)
        axis.set_ylim(bottom=0)
        axis.legend(fontsize=7, frameon=False)
        paths = save(figure, folder, "risk-coverage")
    rows = [(name, coverage, e.mean, e.low, e.high) for name, curve in models.items() for coverage, e in curve]
    write_csv(folder / "risk-coverage.csv", ["model", "coverage", "error", "low", "high"], rows)
    return paths


def score_over_time(models: dict[str, dict[str, Any]], label: str, caption: str, folder: Path) -> list[Path]:
    """`models`: rows (x), loss (y) and alarms ({detector: rows}) by model; a planted change is at 0."""
    with plt.rc_context(STYLE):
        figure, axis = plt.subplots(figsize=(7.2, 3.8))
        for place, (name, one) in enumerate(models.items()):
            axis.plot(one["rows"], one["loss"], label=name, linewidth=1.2, **_style(place))
        axis.axvline(0, color="#555555", linewidth=0.8)
        axis.set_ylim(bottom=0)
        top = axis.get_ylim()[1]
        for place, (name, one) in enumerate(models.items()):
            for mark, alarms in zip("v^", one["alarms"].values()):
                height = top * (1.02 + 0.03 * place)
                axis.plot(alarms, np.full(len(alarms), height), mark, color=COLOURS[place % len(COLOURS)], markersize=3.5, clip_on=False, linestyle="none")
        axis.set_xlabel(f"scored packets after the change\n{caption}", fontsize=8)
        axis.set_ylabel(label)
        axis.legend(fontsize=7, frameon=False)
        paths = save(figure, folder, "score-over-time")
    rows = [(name, "loss", x, y) for name, one in models.items() for x, y in zip(one["rows"], one["loss"])]
    rows += [(name, f"alarm of {detector}", x, "") for name, one in models.items() for detector, alarms in one["alarms"].items() for x in alarms]
    write_csv(folder / "score-over-time.csv", ["model", "what", "row", "loss"], rows)
    return paths
