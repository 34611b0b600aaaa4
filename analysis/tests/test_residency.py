# SPDX-License-Identifier: BSD-3-Clause
from __future__ import annotations

from pathlib import Path

import pytest

from foreflow import build
from foreflow import config as configuration
from foreflow.errors import Refused
from foreflow.runs import residency


def test_the_best_is_judged_against_both_ends() -> None:
    def run(punts: float, writes: float) -> dict[str, float]:
        return {"hit_ratio": 1 - punts / 1000, "punts_per_thousand": punts, "writes_per_second": writes, "host_by_cover_per_thousand": 0.0}

    punts = {"lru": 100, "rebalance": 300, "predictive": 40, "oracle": 20, "predictive_equal_churn": 60, "oracle_equal_churn": 20, "anti_oracle": 101}
    values = {name: [run(count, 10), run(count + 2, 10)] for name, count in punts.items()}
    values["predictive"] = [run(40, 15), run(42, 15)]
    judged = residency._judge(values, "lru")
    assert judged["gap_closed"]["mean"] == pytest.approx(0.75)
    assert judged["gap_closed_equal_churn"]["mean"] == pytest.approx(0.5)
    assert judged["gap_closed_from_rebalance"]["mean"] == pytest.approx(260 / 280)
    assert judged["anti_oracle_cost"]["mean"] == pytest.approx((1 / 100 + 1 / 102) / 2)
    assert judged["writes_ratio"]["predictive"] == pytest.approx(1.5)


@pytest.mark.parametrize(
    ("overrides", "capacities", "part"),
    [
        (["device.rules=3"], ["5%"], "device.rules, device.residency and arms are what is swept"),
        (["ruleset=acl1k"], ["0"], "--capacities 0"),
        (["ruleset=acl1k"], ["5%", "5%"], "--capacities 5%,5%"),
        (["ruleset=acl1k"], ["half"], "device.rules"),
        (["ruleset=acl9k"], ["5%"], "no such rule set"),
    ],
)
def test_what_cannot_be_swept_is_refused(overrides: list[str], capacities: list[str], part: str) -> None:
    with pytest.raises(Refused, match=part):
        residency.sweep("tag", overrides, capacities, 1, None)


def test_every_policy_is_run_and_the_oracle_punts_least(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small sweep by the real programs, where they are built."""
    folder = build.BUILD / "sim"
    if not all(list(folder.glob(f"*/{name}")) for name in ("foreflow-replay", "foreflow-dependencies", "foreflow-run", "foreflow-residency-bound")):
        pytest.skip("foreflow-replay, foreflow-dependencies, foreflow-run and foreflow-residency-bound are not built")
    monkeypatch.setattr(build, "build", lambda preset, targets: folder)
    monkeypatch.setattr(residency, "_LATENT", {"random": ("reactive", "random"), "oracle": ("oracle", None)})
    document = residency.sweep("tag", ["ruleset=acl1k", "traffic.max_packets=6000"], ["2%", "10%"], 2, tmp_path, latency_seeds=1)
    assert document["p99_us"]["2%"]["oracle"]["mean"] < document["p99_us"]["2%"]["random"]["mean"]
    assert document["rules"]["rules"] == 1000
    for judged in document["capacities"].values():
        punts = {name: row["punts_per_thousand"]["mean"] for name, row in judged["policies"].items()}
        assert punts[judged["best"]] == min(punts[policy] for policy in residency.POLICIES)
        assert punts["oracle"] < min(punts[policy] for policy in residency.POLICIES)
        assert punts["anti_oracle"] <= 1.01 * punts[judged["best"]]
        assert punts["predictive"] <= 1.01 * punts[judged["best"]]
        # Nobody without the future does better than who knows the law, and who knows it of what was seen knows less.
        assert punts["oracle"] <= punts["law_known"] < punts["law_known_of_seen"] < punts["predictive"]
    assert all(Path(path).is_file() for path in document["outputs"]["figures"])
    assert 0 < document["tag"]["tag_cycles"] < document["tag"]["punt_cycles"]
    assert "of those in use today" in residency.text_of(document)


def test_a_count_stays_a_count() -> None:
    assert configuration.share_or_count("12.5%") == "12.5%"
    assert configuration.share_or_count("64") == 64
    with pytest.raises(Refused):
        configuration.share_or_count("half")
