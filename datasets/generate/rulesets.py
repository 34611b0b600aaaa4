# SPDX-License-Identifier: BSD-3-Clause
"""Rule sets of many different masks over the addresses of `loop`, for benchmarks of rule matching."""

from __future__ import annotations

import ipaddress

from . import loop, world

PREFIX_LENGTHS = (0, 8, 12, 16, 20, 22, 24, 26, 28, 30, 31, 32)
DENIED_SHARE = 0.03
FORWARD_ALL = {"id": 0, "priority": 0, "action": {"verb": "forward"}}


def one_rule() -> dict:
    """Everything is forwarded."""
    return {"rules": [FORWARD_ALL]}


def mixed_masks(count: int, seed: int) -> dict:
    """`count` rules in the form of scenarios/rules: prefixes of many lengths, ports and port ranges around those that
    occur in loops. The lowest forwards all.
    """
    random = world.stream(seed, "rules")

    def prefix(first: int, many: int) -> tuple[str, int]:
        length = int(random.choice(PREFIX_LENGTHS))
        address = ipaddress.ip_address(first + int(random.integers(0, many)))
        return "any" if length == 0 else str(ipaddress.ip_network(f"{address}/{length}", strict=False)), length

    def ports(port: int, wild: float) -> list[int]:
        kind = random.random()
        if kind < wild:
            return [0, 65535]
        if kind < wild + (1 - wild) / 3:
            return [max(0, port - int(random.integers(1, 2000))), min(65535, port + int(random.integers(1, 2000)))]
        return [port, port]

    rules = [FORWARD_ALL]
    for number in range(1, count):
        protocol, port, _ = loop.MENU[random.integers(0, len(loop.MENU))]
        (vm, vm_bits), (peer, peer_bits) = prefix(0x0A00_0001, loop.VMS), prefix(0x0A01_0001, loop.PEERS)
        served = ports(port, wild=0.2)
        client = ports(loop.FIRST_CLIENT_PORT + int(random.integers(0, 1024)), wild=0.6)
        is_client = random.random() < 0.5
        # The narrow come before the wide, mostly: else these would leave them nothing.
        port_bits = sum(16 - (high - low).bit_length() for low, high in (served, client))
        rule = {
            "id": number,
            "priority": vm_bits + peer_bits + port_bits + int(random.integers(1, 10)),
            "protocol": {6: "tcp", 17: "udp"}[protocol],
            "source": vm,
            "destination": peer,
            "source_port": client if is_client else served,
            "destination_port": served if is_client else client,
            "action": {"verb": "drop" if random.random() < DENIED_SHARE else "forward"},
        }
        rules.append(rule)
    return {"rules": rules}
