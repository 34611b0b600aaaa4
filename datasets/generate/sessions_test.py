# SPDX-License-Identifier: BSD-3-Clause
import ipaddress

import numpy as np
import pytest

from datasets.generate import classbench, sessions


@pytest.fixture
def filters(tmp_path):
    def of(name: str) -> list[dict]:
        classbench.write_filters(tmp_path / name, classbench.rule_set(name, seed=2))
        return sessions.from_filters(tmp_path / name)

    return of


def wins(rules: list[dict], header: np.ndarray) -> int:
    """By the reading of a rule, one by one."""
    source, destination, *ports, protocol = (int(value) for value in header)
    best = None
    for rule in rules:
        ends = all(
            rule[name] == "any" or ipaddress.ip_address(address) in ipaddress.ip_network(rule[name])
            for name, address in (("source", source), ("destination", destination))
        )
        in_range = all(rule[name][0] <= port <= rule[name][1] for name, port in zip(("source_port", "destination_port"), ports, strict=True))
        is_protocol = rule["protocol"] == "any" or {"tcp": 6, "udp": 17}.get(rule["protocol"], rule["protocol"]) == protocol
        if ends and in_range and is_protocol and (best is None or (-rule["priority"], rule["id"]) < (-best["priority"], best["id"])):
            best = rule
    assert best is not None
    return best["id"]


@pytest.mark.parametrize("kind", ["acl", "fw"])
def test_each_header_wins_a_rule_of_its_own(kind: str, filters) -> None:
    rules = filters(f"{kind}1k")
    assert len(rules) == 1000
    headers = sessions.headers_of(rules, seed=5)
    assert len(headers) > 500
    won = [wins(rules, header) for header in headers[:50]]
    assert len(won) == len(set(won))


def successors(headers: np.ndarray, vm: np.ndarray) -> tuple[int, int]:
    """Of visits, in each VM's order: how many are to the commonest successor of the visit before, and all."""
    right = visits = 0
    for one in np.unique(vm):
        own = headers[vm == one]
        own = own[np.concatenate([[True], own[1:] != own[:-1]])]
        pairs: dict[int, dict[int, int]] = {}
        for here, to in zip(own[:-1], own[1:], strict=True):
            counts = pairs.setdefault(int(here), {})
            counts[int(to)] = counts.get(int(to), 0) + 1
        right += sum(max(counts.values()) for counts in pairs.values())
        visits += len(own) - 1
    return right, visits


def test_sessions_foretell_and_shuffled_does_not(filters) -> None:
    rules = filters("acl1k")
    made, truth, facts = sessions.sessions(1, 40_000, rules)
    right, visits = successors(truth["header"], truth["vm"])
    assert right / visits > 0.6
    assert facts["next_rule"]["share_foretold"] == pytest.approx(0.88, abs=0.03)
    assert (np.diff(made.time_ns) >= 0).all()
    _, truth, facts = sessions.shuffled(1, 40_000, rules)
    right, visits = successors(truth["header"], truth["vm"])
    assert right / visits < 0.25
    assert facts["next_rule"]["share_foretold"] == 0


def test_the_law_tells_what_was_made(filters) -> None:
    """Its scripts are what the VMs go through: step follows step as often as it says."""
    rules = filters("acl1k")
    _, truth, facts = sessions.sessions(4, 20_000, rules)
    law = facts["law"]
    assert (law["sure"], law["packets"], law["gap_s"], law["pause_s"]) == (0.97, 4, 0.002, 0.008)
    headers = sessions.headers_of(rules, 4)
    index = {tuple(header): at for at, header in enumerate(law["headers"])}
    assert len(index) == len(law["headers"])
    for vm, of_vm in enumerate(law["vms"]):
        assert of_vm["mac"] == 0x0200_0000_0001 + vm
        first, second = of_vm["phases"]
        assert first["begin"] == 0 and first["scripts"][1::2] == second["scripts"][1::2] and first["scripts"][::2] != second["scripts"][::2]
        own = [index[tuple(headers[header].tolist())] for header in truth["header"][truth["vm"] == vm]]
        for phase, packets in ((first, own[: second["begin"]]), (second, own[second["begin"] :])):
            visits = [at for at, before in zip(packets, [None, *packets], strict=False) if at != before]
            steps = {pair for script in phase["scripts"] for pair in zip(script, script[1:], strict=False)}
            follows = sum(pair in steps for pair in zip(visits, visits[1:], strict=False)) / len(visits)
            assert follows > 0.7
    _, _, facts = sessions.shuffled(4, 2000, rules)
    assert facts["law"]["sure"] == 0


def test_a_set_without_headers_is_refused() -> None:
    ends = {"source": "any", "destination": "any", "source_port": [0, 65535], "destination_port": [0, 65535]}
    only_v6 = [{"id": 1, "priority": 1, "l3": "ipv6", "vm": "any", "protocol": "any", **ends}]
    with pytest.raises(ValueError, match="allowed: 2 or more"):
        sessions.sessions(1, 1000, only_v6)
