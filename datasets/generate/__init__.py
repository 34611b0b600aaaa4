# SPDX-License-Identifier: BSD-3-Clause
"""Generated captures with known parameters. See README.md."""

from __future__ import annotations

import hashlib
import json
from functools import partial
from pathlib import Path

import numpy as np

from . import datagrams, dialogues, distribution, flows, frames, pcapng, sessions

_GENERATORS = {"memoryless": datagrams.memoryless, "markov": datagrams.markov, "dialogues": dialogues.dialogues} | {
    name: partial(flows.transactions, name=name) for name in distribution.NAMES
}
_OVER_RULES = {"sessions": sessions.sessions, "shuffled": sessions.shuffled}
NAMES = tuple(_GENERATORS)
NAMES_OVER_RULES = tuple(_OVER_RULES)  # they take a rule set
PACKETS_RANGE = (1_000, 5_000_000)
SNAP_BYTES = 128  # headers are kept, payloads (zeros) mostly cut; wire lengths are kept


def generate(name: str, seed: int, packets: int, out: str | Path, snap: int = SNAP_BYTES, rules: list[dict] | None = None) -> dict:
    """Writes the capture `out`, its sidecar `out`.json and its per-packet truth `out`.npz; returns the sidecar.

    `packets`: exactly that many datagrams (memoryless, markov), or at most that many in whole transactions or turns. `snap`:
    bytes kept of each frame, 0 for all. `rules`: of NAMES_OVER_RULES alone, resolved rules as a run has them. Same arguments and numpy version: same bytes. Raises ValueError on arguments
    out of range.
    """
    if name not in _GENERATORS and name not in _OVER_RULES:
        raise ValueError(f"name is {name!r}, allowed: {', '.join(NAMES + NAMES_OVER_RULES)}")
    if (rules is not None) != (name in _OVER_RULES):
        raise ValueError(f"rules are {'missing' if rules is None else 'given'}, allowed: with {', '.join(NAMES_OVER_RULES)}, and with no other")
    low, high = PACKETS_RANGE
    if not low <= packets <= high:
        raise ValueError(f"packets is {packets}, allowed: {low} to {high}")
    if not 0 <= seed < 2**63:
        raise ValueError(f"seed is {seed}, allowed: 0 to 2^63 - 1")
    if snap != 0 and not frames.HEADER_WIDTH <= snap <= 65_535:
        raise ValueError(f"snap is {snap}, allowed: 0 or {frames.HEADER_WIDTH} to 65535")

    columns, truth, facts = _OVER_RULES[name](seed, packets, rules) if rules is not None else _GENERATORS[name](seed, packets)
    rows, _, frame_length = frames.headers(columns)
    out = Path(out)
    pcapng.write(out, columns.time_ns, rows, frame_length, snap)
    np.savez_compressed(f"{out}.npz", **truth)
    sidecar = {
        "name": name,
        "seed": seed,
        "packets": len(columns),
        "wire_bytes": int(frame_length.sum()),
        "seconds": float(columns.time_ns[-1] - columns.time_ns[0]) * 1e-9,
        "snap": snap,
        "numpy": np.__version__,
        "sha256": hashlib.sha256(out.read_bytes()).hexdigest(),
    } | facts
    Path(f"{out}.json").write_text(json.dumps(sidecar, indent=1) + "\n")
    return sidecar
