# SPDX-License-Identifier: BSD-3-Clause
"""Sweeps as a user meets them: killed, repeated, on several executors, side by side, on bad disks. With the real simulator on the
first packets of the recorded capture, except where a run has to fail.
"""

from __future__ import annotations

import csv
import json
import os
import random
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from foreflow import places
from foreflow.judge import metrics, stats
from foreflow.runs import workers

Command = Callable[..., tuple[int, str, str]]
HERE = Path(__file__).parent
BUILD = os.environ.get("FOREFLOW_BUILD")
SIMULATOR = Path(BUILD or "") / "scenarios" / "foreflow-run"
real = pytest.mark.skipif(not SIMULATOR.is_file(), reason="FOREFLOW_BUILD names no build with foreflow-run")
PACKETS = 300
SEED = random.SystemRandom().randrange(1 << 32)
SPEC = {
    "name": "small",
    "scenario": "tag",
    "set": {"traffic.max_packets": PACKETS, "predictor": "markov1"},
    "vary": {"load": [0.5, 0.9]},
    "arms": ["reactive", "predictive"],
    "seeds": 2,
}


def start(spec: Path, store: Path, *options: str, program: Path = SIMULATOR, path: str | None = None) -> subprocess.Popen[str]:
    """`foreflow sweep` in a session of its own."""
    environment = {**os.environ, "PYTHONPATH": f"{places.ROOT / 'analysis'}:{places.ROOT}"} | ({"PATH": path} if path else {})
    command = [sys.executable, "-P", str(HERE / "sweep_driver.py"), str(program), "sweep", str(spec), "--store", str(store), "--json", *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, start_new_session=True)


def finished(process: subprocess.Popen[str]) -> dict[str, Any]:
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return json.loads(out)


def facts(document: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows, without what may differ from one time to the next."""
    return [{key: value for key, value in row.items() if key not in ("started", "seconds", "trace")} for row in document["rows"]]


def processes_with(text: str) -> list[int]:
    """Those whose command line names `text`."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                if text.encode() in (folder / "cmdline").read_bytes():
                    found.append(int(folder.name))
            except OSError:
                continue
    return found


def children_of(pid: int) -> list[int]:
    try:
        return [int(child) for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()]
    except OSError:
        return []


def until(condition: Callable[[], Any], seconds: float = 30) -> Any:
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.005)
    return value


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "small.yaml"
    path.write_text(json.dumps(SPEC))
    return path


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("undisturbed")
    (folder / "small.yaml").write_text(json.dumps(SPEC))
    return finished(start(folder / "small.yaml", folder / "store"))


@real
def test_rows_traces_and_tables_are_those_of_the_runs(undisturbed: dict[str, Any], tmp_path: Path) -> None:
    rows, outputs = undisturbed["rows"], undisturbed["outputs"]
    store = Path(outputs["store"])
    settings = [(load, seed, arm) for load in (0.5, 0.9) for seed in (1, 2) for arm in ("reactive", "predictive")]
    assert [(row["parameters"].get("traffic.load", 0.9), row["seed"], row["arm"]) for row in rows] == settings
    assert (undisturbed["runs"], undisturbed["done"], undisturbed["reused"]) == (8, 8, 0)
    for row in rows:
        folder = store / row["key"]
        summary = json.loads((folder / "summary.json").read_text())
        assert row["fingerprint"] == summary["fingerprint"] == json.loads((folder / "manifest.json").read_text())["fingerprint"]
        measured = metrics.measure(folder / "trace.h5")
        assert {name: row["metrics"][name] for name in measured} == measured
        assert summary["packets"]["in"] == PACKETS
    with open(outputs["rows"]) as file:
        table = list(csv.DictReader(file))
    assert [line["key"] for line in table] == [row["key"] for row in rows]
    assert [float(line["traffic.load"]) for line in table] == [row["parameters"].get("traffic.load", 0.9) for row in rows]
    assert [float(line["p99_us"]) for line in table] == [row["metrics"]["p99_us"] for row in rows]
    with h5py.File(outputs["joined"]) as joined:
        runs = joined["runs"][()]
        assert [key.decode() for key in runs["key"]] == [row["key"] for row in rows]
        assert joined["packets"].is_virtual and len(joined["packets"]) == 8 * PACKETS
        for name in ("packets", "decisions", "predictions", "work", "flows"):
            with_parts = [h5py.File(store / row["key"] / "trace.h5")[name][()] for row in rows]
            np.testing.assert_array_equal(joined[name][()], np.concatenate(with_parts))
            np.testing.assert_array_equal(runs[f"{name}_start"], np.cumsum([0] + [len(part) for part in with_parts])[:-1])
            np.testing.assert_array_equal(runs[f"{name}_rows"], [len(part) for part in with_parts])
    store.rename(tmp_path / "moved")  # names of traces are relative
    with h5py.File(tmp_path / "moved" / Path(outputs["joined"]).relative_to(store)) as joined:
        assert np.count_nonzero(joined["packets"]["arrival_ns"]) > 7 * PACKETS
    (tmp_path / "moved").rename(store)


@real
def test_killed_at_any_moment_it_ends_with_the_same_rows(undisturbed: dict[str, Any], spec: Path, tmp_path: Path) -> None:
    draw, store = random.Random(SEED), tmp_path / "store"
    print(f"seed {SEED}")
    for _ in range(3):
        process = start(spec, store, "-j", "2")
        kept = len(list(store.glob("*/row.json")))
        wanted = kept + draw.randrange(1, 3)
        until(lambda: process.poll() is not None or len(list(store.glob("*/row.json"))) >= wanted)
        time.sleep(draw.random() * 0.05)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        until(lambda: not processes_with(str(store)), 15)  # no simulator goes on
    again = finished(start(spec, store))
    assert facts(again) == facts(undisturbed)
    assert 1 <= again["reused"] and again["failed"] == []
    assert not list(store.glob("*.failed*")) and not list(store.glob("*.2"))
    third = finished(start(spec, store))
    assert third["reused"] == third["runs"] == 8 and facts(third) == facts(undisturbed)


@real
def test_workers_that_die_are_replaced_and_their_runs_repeated(undisturbed: dict[str, Any], spec: Path, tmp_path: Path) -> None:
    process = start(spec, tmp_path / "store", "-j", "2")
    for number in (1, 4):
        until(lambda: len(list((tmp_path / "store").glob("*/row.json"))) >= number)
        victims = children_of(process.pid)
        if victims:
            os.kill(victims[0], signal.SIGKILL)
    assert facts(finished(process)) == facts(undisturbed)


@real
def test_two_sweeps_on_one_store_share_the_work(undisturbed: dict[str, Any], spec: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    one, other = start(spec, store, "-j", "1"), start(spec, store, "-j", "1")
    documents = finished(one), finished(other)
    assert [facts(document) for document in documents] == [facts(undisturbed)] * 2
    assert sum(document["runs"] - document["reused"] for document in documents) == 8  # each run once
    assert not list(store.glob("*.2"))


DASK = """
import os, signal, sys, threading, time
from pathlib import Path

def main():
    import distributed
    import foreflow
    from foreflow import build
    program, spec, store = map(Path, sys.argv[1:])
    build.build, build.program = (lambda *_, **__: program.parent), (lambda *_: program)
    cluster = distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=50)
    pids = [worker.pid for worker in cluster.workers.values()]

    def kill():
        while len(list(store.glob("*/row.json"))) < 4:
            time.sleep(0.005)
        os.kill(pids[0], signal.SIGKILL)

    threading.Thread(target=kill).start()
    swept = foreflow.sweep(spec, dask=cluster.scheduler_address, store=store)
    import json
    print(json.dumps(swept.document))
    assert set(pids) != {worker.pid for worker in cluster.workers.values()}
    cluster.close()

if __name__ == "__main__":
    main()
"""


@real
def test_on_a_dask_cluster_that_loses_a_worker_the_rows_are_the_same(undisturbed: dict[str, Any], spec: Path, tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    (tmp_path / "on_dask.py").write_text(DASK)
    environment = {**os.environ, "PYTHONPATH": f"{places.ROOT / 'analysis'}:{places.ROOT}"}
    command = [sys.executable, "-P", str(tmp_path / "on_dask.py"), str(SIMULATOR), str(spec), str(tmp_path / "store")]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert facts(json.loads(done.stdout)) == facts(undisturbed)


# The parts of sbatch that the script and its submission rely on: options from the script, an array's tasks as processes of their
# own, --wait, and the number of the job. The first task of the first job is killed.
SBATCH = """#!/usr/bin/python3
import os, re, subprocess, sys
from pathlib import Path

script = sys.argv[-1]
assert sys.argv[1:-1] == ["--wait", "--parsable"], sys.argv
options = dict(re.findall(r"^#SBATCH --([a-z-]+)=(.*)$", Path(script).read_text(), re.M))
assert options["cpus-per-task"] == "1" and options["job-name"] == "foreflow-small"
first, last = map(int, options["array"].split("-"))
print(len(list(Path(script).parent.parent.iterdir())), flush=True)
codes = []
for task in range(first, last + 1):
    environment = {**os.environ, "SLURM_ARRAY_TASK_ID": str(task)}
    environment.pop("PYTHONPATH", None)  # the script has to set it
    log = options["output"].strip('"').replace("%a", str(task))
    with open(log, "w") as out:
        process = subprocess.Popen(["bash", script], env=environment, stdout=out, stderr=out)
        if task == 0 and not Path(sys.argv[0] + ".killed").exists():
            Path(sys.argv[0] + ".killed").touch()
            process.kill()
        codes.append(process.wait())
sys.exit(max(map(abs, codes)))
"""


@real
def test_a_slurm_array_meets_at_the_store(undisturbed: dict[str, Any], tmp_path: Path) -> None:
    tools, store = tmp_path / "a tool", tmp_path / "a store"
    tools.mkdir()
    (tools / "sbatch").write_text(SBATCH)
    (tools / "sbatch").chmod(stat.S_IRWXU)
    small = tmp_path / "small.yaml"
    small.write_text(json.dumps({**SPEC, "where": "load < 0.9", "arms": ["reactive"]}))
    document = finished(start(small, store, "--slurm", path=f"{tools}:{os.environ['PATH']}"))
    wanted = [row for row in facts(undisturbed) if row["arm"] == "reactive" and "traffic.load" in row["parameters"]]
    assert facts(document) == wanted and len(wanted) == 2
    jobs = sorted(store.glob("sweeps/small-*/slurm/*/job.sh"))
    assert len(jobs) == 2 and "#SBATCH --array=0-1" in jobs[0].read_text() and "#SBATCH --array=0-0" in jobs[1].read_text()
    assert subprocess.run(["bash", "-n", *jobs], check=False).returncode == 0


def test_slurm_without_sbatch_and_refusing_sbatch(command: Command, capture: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = fake_spec(tmp_path, capture())
    monkeypatch.setenv("PATH", str(tmp_path / "tools"))
    code, _, errors = command("sweep", str(spec), "--store", str(tmp_path / "s"), "--slurm")
    assert code == 2 and "sbatch is not on PATH" in errors
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "sbatch").write_text("#!/bin/sh\necho 'sbatch: error: invalid partition specified' >&2\nexit 1\n")
    (tmp_path / "tools" / "sbatch").chmod(stat.S_IRWXU)
    code, _, errors = command("sweep", str(spec), "--store", str(tmp_path / "s"), "--slurm")
    assert code == 1 and "sbatch did not take the job: sbatch: error: invalid partition specified; script: " in errors


def fake_spec(folder: Path, capture: Path, **more: object) -> Path:
    """A sweep for the simulator whose results are known."""
    path = folder / "fake.yaml"
    path.write_text(json.dumps({"scenario": "tag", "set": {"input": str(capture)}, "vary": {"load": [0.5, 0.9]}, "arms": ["reactive", "predictive"], "seeds": 2} | more))
    return path


def test_a_failed_run_is_a_row_and_the_sweep_goes_on(command: Command, capture: Callable[..., Path], tmp_path: Path) -> None:
    spec, store = fake_spec(tmp_path, capture(fail={"predictive-2": 1, "reactive-1": 2}), vary={"load": [0.5]}), tmp_path / "s"
    for time_ in (1, 2):
        code, text, errors = command("sweep", str(spec), "--store", str(store), "--json")
        assert code == 1
        document = json.loads(text)
        assert (document["runs"], document["done"], document["reused"]) == (4, 2, 0 if time_ == 1 else 2)
        assert sorted((row["arm"], row["seed"]) for row in document["failed"]) == [("predictive", 2), ("reactive", 1)]
        for row in document["failed"]:
            assert "record 7" in row["sentence"] and "record 7" in Path(row["log"]).read_text() and row["log"] in errors
        assert errors.splitlines()[-1].startswith("foreflow: 2 of 4 runs failed")
        lines = list(csv.DictReader(Path(document["outputs"]["rows"]).open()))
        assert [line["status"] for line in lines].count("failed") == 2 and len(lines) == 4
    assert len(list(store.glob("*.failed"))) == len(list(store.glob("*.failed.2"))) == 2  # nothing is deleted
    assert "1 of 2" in Path(document["outputs"]["table"]).read_text()


def test_replications_stop_when_the_interval_is_narrow(command: Command, capture: Callable[..., Path], tmp_path: Path) -> None:
    """Predictive punts 100 + seed of 1000, so half widths are known: t(n - 1) * sd(1, ..., n) / sqrt(n)."""
    for width, wanted, half in ((2.5, 3, 4.3027 * 1.0 / 3**0.5), (2.3, 4, 3.1824 * 1.2910 / 2)):
        seeds = {"until": {"metric": "punts_per_thousand", "absolute": width}, "at_most": 5}
        spec = fake_spec(tmp_path, capture(), vary={}, seeds=seeds)
        code, text, errors = command("sweep", str(spec), "--store", str(tmp_path / "s"), "--json", "-j", "2")
        assert code == 0, errors
        rows = json.loads(text)["rows"]
        values = {arm: [row["metrics"]["punts_per_thousand"] for row in rows if row["arm"] == arm] for arm in ("predictive", "reactive")}
        assert values == {"predictive": [101.0 + n for n in range(wanted)], "reactive": [200.0] * wanted}
        estimate = stats.mean(values["predictive"])
        assert (estimate.high - estimate.low) / 2 == pytest.approx(half, rel=1e-3)


def test_a_dry_run_counts_and_starts_nothing(command: Command, capture: Callable[..., Path], tmp_path: Path) -> None:
    spec, store = fake_spec(tmp_path, capture()), tmp_path / "s"
    code, text, _ = command("sweep", str(spec), "--store", str(store), "--dry-run")
    assert code == 0 and not store.exists()
    assert text.splitlines() == ["2 points, 8 runs: 0 done, 8 to do", "8 have nothing like them in the store: their time is not known"]
    narrow = fake_spec(tmp_path, capture(), seeds=1, arms=["reactive"])
    assert command("sweep", str(narrow), "--store", str(store))[0] == 0
    spec = fake_spec(tmp_path, capture())
    before = sorted(path.name for path in store.iterdir())
    code, text, _ = command("sweep", str(spec), "--store", str(store), "--dry-run", "--json", "-j", "3")
    found = json.loads(text)
    assert {key: found[key] for key in ("points", "runs", "done", "at_most", "unknown", "width")} == {"points": 2, "runs": 8, "done": 2, "at_most": 8, "unknown": 4, "width": 3}
    assert found["settings"] == [{"traffic.load": 0.5}, {"traffic.load": 0.9}]
    past = [json.loads(path.read_text())["seconds"] for path in store.glob("*/row.json")]
    assert sum(past) / 3 <= found["seconds"] + 1e-9 and found["seconds"] <= 2 * max(past)
    assert set(before) <= {path.name for path in store.iterdir()} and len(list(store.glob("*/row.json"))) == 2


def test_the_longest_runs_go_first(command: Command, capture: Callable[..., Path], tmp_path: Path) -> None:
    store = tmp_path / "s"
    assert command("sweep", str(fake_spec(tmp_path, capture(), seeds=1, arms=["reactive"])), "--store", str(store))[0] == 0
    for path in store.glob("*/row.json"):  # as if load 0.9 took long
        row = json.loads(path.read_text())
        row["seconds"] = 1.0 if "traffic.load" in row["parameters"] else 50.0
        path.write_text(json.dumps(row))
    code, text, _ = command("sweep", str(fake_spec(tmp_path, capture(), arms=["reactive"])), "--store", str(store), "-j", "1", "--json")
    assert code == 0
    new = sorted((path.stat().st_mtime_ns, "traffic.load" in json.loads(path.read_text())["parameters"]) for path in store.glob("*/row.json"))[-2:]
    assert [is_short for _, is_short in new] == [False, True]


def test_bad_input_is_one_sentence_and_nothing_is_made(command: Command, capture: Callable[..., Path], tmp_path: Path) -> None:
    good = fake_spec(tmp_path, capture())
    bad = tmp_path / "bad.yaml"
    for text, options, sentence in (
        ("scenario: tag\nvary: {loda: [1]}", [], "bad.yaml: vary: unknown key loda"),
        ("scenario: tag\nvary: {load: [-1]}", [], "bad.yaml: traffic.load = -1; allowed is"),
        ("scenario: tag\nset: {input: /nowhere.pcap}", [], "input = /nowhere.pcap: no such file"),
        ("scenario: nowhere", [], "no scenario is named 'nowhere'"),
        (good.read_text(), ["-j", "0"], "'-j': 0 is not in the range"),
        (json.dumps({**json.loads(good.read_text()), "cores": 2}), ["-j", "1"], "-j 1; allowed is 2 or more"),
        (good.read_text(), ["--slurm", "--dask", "local:2"], "--dask and --slurm; a sweep runs in one place"),
        (good.read_text(), ["--slurm", "-j", "2"], "-j 2; allowed without --dask and --slurm"),
        (good.read_text(), ["--dask", "local:x"], "--dask local:x; allowed is local:N"),
    ):
        bad.write_text(text)
        code, out, errors = command("sweep", str(bad), "--store", str(tmp_path / "s"), "--json", *options)
        assert (code, out) == (2, ""), (text, errors)
        assert sentence in errors.splitlines()[-1]
        assert not list((tmp_path / "s").glob("*/row.json"))
    code, _, errors = command("sweep", str(tmp_path / "missing.yaml"))
    assert code == 2 and "missing.yaml: cannot be read" in errors
    (tmp_path / "s").mkdir(exist_ok=True)
    (tmp_path / "s" / "VERSION").write_text("9\n")
    code, _, errors = command("sweep", str(good), "--store", str(tmp_path / "s"))
    assert code == 2 and "the store's format is '9'; allowed is 1" in errors


def test_a_run_that_takes_every_worker_with_it_is_a_failed_row(command: Command, capture: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Dying(workers.Workers):
        def wait(self, seconds: float) -> list[Any]:
            for worker in list(self._workers):
                if worker.task is not None and worker.task.run.arm == "predictive":
                    worker.process.kill()
            return list(super().wait(seconds))

    monkeypatch.setattr(workers, "Workers", Dying)
    code, text, errors = command("sweep", str(fake_spec(tmp_path, capture(), vary={}, seeds=1)), "--store", str(tmp_path / "s"), "--json")
    assert code == 1 and errors.count("the run is repeated") == 2, errors
    (row,) = json.loads(text)["failed"]
    assert row["arm"] == "predictive" and row["sentence"] == "3 workers died while they ran it"


@real
def test_a_disk_that_fills_stops_the_sweep_and_it_goes_on_when_there_is_room(spec: Path, disk: Path, undisturbed: dict[str, Any]) -> None:
    process = start(spec, disk / "store")
    out, errors = process.communicate(timeout=60)
    assert (process.returncode, out) == (1, ""), errors
    assert "what is finished is kept" in errors.splitlines()[-1] and str(disk) in errors.splitlines()[-1]
    kept = len(list((disk / "store").glob("*/row.json")))
    subprocess.run(["mount", "-o", "remount,size=64m", disk], check=True)
    document = finished(start(spec, disk / "store"))
    assert facts(document) == facts(undisturbed) and document["reused"] == kept
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    process = start(spec, disk / "store")
    out, errors = process.communicate(timeout=60)
    assert (process.returncode, out) == (2, "")
    assert errors.splitlines()[-1] == f"foreflow: {disk / 'store'}: cannot be written: Read-only file system; name another folder"


@real
def test_generated_traffic_is_the_same_in_every_arm_and_point_and_another_for_another_seed(tmp_path: Path) -> None:
    spec, store = tmp_path / "made.yaml", tmp_path / "store"
    made = {"input": "memoryless", "traffic.max_packets": 1000, "predictor": "markov1"}
    spec.write_text(json.dumps({"scenario": "tag", "set": made, "vary": {"link.delay_us": [1, 2]}, "arms": ["off", "oracle"], "seeds": 2}))
    document = finished(start(spec, store))
    read = {row["key"]: json.loads((store / row["key"] / "manifest.json").read_text())["inputs_sha256"] for row in document["rows"]}
    by_seed = {seed: {tuple(read[row["key"]].values()) for row in document["rows"] if row["seed"] == seed} for seed in (1, 2)}
    assert len(document["rows"]) == 8 and [len(found) for found in by_seed.values()] == [1, 1] and by_seed[1] != by_seed[2]
