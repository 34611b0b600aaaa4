# SPDX-License-Identifier: BSD-3-Clause
"""What ff.load gives: one run's tables, many runs' rows; against h5py, pandas and xarray themselves."""

from __future__ import annotations

import fcntl
import itertools
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas
import pytest

import foreflow
from analysis.tests import kept_runs
from foreflow import places
from foreflow.errors import Refused
from foreflow.results import frame
from foreflow.results.run import Run
from tools import trace_events


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    (folder / "in.pcap").write_text("{}")
    results = kept_runs.make(folder / "in.pcap", folder / "result" / "runs", ["reactive", "predictive", "oracle"], 2)
    return kept_runs.as_result(results, folder / "result")


@pytest.fixture
def result(made: Path, tmp_path: Path) -> Path:
    """A copy, to be damaged."""
    copied = shutil.copytree(made, tmp_path / "result")
    (copied / "result.json").write_text((made / "result.json").read_text().replace(str(made), str(copied)))
    return copied


def some_run(result: Path, arm: str = "predictive", seed: int = 1) -> Path:
    runs = json.loads((result / "result.json").read_text())["outputs"]["runs"]
    return Path(next(run["folder"] for run in runs if (run["arm"], run["seed"]) == (arm, seed)))


def test_tables_are_those_of_the_trace(result: Path) -> None:
    folder = some_run(result)
    run = foreflow.load(str(folder))
    assert isinstance(run, Run)
    with h5py.File(folder / "trace.h5") as file:
        raw = pandas.DataFrame(file["packets"][()])
    table = trace_events.load().tables["packets"]
    assert list(run.packets.columns) == [column.name for column in table.columns]
    assert run.packets.attrs["units"] == {column.name: column.unit for column in table.columns}
    for column in table.columns:
        if column.names:
            assert run.packets[column.name].tolist() == [column.names[value] for value in raw[column.name]]
        else:
            assert run.packets[column.name].dtype == raw[column.name].dtype
            assert (run.packets[column.name] == raw[column.name]).all()
    assert run.decisions["punted"].dtype == bool and run.decisions["punted"].sum() == 101
    assert run.summary["packets"]["in"] == 1000 and run.manifest["seed"] == 1 and run.config["arm"] == "predictive"
    assert run.packets is run.packets  # read once
    latency = run.latencies()
    asked = raw[(raw["truth"] == 1) & (raw["departure_ns"] >= 0)]
    assert latency.tolist() == ((asked["departure_ns"] - asked["arrival_ns"]) / 1000).tolist()
    assert latency.attrs["unit"] == "us"


def test_flows_have_addresses_that_people_read(tmp_path: Path) -> None:
    rows = np.zeros(3, trace_events.dtype("flows"))
    rows["source_address"][0, :4] = [10, 0, 0, 1]
    rows["source_address"][1] = [0x20, 0x01, 0x0D, 0xB8] + [0] * 11 + [7]
    rows["source_address"][2, :6] = [2, 0, 0, 0, 0, 9]
    rows["l3"] = [2, 3, 0]
    with h5py.File(tmp_path / "trace.h5", "w") as file:
        file["flows"] = rows
    run = foreflow.load(tmp_path)
    assert run.flows["source_address"].tolist() == ["10.0.0.1", "2001:db8::7", "02:00:00:00:00:09"]
    assert run.flows["l3"].tolist() == ["ipv4", "ipv6", "none"]


def test_a_trace_that_is_still_written_opens(tmp_path: Path) -> None:
    """As its writer leaves it when it is killed, or has it locked: no summary, no tables of the end."""
    (tmp_path / "RESOLVED.json").write_text('{"arm": "reactive"}')
    writer = "import h5py, os, sys; from tools import trace_events as t; import numpy; file = h5py.File(sys.argv[1], 'w');"
    writer += "file['packets'] = numpy.zeros(7, t.dtype('packets')); file.flush(); os._exit(0)"
    subprocess.run([sys.executable, "-c", writer, str(tmp_path / "trace.h5")], check=True, cwd=places.ROOT)
    with (tmp_path / "trace.h5").open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        run = foreflow.load(tmp_path)
        assert len(run.packets) == 7 and run.config["arm"] == "reactive"
    with pytest.raises(Refused, match=r"trace\.h5: has no table work; there are packets$"):
        run.work
    with pytest.raises(Refused, match=r"summary\.json: is missing; the run has not finished"):
        run.summary


@pytest.mark.parametrize(
    ("damage", "part"),
    [
        (lambda run: (run / "trace.h5").write_bytes(b"not HDF5"), "trace.h5: cannot be read"),
        (lambda run: (run / "trace.h5").write_bytes((run / "trace.h5").read_bytes()[:3000]), "trace.h5: cannot be read"),
        (lambda run: (run / "trace.h5").unlink(), "trace.h5: is missing"),
    ],
)
def test_a_corrupt_trace_is_one_sentence(result: Path, damage: Callable[[Path], Any], part: str) -> None:
    folder = some_run(result)
    damage(folder)
    with pytest.raises(Refused, match=part) as refusal:
        foreflow.load(folder).packets
    assert "\n" not in str(refusal.value)


def test_values_and_columns_that_no_version_has_are_refused(tmp_path: Path) -> None:
    rows = np.zeros(2, trace_events.dtype("packets"))
    rows["truth"][1] = 99
    with h5py.File(tmp_path / "trace.h5", "w") as file:
        file["packets"] = rows
        file["work"] = np.zeros(1, [("stage", "S16")])
    with pytest.raises(Refused, match="column truth: value 99; allowed is 0 to 6"):
        foreflow.load(tmp_path).packets
    with pytest.raises(Refused, match="lacks the column visits"):
        foreflow.load(tmp_path).work
    with pytest.raises(Refused, match="table pakets; allowed is one of packets,"):
        foreflow.load(tmp_path).table("pakets")


def test_a_result_and_its_store_give_the_same_rows(result: Path) -> None:
    runs = foreflow.load(result)
    store = foreflow.load(result / "runs")
    assert list(runs.columns[:7]) == ["key", "scenario", "arm", "seed", "status", "seconds", "fingerprint"]
    assert len(runs) == 6 and set(runs["status"]) == {"done"} and set(runs["arm"]) == {"reactive", "predictive", "oracle"}
    assert set(runs["key"]) == set(store["key"])
    assert runs.parameters == ["input"] and runs.varying == []
    assert runs.attrs["units"]["request_response_p99_us"] == "us" and runs.attrs["units"]["seconds"] == "s"
    predictive = runs[runs["arm"] == "predictive"].sort_values("seed")
    assert predictive["punts_per_thousand"].tolist() == [101, 102]
    assert isinstance(predictive, frame.Frame) and predictive.attrs["units"] == runs.attrs["units"]
    one = foreflow.load(result)
    assert one.equals(runs)


def rows_over(loads: list[float], capacities: list[str], arms: tuple[str, ...] = ("reactive", "predictive"), seeds: int = 3) -> list[dict[str, Any]]:
    rows = []
    for number, (load, capacity, arm, seed) in enumerate(itertools.product(loads, capacities, arms, range(1, seeds + 1))):
        parameters = ({"traffic.load": load} if load != 0.9 else {}) | ({"device.flow_entries": capacity} if capacity != "10%" else {})
        rows.append({
            "key": f"{number:016x}", "scenario": "tag", "arm": arm, "seed": seed, "parameters": parameters, "status": "done",
            "started": f"2026-01-01T00:00:{number:02d}+00:00", "seconds": 1.5, "fingerprint": f"{number:064x}",
            "metrics": {"punts_per_thousand": 1000 * load + 10 * seed + len(arm) + len(capacity), "hit_ratio": None}, "sentence": "",
        })  # fmt: skip
    return rows


def test_a_default_is_a_value_like_others() -> None:
    runs = frame.of_rows(rows_over([0.5, 0.9], ["5%", "10%"]))
    assert sorted(runs["traffic.load"].unique()) == [0.5, 0.9]
    assert runs.varying == ["device.flow_entries", "traffic.load"]
    assert runs["hit_ratio"].isna().all()


def test_xarray_has_a_dimension_for_what_varies() -> None:
    rows = rows_over([0.5, 0.9], ["5%", "10%", "50%"])
    rows.pop()  # a run that is not there
    cube = frame.of_rows(rows).to_xarray()
    assert cube["punts_per_thousand"].dims == ("device.flow_entries", "traffic.load", "arm", "seed")
    assert list(cube["device.flow_entries"].values) == ["5%", "10%", "50%"]  # by size, not by letters
    assert cube["punts_per_thousand"].attrs["units"] == "packets/1000"
    assert int(cube["punts_per_thousand"].isnull().sum()) == 1
    for row in rows:
        place = {"device.flow_entries": row["parameters"].get("device.flow_entries", "10%"), "traffic.load": row["parameters"].get("traffic.load", 0.9), "arm": row["arm"], "seed": row["seed"]}
        assert float(cube["punts_per_thousand"].sel(place)) == row["metrics"]["punts_per_thousand"]
    alone = frame.of_rows(rows_over([0.5], ["10%"])).to_xarray()
    assert alone["punts_per_thousand"].dims == ("arm", "seed") and float(alone["traffic.load"]) == 0.5


def test_xarray_refuses_what_is_no_grid() -> None:
    rows = rows_over([0.5], ["10%"])
    with pytest.raises(Refused, match="runs 0000000000000000 and 0000000000000000 have the same parameters"):
        frame.of_rows([*rows, rows[0]]).to_xarray()
    scattered = []
    for number in range(40):
        (row,) = rows_over([0.1 + number / 100], [f"{number + 1}%"], ("reactive",), 1)
        scattered.append({**row, "parameters": {**row["parameters"], "link.rate_mbps": 100 + number}})
    with pytest.raises(Refused, match="allowed are points of a grid"):
        frame.of_rows(scattered).to_xarray()
    with pytest.raises(Refused, match="no finished run"):
        frame.of_rows([{**rows[0], "status": "failed"}]).to_xarray()


def test_failed_runs_are_rows(capture: Callable[..., Path], tmp_path: Path) -> None:
    results = kept_runs.make(capture(fail={"oracle-2": 1}), tmp_path / "store", ["reactive", "oracle"], 2)
    for place in (kept_runs.as_result(results, tmp_path / "o"), tmp_path / "store"):
        runs = foreflow.load(place)
        (row,) = (each for _, each in runs.iterrows() if each["status"] == "failed")
        assert (row["arm"], row["seed"]) == ("oracle", 2) and np.isnan(row["punts_per_thousand"])
        assert len(runs.done()) == 3 and runs.done()["seed"].dtype.kind == "i"


def test_folders_that_hold_no_results_are_refused(result: Path, tmp_path: Path) -> None:
    with pytest.raises(Refused, match="nowhere: no such folder; allowed is the folder of one run"):
        foreflow.load(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(Refused, match="empty: holds no results; allowed is"):
        foreflow.load(tmp_path / "empty")
    (result / "runs" / "VERSION").write_text("99\n")
    with pytest.raises(Refused, match="VERSION"):
        foreflow.load(result / "runs")
    (result / "result.json").write_text("{}")
    with pytest.raises(Refused, match="result.json: is no result of `run`"):
        foreflow.load(result)


def test_a_corrupt_run_costs_no_other(result: Path) -> None:
    folder = some_run(result)
    (folder / "row.json").write_text("{")
    (folder / "manifest.json").write_text("{")
    runs = foreflow.load(result / "runs")
    assert len(runs) == 6 and (runs["status"] == "corrupt").sum() == 1 and len(runs.done()) == 5
    with pytest.raises(Refused, match="is no whole run"):
        foreflow.load(result)


def test_a_sweep_has_its_own_rows_alone(result: Path) -> None:
    keys = foreflow.load(result / "runs")["key"].tolist()
    sweep = result / "runs" / "sweeps" / "some-0123"
    sweep.mkdir(parents=True)
    # Of a sweep that is still running: one of its runs is not there yet.
    (sweep / "sweep.json").write_text(json.dumps({"spec": {"scenario": "tag"}, "runs": [keys[3], "0" * 16, keys[1]]}))
    assert foreflow.load(sweep)["key"].tolist() == [keys[3], keys[1]]
    (sweep / "sweep.json").write_text("{}")
    with pytest.raises(Refused, match="sweep.json: is no sweep"):
        foreflow.load(sweep)


def test_ten_thousand_rows_make_a_frame_quickly() -> None:
    rows = [{**row, "key": f"{place:016x}"} for place, row in enumerate(rows_over([round(0.1 + 0.01 * i, 2) for i in range(50)], [f"{i}%" for i in range(1, 21)], seeds=5))]
    started = time.process_time()
    cube = frame.of_rows(rows).to_xarray()
    assert time.process_time() - started < 2
    assert cube["punts_per_thousand"].size == len(rows) == 10_000
