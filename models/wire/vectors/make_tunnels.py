#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Makes tunnels.txt: frames, and the outer packets that scapy puts around them.

Of each block in tunnels.txt the first two lines (name, and scapy: the outer headers and the frame, with a bar between) are the
recipe, written by hand. This program evaluates it and rewrites the two lines below.
"""

import sys
from pathlib import Path

from scapy import all as scapy
from scapy.contrib.geneve import GENEVE, GeneveOptions
from scapy.layers.vxlan import VXLAN

PATH = Path(__file__).with_name("tunnels.txt")
COMMENT = "# Made by make_tunnels.py with scapy. Recipe: name, scapy. The rest is computed.\n\n"
# UDP's source port and IPv6's flow label, of the test's flow hash.
FLOW_HASH = 0x123456789
NAMES = {"SPORT": 49152 | FLOW_HASH & 0x3FFF, "LABEL": FLOW_HASH >> 14 & 0xFFFFF, "GENEVE": GENEVE, "GeneveOptions": GeneveOptions, "VXLAN": VXLAN}


def evaluate(expression: str) -> scapy.Packet:
    """The packet of a scapy expression."""
    names = {name: getattr(scapy, name) for name in dir(scapy)} | NAMES
    return eval(expression, names)  # pylint: disable=eval-used


def regenerated(text: str) -> str:
    """The whole file anew from its recipe lines."""
    out = COMMENT
    for block in text.split("\n\n"):
        lines = dict(line.split(" ", 1) for line in block.splitlines() if line and not line.startswith("#"))
        if not lines:
            continue
        outer, inner = (evaluate(part) for part in lines["scapy"].split(" | "))
        out += f"name {lines['name']}\nscapy {lines['scapy']}\n"
        out += f"inner {bytes(inner).hex()}\nouter {bytes(outer / inner).hex()}\n\n"
    return out


def main() -> int:
    PATH.write_text(regenerated(PATH.read_text()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
