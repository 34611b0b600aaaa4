# SPDX-License-Identifier: BSD-3-Clause
"""Two runs, results, sweeps or stores against each other: what was set otherwise, then what came out otherwise."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from foreflow import config as configuration
from foreflow.errors import Refused
from foreflow.judge import paired
from foreflow.judge.metrics import METRICS
from foreflow.judge.table import grid, number, with_interval
from foreflow.results.frame import Frame, sorting_key
from foreflow.results.load import frame_of
from foreflow.results.run import Run

LEVEL = 0.05  # of the whole comparison, after Holm's correction
SENTENCES = 6
ROWS = 40  # of changes in the table; --json has all
PROVENANCE = ("commit", "diff_sha256", "binary_sha256")  # of a manifest: what else made the numbers


def _aligned(a: Frame, b: Frame) -> tuple[Frame, Frame, list[str]]:
    """Both with the same dimensions: what only one of them sets has its default in the other."""
    parameters = sorted({*a.parameters, *b.parameters})
    both = []
    for rows in (a, b):
        rows = rows.copy()
        for name in parameters:
            if name not in rows:
                rows[name] = [configuration.defaults()[name]] * len(rows)
        both.append(rows)
    return both[0], both[1], ["scenario", *parameters, "arm"]


def _values(rows: Frame, name: str) -> list[Any]:
    return sorted(rows[name].unique().tolist(), key=sorting_key)


def _documents(rows: Frame) -> dict[str, dict[str, Any]]:
    """The manifests of the runs by key, of those whose folder has one."""
    found = {}
    folders = rows.attrs.get("folders", {})
    for key in rows["key"]:
        try:
            found[key] = json.loads((Path(folders[key]) / "manifest.json").read_text(encoding="utf-8"))
        except (OSError, ValueError, KeyError):
            continue
    return found


def _traffic(one: dict[str, Any] | None, other: dict[str, Any] | None) -> str:
    if one is None or other is None:
        return "unknown"
    return "same" if list(one["inputs_sha256"].values()) == list(other["inputs_sha256"].values()) else "differs"


def _provenance(a: dict[str, Any], b: dict[str, Any]) -> dict[str, list[list[Any]]]:
    """What of commit, changes on top and binary is not the same on both sides."""
    found = {}
    for name in PROVENANCE:
        sides = [sorted({str(manifest.get(name)) for manifest in side.values()}) for side in (a, b)]
        if sides[0] != sides[1] and all(sides):
            found[name] = sides
    return found


def _groups(a: Frame, b: Frame, keys: list[str]) -> Iterator[tuple[dict[str, Any], Frame, Frame]]:
    """Points that both have, by the values of `keys`, in their order."""
    if not keys:
        yield {}, a, b
        return
    by = keys if len(keys) > 1 else keys[0]
    ones, others = ({cell: part for cell, part in rows.groupby(by, sort=False)} for rows in (a, b))
    cells = [cell for cell in ones if cell in others]
    for cell in sorted(cells, key=lambda each: [sorting_key(value) for value in (each if isinstance(each, tuple) else (each,))]):
        values = [getattr(value, "item", lambda value=value: value)() for value in (cell if isinstance(cell, tuple) else (cell,))]
        yield dict(zip(keys, values)), ones[cell], others[cell]


def _changes(a: Frame, b: Frame, metrics: list[str]) -> tuple[dict[str, paired.Change], list[int]]:
    """Of each metric at one point, and the seeds that are paired; without common seeds, of two samples."""
    one, other = a.set_index("seed"), b.set_index("seed")
    seeds = sorted(set(one.index) & set(other.index))
    found = {}
    for metric in metrics:
        columns = [rows[metric] if metric in rows else None for rows in (one, other)]
        if columns[0] is None or columns[1] is None or (columns[0].isna().all() and columns[1].isna().all()):
            continue
        if seeds:
            found[metric] = paired.pairs(columns[0].loc[seeds].tolist(), columns[1].loc[seeds].tolist())
        else:
            found[metric] = paired.samples(columns[0].tolist(), columns[1].tolist())
    return found, seeds


def _verdict(metric: str, change: paired.Change, adjusted: float | None) -> str:
    if change.same:
        return "same"
    alike = change.p is None and change.difference.n > 1 and change.difference.low is not None
    if change.difference.mean is None or not (alike or (adjusted is not None and adjusted < LEVEL)):
        return "cannot be told"
    if metric not in METRICS:
        return "changed"
    return "better" if (change.difference.mean > 0) == METRICS[metric].higher_is_better else "worse"


def _opened(source: Path | Frame | Run) -> tuple[str, Frame]:
    if isinstance(source, Frame):
        return str(source.attrs["folder"]), source
    folder = source.folder if isinstance(source, Run) else source
    return str(folder), frame_of(folder)


def compare(first: Path | Frame | Run, second: Path | Frame | Run) -> dict[str, Any]:
    """The document of `compare --json`: changed parameters, then at every point that both have the change of every metric.

    A and B are folders of a run, a result, a sweep or a store, or what was loaded of one. Runs of one seed are pairs (common random
    numbers). Raises Refused where they have no point in common.
    """
    (a, one), (b, other) = _opened(first), _opened(second)
    frames = [one, other]
    done = [rows.done() for rows in frames]
    for folder, rows in zip((a, b), done):
        if rows.empty:
            raise Refused(f"{folder}: no run has finished, so there is nothing to compare")
    one, other, dimensions = _aligned(*done)
    changed: dict[str, list[list[Any]]] = {}
    partly: dict[str, list[list[Any]]] = {}
    for name in dimensions:
        sides = [_values(rows, name) for rows in (one, other)]
        if sides[0] == sides[1]:
            continue
        common = [value for value in sides[0] if value in sides[1]]
        if common:
            partly[name] = [[value for value in side if value not in common] for side in sides]
        else:
            changed[name] = sides
    several = next((name for name, sides in changed.items() if max(map(len, sides)) > 1), None)
    if several:
        shown = " and ".join(", ".join(map(str, side[:6])) for side in changed[several])
        raise Refused(f"{a} and {b}: {several} has no value in common ({shown}), and more than one on a side; allowed is one changed value a side, or common points")
    keys = [name for name in dimensions if name not in changed and max(one[name].nunique(), other[name].nunique()) > 1]
    repeated = [0, 0]
    sides = []
    for place, rows in enumerate((one, other)):
        started = rows.attrs["started"]
        in_time = rows.sort_values("key", key=lambda column: column.map(started), kind="stable")
        kept = in_time.drop_duplicates([*keys, "seed"], keep="last").sort_index()
        repeated[place] = len(rows) - len(kept)
        sides.append(kept)
    manifests = [_documents(rows) for rows in sides]
    metrics = [name for name in sides[0].metrics if name in sides[1].metrics]
    groups, found = [], []
    for point, left, right in _groups(*sides, keys):
        changes, seeds = _changes(left, right, metrics)
        lefts, rights = (rows.set_index("seed") for rows in (left, right))
        states = {_traffic(manifests[0].get(lefts["key"][seed]), manifests[1].get(rights["key"][seed])) for seed in seeds}
        groups.append({
            "arm": str(left["arm"].iloc[0]) if "arm" not in changed else None,
            "point": {name: value for name, value in point.items() if name != "arm"},
            "n": len(seeds) or min(len(left), len(right)),
            "paired": bool(seeds),
            "traffic": "differs" if "differs" in states else "unknown" if "unknown" in states or not states else "same",
            "same_fingerprint": sum(lefts["fingerprint"][seed] == rights["fingerprint"][seed] for seed in seeds),
        })  # fmt: skip
        found.append(changes)
    if not groups:
        raise Refused(f"{a} and {b}: have no point in common over {', '.join(keys)}; allowed are runs that share all but what was changed")
    tested = [(place, metric) for place, changes in enumerate(found) for metric, change in changes.items() if change.p is not None]
    adjusted = dict(zip(tested, paired.holm([found[place][metric].p for place, metric in tested])))
    for place, (group, changes) in enumerate(zip(groups, found)):
        group["metrics"] = {
            metric: {
                **change.as_json(), "p_holm": adjusted.get((place, metric)), "unit": METRICS[metric].unit if metric in METRICS else "",
                "verdict": _verdict(metric, change, adjusted.get((place, metric))),
            }
            for metric, change in changes.items()
        }  # fmt: skip
    document: dict[str, Any] = {
        "a": a, "b": b,
        "runs": [len(rows) for rows in done],
        "failed": [len(rows) - len(rest) for rows, rest in zip(frames, done)],
        "repeated": repeated,
        "changed": changed, "only_on_one_side": partly,
        "made_by": _provenance(*manifests),
        "groups": groups, "tests": len(tested), "level": LEVEL,
    }  # fmt: skip
    document["sentences"] = _sentences(document)
    return document


def _where(group: dict[str, Any]) -> str:
    parts = [] if group["arm"] is None else [f"arm {group['arm']}"]
    return ", ".join([*parts, *(f"{name} {value}" for name, value in group["point"].items())])


def _said(metric: str, change: dict[str, Any], group: dict[str, Any]) -> str:
    difference = change["difference"]
    verb = "rose" if difference["mean"] > 0 else "fell"
    low, high = difference["ci95"]
    unit = f" {change['unit']}" if change["unit"] else ""
    size = f"{abs(100 * change['relative']):.3g} %" if change["relative"] else f"{number(abs(difference['mean']))}{unit}"
    if change["p"] is None:
        sure = f"by the same in all {difference['n']} pairs"
    else:
        kind = "pairs" if group["paired"] else "runs a side"
        effect = "" if change["effect"] is None else f", g = {change['effect']:.2f}"
        sure = f"95 % interval of B - A {number(low, 3)} to {number(high, 3)}{unit}, {difference['n']} {kind}{effect}, p = {change['p_holm']:.2g} after Holm"
    place = _where(group)
    return f"{metric} {verb} by {size}{f' ({place})' if place else ''}: {sure}; B is {change['verdict']}."


def _sentences(document: dict[str, Any]) -> list[str]:
    """What was found, in words; the strongest changes first, the sum last."""
    groups = document["groups"]
    pairs = sum(group["n"] for group in groups if group["paired"])
    if pairs and all(group["paired"] and group["same_fingerprint"] == group["n"] for group in groups):
        alike = f"every packet was decided alike in all {pairs} pairs (same fingerprints)"
        if all(change["verdict"] == "same" for group in groups for change in group["metrics"].values()):
            return [f"Nothing changed: {alike}, and no metric moved."]
        said = [f"{alike[0].upper()}{alike[1:]}; what moved is time or cost."]
    else:
        said = []
    moved = [(group, metric, change) for group in groups for metric, change in group["metrics"].items() if change["verdict"] in ("better", "worse", "changed")]
    moved.sort(key=lambda each: -abs(each[2]["effect"]) if each[2]["effect"] is not None else 0.0)
    said += [_said(metric, change, group) for group, metric, change in moved[:SENTENCES]]
    unsure = sum(change["verdict"] == "cannot be told" for group in groups for change in group["metrics"].values())
    total = sum(len(group["metrics"]) for group in groups)
    if max(group["n"] for group in groups) == 1:
        return [*said, f"One run a side: {unsure} of {total} metrics differ, and one pair cannot tell a change from chance; run more seeds."]
    counted = {verdict: sum(change["verdict"] == verdict for _, _, change in moved) for verdict in ("better", "worse", "changed")}
    words = ", ".join(f"{count} {'changed' if verdict == 'changed' else f'{verdict} in B'}" for verdict, count in counted.items() if count) or "none changed"
    rest = f"; {unsure} cannot be told from chance" if unsure else ""
    return [*said, f"Of {total} comparisons {words} at a level of 5 % for all together (Holm, {document['tests']} tests){rest}."]


def _estimate(document: dict[str, Any]) -> str:
    return with_interval(document) if document["mean"] is not None else "-"


def text_of(document: dict[str, Any]) -> str:
    """The document as people read it."""
    lines = [f"A  {document['a']}: {document['runs'][0]} runs", f"B  {document['b']}: {document['runs'][1]} runs"]
    for place, name in enumerate("AB"):
        if document["failed"][place]:
            lines.append(f"   {document['failed'][place]} runs of {name} failed and are left out")
        if document["repeated"][place]:
            lines.append(f"   {document['repeated'][place]} runs of {name} were run again later and are left out")
    lines += ["", "no parameter was changed"] if not document["changed"] else [""]
    rows = [["changed", "A", "B"]] + [[f"  {name}", *(", ".join(map(str, side)) for side in sides)] for name, sides in document["changed"].items()]
    rows += [[f"  {name} (made by)", *(", ".join(value[:12] for value in side) for side in sides)] for name, sides in document["made_by"].items()]
    if len(rows) > 1:
        lines.append(grid(rows))
    for name, sides in document["only_on_one_side"].items():
        told = "; ".join(f"only {side}: {', '.join(map(str, values))}" for side, values in zip("AB", sides) if values)
        lines.append(f"  {name}: {told} (left out)")
    groups = document["groups"]
    table = [(group, metric, change) for group in groups for metric, change in group["metrics"].items()]
    if len(groups) > 1:
        table = [each for each in table if each[2]["verdict"] in ("better", "worse", "changed")]
    shown = [["metric [unit]", "point", "A", "B", "B - A", "%", "g", "p (Holm)", ""]]
    for group, metric, change in table[:ROWS]:
        relative = "" if change["relative"] is None else f"{100 * change['relative']:+.3g}"
        effect = "" if change["effect"] is None else f"{change['effect']:.2f}"
        p = "" if change["p_holm"] is None else f"{change['p_holm']:.2g}"
        shown.append([
            f"{metric} [{change['unit']}]", _where(group), _estimate(change["a"]), _estimate(change["b"]), _estimate(change["difference"]),
            relative, effect, p, change["verdict"],
        ])  # fmt: skip
    if len(groups) == 1:
        shown = [[cell for column, cell in enumerate(row) if column != 1] for row in shown]
    lines += ["", grid(shown) if len(shown) > 1 else f"no metric changed at any of {len(groups)} points (--json has all)"]
    if len(table) > ROWS:
        lines.append(f"  ... {len(table) - ROWS} more (--json has all)")
    lines.append("  " + _note(groups))
    return "\n".join([*lines, "", *document["sentences"]])


def _note(groups: list[dict[str, Any]]) -> str:
    sizes = sorted({group["n"] for group in groups})
    n = str(sizes[0]) if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"
    if not all(group["paired"] for group in groups):
        return f"no seeds in common: Welch's t-test and Hedges' g, n = {n} runs a side; ± half width of the 95 % interval"
    traffic = {group["traffic"] for group in groups}
    same = "the same traffic in each" if traffic == {"same"} else "other traffic in some" if "differs" in traffic else "whether of the same traffic is not known"
    return f"n = {n} pairs of one seed, {same}: paired t-test; g: Hedges' g of the paired differences; ± half width of the 95 % interval"

