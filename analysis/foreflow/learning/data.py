# SPDX-License-Identifier: BSD-3-Clause
"""What `--data` names, as one dataset file: captures, recordings, generated captures, sources of known entropy.

A file is made once and kept under build/datasets, named by the task and all that it is made from.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from foreflow import inputs
from foreflow.build import build, program
from foreflow.errors import Failed, Refused
from foreflow.places import BUILD, ROOT

TASKS = ("next-type", "next-destination", "flow-size", "fragment-fate", "next-packet")
TRAINING, KEPT_OUT = "training", "kept-out"
RECORDED = ROOT / "datasets" / "recorded"
MARK = "test:"  # before a capture or a name: it is tested on as a whole
ROWS = 400_000  # of a source of known entropy
PACKETS = 400_000  # of a generated capture
HORIZON_MS = 200.0


def recordings(folder: str) -> list[Path]:
    """The committed captures below datasets/recorded that are trained on, or kept out."""
    found = sorted((RECORDED / folder).glob("*.pcapng.gz"))
    return [inputs.recorded(), *found] if folder == TRAINING else found


def default_words(task: str) -> list[str]:
    """What a task is trained on where nothing is named."""
    return ["fate-bursts"] if task == "fragment-fate" else [TRAINING]


def _named() -> dict[str, Path]:
    return {path.name.removesuffix(".pcapng.gz"): path for folder in (TRAINING, KEPT_OUT) for path in sorted((RECORDED / folder).glob("*.pcapng.gz"))}


def _sequences() -> dict[str, str]:
    from datasets.generate.sequences import TASK_OF

    return TASK_OF


def _captures(word: str, seed: int) -> list[Path]:
    if word in (TRAINING, KEPT_OUT):
        return recordings(word)
    named = _named()
    if word in named:
        return [named[word]]
    if word == "recorded" or word in inputs.GENERATED:
        return [inputs.capture_for(word, seed, PACKETS)]
    path = Path(word)
    if not path.is_file():
        known = ", ".join([TRAINING, KEPT_OUT, "recorded", *named, *inputs.GENERATED, *_sequences()])
        raise Refused(f"--data = {word}: no such file; allowed is a capture's path, or one of {known}")
    return [path.absolute()]


def _made(name: str, facts: object, make: list[str], finish: Callable[[Path], None] = lambda _: None) -> Path:
    """The file that `make` writes at its last argument and `finish` completes, made unless it is there."""
    key = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]
    folder = BUILD / "datasets"
    path = folder / f"{name}-{key}.h5"
    if path.is_file():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="making-", dir=folder) as scratch:
        made = Path(scratch) / path.name
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        done = subprocess.run([*make, str(made)], capture_output=True, text=True, check=False, env=environment)
        if done.returncode != 0:
            said = done.stderr.strip() or f"{make[0]} ended with {done.returncode}"
            raise Refused(said) if done.returncode == 2 else Failed(said)
        finish(made)
        os.replace(made, path)
    return path


def _of_sequences(name: str, task: str, seed: int, rows: int) -> Path:
    if _sequences()[name] != task:
        known = ", ".join(each for each, own in _sequences().items() if own == task) or "none"
        raise Refused(f"--data = {name}: is a source for {_sequences()[name]}; sources for {task}: {known}")
    sources = [ROOT / "datasets" / "generate" / each for each in ("sequences.py", "world.py")]
    facts = [name, seed, rows, *(inputs.sha256_of(path) for path in sources)]
    make = ["/usr/bin/python3", "-P", "-m", "datasets.generate.sequences", name, "--seed", str(seed), "--rows", str(rows), "--out"]
    return _made(name, facts, make)


def _truth_of_types(capture: Path, _: int) -> tuple[str, Any]:
    """The true probabilities of the packets' types, as their generator says: a row a packet."""
    with np.load(f"{capture}.npz") as truth:
        return "type", truth["truth"]


def _truth_of_destinations(capture: Path, classes: int) -> tuple[str, Any]:
    """The true probabilities of where each turn's next one goes: a row a turn, destinations numbered as they appear."""
    moves = np.asarray(json.loads(Path(f"{capture}.json").read_text())["next_destination"]["transition_matrix"])
    number: dict[int, int] = {}
    at: dict[int, int] = {}
    turned = []
    with np.load(f"{capture}.npz") as truth:
        for vm, destination in zip(truth["vm"].tolist(), truth["destination"].tolist(), strict=True):
            if at.get(vm) != destination:
                at[vm] = destination
                number.setdefault(destination, len(number))
                turned.append(destination)
    table = np.zeros((len(turned), classes), dtype=np.float32)
    known = list(number)
    table[:, : len(known)] = moves[np.ix_(turned, known)]
    return "next_destination", table


_TRUTHS = {("next-type", "dialogues"): _truth_of_types, ("next-destination", "markov"): _truth_of_destinations}


def _add_truth(path: Path, task: str, name: str, capture: Path) -> None:
    with h5py.File(path, "r+") as file:
        classes = max(len(target.attrs["classes"]) for target in file["targets"].values())
        target, truth = _TRUTHS[task, name](capture, classes)
        rows = len(file["rows/time_ns"])
        if len(truth) != rows:
            raise Failed(f"{capture.name}: tells the truth of {len(truth)} rows, its dataset has {rows}")
        file.create_dataset(f"truth/{target}", data=truth, compression=4, shuffle=True)


def dataset(task: str, words: Sequence[str], seed: int = 1, rows: int = ROWS, horizon_ms: float = HORIZON_MS) -> Path:
    """The dataset file of `task` that `words` name; the task's default where there are none.

    A word is a dataset file (alone), a source of known entropy (alone; `seed` and `rows` are its own), or a capture:
    a path, `training`, `kept-out`, `recorded`, one of those recordings, a generator (`seed`; `dialogues` alone carries
    its truth into next-type, `markov` into next-destination). Kept-out captures, and
    those marked `test:`, are test rows as a whole; others are split by time.
    """
    if task not in TASKS:
        raise Refused(f"task is {task}, allowed: {', '.join(TASKS)}")
    words = list(words) or default_words(task)
    for word in words:
        alone = word.endswith(".h5") or word in _sequences()
        if alone and len(words) > 1:
            raise Refused(f"--data = {word}: stands alone, and {len(words) - 1} more were named; only captures can be joined")
    if words[0].endswith(".h5"):
        if not Path(words[0]).is_file():
            raise Refused(f"--data = {words[0]}: no such file; name a capture to make a dataset of it")
        return Path(words[0]).absolute()
    if words[0] in _sequences():
        return _of_sequences(words[0], task, seed, rows)

    split: list[Path] = []
    whole: list[Path] = []
    kept_out = set(recordings(KEPT_OUT))
    for word in words:
        for path in _captures(word.removeprefix(MARK), seed):
            (whole if word.startswith(MARK) or path in kept_out else split).append(path)
    every = [*split, *whole]
    if len(set(every)) < len(every):
        twice = next(path for path in every if every.count(path) > 1)
        raise Refused(f"--data names {twice.name} twice; name each capture once")
    maker = program(build("sim", ["foreflow-dataset"]), "foreflow-dataset")
    command = [str(maker), task, "--horizon-ms", str(horizon_ms), *map(str, split)]
    command += [part for path in whole for part in ("--held-out", str(path))] + ["--out"]
    facts = [inputs.sha256_of(maker), task, horizon_ms, *([path.name, inputs.sha256_of(path), path in whole] for path in every)]
    if len(words) == 1 and (task, words[0]) in _TRUTHS:
        return _made(task, [*facts, "truth"], command, lambda made: _add_truth(made, task, words[0], every[0]))
    return _made(task, facts, command)
