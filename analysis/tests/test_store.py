# SPDX-License-Identifier: BSD-3-Clause
"""Stores: what they keep, what they say of spoiled runs, and that nothing in them is lost."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import shutil
import subprocess
from pathlib import Path

import h5py
import pytest

from foreflow import config
from foreflow.errors import Refused
from foreflow.judge.metrics import METRICS
from foreflow.runs import rows, runner
from foreflow.runs.store import Store

FAKE = Path(__file__).with_name("fake_run.py")


def write_run(folder: Path, key: str, status: str = "done", **values: object) -> dict[str, object]:
    """A run's folder as the store keeps it; only its row and the size of its trace matter here."""
    folder.mkdir(parents=True)
    for name in ("manifest.json", "summary.json", "RESOLVED.json"):
        (folder / name).write_text("{}")
    with h5py.File(folder / "trace.h5", "w") as file:
        file["packets"] = [1, 2, 3]
    row = {
        "key": key, "scenario": "tag", "arm": "off", "seed": 1, "parameters": {"traffic.load": 0.5}, "status": status, "started": "2024-01-01T00:00:00+00:00",
        "seconds": 1.5, "fingerprint": "ab" * 32, "metrics": dict.fromkeys(METRICS, 1.0), "sentence": "", "trace": {"bytes": (folder / "trace.h5").stat().st_size, "rows": {"packets": 3}},
        **values,
    }  # fmt: skip
    rows.write(folder, row)
    return row


def key_of(number: int) -> str:
    return f"{number:016x}"


def test_rows_are_the_same_from_the_runs_and_from_the_index(tmp_path: Path) -> None:
    store = Store.of(tmp_path / "s")
    written = [write_run(store.run(key_of(n)), key_of(n), seed=n) for n in range(50)]
    assert store.rows() == written
    index = store.folder / "index.jsonl"
    assert len(index.read_text().splitlines()) == 50
    assert Store.existing(store.folder).rows() == written
    # Whatever happens to the index, and however the runs change behind it.
    draw = random.Random(7)
    for spoil in ("", "[]\n", "no json", index.read_text()[: draw.randrange(1000)], '{"folder": 3}\n'):
        index.write_text(spoil)
        assert store.rows() == written
    index.unlink()
    written[3] = {**written[3], "seconds": 2.0}
    rows.write(store.run(key_of(3)), written[3])
    assert store.rows() == written
    shutil.rmtree(store.run(key_of(4)))
    assert store.rows() == written[:4] + written[5:]


def test_of_a_key_the_finished_run_else_the_last_failure_is_its_row(tmp_path: Path) -> None:
    store = Store.of(tmp_path / "s")
    a, b = key_of(1), key_of(2)
    for name, sentence in ((f"{a}.failed", "first"), (f"{a}.failed.2", "second"), (f"{a}.failed.10", "tenth"), (f"{b}.failed", "once")):
        write_run(store.folder / name, name[:16], "failed", sentence=sentence)
    assert [row["sentence"] for row in store.rows()] == ["tenth", "once"]
    assert store.folder_of(store.rows()[0]).name == f"{a}.failed.10"
    done = write_run(store.run(b), b)
    write_run(store.folder / f"{b}.2", b)  # what was there before
    assert [row["status"] for row in store.rows()] == ["failed", "done"]
    assert store.rows()[1] == done


def test_what_is_kept_sets_aside_and_never_replaces(tmp_path: Path) -> None:
    store = Store.of(tmp_path / "s")
    key = key_of(5)
    for n in range(3):
        work = store.new_folder(key)
        (work / "n").write_text(str(n))
        folder = store.keep(work, key, done=True)
        assert (folder.name, (folder / "n").read_text()) == (key, str(n))
        assert n == 0 or (store.folder / f"{key}.{n + 1}" / "n").read_text() == str(n - 1)
    for n in range(3):
        work = store.new_folder(key)
        (work / "n").write_text(f"failed {n}")
        assert store.keep(work, key, done=False).name == f"{key}.failed" + (f".{n + 1}" if n else "")
    assert sorted(path.read_text() for path in store.folder.glob("*/n")) == ["0", "1", "2", "failed 0", "failed 1", "failed 2"]


def test_one_process_has_a_claim_until_it_dies(tmp_path: Path) -> None:
    store = Store.of(tmp_path / "s")
    context = multiprocessing.get_context("fork")

    def hold(ready: object, key: str) -> None:
        with store.claim(key) as ours:
            ready.send(ours)  # type: ignore[attr-defined]
            ready.recv()  # type: ignore[attr-defined]

    ours, theirs = context.Pipe()
    other = context.Process(target=hold, args=(theirs, "k"))
    other.start()
    assert ours.recv() is True
    with store.claim("k") as claimed:
        assert claimed is False
    other.kill()
    other.join()
    with store.claim("k") as claimed:
        assert claimed is True
        with store.claim("k") as twice:
            assert twice is False
    assert list((store.folder / "claims").iterdir()) == []


def fake(tmp_path: Path, **orders: object) -> runner.Run:
    capture = tmp_path / "in.pcap"
    capture.write_text(json.dumps(orders))
    resolved = config.resolve("tag", ["load=0.5", f"input={capture}"])
    return runner.plan(resolved, "predictive", 3, capture, FAKE)


def test_a_spoiled_run_is_said_and_run_again_and_kept(tmp_path: Path) -> None:
    store, run = Store.of(tmp_path / "s"), fake(tmp_path)
    first = runner.execute(run, FAKE, store)
    assert first.status == "done", first.sentence
    assert first.row is not None and first.row["parameters"] == {"input": str(tmp_path / "in.pcap"), "traffic.load": 0.5}
    assert first.row["metrics"]["punts_per_thousand"] == pytest.approx(103)
    assert runner.execute(run, FAKE, store).status == "reused"
    trace = first.folder / "trace.h5"
    trace.write_bytes(trace.read_bytes()[:-100])
    (row,) = store.rows()
    assert row["status"] == "corrupt" and "trace.h5 is not as the run left it" in row["sentence"] and str(first.folder) in row["sentence"]
    again = runner.execute(run, FAKE, store)
    assert again.status == "done" and again.note == f"{row['sentence']}; it is kept beside, and was run again"
    assert (store.folder / f"{run.key}.2" / "trace.h5").stat().st_size == trace.stat().st_size - 100
    # A row can be made again from the rest; without its manifest a folder is no run.
    (again.folder / "row.json").write_text("{")
    rebuilt = store.rows()[0]
    assert {**rebuilt, "seconds": 0} == {**again.row, "seconds": 0}  # type: ignore[dict-item]
    (again.folder / "row.json").unlink()
    (again.folder / "manifest.json").write_text("{")
    (row,) = store.rows()
    assert row["status"] == "corrupt" and "row.json and manifest.json cannot be read" in row["sentence"]
    assert runner.execute(run, FAKE, store).status == "done"
    for name in ("summary.json", "manifest.json"):
        (store.run(run.key) / name).unlink()
        (row,) = store.rows()
        assert row["status"] == "corrupt" and f"{name} is missing" in row["sentence"]
        assert store.finished(run.key) is None


def test_other_versions_and_what_is_no_store_are_refused(tmp_path: Path) -> None:
    store = Store.of(tmp_path / "s")
    write_run(store.run(key_of(1)), key_of(1))
    (store.folder / "VERSION").write_text("2\n")
    for open_store in (Store.of, Store.existing):
        with pytest.raises(Refused, match="VERSION: the store's format is '2'; allowed is 1"):
            open_store(store.folder)
    assert store.run(key_of(1)).is_dir()
    with pytest.raises(Refused, match="no such folder"):
        Store.existing(tmp_path / "nowhere")
    (tmp_path / "other").mkdir()
    with pytest.raises(Refused, match="is no store of runs"):
        Store.existing(tmp_path / "other")
    (tmp_path / "file").write_text("")
    with pytest.raises(Refused, match="file: cannot be written: File exists|Not a directory"):
        Store.of(tmp_path / "file")


def test_a_read_only_folder_is_refused_and_can_be_read(disk: Path) -> None:
    store = Store.of(disk / "s")
    row = write_run(store.run(key_of(1)), key_of(1))
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    with pytest.raises(Refused, match=f"{store.folder}: cannot be written: Read-only file system; name another folder"):
        Store.of(store.folder)
    assert Store.existing(store.folder).rows() == [row]


def test_a_full_disk_keeps_what_is_finished(disk: Path, tmp_path: Path) -> None:
    store, run = Store.of(disk / "s"), fake(tmp_path)
    done = runner.execute(run, FAKE, store)
    assert done.status == "done", done.sentence
    with (disk / "filler").open("wb") as file, pytest.raises(OSError, match="No space left"):
        while True:
            os.write(file.fileno(), b"\0" * 4096)
    other = runner.plan(run.config, "oracle", 1, run.capture, FAKE)
    result = runner.execute(other, FAKE, store)
    assert result.status == "unwritable" and str(store.folder) in result.sentence, result
    assert [row["key"] for row in store.rows()] == [run.key]
    (disk / "filler").unlink()
    assert runner.execute(other, FAKE, store).status == "done"
    assert len(store.rows()) == 2
