# SPDX-License-Identifier: BSD-3-Clause
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from foreflow import build
from foreflow import config as configuration
from foreflow.errors import Failed, Refused
from foreflow.runs import runner, updates


def _summary(**changed: Any) -> dict[str, Any]:
    counted = {
        "seconds": 4.0, "packets": 2000, "mixed": 0, "unissued": 0, "outdated": 500, "asked": 9, "made": 8, "batches": 40, "whole_sets": 1,
        "stale_punts": {"packets": 10, "cycles": 65_000}, "new_punts": {"packets": 4, "cycles": 26_000},
        "sent_packets": 90, "sent_bytes": 12_000, "host_cycles": 30_000, "device_cycles": 10_000, "update_to_effect_us": 120.5,
    }  # fmt: skip
    return {"updates": {**counted, **changed}}


def test_costs_are_a_packet() -> None:
    values = updates.values_of(_summary())
    assert values["stale_cycles_per_packet"] == 32.5
    assert values["update_cycles_per_packet"] == 20
    assert values["total_cycles_per_packet"] == 52.5
    assert values["stale_punts_per_thousand"] == 5
    assert values["batches_per_second"] == 10
    assert values["outdated_share"] == 0.25
    assert set(values) == set(updates.UNITS)


def test_the_knee_is_the_lowest_rate_that_is_nearly_as_good_as_the_best() -> None:
    assert updates.knee_of({1: 900, 10: 200, 100: 104, 1000: 100, 10_000: 101}) == 100
    assert updates.knee_of({1: 900, 10: 200, 100: 106, 1000: 100, 10_000: 130}) == 1000


@pytest.mark.parametrize(
    ("overrides", "rates", "losses", "restarts", "arms", "part"),
    [
        ([], [0], [0.0], [0], ["reactive"], "--rates 0; allowed are different ones of 1 to 1000000"),
        ([], [10, 10], [0.0], [0], ["reactive"], "--rates 10,10"),
        ([], [10], [1.0], [0], ["reactive"], "--losses 1.0"),
        ([], [10], [0.0], [-1], ["reactive"], "--restarts -1"),
        ([], [10], [0.0], [0], ["oracle"], "--arms oracle"),
        (["control.loss=0.1"], [10], [0.0], [0], ["reactive"], "--losses"),
    ],
)
def test_what_cannot_be_swept_is_refused(overrides: list[str], rates: list[int], losses: list[float], restarts: list[int], arms: list[str], part: str) -> None:
    with pytest.raises(Refused, match=part):
        updates.sweep("updates", overrides, rates, losses, restarts, arms, 1, None, False)


def test_arms_that_know_the_future_have_no_updates() -> None:
    with pytest.raises(Refused, match=r"control.updates_per_second = 10"):
        configuration.resolve("tag", ["control.updates_per_second=10"])
    assert configuration.resolve("tag", [])["control"]["updates_per_second"] == 0


def _built(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = build.BUILD / "sim"
    if not list(folder.glob("*/foreflow-run")):
        pytest.skip("foreflow-run is not built")
    monkeypatch.setattr(build, "build", lambda preset, targets: folder)


def test_rarer_updates_cost_staleness_and_no_packet_sees_a_mixed_generation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small sweep by the real simulator, where it is built."""
    _built(monkeypatch)
    document = updates.sweep("updates", ["traffic.max_packets=4000", "traffic.load=0.01"], [2, 1000], [0.0, 0.1], [2], ["reactive", "predictive"], 1, tmp_path, False)
    assert document["checked"]["packets"] > 8 * 3000
    assert document["checked"]["mixed"] == document["checked"]["unissued"] == 0
    by_point = {(p["arm"], p["loss"], p["restarts"], p["updates_per_second"]): {m: e["mean"] for m, e in p["metrics"].items()} for p in document["points"]}
    assert len(by_point) == 8
    for (arm, loss, restarts, rate), metrics in by_point.items():
        if rate == 2:
            sooner = by_point[arm, loss, restarts, 1000]
            assert metrics["stale_punts_per_thousand"] > sooner["stale_punts_per_thousand"]
            assert metrics["batches_per_second"] < sooner["batches_per_second"]
        if arm == "predictive":
            assert metrics["new_flow_punts_per_thousand"] < by_point["reactive", loss, restarts, rate]["new_flow_punts_per_thousand"]
    assert all(Path(path).is_file() for path in document["outputs"]["figures"])
    assert "saw a mixed one" in updates.text_of(document)


def test_a_mixed_generation_fails_the_sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "build", lambda preset, targets: tmp_path)
    program = tmp_path / "foreflow-run"
    program.write_bytes(b"not run here")
    monkeypatch.setattr(build, "program", lambda folder, name: program)

    def pretended(runs: list[runner.Run], *_: Any) -> list[runner.Result]:
        (tmp_path / "summary.json").write_text(json.dumps(_summary(mixed=1)))
        return [runner.Result(run, tmp_path, "done") for run in runs]

    monkeypatch.setattr(runner, "run_all", pretended)
    with pytest.raises(Failed, match="2 packets of 4000 saw a mixed generation"):
        updates.sweep("updates", [], [1, 10], [0.0], [0], ["reactive"], 1, tmp_path / "out", False)
    assert (tmp_path / "out" / "result.json").is_file()
