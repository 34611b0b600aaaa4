# SPDX-License-Identifier: BSD-3-Clause
"""The command that a trained model names."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from foreflow import cli
from foreflow.learning import training


def test_the_command_that_a_model_names_asks_for_the_same_training(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = training.Wanted(
        "next-type", ("training", "test:relay-11"), "automaton", seed=7, hidden=16, bits=3, epochs=5, rate=0.01, lanes=32, patience=9,
        dropout=0.1, bins=("payload=4", "run=2"), weights=("type=2",), control="random-labels",
    )  # fmt: skip
    asked: list[training.Wanted] = []

    def note(wanted: training.Wanted, _: object) -> dict[str, object]:
        asked.append(wanted)
        return {"task": wanted.task, "model": wanted.kind, "outputs": {}}

    monkeypatch.setattr(training, "train", note)
    for wanted in (whole, training.Wanted("flow-size", (), "trees")):
        done = CliRunner().invoke(cli.commands, wanted.command().split()[1:])
        assert done.exit_code == 0, done.output
    assert asked == [whole, training.Wanted("flow-size", (), "trees")]
