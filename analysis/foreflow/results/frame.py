# SPDX-License-Identifier: BSD-3-Clause
"""Many runs as one pandas frame, a row a run, and as an xarray dataset over parameters, arms and seeds."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas

from foreflow import config as configuration
from foreflow.errors import Refused
from foreflow.judge.metrics import METRICS

ABOUT = ("key", "scenario", "arm", "seed", "status", "seconds", "fingerprint")
CELLS_A_RUN = 50  # of a dataset over parameters: beyond, the points are no grid


def units() -> dict[str, str]:
    """Of a frame's columns: every metric, and the wall time of a run."""
    return {"seconds": "s"} | {name: metric.unit for name, metric in METRICS.items()}


def sorting_key(value: Any) -> tuple[int, float, str]:
    """Orders values of a parameter: numbers and shares by size, then texts."""
    text = str(value)
    try:
        return (0, float(text.rstrip("%")) / (100 if text.endswith("%") else 1), text)
    except ValueError:
        return (1, 0.0, text)


class Frame(pandas.DataFrame):
    """One row a run. Columns: `key, scenario, arm, seed, status, seconds, fingerprint`, then dotted parameters (a run that
    leaves one at its default has the default), then metrics. `frame.attrs["units"]` maps metric to unit; the metrics of a run
    that failed are NaN.
    """

    @property
    def _constructor(self) -> type[Frame]:
        return Frame

    @property
    def parameters(self) -> list[str]:
        """The columns that are keys of a scenario."""
        known = set(configuration.all_keys())
        return [column for column in self.columns if column in known]

    @property
    def varying(self) -> list[str]:
        """The parameters that take more than one value."""
        return [name for name in self.parameters if self[name].nunique(dropna=False) > 1]

    @property
    def metrics(self) -> list[str]:
        """The columns that were measured."""
        others = {*ABOUT, *self.parameters}
        return [column for column in self.columns if column not in others]

    def done(self) -> Frame:
        """The runs that finished."""
        rows = self[self["status"] == "done"]
        return rows if rows["seed"].dtype.kind == "i" else rows.astype({"seed": "int64"})

    def to_xarray(self) -> Any:
        """An xarray.Dataset: a variable a metric (attrs: units, long_name), with a dimension for each parameter that varies, for
        scenario where it does, and for arm and seed; NaN where no run is. Parameters that do not vary are scalar coordinates.

        Raises Refused where two runs have the same place, or where the points are far from a grid.
        """
        import xarray  # here, since frames alone need it not

        rows = self.done()
        if rows.empty:
            raise Refused("to_xarray: the frame has no finished run")
        dimensions = [*(["scenario"] if rows["scenario"].nunique() > 1 else []), *rows.varying, "arm", "seed"]
        values = {name: sorted(rows[name].unique(), key=sorting_key) for name in dimensions}
        shape = tuple(len(values[name]) for name in dimensions)
        if np.prod(shape, dtype=float) > CELLS_A_RUN * len(rows):
            raise Refused(f"to_xarray: {len(rows)} runs for {' x '.join(map(str, shape))} places over {', '.join(dimensions)}; allowed are points of a grid, use the frame")
        places = tuple(rows[name].map({value: place for place, value in enumerate(values[name])}).to_numpy() for name in dimensions)
        flat = np.ravel_multi_index(places, shape)
        if len(np.unique(flat)) != len(flat):
            order = np.argsort(flat, kind="stable")
            first = int(np.flatnonzero(np.diff(flat[order]) == 0)[0])
            twice = rows["key"].iloc[order[first : first + 2]].tolist()
            raise Refused(f"to_xarray: runs {twice[0]} and {twice[1]} have the same parameters, arm and seed (another binary?); take one of them out of the frame first")
        variables = {}
        for name in rows.metrics:
            cells = np.full(shape, np.nan)
            cells.flat[flat] = rows[name].to_numpy(dtype=float)
            about = METRICS[name].about if name in METRICS else ""
            variables[name] = (dimensions, cells, {"units": units().get(name, ""), "long_name": about})
        coordinates: dict[str, Any] = {name: (name, np.array(found, dtype=None if _alike(found) else object)) for name, found in values.items()}
        coordinates |= {name: rows[name].iloc[0] for name in ["scenario", *rows.parameters] if name not in values}
        return xarray.Dataset(variables, coordinates)


def _alike(values: list[Any]) -> bool:
    return all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values) or all(isinstance(value, str) for value in values)


def _scalar(value: Any) -> Any:
    """A parameter as a frame holds it: lists and mappings as their JSON, null as a word, since groups have no null."""
    if value is None:
        return "none"
    return json.dumps(value) if isinstance(value, (list, dict)) else value


def of_rows(rows: Iterable[dict[str, Any]]) -> Frame:
    """The frame of documents as in row.json, in their order."""
    documents = list(rows)
    parameters = sorted({key for row in documents for key in row["parameters"]})
    measured = {name for row in documents for name in row["metrics"]}
    metrics = [name for name in METRICS if name in measured] + sorted(measured - set(METRICS))
    columns: dict[str, Any] = {name: [row.get(name) for row in documents] for name in ABOUT}
    defaults = configuration.defaults()
    for key in parameters:
        default = defaults.get(key)
        columns[key] = [_scalar(row["parameters"].get(key, default)) for row in documents]
    for name in metrics:
        columns[name] = np.array([row["metrics"].get(name) for row in documents], dtype=float)
    frame = Frame(columns, columns=[*ABOUT, *parameters, *metrics])
    frame.attrs["units"] = {name: unit for name, unit in units().items() if name in frame.columns}
    frame.attrs["started"] = {row["key"]: row["started"] or "" for row in documents}
    return frame
