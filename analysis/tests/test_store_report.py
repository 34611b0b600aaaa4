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
