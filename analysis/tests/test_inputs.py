# SPDX-License-Identifier: BSD-3-Clause
from __future__ import annotations

from pathlib import Path

import pytest

from foreflow import inputs
from foreflow.errors import Refused


@pytest.mark.parametrize("name", inputs.GENERATED)
def test_generated_captures_differ_by_seed_and_are_kept(name: str, tmp_path: Path) -> None:
    first, second = (inputs.capture_for(name, seed, 2000, tmp_path) for seed in (1, 2))
    assert inputs.sha256_of(first) != inputs.sha256_of(second)
    before = first.stat().st_mtime_ns
    assert inputs.capture_for(name, 1, 2000, tmp_path) == first
    assert first.stat().st_mtime_ns == before
    assert not list(tmp_path.glob("making-*"))


def test_impossible_inputs_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="no such file; allowed is"):
        inputs.capture_for("/nowhere.pcap", 1, 0, tmp_path)
    with pytest.raises(Refused, match="packets is 1"):
        inputs.capture_for("memoryless", 1, 1, tmp_path)


def test_a_capture_is_itself_for_every_seed(tmp_path: Path) -> None:
    file = tmp_path / "x.pcap"
    file.write_bytes(b"")
    assert inputs.capture_for(str(file), 7, 0, tmp_path) == file
