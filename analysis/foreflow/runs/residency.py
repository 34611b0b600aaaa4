# SPDX-License-Identifier: BSD-3-Clause
"""Which rules a device holds: every policy over every capacity of its rule table, on the same traffic.

Packets are decided at their recorded times by the pcap door, which counts and simulates no queues. `best` is the
reactive policy with the fewest punts at a capacity, in the mean over seeds; predictions are added to that one.

Beside the oracle, which knows when each packet comes, stand two that know the law by which the traffic was made but not
its future: `law_known`, and `law_known_of_seen`, which has to see a step of a VM's script once before it knows it.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from foreflow import config as configuration
from foreflow import build, inputs
from foreflow.errors import Failed, Refused
from foreflow.judge import stats
from foreflow.judge.table import grid, with_interval
from foreflow.places import RUNS
from foreflow.runs import runner
from foreflow.runs.store import Store

POLICIES = ("static", "lru", "lfu", "rebalance", "random", "greedy")
# Beside them: what is added to the best, without and with its share of writes, and the two ends.
ADDED = ("predictive", "predictive_equal_churn", "oracle", "oracle_equal_churn", "anti_oracle")
# What could be reached without the future, by the bound's own program.
BOUNDS = {"law_known": (), "law_known_of_seen": ("--seen-only",)}
CAPACITIES = ("1%", "2%", "5%", "10%", "25%", "50%")
# One step ahead is early enough here, and more would take the room of the next; a wrong rule costs little.
UNLESS_SAID = {"input": "sessions", "device.flow_entries": 0, "prediction.lookahead": 1, "prediction.minimum_confidence": 0.15}
UNITS = {"hit_ratio": "share", "punts_per_thousand": "packets/1000", "writes_per_second": "slots/s", "host_by_cover_per_thousand": "packets/1000"}


@dataclass(frozen=True)
class Cell:
    """One run: `residency` under `arm`, with a table of `capacity`."""

    capacity: str
    name: str
    arm: str
    residency: str
    seed: int
    writes_per_second: int | None = None  # of the budget; None: the configuration's


Values = dict[str, float]  # a run's, by metric of UNITS


def _run(cell: Cell, config: dict[str, Any], capture: Path, binary: Path) -> Values:
    device = {**config["device"], "rules": configuration.share_or_count(cell.capacity), "residency": cell.residency}
    if cell.writes_per_second is not None:
        device["rule_writes_per_second"] = cell.writes_per_second
    with tempfile.TemporaryDirectory(prefix="foreflow-") as folder:
        resolved, summary = Path(folder) / "RESOLVED.json", Path(folder) / "summary.json"
        resolved.write_text(json.dumps(configuration.resolved_for_run({**config, "device": device}, cell.arm, cell.seed, capture, Path(folder))))
        done = subprocess.run(
            [str(binary), str(capture), "--config", str(resolved), "--summary", str(summary)],
            capture_output=True, text=True, errors="replace", check=False,
        )  # fmt: skip
        if done.returncode != 0:
            said = (done.stderr.strip() or f"exit code {done.returncode}").splitlines()[-1]
            raise (Refused if done.returncode == 2 else Failed)(f"{cell.name}, table of {cell.capacity}, seed {cell.seed}: {said}")
        counters = json.loads(summary.read_text())["counters"]
    seconds = json.loads(Path(f"{capture}.json").read_text())["seconds"] if Path(f"{capture}.json").is_file() else math.nan
    packets = max(1, counters["packets"])
    return {
        "hit_ratio": 1 - counters["punts"] / packets,
        "punts_per_thousand": 1000 * counters["punts"] / packets,
        "writes_per_second": counters["rule_writes"] / seconds,
        "host_by_cover_per_thousand": 1000 * counters["rule_covers"] / packets,
    }


def _bound(cell: Cell, config: dict[str, Any], capture: Path, binary: Path) -> Values:
    """Of BOUNDS: hazard-rate ordering by the law in the capture's sidecar."""
    device = {**config["device"], "rules": configuration.share_or_count(cell.capacity), "residency": "lru"}
    with tempfile.TemporaryDirectory(prefix="foreflow-") as folder:
        resolved = Path(folder) / "RESOLVED.json"
        resolved.write_text(json.dumps(configuration.resolved_for_run({**config, "device": device}, "reactive", cell.seed, capture, Path(folder))))
        done = subprocess.run([str(binary), str(capture), "--config", str(resolved), *BOUNDS[cell.name]], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Failed(f"{cell.name}, table of {cell.capacity}, seed {cell.seed}: {done.stderr.strip()}")
    counted = json.loads(done.stdout)
    return {
        "hit_ratio": 1 - counted["punts"] / counted["packets"],
        "punts_per_thousand": 1000 * counted["punts"] / counted["packets"],
        "writes_per_second": counted["rule_writes"] / json.loads(Path(f"{capture}.json").read_text())["seconds"],
    }


def choose(config: dict[str, Any], arms: list[str], seeds: list[int], simulator: Path, store: Path, fresh: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """What device.residency = best stands for in the runs of a scenario: the reactive arm with every policy, in the simulator.

    Returns the configuration with the policy that punts least, and for the result's document every policy's metrics with the name of the best.
    """
    from foreflow.judge import judgement  # here, since only runs need it

    if config["device"]["rules"] == 0 or config["device"]["residency"] != "best" or not set(arms) - {"off"}:
        return config, {}
    configs = {policy: {**config, "device": {**config["device"], "residency": policy}} for policy in POLICIES}
    planned = [run for policy in POLICIES for run in runner.plan_all(configs[policy], ["reactive"], seeds, simulator)]
    results = runner.run_all(planned, simulator, store, fresh)
    failed = next((result for result in results if not result.ok), None)
    if failed is not None:
        raise Failed(f"{failed.sentence}; log: {failed.folder / 'log.txt'}")
    judged = {}
    for index, policy in enumerate(POLICIES):
        values = judgement.values_of(results[index * len(seeds) : (index + 1) * len(seeds)], ["reactive"], seeds)["reactive"]
        judged[policy] = {metric: stats.mean(column).as_json() for metric, column in values.items()}
    best = min(POLICIES, key=lambda policy: judged[policy]["punts_per_thousand"]["mean"])
    return configs[best], {"residency": {"policies": judged, "best": best, "chosen_on": "punts_per_thousand, mean over the seeds"}}


def _statistics(config: dict[str, Any], binary: Path) -> dict[str, Any]:
    """What the rules depend on: see RuleDependencies::Statistics."""
    with tempfile.TemporaryDirectory(prefix="foreflow-") as folder:
        resolved = Path(folder) / "RESOLVED.json"
        resolved.write_text(json.dumps(configuration.resolved_for_run(config, "off", 1, Path("none"), Path(folder))))
        done = subprocess.run([str(binary), str(resolved)], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Failed(f"{binary.name}: {done.stderr.strip()}")
    return json.loads(done.stdout)


def _judge(values: dict[str, list[Values]], best: str) -> dict[str, Any]:
    """What a capacity came to; `values` by policy, one a seed."""

    def of(name: str, metric: str) -> list[float]:
        return [value[metric] for value in values[name]]

    def gap(predictive: str, oracle: str, reactive: str = best) -> dict[str, Any]:
        columns = [of(name, "punts_per_thousand") for name in (reactive, predictive, oracle)]
        return stats.gap_closed(*columns, higher_is_better=False).as_json()

    def cost(name: str) -> dict[str, Any]:
        return stats.relative_cost(of(best, "punts_per_thousand"), of(name, "punts_per_thousand"), higher_is_better=False).as_json()

    writes = {name: sum(of(name, "writes_per_second")) for name in (best, "predictive", "predictive_equal_churn")}
    return {
        "policies": {
            name: {metric: {**stats.mean(of(name, metric)).as_json(), "unit": unit} for metric, unit in UNITS.items() if metric in values[name][0]}
            for name in values
        },
        "best": best,
        "gap_closed": gap("predictive", "oracle"),
        "gap_closed_equal_churn": gap("predictive_equal_churn", "oracle_equal_churn"),
        "gap_closed_from_rebalance": gap("predictive", "oracle", "rebalance"),
        "gap_closed_without_future": {name: gap(name, "oracle") for name in BOUNDS if name in values},
        "anti_oracle_cost": cost("anti_oracle"),
        "writes_ratio": {name: writes[name] / writes[best] if writes[best] > 0 else None for name in writes if name != best},
    }


# The arm and the policy that each column of latencies stands for; None: the best.
_LATENT = {**{policy: ("reactive", policy) for policy in POLICIES}, **{arm: (arm, None) for arm in ("predictive", "oracle", "anti_oracle")}}


def _latencies(config: dict[str, Any], best: dict[str, str], seeds: list[int], captures: dict[int, Path], store: Path, simulator: Path) -> dict[str, Any]:
    """By capacity and policy, the 99th percentile of arrival to last bit out, from the simulator, which has queues."""
    from foreflow.judge import judgement  # here, since only runs need it

    planned, places = [], []
    for capacity, chosen in best.items():
        for name, (arm, policy) in _LATENT.items():
            device = {**config["device"], "rules": configuration.share_or_count(capacity), "residency": policy or chosen}
            planned += [runner.plan({**config, "device": device}, arm, seed, captures[seed], simulator) for seed in seeds]
            places.append((capacity, name, arm))
    results = runner.run_all(planned, simulator, store)
    failed = next((result for result in results if not result.ok), None)
    if failed is not None:
        raise Failed(f"{failed.sentence}; log: {failed.folder / 'log.txt'}")
    latencies: dict[str, Any] = {}
    for index, (capacity, name, arm) in enumerate(places):
        own = results[index * len(seeds) : (index + 1) * len(seeds)]
        column = judgement.values_of(own, [arm], seeds)[arm]["p99_us"]
        latencies.setdefault(capacity, {})[name] = {**stats.mean(column).as_json(), "unit": "us"}
    return latencies


def sweep(name: str, overrides: list[str], capacities: list[str], seeds: int | None, out: Path | None, latency_seeds: int = 0) -> dict[str, Any]:
    """Runs all policies over all capacities; writes result.json, table.txt and figures into the folder of the result.

    `latency_seeds`: of how many seeds the simulator says the 99th percentile of latency as well.
    """
    words = [f"{key}={value}" for key, value in UNLESS_SAID.items()] + [word.replace("capacity=", "device.flow_entries=", 1) if word.startswith("capacity=") else word for word in overrides]
    if any(word.startswith(("device.rules=", "device.residency=", "arms=")) for word in words):
        raise Refused("command line: device.rules, device.residency and arms are what is swept; give --capacities instead")
    words += [f"seeds={seeds}"] if seeds is not None else []
    if len(set(capacities)) != len(capacities) or any(configuration.share_or_count(capacity) == 0 for capacity in capacities):
        raise Refused(f"command line: --capacities {','.join(capacities)}; allowed are different ones above 0, each a number of slots or a share")
    # Checked one by one, so that what is wrong is named before anything runs.
    configuration.validate_capacities(capacities)
    config = configuration.resolve(name, [*words, f"device.rules={capacities[0]}"])
    folder = build.build("sim", ["foreflow-replay", "foreflow-dependencies", "foreflow-run", "foreflow-residency-bound"])
    replay = build.program(folder, "foreflow-replay")
    numbers = list(range(1, config["seeds"] + 1))
    captures = {seed: inputs.capture_for(config["input"], seed, config["traffic"]["max_packets"], rules=config["rules"]) for seed in numbers}
    statistics = _statistics(config, build.program(folder, "foreflow-dependencies"))

    with ThreadPoolExecutor(runner.PARALLEL) as pool:

        def run_all(cells: list[Cell]) -> dict[tuple[str, str], list[Values]]:
            results = pool.map(lambda cell: _run(cell, config, captures[cell.seed], replay), cells)
            values: dict[tuple[str, str], list[Values]] = {}
            for cell, result in zip(cells, results, strict=True):
                values.setdefault((cell.capacity, cell.name), []).append(result)
            return values

        print(f"foreflow: {len(POLICIES)} policies in use today", file=sys.stderr)
        values = run_all([Cell(c, policy, "reactive", policy, seed) for c in capacities for policy in POLICIES for seed in numbers])
        best, budget = {}, {}
        for capacity in capacities:
            means = {p: sum(v["punts_per_thousand"] for v in values[capacity, p]) for p in POLICIES}
            best[capacity] = min(POLICIES, key=lambda policy: means[policy])
            # Writes and clears come in pairs; the budget is of writes.
            spent = [v["writes_per_second"] / 2 for v in values[capacity, best[capacity]]]
            budget[capacity] = {seed: max(1, math.ceil(rate)) for seed, rate in zip(numbers, spent, strict=True)}
        print("foreflow: the best with predictions, right and wrong, and the oracle", file=sys.stderr)
        cells = []
        for c in capacities:
            for seed in numbers:
                limit = budget[c][seed]
                cells += [
                    Cell(c, "predictive", "predictive", best[c], seed),
                    Cell(c, "predictive_equal_churn", "predictive", best[c], seed, limit),
                    Cell(c, "oracle", "oracle", best[c], seed),
                    Cell(c, "oracle_equal_churn", "oracle", best[c], seed, limit),
                    Cell(c, "anti_oracle", "anti_oracle", best[c], seed),
                ]
        values |= run_all(cells)
        if config["input"] in inputs.OVER_RULES:
            print("foreflow: what could be reached without the future", file=sys.stderr)
            bound = build.program(folder, "foreflow-residency-bound")
            cells = [Cell(c, name, "reactive", "lru", seed) for c in capacities for name in BOUNDS for seed in numbers]
            for cell, value in zip(cells, pool.map(lambda cell: _bound(cell, config, captures[cell.seed], bound), cells), strict=True):
                values.setdefault((cell.capacity, cell.name), []).append(value)

    document: dict[str, Any] = {
        "scenario": config["scenario"],
        "config": {key: value for key, value in config.items() if key not in ("rules", "hw", "tag_rules")} | {"seeds": len(numbers)},
        "rules": statistics,
        "capacities": {c: _judge({p: values[c, p] for p in (*POLICIES, *ADDED, *BOUNDS) if (c, p) in values}, best[c]) for c in capacities},
        "chosen_on": "punts_per_thousand, mean over the seeds",
    }
    folder = out or RUNS / f"{config['scenario']}-residency-{runner.hash_of(runner.plan_all(config, ['predictive'], numbers, replay))}"
    folder.mkdir(parents=True, exist_ok=True)
    document["tag"] = _tag_costs(name, config, best, capacities, captures[1], folder, build.program(build.build("sim", ["foreflow-run"]), "foreflow-run"))
    if latency_seeds > 0:
        document["p99_us"] = _latencies(config, best, numbers[:latency_seeds], captures, folder / "runs", build.program(build.build("sim", ["foreflow-run"]), "foreflow-run"))
    from foreflow.runs import residency_plots  # here, since it is slow to import

    document["outputs"] = {"folder": str(folder), "figures": [str(path) for path in residency_plots.draw(document, folder)]}
    (folder / "table.txt").write_text(text_of(document) + "\n")
    (folder / "result.json").write_text(json.dumps(document, indent=1, allow_nan=False) + "\n")
    return document


def _tag_costs(name: str, config: dict[str, Any], best: dict[str, str], capacities: list[str], capture: Path, folder: Path, simulator: Path) -> dict[str, Any]:
    """Cycles in the simulator: of a punt and a hit from one run at the middle capacity; of a tag from one of the scenario's own
    rules on the recorded traffic, since rules without tag rules have nothing to tag for.
    """
    import h5py

    def measured(run: runner.Run) -> tuple[dict[str, Any], int, dict[str, Any]]:
        result = runner.execute(run, simulator, Store.of(folder / "runs"))
        if not result.ok:
            raise Failed(f"{result.sentence}; log: {result.folder / 'log.txt'}")
        with h5py.File(result.trace) as file:
            work = {row["stage"].decode(): row for row in file["work"][()]}
            return work, int((file["decisions"]["tag_status"] != 0).sum()), result.summary["counters"]

    def cycles(work: dict[str, Any], stage: str, of: int) -> float:
        return float(work[stage]["cycles"]) / of if of else 0.0

    capacity = capacities[len(capacities) // 2]
    device = {**config["device"], "rules": configuration.share_or_count(capacity), "residency": best[capacity]}
    work, _, counters = measured(runner.plan({**config, "device": device}, "predictive", 1, capture, simulator))
    tags, tagged, _ = measured(runner.plan(configuration.resolve(name, []), "predictive", 1, inputs.recorded(), simulator))
    return {
        "capacity": capacity,
        "tagged_packets": tagged,
        "tag_cycles": cycles(tags, "tag_seal", tagged) + cycles(tags, "tag_check", tagged),
        "punt_cycles": cycles(work, "slow_path", int(counters["punts"])),
        "hit_cycles": cycles(work, "flow_cache", int(work["flow_cache"]["visits"])),
    }


def text_of(document: dict[str, Any]) -> str:
    rules = document["rules"]
    closure = rules["closure"]
    lines = [
        f"{rules['rules']} rules, {rules['tuples']} tuples; a rule drags in {closure['mean']:.1f} others in the mean (p50 {closure['p50']}, p90 {closure['p90']},"
        f" p99 {closure['p99']}); with covers it takes {rules['slots_a_rule']:.2f} slots ({rules['merged_covers']} covers are merged)",
        "",
    ]
    capacities = document["capacities"]
    for metric, unit in UNITS.items():
        rows = [[f"{metric} [{unit}]", *capacities]]
        for policy in next(iter(capacities.values()))["policies"]:
            cells = []
            for judged in capacities.values():
                mark = " *" if policy == judged["best"] else ""
                estimate = judged["policies"][policy].get(metric)
                cells.append("-" if estimate is None else with_interval(estimate) + mark)
            rows.append([policy, *cells])
        lines += [grid(rows), ""]
    if "p99_us" in document:
        rows = [["p99 [us]", *capacities]]
        rows += [[name, *(with_interval(by_name[name]) for by_name in document["p99_us"].values())] for name in next(iter(document["p99_us"].values()))]
        lines += [grid(rows), ""]
    rows = [["", *capacities]]
    for key in ("gap_closed", "gap_closed_equal_churn", "gap_closed_from_rebalance", "anti_oracle_cost"):
        rows.append([key, *(with_interval(judged[key]) for judged in capacities.values())])
    for name in next(iter(capacities.values()))["gap_closed_without_future"]:
        rows.append([f"gap_closed, {name}", *(with_interval(judged["gap_closed_without_future"][name]) for judged in capacities.values())])
    ratios = [judged["writes_ratio"]["predictive"] for judged in capacities.values()]
    rows.append(["writes, predictive / best", *("-" if ratio is None else f"{ratio:.2f}" for ratio in ratios)])
    n = document["config"]["seeds"]
    tag = document["tag"]
    difference = tag["punt_cycles"] - tag["hit_cycles"]
    share = 100 * tag["tag_cycles"] / difference if difference > 0 else math.inf
    lines += [
        grid(rows),
        f"  * best of those in use today, chosen on {document['chosen_on']}; means ± half width of the 95 % interval over n = {n} seeds",
        f"  a tag costs {tag['tag_cycles']:.0f} cycles, a punt {tag['punt_cycles']:.0f}, a hit {tag['hit_cycles']:.0f}: it pays where it saves {share:.2f} % of packets from the slow path",
    ]
    return "\n".join(lines)
