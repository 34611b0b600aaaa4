# SPDX-License-Identifier: BSD-3-Clause
"""The figures of a residency sweep, PNG and PDF."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from foreflow.judge.plots import COLOURS, STYLE, plt, save

_SHOWN = {
    "static": ("#56B4E9", ":"), "lru": ("#0072B2", "--"), "lfu": ("#0072B2", ":"), "rebalance": ("#999999", "--"),
    "random": ("#999999", ":"), "greedy": ("#56B4E9", "--"), "predictive": (COLOURS["predictive"], "-"),
    "law_known": ("#E69F00", "-."), "oracle": (COLOURS["oracle"], "-."), "anti_oracle": (COLOURS["anti_oracle"], (0, (5, 1, 1, 1))),
}  # fmt: skip


def _slots(capacity: str, rules: int) -> float:
    return float(capacity[:-1]) / 100 * rules if capacity.endswith("%") else float(capacity)


def _band(axes: Any, x: list[float], estimates: list[dict[str, Any]], **style: Any) -> None:
    points = [(at, estimate) for at, estimate in zip(x, estimates, strict=True) if estimate["mean"] is not None]
    if not points:
        return
    at = [point[0] for point in points]
    (line,) = axes.plot(at, [point[1]["mean"] for point in points], marker="o", markersize=3, linewidth=1.3, **style)
    if all(point[1]["ci95"][0] is not None for point in points):
        low, high = zip(*(point[1]["ci95"] for point in points), strict=True)
        axes.fill_between(at, low, high, color=line.get_color(), alpha=0.15, linewidth=0)


def _sweep(document: dict[str, Any], folder: Path) -> list[Path]:
    capacities = document["capacities"]
    x = [_slots(capacity, document["rules"]["rules"]) for capacity in capacities]
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(1, 3, figsize=(11, 3.4))
        for panel, metric, label in ((axes[0], "hit_ratio", "share of packets decided by the device"), (axes[1], "punts_per_thousand", "packets of 1000 to the host")):
            for name, (colour, dash) in _SHOWN.items():
                if any(name not in judged["policies"] for judged in capacities.values()):
                    continue
                _band(panel, x, [judged["policies"][name][metric] for judged in capacities.values()], color=colour, linestyle=dash, label=name.replace("_", "-"))
            panel.set_ylabel(label)
        axes[0].legend(fontsize=6.5, frameon=False)
        for key, label, colour in (("gap_closed", "of the best", COLOURS["predictive"]), ("gap_closed_equal_churn", "of the best, equal writes", "#E69F00"), ("gap_closed_from_rebalance", "of rebalance", "#999999")):
            _band(axes[2], x, [judged[key] for judged in capacities.values()], color=colour, label=label)
        axes[2].set_ylabel("share of the gap to the oracle closed")
        axes[2].axhline(0, color="#000000", linewidth=0.6)
        axes[2].legend(fontsize=6.5, frameon=False)
        for panel in axes:
            panel.set_xscale("log")
            panel.set_xticks(x, list(capacities))
            panel.minorticks_off()
            panel.set_xlabel("slots of the rule table, share of the rules")
        n = document["config"]["seeds"]
        figure.supxlabel(f"{document['rules']['rules']} rules, input {Path(document['config']['input']).name}; mean and 95 % t-interval over n = {n} seeds", fontsize=7.5)
        return save(figure, folder, "residency")


def _break_even(document: dict[str, Any], folder: Path) -> list[Path]:
    """Which share of packets a tag must save from the slow path to pay for itself: cost of a tag / (punt - hit)."""
    tag = document["tag"]
    cycles = np.geomspace(5, 2000, 100)
    measured = tag["punt_cycles"] - tag["hit_cycles"]
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(5.2, 3.4))
        if measured > 0:
            axes.plot(cycles, 100 * cycles / measured, color=COLOURS["predictive"], label=f"a punt costs {measured:.0f} cycles more than a hit (here)")
        for difference, dash in ((200, ":"), (7000, "--")):
            axes.plot(cycles, 100 * cycles / difference, color="#999999", linestyle=dash, label=f"{difference} cycles more")
        axes.axvline(tag["tag_cycles"], color="#000000", linewidth=0.8, label=f"a tag here: {tag['tag_cycles']:.0f} cycles")
        judged = document["capacities"][tag["capacity"]]
        punts = judged["policies"]
        saved = (punts[judged["best"]]["punts_per_thousand"]["mean"] - punts["predictive"]["punts_per_thousand"]["mean"]) / 10
        if saved > 0:
            axes.axhline(saved, color=COLOURS["oracle"], linewidth=0.8, label=f"saved by prediction at {tag['capacity']}: {saved:.2f} %")
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlabel("cost of a tag [cycles]")
        axes.set_ylabel("packets to save from the slow path [%]")
        axes.legend(fontsize=6.5, frameon=False)
        return save(figure, folder, "break-even")


def draw(document: dict[str, Any], folder: Path) -> list[Path]:
    return [*_sweep(document, folder), *_break_even(document, folder)]
