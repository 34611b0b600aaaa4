# SPDX-License-Identifier: BSD-3-Clause
"""System shard: what is measured of its runs, how its arms are compared, and the runs themselves where the simulator is built."""

from __future__ import annotations

import json
import random
import struct
import subprocess
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from foreflow import build
from foreflow import config as configuration
from foreflow import inputs
from foreflow.errors import Failed, Refused
from foreflow.judge import judgement, of_shard, shard_plots, systems
from foreflow.runs import pareto, rows, runner, scenario, timers
from tools import trace_events


def _summary(**changed: Any) -> dict[str, Any]:
    shard = {
        "give_up_ms": 200.0, "plain_bytes": 1000, "wire_bytes": 1210, "asked": 8, "requests": 10, "spurious": 2, "wrong_bytes": 0, "hurt": [1, 3], "in_units_us": {"p50": 2.0, "p99": 5.5},
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
        "extra_wire_percent": pytest.approx(21.0), "spurious_percent": 25.0, "requests_per_thousand": 2500.0, "offered_share": 0.25, "goodput_share": 0.15, "in_units_p99_us": 5.5,
    }  # fmt: skip
    assert set(found) == set(systems.SHARD.metrics)
    nothing = of_shard.measure(trace, _summary(asked=0, requests=0, spurious=0, hurt=[], in_units_us=None))
    assert nothing["spurious_percent"] is None and nothing["hurt_mean_ms"] is None and nothing["in_units_p99_us"] is None
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
    assert set(resolved) == {"scenario", "arm", "seed", "input", "out", "hw", *systems.SHARD.sections, *systems.SHARD.keys}
    assert (resolved["device"], resolved["host"]) == ({"profile": "fpga-250mhz"}, {"bus": "pcie-gen4-x16"}) and set(resolved["hw"]) == {"fpga-250mhz", "pcie-gen4-x16"}
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


FRAMES = 1200
SEED = 20260704


def _write_capture(path: Path, times_ns: list[int]) -> None:
    """One VM's UDP packets, of random flows and lengths, to an uplink; the same ones each time."""
    draw = random.Random(SEED)
    with path.open("wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 262144, 1))  # times in ns
        for time in times_ns:
            payload = draw.randbytes(draw.randrange(18, 1458))
            udp = struct.pack(">HHHH", draw.randrange(1024, 65536), 443, 8 + len(payload), 0) + payload
            ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0, bytes([10, 0, 0, 1]), bytes([10, 0, 0, 2]))
            frame = bytes([2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1]) + b"\x08\x00" + ip + udp
            file.write(struct.pack("<IIII", time // 10**9, time % 10**9, len(frame), len(frame)) + frame)


def _free(profile: Any) -> Any:
    """A profile at whose prices nothing takes time but a picosecond an engine: the clock and the bus are as fast as a file may say."""
    numbers = {"clock_hz": 10**12, "bandwidth_bps": 10**15, "engines": 1, "queue_capacity": 10**6, "split": 1, "cipher": 1, "reassembly": 1, "timers": 1}
    for key, value in profile.items():
        if isinstance(value, dict):
            number = numbers.get(key, 0)
            profile[key] = {**value, "value": number, "interval": [number, number]} if "value" in value else _free(value)
    return profile


def _times(trace: Path) -> tuple[np.ndarray, np.ndarray]:
    with h5py.File(trace) as file:
        packets = file["packets"][()]
    return packets["arrival_ns"], packets["departure_ns"]


def test_devices_at_the_price_of_nothing_do_what_the_pcap_door_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every packet is whole at the same nanosecond where two units and a network are called without ns-3, devices or engines."""
    program = _built(monkeypatch)
    doors = list((build.BUILD / "sim").glob("*/foreflow-replay"))
    if not doors:
        pytest.skip("foreflow-replay is not built")
    draw = random.Random(SEED)
    gaps = [draw.randrange(1, 400_000) for _ in range(FRAMES)]
    _write_capture(tmp_path / "first.pcap", [10**18 + sum(gaps[:i]) for i in range(FRAMES)])
    words = [f"input={tmp_path / 'first.pcap'}", "network.loss=0.03", "network.burst=3", "network.late=0.02", "network.port_mbps=1000000000", "traffic.load=0.03"]
    config = configuration.resolve("shard", words)
    priced = runner.run_all(runner.plan_all(config, ["rack"], [1], program), program, tmp_path / "priced")[0]
    config["hw"] = {name: _free(profile) for name, profile in config["hw"].items()}
    free = runner.run_all(runner.plan_all(config, ["rack"], [1], program), program, tmp_path / "free")[0]
    arrived, whole = _times(free.trace)
    assert (whole >= 0).sum() > FRAMES - 5

    _write_capture(tmp_path / "second.pcap", [10**18 + int(time) for time in arrived])
    burst = {"to_good": 1 / 3, "to_bad": 0.03 / 0.97 * (1 / 3)}
    # Picoseconds make ns-3's clock go on by a nanosecond: one before whatever leaves an engine, one in the port, one to memory.
    path = {"rate_mbps": 1000, "queue_kb": 10_000, "largest_bytes": 1472, "burst": burst, "late": 0.02, "late_least_us": 300, "late_most_us": 1000, "delay_us": 2000.002}
    unit = {"most_packet_bytes": 14 + 20 + 8 + 1457, "held_packets": 2048, "reassembly": {"held": 4096}, "gaps": {"rule": "rack"}, "repair": "never", "path_rule": "packet", "tick_us": 50}
    replayed = configuration.resolved_for_run(configuration.resolve("tag", []), "off", 1, tmp_path / "second.pcap", tmp_path)
    replayed["shard"] = {"unit": unit, "network": {"paths": [path]}, "warm_up_ms": 0}
    (tmp_path / "resolved.json").write_text(json.dumps(replayed))
    done = subprocess.run(
        [doors[0], "--config", tmp_path / "resolved.json", "--trace", tmp_path / "trace.h5", tmp_path / "second.pcap"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    _, expected = _times(tmp_path / "trace.h5")
    assert np.array_equal(np.where(expected < 0, -1, expected + 1), whole)
    assert free.summary["shard"]["sent"]["resent"] > 20, "something was lost"
    assert np.median((_times(priced.trace)[1] - whole)[whole >= 0]) > 1000, "engines and buses take time"
    assert priced.summary["shard"]["in_units_us"]["p99"] > free.summary["shard"]["in_units_us"]["p99"]


def test_requests_wait_for_answers_and_units_spare_them_tcps_timer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = _built(monkeypatch)
    mix = {"about": "few", "clients": 4, "requests_each": 60, "think_ms": 2, "request_bytes": 200, "response_bytes": 4000}
    (tmp_path / "few.json").write_text(json.dumps(mix))
    config = configuration.resolve("shard", [f"input={tmp_path / 'few.json'}", "network.loss=0.02"])
    results = runner.run_all(runner.plan_all(config, ["off", "rack", "bayes"], [1], program), program, tmp_path)
    assert all(result.ok for result in results), [result.sentence for result in results]
    sizes = []
    for result in results:
        with h5py.File(result.trace) as file:
            packets = file["packets"][()]
        assert len(packets) == 240 and (packets["departure_ns"] > packets["arrival_ns"]).all() and set(packets["vm"]) == {1, 2, 3, 4}
        for client in range(1, 5):
            own = packets[packets["vm"] == client]
            assert (own["arrival_ns"][1:] >= own["departure_ns"][:-1]).all(), "the next is asked once the last was answered"
        sizes.append(packets["wire_bytes"].tolist())
    assert sizes[0] == sizes[1] == sizes[2], "the same requests in every arm"
    off, rack, _ = (of_shard.measure(result.trace, result.summary) for result in results)
    assert off["completion_p99_ms"] > 200 > rack["completion_p99_ms"], "TCP alone waits for its timer"
    assert rack["completion_p50_ms"] < 10
    with pytest.raises(Refused, match="requests are for system shard"):
        configuration.resolve("tag", ["input=requests"])
    (tmp_path / "wrong.json").write_text(json.dumps({**mix, "clients": 0}))
    wrong = configuration.resolve("shard", [f"input={tmp_path / 'wrong.json'}"])
    with pytest.raises(Refused, match=r"wrong.json: clients is 0, allowed: integers 1 .. 1000"):
        runner.run_all(runner.plan_all(wrong, ["off"], [1], program), program, tmp_path)
    assert inputs.capture_for("requests", 3, 0).name == "requests.json"


def test_gaps_are_told_between_the_arms_of_the_system() -> None:
    values = {arm: {metric: [value, value + 0.1] for metric in systems.SHARD.metrics} for arm, value in {"rack": 4.0, "learned": 3.5, "bayes": 3.2, "clairvoyant": 3.0}.items()}
    assert judgement.gaps(values, systems.SHARD)["completion_p99_ms"].mean == pytest.approx(0.5)
    assert judgement.gaps(values, systems.SHARD, "bayes")["completion_p99_ms"].mean == pytest.approx(0.8)
    assert judgement.gaps(values) == {}
