# SPDX-License-Identifier: BSD-3-Clause
"""The doors by which a capture comes to the cores. Their programs take the same options and print the same."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Door:
    preset: str  # that builds the program
    program: str
    words: tuple[str, ...] = ()  # before the program's options
    workers: bool = False  # it decides on several cores
    loops: bool = True  # it replays a capture several times over


DOORS = {
    "pcap": Door("sim", "foreflow-replay"),
    "dpdk": Door("dpdk", "foreflow-dpdk", ("replay",), workers=True),
    "ns3": Door("sim", "foreflow-replay-ns3", loops=False),
}
