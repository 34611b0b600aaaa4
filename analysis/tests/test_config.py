# SPDX-License-Identifier: BSD-3-Clause
"""What a scenario may say, and that the rest is refused with file, key, value and range."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import jsonschema
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from foreflow import config
from foreflow.errors import Refused
from foreflow.places import ROOT, SCENARIOS
from foreflow.runs import runner


def refusal(scenario: str, *overrides: str) -> str:
    with pytest.raises(Refused) as caught:
        config.resolve(scenario, list(overrides))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_schema_is_a_schema_and_its_defaults_satisfy_it() -> None:
    jsonschema.Draft202012Validator.check_schema(config.schema())
    filled = config.fill({"scenario": "x", "about": "y"}, config.schema())
    config.validate(filled, config.schema(), "defaults")
    assert filled["traffic"] == {"load": 0.9, "max_gap_ms": 1000, "max_packets": 0, "shift_input": None, "shift_at": 0.5}


@pytest.mark.parametrize("file", sorted(SCENARIOS.glob("*/scenario.yaml")), ids=lambda path: path.parent.name)
def test_every_committed_scenario_resolves(file: Path) -> None:
    resolved = config.resolve(str(file), [])
    assert resolved["scenario"] == file.parent.name
    assert set(resolved["hw"]) == {resolved["host"]["profile"], resolved["host"]["bus"], resolved["device"]["profile"]}
    assert all("about" not in rule for rule in resolved["rules"])


@pytest.mark.parametrize(
    ("override", "parts"),
    [
        ("loda=0.5", ["loda", "did you mean traffic.load?"]),
        ("link.rate_gbps=10", ["link.rate_gbps", "did you mean link.rate_mbps?"]),
        ("rate_mbps=10", ["did you mean link.rate_mbps?"]),
        ("load=0", ["traffic.load = 0", "from 0.001 to 10"]),
        ("load=fast", ["traffic.load", '"fast"', "a number"]),
        ("load=NaN", ["traffic.load", "a number from"]),
        ("load=Infinity", ["traffic.load", "a number from"]),
        ("load=true", ["traffic.load", "a number from"]),
        ("link.rate_mbps=10Gbps", ["link.rate_mbps", "a number from 1 to"]),
        ("host.vms=1.5", ["host.vms = 1.5", "a whole number from 1 to 4096"]),
        ("host.vms=64.0", ["host.vms = 64.0", "a whole number"]),
        ("host.vms=5000", ["host.vms = 5000", "4096"]),
        ("capacity=0", ["device.flow_entries = 0"]),
        ("capacity=0%", ["device.flow_entries", "above 0%"]),
        ("capacity=101%", ["device.flow_entries", "to 100%"]),
        ("capacity=ten", ["device.flow_entries"]),
        ("arms=off,fast", ["arms[1]", "one of off, reactive"]),
        ("arms=off,off", ["arms", "none twice"]),
        ("seeds=0", ["seeds = 0", "from 1 to 1000"]),
        ("tags.master_key=xyz", ["tags.master_key", "32 hex digits"]),
        ("device.profile=fpga", ["device.profile = fpga", "fpga-250mhz"]),
        ("host.bus=x86-core", ["host.bus = x86-core", "kind bus"]),
        ("ruleset=nowhere", ["ruleset = nowhere", "datacentre"]),
        ("predictor=lstm", ["prediction.predictor", "gru, tabulated, tiered"]),
        ("prediction.conversations=0", ["from 1 to 4194304"]),
        ("load", ["key=value"]),
        ("device=big", ["unknown key device"]),
    ],
)
def test_override_is_refused(override: str, parts: list[str]) -> None:
    sentence = refusal("tag", override)
    for part in parts:
        assert part in sentence


def test_models_are_named_by_their_contents(tmp_path: Path) -> None:
    net, table = tmp_path / "net.model", tmp_path / "table.model"
    net.write_bytes(b"one")
    table.write_bytes(b"two")
    words = [f"model={net}", f"table={table}"]

    def named(predictor: str) -> dict:
        resolved = config.resolve("tag", [f"predictor={predictor}", *words])
        assert not {"model", "table"} & set(resolved["prediction"])
        assert config.resolved_for_run(resolved, "predictive", 1, net, tmp_path)["models"] == resolved["models"]
        return resolved["models"]

    def entry(file: Path) -> dict:
        return {"file": str(file), "sha256": hashlib.sha256(file.read_bytes()).hexdigest()}

    assert named("markov3") == {"table": None, "network": None}
    assert named("gru") == {"table": None, "network": entry(net)}
    assert named("tabulated") == {"table": entry(table), "network": None}
    assert named("tiered") == {"table": entry(table), "network": entry(net)}


def test_the_run_depends_on_what_a_model_holds_not_on_where_it_lies(tmp_path: Path) -> None:
    capture, program = tmp_path / "c", tmp_path / "p"
    capture.write_bytes(b"c")
    program.write_bytes(b"p")
    for name, text in (("a", b"one"), ("b", b"one"), ("c", b"two")):
        (tmp_path / f"{name}.model").write_bytes(text)
    key = {
        name: runner.plan(config.resolve("tag", ["predictor=gru", f"model={tmp_path / name}.model"]), "predictive", 1, capture, program).key
        for name in "abc"
    }
    assert key["a"] == key["b"] != key["c"]


def test_a_model_that_is_not_there_is_refused_with_the_next_step(tmp_path: Path) -> None:
    sentence = refusal("tag", "predictor=gru", f"model={tmp_path}/gone.model")
    assert "command line: prediction.model" in sentence
    assert "no such file" in sentence
    assert "no such file in" in refusal("tag", "predictor=tabulated", "table=next-type-automatno")


def test_short_names_and_dotted_keys() -> None:
    resolved = config.resolve("tag", ["load=0.5", "capacity=20%", "host.vms=7", "input=true", "arms=off,reactive"])
    assert resolved["traffic"]["load"] == 0.5
    assert resolved["device"]["flow_entries"] == "20%"
    assert resolved["host"]["vms"] == 7
    assert resolved["input"] == "true"  # a file's name, whatever it looks like
    assert resolved["arms"] == ["off", "reactive"]


def test_unknown_scenario_gets_a_suggestion() -> None:
    assert "did you mean quickstart?" in refusal("quikstart")


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("scenario: x\nabout: y\nlnik: {rate_mbps: 1}\n", ["lnik", "did you mean link?"]),
        ("scenario: x\nabout: y\nlink: {rate_gbps: 1}\n", ["link.rate_gbps", "link.rate_mbps"]),
        ("scenario: x\nabout: y\nseeds: 1\nseeds: 2\n", ["line 4", "seeds", "twice"]),
        ("scenario: x\n", ["key about is missing"]),
        ("- scenario\n", ["mapping"]),
        ("scenario: [\n", ["line"]),
        ("", ["mapping"]),
    ],
)
def test_file_is_refused(tmp_path: Path, text: str, parts: list[str]) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    sentence = refusal(str(file))
    assert str(file) in sentence
    for part in parts:
        assert part in sentence


def test_off_in_yaml_is_an_arm_and_no_boolean(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("scenario: x\nabout: y\narms: [off, reactive]\n")
    assert config.resolve(str(file), [])["arms"] == ["off", "reactive"]


RULE = {"id": 1, "priority": 1, "action": {"verb": "forward"}}


@pytest.mark.parametrize(
    ("ruleset", "parts"),
    [
        ({"rules": [{**RULE, "source": "10.0.0.1/8"}]}, ["rules[0].source", "10.0.0.0/8"]),
        ({"rules": [{**RULE, "source": "10.0.0.0/8", "l3": "ipv6"}]}, ["rules[0].source", "ipv6"]),
        ({"rules": [{**RULE, "source": "10.0.0.0/8", "destination": "fc00::/7"}]}, ["rules[0].destination", "family"]),
        ({"rules": [RULE, RULE]}, ["rules[1].id = 1", "unique"]),
        ({"rules": [{**RULE, "source_port": [9, 1]}]}, ["rules[0].source_port", "lower port"]),
        ({"rules": [{**RULE, "source_port": [0, 65536]}]}, ["rules[0].source_port[1] = 65536", "65535"]),
        ({"rules": [{**RULE, "action": {"verb": "forward", "meter": 0}}]}, ["meter = 0", "no meters"]),
        ({"rules": [{**RULE, "action": {"verb": "pass"}}]}, ["action.verb", "one of forward, drop, trap"]),
        ({"rules": [{**RULE, "vlan": 4096}]}, ["rules[0].vlan = 4096", "0 to 4095"]),
        ({"rules": [{**RULE, "vlan": "none", "vlan_priority": 3}]}, ["rules[0].vlan_priority = 3", "vlan = none is any"]),
        ({"rules": [{**RULE, "prot": "tcp"}]}, ["rules[0].prot", "did you mean rules[0].protocol?"]),
        ({"rules": []}, ["rules"]),
        (
            {"rules": [RULE], "meters": [{"committed_mbps": 2, "committed_kb": 1, "peak_mbps": 1, "peak_kb": 1}]},
            ["meters[0].peak_mbps = 1", "committed_mbps (2) or more"],
        ),
    ],
)
def test_rule_set_is_refused(tmp_path: Path, ruleset: dict, parts: list[str]) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text(yaml.safe_dump(ruleset))
    sentence = refusal("tag", f"ruleset={file}")
    for part in [str(file), *parts]:
        assert part in sentence


@given(st.dictionaries(st.text(max_size=8), st.recursive(st.none() | st.booleans() | st.floats() | st.text(max_size=8), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3), max_leaves=6), max_size=4))
def test_any_document_is_accepted_or_refused(document: dict) -> None:
    try:
        config.validate(document, config.schema(), "x.yaml")
    except Refused as refused:
        assert str(refused).startswith("x.yaml: ")


@given(st.sampled_from(config.all_keys()), st.text(max_size=12))
def test_any_override_is_accepted_or_refused(key: str, value: str) -> None:
    try:
        document = config.apply_overrides({"scenario": "x", "about": "y"}, [f"{key}={value}"])
        config.validate(document, config.schema(), "command line")
    except Refused as refused:
        assert str(refused).startswith("command line: ")
    else:
        json.dumps(config.fill(document, config.schema()), allow_nan=False)


def test_defaults_are_those_of_the_cores() -> None:
    """A scenario that says nothing decides as the cores do when nobody configures them."""
    header = (ROOT / "models/path/path_config.h").read_text()
    defaults = config.fill({"scenario": "x", "about": "y"}, config.schema())
    for room, names in {
        "host": ("vms", "peers_per_vm"),
        "device": ("installs_per_second", "rule_writes_per_second", "vm_installs_per_second"),
        "prediction": ("successors", "lookahead"),
    }.items():
        for name in names:
            found = re.search(rf"\b{name} = ([\d']+);", header)
            assert found, name
            assert int(found.group(1).replace("'", "")) == defaults[room][name], name
    for name in ("minimum_confidence", "governor_margin"):
        found = re.search(rf"\b{name} = (\d+);", header)
        assert found and round(int(found.group(1)) / 65535, 3) == defaults["prediction"][name], name
    assert f"install_latency = Micros({defaults['device']['install_latency_us']})" in header
    assert f"label_horizon = Millis({defaults['prediction']['label_horizon_ms']})" in header
