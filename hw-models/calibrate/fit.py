#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""From measured samples to a profile: cycles a stage's visit, a unit of work, and a cache line by where it lies.

    hw-models/calibrate/fit.py SAMPLES --out PROFILE --name NAME [--command TEXT]

Cycles of a packet are explained as a sum of non-negative prices times counts. Samples of one cell (a configuration and
its traffic) are first reduced to their median; prices minimise the relative error over cells under Huber's loss
(iteratively reweighted non-negative least squares), so that the cells that something disturbed do not bend them. Where
counts rise and fall together the data cannot tell their prices apart: a weak pull towards the prior profile settles it,
and the interval, from a bootstrap over whole cells, says how far it could be otherwise.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import re
import sys
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import nnls

HERE = Path(__file__).resolve().parent
PRIOR = HERE.parent / "profiles" / "x86-core.json"
HUBER = 0.05  # relative error from which a cell counts less
PULL = 0.0003  # weight of the prior, as the relative error that a price wrong by its own size is worth
RESAMPLES = 200
COLD = "cold"  # a nuisance: what a burst pays besides its tables when other memory was read before it


@dataclass
class Cells:
    """One row a cell: counts a packet and the median of the cycles a packet."""

    names: list[str]  # of the columns of counts
    counts: np.ndarray
    cycles: np.ndarray
    about: list[str]
    spread: np.ndarray  # between the samples of a cell, as a share of their median

    def take(self, rows: np.ndarray) -> Cells:
        return Cells(
            self.names, self.counts[rows], self.cycles[rows], [self.about[i] for i in rows], self.spread[rows]
        )


def cells_of(samples: dict[str, Any]) -> Cells:
    """Whole-path samples, a row a cell."""
    stages, items, levels = samples["stages"], samples["items"], samples["levels"]
    names = [f"stage.{s}" for s in stages] + [f"work.{i}" for i in items] + [f"level.{b}" for b in levels] + [COLD]
    by_cell = defaultdict(list)
    for row in samples["rows"]:
        if row["part"] == "whole" and row["packets"]:
            by_cell[row["cell"]].append(row)
    counts, cycles, about, spread = [], [], [], []
    for index in sorted(by_cell):
        cell, rows = samples["cells"][index], by_cell[index]
        packets = sum(row["packets"] for row in rows)
        visits, work = (np.sum([row[key] for row in rows], axis=0) / packets for key in ("visits", "work"))
        lines = work[:, items.index("cache_line")].sum() - work[stages.index("slow_path"), items.index("cache_line")]
        each = [row["cycles"] / row["packets"] for row in rows]
        counts.append([*visits, *work.sum(axis=0), *(lines * share for share in cell["beyond"]), float(cell["evicted_bytes"] > 0)])
        cycles.append(np.median(each))
        about.append(cell["about"])
        spread.append((max(each) - min(each)) / np.median(each))
    return Cells(names, np.array(counts), np.array(cycles), about, np.array(spread))


def prior_of(names: list[str], profile: dict[str, Any]) -> np.ndarray:
    """What each price is pulled towards: the prior profile's; 0 for what it does not have."""
    values = []
    for name in names:
        room, _, key = name.partition(".")
        values.append(profile[room][key]["value"] if room in ("stage", "work") else 0.0)
    return np.array(values)


def fit(cells: Cells, prior: np.ndarray) -> np.ndarray:
    """Prices, one a column."""
    scale = 1 / cells.cycles
    pull = PULL * math.sqrt(len(cells.cycles)) / np.maximum(prior, 1.0)
    # Nothing pulls what the prior does not know.
    pull[prior == 0] = 1e-6
    weight = np.ones(len(cells.cycles))
    prices = prior
    for _ in range(50):
        rows = cells.counts * (scale * weight)[:, None]
        stacked = np.vstack([rows, np.diag(pull)])
        target = np.concatenate([weight, pull * prior])
        before, (prices, _) = prices, nnls(stacked, target)
        error = np.abs(cells.counts @ prices * scale - 1)
        weight = np.sqrt(1 / np.maximum(1, error / HUBER))
        if np.allclose(prices, before, rtol=1e-6, atol=1e-6):
            break
    return prices


def errors(cells: Cells, prices: np.ndarray) -> np.ndarray:
    """(predicted - measured) / measured, a cell."""
    return cells.counts @ prices / cells.cycles - 1


def bootstrap(cells: Cells, prior: np.ndarray, seed: int) -> np.ndarray:
    """Prices of RESAMPLES draws of cells with replacement, a row each."""
    rng = np.random.default_rng(seed)
    return np.array([fit(cells.take(rng.integers(0, len(cells.cycles), len(cells.cycles))), prior) for _ in range(RESAMPLES)])


def cross_validated(cells: Cells, prior: np.ndarray, seed: int, folds: int = 10) -> np.ndarray:
    """The error of each cell under prices fitted without its fold."""
    rng = np.random.default_rng(seed)
    fold = rng.permutation(np.arange(len(cells.cycles)) % folds)
    out = np.zeros(len(cells.cycles))
    for k in range(folds):
        prices = fit(cells.take(np.flatnonzero(fold != k)), prior)
        out[fold == k] = errors(cells.take(np.flatnonzero(fold == k)), prices)
    return out


def cache_sizes() -> dict[str, int]:
    """Data cache sizes of this machine in bytes, by level; empty where the system does not say."""
    sizes = {}
    for index in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        if (index / "type").read_text().strip() == "Instruction":
            continue
        number, unit = re.fullmatch(r"(\d+)([KMG]?)", (index / "size").read_text().strip()).groups()
        sizes["L" + (index / "level").read_text().strip()] = int(number) << {"": 0, "K": 10, "M": 20, "G": 30}[unit]
    return sizes


def machine() -> dict[str, Any]:
    info = Path("/proc/cpuinfo").read_text()

    def field(name: str) -> str | None:
        match = re.search(rf"^{name}\s*:\s*(.+)$", info, re.MULTILINE)
        return match.group(1) if match else None

    return {
        "cpu": field("model name"),
        "microcode": field("microcode"),
        "hypervisor": "hypervisor" in (field("flags") or "").split(),
        "caches": cache_sizes(),
        "kernel": platform.release(),
    }


def number(value: float, unit: str, low: float, high: float, source: str, mark: str = "measured") -> dict[str, Any]:
    value, low, high = (round(float(v), 3) for v in (value, low, high))
    return {"value": value, "unit": unit, "interval": [min(low, value), max(high, value)], "source": source, "mark": mark}


def profile_of(samples: dict[str, Any], name: str, command: str, prior: dict[str, Any], seed: int = 1) -> dict[str, Any]:
    """The profile that the samples say."""
    levels = samples["levels"]
    cells = cells_of(samples)
    if len(cells.cycles) < 2 * 10:
        raise SystemExit(f"fit: {len(cells.cycles)} cells were measured; at least 20 are needed: give more seconds")
    start = prior_of(cells.names, prior)
    prices = fit(cells, start)
    draws = bootstrap(cells, start, seed)
    low, high = np.quantile(draws, [0.025, 0.975], axis=0)
    found = errors(cells, prices)
    held_out = np.abs(cross_validated(cells, start, seed))
    exercised = cells.counts.max(axis=0) > 0
    cpu = machine()["cpu"] or platform.machine()
    today = datetime.now(timezone.utc)
    said = f"fitted to {len(cells.cycles)} configurations of the cores on {cpu}, {today:%Y-%m-%d}; 95 % bootstrap interval over configurations"

    column = {each: i for i, each in enumerate(cells.names)}

    def priced(key: str, room: str, item: str) -> dict[str, Any]:
        i = column[key]
        if exercised[i]:
            return number(prices[i], "cycles", low[i], high[i], said)
        known = prior[room][item]
        return {**known, "source": f"never done while measuring; as in {prior['name']}: {known['source']}", "mark": "general knowledge"}

    def exact(value: float, unit: str, source: str) -> dict[str, Any]:
        return number(value, unit, value, value, source)

    carrying = carrying_of(samples, said, seed)
    profile: dict[str, Any] = {
        "name": name,
        "kind": "device",
        "clock_hz": exact(samples["clock_hz"], "Hz", "the time stamp counter's rate, as DPDK found it"),
        "engines": exact(1, "engines", "one core; a runner has one worker a core"),
        "queue_capacity": exact(1024, "packets", "the runner's receive descriptors a queue"),
        "initiation_interval": exact(0, "cycles", "not a pipeline: a packet occupies its core throughout"),
        "datapath_bytes": exact(0, "bytes", "not a streaming datapath"),
        "stage": {s: priced(f"stage.{s}", "stage", s) for s in samples["stages"]},
        "work": {i: priced(f"work.{i}", "work", i) for i in samples["items"]},
        "cache_levels": [
            {
                "beyond": exact(level, "bytes", "size of a data cache, as the system says"),
                "cycles": number(prices[column[f"level.{level}"]], "cycles", low[column[f"level.{level}"]], high[column[f"level.{level}"]], said),
            }
            for level in levels
        ],
    }
    if carrying:
        profile["carrying"] = carrying
    profile["calibration"] = {
        "date": today.isoformat(timespec="seconds"),
        "command": command,
        "machine": machine(),
        "seed": samples["seed"],
        "cells": len(cells.cycles),
        "samples": sum(row["part"] == "whole" for row in samples["rows"]),
        "samples_discarded": samples["samples_discarded"],
        "bursts": samples["bursts"],
        "bursts_discarded": samples["bursts_discarded"],
        "error": {
            "of_fit": quantiles(np.abs(found)),
            "cross_validated": quantiles(held_out),
            "within_10_percent": round(float((held_out <= 0.1).mean()), 3),
            "bias": round(float(found.mean()), 4),
        },
        "spread_between_samples": quantiles(cells.spread),
        "halves": halves_of(samples),
        "worst": [
            {"cell": cells.about[i], "measured": round(float(cells.cycles[i]), 1), "error": round(float(found[i]), 3)}
            for i in np.argsort(-np.abs(found))[:8]
        ],
    }
    return profile


def quantiles(values: np.ndarray) -> dict[str, float]:
    return {f"p{q}": round(float(np.quantile(values, q / 100)), 4) for q in (50, 90, 100)}


def halves_of(samples: dict[str, Any]) -> dict[str, float]:
    """The share of a packet's cycles that its host's half takes, by arm: measured packet by packet, with the clock read
    in between, so that the parts are told apart at the price of some overlap between them."""
    shares = defaultdict(list)
    cycles: dict[tuple[int, int], dict[str, float]] = defaultdict(dict)
    for row in samples["rows"]:
        if row["packets"]:
            cycles[row["cell"], row["round"]][row["part"]] = row["cycles"] / row["packets"]
    for (cell, _), parts in cycles.items():
        if {"host", "device"} <= set(parts):
            arm = samples["cells"][cell]["about"].split(",")[0].split()[0]
            shares[arm].append(parts["host"] / (parts["host"] + parts["device"]))
    return {arm: round(float(np.median(values)), 3) for arm, values in sorted(shares.items())}


def carrying_of(samples: dict[str, Any], said: str, seed: int) -> dict[str, Any] | None:
    """What the runner's loop costs beside the path, by passes in groups of one packet to as many as a burst takes."""
    each: dict[int, dict[int, list[tuple[float, float, float]]]] = defaultdict(lambda: defaultdict(list))
    for row in samples.get("carrying", []):
        whole, alone = row["busy_cycles"] / row["packets"], row["path_cycles"] / row["packets"]
        each[row["cell"]][row["group"]].append((row["bursts"] / row["packets"], whole - alone, whole))
    solved = []
    for groups in each.values():
        rows = np.array([np.median(passes, axis=0) for _, passes in sorted(groups.items())])
        if len(rows) < 2:
            continue
        # Errors count as shares of the whole packet's cycles.
        counts = np.column_stack([rows[:, 0], np.ones(len(rows))]) / rows[:, 2:]
        solved.append(nnls(counts, np.maximum(rows[:, 1] / rows[:, 2], 0))[0])
    if not solved:
        return None
    table = np.array(solved)
    rng = np.random.default_rng(seed)
    draws = np.array([np.median(table[rng.integers(0, len(table), len(table))], axis=0) for _ in range(RESAMPLES)])
    low, high = np.quantile(draws, [0.025, 0.975], axis=0)
    prices = np.median(table, axis=0)
    source = re.sub("fitted to .* on", f"the runner's worker between two rings less the path alone, {len(table)} configurations on", said)
    return {
        "packet": number(prices[1], "cycles", low[1], high[1], source),
        "burst": number(prices[0], "cycles", low[0], high[0], source),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("samples", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument("--command", default="foreflow calibrate")
    arguments = parser.parse_args()
    samples = json.loads(arguments.samples.read_text())
    profile = profile_of(samples, arguments.name, arguments.command, json.loads(PRIOR.read_text()))
    arguments.out.write_text(json.dumps(profile, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
