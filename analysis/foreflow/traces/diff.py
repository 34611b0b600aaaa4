# SPDX-License-Identifier: BSD-3-Clause
"""Two runs on the same packets: whether they decided alike, and the first packet on which they did not."""

from __future__ import annotations

from typing import Any

import h5py
import numpy as np

from foreflow.errors import Refused
from foreflow.traces import explain, kept, lives
from foreflow.traces.kept import Kept

ROWS = 1 << 18  # compared at once
OFFERED = ("packet", "vm", "arrival_ns", "wire_bytes")  # of packets; the rest is what became of them
PREDICTED = ("packet", "predicted", "confidence")  # of predictions; the truth is no decision


def _first_difference(a: h5py.Dataset, b: h5py.Dataset, columns: tuple[str, ...]) -> int | None:
    """The first row that differs in one of the columns, or that only one has."""
    shorter = min(len(a), len(b))
    for start in range(0, shorter, ROWS):
        one, other = a[start : min(start + ROWS, shorter)], b[start : min(start + ROWS, shorter)]
        differs = np.zeros(len(one), dtype=bool)
        for column in columns:
            differs |= one[column] != other[column]
        if differs.any():
            return start + int(differs.argmax())
    return shorter if len(a) != len(b) else None


def first_packet(a: Kept, b: Kept) -> int | None:
    """The first packet that was offered or decided otherwise in b than in a."""
    with h5py.File(a.trace) as one, h5py.File(b.trace) as other:
        found = [
            _first_difference(one["packets"], other["packets"], OFFERED),
            _first_difference(one["decisions"], other["decisions"], one["decisions"].dtype.names),
        ]
        row = _first_difference(one["predictions"], other["predictions"], PREDICTED)
        if row is not None:
            tables = [file["predictions"] for file in (one, other)]
            found.append(min(int(table[row]["packet"]) for table in tables if row < len(table)))
    return min((packet for packet in found if packet is not None), default=None)


def _flat(value: Any, key: str = "") -> dict[str, Any]:
    """Leaves by dotted key; rules by their id, so that one more does not shift the others."""
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
        items = ((item.get("id", place), item) for place, item in enumerate(value))
    else:
        return {key: value}
    return {leaf: held for name, item in items for leaf, held in _flat(item, f"{key}.{name}" if key else str(name)).items()}


def configurations(a: Kept, b: Kept) -> dict[str, list[Any]]:
    """The keys in which the runs' configurations differ, with both values (None: not there)."""
    one, other = (_flat({key: value for key, value in run.resolved.items() if key not in ("out", "input")}) for run in (a, b))
    keys = [*one, *(key for key in other if key not in one)]
    return {key: [one.get(key), other.get(key)] for key in keys if one.get(key) != other.get(key)}


def _cells(run: Kept, packet: int) -> dict[str, str]:
    """The packet's offer, decision and prediction, column by column in words."""
    offered = kept.rows_of(run, "packets", packet, packet + 1)[0]
    decision = kept.rows_of(run, "decisions", packet, packet + 1)[0]
    prediction = kept.prediction_of(run, packet)
    cells = {name: kept.in_words("packets", name, offered[name]) for name in OFFERED}
    cells |= {name: kept.in_words("decisions", name, decision[name]) for name in decision.dtype.names if name != "packet"}
    for name in PREDICTED[1:]:
        cells[name] = "none" if prediction is None else kept.in_words("predictions", name, prediction[name])
    return cells


def compare(a: Kept, b: Kept) -> dict[str, Any]:
    """The document of `diff --json`. Refuses runs that were not offered the same packets."""
    if a.has_units != b.has_units:
        one, other = (a, b) if a.has_units else (b, a)
        raise Refused(f"{one.folder} and {other.folder}: packet dynamics units carried the frames of the first, and of the second packets were decided on; allowed are two of a kind")
    if a.capture_sha256 != b.capture_sha256:
        raise Refused(f"{a.folder} and {b.folder}: were run on different captures, {a.capture} and {b.capture}; allowed are runs on the same")
    if a.packets != b.packets:
        raise Refused(f"{a.folder} and {b.folder}: {a.packets} and {b.packets} packets; allowed are runs on the same packets (traffic.max_packets)")
    if a.has_units:
        return _compare_carried(a, b)
    packet = first_packet(a, b)
    document: dict[str, Any] = {"a": str(a.folder), "b": str(b.folder), "packets": a.packets, "same": packet is None}
    if packet is None:
        return document
    one, other = _cells(a, packet), _cells(b, packet)
    return document | {
        "first": packet,
        "columns": {name: [one[name], other[name]] for name in one},
        "differing": [name for name in one if one[name] != other[name]],
        "config": configurations(a, b),
        "explain": [explain.document_of(run, packet) for run in (a, b)],
    }


def _compare_carried(a: Kept, b: Kept) -> dict[str, Any]:
    """As `compare`, of frames that packet dynamics units carried: by when they came out, and by all that happened to them."""
    with h5py.File(a.trace) as one, h5py.File(b.trace) as other:
        first = _first_difference(one["packets"], other["packets"], (*OFFERED, "departure_ns"))
    alike = a.summary["fingerprint"] == b.summary["fingerprint"]
    document: dict[str, Any] = {"a": str(a.folder), "b": str(b.folder), "packets": a.packets, "same": alike and first is None}
    if document["same"]:
        return document
    told: list[dict[str, Any]] = []
    why: list[str] = []
    if all("shard" in run.resolved for run in (a, b)):
        packets = [kept.carried(run, [], everything=True)["packets"] for run in (a, b)]
        first = min((packet for packet in (first, lives.first_life(*packets)) if packet is not None), default=None)
        if first is not None:
            told = [explain.document_of(run, first) for run in (a, b)]
            why = lives.differing_event(*told)
    columns = {}
    if first is not None:
        rows = [kept.rows_of(run, "packets", first, first + 1)[0] for run in (a, b)]
        columns = {name: [kept.in_words("packets", name, row[name]) for row in rows] for name in (*OFFERED, "departure_ns")}
    return document | {
        "first": first,
        "columns": columns,
        "differing": [name for name, (one, other) in columns.items() if one != other],
        "why": why,
        "config": configurations(a, b),
        "explain": told,
    }


def _config_lines(document: dict[str, Any]) -> list[str]:
    lines = ["configuration" + (": no key differs" if not document["config"] else ", A and B")]
    return lines + [f"  {key}: {one!r}, {other!r}" for key, (one, other) in document["config"].items()]


def _column_lines(document: dict[str, Any]) -> list[str]:
    lines = [f"  {'':<16}  {'A':<28}  B"]
    for name, (one, other) in document["columns"].items():
        mark = "*" if name in document["differing"] else " "
        lines.append(f"{mark} {name:<16}  {one:<28}  {other}")
    return lines


def _carried_text(document: dict[str, Any]) -> str:
    """As `text_of`, of frames that packet dynamics units carried."""
    if document["first"] is None:
        lines = [f"no difference in what happened to {document['packets']} packets; what the units said to each other beside them differs (probes, feedback), and so do the fingerprints"]
        return "\n".join([*lines, "", *_config_lines(document)])
    lines = [f"packet {document['first']} is the first of {document['packets']} to which something else happened", "", *_column_lines(document)]
    if document["why"]:
        one, other = document["why"]
        lines += ["", "the first event that is not in both", f"  A  {one}", f"  B  {other}"]
    lines += ["", *_config_lines(document)]
    for name, told in zip("AB", document["explain"]):
        lines += ["", f"--- {name} ---", explain.text_of(told)]
    return "\n".join(lines)


def text_of(document: dict[str, Any]) -> str:
    """The document as people read it."""
    if document["same"]:
        return f"no difference in {document['packets']} packets"
    if "why" in document:
        return _carried_text(document)
    lines = [f"packet {document['first']} is the first of {document['packets']} that differs", "", *_column_lines(document)]
    inputs = [explain.inputs_of(told) for told in document["explain"]]
    lines += ["", "its inputs" + (", the same in A and B" if inputs[0] == inputs[1] else " in A")]
    lines += ["  " + line for line in inputs[0]]
    if inputs[0] != inputs[1]:
        lines += ["its inputs in B"] + ["  " + line for line in inputs[1]]
    lines += ["", *_config_lines(document)]
    for name, told in zip("AB", document["explain"]):
        lines += ["", f"--- {name} ---", explain.text_of(told)]
    return "\n".join(lines)
