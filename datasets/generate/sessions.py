# SPDX-License-Identifier: BSD-3-Clause
"""Traffic over a rule set, whose next rule has a known law: `sessions`, and `shuffled` without any."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path

import numpy as np

from . import world
from .frames import TCP, UDP, Packets

VMS = 8
SESSIONS = 4  # kinds of sessions of a VM at a time
STEPS = (6, 16)  # visits of a session, both included
SURE = 0.97  # a visit is followed by the next of its session, else by any of the VM's
POPULARITY = 0.8  # Zipf's exponent, over rules: which ones sessions are made of
PACKETS = 4  # of a visit in the mean, geometric
GAP_NS, PAUSE_NS = 2_000_000.0, 8_000_000.0  # means: between packets of a visit, between visits
PHASES = 2  # in each, half of a VM's sessions are new
PAYLOADS = (100, 400, 1000)
_TRIES = 12  # headers drawn for a rule before it counts as shadowed
_FILTER = re.compile(r"@(\S+)\s+(\S+)\s+(\d+)\s*:\s*(\d+)\s+(\d+)\s*:\s*(\d+)\s+(\w+)/(\w+)")
_PROTOCOLS = {"tcp": TCP, "udp": UDP, "any": UDP}


class _Rules:
    """IPv4 rules as columns, the winner first; what is no IPv4 over TCP, UDP or any takes part in matching alone."""

    def __init__(self, rules: list[dict]):
        ranked = sorted(rules, key=lambda rule: (-rule["priority"], rule["id"]))
        self.count = len(ranked)
        bounds = {end: np.array([_range(rule[end]) for rule in ranked], dtype=np.int64) for end in ("source", "destination")}
        self.low = np.stack([bounds["source"][:, 0], bounds["destination"][:, 0], *(np.array([rule[p][0] for rule in ranked]) for p in ("source_port", "destination_port"))])
        self.high = np.stack([bounds["source"][:, 1], bounds["destination"][:, 1], *(np.array([rule[p][1] for rule in ranked]) for p in ("source_port", "destination_port"))])
        self.protocol = np.array([_PROTOCOLS.get(rule["protocol"], -1) if rule["protocol"] != "any" else 0 for rule in ranked])
        usable = np.array([rule["l3"] in ("any", "ipv4") and rule["vm"] == "any" for rule in ranked])
        self.matches_ipv4 = usable & (self.low[0] >= 0) & (self.low[1] >= 0)

    def winners(self, headers: np.ndarray) -> np.ndarray:
        """By header (source, destination, ports, protocol), the rank of the rule that wins, or -1."""
        winner = np.full(len(headers), -1)
        for begin in range(0, len(headers), 256):
            some = headers[begin : begin + 256]
            hit = np.broadcast_to(self.matches_ipv4, (len(some), self.count)).copy()
            for field in range(4):
                value = some[:, field, None]
                hit &= (self.low[field] <= value) & (value <= self.high[field])
            hit &= (self.protocol == 0) | (self.protocol == some[:, 4, None])
            winner[begin : begin + 256] = np.where(hit.any(axis=1), hit.argmax(axis=1), -1)
        return winner


def from_filters(path: str | Path) -> list[dict]:
    """The rules of a file of filters in ClassBench's form that the doors have read already: see bindings/config/classbench.h."""
    protocols = {TCP: "tcp", UDP: "udp"}
    rules = []
    for line in Path(path).read_text(encoding="ascii").splitlines():
        found = _FILTER.match(line)
        if found is None:
            continue
        source, destination, *ports, protocol, mask = found.groups()
        number = int(protocol, 16)
        ends = [str(ipaddress.ip_network(end, strict=False)) for end in (source, destination)]
        low_and_high = [int(port) for port in ports]
        rules.append({
            "id": len(rules), "priority": -len(rules), "l3": "ipv4", "vm": "any",
            "protocol": "any" if int(mask, 16) == 0 else protocols.get(number, number),
            "source": ends[0], "destination": ends[1], "source_port": low_and_high[:2], "destination_port": low_and_high[2:],
        })  # fmt: skip
    return rules


def _range(prefix: str) -> tuple[int, int]:
    """Lowest and highest IPv4 address; (-1, -1) for IPv6."""
    if prefix == "any":
        return 0, 2**32 - 1
    network = ipaddress.ip_network(prefix)
    return (int(network.network_address), int(network.broadcast_address)) if network.version == 4 else (-1, -1)


def headers_of(rules: list[dict], seed: int) -> np.ndarray:
    """One header a rule that is seen to win it, in an order without law: rows of source, destination, ports, protocol.

    Rules that no drawn header wins (shadowed, or not of IPv4) have none.
    """
    table = _Rules(rules)
    random = world.stream(seed, "headers")
    found = np.zeros((table.count, 5), dtype=np.int64)
    has = np.zeros(table.count, dtype=bool)
    for _ in range(_TRIES):
        left = np.flatnonzero(~has & table.matches_ipv4)
        if len(left) == 0:
            break
        drawn = np.empty((len(left), 5), dtype=np.int64)
        for field in range(4):
            drawn[:, field] = random.integers(table.low[field][left], table.high[field][left], endpoint=True)
        either = np.where(random.random(len(left)) < 0.5, TCP, UDP)
        drawn[:, 4] = np.where(table.protocol[left] == 0, either, table.protocol[left])
        wins = table.winners(drawn) == left
        found[left[wins]] = drawn[wins]
        has[left[wins]] = True
    found = found[has & (table.protocol >= 0)]
    return found[random.permutation(len(found))]


def _plans(random: np.random.Generator, count: int) -> list[np.ndarray]:
    """Sessions of one VM: the headers that they visit, in order."""
    weights = world.zipf_weights(count, POPULARITY)
    return [random.choice(count, int(random.integers(STEPS[0], STEPS[1], endpoint=True)), p=weights) for _ in range(SESSIONS)]


def _visits(seed: int, vm: int, count: int, visits: int, sure: float) -> tuple[np.ndarray, np.ndarray, list[tuple[int, list[np.ndarray]]]]:
    """Which header each visit is to, whether the visit before said so, and the sessions from which visit on."""
    random = world.stream(seed, f"visits-{vm}")
    popular = world.zipf_weights(SESSIONS, 1.0)
    plans = _plans(random, count)
    phases = [(0, list(plans))]
    header = np.empty(visits, dtype=np.int64)
    foretold = np.zeros(visits, dtype=bool)
    session, step = 0, len(plans[0])
    for visit in range(visits):
        if visit and visit % -(-visits // PHASES) == 0:
            plans[::2] = _plans(random, count)[::2]
            phases.append((visit, list(plans)))
            step = len(plans[session])
        if step >= len(plans[session]):
            session, step = int(random.choice(SESSIONS, p=popular)), 0
        foretold[visit] = step > 0
        if random.random() >= sure:
            foretold[visit] = False
            header[visit] = random.choice(np.concatenate(plans))
        else:
            header[visit] = plans[session][step]
        step += 1
    return header, foretold, phases


def _law(headers: np.ndarray, phases: list[list[tuple[int, list[np.ndarray]]]], sure: float) -> dict:
    """What there is to know of the traffic but its future, for those who judge how much can be foretold; `phases` by VM, from which of its packets on."""
    used = np.unique(np.concatenate([session for of_vm in phases for _, sessions in of_vm for session in sessions]))
    return {
        "sure": sure,
        "packets": PACKETS,
        "gap_s": GAP_NS * 1e-9,
        "pause_s": PAUSE_NS * 1e-9,
        "popularity": world.zipf_weights(SESSIONS, 1.0).tolist(),
        "headers": headers[used].tolist(),
        "vms": [
            {
                "mac": int(world.vm_mac(np.asarray(vm))),
                "phases": [{"begin": begin, "scripts": [np.searchsorted(used, session).tolist() for session in sessions]} for begin, sessions in of_vm],
            }
            for vm, of_vm in enumerate(phases)
        ],
    }


def _traffic(seed: int, packets: int, rules: list[dict], sure: float) -> tuple[Packets, dict[str, np.ndarray], dict]:
    headers = headers_of(rules, seed)
    if len(headers) < 2:
        raise ValueError(f"the rule set has {len(headers)} rules that IPv4 packets of TCP or UDP can hit, allowed: 2 or more")
    visits = max(2, packets // (PACKETS * VMS))
    columns: list[list[np.ndarray]] = []
    foretold = []
    phases = []
    for vm in range(VMS):
        random = world.stream(seed, f"times-{vm}")
        header, told, played = _visits(seed, vm, len(headers), visits, sure)
        foretold.append(told)
        size = random.geometric(1 / PACKETS, visits)
        phases.append([(int(size[:visit].sum()), of_phase) for visit, of_phase in played])
        gaps = world.exponential(random, GAP_NS, int(size.sum()))
        first = np.zeros(len(gaps), dtype=bool)
        first[np.concatenate([[0], size.cumsum()[:-1]])] = True
        gaps[first] += world.exponential(random, PAUSE_NS, visits)
        payload = np.asarray(PAYLOADS)[random.integers(0, len(PAYLOADS), len(gaps))]
        columns.append([gaps.cumsum().astype(np.int64), np.full(len(gaps), vm), np.repeat(header, size), payload])
    time, vm, header, payload = (np.concatenate(column) for column in zip(*columns, strict=True))
    order = np.argsort(time, kind="stable")[:packets]
    time, vm, header, payload = time[order], vm[order], header[order], payload[order]
    zeros = np.zeros(len(time), dtype=np.int64)
    made = Packets(
        time_ns=world.EPOCH_NS + time,
        source_mac=world.vm_mac(vm),
        destination_mac=zeros + world.GATEWAY_MAC,
        source=headers[header, 0],
        destination=headers[header, 1],
        source_port=headers[header, 2],
        destination_port=headers[header, 3],
        protocol=headers[header, 4],
        payload=payload,
        sequence=zeros,
        acknowledgement=zeros,
        flags=zeros,
    )
    facts = {
        "vms": VMS,
        "rules": len(rules),
        "rules_with_a_header": len(headers),
        "rules_visited": int(len(np.unique(header))),
        "visits": VMS * visits,
        "next_rule": {
            "law": f"a visit is followed by the next of its session with probability {sure}, else by any of the VM's sessions'",
            "share_foretold": float(np.concatenate(foretold).mean()),
        },
        "law": _law(headers, phases, sure),
    }
    return made, {"vm": vm, "header": header}, facts


def sessions(seed: int, packets: int, rules: list[dict]) -> tuple[Packets, dict[str, np.ndarray], dict]:
    """Each VM goes through sessions, scripts of 6 to 16 visits to rules: a visit foretells the next, a session's end does not."""
    return _traffic(seed, packets, rules, SURE)


def shuffled(seed: int, packets: int, rules: list[dict]) -> tuple[Packets, dict[str, np.ndarray], dict]:
    """The same rules, as often in the mean, in an order without law: nothing foretells the next."""
    return _traffic(seed, packets, rules, 0.0)
