# SPDX-License-Identifier: BSD-3-Clause
"""Figures of system shard, PNG and PDF, with units, 95 % intervals and n; what they draw is beside them as CSV."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from foreflow.judge.plots import SHARD_MARKS, STYLE, plt, ranks, save, write_csv

X, Y = "extra_wire_percent", "completion_p99_ms"


def _error(estimate: dict[str, Any]) -> list[list[float]] | None:
    low, high = estimate["ci95"]
    return None if low is None else [[estimate["mean"] - low], [high - estimate["mean"]]]


def front(points: dict[str, tuple[float, float]]) -> list[str]:
    """The arms that no other beats in one coordinate without losing in the other; less is better in both."""
    return [
        arm for arm, (x, y) in points.items()
        if not any(a <= x and b <= y and (a, b) != (x, y) for a, b in points.values())
    ]  # fmt: skip


def panel(axes: Any, arms: dict[str, Any], skip: Iterable[str] = ()) -> None:
    """Each arm's p99 over its bytes; a ring around those on the front. `skip`: arms left out, told in the title."""
    left_out = []
    points = {}
    for arm, estimates in arms.items():
        x, y = estimates[X], estimates[Y]
        if x["mean"] is None or y["mean"] is None:
            continue
        if arm in skip:
            left_out.append(f"{arm.replace('_', '-')} ({x['mean']:.3g} %, {y['mean']:.3g} ms)")
            continue
        colour, mark = SHARD_MARKS[arm]
        points[arm] = (x["mean"], y["mean"])
        axes.errorbar(x["mean"], y["mean"], _error(y), _error(x), fmt=mark, color=colour, markersize=5.5, capsize=2.5, elinewidth=1, linestyle="none", label=arm.replace("_", "-"))
    best = front(points)
    axes.plot([points[arm][0] for arm in best], [points[arm][1] for arm in best], "o", markersize=11, markerfacecolor="none", markeredgecolor="#888888", markeredgewidth=0.8, label="not beaten")
    if left_out:
        axes.set_title("beyond the scale: " + ", ".join(left_out), fontsize=6.5, color="#555555")


def beyond(arms: dict[str, Any]) -> list[str]:
    """Arms whose p99 is that of packets that never came: they would squeeze the others together."""
    known = {arm: row[Y]["mean"] for arm, row in arms.items() if row[Y]["mean"] is not None}
    least = min(known.values(), default=0.0)
    return [arm for arm, value in known.items() if value > 6 * least]


def write_points(path: Path, networks: dict[str, dict[str, Any]]) -> None:
    """`networks`: arms by network."""
    rows = [
        (network, arm, metric, estimates[metric]["unit"], estimates[metric]["mean"], *estimates[metric]["ci95"], estimates[metric]["n"])
        for network, arms in networks.items()
        for arm, estimates in arms.items()
        for metric in estimates
    ]
    write_csv(path, ["network", "arm", "metric", "unit", "mean", "low", "high", "n"], rows)


def pareto(document: dict[str, Any], folder: Path) -> list[Path]:
    """One scenario's arms."""
    write_points(folder / "pareto.csv", {document["scenario"]: document["arms"]})
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(6.4, 4.0))
        panel(axes, document["arms"], beyond(document["arms"]))
        axes.set_xlabel("extra bytes on the wire [%]")
        axes.set_ylabel("99th percentile of completion time [ms]")
        axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), fontsize=7, frameon=False)
        caption(figure, document["config"], f"scenario {document['scenario']}, input {Path(document['config']['input']).name}")
        return save(figure, folder, "pareto")


def caption(figure: Any, config: dict[str, Any], text: str) -> None:
    n = config["seeds"]
    spread = f"mean and 95 % t-interval over n = {n} seeds" if n > 1 else "n = 1 seed, no interval"
    figure.supxlabel(f"{text}; {spread}", fontsize=7)


def networks(document: dict[str, Any], folder: Path) -> list[Path]:
    """A panel a network (`pareto`)."""
    found = document["networks"]
    write_points(folder / "pareto.csv", {name: row["arms"] for name, row in found.items()})
    columns = min(2, len(found))
    with plt.rc_context(STYLE):
        figure, grid = plt.subplots(-(-len(found) // columns), columns, figsize=(4.2 * columns + 1.2, 3.2 * -(-len(found) // columns)), squeeze=False)
        for axes in grid.flat[len(found) :]:
            axes.set_visible(False)
        for axes, (name, row) in zip(grid.flat, found.items()):
            panel(axes, row["arms"], beyond(row["arms"]))
            axes.annotate(name, (0.98, 0.96), xycoords="axes fraction", ha="right", va="top", fontsize=9, weight="bold")
            axes.set_xlabel("extra bytes on the wire [%]", fontsize=8)
            axes.set_ylabel("p99 of completion time [ms]", fontsize=8)
        handles: dict[str, Any] = {}
        for axes in grid.flat[: len(found)]:
            handles |= {label: handle for handle, label in zip(*axes.get_legend_handles_labels())}
        grid[0][-1].legend(handles.values(), handles.keys(), loc="upper left", bbox_to_anchor=(1.01, 1.0), fontsize=7, frameon=False)
        caption(figure, document["config"], f"input {Path(document['config']['input']).name}")
        return save(figure, folder, "pareto")


def completion(document: dict[str, Any], times: dict[str, list[np.ndarray]], folder: Path) -> list[Path]:
    """The share of packets that took longer, for each arm."""
    drawn: list[tuple[Any, ...]] = []
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(6.4, 3.6))
        for arm, samples in times.items():
            values = np.sort(np.concatenate(samples)) if samples else np.empty(0)
            if not len(values):
                continue
            places = ranks(len(values))
            shares = 1 - places / len(values)
            drawn += [(arm, value, share) for value, share in zip(values[places].tolist(), shares.tolist())]
            axes.step(values[places], shares, color=SHARD_MARKS[arm][0], where="post", linewidth=1.2, label=arm.replace("_", "-"))
        axes.axhline(0.01, color="#999999", linewidth=0.7)
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlabel("completion time [ms]")
        axes.set_ylabel("share of packets above")
        axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), fontsize=7, frameon=False)
        caption(figure, document["config"], f"scenario {document['scenario']}, input {Path(document['config']['input']).name}; the line is the p99")
        write_csv(folder / "completion.csv", ["arm", "completion_ms", "share_above"], drawn)
        return save(figure, folder, "completion")


def collapse(document: dict[str, Any], folder: Path) -> list[Path]:
    """Offered and delivered rate over the load of packets, by size controller."""
    points = document["loads"]
    shown = {"offered_share": ("offered", "--"), "goodput_share": ("delivered", "-")}
    rows = [
        (p["controller"], p["load"], metric, p["metrics"][metric]["mean"], *p["metrics"][metric]["ci95"], p["metrics"][metric]["n"]) for p in points for metric in shown
    ]  # fmt: skip
    write_csv(folder / "collapse.csv", ["controller", "load", "metric", "mean", "low", "high", "n"], rows)
    colours = {"naive": SHARD_MARKS["naive"][0], "closed form": SHARD_MARKS["rack"][0]}
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(6.0, 3.8))
        for controller in dict.fromkeys(p["controller"] for p in points):
            own = [p for p in points if p["controller"] == controller]
            loads = [p["load"] for p in own]
            for metric, (label, dash) in shown.items():
                estimates = [p["metrics"][metric] for p in own]
                axes.plot(loads, [e["mean"] for e in estimates], dash, color=colours[controller], marker="o", markersize=3, linewidth=1.3, label=f"{controller}: {label}")
                if all(e["ci95"][0] is not None for e in estimates):
                    low, high = zip(*(e["ci95"] for e in estimates))
                    axes.fill_between(loads, low, high, color=colours[controller], alpha=0.15, linewidth=0)
        axes.axhline(1, color="#999999", linewidth=0.7)
        axes.set_xlabel("load: packets as they are, share of the link's rate")
        axes.set_ylabel("share of the link's rate")
        axes.legend(fontsize=7.5, frameon=False)
        caption(figure, document["config"], "one bottleneck; delivered: packets that came whole")
        return save(figure, folder, "collapse")
