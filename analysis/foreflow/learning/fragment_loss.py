# SPDX-License-Identifier: BSD-3-Clause
"""`train fragment-loss`: which numbers missing at a receiver are lost, learnt on some networks and judged on others.

Rows come from the cores: `models/impair` sends numbers over a path or several, `models/shard` sees what is missing and what
became of it. Networks are a loss process and a topology; of either, some are learnt from and others judged on. What is
learnt is a table by the predictor's contexts, which `models/shard/loss_table.h` serves.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from foreflow.judge import stats
from foreflow.live.control import core
from foreflow.places import RUNS

TASK = "fragment-loss"
FRAGMENTS, BYTES = 4, 390  # of a packet
CONTEXTS, RECENT = 256, 16  # of the predictor; lower half: recent fates
WEIGHT = 2.0  # of what halves of a context say, in rows of a network that has SCALE of them
SCALE = 1000.0
JUDGED_SEEDS, JUDGED_PACKETS = 10, 10_000
MOST_ROWS = 4000  # judged of a network and seed
BEGINNING = 200  # of these, by themselves: a session still learns
EWMA = 1 / 16
MICRO, MILLI = 1_000, 1_000_000

# Loss processes by name: (learnt from, judged on). Burst losses lose everything in the bad state unless said.
LOSSES: tuple[dict[str, dict[str, Any]], dict[str, dict[str, Any]]] = (
    {
        "one by one, 0.5 %": {"loss": 0.005},
        "one by one, 3 %": {"loss": 0.03},
        "bursts of 3, 1 %": {"to_bad": 0.01 / 0.99 / 3, "to_good": 1 / 3},
        "bursts of 10, 3 %": {"to_bad": 0.03 / 0.97 / 10, "to_good": 1 / 10},
        "soft bursts of 12, half lost": {"to_bad": 0.005, "to_good": 1 / 12, "loss_bad": 0.5},
        "bad for 3 ms of 150": {"good": 147 * MILLI, "bad": 3 * MILLI},
        "bit errors 2e-6": {"bit_errors": 2e-6},
        "queue, crossed by bursts of 40": {"rate": 200_000_000, "queue_bytes": 60_000, "cross_gap": 4 * MILLI, "cross_burst": 40.0},
    },
    {
        "one by one, 1.5 %": {"loss": 0.015},
        "bursts of 5, 3 %": {"to_bad": 0.03 / 0.97 / 5, "to_good": 1 / 5},
        "bursts of 20, 1 %": {"to_bad": 0.01 / 0.99 / 20, "to_good": 1 / 20},
        "soft bursts of 30, a third lost": {"to_bad": 0.002, "to_good": 1 / 30, "loss_bad": 1 / 3},
        "bad for 10 ms of 400": {"good": 390 * MILLI, "bad": 10 * MILLI},
        "queue, crossed by bursts of 80": {"rate": 400_000_000, "queue_bytes": 90_000, "cross_gap": 5 * MILLI, "cross_burst": 80.0},
    },
)
TOPOLOGIES: tuple[dict[str, list[dict[str, Any]]], dict[str, list[dict[str, Any]]]] = (
    {
        "1 ms, 1 % late by 0.1 to 0.5 ms": [{"delay": MILLI, "late": 0.01, "late_least": 100 * MICRO, "late_most": 500 * MICRO}],
        "2 ms, jitter of 40 us": [{"delay": 2 * MILLI, "jitter": 40 * MICRO, "is_exponential": True}],
        "two paths, 1 and 1.4 ms": [{"delay": MILLI}, {"delay": 1400 * MICRO}],
    },
    {
        "5 ms, 2 % late by 0.3 to 1 ms": [{"delay": 5 * MILLI, "late": 0.02, "late_least": 300 * MICRO, "late_most": MILLI}],
        "3 ms, uniform jitter of 100 us": [{"delay": 3 * MILLI, "jitter": 100 * MICRO}],
        "three paths, 2, 2.3 and 3 ms": [{"delay": 2 * MILLI}, {"delay": 2300 * MICRO}, {"delay": 3 * MILLI}],
    },
)
# Losses and lateness one by one, of numbers alone: nothing is to be known but their shares.
CONTROL = ("one by one, 1.5 %", "5 ms, 2 % late by 0.3 to 1 ms")


def traces(held_out: bool, seeds: range, packets: int) -> Iterator[tuple[str, str, Any]]:
    """Loss process, topology and trace of every network, all of a seed together."""
    for seed in seeds:
        for process, loss in LOSSES[held_out].items():
            for topology, paths in TOPOLOGIES[held_out].items():
                shared = {name: value for name, value in loss.items() if not name.startswith("cross_")}
                cross = {name: value for name, value in loss.items() if name.startswith("cross_")}
                delay = max(path["delay"] for path in paths)
                yield process, topology, core().LossTrace(
                    [{**path, **shared} for path in paths], seed, packets, FRAGMENTS, BYTES, gap=300 * MICRO, round_trip=2 * delay, **cross
                )  # fmt: skip


def rows_of(seed: int, packets: int = 20_000) -> list[np.ndarray]:
    """What is learnt from: the rows of every network."""
    return [trace.rows() for _, _, trace in traces(False, range(seed, seed + 1), packets)]


def learn_from(all_rows: list[np.ndarray]) -> tuple[np.ndarray, bytes]:
    """The table, and the rows' SHA-256: by context the share that was lost, networks alike, with WEIGHT rows of what either half says."""
    lost, seen = np.zeros(CONTEXTS), np.zeros(CONTEXTS)
    for rows in all_rows:
        scale = SCALE / max(len(rows), 1)
        lost += scale * np.bincount(rows["context"], rows["is_lost"], CONTEXTS)
        seen += scale * np.bincount(rows["context"], minlength=CONTEXTS)

    def odds(above: np.ndarray, below: np.ndarray) -> np.ndarray:
        return np.log((above + 1) / (below - above + 1))

    by_half = [(lost.reshape(-1, RECENT).sum(axis), seen.reshape(-1, RECENT).sum(axis)) for axis in (1, 0)]
    added = np.add.outer(odds(*by_half[0]), odds(*by_half[1])).ravel() - odds(lost.sum(), seen.sum())
    share = (lost + WEIGHT / (1 + np.exp(-added))) / (seen + WEIGHT)
    read = ("found_ns", "number", "context", "is_lost")
    digest = hashlib.sha256(b"".join(np.ascontiguousarray(rows[name]).tobytes() for rows in all_rows for name in read)).digest()
    return np.clip(np.rint(share * 65536), 1, 65535).astype(np.uint16), digest


def _settled(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fates in the order in which a receiver learns them, and for each row how many of them it knows."""
    order = np.argsort(rows["settled_ns"], kind="stable")
    return rows["is_lost"][order].astype(float), np.searchsorted(rows["settled_ns"][order], rows["found_ns"], side="right")


def base_rate(rows: np.ndarray) -> np.ndarray:
    """The share of all fates known so far."""
    fates, known = _settled(rows)
    return (np.concatenate([[0], np.cumsum(fates)])[known] + 1) / (known + 2)


def ewma(rows: np.ndarray) -> np.ndarray:
    """A smoothed share of the fates known so far."""
    fates, known = _settled(rows)
    states = [0.5]
    for fate in fates:
        states.append(states[-1] + EWMA * (fate - states[-1]))
    return np.clip(np.array(states)[known], 0.01, 0.99)


def markov(rows: np.ndarray) -> np.ndarray:
    """After the last two fates known, how often the next to become known was lost: counted online."""
    fates, known = _settled(rows)
    counts = np.ones((4, 2))
    states = [counts[:, 1] / counts.sum(axis=1)]
    for at, fate in enumerate(fates):
        if at >= 2:
            counts[int(2 * fates[at - 2] + fates[at - 1]), int(fate)] += 1
        states.append(counts[:, 1] / counts.sum(axis=1))
    pair = np.array([int(2 * fates[k - 2] + fates[k - 1]) if k >= 2 else 0 for k in range(len(fates) + 1)])
    return np.where(known >= 2, np.array(states)[known, pair[known]], 0.5)


def _features(rows: np.ndarray) -> np.ndarray:
    columns = [rows["context"] // 16 // 4, rows["context"] // 16 % 4, rows["context"] % RECENT]
    return np.hstack([np.eye(size)[column] for size, column in zip((4, 4, RECENT), columns)])


def logistic(all_rows: list[np.ndarray]) -> Callable[[np.ndarray], np.ndarray]:
    """Regression on the same signs, networks alike."""
    from sklearn.linear_model import LogisticRegression

    used = [rows for rows in all_rows if len(rows)]
    weight = np.concatenate([np.full(len(rows), SCALE / len(rows)) for rows in used])
    fitted = LogisticRegression(max_iter=500).fit(np.vstack([_features(rows) for rows in used]), np.concatenate([rows["is_lost"] for rows in used]), weight)
    return lambda rows: fitted.predict_proba(_features(rows))[:, 1]


def log_loss(rows: np.ndarray, share: np.ndarray) -> float:
    """Bits a row; no share counts as less than 2^-16."""
    told = np.where(rows["is_lost"] == 1, share, 1 - share)
    return float(-np.log2(np.maximum(told, 2.0**-16)).mean())


def calibration_error(lost: np.ndarray, share: np.ndarray, bins: int = 15) -> float:
    """ECE: bins of equal mass."""
    parts = np.array_split(np.argsort(share, kind="stable"), bins)
    return float(sum(abs(share[part].mean() - lost[part].mean()) * len(part) for part in parts if len(part)) / len(share))


def _said(rows: np.ndarray, trained: np.ndarray, regression: Callable[[np.ndarray], np.ndarray]) -> dict[str, np.ndarray]:
    """What each predictor says of each row before its fate is known."""
    return {
        "base rate": base_rate(rows),
        "EWMA": ewma(rows),
        "Markov-2": markov(rows),
        "logistic regression": regression(rows),
        "predictor, untrained": rows["share"],
        "predictor, trained": trained["share"],
        "HMM filter, true parameters": rows["posterior"],
    }


def _groups(process: str, topology: str, rows: np.ndarray) -> dict[str, slice]:
    """Under which headings which rows of a network count."""
    found = {"all networks": slice(None), f"their first {BEGINNING} missing numbers": slice(BEGINNING)}
    if not np.isnan(rows["posterior"]).any() and "jitter" not in topology:
        found["one path, known law"] = slice(None)
    if (process, topology) == CONTROL:
        found["control: one by one"] = slice(None)
    return found


def judge(table: np.ndarray, regression: Callable[[np.ndarray], np.ndarray], seeds: range, packets: int) -> dict[str, Any]:
    """Scores on networks that nothing was learnt from, a mean over networks for each seed; intervals are over seeds."""
    scores: dict[str, dict[str, dict[int, list[tuple[float, float, np.ndarray, np.ndarray]]]]] = {}
    for seed in seeds:
        for process, topology, trace in traces(True, range(seed, seed + 1), packets):
            rows = trace.rows()[:MOST_ROWS]
            said = _said(rows, trace.rows(table)[:MOST_ROWS], regression)
            for group, part in _groups(process, topology, rows).items():
                lost = rows["is_lost"][part].astype(float)
                for name, all_shares in said.items():
                    share = all_shares[part]
                    if not np.isnan(share).any():
                        loss = log_loss(rows[part], share), float(((share - lost) ** 2).mean())
                        scores.setdefault(group, {}).setdefault(name, {}).setdefault(seed, []).append((*loss, lost, share))
    document: dict[str, Any] = {}
    for group, models in scores.items():
        networks = {name: len(by_seed[seeds[0]]) for name, by_seed in models.items()}
        base = [np.mean([each[0] for each in models["base rate"][seed]]) for seed in seeds]
        for name, by_seed in models.items():
            if networks[name] < networks["base rate"]:  # the filter, where some networks have no law that it takes
                continue
            losses = [float(np.mean([each[0] for each in by_seed[seed]])) for seed in seeds]
            calibration = [calibration_error(*(np.concatenate([each[i] for each in by_seed[seed]]) for i in (2, 3))) for seed in seeds]
            document.setdefault(group, {})[name] = {
                "log_loss": stats.mean(losses).as_json(),
                "gain_over_base_rate": stats.mean([float(one - loss) for one, loss in zip(base, losses)]).as_json(),
                "brier": stats.mean([float(np.mean([each[1] for each in by_seed[seed]])) for seed in seeds]).as_json(),
                "ece": stats.mean(calibration).as_json(),
            }
    return document


def train(seed: int, out: Path | None) -> dict[str, Any]:
    """Learns from networks of `seed`, judges on others of later seeds, and writes the table."""
    out = (out or RUNS / "models" / f"{TASK}.table").absolute()
    out.parent.mkdir(parents=True, exist_ok=True)
    learnt = rows_of(seed)
    table, digest = learn_from(learnt)
    out.write_bytes(core().serialise_loss_table(table.tolist(), digest, seed, f"./foreflow train {TASK} --seed {seed}"))
    judged = judge(table, logistic(learnt), range(seed + 1, seed + 1 + JUDGED_SEEDS), JUDGED_PACKETS)
    return {"task": TASK, "model": "table", "rows": sum(map(len, learnt)), "networks": len(learnt), "judged": judged, "outputs": {"model": str(out)}}


def text_of(document: dict[str, Any]) -> str:
    lines = [f"{TASK}: a table of {CONTEXTS} contexts from {document['rows']} numbers missing on {document['networks']} networks; judged on others:"]
    for group, models in document["judged"].items():
        lines += ["", f"{group:32s} {'log loss [bits]':>18s} {'gain over base rate':>20s} {'Brier':>16s} {'ECE':>16s}"]
        for name, scores in models.items():
            cells = []
            for key, width in (("log_loss", 18), ("gain_over_base_rate", 20), ("brier", 16), ("ece", 16)):
                score = scores[key]
                cells.append(f"{score['mean']:.4f} ± {(score['ci95'][1] or score['mean']) - score['mean']:.4f}".rjust(width))
            lines.append(f"  {name:30s} {' '.join(cells)}")
    return "\n".join([*lines, "", f"Model    {document['outputs']['model']}"])
