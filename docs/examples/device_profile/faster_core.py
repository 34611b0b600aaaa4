# SPDX-License-Identifier: BSD-3-Clause
"""A profile of a device that is like a known one but for some numbers, each with its own source.

python3 docs/examples/device_profile/faster_core.py faster-core.json
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

PROFILES = Path(__file__).resolve().parents[3] / "hw-models" / "profiles"

profile = json.loads((PROFILES / "x86-core.json").read_text())
profile["name"] = Path(sys.argv[1]).stem
profile["clock_hz"] = {
    "value": 3_800_000_000,
    "unit": "Hz",
    "interval": [3_400_000_000, 4_200_000_000],
    "source": "data sheet of the processor: base and boost clock",
    "mark": "published",
}
# Keys in an instruction of its own: one cycle a word instead of six and a half.
profile["work"]["mac_word"] = {
    "value": 1,
    "unit": "cycles",
    "interval": [0.5, 2],
    "source": "assumed: a pipelined hash unit that takes a word a cycle",
    "mark": "general knowledge",
}
Path(sys.argv[1]).write_text(json.dumps(profile, indent=2) + "\n")
