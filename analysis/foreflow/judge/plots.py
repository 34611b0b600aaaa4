# SPDX-License-Identifier: BSD-3-Clause
"""The figures of a run, PNG and PDF, with units, 95 % intervals and n in the caption; what they draw is beside them as CSV."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import h5py
import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402, the backend comes first
import numpy as np  # noqa: E402

from foreflow.judge.table import number  # noqa: E402

# Okabe and Ito (2008): told apart by colour-blind readers too. An arm has one colour and one dash in every figure.
COLOURS = {"off": "#000000", "reactive": "#0072B2", "predictive": "#D55E00", "oracle": "#009E73", "anti_oracle": "#CC79A7"}
DASHES = {"off": ":", "reactive": "--", "predictive": "-", "oracle": "-.", "anti_oracle": (0, (5, 1, 1, 1, 1, 1))}
# Of system shard: colour and marker. Rules of one kind share a colour.
SHARD_MARKS = {
    "off": ("#000000", "x"), "timeout": ("#999999", "x"), "fixed": ("#56B4E9", "v"), "three": ("#56B4E9", "^"), "ewma": ("#56B4E9", "d"),
    "rack": ("#0072B2", "s"), "rack_repair": ("#0072B2", "P"), "learned": ("#D55E00", "s"), "learned_repair": ("#D55E00", "P"),
    "bayes": ("#E69F00", "D"), "clairvoyant": ("#009E73", "*"), "naive": ("#CC79A7", "X"),
}  # fmt: skip
COLOURS |= {arm: colour for arm, (colour, _) in SHARD_MARKS.items()}
_SHARD_DASHES = {"three": "--", "ewma": ":", "rack_repair": "-.", "learned_repair": "-."}
DASHES |= {arm: _SHARD_DASHES.get(arm, "-") for arm in SHARD_MARKS if arm != "off"}
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


def write_csv(path: Path, head: list[str], rows: Iterable[Iterable[Any]]) -> None:
    """The numbers of a figure."""
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(head)
        table.writerows(rows)


def _write_points(path: Path, document: dict[str, Any], metrics: tuple[str, ...]) -> None:
    rows = [
        (metric, estimates[metric]["unit"], arm, estimates[metric]["mean"], *estimates[metric]["ci95"], estimates[metric]["n"])
        for metric in metrics
        for arm, estimates in document["arms"].items()
    ]
    write_csv(path, ["metric", "unit", "arm", "mean", "low", "high", "n"], rows)


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
        _write_points(folder / "fast_path.csv", document, ("hit_ratio", "punts_per_thousand"))
        _caption(figure, document, f"device holds {document['config']['device']['flow_entries']} flow entries")
        return save(figure, folder, "fast_path")


RANKS = 600  # drawn of a distribution


def ranks(n: int) -> np.ndarray:
    """At most RANKS places of n sorted values: half of them even, half denser towards the largest."""
    even = np.linspace(0, n - 1, min(n, RANKS // 2))
    tail = n - np.geomspace(1, n, min(n, RANKS // 2))
    return np.unique(np.concatenate([even, tail]).astype(int))


def latency(document: dict[str, Any], by_arm: dict[str, list[np.ndarray]], folder: Path) -> list[Path]:
    """Distribution of request/response latency for each arm, all seeds together, and the p99 with its interval."""
    with plt.rc_context(STYLE):
        figure, (left, right) = plt.subplots(1, 2, figsize=(7.6, 3.1), width_ratios=(1.4, 1))
        drawn: list[tuple[Any, ...]] = []
        for arm, samples in by_arm.items():
            values = np.sort(np.concatenate(samples)) if samples else np.empty(0)
            if len(values):
                places = ranks(len(values))
                # The share of packets that took longer; the longest is shown at the share of one packet.
                shares = 1 - places / len(values)
                drawn += [(arm, value, share) for value, share in zip(values[places].tolist(), shares.tolist())]
                left.step(
                    values[places], shares, color=COLOURS[arm], linestyle=DASHES[arm],
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
        write_csv(folder / "latency.csv", ["arm", "latency_us", "share_above"], drawn)
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
        _write_points(folder / "work.csv", document, ("device_cycles_per_packet", "host_cycles_per_packet", "prediction_cycles_per_packet"))
        _caption(figure, document, "work charged by the profiles")
        return save(figure, folder, "work")


TIERS = {"learned": "#999999", "table": "#56B4E9", "network": "#D55E00"}


def models(document: dict[str, Any], results: list[Any], folder: Path) -> list[Path]:
    """How trained models did over the first seed's run of the predictive arm: losses, alarms, and whose word weighed most."""
    told = next((r for r in results if r.ok and r.run.arm == "predictive" and r.summary.get("models")), None)
    if told is None:
        return []
    # A point has at least 100 outcomes: cells of equal time that hold fewer are joined.
    cells = _joined(told.summary["models"][0]["history"]["cells"], 100)
    if not cells:
        return []
    edges = np.concatenate([[0], np.cumsum([sum(cell["outcomes"].values()) for cell in cells])])
    middles, widths = (edges[:-1] + edges[1:]) / 2, np.diff(edges)
    with plt.rc_context(STYLE):
        figure, (upper, lower) = plt.subplots(2, 1, figsize=(7.6, 5.0), sharex=True, height_ratios=(2.2, 1))
        for key, label, colour, line in (
            ("model_bits", "models", "#D55E00", "--"), ("fallback_bits", "what learns on (a sample)", "#0072B2", ":"), ("bits", "mixed: what tags say", "#000000", "-"),
        ):  # fmt: skip
            values = np.array([np.nan if cell[key] is None else cell[key] for cell in cells], dtype=float)
            known = ~np.isnan(values)
            upper.plot(middles[known], values[known], color=colour, linestyle=line, linewidth=1.3, label=label)
        upper.set_ylim(bottom=0)
        at = middles[[cell["alarms"] > 0 for cell in cells]]
        upper.plot(at, np.full(len(at), 0.97), "v", color="#CC79A7", markersize=5, transform=upper.get_xaxis_transform(), label="alarm of the drift detector")
        counts = np.array([[cell["outcomes"][tier] for tier in TIERS] for cell in cells], dtype=float)
        shares = counts / counts.sum(axis=1, keepdims=True)
        bottom = np.zeros(len(cells))
        for index, (tier, colour) in enumerate(TIERS.items()):
            lower.bar(edges[:-1], shares[:, index], widths, bottom, color=colour, align="edge", label={"learned": "what learns on"}.get(tier, tier))
            bottom += shares[:, index]
        shift = _outcomes_before_shift(told)
        if shift is not None:
            for axes in (upper, lower):
                axes.axvline(shift, color="#555555", linewidth=0.9, linestyle=(0, (6, 3)))
            upper.annotate("another input", (shift, 0.88), xycoords=("data", "axes fraction"), xytext=(3, 0), textcoords="offset points", fontsize=7.5)
        rows = [
            (middle, width, *("" if cell[key] is None else cell[key] for key in LOSSES), cell["alarms"], *own)
            for middle, width, cell, own in zip(middles.tolist(), widths.tolist(), cells, shares.tolist())
        ]
        write_csv(folder / "models.csv", ["packets_until_middle", "packets", *LOSSES, "alarms", *(f"{tier}_share" for tier in TIERS)], rows)
        upper.set_ylabel("log loss of types [bits]")
        lower.set_ylabel("weighed most")
        lower.set_xlabel("packets whose type has become known")
        upper.legend(*_labels(upper, lower), loc="lower center", bbox_to_anchor=(0.5, 1.0), frameon=False, fontsize=7.5, ncols=3)
        predictor = document["config"]["prediction"]["predictor"]
        figure.supxlabel(
            f"predictor {predictor}, seed {told.run.seed}, lane 0; means over 100 packets and more; scenario {document['scenario']}, input {_short_input(document)}",
            fontsize=7.5,
        )
        return save(figure, folder, "models")


def _labels(*axes: Any) -> tuple[list[Any], list[str]]:
    pairs = [each.get_legend_handles_labels() for each in axes]
    return [handle for handles, _ in pairs for handle in handles], [label for _, labels in pairs for label in labels]


LOSSES = {"bits": "outcomes", "model_bits": "outcomes", "fallback_bits": "compared"}  # a cell's means, and of how many


def _number(cell: dict[str, Any], of: str) -> int:
    return int(sum(cell["outcomes"].values()) if of == "outcomes" else cell[of])


def _joined(cells: list[dict[str, Any]], least: int) -> list[dict[str, Any]]:
    """Neighbouring cells of a history joined until each has `least` outcomes, the last perhaps fewer."""
    joined: list[dict[str, Any]] = []
    for cell in cells:
        if not joined or _number(joined[-1], "outcomes") >= least:
            joined.append({"outcomes": dict.fromkeys(TIERS, 0), "compared": 0, "alarms": 0, **dict.fromkeys(LOSSES)})
        into = joined[-1]
        for key, of in LOSSES.items():
            before, more = _number(into, of), _number(cell, of)
            if more:
                into[key] = ((into[key] or 0.0) * before + cell[key] * more) / (before + more)
        for tier, number_of in cell["outcomes"].items():
            into["outcomes"][tier] += number_of
        into["compared"] += cell["compared"]
        into["alarms"] += cell["alarms"]
    return [cell for cell in joined if _number(cell, "outcomes")]


def _outcomes_before_shift(result: Any) -> int | None:
    """Packets of profiled VMs before the first of traffic.shift_input."""
    found = [re.match(r"packets from (\d+) on are", note) for note in result.summary.get("notes", [])]
    first = next((int(match.group(1)) for match in found if match), None)
    if first is None:
        return None
    with h5py.File(result.trace) as file:
        return int(np.count_nonzero(file["packets"][:first]["vm"]))


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
            rows = [{"case": row["case"], **row["scaled"]} for row in document["rows"] if row["what"].startswith(what)]
            rows = [row for row in rows if row["measured"] > 0 and row["predicted"] > 0]
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
        n, timed = document["floods"], document["timed"]
        figure.supxlabel(
            f"medians of {n} passes ({timed} for latency) with 95 % bootstrap intervals; latency at 0.3, 0.6 and 0.8 of the capacity;"
            " predicted for the machine's speed at the time", fontsize=7.5,
        )  # fmt: skip
        return save(figure, folder, "validation")
