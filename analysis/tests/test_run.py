# SPDX-License-Identifier: BSD-3-Clause
"""`run` and `report` as a user meets them, with a simulator whose results are known."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from foreflow.errors import Refused

Command = Callable[..., tuple[int, str, str]]
Capture = Callable[..., Path]


def test_json_document_is_alone_and_right(command: Command, capture: Capture, tmp_path: Path) -> None:
    out = tmp_path / "a folder"
    code, text, errors = command("run", "tag", f"input={capture()}", "--seeds", "3", "--out", str(out), "--json")
    assert code == 0, errors
    document = json.loads(text)  # one document and nothing else
    assert set(document) == {"scenario", "config", "arms", "gap_closed", "packets", "fingerprint", "outputs"}
    punts = document["arms"]["predictive"]["punts_per_thousand"]
    assert punts["mean"] == pytest.approx(102) and punts["n"] == 3 and punts["unit"] == "packets/1000"
    assert punts["ci95"] == [pytest.approx(102 - 2.4841, abs=1e-3), pytest.approx(102 + 2.4841, abs=1e-3)]
    gap = document["gap_closed"]["punts_per_thousand"]
    assert gap["mean"] == pytest.approx(98 / 150) and gap["n"] == 3
    assert document["packets"] == {"in": 1000, "out": 1000, "held": 0, "dropped": {}}
    inner = [hashlib.sha256(f"{arm} {seed}".encode()).digest() for arm in document["config"]["arms"] for seed in (1, 2, 3)]
    assert document["fingerprint"] == hashlib.sha256(b"".join(inner)).hexdigest()
    for figure in document["outputs"]["figures"]:
        assert Path(figure).stat().st_size > 1000


def test_report_is_self_contained_and_can_be_drawn_again(command: Command, capture: Capture, tmp_path: Path) -> None:
    command("run", "tag", f"input={capture()}", "--seeds", "2", "--out", str(tmp_path / "o"))
    page = (tmp_path / "o" / "report.html").read_text()
    assert not re.search(r'(src|href)="(?!data:)', page)
    assert "Prediction paid: slow-path punts per thousand packets fell by" in page
    assert "h = 0.400, above the break-even h* = 0.100" in page
    assert "40.0 % were used" in page
    assert "2 silences were cut." in page
    (tmp_path / "o" / "report.html").unlink()
    code, text, errors = command("report", str(tmp_path / "o"), "--json")
    assert code == 0, errors
    assert json.loads(text)["arms"]["off"]["hit_ratio"]["mean"] == 0
    assert (tmp_path / "o" / "report.html").read_text() == page


def test_finished_runs_are_taken_again_and_only_those(command: Command, capture: Capture, tmp_path: Path) -> None:
    def states(*extra: str) -> list[str]:
        code, text, errors = command("run", "tag", f"input={capture()}", "--out", str(tmp_path / "o"), "--json", "--arms", "reactive", *extra)
        assert code == 0, errors
        return [run["state"] for run in json.loads(text)["outputs"]["runs"]]

    assert states("--seeds", "2") == ["done", "done"]
    assert states("--seeds", "3") == ["reused", "reused", "done"]
    assert states("--seeds", "3", "load=0.5") == ["done"] * 3
    assert states("--seeds", "1", "--fresh") == ["done"]
    # A folder that is not whole is no result.
    for summary in (tmp_path / "o" / "runs").glob("*/summary.json"):
        summary.unlink()
    assert states("--seeds", "1") == ["done"]


def test_manifest_says_what_ran(command: Command, capture: Capture, tmp_path: Path) -> None:
    file = capture()
    command("run", "tag", f"input={file}", "--seeds", "1", "--arms", "oracle", "--out", str(tmp_path / "o"))
    (folder,) = (path.parent for path in (tmp_path / "o" / "runs").glob("*/manifest.json"))
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["run"] == folder.name
    assert manifest["exit"] == "done" and manifest["seed"] == 1 and manifest["config"]["arm"] == "oracle"
    assert manifest["inputs_sha256"] == {str(file): hashlib.sha256(file.read_bytes()).hexdigest()}
    trace = hashlib.sha256((folder / "trace.h5").read_bytes()).hexdigest()
    assert manifest["outputs_sha256"]["trace.h5"] == trace
    assert manifest["fingerprint"] == hashlib.sha256(b"oracle 1").hexdigest()
    assert manifest["machine"]["cpu"] and manifest["libraries"]["python3-numpy"] and manifest["started"] <= manifest["ended"]


def test_another_input_may_follow(command: Command, capture: Capture, tmp_path: Path) -> None:
    first, second, model = capture(), tmp_path / "second.pcap", tmp_path / "net.model"
    model.write_bytes(b"a network")

    def run(text: str) -> dict:
        second.write_text(text)
        words = [f"input={first}", f"traffic.shift_input={second}", "predictor=gru", f"model={model}", "--seeds", "1", "--arms", "predictive"]
        code, text, errors = command("run", "tag", *words, "--out", str(tmp_path / "o"), "--json")
        assert code == 0, errors
        return json.loads(text)

    document = run("{}")
    folder = Path(document["outputs"]["runs"][0]["folder"])
    manifest = json.loads((folder / "manifest.json").read_text())
    assert list(manifest["inputs_sha256"]) == [str(first.resolve()), str(second.resolve())]
    assert manifest["config"]["traffic"]["shift_input"] == str(second.resolve())
    assert manifest["config"]["models"]["network"]["sha256"] == hashlib.sha256(b"a network").hexdigest()
    assert any(Path(figure).name == "models.png" for figure in document["outputs"]["figures"])
    assert "90.0 % by the network, 10.0 % by what learns on, by whose word weighed most; what learns on was asked for 25.0 %, and a run saw 2.00 drift alarms" in (tmp_path / "o" / "table.txt").read_text()
    assert run("{} ")["outputs"]["runs"][0]["folder"] != str(folder)
    code, _, errors = command("replay", str(first), f"traffic.shift_input={second}")
    assert code == 2 and "traffic.shift_input" in errors


def test_predictors_are_compared_on_the_same_runs(command: Command, capture: Capture, tmp_path: Path) -> None:
    model = tmp_path / "net.model"
    model.write_bytes(b"a network")
    words = [f"input={capture()}", f"model={model}", "--predictors", "markov3,gru", "--seeds", "2", "--out", str(tmp_path / "o")]
    code, text, errors = command("predictors", "tag", *words, "--json")
    assert code == 0, errors
    document = json.loads(text)
    assert list(document["predictors"]) == ["markov3", "gru"]
    assert {name: len(folders) for name, folders in document["outputs"]["runs"].items()} == {"common": 4, "markov3": 2, "gru": 2}
    assert document["predictors"]["gru"]["gap_closed"]["punts_per_thousand"]["mean"] == pytest.approx(98.5 / 150)
    assert document["predictors"]["gru"]["tiers"] == {"learned": 100, "table": 0, "network": 900}
    assert document["models"]["markov3"] == {"table": None, "network": None}
    table = (tmp_path / "o" / "table.txt").read_text()
    assert "promotions: h / h*" in table and "0.900 / 0.020" in table
    code, _, errors = command("predictors", "tag", "--predictors", "markov3,markov3")
    assert code == 2 and "--predictors markov3,markov3" in errors


def test_a_failed_run_keeps_its_log_and_is_a_row(command: Command, capture: Capture, tmp_path: Path) -> None:
    file = capture(fail={"oracle-2": 1})
    code, text, errors = command("run", "tag", f"input={file}", "--seeds", "2", "--out", str(tmp_path / "o"), "--json")
    assert code == 1
    document = json.loads(text)
    (row,) = (run for run in document["outputs"]["runs"] if run["state"] == "failed")
    assert (row["arm"], row["seed"]) == ("oracle", 2)
    assert "record 7" in row["why"] and "record 7" in errors
    assert "record 7" in (Path(row["folder"]) / "log.txt").read_text()
    assert document["fingerprint"] is None
    assert document["arms"]["oracle"]["hit_ratio"]["n"] == 1
    assert document["gap_closed"]["punts_per_thousand"]["n"] == 1
    assert "failed: capture.pcap: record 7" in (tmp_path / "o" / "report.html").read_text()


def test_a_refusal_of_the_simulator_is_ours(command: Command, capture: Capture, tmp_path: Path) -> None:
    file = capture(fail={f"{arm}-{seed}": 2 for arm in ("off", "reactive") for seed in (1, 2)})
    code, text, errors = command("run", "tag", f"input={file}", "--seeds", "2", "--out", str(tmp_path / "o"), "--json")
    assert (code, text) == (2, "")
    assert errors.splitlines()[-1] == "foreflow: capture.pcap: record 7: length = 0; allowed is 1 or more"


def test_exit_code_0_without_results_is_a_failure(command: Command, capture: Capture, tmp_path: Path) -> None:
    code, text, errors = command("run", "tag", f"input={capture(silent=True)}", "--seeds", "1", "--out", str(tmp_path / "o"))
    assert (code, text) == (1, "")
    assert "summary.json is missing" in errors and "log.txt" in errors


def test_bad_input_never_starts_anything(command: Command, tmp_path: Path) -> None:
    for arguments in (["input=/nowhere.pcap"], ["load=-1"], ["--arms", "of"], ["--seeds", "0"], ["--no-such-option"]):
        code, text, errors = command("run", "tag", *arguments, "--out", str(tmp_path / "o"), "--json")
        assert (code, text) == (2, ""), arguments
        assert len(errors.strip().splitlines()) == 1 and errors.startswith("foreflow: ")
    assert not (tmp_path / "o").exists()


def test_report_of_what_is_no_result_is_refused(command: Command, tmp_path: Path) -> None:
    code, _, errors = command("report", str(tmp_path))
    assert code == 2 and "no result.json" in errors
    (tmp_path / "result.json").write_text("{}")
    code, _, errors = command("report", str(tmp_path))
    assert code == 2 and "not a result" in errors
    assert (tmp_path / "result.json").read_text() == "{}"  # nothing is deleted on an error


def test_python_gives_the_document_that_the_command_prints(command: Command, capture: Capture, tmp_path: Path) -> None:
    import foreflow

    path, out = capture(), tmp_path / "out"
    code, printed, _ = command("run", "quickstart", f"input={path}", "--seeds", "2", "--out", str(out), "--json")
    assert code == 0
    document = foreflow.run("quickstart", {"input": path}, seeds=2, out=out)
    assert document["arms"] == json.loads(printed)["arms"]
    with pytest.raises(Refused, match="load"):
        foreflow.run("quickstart", {"input": path, "load": -1})
    with pytest.raises(Refused, match="load"):
        foreflow.run("quickstart", input=path, load=-1)
