# SPDX-License-Identifier: BSD-3-Clause
"""Collects what the benchmark programs measure; each prints a JSON list of rows."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from foreflow.build import build, program
from foreflow.errors import Failed, Refused
from foreflow.table import grid, number

PROGRAMS = ("foreflow-bench-cores", "foreflow-bench-path", "foreflow-bench-flow", "foreflow-bench-sim")
KEYS = {"name", "unit", "value", "peer", "peer_value", "ratio"}


def _rows_of(name: str, output: str) -> list[dict[str, Any]]:
    try:
        rows = json.loads(output)
    except ValueError as error:
        raise Failed(f"{name} printed no JSON: {error}") from None
    for row in rows:
        if set(row) != KEYS:
            raise Failed(f"{name}: a row has the keys {', '.join(row)}; expected are {', '.join(sorted(KEYS))}")
    return rows


def measure(names: list[str]) -> list[dict[str, Any]]:
    """All rows, or those whose name contains one of `names`."""
    folder = build("all", list(PROGRAMS))
    rows = []
    for name in PROGRAMS:
        print(f"foreflow: {name}", file=sys.stderr)
        done = subprocess.run([str(program(folder, name))], stdout=subprocess.PIPE, text=True, check=False)
        if done.returncode != 0:
            raise Failed(f"{name} ended with exit code {done.returncode}")
        rows += _rows_of(name, done.stdout)
    kept = [row for row in rows if not names or any(wanted.lower() in row["name"].lower() for wanted in names)]
    if not kept:
        raise Refused(f"no benchmark's name contains {' or '.join(names)}; there are {', '.join(row['name'] for row in rows)}")
    return kept


def table_of(rows: list[dict[str, Any]]) -> str:
    head = ["benchmark", "unit", "ours", "peer", "peer's", "ratio (more is better for us)"]
    return grid(
        [head]
        + [
            [row["name"], row["unit"], number(row["value"]), row["peer"] or "-", number(row["peer_value"]), number(row["ratio"], 3)]
            for row in rows
        ]
    )
