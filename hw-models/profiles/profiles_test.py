# SPDX-License-Identifier: BSD-3-Clause
"""Every profile is complete, and what it makes a hit and a punt cost lies where measurements put it."""

import json
import re
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
PROFILES = {path.stem: json.loads(path.read_text()) for path in sorted(HERE.glob("*.json"))}
DEVICES = {name: p for name, p in PROFILES.items() if p["kind"] == "device"}
BUSES = {name: p for name, p in PROFILES.items() if p["kind"] == "bus"}

UNITS = {
    "clock_hz": "Hz",
    "engines": "engines",
    "queue_capacity": "packets",
    "initiation_interval": "cycles",
    "datapath_bytes": "bytes",
    "read_latency_ns": "ns",
    "write_latency_ns": "ns",
    "bandwidth_bps": "bit/s",
    "overhead_bytes": "bytes",
}

# Work of a small TCP packet, as the cores count it: enough to compare devices.
PARSE = {"header": 3, "byte_parsed": 54}
LOOKUP = {"hash": 1, "probe": 2, "cache_line": 2}
TAG = {"mac_word": 4}
ACT = {"update": 2}
CLASSIFY = {"hash": 8, "probe": 8, "cache_line": 10, "rule_compare": 8, "install": 1}


def enumerators(header: str, name: str) -> set[str]:
    """The snake_case names of a C++ enum, read from its declaration."""
    body = re.search(rf"enum class {name}[^{{]*{{(.*?)}};", (ROOT / header).read_text(), re.S).group(1)
    names = re.findall(r"\bk([A-Z]\w*)\s*,", re.sub(r"//.*", "", body))
    return {re.sub(r"(?<!^)(?=[A-Z])", "_", n).lower() for n in names} - {"count"}


def cycles(device: dict, stage: str, work: dict[str, int]) -> float:
    return device["stage"][stage]["value"] + sum(device["work"][i]["value"] * n for i, n in work.items())


def hit(device: dict) -> float:
    return cycles(device, "parse", PARSE) + cycles(device, "flow_cache", LOOKUP) + cycles(device, "act", ACT)


def punt(device: dict) -> float:
    return cycles(device, "slow_path", CLASSIFY)


def numbers(profile: dict) -> dict[str, dict]:
    found = {}
    for key, value in profile.items():
        if key in ("stage", "work", "unit"):
            found.update({f"{key}.{k}": v for k, v in value.items()})
        elif key not in ("name", "kind"):
            found[key] = value
    return found


def test_the_named_profiles_exist():
    assert set(DEVICES) == {"fpga-250mhz", "asic-nic", "arm-smartnic-core", "x86-core"}
    assert set(BUSES) == {"pcie-gen3-x8", "pcie-gen4-x16"}


@pytest.mark.parametrize("name", PROFILES)
def test_every_number_has_unit_interval_source_and_mark(name):
    assert PROFILES[name]["name"] == name
    for key, number in numbers(PROFILES[name]).items():
        where = f"{name}: {key}"
        assert set(number) == {"value", "unit", "interval", "source", "mark"}, where
        low, high = number["interval"]
        assert 0 <= low <= number["value"] <= high, where
        assert number["unit"] == UNITS.get(key, "cycles"), where
        assert len(number["source"]) > 10, where
        assert number["mark"] in ("measured", "published", "general knowledge"), where


@pytest.mark.parametrize("name", DEVICES)
def test_every_stage_and_work_item_is_priced(name):
    device = DEVICES[name]
    assert set(device) == {
        "name", "kind", "clock_hz", "engines", "queue_capacity", "initiation_interval", "datapath_bytes", "stage", "work", "unit",
    }  # fmt: skip
    assert set(device["stage"]) == enumerators("models/path/stages.h", "Stage")
    assert set(device["work"]) == enumerators("models/base/work.h", "WorkItem")
    assert set(device["unit"]) == enumerators("models/shard/unit_work.h", "UnitEngine")


@pytest.mark.parametrize("name", BUSES)
def test_every_bus_is_complete(name):
    assert set(BUSES[name]) == {
        "name", "kind", "read_latency_ns", "write_latency_ns", "bandwidth_bps", "overhead_bytes",
    }  # fmt: skip


def test_a_punt_on_the_host_costs_what_an_upcall_was_measured_at():
    assert 6000 <= punt(DEVICES["x86-core"]) <= 9000


def test_a_punt_costs_tens_of_hits_on_the_host():
    ratio = punt(DEVICES["x86-core"]) / hit(DEVICES["x86-core"])
    assert 20 <= ratio <= 60


def test_a_tag_on_the_host_costs_one_siphash_of_four_words():
    for stage in ("tag_seal", "tag_check"):
        assert 23 <= cycles(DEVICES["x86-core"], stage, TAG) <= 45


def test_a_hit_in_the_asic_takes_the_published_port_to_port_time():
    device = DEVICES["asic-nic"]
    assert 400 <= hit(device) / device["clock_hz"]["value"] * 1e9 <= 700


def test_sealing_on_the_host_costs_what_was_measured():
    work = DEVICES["x86-core"]["work"]
    for size, nanos in ((64, 27), (256, 34), (512, 46), (1400, 90)):
        cost = (work["seal"]["value"] + work["byte_ciphered"]["value"] * size) / 2.6
        assert abs(cost / nanos - 1) < 0.1, size


def test_pipelines_carry_what_they_are_named_for():
    for name, gigabits in (("fpga-250mhz", 100), ("asic-nic", 400)):
        device = DEVICES[name]
        assert device["datapath_bytes"]["value"] * 8 * device["clock_hz"]["value"] >= gigabits * 1e9
