# SPDX-License-Identifier: BSD-3-Clause
"""Runs of the stand-in simulator in a store, without the figures that `run` draws of them."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from unittest import mock

from foreflow import config, places
from foreflow.runs import runner

FAKE = Path(__file__).with_name("fake_run.py")


def make(capture: Path, store: Path, arms: Sequence[str] = ("predictive",), seeds: int = 1, overrides: Sequence[str] = ()) -> list[runner.Result]:
    """Runs scenario tag on `capture`, every arm and seed, kept in `store`."""
    resolved = config.resolve("tag", [f"input={capture}", *overrides])
    with mock.patch.dict(os.environ, {"PYTHONPATH": os.pathsep.join([str(places.ROOT / "analysis"), str(places.ROOT)])}):
        return runner.run_all(runner.plan_all(resolved, list(arms), list(range(1, seeds + 1)), FAKE), FAKE, store)


def as_result(results: list[runner.Result], folder: Path) -> Path:
    """A result folder that names these runs, as `run` leaves it."""
    runs = [{"arm": result.run.arm, "seed": result.run.seed, "folder": str(result.folder)} for result in results]
    folder.mkdir(exist_ok=True)
    (folder / "result.json").write_text(json.dumps({"outputs": {"runs": runs}}))
    return folder
