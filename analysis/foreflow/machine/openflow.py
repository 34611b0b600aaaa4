# SPDX-License-Identifier: BSD-3-Clause
"""A rule set in the words of OpenFlow, so that Open vSwitch can be a peer that decides the same.

What a rule means is models/rules/rule_table.h. Each rule gets a priority of its own by its rank, and its id + 1 as
cookie. Rules see ports as numbers of any protocol; where OpenFlow needs "any protocol but", a first table writes the
packet's class into a register. Well-formed packets get the same decision, but for later fragments of IPv6, whose
protocol Open vSwitch does not look for; what the project drops as malformed, it forwards.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from foreflow.errors import Refused

ALL_PORTS = [0, 65535]
PROTOCOLS = {"icmp": 1, "tcp": 6, "udp": 17, "icmpv6": 58}
ETHERTYPE_ARP = 0x0806
NO_ETHERTYPE = 0x05FF  # what OpenFlow calls an 802.3 frame without an ethertype; the project calls it 0
TOP_PRIORITY = 65535
MOST_ETHERTYPES = 256  # a rule is spelt out for; more would be a table of their own

# Classes that OpenFlow has no match for; table 0 writes them into reg0.
REST_OF_IPV4, REST_OF_IPV6, NO_IP = 1, 2, 3
_CLASSES = (
    *(f"table=0,priority=2,{known},actions=goto_table:1" for known in ("arp", "icmp", "tcp", "udp", "icmp6", "tcp6", "udp6")),
    f"table=0,priority=1,ip,actions=load:{REST_OF_IPV4}->NXM_NX_REG0[],goto_table:1",
    f"table=0,priority=1,ipv6,actions=load:{REST_OF_IPV6}->NXM_NX_REG0[],goto_table:1",
    f"table=0,priority=0,actions=load:{NO_IP}->NXM_NX_REG0[],goto_table:1",
)


@dataclass(frozen=True)
class Ports:
    """OpenFlow's numbers of a bridge's ports."""

    out: int | str  # a number, or in_port: back out where it came from
    mirror: int | None = None  # None: copies are not made
    of_vm: dict[int, int] = field(default_factory=dict)  # a rule for a VM without a port matches nothing


def masks_of(low: int, high: int, bits: int = 16) -> list[tuple[int, int]]:
    """The fewest (value, mask) pairs that together match `low` to `high`."""
    found = []
    while low <= high:
        size = low & -low or 1 << bits
        while size > high - low + 1:
            size >>= 1
        found.append((low, (1 << bits) - size))
        low += size
    return found


def _port_matches(name: str, ports: list[int]) -> list[str]:
    if ports == ALL_PORTS:
        return [""]
    return [f",{name}={value}" if mask == 0xFFFF else f",{name}={value:#x}/{mask:#x}" for value, mask in masks_of(*ports)]


def _icmp_matches(kind: str, ports: list[int]) -> list[str]:
    """Type and code are the high and low byte of the destination port."""
    if ports == ALL_PORTS:
        return [""]
    low, high = ports
    matches = []
    for of_type in range(low >> 8, (high >> 8) + 1):
        first, last = max(low, of_type << 8), min(high, of_type << 8 | 0xFF)
        if last - first == 0xFF:
            matches.append(f",{kind}_type={of_type}")
        else:
            matches += [f",{kind}_type={of_type},{kind}_code={code & 0xFF}" for code in range(first, last + 1)]
    return matches


def _refuse(rule: dict[str, Any], key: str, allowed: str) -> None:
    raise Refused(f"rule {rule['id']}: {key} = {rule[key]} cannot be said in OpenFlow; allowed is {allowed}")


def _families(rule: dict[str, Any]) -> set[str]:
    """Of what a rule can match: arp, ipv4, ipv6, and none for the rest of the frames."""
    prefixes = [ipaddress.ip_network(rule[end]) for end in ("source", "destination") if rule[end] != "any"]
    if prefixes and rule["l3"] == "arp":
        _refuse(rule, "l3", "a family with prefixes: addresses inside ARP are not compared")
    if prefixes:
        return {f"ipv{prefixes[0].version}"}
    return {"none", "arp", "ipv4", "ipv6"} if rule["l3"] == "any" else {rule["l3"]}


def _ip_matches(rule: dict[str, Any], family: str) -> Iterator[str]:
    version = family[-1]
    ip = "ip" if version == "4" else "ipv6"
    ends = "".join(
        f",{name}_{end}={rule[key]}"
        for key, end in (("source", "src"), ("destination", "dst"))
        if rule[key] != "any"
        for name in ("nw" if version == "4" else "ipv6",)
    )
    protocol = PROTOCOLS.get(rule["protocol"], rule["protocol"])
    source, destination = rule["source_port"], rule["destination_port"]
    if source == destination == ALL_PORTS:
        yield ip + ends + ("" if protocol == "any" else f",nw_proto={protocol}")
        return
    own_icmp = 1 if version == "4" else 58
    for number, name in ((6, "tcp"), (17, "udp")):
        if protocol in ("any", number):
            for of_source in _port_matches("tp_src", source):
                for of_destination in _port_matches("tp_dst", destination):
                    yield f"{ip},nw_proto={number}{ends}{of_source}{of_destination}"
    if protocol in ("any", own_icmp):
        if source != ALL_PORTS:
            _refuse(rule, "source_port", "[0, 65535] unless protocol is tcp or udp: ICMP's identifier is not a field there")
        for match in _icmp_matches("icmp" if version == "4" else "icmpv6", destination):
            yield f"{ip},nw_proto={own_icmp}{ends}{match}"
    if source[0] == 0 and destination[0] == 0:  # other protocols have no ports: 0
        if protocol == "any":
            yield f"reg0={REST_OF_IPV4 if version == '4' else REST_OF_IPV6},{ip}{ends}"
        elif protocol not in (6, 17, own_icmp):
            yield f"{ip},nw_proto={protocol}{ends}"


def _other_matches(rule: dict[str, Any], family: str) -> Iterator[str]:
    """Frames without IP: protocol 0, the ethertype as source port, 0 as destination port."""
    low, high = rule["source_port"]
    if rule["protocol"] not in ("any", 0) or rule["destination_port"][0] != 0:
        return
    if family == "arp":
        if low <= ETHERTYPE_ARP <= high:
            yield "arp"
    elif [low, high] == ALL_PORTS:
        yield f"reg0={NO_IP}"
    elif high - low >= MOST_ETHERTYPES:
        _refuse(rule, "source_port", f"[0, 65535], or at most {MOST_ETHERTYPES} ethertypes, where a rule matches frames without IP")
    else:
        for ethertype in range(low, high + 1):
            # Below 0x600 the field is a length, and the ethertype none.
            if ethertype == 0 or ethertype >= 0x600:
                yield f"reg0={NO_IP},dl_type={ethertype or NO_ETHERTYPE:#x}"


def vlan_match_of(rule: dict[str, Any]) -> str:
    """Of the outermost tag, which is the one that OpenFlow's fields are about."""
    vlan, priority = rule.get("vlan", "any"), rule.get("vlan_priority", "any")
    parts = {"any": [], "none": ["vlan_tci=0/0x1000"]}.get(vlan, [f"dl_vlan={vlan}"])
    return ",".join(parts + ([f"dl_vlan_pcp={priority}"] if priority != "any" else []))


def matches_of(rule: dict[str, Any]) -> list[str]:
    """OpenFlow matches whose union is what the rule matches, its VM and VLAN apart."""
    families = _families(rule)
    everything = rule["protocol"] == "any" and rule["source_port"] == rule["destination_port"] == ALL_PORTS
    if everything and len(families) == 4:
        return [""]
    found: list[str] = []
    for family in sorted(families):
        found += _ip_matches(rule, family) if family.startswith("ip") else _other_matches(rule, family)
    return found


def actions_of(action: dict[str, Any], ports: Ports) -> str:
    """A trap is decided by the host's table, which here is this one: it forwards.

    OpenFlow has a meter act before all else, so that what it drops is not mirrored there; here it is.
    """
    mirror = [f"output:{ports.mirror}"] if action["mirror"] and ports.mirror is not None else []
    if action["verb"] == "drop":
        return ",".join(mirror) or "drop"
    meter = [f"meter:{action['meter'] + 1}"] if action["meter"] is not None else []
    queue = [f"set_queue:{action['queue']}"] if action["queue"] is not None else []
    return ",".join([*meter, *mirror, *queue, f"output:{ports.out}"])


def flows_of(rules: list[dict[str, Any]], ports: Ports) -> list[str]:
    """Lines for `ovs-ofctl -O OpenFlow15 add-flows`; a packet that no rule matches is dropped."""
    if len(rules) > TOP_PRIORITY:
        raise Refused(f"{len(rules)} rules; OpenFlow has priorities for {TOP_PRIORITY}")
    ranked = sorted(rules, key=lambda rule: (-rule["priority"], rule["id"]))
    lines = []
    for rank, rule in enumerate(ranked):
        vm = "" if rule["vm"] == "any" else f"in_port={ports.of_vm[rule['vm']]}" if rule["vm"] in ports.of_vm else None
        if vm is None:
            continue
        actions = actions_of(rule["action"], ports)
        for match in matches_of(rule):
            matched = ",".join(part for part in (f"priority={TOP_PRIORITY - rank}", vm, vlan_match_of(rule), match) if part)
            lines.append(f"cookie={rule['id'] + 1:#x},{matched},actions={actions}")
    if any("reg0=" in line for line in lines):
        return [*_CLASSES, *(f"table=1,{line}" for line in lines)]
    return lines


def meters_of(meters: list[dict[str, Any]]) -> list[str]:
    """Arguments of `ovs-ofctl -O OpenFlow15 add-meter`: what is above the peak rate is dropped, as here.

    Rates and bursts are rounded up to whole kbit/s and kbit.
    """
    return [
        f"meter={number},kbps,burst,bands=type=drop,rate={-int(-meter['peak_mbps'] * 1000 // 1)},"
        f"burst_size={-int(-meter['peak_kb'] * 8 // 1)}"
        for number, meter in enumerate(meters, 1)
    ]
