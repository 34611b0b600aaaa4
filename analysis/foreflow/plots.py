# SPDX-License-Identifier: BSD-3-Clause
"""The figures of a run, PNG and PDF, with units, 95 % intervals and n in the caption."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402, the backend comes first
import numpy as np  # noqa: E402

from foreflow.table import number  # noqa: E402

# Okabe and Ito (2008): told apart by colour-blind readers too. An arm has one colour and one dash in every figure.
COLOURS = {"off": "#000000", "reactive": "#0072B2", "predictive": "#D55E00", "oracle": "#009E73", "anti_oracle": "#CC79A7"}
DASHES = {"off": ":", "reactive": "--", "predictive": "-", "oracle": "-.", "anti_oracle": (0, (5, 1, 1, 1, 1, 1))}
STYLE = {
    "font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.alpha": 0.25,
    "axes.axisbelow": True, "figure.constrained_layout.use": True, "pdf.fonttype": 42,
}  # fmt: skip


def save(figure: Any, folder: Path, name: str) -> list[Path]:
    paths = [folder / f"{name}.png", folder / f"{name}.pdf"]
    # No dates in the files: the same run gives the same bytes.
    figure.savefig(paths[0], dpi=160, metadata={"Software": None})
    figure.savefig(paths[1], metadata={"CreationDate": None})
    plt.close(figure)
    return paths


def _points(axes: Any, document: dict[str, Any], metric: str, label: str) -> None:
    """Mean and interval of each arm. Where `off` would squeeze the others together, it is told in words."""
    estimates = {arm: rows[metric] for arm, rows in document["arms"].items() if rows[metric]["mean"] is not None}
    others = [estimate["mean"] for arm, estimate in estimates.items() if arm != "off"]
    if "off" in estimates and others:
        distance = max(abs(estimates["off"]["mean"] - other) for other in others)
        if distance > 3 * max(max(others) - min(others), 0.02 * max(map(abs, others))):
            axes.set_title(f"off: {number(estimates.pop('off')['mean'])}, beyond the scale", fontsize=7.5, color="#555555")
    for position, (arm, estimate) in enumerate(estimates.items()):
        low, high = estimate["ci95"]
        error = None if low is None else [[estimate["mean"] - low], [high - estimate["mean"]]]
        axes.errorbar(position, estimate["mean"], error, fmt="o", color=COLOURS[arm], capsize=5, markersize=6, elinewidth=1.4)
        axes.annotate(
            number(estimate["mean"]), (position, estimate["mean"]), xytext=(0, 7), textcoords="offset points", fontsize=7.5, ha="center"
        )
    axes.set_xticks(range(len(estimates)), [arm.replace("_", "-") for arm in estimates], rotation=25, ha="right")
    axes.set_xlim(-0.5, max(len(estimates), 1) - 0.5)
    axes.grid(axis="x", visible=False)
    axes.margins(y=0.2)
    bottom, top = axes.get_ylim()
    axes.set_ylim(bottom=max(bottom, -0.04 * top))  # nothing here is below 0
    axes.ticklabel_format(axis="y", useOffset=False)
    axes.set_ylabel(label)


def _caption(figure: Any, document: dict[str, Any], text: str) -> None:
    n = document["config"]["seeds"]
    spread = f"mean and 95 % t-interval over n = {n} seeds" if n > 1 else "n = 1 seed, no interval"
    figure.supxlabel(f"{text}; {spread}; scenario {document['scenario']}, input {_short_input(document)}", fontsize=7.5)


def _short_input(document: dict[str, Any]) -> str:
    return Path(document["config"]["input"]).name


def fast_path(document: dict[str, Any], folder: Path) -> list[Path]:
    """Hit ratio and punts for each arm."""
    with plt.rc_context(STYLE):
        figure, (left, right) = plt.subplots(1, 2, figsize=(7.6, 3.1))
        _points(left, document, "hit_ratio", "fast-path hit ratio [share of packets]")
        _points(right, document, "punts_per_thousand", "slow-path punts [per 1000 packets]")
        _caption(figure, document, f"device holds {document['config']['device']['flow_entries']} flow entries")
        return save(figure, folder, "fast_path")


def latency(document: dict[str, Any], by_arm: dict[str, list[np.ndarray]], folder: Path) -> list[Path]:
    """Distribution of request/response latency for each arm, all seeds together, and the p99 with its interval."""
    with plt.rc_context(STYLE):
        figure, (left, right) = plt.subplots(1, 2, figsize=(7.6, 3.1), width_ratios=(1.4, 1))
        for arm, samples in by_arm.items():
            values = np.sort(np.concatenate(samples)) if samples else np.empty(0)
            if len(values):
                # The share of packets that took longer, on a grid of at most 2000 ranks.
                ranks = np.unique(np.linspace(0, len(values) - 1, min(len(values), 2000)).astype(int))
                left.step(
                    values[ranks], 1 - ranks / len(values), color=COLOURS[arm], linestyle=DASHES[arm],
                    where="post", label=arm.replace("_", "-"), linewidth=1.4,
                )  # fmt: skip
        left.axhline(0.01, color="#999999", linewidth=0.7)
        left.annotate("p99", (0, 0.01), xycoords=("axes fraction", "data"), xytext=(3, 1), textcoords="offset points", fontsize=7.5)
        left.set_xscale("log")
        left.set_yscale("log")
        left.set_xlabel("request/response latency [µs]")
        left.set_ylabel("share of packets above")
        if left.get_legend_handles_labels()[1]:
            left.legend(frameon=False, fontsize=8)
        _points(right, document, "request_response_p99_us", "request/response p99 [µs]")
        _caption(figure, document, f"offered load {document['config']['traffic']['load']:g} of the link")
        return save(figure, folder, "latency")


def work(document: dict[str, Any], folder: Path) -> list[Path]:
    """Cycles a packet, device and host, prediction apart."""
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(1, 3, figsize=(7.6, 3.2))
        for part, metric, label in zip(
            axes,
            ("device_cycles_per_packet", "host_cycles_per_packet", "prediction_cycles_per_packet"),
            ("device", "host, prediction apart", "prediction"),
            strict=True,
        ):
            _points(part, document, metric, f"{label} [cycles/packet]")
        _caption(figure, document, "work charged by the profiles")
        return save(figure, folder, "work")


def validation(document: dict[str, Any], folder: Path) -> list[Path]:
    """What the simulator predicted against what the runner measured, throughput and latency, on a line where they agree."""
    kinds = (
        ("throughput", "throughput [million packets/s and core]", 1e-6, 0.10),
        ("latency p50", "median latency [µs]", 1.0, None),
        ("latency p99 ", "p99 latency [µs]", 1.0, 0.20),
    )
    cases = list(dict.fromkeys(row["case"] for row in document["rows"]))
    colours = plt.get_cmap("tab10")
    with plt.rc_context(STYLE):
        figure, (*axes, beside) = plt.subplots(1, len(kinds) + 1, figsize=(11.4, 3.3), width_ratios=(*[1] * len(kinds), 0.75))
        for part, (what, label, scale, aim) in zip(axes, kinds, strict=True):
            rows = [row for row in document["rows"] if row["what"].startswith(what) and row["measured"] > 0 and row["predicted"] > 0]
            if not rows:
                continue
            ends = [value * scale for row in rows for value in (row["predicted"], row["measured"])]
            line = np.array([min(ends) / 1.3, max(ends) * 1.3])
            part.plot(line, line, color="#555555", linewidth=0.8)
            if aim is not None:
                part.fill_between(line, line * (1 - aim), line * (1 + aim), color="#bbbbbb", alpha=0.4, linewidth=0)
                part.set_title(f"grey: within {aim:.0%}", fontsize=7.5, color="#555555")
            for row in rows:
                low, high = row["ci95"]
                error = [[(row["measured"] - low) * scale], [(high - row["measured"]) * scale]]
                part.errorbar(
                    row["measured"] * scale, row["predicted"] * scale, xerr=error, fmt="o", markersize=4, capsize=2,
                    color=colours(cases.index(row["case"]) % 10),
                )  # fmt: skip
            part.set_xscale("log")
            part.set_yscale("log")
            part.set_xlabel(f"measured {label}")
            part.set_ylabel("predicted")
        handles = [plt.Line2D([], [], color=colours(i % 10), marker="o", linestyle="", markersize=4, label=case) for i, case in enumerate(cases)]
        beside.axis("off")
        beside.legend(handles=handles, loc="center left", frameon=False, fontsize=7)
        n = document["repetitions"]
        figure.supxlabel(f"median of n = {n} passes with 95 % bootstrap intervals; latency at 0.3, 0.6 and 0.8 of the capacity", fontsize=7.5)
        return save(figure, folder, "validation")
