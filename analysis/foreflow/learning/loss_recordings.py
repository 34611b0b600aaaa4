# SPDX-License-Identifier: BSD-3-Clause
"""Recordings of what live packet dynamics units received over networks whose law is known: one HDF5 file of many.

A group a network. Its attributes: `process` and `topology`, their names; `paths`, the law (JSON: a list of what
`foreflow_core.LossTrace` takes); `round_trip_ns`, as the unit measured it. In it two datasets, `arrival_ns` and `number`: a
row a message that came, in order; the first value, then differences to the one before.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from foreflow.errors import Refused

FORMAT, VERSION = "foreflow loss recordings", 1


@dataclass(frozen=True)
class Recording:
    """What came of one session, in order; `paths`, the network's law, is empty where that is not known."""

    process: str
    topology: str
    paths: list[dict[str, Any]]
    round_trip_ns: int
    arrival_ns: np.ndarray  # int64
    number: np.ndarray  # uint64


def write(path: Path, recordings: list[Recording]) -> None:
    """Writes a file; raises OSError where it cannot."""
    with h5py.File(path, "w", libver="earliest") as file:
        file.attrs["format"], file.attrs["version"] = FORMAT, VERSION
        for place, recording in enumerate(recordings):
            group = file.create_group(f"{place:02d}")
            group.attrs["process"], group.attrs["topology"] = recording.process, recording.topology
            group.attrs["paths"], group.attrs["round_trip_ns"] = json.dumps(recording.paths), recording.round_trip_ns
            for name, values in (("arrival_ns", recording.arrival_ns), ("number", recording.number)):
                steps = np.diff(values.astype(np.int64), prepend=0)
                group.create_dataset(name, data=steps, chunks=(len(steps),), shuffle=True, compression=9, track_times=False)


def read(path: Path) -> list[Recording]:
    """All networks of a file, in its order. Raises Refused with one sentence where it is none."""
    how = "python3 -P -m scenarios.live.record_losses writes one"
    try:
        with h5py.File(path, locking=False) as file:
            if file.attrs.get("format") != FORMAT or file.attrs.get("version") != VERSION:
                raise Refused(f"{path}: is no file of loss recordings of version {VERSION}; {how}")
            return [_recording(file[name]) for name in sorted(file)]
    except (OSError, KeyError, ValueError) as error:
        raise Refused(f"{path}: is no file of loss recordings ({str(error).splitlines()[0]}); {how}") from None


def _recording(group: h5py.Group) -> Recording:
    times, numbers = (np.cumsum(group[name][()]) for name in ("arrival_ns", "number"))
    law, round_trip = json.loads(group.attrs["paths"]), int(group.attrs["round_trip_ns"])
    return Recording(group.attrs["process"], group.attrs["topology"], law, round_trip, times.astype(np.int64), numbers.astype(np.uint64))
