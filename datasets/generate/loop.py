# SPDX-License-Identifier: BSD-3-Clause
"""python3 -m datasets.generate.loop --flows N --out FILE [--seed N]: a capture to be played in a loop, as fast as it goes."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from . import frames, pcapng, world
from .frames import ACK, TCP, UDP, Packets

FLOWS_RANGE = (3, 1_000_000)
LEAST_PACKETS = 1024  # a shorter loop would sit in the first-level cache of whatever plays it
VMS = 32
PEERS = 400  # beyond the gateway
GAP_NS = 1000
FIRST_CLIENT_PORT = 32_768
CLIENT_PORTS = 28_000

# Protocol, port of the service, share of the flows. Together they meet permitted, metered and denied services of
# the data-centre rules, and what no rule names.
MENU = (
    (TCP, 443, 0.24), (TCP, 80, 0.12), (UDP, 53, 0.12), (UDP, 443, 0.10), (TCP, 6379, 0.08), (TCP, 5432, 0.07),
    (TCP, 8080, 0.06), (TCP, 22, 0.03), (UDP, 123, 0.03), (TCP, 445, 0.03), (TCP, 53, 0.01), (TCP, 873, 0.01),
    (TCP, 5201, 0.01), (UDP, 5201, 0.01), (TCP, 9102, 0.01), (TCP, 23, 0.01), (UDP, 11211, 0.01), (TCP, 7001, 0.03),
    (UDP, 7002, 0.02),
)  # fmt: skip


def flows_of(count: int, seed: int) -> Packets:
    """One packet of each of `count` flows, all different and all sent by VMs: half as clients, half as servers."""
    random = world.stream(seed, "loop flows")
    kind = random.choice(len(MENU), count, p=[share for _, _, share in MENU])
    protocol, port = (np.asarray([entry[i] for entry in MENU])[kind] for i in (0, 1))
    number = np.arange(count)
    vm = number % VMS
    client_port = FIRST_CLIENT_PORT + number // VMS % CLIENT_PORTS  # with the VM, its own for each flow
    is_client = random.random(count) < 0.5
    zeros = np.zeros(count, dtype=np.int64)
    return Packets(
        time_ns=zeros,
        source_mac=world.vm_mac(vm),
        destination_mac=zeros + world.GATEWAY_MAC,
        source=world.vm_address(vm),
        destination=world.service_address(random.integers(0, PEERS, count)),
        source_port=np.where(is_client, client_port, port),
        destination_port=np.where(is_client, port, client_port),
        protocol=protocol,
        payload=np.where(protocol == UDP, frames.MINIMUM_FRAME - 42, 0),
        sequence=zeros,
        acknowledgement=zeros,
        flags=np.where(protocol == TCP, ACK, 0),
    )


def order_of(count: int, seed: int) -> np.ndarray:
    """Rounds through all flows, each shuffled anew; no flow twice in a row."""
    random = world.stream(seed, "loop order")
    rounds = [random.permutation(count) for _ in range(-(-LEAST_PACKETS // count))]
    for before, after in zip([rounds[-1], *rounds], rounds):  # the last round is followed by the first
        if before[-1] == after[0]:
            after[:-1] = np.roll(after[:-1], 1)  # its end stays: it has been looked at
    return np.concatenate(rounds)


def write(flows: int, seed: int, out: Path) -> int:
    """Writes minimum-size frames of `flows` flows in shuffled order; the number of packets. Raises ValueError."""
    low, high = FLOWS_RANGE
    if not low <= flows <= high:
        raise ValueError(f"flows is {flows}, allowed: {low} to {high}")
    packets = flows_of(flows, seed).take(order_of(flows, seed))
    packets.time_ns = world.EPOCH_NS + GAP_NS * np.arange(len(packets))
    rows, _, length = frames.headers(packets)
    pcapng.write(out, packets.time_ns, rows, length, snap=0)
    return len(packets)


def main() -> int:
    parser = argparse.ArgumentParser(prog="datasets.generate.loop", description="Minimum-size frames of many flows, to be looped.")
    parser.add_argument("--flows", type=int, default=8000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True, help="pcapng file")
    arguments = parser.parse_args()
    try:
        packets = write(arguments.flows, arguments.seed, arguments.out)
    except (ValueError, OSError) as error:
        print(f"loop: {error}", file=sys.stderr)
        return 2
    print(f"{arguments.out}: {packets} packets of {arguments.flows} flows")
    return 0


if __name__ == "__main__":
    sys.exit(main())
