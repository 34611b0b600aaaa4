# SPDX-License-Identifier: BSD-3-Clause
"""The best fixed timer: arm `fixed` of system shard with every wait, on the same traffic and losses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from foreflow.errors import Failed
from foreflow.judge import stats
from foreflow.judge.systems import SHARD
from foreflow.runs import runner

WAITS_US = (0, 200, 500, 750, 900, 1000, 1200)
METRIC = "completion_p99_ms"
MOST_SPURIOUS = 2.0  # percent, in the mean, where any wait keeps that


def choose(config: dict[str, Any], arms: list[str], seeds: list[int], simulator: Path, store: Path, fresh: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """What recovery.wait_us = best stands for: the wait with the lowest METRIC of those that ask for at most MOST_SPURIOUS in vain.

    Returns the configuration with it, and for the result's document every wait's metrics with the best.
    """
    from foreflow.judge import judgement  # here, since only runs need it

    if "fixed" not in arms or config["recovery"]["wait_us"] != "best":
        return config, {}
    configs = {wait: {**config, "recovery": {**config["recovery"], "wait_us": wait}} for wait in WAITS_US}
    planned = [run for wait in WAITS_US for run in runner.plan_all(configs[wait], ["fixed"], seeds, simulator)]
    results = runner.run_all(planned, simulator, store, fresh)
    failed = next((result for result in results if not result.ok), None)
    if failed is not None:
        raise Failed(f"{failed.sentence}; log: {failed.folder / 'log.txt'}")
    judged = {}
    for index, wait in enumerate(WAITS_US):
        values = judgement.values_of(results[index * len(seeds) : (index + 1) * len(seeds)], ["fixed"], seeds, SHARD)["fixed"]
        judged[wait] = {metric: stats.mean(column).as_json() for metric, column in values.items()}
    best = best_of(judged)
    return configs[best], {"fixed_wait": {"waits_us": judged, "best": best, "chosen_on": f"{METRIC}, mean over the seeds, with at most {MOST_SPURIOUS:g} % in vain"}}


def best_of(judged: dict[int, dict[str, Any]]) -> int:
    """Of estimates by wait and metric; where every wait asks for too many in vain, the one that asks for the fewest."""

    def mean(wait: int, metric: str) -> float:
        value = judged[wait][metric]["mean"]
        return 0.0 if value is None else value  # nothing was asked for

    allowed = [wait for wait in judged if mean(wait, "spurious_percent") <= MOST_SPURIOUS]
    if not allowed:
        return min(judged, key=lambda wait: mean(wait, "spurious_percent"))
    return min(allowed, key=lambda wait: mean(wait, METRIC))
