# SPDX-License-Identifier: BSD-3-Clause
"""From a specification to runs: which there are, which are kept already, how long the others will take."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from foreflow import config as configuration
from foreflow import inputs
from foreflow.judge import stats
from foreflow.runs import captures, driving, runner
from foreflow.runs.progress import duration
from foreflow.runs.runner import Run
from foreflow.sweeps.axes import Settings
from foreflow.sweeps.estimate import Durations
from foreflow.sweeps.spec import Spec, Until


@dataclass(frozen=True)
class Point:
    """One place of the sweep's space."""

    settings: Settings
    config: dict[str, Any]  # resolved
    parameters: dict[str, Any]  # what differs from the schema's defaults


@dataclass(frozen=True)
class Forecast:
    """What a sweep will cost, before anything of it has run."""

    points: int
    runs: int
    done: int
    at_most: int  # runs, where replications go on until an interval is narrow enough
    seconds: float  # of those to do whose likes have run before
    unknown: int  # to do, with nothing like them in the store
    width: int | None  # runs at a time; None: not known, and `seconds` are those of one after the other

    def text(self) -> str:
        more = f" at first, up to {self.at_most}" if self.at_most > self.runs else ""
        to_do = self.runs - self.done
        lines = [f"{self.points} points, {self.runs} runs{more}: {self.done} done, {to_do} to do"]
        if to_do > self.unknown:
            at_a_time = f"{self.width} at a time" if self.width else "if one ran after the other"
            lines.append(f"about {duration(self.seconds)} for {to_do - self.unknown} of them, {at_a_time}, by past runs of the same arm that are most like them")
        if self.unknown:
            lines.append(f"{self.unknown} have nothing like them in the store: their time is not known")
        return "\n".join(lines)


class Plan:
    """The runs of a sweep; more are added where its replications have no fixed number."""

    def __init__(self, spec: Spec, program: Path) -> None:
        self.spec = spec
        self.program = program
        self.points = []
        for settings in spec.points:
            config = spec.resolved(settings)
            self.points.append(Point(settings, config, configuration.parameters(config)))
        self._runs: dict[str, Run] = {}  # by key
        self._runs_of: list[dict[tuple[str, int], str]] = [{} for _ in self.points]  # by point: (arm, seed) to key
        self._points_of: dict[str, list[int]] = {}
        self._seeds = [0] * len(self.points)  # replications asked for so far

    def first(self) -> list[Run]:
        """The runs that are certain; captures that they need are made."""
        wanted = self.spec.first_seeds()
        captures.make(((point.config, seed) for point in self.points for seed in range(1, wanted + 1)), driving.cores())
        return [run for index in range(len(self.points)) for run in self._up_to(index, wanted)]

    def keys(self) -> list[str]:
        """Of all runs, by point, seed and arm."""
        return list(dict.fromkeys(key for keys in self._runs_of for key in keys.values()))

    def keys_of(self, index: int, arm: str) -> list[str]:
        """Of the runs of a point in an arm, by seed."""
        return [key for (of, _), key in self._runs_of[index].items() if of == arm]

    def _up_to(self, index: int, seeds: int) -> list[Run]:
        """The runs of a point that are new when it has this many replications."""
        point, new = self.points[index], []
        for seed in range(self._seeds[index] + 1, seeds + 1):
            first, shift = inputs.captures_of(point.config, seed)
            for arm in self.spec.arms:
                run = runner.plan(point.config, arm, seed, first, self.program, shift)
                self._runs_of[index][arm, seed] = run.key
                self._points_of.setdefault(run.key, []).append(index)
                if run.key not in self._runs:
                    self._runs[run.key] = run
                    new.append(run)
        self._seeds[index] = seeds
        return new

    def more(self, key: str, rows: dict[str, dict[str, Any]]) -> list[Run]:
        """What the end of run `key` asks for: further replications of its points; `rows` of all that have ended, by key.

        A point is judged when all its runs have ended, whatever their order: what a sweep asks for depends on results alone.
        """
        until = self.spec.seeds
        if not isinstance(until, Until):
            return []
        new: list[Run] = []
        for index in self._points_of[key]:
            keys = self._runs_of[index]
            if all(each in rows for each in keys.values()):
                values = {arm: [rows[each]["metrics"].get(until.metric) for (of, _), each in keys.items() if of == arm] for arm in self.spec.arms}
                new += self._up_to(index, replications(until, self._seeds[index], list(values.values())))
        return new

    def forecast(self, durations: Durations, done: set[str], width: int | None) -> Forecast:
        """Nothing is made or run for it."""
        until, first = self.spec.seeds, self.spec.first_seeds()
        seen: set[str] = set()
        runs = finished = unknown = 0
        seconds, longest = 0.0, 0.0
        for point in self.points:
            for seed in range(1, first + 1):
                kept = inputs.kept_captures_of(point.config, seed)
                for arm in self.spec.arms:
                    if kept is not None:
                        key = runner.plan(point.config, arm, seed, kept[0], self.program, kept[1]).key
                        if key in seen:
                            continue
                        seen.add(key)
                        if key in done:
                            runs, finished = runs + 1, finished + 1
                            continue
                    runs += 1
                    expected = durations.expected(point.config["scenario"], arm, point.parameters)
                    if expected is None:
                        unknown += 1
                    else:
                        seconds, longest = seconds + expected, max(longest, expected)
        at_most = len(self.points) * len(self.spec.arms) * until.at_most if isinstance(until, Until) else runs
        return Forecast(len(self.points), runs, finished, at_most, max(seconds / (width or 1), longest), unknown, width)


def replications(until: Until, n: int, values: list[list[float | None]]) -> int:
    """How many a point shall have that has `n`; `values`: of each arm. At most twice as many as before, so that little is run in vain."""
    wanted = n
    for sample in values:
        estimate = stats.mean(sample)
        if estimate.mean is None or estimate.low is None or estimate.high is None:
            wanted = max(wanted, n + 1)  # runs failed
            continue
        half, width = (estimate.high - estimate.low) / 2, until.width(estimate.mean)
        if half > width:
            wanted = max(wanted, n + 1, 2 * n if width == 0 else min(2 * n, math.ceil(n * (half / width) ** 2)))
    return min(wanted, until.at_most)
