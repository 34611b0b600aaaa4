# SPDX-License-Identifier: BSD-3-Clause
"""The runner at full speed, for seconds; `tools/soak --seconds 600` is the same for long. And that a soak can fail."""

from __future__ import annotations

import copy
import importlib.machinery
import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOUND = {
    "packets": {"in": 100, "out": 90, "held": 3, "dropped": {"deny_rule": 5, "station_full": 2}},
    "copies": {"made": 10, "out": 8, "held": 1, "dropped": 1},
    "ports": [{"name": "net_pcap0", "in": 100, "out": 3}, {"name": "net_null0", "in": 0, "out": 95}],
    "decided": 98,
    "mbufs_lost": 0,
}


@pytest.fixture(scope="module")
def soak() -> ModuleType:
    loader = importlib.machinery.SourceFileLoader("soak", str(ROOT / "tools" / "soak"))
    spec = importlib.util.spec_from_loader("soak", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where its data classes look themselves up
    loader.exec_module(module)
    return module


def test_nothing_leaks_and_nothing_is_lost() -> None:
    done = subprocess.run([str(ROOT / "tools" / "soak"), "--seconds", "1.5"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(done.stdout.splitlines()) == 5


def test_a_sound_run_passes(soak: ModuleType) -> None:
    assert soak.check(SOUND, [1000, 1200, 1100], {}) == []


@pytest.mark.parametrize(
    "path,value,sentence",
    [
        (("packets", "out"), 89, "packets do not add up"),
        (("copies", "made"), 11, "copies do not add up"),
        (("ports", 0, "in"), 101, "the ports received 101 packets, the runner counts 100"),
        (("ports", 1, "out"), 94, "the ports sent 97 packets, the runner counts 90 and 8 copies"),
        (("decided",), 97, "97 packets were decided of 100"),
        (("mbufs_lost",), 1, "1 packet buffers did not come back"),
    ],
)
def test_what_is_lost_is_found(soak: ModuleType, path: tuple[Any, ...], value: int, sentence: str) -> None:
    report = copy.deepcopy(SOUND)
    place: Any = report
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    wrong = soak.check(report, [], {})
    assert any(sentence in found for found in wrong), wrong


def test_growth_is_found(soak: ModuleType) -> None:
    assert soak.check(SOUND, [1000, 1000 + soak.MOST_GROWTH_KB + 1], {}) != []


def test_a_file_with_fewer_packets_is_found(soak: ModuleType, tmp_path: Path) -> None:
    file = tmp_path / "there.pcap"
    file.write_bytes(bytes.fromhex("d4c3b2a1020004000000000000000000ffff000001000000") + bytes(8) + b"\x02\0\0\0\x02\0\0\0ab")
    assert soak.records_in(file) == 1
    assert soak.check(SOUND, [], {"net_pcap0": file}) == ["net_pcap0 sent 3 packets, its file holds 1"]
