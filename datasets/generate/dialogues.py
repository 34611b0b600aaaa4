# SPDX-License-Identifier: BSD-3-Clause
"""Packets whose types have a known law: `dialogues`."""

from __future__ import annotations

import numpy as np

from . import world
from .frames import UDP, Packets

VMS = 16
PORT = 7000
TURN_NS = 600_000_000  # longer than two horizons of 200 ms: turns do not see each other's packets
JITTER_NS = 5_000_000
STEP_NS = 100_000
ANSWER_NS = 2_000_000
PAYLOAD, ANSWER = 1000, 300
TRANSFER = 20  # packets: 20 kB, above the 16 KiB that make a transfer bulk
SURE = 0.9
TYPES = ("control", "request", "response", "bulk", "stream", "group", "idle_burst")
_REQUEST, _RESPONSE, _BULK, _IDLE_BURST = 1, 2, 3, 6


def _entropy(p: float) -> float:
    return float(-(p * np.log2(p) + (1 - p) * np.log2(1 - p)))


def _turns(seed: int, turns: int) -> tuple[np.ndarray, np.ndarray]:
    """Which turns of each VM are transfers, and how probable that was."""
    uniform = world.stream(seed, "turns").random((turns, VMS))
    chosen = np.zeros((turns, VMS), dtype=bool)
    probable = np.full((turns, VMS), 0.5)
    for turn in range(turns):
        if turn >= 2:
            probable[turn] = np.where(chosen[turn - 1] != chosen[turn - 2], SURE, 1 - SURE)
        chosen[turn] = uniform[turn] < probable[turn]
    return chosen, probable


def dialogues(seed: int, packets: int) -> tuple[Packets, dict[str, np.ndarray], dict]:
    """In each turn a VM asks its service, which answers, or sends it 20 packets: which, the first packet does not show.

    It sends with probability 0.9 where just one of its last two turns was a transfer, else with 0.1.
    """
    turns = max(3, packets // (VMS * 2))
    chosen, probable = _turns(seed, turns)
    sizes = np.where(chosen, TRANSFER, 2).sum(axis=1).cumsum()
    turns = int((sizes <= packets).sum())
    chosen, probable = chosen[:turns], probable[:turns]

    jitter = world.stream(seed, "jitter").integers(0, JITTER_NS, chosen.shape)
    begin = np.arange(turns)[:, None] * TURN_NS + np.arange(VMS) * (TURN_NS // VMS) + jitter
    count = np.where(chosen, TRANSFER, 2).ravel()
    of_turn = np.repeat(np.arange(chosen.size), count)
    place = np.arange(count.sum()) - np.repeat(count.cumsum() - count, count)
    transfer = chosen.ravel()[of_turn]
    answers = ~transfer & (place == 1)
    time = begin.ravel()[of_turn] + np.where(answers, ANSWER_NS, place * STEP_NS)
    vm = np.tile(np.arange(VMS), turns)[of_turn]
    first = place == 0

    kind = np.where(answers, _RESPONSE, np.where(first, np.where(transfer, _IDLE_BURST, _REQUEST), _BULK))
    truth = np.zeros((len(kind), len(TYPES)), dtype=np.float32)
    truth[np.arange(len(kind)), kind] = 1
    truth[first, _IDLE_BURST] = probable.ravel()[of_turn[first]]
    truth[first, _REQUEST] = 1 - truth[first, _IDLE_BURST]

    order = np.argsort(time, kind="stable")
    zeros = np.zeros(len(kind), dtype=np.int64)
    service, own = world.service_address(vm), world.vm_address(vm)
    made = Packets(
        time_ns=world.EPOCH_NS + time,
        source_mac=np.where(answers, world.GATEWAY_MAC, world.vm_mac(vm)),
        destination_mac=np.where(answers, world.vm_mac(vm), world.GATEWAY_MAC),
        source=np.where(answers, service, own),
        destination=np.where(answers, own, service),
        source_port=np.where(answers, PORT, 40_000),
        destination_port=np.where(answers, 40_000, PORT),
        protocol=zeros + UDP,
        payload=np.where(answers, ANSWER, PAYLOAD),
        sequence=zeros,
        acknowledgement=zeros,
        flags=zeros,
    ).take(order)
    per_turn = (TRANSFER + 2) / 2  # packets: turns are of both kinds alike often
    facts = {
        "vms": VMS,
        "type": {
            "law": "a turn is a transfer with probability 0.9 where just one of the VM's last two was, else 0.1",
            "entropy_bits_a_turn": _entropy(SURE),
            "entropy_bits": _entropy(SURE) / per_turn,
            "markov3_bits": (1 + _entropy(SURE)) / 2 / per_turn,  # after a transfer three symbols do not reach the turn before
        },
    }
    return made, {"type": kind[order], "truth": truth[order], "vm": vm[order]}, facts
