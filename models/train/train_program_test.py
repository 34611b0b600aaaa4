# SPDX-License-Identifier: BSD-3-Clause
"""foreflow-train as a program: the same bytes again and after a kill, refusals, and what it says of a model file."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import h5py
import numpy as np
import pytest

PROGRAM = os.environ["FOREFLOW_TRAIN"]
TEXT = h5py.string_dtype()


def write_dataset(path: Path, rows: int = 6000, sequences: int = 30) -> None:
    """Class 0 follows two equal low bits of a sequence's symbols, 1 two different ones, each with probability 0.9."""
    rng = np.random.default_rng(7)
    sequence, symbol = rng.integers(0, sequences, rows), rng.integers(0, 4, rows)
    last, law = np.zeros(sequences, int), np.zeros(rows, int)
    for row in range(rows):
        law[row] = (symbol[row] ^ last[sequence[row]]) & 1
        last[sequence[row]] = symbol[row]
    label = np.where(rng.random(rows) < 0.9, law, 1 - law)
    with h5py.File(path, "w") as file:
        file.attrs.update({"format": 1, "task": "next-type", "feature_set": 0, "symbols": 4})
        file.attrs.create("input_names", ["x"], dtype=TEXT)
        file.attrs.create("targets", ["type"], dtype=TEXT)
        file["rows/sequence"] = sequence.astype("u4")
        file["rows/source"] = np.zeros(rows, "u2")
        file["rows/split"] = np.repeat([0, 1, 2], [rows * 6 // 10, rows * 2 // 10, rows * 2 // 10]).astype("u1")
        file["rows/symbol"] = symbol.astype("u1")
        file["rows/inputs"] = rng.random((rows, 1)).astype("f4")
        file["targets/type"] = label.astype("i1")
        file["targets/type"].attrs.create("classes", ["same", "other"], dtype=TEXT)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "law.h5"
    write_dataset(path)
    return path


def options(data: Path, out: Path, *more: str) -> list[str]:
    return [PROGRAM, "--data", str(data), "--out", str(out), "--hidden", "16", "--epochs", "12", "--device", "cpu", *more]


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_training_that_was_killed_and_resumed_gives_the_same_bytes(data: Path, tmp_path: Path) -> None:
    whole, cut, curve = tmp_path / "whole.model", tmp_path / "cut.model", tmp_path / "cut.csv"
    done = run(options(data, whole, "--curve", str(tmp_path / "whole.csv")))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["validation_loss"]["type"] < 0.6

    keep = ["--checkpoint", str(tmp_path / "kept"), "--checkpoint-seconds", "0", "--curve", str(curve)]
    with subprocess.Popen(options(data, cut, *keep), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        until = time.monotonic() + 60
        while not (curve.is_file() and len(curve.read_text().splitlines()) > 3) and time.monotonic() < until:
            time.sleep(0.01)
        assert process.poll() is None, "it ended before it could be killed"
        process.send_signal(signal.SIGKILL)
    assert not cut.exists()
    resumed = run(options(data, cut, *keep, "--resume"))
    assert resumed.returncode == 0, resumed.stderr
    assert "resumed in epoch" in resumed.stderr
    assert cut.read_bytes() == whole.read_bytes()
    assert curve.read_text() == (tmp_path / "whole.csv").read_text()

    other = run(options(data, cut, *keep, "--resume", "--seed", "2"))
    assert other.returncode == 2
    assert "the checkpoint is of other data or settings" in other.stderr


def test_libtorch_says_of_a_file_what_its_goldens_say(data: Path, tmp_path: Path) -> None:
    model, said = tmp_path / "law.model", tmp_path / "said.h5"
    assert run(options(data, model, "--model", "lstm")).returncode == 0
    done = run([PROGRAM, "--score", str(model), str(data), str(said)])
    assert done.returncode == 0, done.stderr
    with h5py.File(said) as file, h5py.File(data) as rows:
        probability = file["models/libtorch/type/probability"][:]
        assert file["rows"][:].tolist() == list(range(len(rows["rows/split"])))
    assert probability.shape == (6000, 2)
    np.testing.assert_allclose(probability.sum(axis=1), 1, atol=1e-5)
    # A longer history does not change what was said before: the first row of every sequence depends on itself alone.
    assert len(np.unique(probability[:, 0])) > 1000


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--data", "nothing.h5", "--out", "x"], "nothing.h5: no HDF5 file"),
        (["--out", "x"], "--data and --out are needed"),
        (["--data", "{data}", "--out", "x", "--weight", "colour=1"], "the target of --weight is colour, allowed: type"),
        (["--data", "{data}", "--out", "x", "--weight", "type=-1"], "--weight is type=-1, allowed: type=0 to type=1000"),
        (["--data", "{data}", "--out", "x", "--model", "automaton", "--bins", "y=4"], "the input of --bins is y, allowed: x"),
        (["--data", "{data}", "--out", "x", "--model", "automaton", "--bins", "x=2.5"], "--bins is x=2.5, allowed: x=1 to x=64"),
        (["--data", "{data}", "--out", "x", "--bins", "x=4"], "--bins is for --model automaton; gru reads all inputs as they are"),
        (["--data", "{data}", "--out", "x", "--hidden", "24"], "--hidden"),
        (["--data", "{data}", "--out", "x", "--model", "trees", "--fitted", "none.json"], "none.json: cannot be opened"),
        (["--score", "{data}", "{data}", "x"], "law.h5: "),
    ],
)
def test_refuses_with_one_sentence(data: Path, tmp_path: Path, arguments: list[str], sentence: str) -> None:
    done = subprocess.run([PROGRAM, *(each.format(data=data) for each in arguments)], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_refuses_what_breaks_a_bound(data: Path, tmp_path: Path) -> None:
    for place, value, sentence in [
        ("rows/symbol", 4, "symbol is 4 in row 17, allowed: 0 to 3"),
        ("rows/sequence", 6000, "sequence is 6000 in row 17, allowed: 0 to 5999"),
        ("rows/split", 3, "split is 3 in row 17, allowed: 0 to 2, 255"),
        ("targets/type", 2, "is 2 in row 17, allowed: -1 to 1"),
        ("rows/inputs", np.nan, "an input is infinite or no number"),
    ]:
        path = tmp_path / "broken.h5"
        path.write_bytes(data.read_bytes())
        with h5py.File(path, "r+") as file:
            file[place][17] = value
        done = run(options(path, tmp_path / "x"))
        assert done.returncode == 2
        assert sentence in done.stderr


@pytest.mark.parametrize(("depth", "sentence"), [(0, "depth of the trees is 0, allowed: 1..8"), (40, "depth of the trees is 40, allowed: 1..8")])
def test_refuses_trees_of_a_depth_that_no_kernel_has(data: Path, tmp_path: Path, depth: int, sentence: str) -> None:
    golden = {"symbol": [], "input": [], "expected": []}
    fitted = {"depth": depth, "base": [0.0, 0.0], "tree_output": [0], "feature": [], "threshold": [], "leaf": [], "temperature": [1.0], "golden": golden}
    (tmp_path / "fitted.json").write_text(json.dumps(fitted))
    done = run(options(data, tmp_path / "x", "--model", "trees", "--fitted", str(tmp_path / "fitted.json")))
    assert done.returncode == 2
    assert sentence in done.stderr
