# SPDX-License-Identifier: BSD-3-Clause
"""The examples of the book, run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("foreflow_core")

import foreflow as ff  # noqa: E402
from foreflow import config  # noqa: E402
from foreflow.places import ROOT  # noqa: E402

FEW = {"traffic.max_packets": 1500}


def test_the_scenario_runs_by_its_own_rules(tmp_path: Path) -> None:
    document = ff.run(str(ROOT / "docs" / "examples" / "scenario"), FEW, seeds=2, out=tmp_path)
    assert document["scenario"] == "small-nic"
    assert set(document["arms"]) == {"reactive", "predictive", "oracle"}
    assert [rule["id"] for rule in document["config"]["rules"]] == [1, 2, 3, 4]
    packets = document["packets"]
    assert 1000 < packets["in"] == packets["out"] + packets["held"] + sum(packets["dropped"].values())


def test_the_profile_changes_the_price_and_no_decision(tmp_path: Path) -> None:
    profile = tmp_path / "faster-core.json"
    subprocess.run([sys.executable, ROOT / "docs" / "examples" / "device_profile" / "faster_core.py", profile], check=True)
    assert config.resolve("tag", [f"host.profile={profile}"])["hw"][str(profile)]["clock_hz"]["value"] == 3_800_000_000

    def run(**settings: object) -> dict:
        return ff.run("tag", {**FEW, **settings}, arms=["predictive"], seeds=1, out=tmp_path / f"{len(settings)}")

    usual, faster = run(), run(**{"host.profile": profile})
    assert faster["fingerprint"] == usual["fingerprint"]
    cost = [document["arms"]["predictive"]["prediction_cycles_per_packet"]["mean"] for document in (usual, faster)]
    assert cost[1] < cost[0]
