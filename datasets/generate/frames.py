# SPDX-License-Identifier: BSD-3-Clause
"""Ethernet, IPv4, TCP and UDP headers of many packets at once; payloads are zeros."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

TCP, UDP = 6, 17
FIN, SYN, PSH, ACK = 0x01, 0x02, 0x08, 0x10
MAXIMUM_SEGMENT = 1460  # bytes of TCP payload in a 1500-byte packet
HEADER_WIDTH = 58  # Ethernet, IPv4, TCP and the maximum-segment-size option of a SYN
MINIMUM_FRAME = 60  # Ethernet without its check sequence

_ETHERNET, _IPV4 = 14, 20


@dataclass
class Packets:
    """One column a field, one row a packet. Addresses are integers; `payload` is in bytes, at most 1472."""

    time_ns: np.ndarray
    source_mac: np.ndarray
    destination_mac: np.ndarray
    source: np.ndarray
    destination: np.ndarray
    source_port: np.ndarray
    destination_port: np.ndarray
    protocol: np.ndarray
    payload: np.ndarray
    sequence: np.ndarray
    acknowledgement: np.ndarray
    flags: np.ndarray

    def __len__(self) -> int:
        return len(self.time_ns)

    def take(self, order: np.ndarray) -> Packets:
        return Packets(*(column[order] for column in vars(self).values()))


def _put(matrix: np.ndarray, offset: int, width: int, values: np.ndarray | int) -> None:
    """Writes a big-endian field of `width` bytes into every row."""
    values = np.asarray(values, dtype=np.uint64)
    for i in range(width):
        matrix[:, offset + i] = (values >> np.uint64(8 * (width - 1 - i))) & np.uint64(0xFF)


def _fold(sums: np.ndarray) -> np.ndarray:
    """The Internet checksum (RFC 1071) of sums of 16-bit words."""
    for _ in range(2):
        sums = (sums & 0xFFFF) + (sums >> 16)
    return sums ^ 0xFFFF


def headers(packets: Packets) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns rows of HEADER_WIDTH bytes, each row's header length, and each frame's length on the wire."""
    count = len(packets)
    is_tcp = packets.protocol == TCP
    has_option = is_tcp & ((packets.flags & SYN) != 0)
    transport = np.where(is_tcp, np.where(has_option, 24, 20), 8)
    length = _ETHERNET + _IPV4 + transport
    rows = np.zeros((count, HEADER_WIDTH), dtype=np.uint8)

    _put(rows, 0, 6, packets.destination_mac)
    _put(rows, 6, 6, packets.source_mac)
    _put(rows, 12, 2, 0x0800)

    _put(rows, 14, 1, 0x45)
    _put(rows, 16, 2, _IPV4 + transport + packets.payload)
    _put(rows, 18, 2, np.arange(count) & 0xFFFF)
    _put(rows, 20, 2, 0x4000)
    _put(rows, 22, 1, 64)
    _put(rows, 23, 1, packets.protocol)
    _put(rows, 26, 4, packets.source)
    _put(rows, 30, 4, packets.destination)
    words = rows.view(">u2")
    _put(rows, 24, 2, _fold(words[:, 7:17].sum(axis=1, dtype=np.int64)))

    _put(rows, 34, 2, packets.source_port)
    _put(rows, 36, 2, packets.destination_port)
    tcp = np.flatnonzero(is_tcp)
    head = np.zeros((len(tcp), 20), dtype=np.uint8)
    _put(head, 0, 4, packets.sequence[tcp])
    _put(head, 4, 4, packets.acknowledgement[tcp])
    _put(head, 8, 1, transport[tcp] // 4 << 4)
    _put(head, 9, 1, packets.flags[tcp])
    _put(head, 10, 2, 0xFFFF)
    head[has_option[tcp], 16:20] = (2, 4, MAXIMUM_SEGMENT >> 8, MAXIMUM_SEGMENT & 0xFF)
    rows[tcp, 38:58] = head
    udp = np.flatnonzero(~is_tcp)
    head = np.zeros((len(udp), 2), dtype=np.uint8)
    _put(head, 0, 2, 8 + packets.payload[udp])
    rows[udp, 38:40] = head

    pseudo = words[:, 13:17].sum(axis=1, dtype=np.int64) + packets.protocol + transport + packets.payload
    checksum = _fold(words[:, 17:].sum(axis=1, dtype=np.int64) + pseudo)
    checksum[~is_tcp & (checksum == 0)] = 0xFFFF  # RFC 768: zero would mean "none"
    at = np.where(is_tcp, 50, 40)
    index = np.arange(count)
    rows[index, at] = checksum >> 8
    rows[index, at + 1] = checksum & 0xFF

    return rows, length, np.maximum(MINIMUM_FRAME, length + packets.payload)
