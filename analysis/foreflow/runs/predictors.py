# SPDX-License-Identifier: BSD-3-Clause
"""One scenario with each predictor of types in turn, on the same traffic, in one table.

Only the predictive arm depends on the predictor: reactive and oracle are run once.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from foreflow import config as configuration
from foreflow import build
from foreflow.errors import Failed, Refused
from foreflow.judge import judgement, metrics, stats
from foreflow.judge.table import grid, number, with_interval
from foreflow.places import RUNS
from foreflow.runs import runner

PREDICTORS = ("markov3", "gru", "tabulated", "tiered")
SHOWN = ("request_response_p99_us", "punts_per_thousand", "prediction_cycles_per_packet", "host_cycles_per_packet")
COUNTED = ("promotion_hit_rate", "promotion_break_even", "demotion_hit_rate", "demotion_break_even")


def _mean_of(results: list[runner.Result], *path: str) -> float | None:
    values = []
    for result in results:
        value: Any = result.summary["counters"]
        for key in path:
            value = value[key]
        values.append(value)
    return stats.mean(values).mean


def _row(values: judgement.Values, results: list[runner.Result]) -> dict[str, Any]:
    """What one predictor came to; `values` are of its three arms."""
    estimates = {
        metric: {**stats.mean(values["predictive"][metric]).as_json(), "unit": metrics.METRICS[metric].unit} for metric in values["predictive"]
    }
    return {
        "metrics": estimates,
        "gap_closed": {metric: estimate.as_json() for metric, estimate in judgement.gaps(values).items()},
        "cost_against_reactive": {metric: estimate.as_json() for metric, estimate in judgement.costs(values, "predictive").items()},
        "counters": {name: _mean_of(results, name) for name in COUNTED},
        "tiers": {tier: _mean_of(results, "types_by_tier", tier) for tier in ("learned", "table", "network")},
        "fallback_asked": _mean_of(results, "fallback_asked"),
        "drift_alarms": _mean_of(results, "drift_alarms"),
    }


def compare(name: str, overrides: list[str], predictors: list[str], seeds: int | None, out: Path | None, fresh: bool) -> dict[str, Any]:
    """Runs the scenario with each predictor, and writes result.json and table.txt into the folder of the result."""
    unknown = [predictor for predictor in predictors if predictor not in PREDICTORS + ("persistence", "majority", "markov1", "markov2")]
    if unknown or len(set(predictors)) != len(predictors):
        raise Refused(f"command line: --predictors {','.join(predictors)}; allowed are different ones of {', '.join(PREDICTORS)}, persistence, majority, markov1, markov2")
    words = overrides + ([f"seeds={seeds}"] if seeds is not None else [])
    configs = {predictor: configuration.resolve(name, [*words, f"predictor={predictor}"]) for predictor in predictors}
    first = next(iter(configs.values()))
    # What the other arms do not look at must not make them other runs.
    common = configuration.resolve(name, [*words, "predictor=markov3"])
    simulator = build.program(build.build("sim", ["foreflow-run"]), "foreflow-run")
    numbers = list(range(1, first["seeds"] + 1))
    planned = [(None, run) for run in runner.plan_all(common, ["reactive", "oracle"], numbers, simulator)]
    for predictor, config in configs.items():
        planned += [(predictor, run) for run in runner.plan_all(config, ["predictive"], numbers, simulator)]
    folder = out or RUNS / f"{first['scenario']}-predictors-{runner.hash_of([run for _, run in planned])}"
    results = runner.run_all([run for _, run in planned], simulator, folder / "runs" if out else RUNS, fresh)
    failed = [result for result in results if not result.ok]
    if failed:
        raise Failed(f"{len(failed)} runs failed; the first: {failed[0].sentence}; log: {failed[0].folder / 'log.txt'}")
    by_predictor = {
        predictor: [result for (of, _), result in zip(planned, results, strict=True) if of == predictor] for predictor in [None, *predictors]
    }
    rows = {}
    for predictor in predictors:
        own = by_predictor[None] + by_predictor[predictor]
        rows[predictor] = _row(judgement.values_of(own, ["reactive", "predictive", "oracle"], numbers), by_predictor[predictor])
    arms = judgement.values_of(by_predictor[None], ["reactive", "oracle"], numbers)
    document = {
        "scenario": first["scenario"],
        "config": {**common, "predictor": None, "seeds": len(numbers)},
        "models": {predictor: config["models"] for predictor, config in configs.items()},
        "arms": {arm: {metric: stats.mean(values).as_json() for metric, values in columns.items()} for arm, columns in arms.items()},
        "predictors": rows,
        "outputs": {"folder": str(folder), "runs": {str(predictor or "common"): [str(r.folder) for r in some] for predictor, some in by_predictor.items()}},
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "table.txt").write_text(text_of(document) + "\n")
    (folder / "result.json").write_text(json.dumps(document, indent=1, allow_nan=False) + "\n")
    return document


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def text_of(document: dict[str, Any]) -> str:
    rows = [["", "reactive", *document["predictors"], "oracle"]]
    for metric in SHOWN:
        ends = [with_interval(document["arms"][arm][metric]) for arm in ("reactive", "oracle")]
        shown = [with_interval(row["metrics"][metric]) for row in document["predictors"].values()]
        rows.append([f"{metric} [{metrics.METRICS[metric].unit}]", ends[0], *shown, ends[1]])
    for metric in ("request_response_p99_us", "punts_per_thousand"):
        rows.append([f"gap closed: {metric}", "", *(with_interval(row["gap_closed"][metric]) for row in document["predictors"].values()), ""])
    for kind in ("promotion", "demotion"):
        pairs = [f"{_share(row['counters'][f'{kind}_hit_rate'])} / {_share(row['counters'][f'{kind}_break_even'])}" for row in document["predictors"].values()]
        rows.append([f"{kind}s: h / h*", "", *pairs, ""])
    own = document["predictors"].values()
    rows.append(["outcomes by tier: learned / table / network", "", *(" / ".join(number(each, 3) for each in row["tiers"].values()) for row in own), ""])
    for title, key in (("fall-back asked", "fallback_asked"), ("drift alarms", "drift_alarms")):
        rows.append([title, "", *(number(row[key], 3) for row in own), ""])
    n = document["config"]["seeds"]
    return grid(rows) + f"\n  means ± half width of the 95 % interval over n = {n} seeds; counts are means a run"
