# SPDX-License-Identifier: BSD-3-Clause
"""The figure of an update sweep, PNG and PDF, with its numbers as CSV."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from foreflow.judge.plots import COLOURS, STYLE, plt, save, write_csv

_LINES = {
    "stale_cycles_per_packet": ("stale", "--"),
    "update_cycles_per_packet": ("updates", ":"),
    "total_cycles_per_packet": ("sum", "-"),
}


def draw(document: dict[str, Any], folder: Path) -> list[Path]:
    """A panel a loss and number of restarts: both costs and their sum over the update rate, with the knee."""
    points, knees = document["points"], document["knees"]
    losses = sorted({point["loss"] for point in points})
    restarts = sorted({point["restarts"] for point in points})
    arms = list(dict.fromkeys(point["arm"] for point in points))
    rows = [
        (p["arm"], p["loss"], p["restarts"], p["updates_per_second"], metric, e["mean"], *e["ci95"], e["n"])
        for p in points
        for metric in _LINES
        for e in [p["metrics"][metric]]
    ]
    write_csv(folder / "updates.csv", ["arm", "loss", "restarts", "updates_per_second", "metric", "mean", "low", "high", "n"], rows)
    with plt.rc_context(STYLE):
        figure, grid = plt.subplots(len(restarts), len(losses), figsize=(3.4 * len(losses), 2.7 * len(restarts)), squeeze=False, sharex=True, sharey=True)
        for row, count in enumerate(restarts):
            for column, loss in enumerate(losses):
                axes = grid[row][column]
                for arm in arms:
                    own = [p for p in points if (p["arm"], p["loss"], p["restarts"]) == (arm, loss, count)]
                    rates = [p["updates_per_second"] for p in own]
                    for metric, (label, dash) in _LINES.items():
                        estimates = [p["metrics"][metric] for p in own]
                        axes.plot(rates, [e["mean"] for e in estimates], color=COLOURS[arm], linestyle=dash, marker="o", markersize=2.5, linewidth=1.2, label=f"{arm}: {label}")
                        if all(e["ci95"][0] is not None for e in estimates):
                            low, high = zip(*(e["ci95"] for e in estimates), strict=True)
                            axes.fill_between(rates, [max(value, 1e-2) for value in low], high, color=COLOURS[arm], alpha=0.12, linewidth=0)
                    knee = next(k["updates_per_second"] for k in knees if (k["arm"], k["loss"], k["restarts"]) == (arm, loss, count))
                    axes.axvline(knee, color=COLOURS[arm], linewidth=0.7, alpha=0.7)
                axes.set_xscale("log")
                axes.set_yscale("log")
                axes.set_title(f"loss {100 * loss:g} %, {count or 'no'} restarts", fontsize=8)
                if row == len(restarts) - 1:
                    axes.set_xlabel("updates a second, at the most")
                if column == 0:
                    axes.set_ylabel("cycles a packet")
        grid[0][0].legend(fontsize=6, frameon=False)
        figure.supxlabel(
            f"input {Path(document['config']['input']).name}; vertical: the knee; mean and 95 % t-interval over n = {document['config']['seeds']} seeds",
            fontsize=7.5,
        )
        return save(figure, folder, "updates")
