# SPDX-License-Identifier: BSD-3-Clause
"""From finished runs to the document that `run` prints: metrics with intervals, and the oracle gap closed."""

from __future__ import annotations

from typing import Any

from foreflow.judge import metrics, stats, systems
from foreflow.judge.systems import TAG, System
from foreflow.runs.runner import Result, fingerprint_of

Values = dict[str, dict[str, list[float | None]]]  # arm -> metric -> one value a seed, None where there is none

NO_PACKETS = {"in": 0, "out": 0, "held": 0, "dropped": {}}


def values_of(results: list[Result], arms: list[str], seeds: list[int], system: System = TAG) -> Values:
    """By arm and metric, a value a seed, in the order of `seeds`; None where the run failed or does not have the metric."""
    measured = {(result.run.arm, result.run.seed): result.row["metrics"] for result in results if result.row is not None and result.ok}
    return {
        arm: {
            metric: [measured.get((arm, seed), {}).get(metric) for seed in seeds]
            for metric in system.metrics
        }
        for arm in arms
    }


def gaps(values: Values, system: System = TAG, predictive: str | None = None) -> dict[str, stats.Estimate]:
    """The share of the oracle gap that an arm closes (the predictive one, where none is named), for each metric where the question makes sense."""
    ends = (system.reactive, predictive or system.predictive, system.oracle)
    if not set(ends) <= set(values):
        return {}
    return {
        metric: stats.gap_closed(
            *([v if v is not None else float("nan") for v in values[arm][metric]] for arm in ends),
            higher_is_better=metrics.METRICS[metric].higher_is_better,
        )
        for metric in system.gap_metrics
    }


def costs(values: Values, arm: str, system: System = TAG) -> dict[str, stats.Estimate]:
    """How much worse than reactive `arm` is, as a share of reactive, for the metrics that have a gap."""
    if system.reactive not in values or arm not in values:
        return {}
    return {
        metric: stats.relative_cost(
            values[system.reactive][metric], values[arm][metric], metrics.METRICS[metric].higher_is_better
        )
        for metric in system.gap_metrics
    }


def document_of(
    config: dict[str, Any], arms: list[str], seeds: list[int], results: list[Result], values: Values, outputs: dict[str, Any]
) -> dict[str, Any]:
    """What `run --json` prints. `packets` is the account of one run: the predictive arm's (else the first arm's) first seed."""
    system = systems.of(config)
    headline = next((r for r in results if r.ok and r.run.arm == system.predictive), next((r for r in results if r.ok), None))
    return {
        "scenario": config["scenario"],
        "config": {**config, "arms": arms, "seeds": len(seeds)},
        "arms": {
            arm: {
                metric: {**stats.mean(by_seed).as_json(), "unit": metrics.METRICS[metric].unit}
                for metric, by_seed in values[arm].items()
            }
            for arm in arms
        },
        "gap_closed": {metric: estimate.as_json() for metric, estimate in gaps(values, system).items()},
        "packets": headline.summary["packets"] if headline else NO_PACKETS,
        "fingerprint": fingerprint_of(results),
        "outputs": outputs,
    }
