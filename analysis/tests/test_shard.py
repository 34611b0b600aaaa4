# SPDX-License-Identifier: BSD-3-Clause
"""System shard: what is measured of its runs, how its arms are compared, and the runs themselves where the simulator is built."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from foreflow import build
from foreflow import config as configuration
from foreflow.errors import Failed, Refused
from foreflow.judge import judgement, of_shard, shard_plots, systems
from foreflow.runs import pareto, rows, runner, scenario, timers
from tools import trace_events


def _summary(**changed: Any) -> dict[str, Any]:
    shard = {
        "give_up_ms": 200.0, "plain_bytes": 1000, "wire_bytes": 1210, "asked": 8, "requests": 10, "spurious": 2, "wrong_bytes": 0, "hurt": [1, 3],
        "busier": {"link_bytes": 4000.0, "plain_bytes": 800, "wire_bytes": 1000, "delivered_bytes": 600},
    }  # fmt: skip
    return {"system": "shard", "packets": {"in": 4, "out": 3, "held": 0, "dropped": {"never_whole": 1}}, "shard": {**shard, **changed}}


def _trace(path: Path, departures_ns: list[int]) -> Path:
    packets = np.zeros(len(departures_ns), trace_events.dtype("packets"))
    packets["arrival_ns"] = 1_000_000 * np.arange(len(departures_ns))
    packets["departure_ns"] = departures_ns
    with h5py.File(path, "w") as file:
        file["packets"] = packets
    return path


def test_hand_made_run(tmp_path: Path) -> None:
    trace = _trace(tmp_path / "trace.h5", [2_000_000, -1, 4_500_000, 7_000_000])  # 2 ms, never, 2.5 ms, 4 ms
    found = of_shard.measure(trace, _summary())
    assert found == {
        "completion_p50_ms": 2.5, "completion_p99_ms": 200.0, "hurt_mean_ms": pytest.approx((200 + 4) / 2), "delivered_percent": 75.0,
        "extra_wire_percent": pytest.approx(21.0), "spurious_percent": 25.0, "requests_per_thousand": 2500.0, "offered_share": 0.25, "goodput_share": 0.15,
    }  # fmt: skip
    assert set(found) == set(systems.SHARD.metrics)
    nothing = of_shard.measure(trace, _summary(asked=0, requests=0, spurious=0, hurt=[]))
    assert nothing["spurious_percent"] is None and nothing["hurt_mean_ms"] is None
    # What takes longer than that is given up too.
    assert of_shard.measure(trace, _summary(give_up_ms=3.0))["completion_p99_ms"] == 3.0
    with pytest.raises(Failed, match="not a whole trace"):
        of_shard.measure(tmp_path / "none.h5", _summary())


def test_the_front_holds_what_nothing_beats() -> None:
    assert shard_plots.front({"a": (1, 5), "b": (2, 4), "c": (2, 5), "d": (3, 4), "e": (0, 9)}) == ["a", "b", "e"]


def test_arms_far_off_are_told_in_words() -> None:
    arms = {arm: {"completion_p99_ms": {"mean": value}} for arm, value in {"off": 200.0, "rack": 4.0, "learned": 3.0, "naive": None}.items()}
    assert shard_plots.beyond(arms) == ["off"]


@pytest.mark.parametrize(
    ("spurious", "p99", "best"),
    [
        ({0: 40.0, 500: 1.0, 1000: 0.1}, {0: 3.0, 500: 4.0, 1000: 5.0}, 500),
        ({0: None, 500: None, 1000: None}, {0: 3.0, 500: 4.0, 1000: 5.0}, 0),
        ({0: 40.0, 500: 30.0, 1000: 35.0}, {0: 3.0, 500: 4.0, 1000: 5.0}, 500),
    ],
)
def test_the_best_fixed_timer_asks_for_little_in_vain(spurious: dict[int, float | None], p99: dict[int, float], best: int) -> None:
    judged = {wait: {"spurious_percent": {"mean": spurious[wait]}, "completion_p99_ms": {"mean": p99[wait]}} for wait in p99}
    assert timers.best_of(judged) == best


def test_runs_read_the_sections_of_their_system(tmp_path: Path) -> None:
    config = configuration.resolve("shard", [])
    resolved = configuration.resolved_for_run(config, "rack", 3, tmp_path / "c.pcapng", tmp_path)
    assert set(resolved) == {"scenario", "arm", "seed", "input", "out", *systems.SHARD.sections}
    assert resolved["recovery"]["wait_us"] == configuration.WAIT_US
    fixed = configuration.resolve("shard", ["recovery.wait_us=250"])
    waits = {arm: configuration.resolved_for_run(fixed, arm, 3, tmp_path / "c", tmp_path)["recovery"]["wait_us"] for arm in ("fixed", "rack")}
    assert waits == {"fixed": 250, "rack": configuration.WAIT_US}
    assert "network" not in configuration.resolved_for_run(configuration.resolve("tag", []), "off", 1, tmp_path / "c", tmp_path)
    assert configuration.parameters(configuration.resolve("tag", [])).get("system") is None
    assert configuration.parameters(config)["system"] == "shard"


def test_arms_belong_to_their_system() -> None:
    with pytest.raises(Refused, match=r"arms = rack; allowed with system = tag are off, reactive"):
        configuration.resolve("tag", ["arms=off,rack"])
    with pytest.raises(Refused, match=r"arms = oracle; allowed with system = shard are off, timeout"):
        configuration.resolve("shard", ["arms=oracle"])
    arms = configuration.schema()["properties"]["arms"]["items"]["enum"]
    assert set(arms) == {arm for system in systems.SYSTEMS.values() for arm in system.arms}


@pytest.mark.parametrize(
    ("networks", "loads", "part"),
    [(["rain"], [], "--networks rain"), (["bursts", "bursts"], [], "--networks bursts,bursts"), (["bursts"], [0.0], "--loads 0.0"), ([], [], "--networks none --loads none")],
)
def test_what_cannot_be_compared_is_refused(networks: list[str], loads: list[float], part: str) -> None:
    with pytest.raises(Refused, match=part):
        pareto.compare("shard", [], networks, loads, 1, None, False)
    with pytest.raises(Refused, match="SCENARIO = tag"):
        pareto.compare("tag", [], ["bursts"], [], 1, None, False)


def _built(monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = build.BUILD / "sim"
    if not list(folder.glob("*/foreflow-run")):
        pytest.skip("foreflow-run is not built")
    monkeypatch.setattr(build, "build", lambda preset, targets: folder)
    return build.program(folder, "foreflow-run")


WORDS = ["traffic.max_packets=1500", "network.loss=0.03"]


def test_all_arms_run_and_clairvoyance_asks_for_nothing_in_vain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = _built(monkeypatch)
    config = scenario.resolved("shard", [*WORDS, "recovery.wait_us=500"], None, 1)
    finished = scenario.run(config, program, tmp_path)
    assert not finished.failed
    arms = {arm: {metric: row["mean"] for metric, row in metrics.items()} for arm, metrics in finished.document["arms"].items()}
    assert set(arms) == set(systems.SHARD.arms)
    assert arms["off"]["extra_wire_percent"] == 0 and arms["off"]["delivered_percent"] < 98.5
    for arm in ("rack", "learned", "bayes", "clairvoyant", "rack_repair"):
        assert arms[arm]["delivered_percent"] > 99.5, arm
    assert arms["clairvoyant"]["spurious_percent"] == 0
    assert arms["clairvoyant"]["hurt_mean_ms"] < arms["learned"]["hurt_mean_ms"] < arms["rack"]["hurt_mean_ms"]
    assert arms["rack_repair"]["extra_wire_percent"] > arms["rack"]["extra_wire_percent"] + 15
    for run in finished.document["outputs"]["runs"]:
        summary = json.loads((Path(run["folder"]) / "summary.json").read_text())
        packets = summary["packets"]
        assert packets["in"] == 1500 == packets["out"] + packets["held"] + sum(packets["dropped"].values())
        assert summary["shard"]["wrong_bytes"] == 0
        row = rows.read(Path(run["folder"]))
        assert row is not None and set(row["metrics"]) == set(systems.SHARD.metrics)
    assert {Path(figure).stem for figure in finished.document["outputs"]["figures"]} == {"pareto", "completion"}
    assert "0 packets came with other bytes" in (tmp_path / "table.txt").read_text()


def test_the_naive_controller_collapses_and_the_closed_form_does_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = _built(monkeypatch)
    words = [f"{key}={value}" for key, value in pareto.BOTTLENECK.items()]
    config = configuration.resolve("shard", [*words, "traffic.max_packets=6000", "traffic.load=0.9", "seeds=1"])
    results = runner.run_all(runner.plan_all(config, ["naive", "rack"], [1], program), program, tmp_path)
    naive, ours = (of_shard.measure(result.trace, result.summary) for result in results)
    assert naive["goodput_share"] < ours["goodput_share"] - 0.1
    assert naive["offered_share"] > ours["offered_share"] + 0.1
    assert naive["offered_share"] > 1.3


def test_the_same_run_gives_the_same_fingerprint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = _built(monkeypatch)
    config = configuration.resolve("shard", WORDS)
    fingerprints = []
    for place in ("a", "b"):
        results = runner.run_all(runner.plan_all(config, ["learned"], [1, 2], program), program, tmp_path / place)
        fingerprints.append([result.summary["fingerprint"] for result in results])
    assert fingerprints[0] == fingerprints[1]
    assert fingerprints[0][0] != fingerprints[0][1]


def test_gaps_are_told_between_the_arms_of_the_system() -> None:
    values = {arm: {metric: [value, value + 0.1] for metric in systems.SHARD.metrics} for arm, value in {"rack": 4.0, "learned": 3.5, "bayes": 3.2, "clairvoyant": 3.0}.items()}
    assert judgement.gaps(values, systems.SHARD)["completion_p99_ms"].mean == pytest.approx(0.5)
    assert judgement.gaps(values, systems.SHARD, "bayes")["completion_p99_ms"].mean == pytest.approx(0.8)
    assert judgement.gaps(values) == {}
