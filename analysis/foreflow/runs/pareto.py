# SPDX-License-Identifier: BSD-3-Clause
"""What each way of making losses good costs and brings, network by network; and how size controllers bear load.

All arms of a network see the same packets and losses. A Pareto front is over extra bytes on the wire and the 99th percentile of completion
time, of packets at their recorded times or of requests that wait for answers. Beside it the naive size controller and the closed-form one carry
more and more packets over one bottleneck.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from foreflow import build
from foreflow import config as configuration
from foreflow.errors import Failed, Refused
from foreflow.judge import judgement, stats
from foreflow.judge.metrics import METRICS
from foreflow.judge.systems import SHARD
from foreflow.judge.table import grid, with_interval
from foreflow.places import RUNS
from foreflow.runs import runner, timers

# Beside the defaults of the scenario.
NETWORKS: dict[str, dict[str, Any]] = {
    "bursts": {"network.loss": 0.02, "network.burst": 5.0},
    "congestion": {"network.loss": 0.0, "network.late": 0.002, "network.queue_kb": 350, "network.cross_load": 0.3, "network.cross_burst_ms": 1.5},
    "multipath": {"network.loss": 0.02, "network.burst": 3.0, "network.paths": 2, "network.path_gap_us": 300, "network.late_most_us": 600},
    "memoryless": {"network.loss": 0.02, "network.burst": 1.0},
    "requests": {"input": "requests", "network.loss": 0.02, "network.burst": 5.0},
    "requests_congestion": {"input": "requests", "network.loss": 0.0, "network.late": 0.002, "network.queue_kb": 350, "network.cross_load": 0.3, "network.cross_burst_ms": 1.5},
}  # fmt: skip
LOADS = (0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 1.0, 1.1)
# Of the load sweep: one bottleneck that loses nothing but what its queue has no room for.
BOTTLENECK = {"input": "memoryless", "network.loss": 0.0, "network.late": 0.0, "link.rate_mbps": 100, "network.queue_kb": 64}
CONTROLLERS = {"naive": "naive", "closed form": "rack"}  # the arm of each
CLOSERS = ("fixed", "three", "ewma", "learned", "bayes")  # whose share of the gap from rack to clairvoyant is told


def _check(networks: list[str], loads: list[float]) -> None:
    if len(set(networks)) != len(networks) or not set(networks) <= set(NETWORKS):
        raise Refused(f"command line: --networks {','.join(networks)}; allowed are different ones of {', '.join(NETWORKS)}, or none")
    if not networks and not loads:
        raise Refused("command line: --networks none --loads none; allowed is one of them")
    if len(set(loads)) != len(loads) or not all(0.001 <= load <= 10 for load in loads):
        raise Refused(f"command line: --loads {','.join(map(str, loads))}; allowed are different ones of 0.001 to 10, or none")


def _words(settings: dict[str, Any]) -> list[str]:
    return [f"{key}={value}" for key, value in settings.items()]


def _run(planned: list[runner.Run], simulator: Path, store: Path, fresh: bool) -> list[runner.Result]:
    results = runner.run_all(planned, simulator, store, fresh)
    failed = next((result for result in results if not result.ok), None)
    if failed is not None:
        raise Failed(f"{failed.sentence}; log: {failed.folder / 'log.txt'}")
    return results


def _judged(results: list[runner.Result], arms: list[str], numbers: list[int]) -> tuple[dict[str, Any], judgement.Values]:
    values = judgement.values_of(results, arms, numbers, SHARD)
    document = {
        arm: {metric: {**stats.mean(column).as_json(), "unit": METRICS[metric].unit} for metric, column in values[arm].items()} for arm in arms
    }
    return document, values


def compare(name: str, overrides: list[str], networks: list[str], loads: list[float], seeds: int | None, out: Path | None, fresh: bool) -> dict[str, Any]:
    """Runs every network and load; writes result.json, table.txt and the figures `pareto` and `collapse` into the folder of the result.

    `overrides` go before what a network sets. Raises Failed where any packet came with other bytes than it was sent with.
    """
    _check(networks, loads)
    words = [*overrides, *([f"seeds={seeds}"] if seeds is not None else [])]
    config = configuration.resolve(name, words)
    if config["system"] != SHARD.name:
        raise Refused(f"command line: SCENARIO = {name}; allowed is one of system shard")
    arms, numbers = config["arms"], list(range(1, config["seeds"] + 1))
    simulator = build.program(build.build("sim", ["foreflow-run"]), "foreflow-run")
    configs = {network: configuration.resolve(name, [*words, *_words(NETWORKS[network])]) for network in networks}
    by_load = {load: configuration.resolve(name, [*words, *_words(BOTTLENECK), f"traffic.load={load}"]) for load in loads}
    planned = [run for own in (*configs.values(), *by_load.values()) for run in runner.plan_all(own, arms[:1], numbers[:1], simulator)]
    folder = out or RUNS / f"{config['scenario']}-pareto-{runner.hash_of(planned)}"
    store = folder / "runs" if out else RUNS
    document: dict[str, Any] = {
        "scenario": config["scenario"],
        "config": {key: config[key] for key in ("system", "arms", "input", "traffic", "link", "network", "recovery")} | {key: {name: config[key][name] for name in names} for key, names in SHARD.keys.items()} | {"seeds": len(numbers)},
        "networks": {},
        "loads": [],
    }
    wrong = packets = 0
    for network, own in configs.items():
        chosen_config, chosen = timers.choose(own, arms, numbers, simulator, store, fresh)
        results = _run(runner.plan_all(chosen_config, arms, numbers, simulator), simulator, store, fresh)
        judged, values = _judged(results, arms, numbers)
        gaps = {arm: {metric: e.as_json() for metric, e in judgement.gaps(values, SHARD, arm).items()} for arm in CLOSERS if arm in arms}
        document["networks"][network] = {"settings": NETWORKS[network], "arms": judged, "gap_closed": gaps, **chosen}
        wrong += sum(result.summary["shard"]["wrong_bytes"] for result in results)
        packets += sum(result.summary["packets"]["in"] for result in results)
    for load, own in by_load.items():
        for controller, arm in CONTROLLERS.items():
            results = _run(runner.plan_all(own, [arm], numbers, simulator), simulator, store, fresh)
            judged, _ = _judged(results, [arm], numbers)
            document["loads"].append({"load": load, "controller": controller, "metrics": judged[arm]})
    document["checked"] = {"packets": packets, "wrong_bytes": wrong}
    folder.mkdir(parents=True, exist_ok=True)
    from foreflow.judge import shard_plots  # here, since it is slow to import

    figures = shard_plots.networks(document, folder) if networks else []
    figures += shard_plots.collapse(document, folder) if loads else []
    document["outputs"] = {"folder": str(folder), "figures": [str(path) for path in figures]}
    (folder / "table.txt").write_text(text_of(document) + "\n")
    (folder / "result.json").write_text(json.dumps(document, indent=1, allow_nan=False) + "\n")
    if wrong:
        raise Failed(f"{wrong} packets of {packets} came with other bytes than they were sent with; see {folder}")
    return document


def text_of(document: dict[str, Any]) -> str:
    """The tables, as `pareto` prints them."""
    text = []
    rows = [["network", "arm", *(f"{metric} [{METRICS[metric].unit}]" for metric in SHARD.headline), *(f"gap closed: {metric}" for metric in SHARD.gap_metrics)]]
    for network, row in document["networks"].items():
        for arm, metrics in row["arms"].items():
            gaps = row["gap_closed"].get(arm, {})
            name = f"{arm} {row['fixed_wait']['best']} us" if arm == "fixed" and "fixed_wait" in row else arm
            rows.append([network, name, *(with_interval(metrics[metric]) for metric in SHARD.headline), *(with_interval(gaps[m]) if m in gaps else "" for m in SHARD.gap_metrics)])
    n = document["config"]["seeds"]
    notes = [f"means ± half width of the 95 % interval over n = {n} seeds" if n > 1 else "n = 1 seed: no intervals", "gap closed: from rack to clairvoyant"]
    checked = document["checked"]
    notes.append(f"{checked['packets']} packets and requests; {checked['wrong_bytes']} packets came with other bytes than they were sent with")
    if document["networks"]:
        text += [grid(rows), *(f"  {note}" for note in notes)]
    if document["loads"]:
        shown = ("offered_share", "goodput_share", "delivered_percent", "completion_p99_ms")
        rows = [["load", "controller", *(f"{metric} [{METRICS[metric].unit}]" for metric in shown)]]
        rows += [[f"{point['load']:g}", point["controller"], *(with_interval(point["metrics"][metric]) for metric in shown)] for point in document["loads"]]
        text += ["", grid(rows)]
    return "\n".join(text)
