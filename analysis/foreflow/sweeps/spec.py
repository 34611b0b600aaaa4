# SPDX-License-Identifier: BSD-3-Clause
"""The specification of a sweep, read and checked: scenarios/schema/sweep.schema.json, and what a schema cannot say."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from foreflow import config as configuration
from foreflow.errors import Refused
from foreflow.places import SWEEP_SCHEMA
from foreflow.sweeps import axes
from foreflow.sweeps.axes import Settings
from foreflow.sweeps.condition import Condition


@dataclass(frozen=True)
class Until:
    """Replications of a point go on until, in every arm, the half width of the metric's 95 % interval is within the width."""

    metric: str
    absolute: float | None  # in the metric's unit
    relative: float | None  # as a share of the mean
    at_least: int
    at_most: int

    def width(self, mean: float) -> float:
        """The half width that is wanted around this mean, in the metric's unit."""
        return self.absolute if self.absolute is not None else (self.relative or 0) * abs(mean)


@dataclass(frozen=True)
class Spec:
    """A sweep as it was written, checked: which points, arms and seeds."""

    name: str
    source: str  # where it was read, for refusals
    scenario: str
    fixed: Settings
    points: list[Settings]  # what varies; `where` holds for each
    arms: list[str]
    seeds: int | Until
    cores: int
    document: dict[str, Any]  # as it was written

    def first_seeds(self) -> int:
        """Seeds that every point is run with at least."""
        return self.seeds if isinstance(self.seeds, int) else self.seeds.at_least

    def resolved(self, point: Settings) -> dict[str, Any]:
        """The scenario's configuration at a point, checked."""
        return configuration.resolve(self.scenario, {**self.fixed, **point}, self.source)


@cache
def schema() -> dict[str, Any]:
    return json.loads(SWEEP_SCHEMA.read_text(encoding="utf-8"))


def read(spec: str | Path | Mapping[str, Any]) -> Spec:
    """The specification in a file, or as a mapping of the same form; refuses what is wrong in it."""
    if isinstance(spec, Mapping):
        return _checked(dict(spec), "sweep", "sweep")
    path = Path(spec)
    document = configuration.load_yaml(path)
    if not isinstance(document, dict):
        raise Refused(f"{path}: a sweep is a mapping of keys to values")
    stem = re.sub(r"[^a-z0-9_-]+", "-", path.stem.lower()).strip("-_")[:48] or "sweep"
    return _checked(document, str(path), stem)


def _checked(document: dict[str, Any], source: str, name: str) -> Spec:
    _check_keys(document, source)
    configuration.validate(document, schema(), source)
    scenario = document["scenario"]
    fixed = axes.fixed(document.get("set", {}), source)
    base = configuration.resolve(scenario, fixed, source)
    points = axes.combined(
        [
            *axes.grid(document.get("vary", {}), source),
            *axes.zipped(document.get("zip", []), source),
            *axes.sampled(document.get("sample"), source),
        ],
        source,
    )
    for key in fixed:
        if any(key in point for point in points[:1]):
            raise Refused(f"{source}: {key} is set and varied; it has its values in one place")
    points = _where(document.get("where", []), points, base, source)
    if not points:
        raise Refused(f"{source}: where holds for no point")
    return Spec(
        document.get("name", name), source, scenario, fixed, points, document.get("arms", base["arms"]),
        _seeds(document.get("seeds", base["seeds"]), source), document.get("cores", 1), document,
    )  # fmt: skip


def _check_keys(document: dict[str, Any], source: str) -> None:
    """An unknown key at the top, where a schema cannot tell a key of the scenario from a slip."""
    known = list(schema()["properties"])
    for key in document:
        if key in known:
            continue
        if key in (*configuration.all_keys(), *configuration.SHORT_NAMES):
            raise Refused(f"{source}: unknown key {key}; a key of the scenario stands below set, vary, zip or sample.over")
        near = difflib.get_close_matches(str(key), known, 1)
        raise Refused(f"{source}: unknown key {key}; {f'did you mean {near[0]}?' if near else 'known are ' + ', '.join(known)}")


def _where(texts: str | list[str], points: list[Settings], base: dict[str, Any], source: str) -> list[Settings]:
    """Those of the points that the conditions hold for."""
    conditions = [Condition(text, source) for text in ([texts] if isinstance(texts, str) else texts)]
    fallback = {**configuration.defaults(), **configuration.parameters(base)}

    def value_at(point: Settings, key: str) -> Any:
        full = configuration.full_key(key, f"{source}: where")
        return point[full] if full in point else fallback[full]

    return [point for point in points if all(condition.holds(lambda key: value_at(point, key)) for condition in conditions)]


def _seeds(document: int | dict[str, Any], source: str) -> int | Until:
    if isinstance(document, int):
        return document
    from foreflow.judge.metrics import METRICS  # here, since it is slow to import

    until = document["until"]
    if until["metric"] not in METRICS:
        raise Refused(f"{source}: seeds.until.metric = {until['metric']}; allowed is one of {', '.join(METRICS)}")
    if ("absolute" in until) == ("relative" in until):
        raise Refused(f"{source}: seeds.until has {'both' if 'absolute' in until else 'neither'} absolute and relative; a width is one of them")
    at_least = document.get("at_least", 3)
    if document["at_most"] < at_least:
        raise Refused(f"{source}: seeds.at_most = {document['at_most']}; allowed is at_least ({at_least}) or more")
    return Until(until["metric"], until.get("absolute"), until.get("relative"), at_least, document["at_most"])
