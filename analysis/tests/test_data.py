# SPDX-License-Identifier: BSD-3-Clause
from __future__ import annotations

import json
import os
from pathlib import Path

import h5py
import numpy as np
import pytest

from foreflow.errors import Refused
from foreflow.learning import data

NEEDS_BUILD = pytest.mark.skipif(not os.environ.get("FOREFLOW_BUILD"), reason="FOREFLOW_BUILD names no build")


@pytest.fixture(autouse=True)
def _kept_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(data, "BUILD", tmp_path)
    monkeypatch.setattr(data, "build", lambda *_: Path(os.environ.get("FOREFLOW_BUILD", "")))


@NEEDS_BUILD
def test_kept_out_captures_are_test_rows_and_files_are_made_once(tmp_path: Path) -> None:
    path = data.dataset("next-destination", ["recorded", "campus-5", "test:office-2"])
    assert path.parent == tmp_path / "datasets"
    with h5py.File(path) as file:
        assert file.attrs["sources"].tolist() == ["recorded.pcapng", "campus-5.pcapng.gz", "office-2.pcapng.gz"]
        assert file.attrs["held_out"].tolist() == ["campus-5.pcapng.gz", "office-2.pcapng.gz"]
        source, split = file["rows/source"][:], file["rows/split"][:]
        assert set(np.unique(split[source == 0])) == {0, 1, 2, 255}
        assert set(np.unique(split[source > 0])) == {2}
    before = path.stat().st_mtime_ns
    assert data.dataset("next-destination", ["recorded", "campus-5", "test:office-2"]) == path
    assert path.stat().st_mtime_ns == before
    assert list(path.parent.iterdir()) == [path]
    assert data.dataset("next-destination", ["recorded", "test:campus-5", "test:office-2"]) == path


@NEEDS_BUILD
def test_the_default_is_what_the_project_recorded_to_train_on() -> None:
    with h5py.File(data.dataset("next-type", [])) as file:
        assert file.attrs["sources"].tolist() == ["recorded.pcapng", *(path.name for path in data.recordings(data.TRAINING)[1:])]
        assert len(file.attrs["sources"]) == 8
        assert file.attrs["held_out"].size == 0
        assert len(file["rows/time_ns"]) > 100_000


def test_sources_of_known_entropy_carry_their_truth() -> None:
    path = data.dataset("next-type", ["parity"], seed=3, rows=10_000)
    with h5py.File(path) as file:
        truth = file["truth/type"][:]
        assert truth.shape == (len(file["rows/time_ns"]), len(file["targets/type"].attrs["classes"]))
    with h5py.File(data.dataset("fragment-fate", [], rows=10_000)) as file:
        assert file.attrs["targets"].tolist() == ["fate"]


@NEEDS_BUILD
def test_types_of_generated_packets_are_what_their_generator_says() -> None:
    """The cores label the capture; the generator knew the types, and how probable each was."""
    path = data.dataset("next-type", ["dialogues"])
    capture = data.inputs.capture_for("dialogues", 1, data.PACKETS)
    with h5py.File(path) as file, np.load(f"{capture}.npz") as truth:
        types = file["targets/type"][:]
        assert np.array_equal(types, truth["type"])
        probable = np.take_along_axis(file["truth/type"][:].astype(float), types[:, None].astype(int), axis=1)
    facts = json.loads(Path(f"{capture}.json").read_text())["type"]
    bits = -np.log2(probable[probable < 1])
    bits = bits[bits != 1]  # each VM's first two turns are fair
    assert abs(bits.mean() - facts["entropy_bits_a_turn"]) < 4 * bits.std() / len(bits) ** 0.5
    assert facts["entropy_bits"] < facts["markov3_bits"]


@NEEDS_BUILD
def test_generated_moves_carry_their_probabilities() -> None:
    path = data.dataset("next-destination", ["markov"])
    sidecar = json.loads(Path(f"{data.inputs.capture_for('markov', 1, data.PACKETS)}.json").read_text())
    with h5py.File(path) as file:
        truth, own = file["truth/next_destination"][:].astype(float), file["targets/next_destination"][:]
    assert truth.sum(axis=1) == pytest.approx(1)
    known = own >= 0
    bits = -np.log2(truth[known, own[known]])
    assert abs(bits.mean() - sidecar["next_destination"]["entropy_bits"]) < 4 * bits.std() / len(bits) ** 0.5
    assert (truth[known].argmax(axis=1) == own[known]).mean() == pytest.approx(sidecar["next_destination"]["bayes_accuracy"], abs=0.02)


def test_a_dataset_stands_for_itself(tmp_path: Path) -> None:
    file = tmp_path / "x.h5"
    file.write_bytes(b"")
    assert data.dataset("next-type", [str(file)]) == file


@pytest.mark.parametrize(
    ("task", "words", "sentence"),
    [
        ("soon", [], "task is soon, allowed: next-type"),
        ("next-type", ["nowhere.pcap"], "--data = nowhere.pcap: no such file; allowed is a capture's path, or one of training, kept-out"),
        ("next-type", ["nowhere.h5"], "no such file; name a capture"),
        ("next-type", ["order1", "recorded"], "--data = order1: stands alone, and 1 more were named"),
        ("next-type", ["fate-bursts"], "is a source for fragment-fate; sources for next-type: memoryless-symbols"),
        ("next-type", ["recorded", "training"], "--data names recorded.pcapng twice"),
    ],
)
def test_refusals(task: str, words: list[str], sentence: str) -> None:
    with pytest.raises(Refused) as refused:
        data.dataset(task, words)
    assert sentence in str(refused.value)


@NEEDS_BUILD
def test_what_the_builder_refuses_is_refused() -> None:
    with pytest.raises(Refused, match="fragment-fate, which no capture tells"):
        data.dataset("fragment-fate", ["recorded"])
