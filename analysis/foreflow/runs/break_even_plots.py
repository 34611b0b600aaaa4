# SPDX-License-Identifier: BSD-3-Clause
"""The figure of where predicting pays, PNG and PDF, with its numbers as CSV."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from foreflow.judge.plots import STYLE, plt, save, write_csv
from foreflow.runs.break_even import KINDS

_COLOURS = {"destination": "#0072B2", "promotion": "#009E73", "demotion": "#CC79A7"}
_MARKS = ("o", "s", "^", "v", "D", "P", "X", "*")


def _error(estimate: dict[str, Any]) -> list[list[float]] | None:
    low, high = estimate["ci95"]
    return None if low is None else [[estimate["mean"] - low], [high - estimate["mean"]]]


def draw(document: dict[str, Any], folder: Path) -> list[Path]:
    """Hit rate against break-even, a point an input and kind of prediction; cycles spent against cycles saved, a point an input."""
    rows = document["inputs"]
    estimates = [(name, metric, e["mean"], *e["ci95"], e["n"]) for name, row in rows.items() for metric, e in row.items()]
    write_csv(folder / "break-even.csv", ["input", "metric", "mean", "low", "high", "n"], estimates)
    with plt.rc_context(STYLE):
        figure, (rates, cycles) = plt.subplots(1, 2, figsize=(8.6, 3.8))
        for mark, (name, row) in zip(np.resize(_MARKS, len(rows)), rows.items(), strict=True):
            for kind in KINDS:
                hit, even = row[f"{kind}_hit_rate"], row[f"{kind}_break_even"]
                if hit["mean"] is not None and even["mean"] is not None:
                    rates.errorbar(even["mean"], hit["mean"], yerr=_error(hit), color=_COLOURS[kind], marker=mark, markersize=4.5, linewidth=0.8, linestyle="none")
            spent, saved = row["spent_cycles_per_packet"], row["saved_cycles_per_packet"]
            cycles.errorbar(spent["mean"], saved["mean"], xerr=_error(spent), yerr=_error(saved), color="#000000", marker=mark, markersize=4.5, linewidth=0.8, linestyle="none", label=Path(name).name)
        line = np.geomspace(0.005, 1, 50)
        rates.plot(line, line, color="#999999", linewidth=0.8)
        rates.fill_between(line, line, 1, color="#009E73", alpha=0.06, linewidth=0)
        rates.set_xscale("log")
        rates.set_ylim(-0.03, 1.03)
        rates.set_xlabel("break-even hit rate h* = (C + W) / (S + W)")
        rates.set_ylabel("hit rate h")
        for kind, colour in _COLOURS.items():
            rates.plot([], [], color=colour, marker="o", linestyle="none", markersize=4.5, label=f"{kind}s")
        rates.legend(fontsize=6.5, frameon=False, title="above the line it pays", title_fontsize=6.5)
        most = max(row["spent_cycles_per_packet"]["mean"] for row in rows.values())
        cycles.plot([0, most], [0, most], color="#999999", linewidth=0.8)
        cycles.set_xlim(left=0)
        cycles.set_xlabel("spent on prediction [cycles/packet]")
        cycles.set_ylabel("saved by it [cycles/packet]")
        cycles.legend(fontsize=6.5, frameon=False, title="above the line it pays", title_fontsize=6.5)
        figure.supxlabel(f"scenario {document['scenario']}; mean and 95 % t-interval over n = {document['config']['seeds']} seeds", fontsize=7.5)
        return save(figure, folder, "break-even")
