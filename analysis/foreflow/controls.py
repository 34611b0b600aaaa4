# SPDX-License-Identifier: BSD-3-Clause
"""Datasets on which a sound evaluation has a known answer: labels that mean nothing, and a change whose time is known."""

from __future__ import annotations

import shutil
from pathlib import Path

import h5py
import numpy as np

TEST = 2
CONTROLS = ("none", "random-labels", "planted-shift")


def apply(control: str, dataset: Path, out: Path, seed: int) -> None:
    """Writes `dataset` under a control to `out`."""
    {"random-labels": random_labels, "planted-shift": planted_shift}[control](dataset, out, seed)


def random_labels(dataset: Path, out: Path, seed: int) -> None:
    """Known labels are permuted among the rows of each source and slice: nothing predicts them but how often each comes."""
    shutil.copyfile(dataset, out)
    generator = np.random.default_rng(seed)
    with h5py.File(out, "r+") as file:
        groups = file["rows/source"][()].astype(np.int64) * 256 + file["rows/split"][()]
        for target in file["targets"].values():
            values = target[()]
            known = np.isfinite(values) if values.dtype.kind == "f" else values >= 0
            for group in np.unique(groups):
                rows = np.flatnonzero(known & (groups == group))
                values[rows] = values[generator.permutation(rows)]
            target[...] = values
        if "truth" in file:
            del file["truth"]


def shift_rows(source: np.ndarray, split: np.ndarray) -> dict[int, int]:
    """A source's first row after a planted shift: the middle one of its test slice."""
    middle = {}
    for each in np.unique(source):
        rows = np.flatnonzero((source == each) & (split == TEST))
        if len(rows) >= 2:
            middle[int(each)] = int(rows[len(rows) // 2])
    return middle


def planted_shift(dataset: Path, out: Path, seed: int) -> None:
    """From the middle of each source's test slice on, classes change their names in a circle, and values grow by 2 units.

    What a packet looks like stays; what it means is new. Nothing is drawn: `seed` is there for the sake of the others.
    """
    del seed
    shutil.copyfile(dataset, out)
    with h5py.File(out, "r+") as file:
        source, split = file["rows/source"][()], file["rows/split"][()]
        after = np.zeros(len(source), dtype=bool)
        for each, row in shift_rows(source, split).items():
            after |= (source == each) & (np.arange(len(source)) >= row)
        for target in file["targets"].values():
            values = target[()]
            if values.dtype.kind == "f":
                values[after] += 2
            else:
                moved = after & (values >= 0)
                values[moved] = (values[moved] + 1) % len(target.attrs["classes"])
            target[...] = values
        if "truth" in file:
            del file["truth"]
