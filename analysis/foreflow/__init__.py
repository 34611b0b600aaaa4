# SPDX-License-Identifier: BSD-3-Clause
"""foreflow's judging half: scenarios in, tables with intervals, figures and reports out."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from foreflow import plot
    from foreflow.results.frame import Frame
    from foreflow.results.run import Run
    from foreflow.sweeps.sweep import Swept

__all__ = ["compare", "load", "plot", "rerun", "run", "sweep"]


def __getattr__(name: str) -> Any:
    """`ff.plot`, imported when it is asked for, since matplotlib is slow to import."""
    if name != "plot":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return importlib.import_module("foreflow.plot")


def run(
    scenario: str,
    overrides: Mapping[str, Any] | None = None,
    *,
    arms: list[str] | None = None,
    seeds: int | None = None,
    out: Path | None = None,
    fresh: bool = False,
    **settings: Any,
) -> dict[str, Any]:
    """What `./foreflow run SCENARIO KEY=VALUE ... --json` prints, as a dictionary.

    `overrides` maps dotted keys or short names to values: {"input": "websearch", "device.flow_entries": "20%"}. Keys without
    dots and short names may also be given by name: load=0.8. Raises foreflow.errors.Refused for bad input, and Failed where a
    run failed.
    """
    from foreflow.errors import Failed
    from foreflow.runs import scenario as scenarios

    options = [f"{key}={value}" for key, value in {**(overrides or {}), **settings}.items()]
    finished = scenarios.run_named(scenario, options, ",".join(arms) if arms else None, seeds, Path(out) if out else None, fresh)
    if finished.failed:
        raise Failed("; ".join(f"arm {r.run.arm}, seed {r.run.seed}: {r.sentence}" for r in finished.failed))
    return finished.document


def sweep(
    spec: str | Path | Mapping[str, Any], *, jobs: int | None = None, dask: str | None = None, slurm: bool = False, store: str | Path | None = None
) -> Swept:
    """Runs what `./foreflow sweep SPEC` runs; the rows, as a list and as a pandas frame, and the folder of the sweep.

    `spec` is a file, or a mapping of the same form. `jobs`: cores of this machine, all unless said; `dask`: address of a
    cluster; `store`: where runs are kept, `runs` of the checkout unless said. Failed runs are rows (`.failed`). Raises
    foreflow.errors.Refused for bad input, and Failed where the store takes no more.
    """
    from foreflow.sweeps import sweep as sweeping

    return sweeping.sweep(spec, sweeping.Where(jobs, dask, slurm), Path(store) if store else None)


def load(path: str | os.PathLike[str]) -> Run | Frame:
    """What a folder of results holds.

    One run: a Run, whose tables (`.packets`, `.decisions`, `.flows`, ...) are pandas frames with units in `attrs`, and `.manifest`,
    `.summary`, `.config`. A result of `run`, a sweep or a store: a Frame with a row a run, and `.to_xarray()`. Raises
    foreflow.errors.Refused for what is neither, is corrupt or of another version.
    """
    from foreflow.results.load import load as load_folder

    return load_folder(path)


def compare(a: str | os.PathLike[str] | Run | Frame, b: str | os.PathLike[str] | Run | Frame) -> dict[str, Any]:
    """What `./foreflow compare A B --json` prints: what was set otherwise between two runs, results, sweeps or stores (folders, or
    what `load` gave), and what came out otherwise, with 95 % intervals, effect sizes and paired tests. Raises
    foreflow.errors.Refused where they share no point.
    """
    from foreflow.judge import compare as comparison

    return comparison.compare(*(Path(each).absolute() if isinstance(each, (str, os.PathLike)) else each for each in (a, b)))


def rerun(run: str | os.PathLike[str], *, seed: int | None = None, arm: str | None = None) -> dict[str, Any]:
    """What `./foreflow rerun RUN --json` prints: the run once more, and whether its fingerprint is the same.

    `seed`, `arm`: what is to be otherwise. Raises foreflow.errors.Refused where an input or a model is not what it was.
    """
    from foreflow.runs import rerun as again

    words = [f"{key}={value}" for key, value in (("seed", seed), ("arm", arm)) if value is not None]
    return again.rerun(Path(run).absolute(), words)
