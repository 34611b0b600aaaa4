# SPDX-License-Identifier: BSD-3-Clause
"""The figures of a run, PNG and PDF, with units, 95 % intervals and n in the caption."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402, the backend comes first
import numpy as np  # noqa: E402

# Okabe and Ito (2008): told apart by colour-blind readers too. An arm has one colour and one dash in every figure.
COLOURS = {"off": "#000000", "reactive": "#0072B2", "predictive": "#D55E00", "oracle": "#009E73", "anti_oracle": "#CC79A7"}
DASHES = {"off": ":", "reactive": "--", "predictive": "-", "oracle": "-.", "anti_oracle": (0, (5, 1, 1, 1, 1, 1))}
STYLE = {
    "font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.alpha": 0.25,
    "axes.axisbelow": True, "figure.constrained_layout.use": True, "pdf.fonttype": 42,
}  # fmt: skip


def _save(figure: Any, folder: Path, name: str) -> list[Path]:
    paths = [folder / f"{name}.png", folder / f"{name}.pdf"]
    # No dates in the files: the same run gives the same bytes.
    figure.savefig(paths[0], dpi=160, metadata={"Software": None})
    figure.savefig(paths[1], metadata={"CreationDate": None})
    plt.close(figure)
    return paths


def _bars(axes: Any, document: dict[str, Any], metric: str, label: str) -> None:
    arms = [arm for arm in document["arms"] if document["arms"][arm][metric]["mean"] is not None]
    for position, arm in enumerate(arms):
        estimate = document["arms"][arm][metric]
        low, high = estimate["ci95"]
        error = None if low is None else [[estimate["mean"] - low], [high - estimate["mean"]]]
        axes.bar(position, estimate["mean"], 0.66, color=COLOURS[arm], yerr=error, capsize=4, ecolor="#555555")
        axes.annotate(
            f"{estimate['mean']:.4g}", (position, estimate["mean"]), xytext=(0, 5), textcoords="offset points",
            ha="center", fontsize=7.5,
        )  # fmt: skip
    axes.set_xticks(range(len(arms)), [arm.replace("_", "-") for arm in arms])
    axes.grid(axis="x", visible=False)
    axes.margins(y=0.15)
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
        _bars(left, document, "hit_ratio", "fast-path hit ratio [share of packets]")
        _bars(right, document, "punts_per_thousand", "slow-path punts [per 1000 packets]")
        _caption(figure, document, f"device holds {document['config']['device']['flow_entries']} flow entries")
        return _save(figure, folder, "fast_path")


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
        left.annotate("p99", (1, 0.01), xycoords=("axes fraction", "data"), ha="right", va="bottom", fontsize=7.5)
        left.set_xscale("log")
        left.set_yscale("log")
        left.set_xlabel("request/response latency [µs]")
        left.set_ylabel("share of packets above")
        if left.get_legend_handles_labels()[1]:
            left.legend(frameon=False, fontsize=8)
        _bars(right, document, "request_response_p99_us", "request/response p99 [µs]")
        right.tick_params(axis="x", labelsize=7)
        _caption(figure, document, f"offered load {document['config']['traffic']['load']:g} of the link")
        return _save(figure, folder, "latency")


def work(document: dict[str, Any], folder: Path) -> list[Path]:
    """Cycles a packet, device and host, prediction apart."""
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(1, 3, figsize=(7.6, 2.9))
        for part, metric, label in zip(
            axes,
            ("device_cycles_per_packet", "host_cycles_per_packet", "prediction_cycles_per_packet"),
            ("device", "host, prediction left out", "prediction, on the host"),
            strict=True,
        ):
            _bars(part, document, metric, "cycles a packet")
            part.set_title(label, fontsize=8.5)
            part.tick_params(axis="x", labelsize=6.5)
        _caption(figure, document, "work charged by the profiles")
        return _save(figure, folder, "work")
