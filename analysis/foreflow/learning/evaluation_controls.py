# SPDX-License-Identifier: BSD-3-Clause
"""Datasets on which a sound evaluation has a known answer: labels that mean nothing, and a change whose time is known."""

from __future__ import annotations

import shutil
from pathlib import Path

import h5py
import numpy as np

from foreflow.errors import Refused

TEST = 2
CONTROLS = ("none", "random-labels", "planted-shift", "joined-captures")
SHIFTS = ("planted-shift", "joined-captures")


def apply(control: str, dataset: Path, out: Path, seed: int) -> dict[int, int]:
    """Writes `dataset` under a control to `out`; the row of each source, by number, from which on it is another."""
    return {"random-labels": random_labels, "planted-shift": planted_shift, "joined-captures": joined_captures}[control](dataset, out, seed)


def random_labels(dataset: Path, out: Path, seed: int) -> dict[int, int]:
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
    return {}


def shift_rows(source: np.ndarray, split: np.ndarray) -> dict[int, int]:
    """A source's first row after a planted shift: the middle one of its test slice."""
    middle = {}
    for each in np.unique(source):
        rows = np.flatnonzero((source == each) & (split == TEST))
        if len(rows) >= 2:
            middle[int(each)] = int(rows[len(rows) // 2])
    return middle


def planted_shift(dataset: Path, out: Path, seed: int) -> dict[int, int]:
    """From the middle of each source's test slice on, classes change their names in a circle, and values grow by 2 units.

    What a packet looks like stays; what it means is new. Nothing is drawn: `seed` is there for the sake of the others.
    """
    del seed
    shutil.copyfile(dataset, out)
    with h5py.File(out, "r+") as file:
        source, split = file["rows/source"][()], file["rows/split"][()]
        after = np.zeros(len(source), dtype=bool)
        changes = shift_rows(source, split)
        for each, row in changes.items():
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
    return changes


def joined_captures(dataset: Path, out: Path, seed: int) -> dict[int, int]:
    """From the middle of each source's test slice on comes that of the next source: the same VMs, now on another network.

    The last source is followed by the first. Conversations that had begun before the middle are new ones from there on. Nothing is drawn.
    """
    del seed
    with h5py.File(dataset) as file:
        source, split, sequence, time = (file[f"rows/{name}"][()] for name in ("source", "split", "sequence", "time_ns"))
    middle = shift_rows(source, split)
    numbers = sorted(middle)
    if len(numbers) < 2:
        raise Refused(f"{dataset}: --control joined-captures joins each capture with the next, and here is {len(numbers)}; name more with --data")
    index = np.arange(len(source))
    first = {each: index[(source == each) & (index < middle[each])] for each in numbers}
    second = {each: index[(source == each) & (split == TEST) & (index >= middle[each])] for each in numbers}
    parts, new_source, later, is_second, changes, rows = [], [], [], [], {}, 0
    for place, each in enumerate(numbers):
        other = numbers[(place + 1) % len(numbers)]
        changes[each] = rows + len(first[each])
        for part, offset in ((first[each], 0), (second[other], int(time[middle[each]] - time[middle[other]]))):
            parts.append(part)
            new_source.append(np.full(len(part), each))
            later.append(np.full(len(part), offset))
            is_second.append(np.full(len(part), len(parts) % 2 == 0))
            rows += len(part)
    chosen, offsets, moved = np.concatenate(parts), np.concatenate(later), np.concatenate(is_second)
    with h5py.File(dataset) as old, h5py.File(out, "w") as new:
        new.attrs.update(old.attrs)
        for group in ("rows", "targets"):
            new.create_group(group).attrs.update(old[group].attrs)
            for name, values in old[group].items():
                kept = values[()][chosen]
                if name in ("time_ns", "next_time_ns", "resolved_ns"):
                    kept = np.where(kept >= 0, kept + offsets, kept)
                elif name == "source":
                    kept = np.concatenate(new_source).astype(values.dtype)
                elif name == "sequence":
                    kept = np.where(moved, kept + sequence.max() + 1, kept).astype(values.dtype)
                new[f"{group}/{name}"] = kept
                new[f"{group}/{name}"].attrs.update(values.attrs)
    return changes
