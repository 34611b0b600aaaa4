#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""From measured samples to a profile: cycles a stage's visit, a unit of work, and a cache line by where it lies.

    hw-models/calibrate/fit.py SAMPLES --out PROFILE --name NAME [--command TEXT]

Cycles of a packet are explained as a sum of non-negative prices times counts. A sample lies between two readings of the
yardstick and is divided by how much slower than usual the machine was in them; samples of one cell (a configuration and
its traffic) are then reduced to their median. Prices minimise the relative error over cells under Huber's loss
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
LEAST_CELLS = 20
STEADY = 0.10  # a sample around which the yardstick changed by more is used only where a cell has no other
# What carrying is pulled towards, as the prior profile has none: the order of a packet's way in and out of a polling
# driver. A packet is carried once and parsed once, so only this tells the two apart; their sum does not depend on it.
PRIOR_CARRYING = {"packet": 60.0, "burst": 100.0}


@dataclass
class Cells:
    """One row a cell: counts a packet and the median of the cycles a packet."""

    names: list[str]  # of the columns of counts
    counts: np.ndarray
    cycles: np.ndarray
    about: list[str]
    spread: np.ndarray  # between the samples of a cell, as a share of their median
    families: list[dict[str, str]]  # level by factor

    def take(self, rows: np.ndarray) -> Cells:
        return Cells(
            self.names, self.counts[rows], self.cycles[rows], [self.about[i] for i in rows], self.spread[rows],
            [self.families[i] for i in rows],
        )


def usual_of(samples: dict[str, Any]) -> np.ndarray:
    """The yardstick's usual readings: cycles a packet of each load, the lightest first."""
    readings = np.array([row["yardstick"] for row in samples["rows"]])
    return np.median(readings.reshape(-1, readings.shape[2]), axis=0)


def slowness_at(cycles: float, yardstick: Any, usual: Any) -> float:
    """How many times longer than usual the machine needs now for what usually takes so many cycles a packet.

    `yardstick` is one or more readings, `usual` one. A slow moment does not slow all work alike: between the yardstick's
    loads the slowness is interpolated over the logarithm of their usual cycles, beyond them it is the nearest one's.
    """
    now = np.log(np.atleast_2d(np.asarray(yardstick, dtype=float))).mean(axis=0) - np.log(usual)
    return float(np.exp(np.interp(math.log(cycles), np.log(usual), now)))


def usual_cycles(measured: float, yardstick: Any, usual: Any) -> float:
    """What usually takes so many cycles a packet as it took between these readings: slowness_at, backwards."""
    cycles = measured
    for _ in range(8):
        cycles = measured / slowness_at(cycles, yardstick, usual)
    return cycles


def change(yardstick: Any) -> float:
    """By what share the machine's speed changed between two readings, over all loads."""
    before, after = np.log(np.asarray(yardstick, dtype=float)).mean(axis=1)
    return math.expm1(abs(after - before))


def cells_of(samples: dict[str, Any]) -> Cells:
    """A row a cell that was measured."""
    stages, items, levels = samples["stages"], samples["items"], samples["levels"]
    names = [f"stage.{s}" for s in stages] + [f"work.{i}" for i in items] + [f"level.{b}" for b in levels]
    names += [f"carrying.{each}" for each in PRIOR_CARRYING]
    by_cell = defaultdict(list)
    usual = usual_of(samples)
    for row in samples["rows"]:
        each = usual_cycles(row["quiet_cycles"] / row["packets"], row["yardstick"], usual)
        by_cell[row["cell"]].append((change(row["yardstick"]), each, row["bursts"] / row["packets"]))
    counts, cycles, about, spread, families = [], [], [], [], []
    for index in sorted(by_cell):
        cell = samples["cells"][index]
        rows = [row for row in by_cell[index] if row[0] <= STEADY] or by_cell[index]
        visits, work = (np.array(cell[key]) / cell["packets"] for key in ("visits", "work"))
        lines = work[:, items.index("cache_line")].sum() - work[stages.index("slow_path"), items.index("cache_line")]
        each = [row[1] for row in rows]
        bursts = float(np.mean([row[2] for row in rows]))
        counts.append([*visits, *work.sum(axis=0), *(lines * share for share in cell["beyond"]), 1.0, bursts])
        cycles.append(np.median(each))
        about.append(cell["about"])
        families.append(cell["families"])
        spread.append((max(each) - min(each)) / np.median(each))
    return Cells(names, np.array(counts), np.array(cycles), about, np.array(spread), families)


def prior_of(names: list[str], profile: dict[str, Any]) -> np.ndarray:
    """What each price is pulled towards: the prior profile's; 0 for what it does not have."""
    values = []
    for name in names:
        room, _, key = name.partition(".")
        if room == "carrying":
            values.append(PRIOR_CARRYING[key])
        else:
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
        # The triangle has the same solution, and the active sets are searched in few rows.
        triangle = np.linalg.qr(np.column_stack([stacked, target]), mode="r")
        before, (prices, _) = prices, nnls(triangle[:, :-1], triangle[:, -1])
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


def family_out(cells: Cells, prior: np.ndarray) -> list[dict[str, Any]]:
    """The errors of every family of cells (all of one level of a factor) under prices fitted without it, worst first:
    what to expect of traffic and configurations of a kind that was never measured."""
    out = []
    for factor in sorted({each for families in cells.families for each in families}):
        for level in sorted({families[factor] for families in cells.families if factor in families}):
            inside = np.array([families.get(factor) == level for families in cells.families])
            if inside.sum() < 2 or (~inside).sum() < LEAST_CELLS:
                continue
            found = errors(cells.take(np.flatnonzero(inside)), fit(cells.take(np.flatnonzero(~inside)), prior))
            out.append({
                "family": f"{factor} {level}", "cells": int(inside.sum()), "bias": round(float(np.median(found)), 4),
                **quantiles(np.abs(found)),
            })  # fmt: skip
    return sorted(out, key=lambda family: -family["p50"])


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
    if len(cells.cycles) < LEAST_CELLS:
        raise SystemExit(f"fit: {len(cells.cycles)} cells were measured; at least {LEAST_CELLS} are needed: give more seconds")
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
        return assumed(room, item)

    def assumed(room: str, item: str) -> dict[str, Any]:
        known = prior[room][item]
        return {**known, "source": f"never done while measuring; as in {prior['name']}: {known['source']}", "mark": "general knowledge"}

    def exact(value: float, unit: str, source: str) -> dict[str, Any]:
        return number(value, unit, value, value, source)

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
        "unit": {engine: assumed("unit", engine) for engine in prior["unit"]},
        "cache_levels": [
            {
                "beyond": exact(level, "bytes", "size of a data cache, as the system says"),
                "cycles": number(prices[column[f"level.{level}"]], "cycles", low[column[f"level.{level}"]], high[column[f"level.{level}"]], said),
            }
            for level in levels
        ],
        "carrying": {
            each: number(prices[column[f"carrying.{each}"]], "cycles", low[column[f"carrying.{each}"]], high[column[f"carrying.{each}"]], said)
            for each in PRIOR_CARRYING
        },
    }
    usual = usual_of(samples)
    slow = [float(np.exp(np.log(np.array(row["yardstick"]) / usual).mean())) for row in samples["rows"]]
    families = family_out(cells, start)
    profile["calibration"] = {
        "date": today.isoformat(timespec="seconds"),
        "command": command,
        "machine": machine(),
        "seed": samples["seed"],
        "cells": len(cells.cycles),
        "samples": len(samples["rows"]),
        "samples_unsteady": sum(change(row["yardstick"]) > STEADY for row in samples["rows"]),
        "yardstick": [round(float(each), 2) for each in usual],
        "slowness": {f"p{q}": round(float(np.quantile(slow, q / 100)), 3) for q in (5, 50, 95)},
        "interference": round(float(1 - sum(row["quiet_cycles"] for row in samples["rows"]) / sum(row["cycles"] for row in samples["rows"])), 4),
        "ran_first": bool(samples["runs_first"]),
        "error": {
            "of_fit": quantiles(np.abs(found)),
            "cross_validated": quantiles(held_out),
            "within_10_percent": round(float((held_out <= 0.1).mean()), 3),
            "family_out": {q: round(float(np.median([family[q] for family in families])), 4) for q in ("p50", "p90")} if families else None,
            "bias": round(float(found.mean()), 4),
        },
        "spread_between_samples": quantiles(cells.spread),
        "families": families,
        "worst": [
            {"cell": cells.about[i], "measured": round(float(cells.cycles[i]), 1), "error": round(float(found[i]), 3)}
            for i in np.argsort(-np.abs(found))[:8]
        ],
    }
    return profile


def quantiles(values: np.ndarray) -> dict[str, float]:
    return {f"p{q}": round(float(np.quantile(values, q / 100)), 4) for q in (50, 90, 100)}


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
