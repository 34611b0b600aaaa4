# SPDX-License-Identifier: BSD-3-Clause
"""The committed models: readable, listed with the command that made them, and trained on what the repository holds."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from foreflow import data
from foreflow.places import TRAINED

PROGRAM = os.environ["FOREFLOW_TRAIN"]
MODELS = sorted(TRAINED.glob("*.model"))


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
