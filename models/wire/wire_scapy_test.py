# SPDX-License-Identifier: BSD-3-Clause
"""The committed vectors are what scapy makes and reads today."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "vectors"))
import make_vectors  # noqa: E402


def test_vectors_are_scapys() -> None:
    committed = make_vectors.PATH.read_text()
    assert make_vectors.regenerated(committed) == committed
