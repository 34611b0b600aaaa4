# SPDX-License-Identifier: BSD-3-Clause
"""Values of a sweep's keys: lists, ranges, zipped lists and samples."""

from __future__ import annotations

import itertools
import json
import math
import warnings
from typing import Any

from foreflow import config as configuration
from foreflow.errors import Refused

Settings = dict[str, Any]  # dotted key: value
MOST_POINTS = 1_000_000


def _is_whole(key: str) -> bool:
    """Whether a number at the dotted `key` of a scenario is a whole one."""
    part: dict[str, Any] = configuration.schema()
    for step in key.split("."):
        part = part.get("properties", {}).get(step, {})
    kinds = [option.get("type") for option in part.get("anyOf", [part])]
    return "integer" in kinds and "number" not in kinds


class Range:
    """From `low` to `high`, both within; numbers, or shares such as 5%. `where` names it in refusals."""

    def __init__(self, key: str, document: dict[str, Any], where: str) -> None:
        ends = [document["from"], document["to"]]
        shares = [isinstance(end, str) for end in ends]
        if any(shares) and not all(isinstance(end, str) and end.endswith("%") for end in ends):
            raise Refused(f"{where}: from = {json.dumps(ends[0])}, to = {json.dumps(ends[1])}; allowed are two numbers, or two shares such as 5% and 50%")
        self._share = all(shares)
        self.low, self.high = (_number(end, where) for end in ends)
        self._log = document.get("scale") == "log"
        self._whole = not self._share and _is_whole(key)
        if self.low > self.high:
            raise Refused(f"{where}: from = {ends[0]} is above to = {ends[1]}; the lower end comes first")
        if self._log and self.low <= 0:
            raise Refused(f"{where}: from = {ends[0]}; allowed with scale: log is a number above 0")

    def at(self, share: float) -> Any:
        """The value at a share of the way, 0 to 1."""
        if self._log:
            value = math.exp(math.log(self.low) + share * (math.log(self.high) - math.log(self.low)))
        else:
            value = self.low + share * (self.high - self.low)
        return self._written(value)

    def drawn(self, share: float) -> Any:
        """As `at`, but each whole number of a linear range has the same part of [0, 1)."""
        if self._whole and not self._log:
            return min(math.floor(self.high), math.ceil(self.low) + math.floor(share * (math.floor(self.high) - math.ceil(self.low) + 1)))
        return self.at(share)

    def values(self, document: dict[str, Any], where: str) -> list[Any]:
        """All of a grid, by `points` (evenly, the ends among them) or `step` (linear ranges). Raises Refused."""
        if ("points" in document) == ("step" in document):
            raise Refused(f"{where}: has {'both points and step' if 'step' in document else 'neither points nor step'}; a range has one of them")
        if "points" in document:
            n = document["points"]
            found = [self.at(i / (n - 1)) for i in range(n)] if n > 1 else [self.at(0)]
        else:
            step = _number(document["step"], where)
            if self._log or step <= 0:
                raise Refused(f"{where}: step = {document['step']}; allowed is a number above 0, with scale: linear")
            count = math.floor((self.high - self.low) / step + 1e-9) + 1
            if count > MOST_POINTS:
                raise Refused(f"{where}: step = {document['step']} makes {count} values; allowed are up to {MOST_POINTS}")
            found = [self._written(self.low + i * step) for i in range(count)]
        return list(dict.fromkeys(found))  # whole numbers may fall together

    def _written(self, value: float) -> Any:
        value = min(max(value, self.low), self.high)
        if self._whole:
            return round(value)
        short = float(f"{value:.12g}")
        return f"{short:.12g}%" if self._share else short


def _number(value: Any, where: str) -> float:
    try:
        number = float(value.rstrip("%")) if isinstance(value, str) else float(value)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise Refused(f"{where}: {json.dumps(value)} is no number")
    return number


def _full_keys(document: dict[str, Any], where: str) -> dict[str, Any]:
    full = {}
    for key, value in document.items():
        name = configuration.full_key(key, where)
        if name in ("arms", "seeds"):
            raise Refused(f"{where}: {key} is no key to vary; it stands beside vary in a sweep")
        if name in full:
            raise Refused(f"{where}: {key} is there twice, under its short name and its long one")
        full[name] = value
    return full


def _values(key: str, document: Any, where: str) -> list[Any]:
    if isinstance(document, list):
        for place, value in enumerate(document):
            if value in document[:place]:
                raise Refused(f"{where}: {json.dumps(value, default=str)} is there twice")
        return document
    return Range(key, document, where).values(document, where)


def fixed(document: dict[str, Any], source: str) -> Settings:
    """What a sweep's `set` says, by full keys. Raises Refused on a key that it cannot set."""
    return _full_keys(document, f"{source}: set")


def grid(document: dict[str, Any], source: str) -> list[list[Settings]]:
    """An axis for each key of `vary`."""
    where = f"{source}: vary"
    return [[{key: value} for value in _values(key, values, f"{where}.{key}")] for key, values in _full_keys(document, where).items()]


def zipped(groups: list[dict[str, Any]], source: str) -> list[list[Settings]]:
    """An axis for each group of `zip`."""
    axes = []
    for place, group in enumerate(groups):
        where = f"{source}: zip[{place}]"
        columns = {
            key: list(values) if isinstance(values, list) else _values(key, values, f"{where}.{key}")
            for key, values in _full_keys(group, where).items()
        }
        lengths = {key: len(values) for key, values in columns.items()}
        if len(set(lengths.values())) > 1:
            raise Refused(f"{where}: has {', '.join(f'{n} values of {key}' for key, n in lengths.items())}; they are as many for each key")
        axes.append([dict(zip(columns, row)) for row in zip(*columns.values())])
    return axes


def sampled(document: dict[str, Any] | None, source: str) -> list[list[Settings]]:
    """The one axis of `sample`, or none."""
    if document is None:
        return []
    import numpy as np
    from scipy.stats import qmc  # here, since they are slow to import

    where = f"{source}: sample.over"
    over = {}
    for key, values in _full_keys(document["over"], where).items():
        if isinstance(values, dict) and {"points", "step"} & set(values):
            raise Refused(f"{where}.{key}: has {'points' if 'points' in values else 'step'}; allowed in a sample are from, to and scale")
        over[key] = values if isinstance(values, list) else Range(key, values, f"{where}.{key}")
    count, seed = document["count"], document.get("seed", 1)
    if document.get("method", "sobol") == "sobol":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # balance of counts that are no power of 2: see the README
            shares = qmc.Sobol(len(over), scramble=True, seed=seed).random(count)
    else:
        shares = np.random.default_rng(seed).random((count, len(over)))

    def value(of: Range | list[Any], share: float) -> Any:
        return of[min(int(share * len(of)), len(of) - 1)] if isinstance(of, list) else of.drawn(share)

    return [[{key: value(of, float(share)) for (key, of), share in zip(over.items(), row)} for row in shares]]


def combined(axes: list[list[Settings]], source: str) -> list[Settings]:
    """All combinations, the last axis fastest, none twice."""
    count = math.prod(len(axis) for axis in axes)
    if count > MOST_POINTS:
        raise Refused(f"{source}: has {count} points; allowed are up to {MOST_POINTS}")
    keys = [key for axis in axes for key in axis[0]]
    for place, key in enumerate(keys):
        if key in keys[:place]:
            raise Refused(f"{source}: {key} is varied twice; a key has its values in one place of vary, zip and sample")
    merged = [{key: value for part in parts for key, value in part.items()} for parts in itertools.product(*axes)]
    return list({json.dumps(point, default=str): point for point in merged}.values())
