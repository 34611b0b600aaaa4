# SPDX-License-Identifier: BSD-3-Clause
"""From what tcpdump writes to pcapng without a word on the machine that recorded it."""

from __future__ import annotations

import struct
from pathlib import Path

_NANOSECOND_PCAP = 0xA1B23C4D


def _block(kind: int, body: bytes) -> bytes:
    length = 12 + len(body)
    return struct.pack("<II", kind, length) + body + struct.pack("<I", length)


def to_pcapng(pcap: Path, pcapng: Path) -> int:
    """Converts a nanosecond, little-endian pcap; returns the number of packets."""
    data = pcap.read_bytes()
    magic, _, _, _, _, snap, link = struct.unpack_from("<IHHiIII", data)
    if magic != _NANOSECOND_PCAP:
        raise RuntimeError(f"{pcap}: not a little-endian pcap with nanoseconds")
    nanoseconds = struct.pack("<HHB3xHH", 9, 1, 9, 0, 0)
    count, at = 0, 24
    with pcapng.open("wb") as file:
        file.write(_block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1)))
        file.write(_block(1, struct.pack("<HHI", link, 0, snap) + nanoseconds))
        while at + 16 <= len(data):
            seconds, fraction, captured, length = struct.unpack_from("<IIII", data, at)
            frame = data[at + 16 : at + 16 + captured]
            at += 16 + captured
            time = seconds * 10**9 + fraction
            head = struct.pack("<IIIII", 0, time >> 32, time & 0xFFFFFFFF, captured, length)
            file.write(_block(6, head + frame + bytes(-captured % 4)))
            count += 1
    return count
