# SPDX-License-Identifier: BSD-3-Clause
"""What all generated captures share: names, addresses, random streams."""

from __future__ import annotations

import zlib

import numpy as np

GATEWAY_MAC = 0x02FF_0000_0001  # everything outside the host is behind it
EPOCH_NS = 1_767_225_600_000_000_000  # 2026-01-01, where every generated capture begins


def stream(seed: int, name: str) -> np.random.Generator:
    """A random stream of its own for each (seed, name): a new one disturbs no other."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, zlib.crc32(name.encode())])))


def vm_mac(vm: np.ndarray) -> np.ndarray:
    """02:00:00:00:00:01 and up."""
    return 0x0200_0000_0001 + vm


def vm_address(vm: np.ndarray) -> np.ndarray:
    """10.0.0.1 and up."""
    return 0x0A00_0001 + vm


def service_address(service: np.ndarray) -> np.ndarray:
    """10.1.0.1 and up."""
    return 0x0A01_0001 + service


def exponential(random: np.random.Generator, mean: float, count: int) -> np.ndarray:
    return -mean * np.log1p(-random.random(count))


def zipf_weights(count: int, exponent: float) -> np.ndarray:
    """Shares of ranks 1..count, proportional to rank ** -exponent."""
    weights = np.arange(1, count + 1, dtype=float) ** -exponent
    return weights / weights.sum()
