# SPDX-License-Identifier: BSD-3-Clause
"""The committed models: readable, listed with the command that made them, and trained on what the repository holds."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import h5py
import numpy as np
import pytest

from foreflow.learning import data
from foreflow.places import ROOT, TRAINED

PROGRAM = os.environ["FOREFLOW_TRAIN"]
MODELS = sorted(TRAINED.glob("*.model"))
# Whose floating-point kernels the committed bytes are of: vendor, family, model.
MADE_ON = ("AuthenticAMD", "25", "17")


def shown(path: Path) -> dict[str, object]:
    done = subprocess.run([PROGRAM, "--show", str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_there_are_models() -> None:
    assert {"next-type-gru.model", "next-type-automaton.model"} <= {path.name for path in MODELS}


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_a_committed_model_was_trained_on_what_the_repository_holds(path: Path) -> None:
    model = shown(path)
    words = str(model["command"]).split()
    assert path.stem == f"{model['task']}-{model['model']}"
    assert f"{model['command']} --out models/trained/{path.name}" in (TRAINED / "README.md").read_text()
    named = [words[i + 1] for i, word in enumerate(words) if word == "--data"]
    assert shown(data.dataset(str(model["task"]), named))["data_sha256"] == model["data_sha256"]


def train_again(path: Path, out: Path) -> None:
    words = str(shown(path)["command"]).split()
    assert words[0] == "./foreflow"
    done = subprocess.run([ROOT / "foreflow", *words[1:], "--out", out], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def processor() -> tuple[str, ...]:
    lines = [line.split(":") for line in Path("/proc/cpuinfo").read_text().split("\n\n")[0].splitlines()]
    facts = {line[0].strip(): line[-1].strip() for line in lines}
    return tuple(facts.get(key, "") for key in ("vendor_id", "cpu family", "model"))


def said(model: Path, task: str, out: Path) -> np.ndarray:
    """What the model says of every row of the task's default data: all heads, side by side."""
    done = subprocess.run([PROGRAM, "--score", model, data.dataset(task, []), out], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with h5py.File(out) as file:
        heads = file["models/libtorch"]
        return np.concatenate([next(iter(heads[name].values()))[()] for name in sorted(heads)], axis=1)


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_its_command_makes_it_again(path: Path, tmp_path: Path) -> None:
    if path.stem != "flow-size-mlp" and os.environ.get("FOREFLOW_LONG") != "1":
        pytest.skip("minutes of training: set FOREFLOW_LONG=1")
    made = tmp_path / path.name
    train_again(path, made)
    if processor() == MADE_ON:
        assert made.read_bytes() == path.read_bytes()
        return
    kind, task = shown(path)["model"], str(shown(path)["task"])
    if kind in ("automaton", "trees"):
        pytest.skip(f"this processor is {processor()}: it may round differently, and no tolerance is known for tables")
    apart = np.abs(said(made, task, tmp_path / "made.h5") - said(path, task, tmp_path / "kept.h5"))
    assert np.nanmean(apart) < 0.05
