# SPDX-License-Identifier: BSD-3-Clause
"""A kept run once more: with the stand-in for refusals, with the real simulator for fingerprints."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import foreflow
from analysis.tests import kept_runs
from foreflow import build, inputs
from foreflow import config as configuration
from foreflow.errors import Refused
from foreflow.runs import rerun, runner

Command = Callable[..., tuple[int, str, str]]
Capture = Callable[..., Path]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rerun, "RERUNS", tmp_path / "reruns")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    (folder / "in put.pcap").write_text("{}")
    (result,) = kept_runs.make(folder / "in put.pcap", folder / "store")
    assert result.ok
    return result.folder


@pytest.fixture
def run(made: Path, capture: Capture, tmp_path: Path) -> Path:
    """A copy of a run, on an input of its own."""
    capture()
    copied = shutil.copytree(made, tmp_path / "store" / made.name)
    for name in ("RESOLVED.json", "manifest.json", "row.json"):
        (copied / name).write_text((made / name).read_text().replace(str(made.parent.parent), str(tmp_path)))
    return copied


def test_the_same_run_is_the_same(command: Command, run: Path) -> None:
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    code, text, errors = command("rerun", str(run), "--json")
    assert code == 0, errors
    document = json.loads(text)
    assert document["same"] and document["fingerprint"][0] == document["fingerprint"][1] and document["metrics"] == {}
    assert Path(document["again"]) != run
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before
    row = [json.loads((Path(folder) / "row.json").read_text()) for folder in (run, document["again"])]
    assert row[0]["parameters"] == row[1]["parameters"] and row[0]["key"] == row[1]["key"]
    assert "The same: fingerprint" in command("rerun", str(run))[1]


def test_another_fingerprint_is_exit_code_1(command: Command, run: Path) -> None:
    summary = json.loads((run / "summary.json").read_text())
    (run / "summary.json").write_text(json.dumps({**summary, "fingerprint": "00" * 32}))
    code, text, _ = command("rerun", str(run))
    assert code == 1 and "Not the same:" in text and "fingerprint then  0000" in text
    manifest = json.loads((run / "manifest.json").read_text())
    (run / "manifest.json").write_text(json.dumps({**manifest, "binary_sha256": "ab" * 32}))
    assert "another binary: then abababab" in command("rerun", str(run))[1]


def test_inputs_are_known_by_their_contents(command: Command, capture: Capture, run: Path, tmp_path: Path) -> None:
    file = capture()
    file.write_text("{} ")
    code, _, errors = command("rerun", str(run))
    assert code == 2 and "is not what the run read: SHA-256" in errors and len(errors.strip().splitlines()) == 1
    file.unlink()
    code, _, errors = command("rerun", str(run))
    assert code == 2 and "is gone; put back the file with SHA-256" in errors


def test_a_file_of_another_checkout_is_found_in_this_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "here" / "datasets" / "recorded").mkdir(parents=True)
    file = tmp_path / "here" / "datasets" / "recorded" / "x.pcapng"
    file.write_text("packets")
    monkeypatch.setattr(rerun, "ROOT", tmp_path / "here")
    assert rerun._found(Path("/another/clone/datasets/recorded/x.pcapng"), inputs.sha256_of(file), "input") == file
    with pytest.raises(Refused, match="is gone"):
        rerun._found(Path("/another/clone/datasets/recorded/x.pcapng"), "00", "input")


def test_a_generated_capture_is_made_again(tmp_path: Path) -> None:
    made = inputs.capture_for("markov", 3, 1000, tmp_path / "cache")
    then = inputs.sha256_of(made)
    made.unlink()
    found = rerun._found(made, then, "input markov", lambda: inputs.capture_for("markov", 3, 1000, tmp_path / "cache"))
    assert found == made and inputs.sha256_of(found) == then
    made.unlink()
    with pytest.raises(Refused, match="as it is made now .* is another than the run read"):
        rerun._found(made, then, "input markov", lambda: inputs.capture_for("markov", 4, 1000, tmp_path / "cache"))


@pytest.mark.parametrize(("word", "part"), [("load=1", "allowed are seed=N and arm=ARM"), ("seed=0", "seed = 0; allowed is"), ("seed=x", "seed = x"), ("arm=of", "arm = of; allowed is one of off,")])
def test_what_cannot_be_changed_is_refused(command: Command, run: Path, word: str, part: str) -> None:
    code, _, errors = command("rerun", str(run), word)
    assert code == 2 and part in errors and len(errors.strip().splitlines()) == 1


def test_a_folder_that_is_no_whole_run_is_refused(command: Command, run: Path, tmp_path: Path) -> None:
    assert command("rerun", str(tmp_path / "nowhere"))[0] == 2
    (run / "manifest.json").write_text("{")
    code, _, errors = command("rerun", str(run))
    assert code == 2 and "manifest.json: cannot be read" in errors


def real(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = build.BUILD / "sim"
    if not all(list(folder.glob(f"*/{name}")) for name in ("foreflow-run", "foreflow-replay", "foreflow-explain")):
        pytest.skip("foreflow-run, foreflow-replay and foreflow-explain are not built")
    monkeypatch.setattr(build, "build", lambda preset, targets: folder)
    from foreflow.traces import kept as opened
    from foreflow.traces import replays

    monkeypatch.setattr(opened, "build", lambda preset, targets: folder)
    monkeypatch.setattr(replays, "build", lambda preset, targets: folder)


def test_a_real_run_is_the_same_and_another_seed_says_what_differs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    real(monkeypatch)
    simulator = build.program(build.BUILD / "sim", "foreflow-run")
    config = configuration.resolve("quickstart", ["traffic.max_packets=1500"])
    (kept,) = runner.run_all(runner.plan_all(config, ["predictive"], [1], simulator), simulator, tmp_path / "store")
    folder = kept.folder
    document = foreflow.rerun(folder)
    assert document["same"] and document["changed"] == {} and document["metrics"] == {} and document["first"] is None
    other = foreflow.rerun(folder, seed=3)
    assert not other["same"] and other["changed"] == {"seed": [1, 3]}
    # The same capture: the first packet that was offered or decided otherwise is told, with the inputs of its decision.
    assert other["first"]["differing"] and 0 <= other["first"]["first"] < 1500
    text = rerun.text_of(other)
    assert "changed on purpose: seed 1 -> 3" in text and f"packet {other['first']['first']} is the first of 1500 that differs" in text


def test_a_replay_is_run_again_by_its_door(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    real(monkeypatch)
    from foreflow.traces.replays import Replay, keep

    capture = inputs.capture_for("markov", 1, 1000, tmp_path / "cache")
    assert keep(Replay(capture, "quickstart", [], "reactive", "pcap"), tmp_path / "kept", False, False) == 0
    document = foreflow.rerun(tmp_path / "kept")
    assert document["same"] and Path(document["again"]).parent == tmp_path / "reruns"


def test_a_run_that_fails_this_time_names_its_log(command: Command, capture: Capture, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    resolved = json.loads((run / "RESOLVED.json").read_text())
    file = Path(resolved["input"])
    file.write_text(json.dumps({"fail": {"predictive-1": 1}}))
    manifest = json.loads((run / "manifest.json").read_text())
    (run / "manifest.json").write_text(json.dumps({**manifest, "inputs_sha256": {str(file): inputs.sha256_of(file)}}))
    code, _, errors = command("rerun", str(run))
    assert code == 1 and "record 7" in errors and "log.txt" in errors

