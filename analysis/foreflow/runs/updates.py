# SPDX-License-Identifier: BSD-3-Clause
"""How often a host should update its device: what stale rules cost against what updates cost, over rates, losses and restarts.

Packets that find the device without a flow that the host had asked it to take go by the slow path: the cost of staleness. Updates
cost both ends their records, changes and digests, and the link their bytes. The knee is the lowest rate whose sum is within a twentieth of
the least.
"""

from __future__ import annotations

import itertools
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

RATES = (1, 10, 100, 1000, 10_000)
LOSSES = (0.0, 0.01, 0.1)
RESTARTS = (0, 2)
ARMS = ("reactive", "predictive")
KNEE = 1.05
UNITS = {
    "stale_cycles_per_packet": "cycles/packet",
    "update_cycles_per_packet": "cycles/packet",
    "total_cycles_per_packet": "cycles/packet",
    "host_update_cycles_per_packet": "cycles/packet",
    "device_update_cycles_per_packet": "cycles/packet",
    "new_flow_cycles_per_packet": "cycles/packet",
    "stale_punts_per_thousand": "packets/1000",
    "new_flow_punts_per_thousand": "packets/1000",
    "outdated_share": "share of packets",
    "update_bytes_per_packet": "B/packet",
    "batches_per_second": "1/s",
    "update_to_effect_us": "us",
}
SHOWN = ("stale_cycles_per_packet", "update_cycles_per_packet", "total_cycles_per_packet", "stale_punts_per_thousand", "batches_per_second", "update_bytes_per_packet", "update_to_effect_us")


def values_of(summary: dict[str, Any]) -> dict[str, float]:
    """One run's, by metric of UNITS, from what the simulator counted."""
    updates = summary["updates"]
    packets = max(1, updates["packets"])
    stale = updates["stale_punts"]["cycles"] / packets
    host, device = updates["host_cycles"] / packets, updates["device_cycles"] / packets
    return {
        "stale_cycles_per_packet": stale,
        "update_cycles_per_packet": host + device,
        "total_cycles_per_packet": stale + host + device,
        "host_update_cycles_per_packet": host,
        "device_update_cycles_per_packet": device,
        "new_flow_cycles_per_packet": updates["new_punts"]["cycles"] / packets,
        "stale_punts_per_thousand": 1000 * updates["stale_punts"]["packets"] / packets,
        "new_flow_punts_per_thousand": 1000 * updates["new_punts"]["packets"] / packets,
        "outdated_share": updates["outdated"] / packets,
        "update_bytes_per_packet": updates["sent_bytes"] / packets,
        "batches_per_second": updates["batches"] / max(updates["seconds"], 1e-9),
        "update_to_effect_us": updates["update_to_effect_us"],
    }


def knee_of(totals: dict[int, float]) -> int:
    """The lowest rate whose total is within a twentieth of the least; `totals` by rate."""
    least = min(totals.values())
    return min(rate for rate, total in totals.items() if total <= KNEE * least)


def _check(rates: list[int], losses: list[float], restarts: list[int], arms: list[str]) -> None:
    for option, given, is_allowed, allowed in (
        ("--rates", rates, lambda rate: 1 <= rate <= 1_000_000, "1 to 1000000 a second"),
        ("--losses", losses, lambda loss: 0 <= loss <= 0.9, "0 to 0.9"),
        ("--restarts", restarts, lambda count: 0 <= count <= 1000, "0 to 1000"),
        ("--arms", arms, lambda arm: arm in ARMS, " and ".join(ARMS)),
    ):
        if not given or len(set(given)) != len(given) or not all(is_allowed(value) for value in given):
            raise Refused(f"command line: {option} {','.join(map(str, given))}; allowed are different ones of {allowed}")


def sweep(
    name: str, overrides: list[str], rates: list[int], losses: list[float], restarts: list[int], arms: list[str], seeds: int | None,
    out: Path | None, fresh: bool,
) -> dict[str, Any]:  # fmt: skip
    """Runs every combination; writes result.json, table.txt and the figure `updates` into the folder of the result.

    Raises Failed where any packet of any run was decided by anything but one whole generation that was in force.
    """
    _check(rates, losses, restarts, arms)
    for key in ("control.", "arms="):
        if any(word.startswith(key) and not word.startswith("control.delay_us=") for word in overrides):
            raise Refused("command line: rates, losses, restarts and arms are what is swept; give --rates, --losses, --restarts, --arms instead")
    words = [*overrides, f"arms={','.join(arms)}"] + ([f"seeds={seeds}"] if seeds is not None else [])
    points = list(itertools.product(arms, losses, restarts, sorted(rates)))
    configs = {
        (loss, count, rate): configuration.resolve(name, [*words, f"control.updates_per_second={rate}", f"control.loss={loss}", f"control.restarts={count}"])
        for loss, count, rate in itertools.product(losses, restarts, sorted(rates))
    }
    config = next(iter(configs.values()))
    simulator = build.program(build.build("sim", ["foreflow-run"]), "foreflow-run")
    numbers = list(range(1, config["seeds"] + 1))
    planned = [run for arm, *rest in points for run in runner.plan_all(configs[tuple(rest)], [arm], numbers, simulator)]
    folder = out or RUNS / f"{config['scenario']}-updates-{runner.hash_of(planned)}"
    results = runner.run_all(planned, simulator, folder / "runs" if out else RUNS, fresh)
    failed = next((result for result in results if not result.ok), None)
    if failed is not None:
        raise Failed(f"{failed.sentence}; log: {failed.folder / 'log.txt'}")

    rows, totals = [], {}
    for index, (arm, loss, count, rate) in enumerate(points):
        values = [values_of(result.summary) for result in results[index * len(numbers) : (index + 1) * len(numbers)]]
        metrics = {metric: {**stats.mean([value[metric] for value in values]).as_json(), "unit": unit} for metric, unit in UNITS.items()}
        rows.append({"arm": arm, "loss": loss, "restarts": count, "updates_per_second": rate, "metrics": metrics})
        totals.setdefault((arm, loss, count), {})[rate] = metrics["total_cycles_per_packet"]["mean"]
    document: dict[str, Any] = {
        "scenario": config["scenario"],
        "config": {key: value for key, value in config.items() if key not in ("rules", "hw", "tag_rules", "control")} | {"seeds": len(numbers)},
        "delay_us": config["control"]["delay_us"],
        "points": rows,
        "knees": [
            {"arm": arm, "loss": loss, "restarts": count, "updates_per_second": knee_of(by_rate), "least_at": min(by_rate, key=lambda rate: by_rate[rate])}
            for (arm, loss, count), by_rate in totals.items()
        ],
        "checked": {key: sum(result.summary["updates"][key] for result in results) for key in ("packets", "mixed", "unissued")},
    }
    folder.mkdir(parents=True, exist_ok=True)
    from foreflow.runs import updates_plots  # here, since it is slow to import

    document["outputs"] = {"folder": str(folder), "figures": [str(path) for path in updates_plots.draw(document, folder)]}
    (folder / "table.txt").write_text(text_of(document) + "\n")
    (folder / "result.json").write_text(json.dumps(document, indent=1, allow_nan=False) + "\n")
    checked = document["checked"]
    if checked["mixed"] or checked["unissued"]:
        raise Failed(f"{checked['mixed']} packets of {checked['packets']} saw a mixed generation, {checked['unissued']} one that nobody issued; see {folder}")
    return document


def text_of(document: dict[str, Any]) -> str:
    rows = [["arm", "loss", "restarts", "updates/s", *(f"{metric} [{UNITS[metric]}]" for metric in SHOWN)]]
    knees = {(knee["arm"], knee["loss"], knee["restarts"]): knee["updates_per_second"] for knee in document["knees"]}
    for point in document["points"]:
        mark = " *" if knees[point["arm"], point["loss"], point["restarts"]] == point["updates_per_second"] else ""
        rows.append([
            point["arm"], f"{point['loss']:g}", str(point["restarts"]), f"{point['updates_per_second']}{mark}",
            *(with_interval(point["metrics"][metric]) for metric in SHOWN),
        ])  # fmt: skip
    checked = document["checked"]
    return "\n".join([
        grid(rows),
        f"  * the knee: the lowest rate whose sum is within a twentieth of the least; means ± half width of the 95 % interval over n = {document['config']['seeds']} seeds",
        f"  {checked['packets']} packets checked one by one against the generation in force: {checked['mixed']} saw a mixed one, {checked['unissued']} one that nobody issued",
    ])  # fmt: skip
