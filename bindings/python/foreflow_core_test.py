# SPDX-License-Identifier: BSD-3-Clause
"""The Python module against independent references: scapy, dictionaries, arithmetic."""

from __future__ import annotations

import ast
import json
import random
from pathlib import Path

import numpy as np
import pytest

core = pytest.importorskip("foreflow_core")
scapy = pytest.importorskip("scapy.all")

HERE = Path(__file__).parent


def rule(number: int, verb: str = "forward", **fields) -> dict:
    filled = {
        "id": number, "priority": 0, "l3": "any", "vm": "any", "protocol": "any", "source": "any", "destination": "any",
        "source_port": [0, 65535], "destination_port": [0, 65535],
        "action": {"verb": verb, "mirror": False, "queue": None, "meter": None},
    }
    return {**filled, **fields}


def random_keys(count: int, seed: int) -> np.ndarray:
    generator = np.random.default_rng(seed)
    keys = np.zeros(count, dtype=core.FLOW_KEY)
    keys["source_address"][:, :4] = generator.integers(0, 4, (count, 4))
    keys["destination_address"][:, :4] = generator.integers(0, 4, (count, 4))
    keys["source_port"] = generator.integers(0, 100, count)
    keys["destination_port"] = generator.integers(0, 100, count)
    keys["ip_protocol"] = generator.choice([6, 17], count)
    keys["l3"] = core.LAYER3.index("ipv4")
    keys["vm"] = generator.integers(0, 8, count)
    return keys


def random_packet(generator: random.Random):
    """A scapy packet, and what any dissector must find in it."""
    packet = scapy.Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
    vlan = generator.choice([0, generator.randrange(1, 4095)])
    if vlan:
        packet /= scapy.Dot1Q(vlan=vlan, prio=generator.randrange(8))
    if generator.random() < 0.5:
        source = f"10.{generator.randrange(256)}.{generator.randrange(256)}.1"
        packet /= scapy.IP(src=source, dst="10.0.0.2", tos=generator.randrange(256), ttl=generator.randrange(1, 256))
    else:
        source = f"fd00::{generator.randrange(1, 65536):x}"
        packet /= scapy.IPv6(src=source, dst="fd00::2", tc=generator.randrange(256), hlim=generator.randrange(1, 256))
    ports = {"sport": generator.randrange(65536), "dport": generator.randrange(65536)}
    if generator.random() < 0.5:
        packet /= scapy.TCP(**ports, seq=generator.randrange(2**32), ack=generator.randrange(2**32), flags=generator.randrange(256))
    else:
        packet /= scapy.UDP(**ports)
    return packet / scapy.Raw(bytes(generator.randrange(0, 300)))


@pytest.mark.parametrize("seed", range(200))
def test_dissect_agrees_with_scapy(seed: int) -> None:
    packet = random_packet(random.Random(seed))
    raw = bytes(packet)
    packet = scapy.Ether(raw)
    found = core.dissect(raw)
    assert core.DISSECT_STATUS[found["status"]] == "ok"
    assert found["vlan"] == (packet[scapy.Dot1Q].vlan if scapy.Dot1Q in packet else 0)
    assert found["outer_vlan"] == (packet[scapy.Dot1Q].prio << 13 | 1 << 12 | packet[scapy.Dot1Q].vlan if scapy.Dot1Q in packet else 0)
    assert bytes(found["source_mac"]) == bytes.fromhex(packet.src.replace(":", ""))
    if scapy.IP in packet:
        ip, family, tos, ttl = packet[scapy.IP], scapy.socket.AF_INET, packet[scapy.IP].tos, packet[scapy.IP].ttl
        assert core.LAYER3[found["l3"]] == "ipv4"
    else:
        ip, family, tos, ttl = packet[scapy.IPv6], scapy.socket.AF_INET6, packet[scapy.IPv6].tc, packet[scapy.IPv6].hlim
        assert core.LAYER3[found["l3"]] == "ipv6"
    address = scapy.inet_pton(family, ip.src)
    assert bytes(found["source_address"]) == address + bytes(16 - len(address))
    assert (found["dscp"], found["ecn"], found["ttl"]) == (tos >> 2, tos & 3, ttl)
    inner = packet[scapy.TCP] if scapy.TCP in packet else packet[scapy.UDP]
    assert core.LAYER4[found["l4"]] == ("tcp" if scapy.TCP in packet else "udp")
    assert (found["source_port"], found["destination_port"]) == (inner.sport, inner.dport)
    if scapy.TCP in packet:
        assert found["tcp_flags"] == int(inner.flags) & 0xFF
        assert (found["tcp_sequence"], found["tcp_acknowledgement"]) == (inner.seq, inner.ack)
    assert found["payload_bytes"] == len(inner.payload)
    assert found["payload_offset"] == len(raw) - len(inner.payload)


def test_a_cut_packet_is_truncated_and_lengths_are_checked() -> None:
    raw = bytes(scapy.Ether() / scapy.IP() / scapy.TCP())
    assert core.DISSECT_STATUS[core.dissect(raw[:30], wire_bytes=len(raw))["status"]] == "truncated"
    with pytest.raises(core.Refusal, match="wire_bytes is 10, allowed: at least the 54"):
        core.dissect(raw, wire_bytes=10)
    with pytest.raises(core.Refusal, match="link is token_ring, allowed: ethernet"):
        core.dissect(raw, link="token_ring")


def test_units_do_not_mix() -> None:
    assert core.millis(3) + core.micros(5) == core.Nanos(3_005_000)
    assert core.to_picos(core.Nanos(7)).count == 7000
    assert core.to_nanos_floor(core.Picos(-1)).count == -1
    assert core.to_seconds(core.seconds(2)) == 2.0
    with pytest.raises(TypeError):
        core.Nanos(1) + core.Picos(1)


def test_flow_table_agrees_with_a_dictionary() -> None:
    keys = random_keys(5000, seed=1)
    table = core.FlowTable(capacity=8192, vms=8)
    slots = table.insert(keys, now_ns=10)
    expected: dict[bytes, int] = {}
    for key, slot in zip(keys, slots):
        assert expected.setdefault(key.tobytes(), slot) == slot
    assert len(table) == len(expected)
    assert (table.find(keys) == slots).all()
    assert [row.tobytes()[:40] for row in table.records()] == list(expected)
    gone = keys[:100]
    assert table.erase(gone) == len({key.tobytes() for key in gone})
    assert (table.find(gone) == core.NO_SLOT).all()
    assert table.expire(now_ns=10**15) == len(expected) - len({key.tobytes() for key in gone})
    assert len(table) == 0


def test_a_flow_table_takes_keys_of_the_right_kind_only() -> None:
    with pytest.raises((TypeError, ValueError)):
        core.FlowTable(10).find(np.zeros(3, dtype=[("a", "u4")]))
    with pytest.raises(core.Refusal):
        core.FlowTable(0)


def decide(rules: list[dict], key: np.void) -> tuple[int, str]:
    """Every rule in turn, from its text alone."""
    numbers = {"tcp": 6, "udp": 17}
    best = None
    for each in rules:
        prefix, _, length = each["destination"].partition("/")
        matches = each["protocol"] == "any" or numbers[each["protocol"]] == key["ip_protocol"]
        matches &= each["vm"] == "any" or each["vm"] == key["vm"]
        matches &= each["destination_port"][0] <= key["destination_port"] <= each["destination_port"][1]
        if prefix != "any":
            address = int.from_bytes(bytes(key["destination_address"][:4]), "big")
            wanted = int.from_bytes(bytes(map(int, prefix.split("."))), "big")
            matches &= address >> (32 - int(length)) == wanted >> (32 - int(length))
        if matches and (best is None or (-each["priority"], each["id"]) < (-best["priority"], best["id"])):
            best = each
    return (core.NO_RULE, "drop") if best is None else (best["id"], best["action"]["verb"])


@pytest.mark.parametrize("seed", range(5))
def test_rule_table_agrees_with_a_scan_in_python(seed: int) -> None:
    generator = random.Random(seed)
    rules = []
    for number in range(40):
        low = generator.randrange(100)
        length = generator.choice([8, 16, 24])
        destination = ".".join(str(generator.randrange(4)) if 8 * i < length else "0" for i in range(4))
        rules.append(
            rule(
                number, generator.choice(["forward", "drop", "trap"]), priority=generator.randrange(5),
                protocol=generator.choice(["any", "tcp", "udp"]), vm=generator.choice(["any", generator.randrange(8)]),
                destination=generator.choice(["any", f"{destination}/{length}"]),
                destination_port=[low, generator.randrange(low, 100)],
            )
        )
    table = core.RuleTable(json.dumps(rules))
    keys = random_keys(400, seed)
    found = table.classify(keys)
    assert (found == table.classify_by_linear_scan(keys)).all()
    assert (found == table.classify(table.entry_keys(keys))).all()
    for key, decision in zip(keys, found):
        assert (decision["rule"], core.VERBS[decision["verb"]]) == decide(rules, key)


def test_vlans_are_told_apart() -> None:
    rules = [
        rule(1, priority=3, vlan=7, vlan_priority=3), rule(2, priority=2, vlan=7), rule(3, priority=1, vlan="none"),
        rule(4, vlan_priority=6), rule(5, "drop", priority=-1, vlan="any"),
    ]
    table = core.RuleTable(json.dumps(rules))
    frames = [scapy.Ether() / scapy.IP() / scapy.UDP()]
    frames += [scapy.Ether() / scapy.Dot1Q(vlan=vid, prio=priority) / scapy.IP() / scapy.UDP() for vid in (0, 7, 8) for priority in (0, 3, 6)]
    frames.append(scapy.Ether(type=0x88A8) / scapy.Dot1Q(vlan=8, prio=6) / scapy.Dot1Q(vlan=7, prio=3) / scapy.IP() / scapy.UDP())
    vlans = np.array([core.dissect(bytes(frame))["outer_vlan"] for frame in frames], dtype=np.uint16)
    wanted = [3, 5, 5, 4, 2, 1, 2, 5, 5, 4, 4]
    keys = random_keys(len(frames), 1)
    assert table.classify(keys, vlans)["rule"].tolist() == wanted
    assert table.classify_by_linear_scan(keys, vlans)["rule"].tolist() == wanted
    assert (table.classify(keys)["rule"] == 3).all()
    with pytest.raises(core.Refusal, match="vlans: length is 2, allowed: 11, as many as keys"):
        table.classify(keys, vlans[:2])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"priority": "high"}, r"\[0\].priority is \"high\", allowed: integers"),
        ({"destination": "10.0.0.1/8"}, r"\[0\].destination is .*without host bits"),
        ({"colour": "red"}, r"unknown key \"colour\" in \[0\]"),
        ({"destination_port": [9, 5]}, r"\[0\].destination_port\[1\] is 5, allowed: integers 9 .. 65535"),
    ],
)
def test_a_bad_rule_is_refused_with_key_value_and_range(change: dict, says: str) -> None:
    with pytest.raises(core.Refusal, match=says):
        core.RuleTable(json.dumps([{**rule(1), **change}]))


def test_predictor_learns_what_follows_and_its_probabilities_add_up() -> None:
    predictor = core.TypePredictor("markov2")
    for _ in range(50):
        predictor.learn([1, 2], "bulk")
        predictor.learn([3, 2], "request")
    for symbols, wanted in (([1, 2], "bulk"), ([3, 2], "request")):
        prediction = predictor.predict(symbols)
        assert prediction["type"] == wanted
        assert prediction["confidence"] == prediction["probability"].max() > 40_000
        assert abs(int(prediction["probability"].sum()) - 65535) <= len(core.PACKET_TYPES)
    with pytest.raises(core.Refusal, match=r"symbols\[0\] is 64, allowed: 0 .. 63"):
        predictor.predict([64])
    with pytest.raises(core.Refusal, match="kind is oracle, allowed: persistence"):
        core.TypePredictor("oracle")


def test_successors_come_in_order_of_frequency_and_indices_are_checked() -> None:
    table = core.SuccessorTable(destinations=5, successors=3)
    for following in [1, 1, 1, 2]:
        table.observe(0, following)
    assert [destination for destination, _ in table.predict(0)] == [1, 2]
    with pytest.raises(core.Refusal, match="destination is 5, allowed: 0 .. 4"):
        table.observe(5, 0)


def write_capture(path: Path) -> list:
    packets = [scapy.Ether(src=f"02:00:00:00:00:{i % 3:02x}") / scapy.IP(dst="10.0.0.9") / scapy.UDP(sport=1000 + i, dport=53) for i in range(50)]
    for i, packet in enumerate(packets):
        packet.time = 1_700_000_000 + i * 0.001
    scapy.wrpcap(str(path), packets)
    return packets


def test_capture_holds_what_scapy_wrote_and_replay_counts_it(tmp_path: Path) -> None:
    packets = write_capture(tmp_path / "a.pcap")
    capture = core.Capture(str(tmp_path / "a.pcap"))
    assert [capture.bytes(i) for i in range(len(capture))] == [bytes(packet) for packet in packets]
    records = capture.records()
    assert (np.diff(records["time_ns"]) == 1_000_000).all()
    assert (capture.dissect()["source_port"] == np.arange(1000, 1050)).all()
    result = core.replay(capture)
    assert result["packets"] == {"in": 50, "out": 50, "held": 0, "dropped": {}}
    assert len(result["fingerprint"]) == 64 and result["vms"] == 3
    assert (result["decisions"]["packet"] == np.arange(50)).all()
    assert core.replay(capture)["fingerprint"] == result["fingerprint"]
    with pytest.raises(IndexError):
        capture.bytes(50)


def test_a_file_that_is_no_capture_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_text("hello")
    with pytest.raises(core.Refusal, match="not a pcap or pcapng capture .magic 0x68656c6c."):
        core.Capture(str(path))


def test_stubs_name_what_the_module_has() -> None:
    tree = ast.parse((HERE / "foreflow_core.pyi").read_text())
    stubs: dict[str, set[str]] = {}
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            stubs[node.name] = {item.name for item in node.body if isinstance(item, ast.FunctionDef)}
        elif isinstance(node, ast.FunctionDef):
            stubs[node.name] = set()
        elif isinstance(node, ast.AnnAssign):
            stubs[node.target.id] = set()
    declared = {name for name in stubs if not name.startswith("_")}
    assert declared == {name for name in dir(core) if not name.startswith("_")}
    for name in declared:
        for method in stubs[name]:
            assert hasattr(getattr(core, name), method), f"{name}.{method}"
        if isinstance(getattr(core, name), type) and not issubclass(getattr(core, name), Exception):
            public = {item for item in vars(getattr(core, name)) if not item.startswith("_")}
            assert public <= stubs[name] | {"count"}, name
