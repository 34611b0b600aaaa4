# SPDX-License-Identifier: BSD-3-Clause
"""python3 -m datasets.generate NAME --out FILE [--seed N] [--packets N]"""

from __future__ import annotations

import argparse
import sys

from . import NAMES, SNAP_BYTES, generate


def main() -> int:
    parser = argparse.ArgumentParser(prog="datasets.generate", description="Generates a capture with known parameters.")
    parser.add_argument("name", choices=NAMES)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--packets", type=int, default=100_000, help="packets in the file (at most)")
    parser.add_argument("--snap", type=int, default=SNAP_BYTES, help="bytes kept of each frame, 0 for all")
    parser.add_argument("--out", required=True, help="pcapng file; FILE.json and FILE.npz are written beside it")
    arguments = parser.parse_args()
    try:
        sidecar = generate(arguments.name, arguments.seed, arguments.packets, arguments.out, arguments.snap)
    except (ValueError, OSError) as error:
        print(f"generate: {error}", file=sys.stderr)
        return 2
    print(f"{arguments.out}: {sidecar['packets']} packets, {sidecar['seconds']:.3f} s, SHA-256 {sidecar['sha256']}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
