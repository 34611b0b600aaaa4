# SPDX-License-Identifier: BSD-3-Clause
"""foreflow's judging half: scenarios in, tables with intervals, figures and reports out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from foreflow.sweeps.sweep import Swept

__all__ = ["run", "sweep"]


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
