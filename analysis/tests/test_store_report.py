# SPDX-License-Identifier: BSD-3-Clause
from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pandas

from analysis.tests import kept_runs

Command = Callable[..., tuple[int, str, str]]
Capture = Callable[..., Path]


def test_a_store_has_a_page_that_needs_nothing_else(command: Command, capture: Capture, tmp_path: Path) -> None:
    out = tmp_path / "store"
    for load, orders in ((0.5, {}), (0.8, {"fail": {"oracle-2": 1}})):
        kept_runs.make(capture(**orders), out, ["predictive", "oracle"], 2, [f"load={load}"])
    code, text, errors = command("report", str(out), "--json")
    assert code == 0, errors
    document = json.loads(text)
    assert (document["runs"], document["done"], len(document["failed"])) == (8, 7, 1)
    page = Path(document["report"]).read_text()
    assert not re.search(r'(src|href)="(?!data:)', page)
    assert "record 7: length = 0" in page and "What failed" in page  # the log's last lines
    assert "traffic.load: 0.5, 0.8" in page and page.count("<img") == 3
    rows = pandas.read_csv(document["csv"])
    assert len(rows) == 8 and rows["punts_per_thousand"].notna().sum() == 7
    for figure in document["figures"]:
        assert all(Path(figure).with_suffix(suffix).stat().st_size > 50 for suffix in (".png", ".pdf", ".csv", ".yaml"))


def test_a_store_that_another_version_wrote_is_refused(command: Command, tmp_path: Path) -> None:
    (tmp_path / "VERSION").write_text("7\n")
    code, _, errors = command("report", str(tmp_path))
    assert code == 2 and "VERSION" in errors and len(errors.strip().splitlines()) == 1


def test_a_store_is_divided_by_its_sweeps(command: Command, capture: Capture, tmp_path: Path) -> None:
    results = kept_runs.make(capture(), tmp_path / "store", ["reactive", "oracle"], 1)
    sweep = tmp_path / "store" / "sweeps" / "mine-01"
    sweep.mkdir(parents=True)
    (sweep / "sweep.json").write_text(json.dumps({"spec": {"scenario": "tag", "seeds": 1}, "runs": [results[0].run.key]}))
    assert command("report", str(tmp_path / "store"))[0] == 0
    page = (tmp_path / "store" / "report.html").read_text()
    assert "<h2>Sweep mine-01</h2>" in page and "<h2>Scenario tag, outside of sweeps</h2>" in page
    assert command("report", str(sweep))[0] == 0
    page = (sweep / "report.html").read_text()
    assert "<h2>Sweep mine-01</h2>" in page and "scenario: tag\nseeds: 1" in page and "outside" not in page


def test_a_folder_that_cannot_be_written_is_refused(command: Command, capture: Capture, tmp_path: Path) -> None:
    kept_runs.make(capture(), tmp_path / "store", ["reactive", "oracle"], 1)
    (tmp_path / "store" / "figures").write_text("in the way")
    code, _, errors = command("report", str(tmp_path / "store"))
    assert code == 2 and "store: the report cannot be written there: " in errors and len(errors.strip().splitlines()) == 1
    assert (tmp_path / "store" / "figures").read_text() == "in the way"
