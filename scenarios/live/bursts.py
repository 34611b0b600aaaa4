# SPDX-License-Identifier: BSD-3-Clause
"""Sends bursts of frames out of an interface of this namespace, until it is stopped: others' traffic on the same network.

    python3 -m scenarios.live.bursts INTERFACE GAP_US FRAMES SEED

Gaps between bursts and frames of a burst are exponential, of these means; a frame counts as a datagram of 1434 B.
"""

from __future__ import annotations

import random
import socket
import sys
import time

HEADERS = bytes.fromhex("0200000078ff" + "0200000078fe" + "88b5")  # for experiments (IEEE 802), to nobody
FRAME = HEADERS + bytes(1434 + 42 - len(HEADERS))


def main(interface: str, gap_us: float, frames: float, seed: int) -> None:
    draw = random.Random(seed)
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
        wire.bind((interface, 0))
        next_burst = time.monotonic()
        while True:
            next_burst += draw.expovariate(1e6 / gap_us)
            time.sleep(max(next_burst - time.monotonic(), 0))
            for _ in range(1 + int(draw.expovariate(1 / frames))):
                wire.send(FRAME)


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4]))
