# SPDX-License-Identifier: BSD-3-Clause
"""One self-contained HTML page a run: the finding in words, the numbers, the figures."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import jinja2
import yaml

from foreflow import manifest
from foreflow.judge import systems
from foreflow.judge.metrics import METRICS
from foreflow.judge.table import number, with_interval
from foreflow.runs.runner import Result


def _rows(document: dict[str, Any]) -> list[list[str]]:
    return [
        [
            metric,
            METRICS[metric].unit,
            *(with_interval(document["arms"][arm][metric]) for arm in document["arms"]),
            with_interval(document["gap_closed"][metric]) if metric in document["gap_closed"] else "",
        ]
        for metric in systems.of(document["config"]).metrics
    ]


def _run_row(result: Result) -> dict[str, Any]:
    summary = result.summary
    return {
        "arm": result.run.arm,
        "seed": result.run.seed,
        "status": "failed" if not result.ok else result.status,
        "sentence": result.sentence,
        "fingerprint": summary.get("fingerprint", ""),
        "simulated": f"{number(summary['simulated_s'])} s" if "simulated_s" in summary else "",
        "wall": f"{number(summary['wall_s'], 3)} s" if "wall_s" in summary else "",
        "folder": str(result.folder),
    }


def render(document: dict[str, Any], sentences: list[str], figures: list[Path], results: list[Result]) -> str:
    """The page; `figures` are PNG files."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=jinja2.StrictUndefined
    )
    notes = next((result.summary.get("notes", []) for result in results if result.ok), [])
    short = {k: v for k, v in document["config"].items() if k not in ("rules", "tag_rules", "meters", "hw")}
    return environment.get_template("report.html.j2").render(
        document=document,
        sentences=sentences,
        rows=_rows(document),
        whys=[f"{metric}: {gap['why']}." for metric, gap in document["gap_closed"].items() if "why" in gap],
        figures=[
            {
                "name": path.stem,
                "data": base64.b64encode(path.read_bytes()).decode(),
                "caption": systems.of(document["config"]).judge.CAPTIONS[path.stem],
            }
            for path in figures
        ],
        dropped=sum(document["packets"]["dropped"].values()),
        notes=notes,
        runs=[_run_row(result) for result in results],
        config=yaml.safe_dump(short, sort_keys=False, allow_unicode=True),
        commit=manifest.commit(),
        machine=manifest.machine(),
    )
