# SPDX-License-Identifier: BSD-3-Clause
"""A sweep from its specification to its folder, STORE/sweeps/<name>-<hash>:

    sweep.json   the specification, its points and the keys of its runs
    points.csv   a row a run: key, scenario, arm, seed, status, seconds, fingerprint, parameters, metrics
    table.txt    the headline metrics of each point and arm
    joined.h5    the traces of all finished runs as one file
"""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from foreflow import build
from foreflow import config as configuration
from foreflow.errors import Failed, Refused
from foreflow.places import RUNS
from foreflow.runs import driving, runner
from foreflow.runs.driving import Executor
from foreflow.runs.runner import Result, Run
from foreflow.runs.store import Store, replace_text
from foreflow.sweeps import spec as specification
from foreflow.sweeps import table
from foreflow.sweeps.estimate import Durations
from foreflow.sweeps.plan import Forecast, Plan
from foreflow.sweeps.spec import Spec

ABOUT = ("key", "scenario", "arm", "seed", "status", "seconds", "fingerprint")


@dataclass(frozen=True)
class Where:
    """Where runs are run: `jobs` cores of this machine, unless a Dask cluster or SLURM is named."""

    jobs: int | None = None
    dask: str | None = None
    slurm: bool = False

    def checked(self, cores: int) -> int | None:
        """How many runs at a time, None where another machine says; refuses what cannot be."""
        if self.dask is not None and self.slurm:
            raise Refused("command line: --dask and --slurm; a sweep runs in one place")
        if self.dask is not None or self.slurm:
            if self.jobs is not None:
                raise Refused(f"command line: -j {self.jobs}; allowed without --dask and --slurm, where the cluster says how many")
            return None
        if self.jobs is not None and self.jobs < cores:
            raise Refused(f"command line: -j {self.jobs}; allowed is {cores} or more, the cores that each run of this sweep is given")
        return (self.jobs or max(driving.cores(), cores)) // cores

    def executor(self, spec: Spec, folder: Path, runs: int) -> Executor:
        if self.dask is not None:
            from foreflow.sweeps.dask import Dask

            return Dask(self.dask)
        if self.slurm:
            from foreflow.sweeps.slurm import Slurm

            return Slurm(folder, spec.name, spec.cores)
        from foreflow.runs.workers import Workers

        return Workers(min(self.checked(spec.cores) or 1, runs))


@dataclass(frozen=True)
class Swept:
    """What a sweep came to. `rows`: as in row.json, ordered by point, arm and seed."""

    folder: Path
    store: Path
    rows: list[dict[str, Any]]
    document: dict[str, Any]  # what `./foreflow sweep --json` prints
    text: str  # the table

    @property
    def failed(self) -> list[dict[str, Any]]:
        return [row for row in self.rows if row["status"] != "done"]

    @cached_property
    def frame(self) -> Any:
        """The rows as a pandas frame, as foreflow.load gives it."""
        import foreflow

        return foreflow.load(self.folder)


def forecast(spec: str | Path | Mapping[str, Any], where: Where, store: Path | None = None) -> tuple[Forecast, list[dict[str, Any]]]:
    """What the sweep will cost, and its points; nothing is run."""
    wanted = specification.read(spec)
    width = where.checked(wanted.cores)
    folder = (store or RUNS).absolute()
    plan = Plan(wanted, _simulator())
    rows = Store.existing(folder).rows() if folder.is_dir() and any(folder.iterdir()) else []
    done = {row["key"] for row in rows if row["status"] == "done"}
    return plan.forecast(Durations(rows), done, width), [point.settings for point in plan.points]


def _simulator() -> Path:
    return build.program(build.build("sim", ["foreflow-run"]), "foreflow-run")


def sweep(spec: str | Path | Mapping[str, Any], where: Where, store: Path | None = None) -> Swept:
    """Runs what is not in the store yet, and writes the sweep's folder.

    A failed run is a row with its log, and the others go on. Raises Refused for what is wrong before anything has run,
    Failed where the store takes no more.
    """
    wanted = specification.read(spec)
    width = where.checked(wanted.cores)
    plan = Plan(wanted, _simulator())
    kept = Store.of((store or RUNS).absolute())
    try:
        return _sweep(plan, kept, where, width)
    except OSError as error:
        raise Failed(f"{error.filename or kept.folder}: {error.strerror or error}; start again when that is mended: what is finished is kept") from None


def _sweep(plan: Plan, kept: Store, where: Where, width: int | None) -> Swept:
    durations = Durations(kept.rows())
    first = plan.first()

    def expected(run: Run) -> float | None:
        return durations.expected(run.config["scenario"], run.arm, configuration.parameters(run.config))

    unknown = max((seconds for run in first if (seconds := expected(run)) is not None), default=0.0)
    longest_first = sorted(first, key=lambda run: -(expected(run) or unknown))
    folder = kept.folder / "sweeps" / f"{plan.spec.name}-{runner.hash_of(first)}"
    folder.mkdir(parents=True, exist_ok=True)
    _write_specification(folder, plan)
    rows: dict[str, dict[str, Any]] = {}
    took: dict[str, Any] = {"reused": 0, "seconds": 0.0, "seconds_of_runs": 0.0, "at_a_time": width}

    def ended(result: Result) -> list[Run]:
        assert result.row is not None
        rows[result.run.key] = result.row
        took["reused"] += result.status == "reused"
        took["seconds_of_runs"] += 0.0 if result.status == "reused" else result.row["seconds"]
        return plan.more(result.run.key, rows)

    begun = time.monotonic()
    driving.drive(longest_first, plan.program, kept, ended, start=lambda runs: where.executor(plan.spec, folder, runs), expected=expected)
    ordered = [rows[key] for key in plan.keys()]
    took["seconds"] = round(time.monotonic() - begun, 3)
    took["seconds_of_runs"] = round(took["seconds_of_runs"], 3)
    return _finish(plan, kept, folder, ordered, took)


def _write_specification(folder: Path, plan: Plan) -> None:
    from foreflow.judge.metrics import METRICS  # here, since it is slow to import

    spec = plan.spec
    document = {
        "name": spec.name,
        "source": spec.source,
        "spec": spec.document,
        "scenario": spec.scenario,
        "set": spec.fixed,
        "arms": spec.arms,
        "seeds": spec.document.get("seeds", spec.seeds),
        "points": [point.settings for point in plan.points],
        "varied": list(plan.points[0].settings),
        "runs": plan.keys(),
        "units": {"seconds": "s"} | {name: metric.unit for name, metric in METRICS.items()},
    }
    replace_text(folder / "sweep.json", json.dumps(document, indent=1, default=str) + "\n")


def csv_of(rows: list[dict[str, Any]]) -> str:
    """A row a run; a parameter that a run leaves at its default has the default."""
    from foreflow.judge.metrics import METRICS

    defaults = configuration.defaults()
    parameters = sorted({key for row in rows for key in row["parameters"]})
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([*ABOUT, *parameters, *METRICS])
    for row in rows:
        values = [row[key] for key in ABOUT]
        values += [row["parameters"].get(key, defaults[key]) for key in parameters]
        values += [row["metrics"].get(name) for name in METRICS]
        writer.writerow(["" if value is None else repr(value) if isinstance(value, float) else value for value in values])
    return file.getvalue()


def _finish(plan: Plan, store: Store, folder: Path, rows: list[dict[str, Any]], took: dict[str, Any]) -> Swept:
    from foreflow.sweeps import joined  # here, since it is slow to import

    done = [row for row in rows if row["status"] == "done"]
    text = table.of_rows(plan, rows)
    _write_specification(folder, plan)
    replace_text(folder / "points.csv", csv_of(rows))
    replace_text(folder / "table.txt", text + "\n")
    if done:
        joined.write(folder / "joined.h5", store.folder, done)
    failed = [row for row in rows if row["status"] != "done"]
    document = {
        "sweep": plan.spec.name,
        "about": plan.spec.document.get("about", ""),
        "scenario": plan.spec.scenario,
        "points": len(plan.points),
        "runs": len(rows),
        "done": len(done),
        "failed": [
            {key: row[key] for key in ("key", "arm", "seed", "parameters", "sentence")} | {"log": str(store.folder_of(row) / "log.txt")}
            for row in failed
        ],
        "rows": rows,
        **took,
        "outputs": {
            "folder": str(folder),
            "store": str(store.folder),
            "specification": str(folder / "sweep.json"),
            "rows": str(folder / "points.csv"),
            "table": str(folder / "table.txt"),
            "joined": str(folder / "joined.h5") if done else None,
        },
    }
    return Swept(folder, store.folder, rows, document, text)


def text_of(swept: Swept) -> str:
    """What the command prints."""
    outputs = swept.document["outputs"]
    about = swept.document["about"]
    lines = [*([about, ""] if about else []), swept.text, "", f"Rows     {outputs['rows']}"]
    if outputs["joined"]:
        lines.append(f"Traces   {outputs['joined']}")
    return "\n".join([*lines, f"Store    {outputs['store']}"])
