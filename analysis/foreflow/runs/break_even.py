# SPDX-License-Identifier: BSD-3-Clause
"""Where predicting pays: hit rates against break-even, and cycles spent on prediction against cycles that it saves, input by input.

A prediction pays where its hit rate h exceeds h* = (C_predict + C_validate + W) / (S + W); see models/predict/governor.h. All of prediction
pays, in cycles, where what it takes a packet is less than what the reactive arm takes more.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from foreflow import build
from foreflow import config as configuration
from foreflow.errors import Failed, Refused
from foreflow.judge import stats
from foreflow.judge.table import grid, with_interval
from foreflow.places import RUNS
from foreflow.runs import runner

INPUTS = ("recorded", "dialogues", "markov", "websearch", "datamining", "hadoop", "storage", "memoryless")
KINDS = ("destination", "promotion", "demotion")
UNITS = {
    "spent_cycles_per_packet": "cycles/packet",
    "saved_cycles_per_packet": "cycles/packet",
    "net_cycles_per_packet": "cycles/packet",
    "saved_punts_per_thousand": "packets/1000",
}  # fmt: skip


def values_of(reactive: dict[str, Any], predictive: dict[str, Any]) -> dict[str, float | None]:
    """Of one seed's two summaries: UNITS, and each kind's hit rate and break-even (None where nothing was scored)."""
    packets = max(1, reactive["packets"]["in"])
    cycles = [summary["cycles"]["host_per_packet"] + summary["cycles"]["device_per_packet"] for summary in (reactive, predictive)]
    spent = predictive["cycles"]["prediction_per_packet"]
    # What is spent on the device to check tags is in both sums of the predictive arm.
    check = predictive["tag_check_cycles_per_packet"]
    saved = cycles[0] - (cycles[1] - check)
    punts = [summary["counters"]["punts"] for summary in (reactive, predictive)]
    values: dict[str, float | None] = {
        "spent_cycles_per_packet": spent,
        "saved_cycles_per_packet": saved,
        "net_cycles_per_packet": saved - spent,
        "saved_punts_per_thousand": 1000 * (punts[0] - punts[1]) / packets,
    }
    for kind in KINDS:
        values[f"{kind}_hit_rate"] = predictive["counters"][f"{kind}_hit_rate"]
        values[f"{kind}_break_even"] = predictive["counters"][f"{kind}_break_even"]
    return values


def _with_tag_check(result: runner.Result) -> dict[str, Any]:
    """The summary, and what the device's checks of tags took of its cycles."""
    import h5py

    with h5py.File(result.trace) as file:
        work = {row["stage"].decode(): int(row["cycles"]) for row in file["work"][()]}
    return {**result.summary, "tag_check_cycles_per_packet": work.get("tag_check", 0) / max(1, result.summary["packets"]["in"])}


def compare(name: str, overrides: list[str], names: list[str], seeds: int | None, out: Path | None, fresh: bool) -> dict[str, Any]:
    """Runs the arms reactive and predictive on each input; writes result.json, table.txt and the figure into the folder of the result."""
    if not names or len(set(names)) != len(names):
        raise Refused(f"command line: --inputs {','.join(names)}; allowed are different ones: {', '.join(INPUTS)}, or captures")
    if any(word.startswith(("input=", "arms=")) for word in overrides):
        raise Refused("command line: input and arms are what is compared; give --inputs instead")
    words = [*overrides, "arms=reactive,predictive"] + ([f"seeds={seeds}"] if seeds is not None else [])
    configs = {each: configuration.resolve(name, [*words, f"input={each}"]) for each in names}
    first = next(iter(configs.values()))
    numbers = list(range(1, first["seeds"] + 1))
    simulator = build.program(build.build("sim", ["foreflow-run"]), "foreflow-run")
    planned = [run for config in configs.values() for run in runner.plan_all(config, ["reactive", "predictive"], numbers, simulator)]
    folder = out or RUNS / f"{first['scenario']}-break-even-{runner.hash_of(planned)}"
    results = runner.run_all(planned, simulator, folder / "runs" if out else RUNS, fresh)
    failed = next((result for result in results if not result.ok), None)
    if failed is not None:
        raise Failed(f"{failed.sentence}; log: {failed.folder / 'log.txt'}")
    rows = {}
    for index, each in enumerate(names):
        own = [_with_tag_check(result) for result in results[2 * index * len(numbers) : 2 * (index + 1) * len(numbers)]]
        values = [values_of(*pair) for pair in zip(own[: len(numbers)], own[len(numbers) :], strict=True)]
        rows[each] = {
            metric: {**stats.mean([value[metric] for value in values]).as_json(), "unit": UNITS.get(metric, "share")} for metric in values[0]
        }
    document: dict[str, Any] = {
        "scenario": first["scenario"],
        "config": {key: value for key, value in first.items() if key not in ("rules", "hw", "tag_rules", "input")} | {"seeds": len(numbers)},
        "inputs": rows,
    }
    folder.mkdir(parents=True, exist_ok=True)
    from foreflow.runs import break_even_plots  # here, since it is slow to import

    document["outputs"] = {"folder": str(folder), "figures": [str(path) for path in break_even_plots.draw(document, folder)]}
    (folder / "table.txt").write_text(text_of(document) + "\n")
    (folder / "result.json").write_text(json.dumps(document, indent=1, allow_nan=False) + "\n")
    return document


def text_of(document: dict[str, Any]) -> str:
    rows = [["input", *(f"{kind}s: h / h*" for kind in KINDS), "spent", "saved", "net [cycles/packet]", "punts saved [of 1000]"]]
    for name, row in document["inputs"].items():
        shares = [f"{with_interval(row[f'{kind}_hit_rate'])} / {with_interval(row[f'{kind}_break_even'])}" for kind in KINDS]
        rows.append([Path(name).name, *shares, *(with_interval(row[metric]) for metric in UNITS)])
    return grid(rows) + f"\n  means ± half width of the 95 % interval over n = {document['config']['seeds']} seeds; cycles of host and device together"
