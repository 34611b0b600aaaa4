# SPDX-License-Identifier: BSD-3-Clause
"""Writes pcapng (draft-ietf-opsawg-pcapng) with nanosecond times, thousands of packets at a time."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

_BLOCK_HEAD, _BLOCK_TAIL = 28, 4
_CHUNK = 8192  # packets


def _option(code: int, value: bytes) -> bytes:
    return struct.pack("<HH", code, len(value)) + value + bytes(-len(value) % 4)


def _block(kind: int, body: bytes) -> bytes:
    length = 12 + len(body)
    return struct.pack("<II", kind, length) + body + struct.pack("<I", length)


def _preamble(snap: int) -> bytes:
    section = struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1)
    nanoseconds = _option(9, b"\x09") + _option(0, b"")
    interface = struct.pack("<HHI", 1, 0, snap) + nanoseconds  # link type 1: Ethernet
    return _block(0x0A0D0D0A, section) + _block(1, interface)


def write(path: Path, time_ns: np.ndarray, headers: np.ndarray, frame_length: np.ndarray, snap: int) -> None:
    """Writes frames that begin with `headers` (rows) and go on with zeros up to `frame_length`, cut at `snap` bytes.

    A `snap` of 0 keeps whole frames. Headers beyond a frame's length must be zeros.
    """
    with path.open("wb") as file:
        file.write(_preamble(snap))
        for first in range(0, len(time_ns), _CHUNK):
            part = slice(first, first + _CHUNK)
            file.write(_packet_blocks(time_ns[part], headers[part], frame_length[part], snap))


def _packet_blocks(time_ns: np.ndarray, headers: np.ndarray, frame_length: np.ndarray, snap: int) -> bytes:
    captured = np.minimum(frame_length, snap) if snap else frame_length
    block = _BLOCK_HEAD + (captured + 3) // 4 * 4 + _BLOCK_TAIL
    rows = np.zeros((len(time_ns), int(block.max())), dtype=np.uint8)

    time_ns = time_ns.astype(np.uint64)
    head = np.empty((len(time_ns), 7), dtype="<u4")
    head[:, 0] = 6  # enhanced packet block
    head[:, 1] = block
    head[:, 2] = 0
    head[:, 3] = time_ns >> np.uint64(32)
    head[:, 4] = time_ns & np.uint64(0xFFFFFFFF)
    head[:, 5] = captured
    head[:, 6] = frame_length
    rows[:, :_BLOCK_HEAD] = head.view(np.uint8).reshape(len(head), _BLOCK_HEAD)

    width = min(headers.shape[1], rows.shape[1] - _BLOCK_HEAD - _BLOCK_TAIL)
    rows[:, _BLOCK_HEAD : _BLOCK_HEAD + width] = headers[:, :width]
    tail = block.astype("<u4").view(np.uint8).reshape(-1, _BLOCK_TAIL)
    at = (block - _BLOCK_TAIL)[:, None] + np.arange(_BLOCK_TAIL)
    rows[np.arange(len(rows))[:, None], at] = tail
    return rows[np.arange(rows.shape[1]) < block[:, None]].tobytes()
