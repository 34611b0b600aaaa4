# SPDX-License-Identifier: BSD-3-Clause
"""One run's folder as pandas frames, read when they are asked for."""

from __future__ import annotations

import ipaddress
from functools import cached_property
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas

from foreflow.errors import Refused
from foreflow.traces.kept import read_document
from tools import trace_events

TABLES = ("packets", "decisions", "predictions", "flows", "stations", "alerts", "messages", "work")


class Run:
    """A run that finished, failed or is still running: the tables of its trace, and what is told of it.

    A table has a row an event and the columns of docs/trace-schema.md; `frame.attrs["units"]` maps column to unit, and
    `frame.attrs["doc"]` says what a row is. Enumerated columns are categories, bool columns bool, names and addresses text;
    all other values are those of the trace, with what stands for none. A trace that is still written, or whose run was
    killed, opens with the rows that it has. Everything raises Refused where the folder lacks it or it cannot be read.
    """

    def __init__(self, folder: Path):
        self.folder = folder

    def __repr__(self) -> str:
        return f"Run({str(self.folder)!r})"

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """manifest.json: configuration, seed, commit, compiler, machine, times, SHA-256 of inputs and outputs."""
        return read_document(self.folder / "manifest.json")

    @cached_property
    def summary(self) -> dict[str, Any]:
        """summary.json: the account of packets, counters, the fingerprint."""
        return read_document(self.folder / "summary.json")

    @cached_property
    def config(self) -> dict[str, Any]:
        """RESOLVED.json: what the simulator read."""
        return read_document(self.folder / "RESOLVED.json")

    def table(self, name: str) -> pandas.DataFrame:
        """A table of the trace by name, one of TABLES, read again at each call."""
        if name not in TABLES:
            raise Refused(f"{self.folder}: table {name}; allowed is one of {', '.join(TABLES)}")
        path = self.folder / "trace.h5"
        if not path.is_file():
            raise Refused(f"{path}: is missing; the run wrote no trace")
        try:
            with h5py.File(path, locking=False) as file:
                if name not in file:
                    raise Refused(f"{path}: has no table {name}; there are {', '.join(sorted(file)) or 'none'}")
                rows = file[name][()]
        except OSError as error:
            raise Refused(f"{path}: cannot be read: {str(error).splitlines()[0]}; run it again") from None
        return _frame(path, name, rows)

    @cached_property
    def packets(self) -> pandas.DataFrame:
        """A row a packet of the input, in order of arrival: times [ns], bytes, true type, cycles."""
        return self.table("packets")

    @cached_property
    def decisions(self) -> pandas.DataFrame:
        """A row a packet that was decided on: verb, reason, rule, queue, tag status."""
        return self.table("decisions")

    @cached_property
    def predictions(self) -> pandas.DataFrame:
        """A row a packet whose type was predicted and became known."""
        return self.table("predictions")

    @cached_property
    def flows(self) -> pandas.DataFrame:
        """A row a flow (one direction), in order of its first packet."""
        return self.table("flows")

    @cached_property
    def stations(self) -> pandas.DataFrame:
        """A row a queueing station."""
        return self.table("stations")

    @cached_property
    def alerts(self) -> pandas.DataFrame:
        """A row a tag that failed its check."""
        return self.table("alerts")

    @cached_property
    def messages(self) -> pandas.DataFrame:
        """A row a message that a live packet dynamics unit opened."""
        return self.table("messages")

    @cached_property
    def work(self) -> pandas.DataFrame:
        """A row a stage: what it did, counted, and the cycles charged for it."""
        return self.table("work")

    def latencies(self, truth: tuple[str, ...] | None = ("request", "response")) -> pandas.Series:
        """Arrival to last bit out [us] of the packets that left, in order of arrival; of those true types alone, None: of all."""
        rows = self.packets
        wanted = rows["departure_ns"] >= 0
        if truth is not None:
            wanted &= rows["truth"].isin(truth)
        latency = (rows["departure_ns"] - rows["arrival_ns"])[wanted] / 1000.0
        latency.name = "latency_us"
        latency.attrs["unit"] = "us"
        return latency


def _addresses(rows: np.ndarray, layers: np.ndarray, names: tuple[str, ...]) -> list[str]:
    def text(raw: bytes, layer: str) -> str:
        if layer == "ipv6":
            return str(ipaddress.IPv6Address(raw))
        return str(ipaddress.IPv4Address(raw[:4])) if layer == "ipv4" else raw[:6].hex(":")

    return [text(raw.tobytes(), names[layer]) for raw, layer in zip(rows, layers)]


def _frame(path: Path, name: str, rows: np.ndarray) -> pandas.DataFrame:
    table = trace_events.load().tables[name]
    columns: dict[str, Any] = {}
    layers = next((column.names for column in table.columns if column.name == "l3"), ())
    for column in table.columns:
        if column.name not in (rows.dtype.names or ()):
            raise Refused(f"{path}: table {name} lacks the column {column.name}; it is of another version, run it again")
        if column.names and len(rows) and (most := rows[column.name].max()) >= len(column.names):
            raise Refused(f"{path}: table {name}, column {column.name}: value {most}; allowed is 0 to {len(column.names) - 1}; run it again")
    for column in table.columns:
        values = np.ascontiguousarray(rows[column.name])
        if column.names:
            columns[column.name] = pandas.Categorical.from_codes(values.astype(np.int8), list(column.names))
        elif column.unit == "bool":
            columns[column.name] = values != 0
        elif column.unit == "address":
            columns[column.name] = _addresses(values, rows["l3"], layers)
        elif column.type == "char":
            columns[column.name] = [raw.decode("utf-8", "replace") for raw in values]
        else:
            columns[column.name] = values
    frame = pandas.DataFrame(columns)
    frame.attrs["units"] = {column.name: column.unit for column in table.columns}
    frame.attrs["doc"] = table.doc
    return frame
