# SPDX-License-Identifier: BSD-3-Clause
"""The traces of many runs as one HDF5 file of virtual datasets: nothing is copied, h5py opens it like any trace.

    /packets, /decisions, ...   the rows of all runs, one run after the other
    /runs                       a row a run: key, arm, seed, and for each table the place of its first row and how many it has
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Any

import h5py
import numpy as np


def write(path: Path, store: Path, rows: list[dict[str, Any]]) -> None:
    """Joins the traces of finished runs; `rows` as in row.json. Traces are named relative to `path`, so that a store can be moved."""
    tables = sorted({table for row in rows for table in row["trace"]["rows"]})
    kinds = [("key", "S16"), ("arm", "S16"), ("seed", "<u4")]
    kinds += [(f"{table}_{what}", "<u8") for table in tables for what in ("start", "rows")]
    runs = np.zeros(len(rows), kinds)
    starts = dict.fromkeys(tables, 0)
    for place, row in enumerate(rows):
        runs[place]["key"], runs[place]["arm"], runs[place]["seed"] = row["key"].encode(), row["arm"].encode(), row["seed"]
        for table in tables:
            count = row["trace"]["rows"].get(table, 0)
            runs[place][f"{table}_start"], runs[place][f"{table}_rows"] = starts[table], count
            starts[table] += count
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(4)}.tmp")
    with h5py.File(temporary, "w", libver="latest") as file:
        file["runs"] = runs
        for table in tables:
            _join(file, table, [(_relative(path, store, row), int(run[f"{table}_start"]), int(run[f"{table}_rows"])) for row, run in zip(rows, runs)], starts[table])
    os.replace(temporary, path)


def _relative(path: Path, store: Path, row: dict[str, Any]) -> str:
    return os.path.relpath(store / row["key"] / "trace.h5", path.parent)


def _join(file: h5py.File, table: str, parts: list[tuple[str, int, int]], rows: int) -> None:
    base = Path(file.filename).parent
    with h5py.File(base / next(name for name, _, count in parts if count or rows == 0)) as first:
        kind, attributes = first[table].dtype, dict(first[table].attrs)
    layout = h5py.VirtualLayout((rows,), kind)
    for name, start, count in parts:
        if count:
            layout[start : start + count] = h5py.VirtualSource(name, table, (count,), kind)
    joined = file.create_virtual_dataset(table, layout) if rows else file.create_dataset(table, (0,), kind)
    joined.attrs.update(attributes)
