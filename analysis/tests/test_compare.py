# SPDX-License-Identifier: BSD-3-Clause
"""compare A B: which runs are pairs, what is said of them, and what is refused; numbers against pandas and scipy."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
from scipy import stats as reference

import foreflow
from analysis.tests import kept_runs
from foreflow.errors import Refused
from foreflow.judge import compare as comparison
from foreflow.judge.metrics import METRICS

Command = Callable[..., tuple[int, str, str]]
Capture = Callable[..., Path]


def store(folder: Path, rows: list[dict[str, Any]], inputs: str = "aa") -> Path:
    """A store of runs that have rows and manifests alone, as compare needs no traces."""
    folder.mkdir()
    (folder / "VERSION").write_text("1\n")
    for number, row in enumerate(rows):
        metrics = {name: None for name in METRICS} | row.pop("metrics")
        whole = {
            "key": f"{number:016x}", "scenario": "tag", "arm": "predictive", "seed": 1, "parameters": {}, "status": "done", "started": f"2026-01-01T00:00:{number:02d}+00:00",
            "seconds": 1.0, "fingerprint": f"{folder.name}{number}", "metrics": metrics, "trace": {"bytes": 1, "rows": {}}, "sentence": "",
        } | row  # fmt: skip
        run = folder / (whole["key"] if whole["status"] == "done" else f"{whole['key']}.failed")
        run.mkdir()
        (run / "trace.h5").write_bytes(b"x")
        (run / "summary.json").write_text("{}")
        (run / "RESOLVED.json").write_text("{}")
        (run / "row.json").write_text(json.dumps(whole))
        (run / "manifest.json").write_text(json.dumps({"run": whole["key"], "inputs_sha256": {"c": f"{inputs}{whole['seed']}"}, "commit": "c0", "binary_sha256": "b0", "diff_sha256": None}))
    return folder


def test_pairs_are_runs_of_one_seed_at_one_point(tmp_path: Path) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    numbers = np.random.default_rng(seed)
    table = pandas.DataFrame(
        [{"load": load, "arm": arm, "seed": s, "side": side, "p99": numbers.normal(100 + (5 if side == "b" else 0), 4)} for load in (0.5, 0.7) for arm in ("reactive", "predictive") for s in range(1, 7) for side in "ab"]
    )
    sides = {
        side: store(tmp_path / side, [
            {"arm": row.arm, "seed": row.seed, "parameters": {"traffic.load": row.load} | ({"prediction.lookahead": 8} if side == "b" else {}), "metrics": {"request_response_p99_us": row.p99, "hit_ratio": 0.5}}
            for row in own.sample(frac=1, random_state=1).itertuples()
        ])
        for side, own in table.groupby("side")
    }  # fmt: skip
    document = foreflow.compare(sides["a"], sides["b"])
    assert document["changed"] == {"prediction.lookahead": [[4], [8]]}
    assert [(group["arm"], group["point"]) for group in document["groups"]] == [(arm, {"traffic.load": load}) for load in (0.5, 0.7) for arm in ("predictive", "reactive")]
    expected = []
    for group in document["groups"]:
        own = table[(table["arm"] == group["arm"]) & (table["load"] == group["point"]["traffic.load"])].pivot(index="seed", columns="side", values="p99")
        test = reference.ttest_rel(own["b"], own["a"])
        change = group["metrics"]["request_response_p99_us"]
        assert change["p"] == pytest.approx(test.pvalue, rel=1e-9)
        assert change["difference"]["mean"] == pytest.approx((own["b"] - own["a"]).mean())
        assert (group["n"], group["paired"], group["traffic"]) == (6, True, "same")
        assert group["metrics"]["hit_ratio"]["verdict"] == "same"
        expected.append(test.pvalue)
    assert document["tests"] == 4  # a metric that never changes is no test
    # Holm by its definition, over the whole comparison.
    for group, p in zip(document["groups"], expected):
        rank = sorted(expected).index(p)
        adjusted = max(min(1.0, (4 - place) * value) for place, value in enumerate(sorted(expected)[: rank + 1]))
        change = group["metrics"]["request_response_p99_us"]
        assert change["p_holm"] == pytest.approx(adjusted, rel=1e-9)
        assert change["verdict"] == ("cannot be told" if adjusted >= 0.05 else "worse" if change["difference"]["mean"] > 0 else "better")
    json.dumps(document, allow_nan=False)
    assert "Holm, 4 tests" in document["sentences"][-1]


def made(punts: list[float], **more: Any) -> list[dict[str, Any]]:
    return [{"seed": place + 1, "metrics": {"punts_per_thousand": value}, **more} for place, value in enumerate(punts)]


def test_a_change_is_said_in_words(tmp_path: Path) -> None:
    a = store(tmp_path / "a", made([100, 104, 98, 101, 97]))
    b = store(tmp_path / "b", made([80, 83, 79, 80, 78], parameters={"device.flow_entries": "20%"}))
    document = foreflow.compare(a, b)
    assert document["changed"] == {"device.flow_entries": [["10%"], ["20%"]]}
    (said, total) = document["sentences"]
    assert said.startswith("punts_per_thousand fell by 20 % (arm predictive): 95 % interval of B - A -21") and said.endswith("B is better.")
    assert total == "Of 1 comparisons 1 better in B at a level of 5 % for all together (Holm, 1 tests)."
    text = comparison.text_of(document)
    assert "device.flow_entries" in text and "the same traffic in each: paired t-test" in text


def test_nothing_changed_is_said_too(tmp_path: Path) -> None:
    a = store(tmp_path / "a", made([1, 2, 3], fingerprint="same"))
    b = store(tmp_path / "b", made([1, 2, 3], fingerprint="same"))
    assert foreflow.compare(a, b)["sentences"] == ["Nothing changed: every packet was decided alike in all 3 pairs (same fingerprints), and no metric moved."]


def test_a_difference_without_spread_is_no_test(tmp_path: Path) -> None:
    a, b = store(tmp_path / "a", made([1, 2, 3])), store(tmp_path / "b", made([2, 3, 4], parameters={"traffic.load": 0.5}))
    change = foreflow.compare(a, b)["groups"][0]["metrics"]["punts_per_thousand"]
    assert change["p"] is None and change["p_holm"] is None and change["p_exact"] == 0.25 and change["verdict"] == "worse"


def test_one_pair_cannot_tell(tmp_path: Path) -> None:
    a, b = store(tmp_path / "a", made([1], arm="reactive")), store(tmp_path / "b", made([2], arm="predictive"))
    document = foreflow.compare(a, b)
    assert document["changed"] == {"arm": [["reactive"], ["predictive"]]}
    assert document["groups"][0]["metrics"]["punts_per_thousand"]["verdict"] == "cannot be told"
    assert "one pair cannot tell a change from chance" in document["sentences"][-1]


def test_without_common_seeds_samples_are_compared(tmp_path: Path) -> None:
    low, high = [10.0, 11.0, 12.5, 11.5], [20.0, 23.0, 21.0]
    a = store(tmp_path / "a", made(low))
    b = store(tmp_path / "b", [{"seed": 11 + place, "metrics": {"punts_per_thousand": value}} for place, value in enumerate(high)])
    document = foreflow.compare(a, b)
    (group,) = document["groups"]
    assert not group["paired"]
    assert group["metrics"]["punts_per_thousand"]["p"] == pytest.approx(reference.ttest_ind(high, low, equal_var=False).pvalue)
    assert "no seeds in common: Welch's t-test" in comparison.text_of(document)


def test_points_of_one_side_and_failures_are_left_out_aloud(tmp_path: Path) -> None:
    both = made([1, 2], parameters={"traffic.load": 0.5})
    a = store(tmp_path / "a", both + made([5, 6], parameters={"traffic.load": 0.6}) + [{"seed": 3, "status": "failed", "fingerprint": None, "sentence": "it broke", "metrics": {}}])
    b = store(tmp_path / "b", made([2, 3.5], parameters={"traffic.load": 0.5}) + made([5, 6], parameters={"traffic.load": 0.7}), inputs="bb")
    document = foreflow.compare(a, b)
    assert document["only_on_one_side"] == {"traffic.load": [[0.6], [0.7]]} and document["failed"] == [1, 0]
    (group,) = document["groups"]
    assert group["point"] == {"traffic.load": 0.5} and group["traffic"] == "differs"
    text = comparison.text_of(document)
    assert "only A: 0.6; only B: 0.7 (left out)" in text and "1 runs of A failed" in text and "other traffic in some" in text


def test_of_runs_that_were_run_again_the_last_counts(tmp_path: Path) -> None:
    # The later one has the smaller key, so that an order by keys would take the other.
    again = [{"seed": 1, "metrics": {"punts_per_thousand": 7}, "started": "2027-01-01T00:00:00+00:00"}, *made([1, 2])]
    document = foreflow.compare(store(tmp_path / "a", again), store(tmp_path / "b", made([7, 2], parameters={"traffic.load": 0.5})))
    assert document["repeated"] == [1, 0]
    assert document["groups"][0]["metrics"]["punts_per_thousand"]["verdict"] == "same"


def test_what_cannot_be_compared_is_refused(tmp_path: Path) -> None:
    a = store(tmp_path / "a", made([1], parameters={"traffic.load": 0.5}) + made([1], parameters={"traffic.load": 0.6}))
    b = store(tmp_path / "b", made([1], parameters={"traffic.load": 0.7}))
    with pytest.raises(Refused, match="traffic.load has no value in common"):
        foreflow.compare(a, b)
    c = store(tmp_path / "c", made([1], arm="off", parameters={"traffic.load": 0.5}) + made([1], arm="oracle", parameters={"traffic.load": 0.6}))
    d = store(tmp_path / "d", made([1], arm="oracle", parameters={"traffic.load": 0.5}) + made([1], arm="off", parameters={"traffic.load": 0.6}))
    with pytest.raises(Refused, match="have no point in common over traffic.load, arm"):
        foreflow.compare(c, d)
    e = store(tmp_path / "e", [{"status": "failed", "fingerprint": None, "metrics": {}}])
    with pytest.raises(Refused, match="no run has finished"):
        foreflow.compare(a, e)


def test_the_command_compares_results_and_runs(command: Command, capture: Capture, tmp_path: Path) -> None:
    file, folders = capture(), []
    for name, arms, words in (("a", ["reactive", "oracle"], []), ("b", ["reactive", "predictive"], ["load=0.5"])):
        results = kept_runs.make(file, tmp_path / "store", arms, 3, words)
        kept_runs.as_result(results, tmp_path / name)
        folders.append(str(results[-1].folder))
    code, text, errors = command("compare", str(tmp_path / "a"), str(tmp_path / "b"), "--json")
    assert code == 0, errors
    document = json.loads(text)
    assert document["changed"] == {"traffic.load": [[0.9], [0.5]]} and document["only_on_one_side"] == {"arm": [["oracle"], ["predictive"]]}
    assert document["groups"][0]["traffic"] == "same" and document["sentences"][0].startswith("Nothing changed")
    loaded = foreflow.compare(foreflow.load(folders[0]), foreflow.load(tmp_path / "b")[lambda rows: rows["arm"] == "predictive"])
    assert loaded["changed"]["arm"] == [["oracle"], ["predictive"]] and loaded["runs"] == [1, 3]
    code, text, errors = command("compare", *folders)
    assert code == 0, errors
    assert "arm" in text and "oracle" in text and "punts_per_thousand [packets/1000]" in text
    code, _, errors = command("compare", str(tmp_path / "a"), str(tmp_path / "nowhere"))
    assert code == 2 and len(errors.strip().splitlines()) == 1
