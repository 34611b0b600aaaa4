# SPDX-License-Identifier: BSD-3-Clause
"""foreflow's judging half: scenarios in, tables with intervals, figures and reports out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["run"]


def run(
    scenario: str,
    overrides: Mapping[str, Any] | None = None,
    *,
    arms: list[str] | None = None,
    seeds: int | None = None,
    out: Path | None = None,
    fresh: bool = False,
) -> dict[str, Any]:
    """What `./foreflow run SCENARIO KEY=VALUE ... --json` prints, as a dictionary.

    `overrides` maps dotted keys or short names to values: {"input": "websearch", "device.flow_entries": "20%"}.
    Raises foreflow.errors.Refused for bad input, and Failed where a run failed.
    """
    from foreflow.errors import Failed
    from foreflow.runs import scenario as scenarios

    options = [f"{key}={value}" for key, value in (overrides or {}).items()]
    finished = scenarios.run_named(scenario, options, ",".join(arms) if arms else None, seeds, out, fresh)
    if finished.failed:
        raise Failed("; ".join(f"arm {r.run.arm}, seed {r.run.seed}: {r.sentence}" for r in finished.failed))
    return finished.document
