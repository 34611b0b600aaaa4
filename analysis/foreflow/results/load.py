# SPDX-License-Identifier: BSD-3-Clause
"""What a path holds: one run, the runs of a result, of a sweep, or of a whole store."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from foreflow.errors import Refused
from foreflow.results import frame
from foreflow.results.frame import Frame
from foreflow.results.run import Run
from foreflow.runs import rows
from foreflow.runs.store import Store

ALLOWED = "allowed is the folder of one run, a result of `run`, a sweep (STORE/sweeps/NAME), or a store"


def kind_of(folder: Path) -> str:
    """run, result, sweep or store; refuses any other folder."""
    if not folder.exists():
        raise Refused(f"{folder}: no such folder; {ALLOWED}")
    if (folder / "VERSION").exists():
        return "store"
    if folder.parent.name == "sweeps" and (folder / "sweep.json").is_file():
        return "sweep"
    if (folder / "result.json").is_file():
        return "result"
    if any((folder / name).is_file() for name in ("RESOLVED.json", "manifest.json", "trace.h5")):
        return "run"
    raise Refused(f"{folder}: holds no results; {ALLOWED}")


def load(path: str | os.PathLike[str]) -> Run | Frame:
    """A Run where `path` is the folder of one run; else a Frame with a row for each run of a result, a sweep or a store.

    Nothing is read of a run before its tables are asked for. Raises Refused with one sentence for what is no such folder,
    is corrupt, or is of another version.
    """
    folder = Path(path).absolute()
    return Run(folder) if kind_of(folder) == "run" else frame_of(folder)


def frame_of(folder: Path) -> Frame:
    """The runs that a folder of any kind holds, a row each; one row for a run.

    `frame.attrs` holds `units`, the `folder` that was read, and by key `folders`, where each finished run is, and `started` [UTC].
    """
    found, folders = _rows_below(folder, kind_of(folder))
    if not found:
        raise Refused(f"{folder}: holds no runs yet")
    runs = frame.of_rows(found)
    runs.attrs |= {"folder": str(folder), "folders": folders}
    return runs


def _runs_of_result(folder: Path) -> list[str]:
    path = folder / "result.json"
    try:
        listed = json.loads(path.read_text(encoding="utf-8"))["outputs"]["runs"]
        return [each["folder"] for each in listed]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Refused(f"{path}: is no result of `run`: {error}") from None


def row_of(folder: Path) -> dict[str, Any]:
    """The row of the run in `folder`, measured again where it has none; refuses what is no whole run."""
    row = rows.read(folder) or rows.rebuilt(folder)
    if row is None:
        raise Refused(f"{folder}: is no whole run: row.json and manifest.json cannot be read; run it again")
    if row["status"] == "done" and (lacks := rows.missing(folder, row)) is not None:
        raise Refused(f"{folder}: is no whole run: {lacks}; run it again")
    return row


def sweep_document(folder: Path) -> dict[str, Any]:
    """sweep.json: what a sweep was to run."""
    path = folder / "sweep.json"
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        _ = list(document["runs"]), document["spec"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Refused(f"{path}: is no sweep: {error!r}; start the sweep again to have it written") from None
    return document


def _rows_below(folder: Path, kind: str) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Rows of what `folder` holds, and by key the folder of each finished run."""
    if kind == "run":
        row = row_of(folder)
        return [row], {row["key"]: str(folder)}
    if kind == "result":
        places = [Path(each) for each in _runs_of_result(folder)]
        found = [row_of(place) for place in places]
        return found, {row["key"]: str(place) for row, place in zip(found, places)}
    store = Store.existing(folder.parent.parent if kind == "sweep" else folder)
    found = store.rows()
    if kind == "sweep":
        by_key = {row["key"]: row for row in found}
        found = [by_key[key] for key in sweep_document(folder)["runs"] if key in by_key]
    return found, {row["key"]: str(store.run(row["key"])) for row in found if row["status"] == "done"}


def failures_of(folder: Path, runs: Frame) -> list[dict[str, Any]]:
    """Of the runs of a store or a sweep that did not finish: key, arm, seed, status, sentence, folder."""
    store = Store.existing(folder.parent.parent if kind_of(folder) == "sweep" else folder)
    missing = set(runs["key"]) - set(runs.done()["key"])
    return [
        {name: row[name] for name in ("key", "arm", "seed", "status", "sentence")} | {"folder": str(store.folder_of(row))}
        for row in (store.rows() if missing else [])
        if row["key"] in missing
    ]
