# SPDX-License-Identifier: BSD-3-Clause
"""One self-contained HTML page of a store or a sweep: figures, tables, what was set, and what failed."""

from __future__ import annotations

import base64
import os
import re
from pathlib import Path
from typing import Any

import jinja2
import yaml

from foreflow import manifest
from foreflow.errors import Refused
from foreflow.judge import stats, systems
from foreflow.judge.metrics import METRICS
from foreflow.judge.table import number, with_interval
from foreflow.results.frame import Frame, sorting_key
from foreflow.results.load import failures_of, frame_of, kind_of, sweep_document

LOG_LINES = 20
POINTS = 200  # rows of a table; the CSV has all runs
DRAWN = ("request_response_p99_us", "punts_per_thousand")


def _last_lines(log: Path) -> str:
    try:
        return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_LINES:])
    except OSError as error:
        return f"no log: {error.strerror}"


def _slug(value: Any) -> str:
    """A value as part of a file's name."""
    return re.sub(r"[^A-Za-z0-9.]+", "_", str(value)).strip("_")


def _drawn(part: Frame, folder: Path, prefix: str) -> list[Any]:
    """What can be drawn of runs, saved: lines and the gap over one parameter, heat over two; nothing of runs that vary in more."""
    from foreflow import plot  # here, since it is slow to import

    if part["scenario"].nunique() > 1:
        return []
    over = part.varying
    arms = set(part["arm"])
    plots = []
    if 1 <= len(over) <= 2:
        # Where two vary, the one with more values is the axis.
        axis = max(over, key=lambda name: part[name].nunique())
        other = next((name for name in over if name != axis), None)
        for metric in (metric for metric in DRAWN if part[metric].notna().any()):
            for value in [None] if other is None else sorted(part[other].unique(), key=sorting_key)[:4]:
                chosen = part if other is None else part[part[other] == value]
                plots.append((f"{prefix}{metric}" + ("" if value is None else f"-{_slug(value)}"), plot.line(chosen, metric, axis)))
            if {"reactive", "predictive", "oracle"} <= arms:
                plots.append((f"{prefix}{metric}-gap", plot.gap(part, metric, axis, other)))
            if other is not None and "predictive" in arms:
                plots.append((f"{prefix}{metric}-heat", plot.heat(part, metric, axis, other)))
    if len(over) <= 2 and all(part[name].notna().any() for name in ("request_response_p99_us", "prediction_cycles_per_packet")) and len(arms) > 1:
        plots.append((f"{prefix}pareto", plot.pareto(part, "prediction_cycles_per_packet", "request_response_p99_us")))
    shown = []
    for name, drawn in plots:
        paths = drawn.save(folder, name)
        shown.append({"name": name, "caption": drawn.caption, "data": base64.b64encode(paths[0].read_bytes()).decode()})
    return shown


def _table(part: Frame) -> tuple[list[str], list[list[str]], int]:
    """Means with intervals, a row a point and arm; its head, its rows, and how many were left out."""
    keys = [*part.varying, "arm"]
    headline = [name for system in systems.SYSTEMS.values() for name in system.headline]
    metrics = [name for name in headline if name in part.columns]
    rows = []
    for cell, own in part.groupby(keys if len(keys) > 1 else keys[0], sort=False):
        values = cell if isinstance(cell, tuple) else (cell,)
        estimates = [stats.mean(own[name].tolist()) for name in metrics]
        rows.append(([sorting_key(value) for value in values], [*map(str, values), *(with_interval(each.as_json()) for each in estimates), str(len(own))]))
    rows.sort(key=lambda row: row[0])
    head = [*keys, *(f"{name} [{METRICS[name].unit}]" for name in metrics), "runs"]
    return head, [row for _, row in rows[:POINTS]], max(0, len(rows) - POINTS)


def _parts(folder: Path, rows: Frame) -> list[tuple[str, Frame]]:
    """What the page is divided into: a sweep is one, a store has its sweeps, then what is in none by scenario."""
    if kind_of(folder) == "sweep":
        return [(f"Sweep {folder.name}", rows)]
    parts, left = [], set(rows["key"])
    for place in sorted((folder / "sweeps").glob("*/sweep.json")):
        keys = set(sweep_document(place.parent)["runs"])
        parts.append((f"Sweep {place.parent.name}", rows[rows["key"].isin(keys)]))
        left -= keys
    alone = rows[rows["key"].isin(left)]
    parts += [(f"Scenario {name}, outside of sweeps", alone[alone["scenario"] == name]) for name in sorted(alone["scenario"].unique())]
    return [(title, part) for title, part in parts if not part.empty]


def _section(title: str, part: Frame, folder: Path, prefix: str) -> dict[str, Any]:
    done = part.done()
    constant = {name: part[name].iloc[0] for name in part.parameters if name not in part.varying}
    section: dict[str, Any] = {
        "title": title, "runs": len(part), "done": len(done), "figures": [], "head": [], "rows": [], "more": 0,
        "constant": yaml.safe_dump({key: getattr(value, "item", lambda value=value: value)() for key, value in constant.items()}, allow_unicode=True) if constant else "every key at its default\n",
        "varying": {name: ", ".join(map(str, sorted(part[name].unique(), key=sorting_key)[:20])) for name in part.varying},
    }  # fmt: skip
    if not done.empty:
        section["head"], section["rows"], section["more"] = _table(done)
        section["figures"] = _drawn(done, folder / "figures", prefix)
    return section


def _specification(folder: Path) -> str:
    """What a sweep was asked for, as YAML; empty for a store."""
    if kind_of(folder) != "sweep":
        return ""
    return yaml.safe_dump(sweep_document(folder)["spec"], sort_keys=False, allow_unicode=True)


def write(folder: Path) -> dict[str, Any]:
    """Writes report.html, runs.csv and figures/ into `folder` (a store or a sweep); the document of `report --json`."""
    rows = frame_of(folder)
    parts = _parts(folder, rows[rows["scenario"].notna()])
    failed = failures_of(folder, rows)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=jinja2.StrictUndefined
    )
    try:
        rows.to_csv(folder / "runs.csv", index=False, lineterminator="\n")
        sections = [_section(title, part, folder, f"{place}-" if len(parts) > 1 else "") for place, (title, part) in enumerate(parts, 1)]
        page = environment.get_template("store_report.html.j2").render(
            name=folder.name,
            folder=str(folder),
            runs=len(rows),
            done=len(rows.done()),
            seconds=number(float(rows["seconds"].fillna(0).sum()), 3),
            sections=sections,
            failed=[{**each, "log": _last_lines(Path(each["folder"]) / "log.txt")} for each in failed],
            specification=_specification(folder),
            commit=manifest.commit(),
            machine=manifest.machine(),
        )
        temporary = folder / f"report.html.{os.getpid()}.tmp"
        temporary.write_text(page, encoding="utf-8")
        os.replace(temporary, folder / "report.html")
    except OSError as error:
        raise Refused(f"{folder}: the report cannot be written there: {error.strerror}") from None
    return {
        "folder": str(folder), "runs": len(rows), "done": len(rows.done()), "failed": failed,
        "report": str(folder / "report.html"), "csv": str(folder / "runs.csv"),
        "figures": [str(folder / "figures" / f"{figure['name']}.png") for section in sections for figure in section["figures"]],
    }  # fmt: skip


def text_of(document: dict[str, Any]) -> str:
    """What `report` prints of a store."""
    lines = [f"{document['runs']} runs, {document['done']} done, {len(document['failed'])} failed or corrupt"]
    lines += [f"  {each['key']} {each['status']}: {each['sentence']}" for each in document["failed"][:10]]
    return "\n".join([*lines, f"\nReport   {document['report']}", f"Rows     {document['csv']}"])
