# SPDX-License-Identifier: BSD-3-Clause
"""A run's row, row.json in its folder: what it was and what it came to.

    key, scenario, arm, seed
    parameters    what differs from the schema's defaults, by dotted key
    status        done, or failed with the reason as `sentence`
    started       UTC; `seconds`: until it was measured and on the disk
    fingerprint   of all its decisions; null where it failed
    metrics       by name (judge.metrics.METRICS has the units); null where the run has no such packets
    trace         bytes of trace.h5, and rows of each of its tables
"""

from __future__ import annotations

import json
import os
from datetime import datetime
from pathlib import Path
from typing import Any

from foreflow import config as configuration
from foreflow.judge import systems

FILE = "row.json"
KEYS = ("key", "scenario", "arm", "seed", "parameters", "status", "started", "seconds", "fingerprint", "metrics", "trace", "sentence")


def measured(folder: Path) -> tuple[dict[str, float | None], dict[str, Any]]:
    """Metrics and trace of the whole run in `folder`. Raises Failed where its trace is not whole."""
    import h5py

    trace = folder / "trace.h5"
    summary = json.loads((folder / "summary.json").read_text())
    values = systems.of(summary).judge.measure(trace, summary)
    with h5py.File(trace) as file:
        lengths = {name: int(table.shape[0]) for name, table in sorted(file.items()) if isinstance(table, h5py.Dataset)}
    return values, {"bytes": trace.stat().st_size, "rows": lengths}


def row(
    manifest: dict[str, Any], parameters: dict[str, Any], seconds: float, metrics: dict[str, float | None], trace: dict[str, Any] | None, sentence: str
) -> dict[str, Any]:
    """The row of the run that `manifest` describes."""
    return {
        "key": manifest["run"],
        "scenario": manifest["config"]["scenario"],
        "arm": manifest["config"]["arm"],
        "seed": manifest["seed"],
        "parameters": parameters,
        "status": "done" if manifest["exit"] == "done" else "failed",
        "started": manifest["started"],
        "seconds": round(seconds, 3),
        "fingerprint": manifest["fingerprint"],
        "metrics": metrics,
        "trace": trace,
        "sentence": sentence,
    }


def write(folder: Path, document: dict[str, Any]) -> None:
    """Writes a run's row, whole or not at all. Raises ValueError where a number is infinite or none."""
    temporary = folder / f"{FILE}.{os.getpid()}.tmp"
    temporary.write_text(json.dumps(document, allow_nan=False) + "\n", encoding="utf-8")
    os.replace(temporary, folder / FILE)


def read(folder: Path) -> dict[str, Any] | None:
    """The row in `folder`; None where there is none that holds every metric of today."""
    try:
        document = json.loads((folder / FILE).read_bytes())
    except (OSError, ValueError):
        return None
    if not isinstance(document, dict) or not document.keys() >= set(KEYS):
        return None
    if document["status"] == "done" and not document["metrics"].keys() >= set(systems.of(document["parameters"]).metrics):
        return None
    return document


def missing(folder: Path, document: dict[str, Any]) -> str | None:
    """What a finished run lacks, as far as names and sizes tell; None where it is whole."""
    for name in ("manifest.json", "summary.json", "RESOLVED.json"):
        if not (folder / name).is_file():
            return f"{name} is missing"
    try:
        same = (folder / "trace.h5").stat().st_size == document["trace"]["bytes"]
    except (OSError, KeyError, TypeError):
        return "trace.h5 is missing"
    return None if same else "trace.h5 is not as the run left it"


def is_whole(folder: Path, document: dict[str, Any]) -> bool:
    """Whether the run of this row was done, and its files are there."""
    return document["status"] == "done" and missing(folder, document) is None


def stamp(folder: Path) -> list[int] | None:
    """Changes when a file of the run comes, goes or changes its size, or the row changes at all; None without a row."""
    try:
        own = (folder / FILE).stat()
    except OSError:
        return None
    sizes = []
    for name in ("manifest.json", "summary.json", "RESOLVED.json", "trace.h5"):
        try:
            sizes.append(os.stat(f"{folder}/{name}").st_size)
        except OSError:
            sizes.append(-1)
    return [own.st_mtime_ns, own.st_size, *sizes]


def rebuilt(folder: Path) -> dict[str, Any] | None:
    """The row of a run that was kept without one, or whose row is spoiled; None where the folder is not a run."""
    from foreflow.errors import Failed

    try:
        manifest = json.loads((folder / "manifest.json").read_text())
        begun, ended = (datetime.fromisoformat(manifest[key]) for key in ("started", "ended"))
        parameters = manifest["parameters"] if "parameters" in manifest else configuration.parameters(manifest["config"])
        done = manifest["exit"] == "done"
        metrics, trace = measured(folder) if done else ({}, None)
        return row(manifest, parameters, (ended - begun).total_seconds(), metrics, trace, "" if done else manifest["exit"])
    except (OSError, ValueError, KeyError, TypeError, Failed):
        return None


def corrupt(key: str, folder: Path, why: str) -> dict[str, Any]:
    """Stands for a folder that is no whole run."""
    return {
        "key": key, "scenario": None, "arm": None, "seed": None, "parameters": {}, "status": "corrupt", "started": None,
        "seconds": None, "fingerprint": None, "metrics": {}, "trace": None, "sentence": f"{folder}: not a whole run: {why}",
    }  # fmt: skip
