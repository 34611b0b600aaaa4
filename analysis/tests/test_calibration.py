# SPDX-License-Identifier: BSD-3-Clause
"""Calibrating and validating, quickly: structure, conservation and what both sides must agree on; never a speed."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from foreflow import config, inputs
from foreflow.errors import Refused
from foreflow.machine import calibration, validation
from foreflow.places import PROFILES

BUILDS = {"sim": os.environ.get("FOREFLOW_BUILD"), "dpdk": os.environ.get("FOREFLOW_DPDK")}
pytestmark = pytest.mark.skipif(not all(BUILDS.values()), reason="FOREFLOW_BUILD or FOREFLOW_DPDK names no build")


@pytest.fixture(name="profile", scope="module")
def _profile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A profile of this machine, measured in seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(calibration, "build", lambda preset, _targets: Path(str(BUILDS[preset])))
        return calibration.calibrate(tmp_path_factory.mktemp("calibrate") / "here.json", 1, True, 5)[1]


def test_the_profile_has_what_every_profile_has_and_says_how_it_was_made(profile: Path) -> None:
    made, known = json.loads(profile.read_text()), json.loads((PROFILES / "x86-core.json").read_text())
    assert set(made) == set(known) | {"cache_levels", "carrying", "calibration"}
    assert made["name"] == "here" and made["kind"] == "device"
    assert {room: set(made[room]) for room in ("stage", "work")} == {room: set(known[room]) for room in ("stage", "work")}
    numbers = [*made["stage"].values(), *made["work"].values(), *made["carrying"].values()]
    for number in [*numbers, *(level["cycles"] for level in made["cache_levels"])]:
        low, high = number["interval"]
        assert 0 <= low <= number["value"] <= high
        assert len(number["source"]) > 20
    about = made["calibration"]
    assert about["cells"] >= 20 and about["seed"] == 5 and "--quick" in about["command"]
    assert about["machine"]["kernel"] and about["date"]
    assert 0 < sum(made["stage"][s]["value"] for s in made["stage"]) + made["work"]["hash"]["value"]
    assert len(about["yardstick"]) == 3 and about["yardstick"] == sorted(about["yardstick"])  # the lightest first
    assert 0 <= about["interference"] < 1 and about["slowness"]["p5"] <= about["slowness"]["p95"]
    assert any(family["family"].startswith("capture") for family in about["families"])


def test_calibrate_refuses_a_name_that_scenarios_cannot_say(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"ends in \.json"):
        calibration.calibrate(tmp_path / "profile.txt", 1, True, 1)


def test_a_scenario_takes_the_profile_by_path_and_the_strict_reader_accepts_it(profile: Path, tmp_path: Path) -> None:
    resolved = config.resolve("tag", [f"host.profile={profile}", "device.placement=host_core"])
    capture = inputs.recorded()
    verdicts = {}
    for placement in ("host_core", "nic"):
        resolved["device"]["placement"] = placement
        file = tmp_path / f"{placement}.json"
        file.write_text(json.dumps(config.resolved_for_run(resolved, "predictive", 1, capture, tmp_path)))
        replay = Path(str(BUILDS["sim"])) / "bindings" / "foreflow-replay"
        done = subprocess.run([replay, capture, "--config", file, "--fingerprint"], capture_output=True, text=True, check=True)
        verdicts[placement] = done.stdout.splitlines()[-1]
    assert verdicts["host_core"] == verdicts["nic"]


def test_a_core_cannot_do_everything_at_unknown_cost(tmp_path: Path) -> None:
    resolved = config.resolve("tag", ["device.placement=host_core"])
    file = tmp_path / "resolved.json"
    file.write_text(json.dumps(config.resolved_for_run(resolved, "reactive", 1, inputs.recorded(), tmp_path)))
    replay = Path(str(BUILDS["sim"])) / "bindings" / "foreflow-replay"
    done = subprocess.run([replay, inputs.recorded(), "--config", file], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "device.placement" in done.stderr and "x86-core" in done.stderr and "./foreflow calibrate" in done.stderr


def test_an_unknown_profile_is_refused() -> None:
    with pytest.raises(Refused, match="./foreflow calibrate"):
        config.resolve("tag", ["host.profile=nowhere/at/all.json"])
    with pytest.raises(Refused, match="--profile = nobody"):
        validation.validate("nobody", True)


def test_validate_compares_both_sides_on_every_case(profile: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(validation, "build", lambda preset, _targets: Path(str(BUILDS[preset])))
    monkeypatch.setattr(validation, "RUNS", tmp_path)
    document = validation.validate(str(profile), True)
    kept = json.loads((Path(document["outputs"]["folder"]) / "result.json").read_text())
    assert kept["rows"] == document["rows"]
    assert all(Path(figure).stat().st_size > 0 for figure in document["outputs"]["figures"])
    by_case: dict[str, list[str]] = {}
    for row in document["rows"]:
        by_case.setdefault(row["case"], []).append(row["what"])
        for side in (row, row["scaled"]):
            low, high = side["ci95"]
            assert low <= side["measured"] <= high and side["predicted"] >= 0
        assert 1 <= row["n"] <= row["tried"] <= validation.TRIES and row["slowness"] > 0
    assert set(by_case) == {case.name for case in validation.QUICK_CASES}
    latencies = [f"latency {name} at load {load:g}" for load in validation.LOADS for name in validation.PERCENTILES]
    for what in by_case.values():
        assert what[0] == "throughput"
        assert [each for each in what if each.startswith("latency")] == latencies
    text = validation.text_of(document)
    assert all(row["what"] in text for row in document["rows"])
    page = tmp_path / "page.md"
    page.write_text(f"before\n{validation.BEGIN}\nold\n{validation.END}\nafter\n")
    for _ in range(2):
        validation.put_into(page, document)
    lines = page.read_text().splitlines()
    assert lines[0] == "before" and lines[-1] == "after" and "old" not in lines
    judged = [row for row in document["rows"] if row["within_aim"] is not None]
    assert sum(line.startswith("| recorded") for line in lines) == len(judged)


def test_a_page_without_the_marks_is_refused(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"{validation.END} {validation.BEGIN}")
    with pytest.raises(Refused, match="has not the marks"):
        validation.put_into(page, {})
    assert page.read_text() == f"{validation.END} {validation.BEGIN}"


def test_a_profile_without_a_yardstick_is_refused(profile: Path, tmp_path: Path) -> None:
    document = json.loads(profile.read_text())
    del document["calibration"]["yardstick"]
    old = tmp_path / "old.json"
    old.write_text(json.dumps(document))
    with pytest.raises(Refused, match=r"old\.json: calibration\.yardstick is missing.*run it again"):
        validation.Setting(Path("x"), Path("y"), old, 1, 1, 1)


def test_a_slower_machine_is_a_slower_clock_and_nothing_else(profile: Path) -> None:
    case = validation.Case("slower", "predictive", ("input=recorded",))
    one, other = (validation._resolved(case, profile, inputs.recorded(), 2e9, 5000, bounded=True, slower=slower) for slower in (1.0, 1.25))  # noqa: SLF001
    clocks = [each["hw"][str(profile)].pop("clock_hz")["value"] for each in (one, other)]
    assert clocks[0] == pytest.approx(1.25 * clocks[1], rel=1e-6)
    assert one == other


def test_steady_passes_are_chosen_where_they_are_enough() -> None:
    passes = [{"steady": True}, {"steady": False}, {"steady": True}]
    assert validation._chosen(passes, 2) == ([passes[0], passes[2]], True)  # noqa: SLF001
    assert validation._chosen(passes, 3) == (passes, False)  # noqa: SLF001


def test_the_measurement_loses_no_packet(profile: Path, tmp_path: Path) -> None:
    case = validation.Case("dropping", "reactive", ("input=recorded",))
    resolved = validation._resolved(case, profile, inputs.recorded(), 2e9, 5000, bounded=True)  # noqa: SLF001
    resolved["device"]["queue_packets"] = 256
    file = validation._write(tmp_path, "run", resolved)  # noqa: SLF001
    measure = Path(str(BUILDS["dpdk"])) / "bindings" / "foreflow-measure"
    done = json.loads(subprocess.run([measure, file, "--floods", "2", "--timed", "2"], capture_output=True, text=True, check=True).stdout)
    for one in [*done["floods"], *done["timed"]]:
        assert one["packets"] == done["packets"] == 5000
        assert one["sent"] + one["dropped"] == one["packets"]
        assert one["bursts"] * 32 >= one["sent"] and one["busy_cycles"] > 0
        assert one["quiet_cycles_per_packet"] <= one["busy_cycles"] / one["packets"] * 1.001
        assert len(one["yardstick"]) == 2 and all(cycles > 0 for reading in one["yardstick"] for cycles in reading)
    for one in done["timed"]:
        assert 0 <= one["hit_share"] <= 1
        for slow, fast in (("latency_ns", "wait_ns"), ("latency_ns", "burst_ns"), ("wait_ns", "late_ns")):
            assert one[slow]["p99"] >= one[fast]["p99"]  # each packet's is: it is due, offered, received, sent
    assert 0 <= done["floor"]["share"] <= 1
    denied = {one["dropped"] for one in done["floods"]}
    assert len(denied) == 1  # rules alone drop when nothing is late
