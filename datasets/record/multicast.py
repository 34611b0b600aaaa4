# SPDX-License-Identifier: BSD-3-Clause
"""Sends or hears a multicast stream: python3 -m datasets.record.multicast send|hear PLAN SECONDS"""

from __future__ import annotations

import random
import socket
import struct
import sys
import time

from .plan import GROUP, GROUP_PORT, PLANS, Plan


def send(plan: Plan, seconds: float) -> None:
    sizes = random.Random("multicast")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 4)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            sender.sendto(bytes(sizes.randint(*plan.group_sizes)), (GROUP, GROUP_PORT))
            time.sleep(1 / plan.group_rate)


def hear(_: Plan, seconds: float) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("", GROUP_PORT))
        membership = struct.pack("4sL", socket.inet_aton(GROUP), socket.INADDR_ANY)
        listener.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, membership)
        listener.settimeout(1)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                listener.recv(2048)
            except socket.timeout:
                continue


if __name__ == "__main__":
    {"send": send, "hear": hear}[sys.argv[1]](PLANS[sys.argv[2]], float(sys.argv[3]))
