# SPDX-License-Identifier: BSD-3-Clause
"""Sends frames out of an interface of this namespace: a stranger on the wire.

    python3 -m scenarios.live.inject INTERFACE < FRAMES

FRAMES: each with its length before it, 2 bytes in network order.
"""

from __future__ import annotations

import socket
import sys
import time


def main(interface: str) -> None:
    data = sys.stdin.buffer.read()
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
        wire.bind((interface, 0))
        at = 0
        for number in range(len(data)):
            if at >= len(data):
                break
            end = at + 2 + int.from_bytes(data[at : at + 2], "big")
            wire.send(data[at + 2 : end])
            at = end
            if number % 64 == 63:
                time.sleep(0.001)  # the receiver's ring is not to run over


if __name__ == "__main__":
    main(sys.argv[1])
