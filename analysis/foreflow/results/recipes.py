# SPDX-License-Identifier: BSD-3-Clause
"""The figures that the documentation shows: a folder of scenarios/figures each, with the recipe and what is expected of it."""

from __future__ import annotations

import csv
import json
import math
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from foreflow import config as configuration
from foreflow.errors import Failed, Refused
from foreflow.places import FIGURES, ROOT, RUNS

SCHEMA = ROOT / "scenarios" / "schema" / "figure.schema.json"
MADE = RUNS / "figures"


@dataclass(frozen=True)
class Recipe:
    """How a figure is made, and where its expected PNG and CSV are."""

    name: str
    about: str
    shown_in: tuple[str, ...]  # documents, from the root of the checkout
    seconds: float  # that it takes, about, on two cores
    command: tuple[str, ...] | None  # words of ./foreflow whose result holds the figure `draws`
    draws: str | None
    sweep: Path | None  # specification of a sweep, that `plot` draws
    plot: dict[str, Any] | None

    @property
    def expected(self) -> Path:
        return FIGURES / self.name / f"{self.name}.csv"


def names() -> list[str]:
    return sorted(path.parent.name for path in FIGURES.glob("*/figure.yaml"))


def load(name: str) -> Recipe:
    """The recipe of a name; refuses what is none, or says too little or too much."""
    path = FIGURES / name / "figure.yaml"
    if not path.is_file():
        raise Refused(f"no figure is named '{name}'; allowed is one of {', '.join(names())}")
    document = configuration.load_yaml(path)
    configuration.validate(document, json.loads(SCHEMA.read_text(encoding="utf-8")), str(path))
    pairs = [("command", "draws"), ("sweep", "plot")]
    given = [pair for pair in pairs if any(key in document for key in pair)]
    if len(given) != 1 or not all(key in document for key in given[0]):
        raise Refused(f"{path}: a recipe has either command and draws, or sweep and plot")
    return Recipe(
        name, document["about"], tuple(document["shown_in"]), document["seconds"],
        tuple(shlex.split(document["command"])) if "command" in document else None, document.get("draws"),
        path.with_name(document["sweep"]) if "sweep" in document else None, document.get("plot"),
    )  # fmt: skip


def _by_command(recipe: Recipe, folder: Path) -> None:
    """Runs the command and takes its figure over; what it says goes to standard error."""
    assert recipe.command is not None
    command = [sys.executable, "-P", "-m", "foreflow", *recipe.command, "--json"]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise Failed(f"figure {recipe.name}: `./foreflow {shlex.join(recipe.command)}` ended with exit code {done.returncode}, see above")
    result = Path(json.loads(done.stdout)["outputs"]["folder"])
    for suffix in ("png", "pdf", "csv"):
        made = result / f"{recipe.draws}.{suffix}"
        if not made.is_file():
            raise Failed(f"figure {recipe.name}: `./foreflow {shlex.join(recipe.command)}` drew no {made}")
        shutil.copyfile(made, folder / f"{recipe.name}.{suffix}")


def _by_sweep(recipe: Recipe, folder: Path) -> None:
    """Runs the sweep, as far as its runs are not there yet, and draws its rows."""
    import foreflow
    from foreflow import plot

    assert recipe.plot is not None and recipe.sweep is not None
    words = dict(recipe.plot)
    kind = words.pop("figure")
    if kind not in plot.__all__[1:]:
        raise Refused(f"{FIGURES / recipe.name / 'figure.yaml'}: plot.figure = {kind}; allowed is one of {', '.join(plot.__all__[1:])}")
    getattr(plot, kind)(foreflow.sweep(recipe.sweep).frame, **words).save(folder, recipe.name)


def _cells(path: Path) -> list[list[str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def agreement(expected: Path, made: Path) -> dict[str, Any]:
    """How the CSV that was made compares with the expected one: {same, cells, differing, largest, why}.

    `same` is of every character; `largest` is the largest relative difference of two numbers, None where shapes or texts differ.
    """
    if not expected.is_file():
        return {"same": False, "cells": 0, "differing": 0, "largest": None, "why": f"{expected}: nothing is expected there yet; --update puts it there"}
    one, other = _cells(expected), _cells(made)
    cells = sum(map(len, one))
    if one == other:
        return {"same": True, "cells": cells, "differing": 0, "largest": 0.0, "why": ""}
    if [len(row) for row in one] != [len(row) for row in other]:
        return {"same": False, "cells": cells, "differing": cells, "largest": None, "why": f"{len(one)} rows were expected, {len(other)} were made, or their lengths differ"}
    pairs = [(a, b) for left, right in zip(one, other) for a, b in zip(left, right) if a != b]
    numbers = [(_number(a), _number(b)) for a, b in pairs]
    texts = next((pair for pair, read in zip(pairs, numbers) if None in read), None)
    if texts is not None:
        return {"same": False, "cells": cells, "differing": len(pairs), "largest": None, "why": f"'{texts[0]}' was expected, '{texts[1]}' was made"}
    largest = max(abs(a - b) / max(abs(a), abs(b)) for a, b in numbers if a != b) if any(a != b for a, b in numbers) else 0.0
    largest = largest if math.isfinite(largest) else math.inf
    return {"same": False, "cells": cells, "differing": len(pairs), "largest": largest, "why": f"{len(pairs)} of {cells} cells differ, by at most {100 * largest:.2g} %"}


def make(name: str, update: bool = False, into: Path = MADE) -> dict[str, Any]:
    """Makes a figure again in `into`/NAME, and says whether its CSV is the expected one; `update` makes it the expected one."""
    recipe = load(name)
    folder = into / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Refused(f"{folder}: cannot be written: {error.strerror}") from None
    if recipe.command is not None:
        _by_command(recipe, folder)
    else:
        _by_sweep(recipe, folder)
    shutil.copyfile(FIGURES / name / "figure.yaml", folder / "figure.yaml")
    found = agreement(recipe.expected, folder / f"{name}.csv")
    if update:
        for suffix in ("png", "csv"):
            shutil.copyfile(folder / f"{name}.{suffix}", recipe.expected.with_suffix(f".{suffix}"))
    return {"figure": name, "folder": str(folder), "updated": update, **found}


def text_of(document: dict[str, Any]) -> str:
    """What `figure` prints of one."""
    if document["same"]:
        verdict = f"as expected: all {document['cells']} cells of its CSV are the same"
    else:
        verdict = f"{'was' if document['updated'] else 'NOT as expected'}: {document['why']}"
    return f"{document['figure']}: {verdict}\n  {document['folder']}/{document['figure']}.png, .pdf, .csv"
