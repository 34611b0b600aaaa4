# SPDX-License-Identifier: BSD-3-Clause
from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from foreflow import build
from foreflow.errors import Refused
from foreflow.runs import break_even


def _summary(host: float, device: float, prediction: float, punts: int) -> dict[str, Any]:
    rates = {f"{kind}_{what}": value for kind in break_even.KINDS for what, value in (("hit_rate", None), ("break_even", 0.1))}
    return {
        "packets": {"in": 1000}, "counters": {"punts": punts, **rates}, "tag_check_cycles_per_packet": 5.0,
        "cycles": {"host_per_packet": host, "device_per_packet": device, "prediction_per_packet": prediction},
    }  # fmt: skip


def test_what_is_saved_is_set_against_what_is_spent_once() -> None:
    values = break_even.values_of(_summary(500, 60, 0, 80), _summary(300, 70, 150, 48))
    assert values["spent_cycles_per_packet"] == 150
    # The device's 10 more are 5 for checking tags, which is among what is spent, and 5 else.
    assert values["saved_cycles_per_packet"] == 195
    assert values["net_cycles_per_packet"] == 45
    assert values["saved_punts_per_thousand"] == 32
    assert values["promotion_hit_rate"] is None


def test_what_is_compared_cannot_be_given_twice() -> None:
    with pytest.raises(Refused, match="input and arms are what is compared"):
        break_even.compare("tag", ["input=recorded"], ["recorded"], 1, None, False)
    with pytest.raises(Refused, match="--inputs recorded,recorded"):
        break_even.compare("tag", [], ["recorded", "recorded"], 1, None, False)


def test_two_inputs_in_one_figure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the real simulator, where it is built."""
    folder = build.BUILD / "sim"
    if not list(folder.glob("*/foreflow-run")):
        pytest.skip("foreflow-run is not built")
    monkeypatch.setattr(build, "build", lambda preset, targets: folder)
    document = break_even.compare("tag", ["traffic.max_packets=3000"], ["recorded", "memoryless"], 1, tmp_path, False)
    assert list(document["inputs"]) == ["recorded", "memoryless"]
    for row in document["inputs"].values():
        assert row["spent_cycles_per_packet"]["mean"] > 0
        assert 0 < row["destination_break_even"]["mean"] < 1
    assert document["inputs"]["memoryless"]["saved_punts_per_thousand"]["mean"] == pytest.approx(0, abs=10)
    assert all(Path(path).is_file() for path in document["outputs"]["figures"])
    assert "h / h*" in break_even.text_of(document)
