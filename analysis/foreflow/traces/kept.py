# SPDX-License-Identifier: BSD-3-Clause
"""A run's folder, opened: what `run` and `replay --out` keep."""

from __future__ import annotations

import json
import socket
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from foreflow.build import build, program
from foreflow.errors import Failed, Refused
from foreflow.inputs import sha256_of
from tools import trace_events

NONE = 0xFFFFFFFF  # a rule's id where there is none


@dataclass(frozen=True)
class Kept:
    """One arm and seed of `run`, or one replay."""

    folder: Path
    resolved: dict[str, Any]
    manifest: dict[str, Any]
    summary: dict[str, Any]

    @property
    def trace(self) -> Path:
        return self.folder / "trace.h5"

    @property
    def times(self) -> str:
        """recorded: decided at the capture's own times; load: scaled."""
        return self.manifest.get("times", "load")

    @property
    def door(self) -> str:
        return self.manifest.get("door", "ns3")

    @property
    def has_units(self) -> bool:
        """Whether packet dynamics units carried its frames, and nothing was decided on them."""
        return "shard" in self.resolved or self.resolved.get("system") == "shard"

    @property
    def packets(self) -> int:
        return self.summary["packets"]["in"]

    @property
    def capture(self) -> Path:
        return Path(self.resolved["input"])

    @property
    def capture_sha256(self) -> str:
        """Of the capture as the run read it."""
        return next(iter(self.manifest["inputs_sha256"].values()))


def read_document(path: Path) -> dict[str, Any]:
    """One of a run's JSON files; refuses what is none."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise Refused(f"{path}: is missing; the run has not finished, or the folder is not one run's (of `replay --out`, or in outputs.runs of `run`)") from None
    except (OSError, ValueError) as error:
        raise Refused(f"{path}: cannot be read: {error}; run it again") from None
    if not isinstance(document, dict):
        raise Refused(f"{path}: is no mapping of keys to values; run it again")
    return document


def open_run(folder: Path) -> Kept:
    """Refuses what is no whole run, or whose trace has not a row for each packet."""
    if not folder.is_dir():
        raise Refused(f"{folder}: no such folder")
    run = Kept(folder, *(read_document(folder / name) for name in ("RESOLVED.json", "manifest.json", "summary.json")))
    try:
        state, packets, _ = run.manifest["exit"], run.packets, (run.resolved["input"], run.capture_sha256)
    except (KeyError, TypeError, AttributeError, StopIteration) as error:
        raise Refused(f"{folder}: its documents lack {error}; it was not written by `run` or `replay --out`") from None
    if state != "done":
        raise Refused(f"{folder}: the run ended with {state}; only whole runs can be looked into")
    for table in ("packets",) if run.has_units else ("packets", "decisions"):
        rows = len(rows_of(run, table, 0, 0, whole=True))
        if rows != packets:
            raise Refused(f"{run.trace}: table {table} has {rows} rows, summary.json counts {packets} packets; run it again")
        if lacking := set(trace_events.dtype(table).names) - set(rows_of(run, table, 0, 0).dtype.names):
            raise Refused(f"{run.trace}: table {table} lacks the column {min(lacking)}; run it again")
    return run


def rows_of(run: Kept, table: str, start: int, end: int | None, whole: bool = False) -> Any:
    """Rows start to end - 1 of a table; its length alone matters where `whole`."""
    try:
        with h5py.File(run.trace) as file:
            return range(len(file[table])) if whole else file[table][start:end]
    except (OSError, KeyError) as error:
        raise Refused(f"{run.trace}: not a whole trace: {error}") from None


def prediction_of(run: Kept, packet: int) -> np.void | None:
    """The predictions row of a packet, or None: rows are in order of packets."""
    with h5py.File(run.trace) as file:
        table = file["predictions"]
        low, high = 0, len(table)
        while low < high:
            middle = (low + high) // 2
            low, high = (middle + 1, high) if table[middle]["packet"] < packet else (low, middle)
        row = table[low] if low < len(table) else None
    return row if row is not None and row["packet"] == packet else None


@cache
def _names(table: str, column: str) -> tuple[str, ...]:
    return next(c.names for c in trace_events.load().tables[table].columns if c.name == column)


def key_of(row: Any) -> dict[str, Any]:
    """A row of flows in the form of foreflow-explain's flow_key."""
    layer = in_words("flows", "l3", row["l3"])

    def end(name: str) -> str:
        raw = row[f"{name}_address"].tobytes()
        if layer == "ipv6":
            return socket.inet_ntop(socket.AF_INET6, raw)
        return socket.inet_ntop(socket.AF_INET, raw[:4]) if layer == "ipv4" else raw[:6].hex(":")

    numbers = {name: int(row[name]) for name in ("vm", "ip_protocol", "source_port", "destination_port")}
    return {"l3": layer, "source": end("source"), "destination": end("destination"), **numbers}


def value_of(table: str, column: str, name: str) -> int:
    """The inverse of in_words for enumerated columns."""
    return _names(table, column).index(name)


def in_words(table: str, column: str, value: Any) -> str:
    """A cell of a trace as people read it."""
    names = _names(table, column)
    if names:
        return names[value] if int(value) < len(names) else f"{value} (unknown)"
    if column in ("rule", "tag_rule"):
        return "none" if value == NONE else str(value)
    if column in ("punted", "mirrored", "used_prediction"):
        return {0: "no", 1: "yes"}.get(int(value), f"{value} (neither 0 nor 1)")
    if column == "confidence":
        return f"{value} of 65535 ({int(value) / 65535:.3f})"
    return str(value)


def check_inputs(run: Kept) -> None:
    """Refuses a run whose capture is gone or is another than it was."""
    if not run.capture.is_file():
        raise Refused(f"{run.capture}: the capture that {run.folder} was run on is gone")
    if sha256_of(run.capture) != run.capture_sha256:
        raise Refused(f"{run.capture}: is not what {run.folder} was run on (its SHA-256 has changed)")
    for other, sha256 in list(run.manifest["inputs_sha256"].items())[1:]:
        if not Path(other).is_file() or sha256_of(Path(other)) != sha256:
            raise Refused(f"{other}: is gone, or not what {run.folder} was run on")


def span(nanoseconds: float) -> str:
    """A time as people read it."""
    for unit, factor in (("s", 1e9), ("ms", 1e6), ("us", 1e3)):
        if abs(nanoseconds) >= factor:
            return f"{nanoseconds / factor:.6g} {unit}"
    return f"{nanoseconds:.6g} ns"


def explained(run: Kept, packets: list[int]) -> list[dict[str, Any]]:
    """What foreflow-explain says of packets of the run (rising), which it decides again from the run's own capture."""
    return _explain(run, packets, [])


def carried(run: Kept, packets: list[int], everything: bool = False) -> dict[str, Any]:
    """As `explained`, of a replay through packet dynamics units; with `everything` also what it came to for each packet."""
    if "shard" not in run.resolved:
        raise Refused(f"{run.folder}: a run of system shard, which keeps of each packet when it came out and nothing of its way; explain and why are for replays (section shard)")
    return _explain(run, packets, ["--all"] * everything)


def _explain(run: Kept, packets: list[int], options: list[str]) -> Any:
    """foreflow-explain's document."""
    for packet in packets:
        if not 0 <= packet < run.packets:
            allowed = f"0 to {run.packets - 1}" if run.packets else "none, since the run has no packets"
            raise Refused(f"{run.folder}: packet {packet}; allowed is {allowed}")
    check_inputs(run)
    binary = program(build("sim", ["foreflow-explain"]), "foreflow-explain")
    named = ["--packet", *map(str, packets)] if packets else []
    command = [str(binary), str(run.folder / "RESOLVED.json"), "--times", run.times, *options, *named]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 2:
        raise Refused(done.stderr.strip())
    if done.returncode != 0:
        raise Failed(f"foreflow-explain: {done.stderr.strip() or f'exit code {done.returncode}'}")
    return json.loads(done.stdout)
