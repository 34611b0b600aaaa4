# SPDX-License-Identifier: BSD-3-Clause
"""Data sets of symbols whose law is known: python3 -m datasets.generate.sequences NAME --out FILE [--seed N] [--rows N]

They are written as foreflow-dataset writes those of captures, with the true conditional distribution of every row
beside: the mean of its log loss is the best score that is possible. See README.md.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from . import world

TYPES = ("control", "request", "response", "bulk", "stream", "group", "idle_burst")
FATES = ("delivered", "late", "lost")
SEQUENCES = 32
ROWS_RANGE = (5_000, 5_000_000)
GAP_NS = 1_000_000.0  # mean time between the rows of a sequence
HORIZON_NS = 10_000_000
_SLICES = (0.6, 0.8)

Streams = Callable[[str], np.random.Generator]


@dataclass(frozen=True)
class Walk:
    """`value[t, s]`: what sequence s does in step t. `truth[t, s, c]`: its probability of c, given all steps before that are known."""

    value: np.ndarray
    truth: np.ndarray
    delay: int = 1  # step t - delay is the newest that is known in step t
    entropy_bits: float | None = None  # of a step given all that is known, where a closed form exists


def entropy(p: np.ndarray) -> np.ndarray:
    """Bits of the distributions in the last axis."""
    return -(p * np.log2(p, out=np.zeros_like(p), where=p > 0)).sum(axis=-1)


def draw(uniform: np.ndarray, p: np.ndarray) -> np.ndarray:
    """One value of each distribution, by inverse transform."""
    return np.minimum((uniform[..., None] >= p.cumsum(axis=-1)).sum(axis=-1), p.shape[-1] - 1)


def stationary(matrix: np.ndarray) -> np.ndarray:
    """The distribution pi with pi = pi P."""
    size = len(matrix)
    equations = np.vstack([matrix.T - np.eye(size), np.ones(size)])
    return np.linalg.lstsq(equations, np.append(np.zeros(size), 1.0), rcond=None)[0]


def memoryless(random: Streams, steps: int) -> Walk:
    p = random("law").dirichlet(np.ones(len(TYPES)))
    truth = np.broadcast_to(p, (steps, SEQUENCES, len(TYPES)))
    return Walk(draw(random("walk").random((steps, SEQUENCES)), truth), truth, entropy_bits=float(entropy(p)))


def _markov(random: Streams, steps: int, order: int) -> Walk:
    count = len(TYPES)
    law = random("law").dirichlet(np.full(count, 0.3), count**order)
    uniform = random("walk").random((steps, SEQUENCES))
    state = random("start").integers(0, count**order, SEQUENCES)
    value = np.empty((steps, SEQUENCES), dtype=np.int64)
    truth = np.empty((steps, SEQUENCES, count))
    for t in range(steps):
        truth[t] = law[state]
        value[t] = draw(uniform[t], truth[t])
        state = (state * count + value[t]) % count**order
    chain = np.zeros((count**order, count**order))
    for here in range(count**order):
        for to in range(count):
            chain[here, (here * count + to) % count**order] += law[here, to]
    return Walk(value, truth, entropy_bits=float(stationary(chain) @ entropy(law)))


LAG, LAG_SURE = 4, 0.8


def lag4(random: Streams, steps: int) -> Walk:
    """The value four steps back, one further, with probability 0.8; else any."""
    count = len(TYPES)
    uniform = random("walk").random((steps, SEQUENCES))
    value = np.empty((steps, SEQUENCES), dtype=np.int64)
    truth = np.full((steps, SEQUENCES, count), 1 / count)
    for t in range(steps):
        if t >= LAG:
            truth[t] = (1 - LAG_SURE) / count
            np.put_along_axis(truth[t], ((value[t - LAG] + 1) % count)[:, None], LAG_SURE + (1 - LAG_SURE) / count, axis=1)
        value[t] = draw(uniform[t], truth[t])
    law = np.full(count, (1 - LAG_SURE) / count)
    law[0] += LAG_SURE
    return Walk(value, truth, entropy_bits=float(entropy(law)))


PARITY, PARITY_SURE = 4, 0.9


def parity(random: Streams, steps: int) -> Walk:
    """Requests and responses: the parity of the last four, right with probability 0.9. Any three of them tell nothing."""
    uniform = random("walk").random((steps, SEQUENCES))
    bit = np.empty((steps, SEQUENCES), dtype=np.int64)
    truth = np.zeros((steps, SEQUENCES, len(TYPES)))
    for t in range(steps):
        one = np.full(SEQUENCES, 0.5)
        if t >= PARITY:
            one = np.where(bit[t - PARITY : t].sum(axis=0) % 2 == 1, PARITY_SURE, 1 - PARITY_SURE)
        truth[t, :, 1], truth[t, :, 2] = 1 - one, one
        bit[t] = uniform[t] < one
    return Walk(bit + 1, truth, entropy_bits=float(entropy(np.array([PARITY_SURE, 1 - PARITY_SURE]))))


LENGTHS = (6, 10, 16)  # of a transfer, by the kind of its request


def counter(random: Streams, steps: int) -> Walk:
    """A request of one of three kinds, evenly; as many packets of bulk as the kind says; a response; and again."""
    kinds = np.array([1, 4, 6])  # request, stream, idle_burst
    choice = random("walk").integers(0, len(LENGTHS), (steps, SEQUENCES))
    value = np.empty((steps, SEQUENCES), dtype=np.int64)
    truth = np.zeros((steps, SEQUENCES, len(TYPES)))
    left = np.full(SEQUENCES, -1)  # bulk still to come; -1: a request is next
    for t in range(steps):
        asks, ends = left < 0, left == 0
        value[t] = np.where(asks, kinds[choice[t]], np.where(ends, 2, 3))
        truth[t, asks[:, None] & np.isin(np.arange(len(TYPES)), kinds)] = 1 / len(kinds)
        truth[t, ends, 2] = 1
        truth[t, left > 0, 3] = 1
        left = np.where(asks, np.asarray(LENGTHS)[choice[t]], left - 1)
    return Walk(value, truth, entropy_bits=float(np.log2(len(LENGTHS)) / (np.mean(LENGTHS) + 2)))


DEPTH, OPENS = 5, 0.55
_OPENING, _CLOSING = (1, 4, 6), (2, 3, 0)  # request .. response, stream .. bulk, idle_burst .. control


def nested(random: Streams, steps: int) -> Walk:
    """Three kinds of calls, nested up to five deep: opened with probability 0.55, else the newest is closed."""
    choice = random("kind").integers(0, len(_OPENING), (steps, SEQUENCES))
    opens = random("walk").random((steps, SEQUENCES)) < OPENS
    value = np.empty((steps, SEQUENCES), dtype=np.int64)
    truth = np.zeros((steps, SEQUENCES, len(TYPES)))
    stack = np.zeros((SEQUENCES, DEPTH), dtype=np.int64)
    depth = np.zeros(SEQUENCES, dtype=np.int64)
    every = np.arange(SEQUENCES)
    for t in range(steps):
        may = np.where(depth == 0, 1.0, np.where(depth == DEPTH, 0.0, OPENS))
        top = np.asarray(_CLOSING)[stack[every, np.maximum(depth - 1, 0)]]
        truth[t][:, _OPENING] = (may / len(_OPENING))[:, None]
        truth[t, every, top] += 1 - may
        does = np.where(may == OPENS, opens[t], may > 0.5)
        value[t] = np.where(does, np.asarray(_OPENING)[choice[t]], top)
        stack[every[does], depth[does]] = choice[t][does]
        depth += np.where(does, 1, -1)
    chain = np.zeros((DEPTH + 1, DEPTH + 1))
    bits = np.empty(DEPTH + 1)
    for d in range(DEPTH + 1):
        p = 1.0 if d == 0 else 0.0 if d == DEPTH else OPENS
        chain[d, min(d + 1, DEPTH)] += p
        chain[d, max(d - 1, 0)] += 1 - p
        bits[d] = entropy(np.array([p, 1 - p])) + p * np.log2(len(_OPENING))
    return Walk(value, truth, entropy_bits=float(stationary(chain) @ bits))


def hidden_walk(random: Streams, steps: int, moves: np.ndarray, shows: np.ndarray, delay: int) -> Walk:
    """A hidden Markov chain by `moves` that shows one of the classes in each step by `shows[state]`.

    The truth is exact: forward filtering of what is known, then `delay` steps ahead.
    """
    start = stationary(moves)
    states, classes = shows.shape
    hidden = draw(random("start").random(SEQUENCES), np.broadcast_to(start, (SEQUENCES, states)))
    uniform = random("walk").random((2, steps, SEQUENCES))
    value = np.empty((steps, SEQUENCES), dtype=np.int64)
    truth = np.empty((steps, SEQUENCES, classes))
    ahead = np.linalg.matrix_power(moves, delay)
    belief = np.broadcast_to(start, (SEQUENCES, states))  # of the newest known step, before what it showed
    for t in range(steps):
        if t < delay:
            truth[t] = start @ shows
        else:
            known = belief * shows[:, value[t - delay]].T
            known /= known.sum(axis=1, keepdims=True)
            truth[t] = known @ ahead @ shows
            belief = known @ moves
        value[t] = draw(uniform[0, t], shows[hidden])
        hidden = draw(uniform[1, t], moves[hidden])
    return Walk(value, truth, delay)


def hidden(random: Streams, steps: int) -> Walk:
    """Three moods of a VM that are not seen, each with its own mix of types."""
    law = random("law")
    moves = 0.95 * np.eye(3) + 0.05 * law.dirichlet(np.ones(3), 3)
    return hidden_walk(random, steps, moves, law.dirichlet(np.full(len(TYPES), 0.4), 3), 1)


LOSS = 0.08
# Gilbert and Elliott: a good state, and a bad one that most fragments are lost in.
_BURSTS = np.array([[0.99, 0.01], [0.08, 0.92]])
_BURSTS_SHOW = np.array([[0.995, 0.0, 0.005], [0.4, 0.0, 0.6]])
# A queue that fills, overflows and drains.
_QUEUE = np.array([[0.97, 0.03, 0.0], [0.06, 0.9, 0.04], [0.0, 0.15, 0.85]])
_QUEUE_SHOW = np.array([[0.99, 0.009, 0.001], [0.3, 0.68, 0.02], [0.05, 0.45, 0.5]])


def fate_independent(random: Streams, steps: int) -> Walk:
    p = np.array([[1 - LOSS, 0.0, LOSS]])
    walk = hidden_walk(random, steps, np.ones((1, 1)), p, 1)
    return Walk(walk.value, walk.truth, 1, float(entropy(p)[0]))


def _fates(moves: np.ndarray, shows: np.ndarray, delay: int) -> Callable[[Streams, int], Walk]:
    return lambda random, steps: hidden_walk(random, steps, moves, shows, delay)


NEXT_TYPE = {
    "memoryless-symbols": memoryless,
    "order1": lambda random, steps: _markov(random, steps, 1),
    "order2": lambda random, steps: _markov(random, steps, 2),
    "lag4": lag4,
    "parity": parity,
    "counter": counter,
    "nested": nested,
    "hidden": hidden,
}
FRAGMENT_FATE = {
    "fate-independent": fate_independent,
    "fate-bursts": _fates(_BURSTS, _BURSTS_SHOW, 1),
    "fate-delayed": _fates(_BURSTS, _BURSTS_SHOW, 8),
    "fate-queue": _fates(_QUEUE, _QUEUE_SHOW, 4),
}
TASK_OF = dict.fromkeys(NEXT_TYPE, "next-type") | dict.fromkeys(FRAGMENT_FATE, "fragment-fate")
NAMES = tuple(TASK_OF)


def walk(name: str, seed: int, steps: int) -> Walk:
    """`steps` steps of each of the SEQUENCES sequences."""
    return (NEXT_TYPE | FRAGMENT_FATE)[name](lambda stream: world.stream(seed, f"{name} {stream}"), steps)


def _columns(made: Walk, classes: int, seed: int) -> dict[str, np.ndarray]:
    """All sequences' rows in order of time. A row is a step before it is seen; its symbol is the newest one known."""
    steps = len(made.value)
    gaps = world.exponential(world.stream(seed, "times"), GAP_NS, steps * SEQUENCES).reshape(steps, SEQUENCES)
    due = gaps.cumsum(axis=0).astype(np.int64) + 1
    newest = np.full((steps + 3, SEQUENCES), classes, dtype=np.uint8)  # `classes`: nothing is known yet
    newest[made.delay + 3 :] = made.value[: steps - made.delay] if steps > made.delay else 0
    symbol = newest[3:]
    length = np.minimum(np.arange(steps) + 1, 3)[:, None] + np.zeros((1, SEQUENCES), dtype=np.int64)
    context = np.stack([newest[3:], newest[2:-1], newest[1:-2], length.astype(np.uint8)], axis=-1)
    seen = np.vstack([np.zeros((1, SEQUENCES), dtype=np.int64), due[:-1]])
    sequence = np.broadcast_to(np.arange(SEQUENCES), due.shape)
    order = np.lexsort((sequence.ravel(), seen.ravel()))
    resolved = np.vstack([due[made.delay - 1 :], np.full((made.delay - 1, SEQUENCES), -1)])
    table = {
        "time_ns": seen, "sequence": sequence.astype("<u4"), "vm": (sequence + 1).astype("<u2"), "symbol": symbol,
        "next_time_ns": due, "resolved_ns": resolved, "target": made.value.astype(np.int8),
    }  # fmt: skip
    columns = {name: column.reshape(-1)[order] for name, column in table.items()}
    columns["context"] = context.reshape(-1, 4)[order]
    columns["truth"] = made.truth.reshape(-1, classes)[order].astype("<f4")
    return columns


def _split(columns: dict[str, np.ndarray]) -> np.ndarray:
    """As foreflow-dataset splits: 60, 20 and 20 % of the rows by time, a horizon before each boundary dropped."""
    time, settled = columns["time_ns"], np.maximum(columns["resolved_ns"], columns["next_time_ns"])
    split = np.full(len(time), 2, dtype=np.uint8)
    for slice_, end in reversed(list(enumerate(time[int(len(time) * share)] for share in _SLICES))):
        split[time < end] = slice_
        split[(time < end) & (np.maximum(settled, time + HORIZON_NS) >= end) & (split == slice_)] = 255
    return split


def generate(name: str, seed: int, rows: int, out: str | Path) -> dict[str, Any]:
    """Writes the data set `out`, at most `rows` rows; returns its facts. Raises ValueError on arguments out of range."""
    if name not in TASK_OF:
        raise ValueError(f"name is {name!r}, allowed: {', '.join(NAMES)}")
    low, high = ROWS_RANGE
    if not low <= rows <= high:
        raise ValueError(f"rows is {rows}, allowed: {low} to {high}")
    if not 0 <= seed < 2**63:
        raise ValueError(f"seed is {seed}, allowed: 0 to 2^63 - 1")
    task = TASK_OF[name]
    target, classes = ("type", TYPES) if task == "next-type" else ("fate", FATES)
    made = walk(name, seed, rows // SEQUENCES)
    columns = _columns(made, len(classes), seed)
    count = len(columns["time_ns"])
    own, truth = columns.pop("target"), columns.pop("truth")
    digest = hashlib.sha256(own.tobytes() + columns["time_ns"].tobytes()).hexdigest()
    taken = np.take_along_axis(truth, own[:, None].astype(int), axis=1)
    facts = {"task": task, "rows": count, "ceiling_bits": float(-np.log2(taken.astype(float)).mean()), "entropy_bits": made.entropy_bits}
    columns |= {
        "split": _split(columns), "source": np.zeros(count, dtype="<u2"), "inputs": np.zeros((count, 0), dtype="<f4"),
        "known_packets": np.zeros(count, dtype=np.uint8),
    }  # fmt: skip
    text = h5py.string_dtype()
    with h5py.File(out, "w") as file:
        file.attrs.update({"format": 1, "task": task, "feature_set": 0, "symbols": len(classes) + 1, "horizon_ns": HORIZON_NS, "seed": seed})
        for key, texts in (("input_names", []), ("sources", [name]), ("source_sha256", [digest]), ("held_out", []), ("targets", [target])):
            file.attrs.create(key, texts, shape=(len(texts),), dtype=text)
        if made.entropy_bits is not None:
            file.attrs["entropy_bits"] = made.entropy_bits
        for key, column in columns.items():
            file.create_dataset(f"rows/{key}", data=column, **({"compression": 4, "shuffle": True} if column.size else {}))
        labels = file.create_dataset(f"targets/{target}", data=own, compression=4)
        labels.attrs.create("classes", classes, dtype=text)
        labels.attrs["unit"] = ""
        file.create_dataset(f"truth/{target}", data=truth, compression=4, shuffle=True)
    return facts


def main() -> int:
    parser = argparse.ArgumentParser(prog="datasets.generate.sequences", description="Generates a data set whose law is known.")
    parser.add_argument("name", choices=NAMES)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--out", required=True, help="HDF5 file")
    arguments = parser.parse_args()
    try:
        facts = generate(arguments.name, arguments.seed, arguments.rows, arguments.out)
    except (ValueError, OSError) as error:
        print(f"sequences: {error}", file=sys.stderr)
        return 2
    print(f"{arguments.out}: {facts['rows']} rows for {facts['task']}; best possible score {facts['ceiling_bits']:.4f} bits")
    return 0


if __name__ == "__main__":
    sys.exit(main())
