# SPDX-License-Identifier: BSD-3-Clause
"""./foreflow evaluate on sources of known law: what each model must score, and the controls."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from analysis.tests import prediction_data
from foreflow import build, cli, errors
from foreflow.learning import evaluation, evaluation_controls

FOLDER = os.environ.get("FOREFLOW_BUILD")
pytestmark = pytest.mark.skipif(not FOLDER, reason="FOREFLOW_BUILD names no build")


@pytest.fixture(name="evaluate")
def _evaluate(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Callable[..., tuple[int, dict, str]]:
    """Runs the command; exit code, its JSON document, standard error."""
    monkeypatch.setattr(evaluation, "build", lambda *_: Path(str(FOLDER)))
    monkeypatch.setattr(build, "build", lambda *_: Path(str(FOLDER)))

    def run(data: Path, *arguments: str) -> tuple[int, dict, str]:
        own = ["--out", str(tmp_path / "out"), "--resamples", "200", "--json"]
        monkeypatch.setattr("sys.argv", ["foreflow", "evaluate", "next-type", "--data", str(data), *own, *arguments])
        capfd.readouterr()
        code = 0
        try:
            cli.main()
        except SystemExit as leave:
            code = leave.code or 0
        out, err = capfd.readouterr()
        return code, json.loads(out) if code == 0 else {}, err

    return run


@pytest.fixture(name="known", scope="module")
def _known(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray]:
    return prediction_data.known_source(tmp_path_factory.mktemp("data") / "known.h5")


def test_models_score_what_the_law_allows(evaluate: Callable[..., tuple[int, dict, str]], known: tuple[Path, np.ndarray], tmp_path: Path) -> None:
    path, law = known
    code, document, _ = evaluate(path)
    assert code == 0
    assert document["task"] == "next-type" and document["n"] == 6000
    models = document["models"]
    entropy = -(law * np.log2(law)).sum(axis=1).mean()
    ceiling = models["ceiling"]["log_loss"]
    assert ceiling["ci95"][0] < entropy < ceiling["ci95"][1]
    for name, own in models.items():
        low, high = own["log_loss"]["ci95"]
        assert low <= own["log_loss"]["mean"] <= high
        if name != "oracle":
            assert own["log_loss"]["mean"] > ceiling["mean"] - 1e-9
            if name != "ceiling":
                assert own["above_ceiling"]["ci95"][1] > 0
    assert models["oracle"]["log_loss"]["mean"] == 0 and models["oracle"]["accuracy"]["mean"] == 1
    assert models["random"]["log_loss"]["mean"] == pytest.approx(np.log2(7), abs=1e-4)
    assert models["markov1"]["above_ceiling"]["mean"] < 0.03  # a symbol says all: fading counts lose little
    assert models["markov1"]["gain_over_markov3"]["ci95"][0] > 0
    assert models["base-rate"]["gain_over_markov3"]["ci95"][1] < 0
    assert models["markov1"]["ece"]["mean"] < 0.05
    for name in ("markov1", "markov3", "base-rate", "random"):
        assert models[name]["conformal_coverage"]["mean"] == pytest.approx(0.9, abs=0.01)
    assert models["markov3"]["cycles"]["mean"] > models["markov1"]["cycles"]["mean"] > 10
    assert models["markov3"]["late"]["mean"] == 0  # a packet each millisecond
    files = {path.name for path in (tmp_path / "out").iterdir()}
    assert files >= {"result.json", "table.txt", "values.csv", "predictions.h5", "reliability.png", "reliability.csv", "risk-coverage.pdf"}
    assert "markov3" in (tmp_path / "out" / "table.txt").read_text()


def test_the_same_command_gives_the_same_bytes(evaluate: Callable[..., tuple[int, dict, str]], known: tuple[Path, np.ndarray], tmp_path: Path) -> None:
    made = []
    for _ in range(2):
        assert evaluate(known[0], "--models", "markov2,random,persistence")[0] == 0
        made.append([(tmp_path / "out" / name).read_bytes() for name in ("values.csv", "predictions.h5", "reliability.png")])
    assert made[0] == made[1]


def test_predictions_of_others_are_judged_beside(evaluate: Callable[..., tuple[int, dict, str]], known: tuple[Path, np.ndarray], tmp_path: Path) -> None:
    alone = evaluate(known[0], "--models", "markov2")[1]["models"]["markov2"]
    scored = (tmp_path / "out" / "predictions.h5").rename(tmp_path / "scored.h5")
    code, document, _ = evaluate(known[0], "--models", "markov1", "--scored", str(scored))
    assert code == 0
    assert document["models"]["markov2"]["log_loss"] == alone["log_loss"]
    with h5py.File(scored, "r+") as file:
        rows = file["rows"][()]
        rows[5] += 1
        file["rows"][...] = rows
    code, _, err = evaluate(known[0], "--models", "markov1", "--scored", str(scored))
    assert code == 2 and "lacks rows that are scored here" in err


def test_random_labels_score_at_the_base_rate(evaluate: Callable[..., tuple[int, dict, str]], known: tuple[Path, np.ndarray]) -> None:
    code, document, _ = evaluate(known[0], "--control", "random-labels", "--models", "base-rate,majority,markov1,markov3,markov1-flow,oracle")
    assert code == 0
    models = document["models"]
    base = models["ceiling"]  # how often each class came, a source: nobody can know more
    assert models["base-rate"]["log_loss"]["mean"] == pytest.approx(base["log_loss"]["mean"], abs=0.01)
    for name in ("base-rate", "majority", "markov1", "markov3", "markov1-flow"):
        assert models[name]["log_loss"]["mean"] > base["log_loss"]["mean"]
        assert models[name]["log_loss"]["mean"] < base["log_loss"]["mean"] + 0.25  # what learning noise costs
        assert models[name]["accuracy"]["ci95"][0] < base["accuracy"]["mean"] + 0.01
    assert models["oracle"]["accuracy"]["mean"] == 1


def test_a_planted_shift_is_seen_and_sets_keep_their_coverage(evaluate: Callable[..., tuple[int, dict, str]], known: tuple[Path, np.ndarray]) -> None:
    code, document, _ = evaluate(known[0], "--control", "planted-shift", "--models", "markov1,markov1-flow,persistence")
    assert code == 0
    models = document["models"]
    for name in ("markov1", "markov1-flow"):
        assert models[name]["log_loss_after"]["mean"] > models[name]["log_loss_before"]["mean"] + 0.5
        assert models[name]["conformal_coverage_after"]["mean"] == pytest.approx(0.9, abs=0.02)
        assert models[name]["adwin_found"]["mean"] == 1
        assert models[name]["adwin_f1"]["mean"] > models[name]["always_fire_f1"]["mean"] > models[name]["never_fire_f1"]["mean"] == 0
    # Who learns online forgets what no longer holds; who does not stays wrong.
    assert models["markov1"]["log_loss_after"]["mean"] < models["markov1-flow"]["log_loss_after"]["mean"] - 0.5


def test_joined_captures_go_on_with_the_next_ones_second_half(known: tuple[Path, np.ndarray], tmp_path: Path) -> None:
    out = tmp_path / "joined.h5"
    changes = evaluation_controls.joined_captures(known[0], out, 1)
    with h5py.File(known[0]) as before, h5py.File(out) as after:
        old, new = ({name: file["rows"][name][()] for name in ("source", "split", "time_ns", "sequence", "symbol", "resolved_ns")} for file in (before, after))
        old["type"], new["type"] = before["targets/type"][()], after["targets/type"][()]
        assert dict(after.attrs).keys() == dict(before.attrs).keys()
        assert list(after["targets/type"].attrs["classes"]) == list(before["targets/type"].attrs["classes"])
    for source, other in ((0, 1), (1, 0)):
        test = [np.flatnonzero((old["source"] == each) & (old["split"] == 2)) for each in (source, other)]
        first = np.flatnonzero((old["source"] == source) & (np.arange(len(old["source"])) < test[0][len(test[0]) // 2]))
        second = test[1][len(test[1]) // 2 :]
        rows = np.flatnonzero(new["source"] == source)
        assert changes[source] == rows[len(first)]
        for name in ("symbol", "type", "split"):
            assert np.array_equal(new[name][rows], old[name][np.concatenate([first, second])])
        # Time goes on where it was, and what follows is as far apart as it was; its conversations are new.
        assert np.all(np.diff(new["time_ns"][rows]) >= 0)
        assert np.array_equal(np.diff(new["time_ns"][rows[len(first) :]]), np.diff(old["time_ns"][second]))
        assert np.array_equal((new["resolved_ns"] - new["time_ns"])[rows[len(first) :]], (old["resolved_ns"] - old["time_ns"])[second])
        assert not set(new["sequence"][rows[: len(first)]]) & set(new["sequence"][rows[len(first) :]])
    with h5py.File(out, "r+") as file:
        file["rows/source"][...] = 0
    with pytest.raises(errors.Refused, match="joins each capture with the next"):
        evaluation_controls.joined_captures(out, tmp_path / "never.h5", 1)


def test_permuted_labels_are_the_same_labels(known: tuple[Path, np.ndarray], tmp_path: Path) -> None:
    out = tmp_path / "permuted.h5"
    evaluation_controls.random_labels(known[0], out, 5)
    with h5py.File(known[0]) as before, h5py.File(out) as after:
        old, new = before["targets/type"][()], after["targets/type"][()]
        for group in ((before["rows/source"][()] == s) & (before["rows/split"][()] == p) for s in (0, 1) for p in (0, 1, 2)):
            assert np.array_equal(np.sort(old[group]), np.sort(new[group]))
        assert (old != new).mean() > 0.5
        assert "truth" not in after


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--models", "markov9"], "--model is markov9, allowed: a file that ends in .model"),
        (["--models", "markov1,markov1"], "twice"),
        (["--models", "nothing.model"], "nothing.model: no such file"),
        (["--target", "colour"], "--target = colour; allowed is one of type"),
        (["--profile", "abacus"], "--profile = abacus"),
    ],
)
def test_refuses_in_one_sentence(
    evaluate: Callable[..., tuple[int, dict, str]], known: tuple[Path, np.ndarray], arguments: list[str], says: str
) -> None:
    code, _, err = evaluate(known[0], *arguments)
    assert code == 2 and says in err.strip().splitlines()[-1]


def test_refuses_other_tasks_and_damaged_files(evaluate: Callable[..., tuple[int, dict, str]], known: tuple[Path, np.ndarray], tmp_path: Path) -> None:
    other = prediction_data.known_source(tmp_path / "other.h5", rows=2000)[0]
    with h5py.File(other, "r+") as file:
        file.attrs["task"] = "flow-size"
    assert "task is flow-size, allowed: next-type" in evaluate(other)[2]
    cut = tmp_path / "cut.h5"
    cut.write_bytes(known[0].read_bytes()[:3000])
    assert evaluate(cut)[0] == 2
    for damage, says in (("rows/symbol", "lacks the dataset /rows/symbol"), ("rows/context", "lacks the dataset /rows/context")):
        path = prediction_data.known_source(tmp_path / "damaged.h5", rows=2000)[0]
        with h5py.File(path, "r+") as file:
            del file[damage]
        code, _, err = evaluate(path)
        assert code == 2 and says in err
    path = prediction_data.known_source(tmp_path / "damaged.h5", rows=2000)[0]
    with h5py.File(path, "r+") as file:
        file["rows/symbol"][7] = 200
    code, _, err = evaluate(path)
    assert code == 2 and "/rows/symbol[7] is 200" in err
