# SPDX-License-Identifier: BSD-3-Clause
"""Single datagrams whose next destination has a known entropy: `memoryless` and `markov`."""

from __future__ import annotations

import numpy as np

from . import world
from .frames import UDP, Packets

VMS = 16
DESTINATIONS = 32  # one set, which every VM visits
PAYLOADS = (200, 1000, 1400, 1472)  # bytes, drawn independently and evenly
RATE = 50_000.0  # packets a second, all VMs together: Poisson
PORT = 7000
STAY = 15 / 16  # of `markov`: a packet goes where its VM's last one went, for 16 packets in the mean


def _datagrams(seed: int, vm: np.ndarray, destination: np.ndarray) -> tuple[Packets, dict[str, np.ndarray]]:
    count = len(vm)
    gaps = world.exponential(world.stream(seed, "arrivals"), 1e9 / RATE, count)
    payload = np.asarray(PAYLOADS)[world.stream(seed, "payload").integers(0, len(PAYLOADS), count)]
    zeros = np.zeros(count, dtype=np.int64)
    packets = Packets(
        time_ns=world.EPOCH_NS + np.cumsum(gaps).astype(np.int64),
        source_mac=world.vm_mac(vm),
        destination_mac=zeros + world.GATEWAY_MAC,
        source=world.vm_address(vm),
        destination=world.service_address(destination),
        source_port=zeros + 40_000,
        destination_port=zeros + PORT,
        protocol=zeros + UDP,
        payload=payload,
        sequence=zeros,
        acknowledgement=zeros,
        flags=zeros,
    )
    return packets, {"vm": vm, "destination": destination}


def _facts() -> dict:
    return {
        "vms": VMS,
        "destinations": DESTINATIONS,
        "arrivals": {"process": "Poisson, split evenly and independently among the VMs", "packets_per_second": RATE},
        "payload_bytes": {
            "law": "independent and uniform",
            "choices": list(PAYLOADS),
            "entropy_bits": float(np.log2(len(PAYLOADS))),
            "bayes_accuracy": 1 / len(PAYLOADS),
        },
    }


def memoryless(seed: int, packets: int) -> tuple[Packets, dict[str, np.ndarray], dict]:
    """Nothing follows from anything: no predictor can beat 1 / DESTINATIONS."""
    vm = world.stream(seed, "vm").integers(0, VMS, packets)
    destination = world.stream(seed, "destination").integers(0, DESTINATIONS, packets)
    facts = _facts() | {
        "next_destination": {
            "law": "independent and uniform",
            "entropy_bits": float(np.log2(DESTINATIONS)),
            "bayes_accuracy": 1 / DESTINATIONS,
        }
    }
    return *_datagrams(seed, vm, destination), facts


def transition_matrix(seed: int) -> np.ndarray:
    """Moves: each destination has four successors; the likeliest ones form one ring, so every destination is reached."""
    random = world.stream(seed, "matrix")
    ring = random.permutation(DESTINATIONS)
    likely = np.empty(DESTINATIONS, dtype=int)
    likely[ring] = np.roll(ring, -1)
    matrix = np.zeros((DESTINATIONS, DESTINATIONS))
    for here in range(DESTINATIONS):
        first = 0.5 + 0.4 * random.random()
        others = random.permutation(np.delete(np.arange(DESTINATIONS), [here, likely[here]]))[:3]
        matrix[here, likely[here]] = first
        matrix[here, others] = (1 - first) * np.array([0.6, 0.3, 0.1])
    return matrix


def stationary(matrix: np.ndarray) -> np.ndarray:
    """The distribution pi with pi = pi P."""
    size = len(matrix)
    equations = np.vstack([matrix.T - np.eye(size), np.ones(size)])
    return np.linalg.lstsq(equations, np.append(np.zeros(size), 1.0), rcond=None)[0]


def entropy_rate(matrix: np.ndarray) -> float:
    """Bits a step: sum over i of pi_i H(P_i)."""
    logs = np.log2(matrix, out=np.zeros_like(matrix), where=matrix > 0)
    return float(stationary(matrix) @ -(matrix * logs).sum(axis=1))


def bayes_accuracy(matrix: np.ndarray) -> float:
    """Share of steps that the best predictor, which knows the matrix, gets right: sum over i of pi_i max_j P_ij."""
    return float(stationary(matrix) @ matrix.max(axis=1))


def with_dwell(moves: np.ndarray) -> np.ndarray:
    """The chain by packets of one that moves by `moves` and dwells geometrically; its stationary distribution is the same."""
    return STAY * np.eye(len(moves)) + (1 - STAY) * moves


def markov(seed: int, packets: int) -> tuple[Packets, dict[str, np.ndarray], dict]:
    """Each VM walks the same first-order chain over the destinations, from its stationary distribution on."""
    moves = transition_matrix(seed)
    matrix = with_dwell(moves)
    cumulative = matrix.cumsum(axis=1)
    vm = world.stream(seed, "vm").integers(0, VMS, packets)
    uniform = world.stream(seed, "destination").random(packets)
    at = world.stream(seed, "start").choice(DESTINATIONS, VMS, p=stationary(moves))
    order = np.argsort(vm, kind="stable")
    bounds = np.searchsorted(vm[order], np.arange(VMS + 1))
    destination = np.empty(packets, dtype=np.int64)
    steps = [order[bounds[v] : bounds[v + 1]] for v in range(VMS)]
    for step in range(max(len(s) for s in steps)):
        alive = np.flatnonzero([step < len(s) for s in steps])
        index = np.array([steps[v][step] for v in alive])
        chosen = (uniform[index][:, None] >= cumulative[at[alive]]).sum(axis=1)
        at[alive] = np.minimum(chosen, DESTINATIONS - 1)
        destination[index] = at[alive]
    facts = _facts() | {
        "next_destination": {
            "law": f"a packet stays with probability {STAY}; moves are a first-order Markov chain; one matrix, one walk a VM",
            "entropy_bits": entropy_rate(moves),
            "bayes_accuracy": bayes_accuracy(moves),
            "transition_matrix": moves.tolist(),
        },
        "next_packet": {
            "stay": STAY,
            "entropy_bits": entropy_rate(matrix),
            "bayes_accuracy": bayes_accuracy(matrix),
        },
    }
    return *_datagrams(seed, vm, destination), facts
