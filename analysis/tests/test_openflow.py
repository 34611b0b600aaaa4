# SPDX-License-Identifier: BSD-3-Clause
"""The translation of rules to OpenFlow: Open vSwitch itself must decide as the project's linear scan does."""

from __future__ import annotations

import ipaddress
import json
import random
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from datasets.generate import loop, rulesets
from foreflow import config
from foreflow.errors import Refused
from foreflow.machine import openflow
from foreflow.machine.open_vswitch import WITHOUT_DPDK, OpenVSwitch
from foreflow.places import SCENARIOS

core = pytest.importorskip("foreflow_core")
scapy = pytest.importorskip("scapy.all")

VMS = 3
PORTS = openflow.Ports(out=90, mirror=91, of_vm={vm: 10 + vm for vm in range(VMS + 1)})
RULE_SETS = 12
PACKETS = 400  # a rule set
VLAN_MENU = [0, 7, 4095]
PORT_MENU = [0, 1, 53, 79, 80, 81, 443, 1023, 1024, 2048, 2303, 5432, 8080, 32768, 65534, 65535]


@pytest.mark.parametrize("low,high", [(0, 65535), (0, 0), (512, 514), (1, 65534), (1024, 65535), (67, 68), (65535, 65535)])
def test_masks_cover_a_range_exactly(low: int, high: int) -> None:
    covered = [port for port in range(65536) for value, mask in openflow.masks_of(low, high) if port & mask == value]
    assert covered == list(range(low, high + 1))
    assert len(openflow.masks_of(low, high)) <= 30


def random_rule(dice: random.Random, number: int) -> dict[str, Any]:
    """Rules out of a small universe, so that they overlap; of every shape that OpenFlow can say."""
    l3 = dice.choice(["any", "any", "arp", "ipv4", "ipv4", "ipv4", "ipv6", "ipv6"])
    protocol = dice.choice(["any", "any", "tcp", "tcp", "udp", "icmp", "icmpv6", 47, 0])

    def prefix() -> str:
        if l3 not in ("ipv4", "ipv6") or dice.random() < 0.5:
            return "any"
        if l3 == "ipv4":
            length = dice.choice([7, 8, 16, 23, 24, 30, 31, 32])
            return str(ipaddress.ip_network(f"10.{dice.randrange(2)}.{dice.randrange(3)}.{dice.randrange(6)}/{length}", strict=False))
        length = dice.choice([32, 63, 64, 65, 72, 127, 128])
        return str(ipaddress.ip_network(f"2001:db8:0:{dice.randrange(3)}:{dice.randrange(2) << 15:x}::{dice.randrange(5):x}/{length}", strict=False))

    def ports(likely: float) -> list[int]:
        if dice.random() > likely:
            return [0, 65535]
        a, b = dice.choice(PORT_MENU), dice.choice(PORT_MENU)
        return [min(a, b), max(a, b)] if dice.random() < 0.5 else [a, a]

    vlan = dice.choice([{}] * 5 + [{"vlan": "none"}, {"vlan": dice.choice(VLAN_MENU)}, {"vlan": dice.choice(VLAN_MENU), "vlan_priority": 5}, {"vlan_priority": 5}])
    action = {"verb": dice.choice(["forward", "drop", "trap"]), "mirror": dice.random() < 0.3}
    action |= {"queue": dice.choice([None, 0, 3]), "meter": dice.choice([None, None, 0, 1])}
    return {
        "id": number * 7 + 1,
        "priority": dice.randrange(-3, 4),
        "l3": l3,
        "vm": dice.choice(["any", "any", *range(VMS + 1)]),
        "protocol": protocol,
        "source": prefix(),
        "destination": prefix(),
        "source_port": ports(0.5) if protocol in ("tcp", "udp") else [0, 65535],
        "destination_port": ports(0.6),
        **vlan,
        "action": action,
    }


def random_packet(dice: random.Random) -> bytes:
    """A well-formed frame of any kind that rules tell apart."""

    def port() -> int:
        return dice.choice(PORT_MENU) if dice.random() < 0.8 else dice.randrange(65536)

    frame = scapy.Ether(src=f"02:00:00:00:00:{dice.randrange(1, VMS + 2):02x}", dst="02:00:00:00:01:00")
    if dice.random() < 0.3:
        frame /= scapy.Dot1Q(vlan=dice.choice([*VLAN_MENU, dice.randrange(1, 4095)]), prio=dice.choice([0, 5]), id=dice.randrange(2))
    kind = dice.choice(["arp", "none", "ipv4", "ipv4", "ipv4", "ipv6", "ipv6"])
    if kind == "arp":
        return bytes(frame / scapy.ARP(psrc="10.0.0.1", pdst="10.0.0.2"))
    if kind == "none":
        frame.lastlayer().type = dice.choice([0x88CC, 0x88B5, 0x8035])
        return bytes(frame / scapy.Raw(bytes(46)))
    transports = {
        "tcp": lambda: scapy.TCP(sport=port(), dport=port(), flags=dice.randrange(64)),
        "udp": lambda: scapy.UDP(sport=port(), dport=port()),
        "icmp": lambda: scapy.ICMP(type=dice.choice([0, 3, 8, 11]), code=dice.randrange(2), id=port()),
        "icmpv6": lambda: scapy.ICMPv6EchoRequest(id=port()),
        "gre": lambda: scapy.Raw(bytes(8)),
    }
    transport = dice.choice(list(transports))
    body = transports[transport]() / scapy.Raw(bytes(16))
    number = {"tcp": 6, "udp": 17, "icmp": 1, "icmpv6": 58, "gre": 47}[transport]
    # Open vSwitch takes a later fragment of IPv6 for protocol 44, whatever was fragmented.
    part = dice.choice(["whole"] * 6 + ["first", "later" if kind == "ipv4" else "first"])
    more, offset = int(part == "first"), 8 * int(part == "later")
    if kind == "ipv4":
        ends = {end: f"10.{dice.randrange(2)}.{dice.randrange(3)}.{dice.randrange(6)}" for end in ("src", "dst")}
        return bytes(frame / scapy.IP(**ends, proto=number, flags="MF" if more else 0, frag=offset) / body)
    ends = {end: f"2001:db8:0:{dice.randrange(3)}:{dice.randrange(2) << 15:x}::{dice.randrange(5):x}" for end in ("src", "dst")}
    if part == "whole":
        return bytes(frame / scapy.IPv6(**ends, nh=number) / body)
    return bytes(frame / scapy.IPv6(**ends) / scapy.IPv6ExtHdrFragment(nh=number, m=more, offset=offset) / body)


@pytest.fixture(scope="module")
def switch() -> Iterator[OpenVSwitch]:
    if not WITHOUT_DPDK.exists() or shutil.which("ovs-vsctl") is None:
        pytest.skip("Open vSwitch is not installed: apt-get install --no-install-recommends openvswitch-switch")
    # Names of sockets are short: not under pytest's long folders.
    with tempfile.TemporaryDirectory(prefix="foreflow-ovs-") as folder, OpenVSwitch(Path(folder)) as running:
        for number in (*PORTS.of_vm.values(), PORTS.out, PORTS.mirror):
            running.add_port(f"p{number}", number, "dummy")
        yield running


def keys_of(packets: list[bytes], folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """What the project's own dissector makes of the frames, and their VLANs; VMs are numbered by source MAC, the last is the uplink."""
    file = folder / "packets.pcap"
    scapy.wrpcap(str(file), [scapy.Ether(packet) for packet in packets])
    capture = core.Capture(str(file))
    assert [capture.bytes(i) for i in range(len(packets))] == packets
    return capture.keys(VMS), capture.dissect()["outer_vlan"]


def decided_by(switch: OpenVSwitch, in_port: int, packet: bytes) -> tuple[int, set[str]]:
    """The cookie of the flow that decides a packet, and what is done with it."""
    assert switch.control is not None
    trace = switch.control("ofproto/trace", "br", f"in_port={in_port}", packet.hex())
    deciding = re.findall(r"cookie (0x[0-9a-f]+)\n((?:    +\S.*\n)*)", trace.split("Final flow:")[0])
    if not deciding:
        return 0, {"drop"}
    cookie, actions = deciding[-1]
    return int(cookie, 16), set(actions.split())


def expected_actions(action: dict[str, Any]) -> set[str]:
    found = {f"output:{PORTS.mirror}"} if action["mirror"] else set()
    if action["verb"] == "drop":
        return found or {"drop"}
    found.add(f"output:{PORTS.out}")
    found |= {f"meter:{action['meter'] + 1}"} if action["meter"] is not None else set()
    return found | ({f"set_queue:{action['queue']}"} if action["queue"] is not None else set())


def check(switch: OpenVSwitch, rules: list[dict[str, Any]], packets: list[bytes], folder: Path, seed: int) -> set[int]:
    """Compares all packets; the rules that decided some."""
    meters = [{"committed_mbps": 1, "committed_kb": 1, "peak_mbps": 5 + i, "peak_kb": 10} for i in range(2)]
    switch.load(openflow.flows_of(rules, PORTS), openflow.meters_of(meters))
    keys, vlans = keys_of(packets, folder)
    scan = core.RuleTable(json.dumps([without_meter(rule) for rule in rules])).classify_by_linear_scan(keys, vlans)
    actions = {rule["id"]: rule["action"] for rule in rules}
    for packet, key, decision in zip(packets, keys, scan):
        rule = int(decision["rule"])
        cookie, done = decided_by(switch, PORTS.of_vm[int(key["vm"])], packet)
        wanted = (0, {"drop"}) if rule == core.NO_RULE else (rule + 1, expected_actions(actions[rule]))
        assert (cookie, done) == wanted, f"seed {seed}: {scapy.Ether(packet).summary()}, vm {key['vm']}: {packet.hex()}"
    return {int(rule) for rule in scan["rule"]}


def without_meter(rule: dict[str, Any]) -> dict[str, Any]:
    return {**rule, "action": {**rule["action"], "meter": None}}


def test_open_vswitch_decides_as_the_linear_scan(switch: OpenVSwitch, tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")
    dice = random.Random(seed)
    decided = 0
    for made in range(RULE_SETS):
        rules = [random_rule(dice, number) for number in range((3, 20, 60)[made % 3])]
        decided += len(check(switch, rules, [random_packet(dice) for _ in range(PACKETS)], tmp_path, seed))
    assert decided > 5 * RULE_SETS  # the packets meet many rules, not the default alone


def test_open_vswitch_decides_the_data_centre_rules(switch: OpenVSwitch, tmp_path: Path) -> None:
    dice = random.Random(1)
    rules = config.load_rules("datacentre", SCENARIOS)["rules"]
    packets = [random_packet(dice) for _ in range(1000)]
    frame = scapy.Ether(src="02:00:00:00:00:01", dst="02:00:00:00:01:00")
    for rule in rules:
        if rule["protocol"] in ("tcp", "udp"):
            layer = scapy.TCP if rule["protocol"] == "tcp" else scapy.UDP
            ports = layer(sport=max(1, rule["source_port"][0]), dport=max(1, rule["destination_port"][0]))
            for source in ("10.1.2.3", "172.16.0.1", "192.168.1.1", "8.8.8.8"):
                packets.append(bytes(frame / scapy.IP(src=source, dst="10.9.9.9") / ports))
            packets.append(bytes(frame / scapy.IPv6(src="fd00::1", dst="fd00::2") / ports))
    decided = check(switch, rules, packets, tmp_path, 1)
    assert len(decided) > len(rules) * 0.8


def test_open_vswitch_decides_mixed_masks_over_a_loop(switch: OpenVSwitch, tmp_path: Path) -> None:
    """As the benchmark of the runner has it: many masks, and packets that meet many of the rules."""
    loop.write(2000, 1, tmp_path / "loop.pcapng")
    capture = core.Capture(str(tmp_path / "loop.pcapng"))
    rules = rules_of(rulesets.mixed_masks(700, 1), tmp_path)
    assert len(rules) == 700
    networks = {(rule["source"].rpartition("/")[2], rule["destination"].rpartition("/")[2]) for rule in rules}
    assert len(networks) > 100
    assert len(check(switch, rules, [capture.bytes(i) for i in range(len(capture))], tmp_path, 1)) > 100


def rules_of(ruleset: dict[str, Any], folder: Path) -> list[dict[str, Any]]:
    path = folder / "rules.yaml"
    path.write_text(yaml.safe_dump(ruleset))
    return config.load_rules(str(path), folder)["rules"]


@pytest.mark.parametrize(
    "change,sentence",
    [
        ({"source_port": [53, 53]}, r"rule 1: source_port = \[53, 53\] cannot be said in OpenFlow"),
        ({"l3": "arp", "source": "10.0.0.0/8"}, "rule 1: l3 = arp cannot be said in OpenFlow"),
        ({"protocol": 0, "source_port": [0, 40000]}, "rule 1: source_port"),
    ],
)
def test_what_openflow_cannot_say_is_refused(change: dict[str, Any], sentence: str) -> None:
    plain = random_rule(random.Random(1), 0) | {"l3": "any", "protocol": "any", "source": "any", "destination": "any"}
    with pytest.raises(Refused, match=sentence):
        openflow.flows_of([plain | {"source_port": [0, 65535], "destination_port": [0, 65535]} | change], PORTS)
