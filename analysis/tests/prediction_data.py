# SPDX-License-Identifier: BSD-3-Clause
"""Small datasets in the layout of foreflow-dataset, from sources whose law is known."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

TYPES = ["control", "request", "response", "bulk", "stream", "group", "idle_burst"]
GAP_NS = 1_000_000
HORIZON_NS = 20 * GAP_NS
PACKETS_KNOWN = (0, 1, 5, 20)


def transition(generator: np.random.Generator, symbols: int, classes: int = len(TYPES)) -> np.ndarray:
    """A law of the next class after each symbol: peaked, no class impossible."""
    return generator.dirichlet(np.full(classes, 0.3), size=symbols) * 0.95 + 0.05 / classes


def write(path: Path, columns: dict[str, np.ndarray], targets: dict[str, tuple[list[str], np.ndarray]], **more: object) -> Path:
    """`targets`: classes (none: real values) and values by name. `more`: task, truth, sources, symbols."""
    rows = len(columns["time_ns"])
    truth = more.pop("truth", {})
    types = {"time_ns": "i8", "sequence": "u4", "source": "u2", "vm": "u2", "split": "u1", "symbol": "u1", "next_time_ns": "i8", "resolved_ns": "i8"}
    with h5py.File(path, "w") as file:
        attributes = {
            "format": 1, "task": "next-type", "feature_set": 1, "symbols": 64, "input_names": [], "horizon_ns": HORIZON_NS,
            "sources": ["one"], "seed": 1, "targets": list(targets), **more,
        }  # fmt: skip
        for name, value in attributes.items():
            file.attrs[name] = value
        for name, kind in types.items():
            file[f"rows/{name}"] = np.asarray(columns.get(name, np.zeros(rows)), dtype=kind)
        file["rows/context"] = np.asarray(columns.get("context", np.zeros((rows, 4))), dtype="u1")
        file["rows/inputs"] = np.zeros((rows, 0), dtype="f4")
        if "known_packets" in columns:
            file["rows/known_packets"] = columns["known_packets"].astype("u1")
        for name, (classes, values) in targets.items():
            file[f"targets/{name}"] = values.astype("i1" if classes else "f4")
            file[f"targets/{name}"].attrs["classes"] = classes
        for name, law in truth.items():
            file[f"truth/{name}"] = law.astype("f4")
    return path


def known_source(path: Path, rows: int = 20_000, sources: int = 2, seed: int = 1, labels: np.ndarray | None = None) -> tuple[Path, np.ndarray]:
    """Each packet's type follows from its symbol by a drawn law; a row's symbol is drawn evenly from 16. The law of each row."""
    generator = np.random.default_rng(seed)
    law = transition(generator, 16)
    symbol = generator.integers(0, 16, rows)
    drawn = (law[symbol].cumsum(axis=1) < generator.random((rows, 1))).sum(axis=1)
    truth = drawn if labels is None else labels
    source = np.sort(np.arange(rows) % sources)
    place = np.concatenate([np.arange(np.count_nonzero(source == each)) for each in range(sources)])
    share = place / place.max()
    context = np.zeros((rows, 4), dtype="u1")
    for back in range(3):
        context[back:, back] = symbol[: rows - back]
    context[:, 3] = np.minimum(place + 1, 3)
    columns = {
        "time_ns": place * GAP_NS, "sequence": source * 1000 + place % 50, "source": source, "vm": np.ones(rows),
        "split": np.where(share < 0.6, 0, np.where(share < 0.7, 1, 2)), "symbol": symbol,
        "next_time_ns": (place + 1) * GAP_NS, "resolved_ns": place * GAP_NS + HORIZON_NS, "context": context,
    }  # fmt: skip
    names = [f"source {each}" for each in range(sources)]
    return write(path, columns, {"type": (TYPES, truth)}, sources=names, truth={"type": law[symbol]}), law[symbol]
