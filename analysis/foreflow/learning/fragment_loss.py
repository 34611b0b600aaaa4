# SPDX-License-Identifier: BSD-3-Clause
"""`train fragment-loss`: which numbers missing at a receiver are lost, learnt on some networks and judged on others.

Rows come from the cores: a receiver of `models/shard` sees what is missing and what became of it. What it receives was sent
over a path or several of `models/impair`, either in the simulator or between two live units, whose recording this reads.
Networks are a loss process and a topology; of either, some are learnt from and others judged on. What is learnt is a table
by the predictor's contexts, which `models/shard/loss_table.h` serves.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from foreflow.errors import Refused
from foreflow.judge import stats
from foreflow.learning import loss_recordings
from foreflow.live.control import core
from foreflow.places import RECORDED, RUNS

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
# Of live units, with what stacks, timers and scheduler add.
LIVE_TOPOLOGIES: tuple[dict[str, list[dict[str, Any]]], dict[str, list[dict[str, Any]]]] = (
    {"live, 2 ms, 1 % late by 0.2 to 0.8 ms": [{"delay": 2 * MILLI, "late": 0.01, "late_least": 200 * MICRO, "late_most": 800 * MICRO}]},
    {
        "live, 4 ms, 2 % late by 0.3 to 1 ms": [{"delay": 4 * MILLI, "late": 0.02, "late_least": 300 * MICRO, "late_most": MILLI}],
        "live, 3 ms, uniform jitter of 100 us": [{"delay": 3 * MILLI, "jitter": 100 * MICRO}],
    },
)
# Losses and lateness one by one, of numbers alone: nothing is to be known but their shares.
CONTROLS = (("one by one, 1.5 %", "5 ms, 2 % late by 0.3 to 1 ms"), ("one by one, 1.5 %", "live, 4 ms, 2 % late by 0.3 to 1 ms"))
SIMULATOR, RECORDING = "simulator", "recording"  # what can be learnt from, besides files
RECORDING_FILE = RECORDED / "fragment-loss.h5"


def network_of(process: dict[str, Any], paths: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The paths of a loss process on a topology, and the bursts of others' datagrams on them."""
    own = {name: value for name, value in process.items() if not name.startswith("cross_")}
    return [{**path, **own} for path in paths], {name: value for name, value in process.items() if name not in own}


def traces(held_out: bool, seeds: range, packets: int) -> Iterator[tuple[str, str, Any]]:
    """Loss process, topology and trace of every simulated network, all of a seed together."""
    for seed in seeds:
        for process, loss in LOSSES[held_out].items():
            for topology, paths in TOPOLOGIES[held_out].items():
                law, cross = network_of(loss, paths)
                delay = max(path["delay"] for path in paths)
                yield process, topology, core().LossTrace(
                    law, seed, packets, FRAGMENTS, BYTES, gap=300 * MICRO, round_trip=2 * delay, **cross
                )  # fmt: skip


def recorded(held_out: bool, path: Path = RECORDING_FILE) -> Iterator[tuple[str, str, Any]]:
    """The same of a recording's networks: those that are judged on have a process and a topology of these."""
    for each in loss_recordings.read(path):
        if (each.process in LOSSES[True] or each.topology in LIVE_TOPOLOGIES[True]) == held_out:
            yield each.process, each.topology, core().LossTrace(each.paths, [(each.arrival_ns, each.number)], each.round_trip_ns)


def rows_of(seed: int, sources: tuple[str, ...] = (SIMULATOR, RECORDING), packets: int = 20_000) -> list[np.ndarray]:
    """What is learnt from: the rows of every network of `sources`, which are SIMULATOR, RECORDING or a recording's file."""
    found = []
    for source in sources:
        if source == SIMULATOR:
            networks = traces(False, range(seed, seed + 1), packets)
        else:
            networks = recorded(False, RECORDING_FILE if source == RECORDING else Path(source))
        found += [trace.rows() for _, _, trace in networks]
    if not any(map(len, found)):
        raise Refused(f"command line: --data {' --data '.join(sources)}: of no network that is learnt from was a number missing; allowed are simulator, recording and files with such networks")
    return found


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
    if (process, topology) in CONTROLS:
        found["control: one by one"] = slice(None)
    return found


def judge(table: np.ndarray, regression: Callable[[np.ndarray], np.ndarray], networks: Iterable[tuple[int, str, str, Any]]) -> dict[str, Any]:
    """Scores on networks that nothing was learnt from: sample, loss process, topology and trace of each.

    A score is a mean over the networks of a sample; intervals are over samples.
    """
    scores: dict[str, dict[str, dict[int, list[tuple[float, float, np.ndarray, np.ndarray]]]]] = {}
    for sample, process, topology, trace in networks:
        rows = trace.rows()[:MOST_ROWS]
        if len(rows) == 0:
            continue
        said = _said(rows, trace.rows(table)[:MOST_ROWS], regression)
        for group, part in _groups(process, topology, rows).items():
            lost = rows["is_lost"][part].astype(float)
            for name, all_shares in said.items():
                share = all_shares[part]
                if not np.isnan(share).any():
                    loss = log_loss(rows[part], share), float(((share - lost) ** 2).mean())
                    scores.setdefault(group, {}).setdefault(name, {}).setdefault(sample, []).append((*loss, lost, share))
    document: dict[str, Any] = {}
    for group, models in scores.items():
        count = {name: sum(map(len, by_sample.values())) for name, by_sample in models.items()}
        base = models["base rate"]
        for name, by_sample in models.items():
            if count[name] < count["base rate"]:  # the filter, where some networks have no law that it takes
                continue
            losses = {sample: float(np.mean([each[0] for each in found])) for sample, found in by_sample.items()}
            gains = [float(np.mean([each[0] for each in base[sample]]) - loss) for sample, loss in losses.items()]
            calibration = [calibration_error(*(np.concatenate([each[i] for each in found]) for i in (2, 3))) for found in by_sample.values()]
            document.setdefault(group, {})[name] = {
                "log_loss": stats.mean([*losses.values()]).as_json(),
                "gain_over_base_rate": stats.mean([*gains]).as_json(),
                "brier": stats.mean([float(np.mean([each[1] for each in found])) for found in by_sample.values()]).as_json(),
                "ece": stats.mean([*calibration]).as_json(),
            }
    return document


def simulated_networks(seeds: range, packets: int) -> Iterator[tuple[int, str, str, Any]]:
    """Those that are judged on: a seed is a sample."""
    for seed in seeds:
        for network in traces(True, range(seed, seed + 1), packets):
            yield (seed, *network)


def recorded_networks(path: Path = RECORDING_FILE) -> Iterator[tuple[int, str, str, Any]]:
    """Those that are judged on: a network is a sample."""
    for number, network in enumerate(recorded(True, path)):
        yield (number, *network)


def train(seed: int, out: Path | None, sources: tuple[str, ...] = ()) -> dict[str, Any]:
    """Learns from the networks of `sources` (all there are), those simulated of `seed`; judges on others, those simulated of
    later seeds; and writes the table. `sources` as rows_of has them."""
    out = (out or RUNS / "models" / f"{TASK}.table").absolute()
    out.parent.mkdir(parents=True, exist_ok=True)
    learnt = rows_of(seed, sources or (SIMULATOR, RECORDING))
    table, digest = learn_from(learnt)
    command = " ".join(["./foreflow train", TASK, *(f"--data {source}" for source in sources), f"--seed {seed}"])
    out.write_bytes(core().serialise_loss_table(table.tolist(), digest, seed, command))
    regression = logistic(learnt)
    judged = {
        SIMULATOR: judge(table, regression, simulated_networks(range(seed + 1, seed + 1 + JUDGED_SEEDS), JUDGED_PACKETS)),
        RECORDING: judge(table, regression, recorded_networks()),
    }
    return {"task": TASK, "model": "table", "rows": sum(map(len, learnt)), "networks": len(learnt), "judged": judged, "outputs": {"model": str(out)}}


def text_of(document: dict[str, Any]) -> str:
    lines = [f"{TASK}: a table of {CONTEXTS} contexts from {document['rows']} numbers missing on {document['networks']} networks; judged on others:"]
    for source, groups in document["judged"].items():
        for group, models in groups.items():
            lines += ["", f"{f'{source}, {group}':45s} {'log loss [bits]':>18s} {'gain over base rate':>20s} {'Brier':>16s} {'ECE':>16s}"]
            for name, scores in models.items():
                cells = []
                for key, width in (("log_loss", 18), ("gain_over_base_rate", 20), ("brier", 16), ("ece", 16)):
                    score = scores[key]
                    cells.append(f"{score['mean']:.4f} ± {(score['ci95'][1] or score['mean']) - score['mean']:.4f}".rjust(width))
                lines.append(f"  {name:43s} {' '.join(cells)}")
    return "\n".join([*lines, "", f"Model    {document['outputs']['model']}"])
