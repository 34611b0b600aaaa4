# SPDX-License-Identifier: BSD-3-Clause
"""Sources of known law: against closed forms, exhaustive enumeration and counting."""

import itertools
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from datasets.generate import sequences, world

ROOT = Path(__file__).resolve().parents[2]
SEED = 11
STEPS = 4000


@pytest.fixture(scope="module")
def walks():
    return {name: sequences.walk(name, SEED, STEPS) for name in sequences.NAMES}


def losses(walk: sequences.Walk) -> np.ndarray:
    """Bits of what happened under the truth, a column a sequence."""
    return -np.log2(np.take_along_axis(walk.truth, walk.value[..., None], axis=-1)[..., 0])


@pytest.mark.parametrize("name", sequences.NAMES)
def test_truth_is_a_distribution_and_calibrated(walks, name):
    walk = walks[name]
    assert walk.truth.min() >= 0
    assert np.allclose(walk.truth.sum(axis=-1), 1)
    # What happens less what was expected is noise: in all, and where the truth is sure, fair or doubtful.
    happened = walk.value[..., None] == np.arange(walk.truth.shape[-1])
    for low, high in ((0, 1.01), (0, 0.1), (0.1, 0.4), (0.4, 0.8), (0.8, 1.01)):
        inside = (walk.truth >= low) & (walk.truth < high)
        p = walk.truth[inside]
        sigma = np.sqrt((p * (1 - p)).sum())
        assert abs((happened[inside] - p).sum()) <= 4.5 * sigma + 1e-6, f"seed {SEED}: truth in [{low}, {high})"


FILTERED = {"hidden", "fate-bursts", "fate-delayed", "fate-queue"}  # no closed form: compared with enumeration below


@pytest.mark.parametrize("name", [name for name in sequences.NAMES if name not in FILTERED])
def test_ceiling_is_the_entropy_rate(walks, name):
    walk = walks[name]
    means = losses(walk)[50:].mean(axis=0)
    assert abs(means.mean() - walk.entropy_bits) < 4.5 * means.std(ddof=1) / len(means) ** 0.5 + 1e-9, f"seed {SEED}"


@pytest.mark.parametrize("delay", [1, 2, 3])
def test_filtering_is_the_sum_over_all_hidden_paths(delay):
    law = np.random.default_rng(SEED)
    moves, shows = law.dirichlet(np.ones(3), 3), law.dirichlet(np.ones(3), 3)
    walk = sequences.hidden_walk(lambda name: world.stream(SEED, name), 7, moves, shows, delay)
    start = sequences.stationary(moves)
    for s, t in ((0, 0), (1, 3), (2, 6), (3, 6)):
        joint = np.zeros(3)  # of what is known and what step t shows
        for path in itertools.product(range(3), repeat=t + 1):
            p = start[path[0]] * np.prod([moves[a, b] for a, b in zip(path, path[1:])])
            for step in range(t - delay + 1):
                p *= shows[path[step], walk.value[step, s]]
            joint += p * shows[path[t]]
        assert walk.truth[t, s] == pytest.approx(joint / joint.sum(), abs=1e-12)


def markov_bits(value: np.ndarray, order: int) -> float:
    """Empirical conditional entropy given the last `order` values: what no Markov model of that order beats, but by chance."""
    count = value.max() + 1
    context = sum(value[order - 1 - back : len(value) - 1 - back] * count**back for back in range(order))
    joint = np.zeros((int(context.max()) + 1, count))
    np.add.at(joint, (context.ravel(), value[order:].ravel()), 1)
    # Counts look surer than their law: the correction of Miller and Madow.
    bias = ((joint > 0).sum() - (joint.sum(axis=1) > 0).sum()) / (2 * joint.sum() * np.log(2))
    return bias + float((joint.sum(axis=1) / joint.sum()) @ sequences.entropy(joint / np.maximum(joint.sum(axis=1, keepdims=True), 1)))


@pytest.mark.parametrize(("name", "without"), [("lag4", np.log2(7)), ("parity", 1.0), ("counter", None), ("nested", None)])
def test_markov_3_cannot_reach_the_ceiling(walks, name, without):
    walk = walks[name]
    bits = markov_bits(walk.value[20:], 3)
    if without is not None:  # what three symbols tell, in closed form: nothing
        assert bits == pytest.approx(without, abs=0.01)
    assert bits > 1.1 * walk.entropy_bits


@pytest.mark.parametrize(("name", "order"), [("memoryless-symbols", 1), ("order1", 1), ("order2", 2)])
def test_markov_of_the_order_reaches_it(walks, name, order):
    assert markov_bits(walks[name].value, order) == pytest.approx(losses(walks[name])[10:].mean(), abs=0.02)


@pytest.mark.parametrize("name", ["order2", "fate-delayed"])
def test_files_hold_the_walk(tmp_path, name):
    facts = sequences.generate(name, SEED, 40_000, tmp_path / "a.h5")
    sequences.generate(name, SEED, 40_000, tmp_path / "b.h5")
    sequences.generate(name, SEED + 1, 40_000, tmp_path / "c.h5")
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes() != (tmp_path / "c.h5").read_bytes()
    walk = sequences.walk(name, SEED, 40_000 // sequences.SEQUENCES)
    with h5py.File(tmp_path / "a.h5") as file:
        rows = {key: column[:] for key, column in file["rows"].items()}
        (target,) = file.attrs["targets"]
        own, truth = file[f"targets/{target}"][:], file[f"truth/{target}"][:]
        assert file.attrs["task"] == facts["task"] == sequences.TASK_OF[name]
        unknown = file.attrs["symbols"] - 1
    assert (np.diff(rows["time_ns"]) >= 0).all()
    assert (rows["next_time_ns"] > rows["time_ns"]).all()
    for s in (0, 31):
        mine = rows["sequence"] == s
        assert np.array_equal(own[mine], walk.value[:, s])
        assert truth[mine] == pytest.approx(walk.truth[:, s], abs=1e-6)
        known = np.concatenate([np.full(walk.delay, unknown), walk.value[: -walk.delay, s]])
        assert np.array_equal(rows["symbol"][mine], known)
        context = rows["context"][mine]
        assert np.array_equal(context[:, 0], known)
        assert np.array_equal(context[5:, 2], known[3:-2])
        assert context[:4, 3].tolist() == [1, 2, 3, 3]
        # A label is known when the step that shows it enters a symbol.
        resolved, seen = rows["resolved_ns"][mine], rows["time_ns"][mine]
        assert np.array_equal(resolved[: -walk.delay], seen[walk.delay :])
    for first in (0, 1):
        end = rows["time_ns"][rows["split"] == first + 1].min()
        slice_ = rows["split"] == first
        assert (rows["time_ns"][slice_] + sequences.HORIZON_NS < end).all()
        assert (rows["resolved_ns"][slice_] < end).all()
        assert slice_.sum() > 0.15 * len(own)


def test_refusals(tmp_path):
    for arguments, sentence in ((("order9", 1, 10_000), "allowed: memoryless-symbols"), (("order1", 1, 10), "allowed: 5000 to"), (("order1", -1, 10_000), "seed is -1")):
        with pytest.raises(ValueError, match=sentence):
            sequences.generate(*arguments, tmp_path / "x.h5")
    command = [sys.executable, "-P", "-m", "datasets.generate.sequences", "order1", "--rows", "10", "--out", str(tmp_path / "x.h5")]
    run = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env={"PYTHONPATH": str(ROOT)})
    assert run.returncode == 2
    assert run.stderr == "sequences: rows is 10, allowed: 5000 to 5000000\n"
    assert not (tmp_path / "x.h5").exists()
