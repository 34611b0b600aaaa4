#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Builds the offline door with other compilers and optimisation levels, and compares its fingerprints with those of a built one.

    tools/same_fingerprint.py PROGRAM[,PROGRAM...] CONFIG[,CONFIG...] CAPTURE [CAPTURE ...]

PROGRAM is a built foreflow-replay: of gcc at -O3, as it is used, of clang at -O1 under the sanitizers. CONFIG is a resolved
configuration; the first's arm is replaced by each arm in turn, the others are replayed as they are. Each (capture,
configuration) is replayed twice by each PROGRAM and by a build of gcc at -O0. Exits with 1 when any two digests of one differ.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ARMS = ("off", "reactive", "predictive", "oracle", "anti_oracle")
BUILDS = ((("gcc", "g++"), "-O0"),)


def build(compilers: tuple[str, str], level: str) -> Path:
    """Configures and builds foreflow-replay alone; returns the program."""
    folder = ROOT / "build" / "fingerprint" / f"{compilers[1]}{level}"
    subprocess.run(
        ["cmake", "-S", ROOT, "-B", folder, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=None",
         f"-DCMAKE_C_COMPILER={compilers[0]}", f"-DCMAKE_CXX_COMPILER={compilers[1]}",
         f"-DCMAKE_CXX_FLAGS={level}", "-DFOREFLOW_DOORS=ON", "-DFOREFLOW_TESTS=OFF"],
        check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["ninja", "-C", folder, "foreflow-replay"], check=True, stdout=subprocess.DEVNULL)
    return folder / "bindings" / "foreflow-replay"


def fingerprint(program: Path, config: Path, capture: str) -> str:
    """The digest on the program's last line."""
    done = subprocess.run([program, "--config", config, "--fingerprint", capture], check=True, text=True,
                          stdout=subprocess.PIPE)
    return done.stdout.splitlines()[-1]


def main(arguments: list[str]) -> int:
    if len(arguments) < 3:
        print(__doc__, file=sys.stderr)
        return 2
    given, configurations, *captures = arguments
    first, *others = [Path(name) for name in configurations.split(",")]
    resolved = json.loads(first.read_text(encoding="utf-8"))
    programs = [(name, Path(name).resolve()) for name in given.split(",")]
    for compilers, level in BUILDS:
        print(f"building with {compilers[1]} {level}", file=sys.stderr, flush=True)
        programs.append((f"{compilers[1]} {level}", build(compilers, level)))
    different = 0
    with tempfile.TemporaryDirectory() as folder:
        configs = {}
        for arm in ARMS:
            configs[arm] = Path(folder) / f"{arm}.json"
            configs[arm].write_text(json.dumps({**resolved, "arm": arm}), encoding="utf-8")
        configs |= {other.stem: other for other in others}
        for capture, (name, config) in itertools.product(captures, configs.items()):
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                pairs = {build: [pool.submit(fingerprint, program, config, capture) for _ in range(2)] for build, program in programs}
            digests = {build: {digest.result() for digest in pair} for build, pair in pairs.items()}
            same = len(set().union(*digests.values())) == 1
            different += not same
            print(f"{'same' if same else 'DIFFERENT'} {name:11s} {os.path.basename(capture)}"
                  + ("" if same else f" {digests}"))
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
