#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Replays captures through every door, under several configurations and numbers of workers, and compares the digests.

    tools/same_doors.py [--build sim=FOLDER] [--build dpdk=FOLDER] [--jobs N] CAPTURE|FOLDER ...

Prints a line for each capture, a table at the end, and exits with 1 where any two digests of one (capture,
configuration) differ, or where the doors do not refuse a capture alike. The builds are build/sim and build/dpdk
unless said otherwise; nothing is built.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "analysis"))
sys.path.insert(1, str(ROOT))

from foreflow import config as configuration  # noqa: E402
from foreflow.doors import DOORS  # noqa: E402

CONFIGURATIONS = {
    "no tags": ("reactive", []),
    "tags, Markov": ("predictive", ["predictor=markov3", "device.lanes=4"]),
    "tight flow cache": ("predictive", ["device.flow_entries=8"]),
    "rule table": ("predictive", ["device.rules=12", "device.flow_entries=0", "device.residency=greedy"]),
    "both tables": ("predictive", ["device.rules=20%", "device.flow_entries=8", "device.residency=lfu", "device.lanes=2"]),
    "lanes": ("predictive", ["device.lanes=4", "device.flow_entries=32"]),
    "oracle": ("oracle", ["device.lanes=2"]),
    "a network": ("predictive", ["predictor=gru"]),
    "a table": ("predictive", ["predictor=tabulated", "device.lanes=2"]),
    "tiers": ("predictive", ["predictor=tiered", "prediction.conversations=64", "device.lanes=4"]),
}
SECONDS = 600  # a replay


@dataclass
class Compared:
    """What came of one (capture, configuration)."""

    capture: Path
    configuration: str
    answers: dict[str, str] = field(default_factory=dict)  # by door and workers: a digest, or a refusal

    @property
    def state(self) -> str:
        if any(answer.startswith("failed") for answer in self.answers.values()):
            return "failed"
        if len(set(self.answers.values())) > 1:
            return "DIFFERENT"
        return "refused" if next(iter(self.answers.values())).startswith("refused") else "same"


def answer_of(command: list[str]) -> str:
    """The digest, or how the program refused or failed."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        return f"failed: not done in {SECONDS} s"
    if done.returncode == 0:
        return done.stdout.splitlines()[-1]
    word = "refused" if done.returncode == 2 else f"failed, exit code {done.returncode}"
    said = done.stderr.strip().splitlines()
    return f"{word}: {said[-1] if said else 'it said nothing'}"


def ways(builds: dict[str, Path], workers: list[int]) -> dict[str, list[str]]:
    """By door and number of workers, the beginning of the command."""
    found = {}
    for name, door in DOORS.items():
        binary = next(iter(sorted(builds[door.preset].glob(f"*/{door.program}"))), None)
        if binary is None:
            sys.exit(f"same_doors: {builds[door.preset]} has no {door.program}; build it, or name another folder with --build")
        for count in workers if door.workers else [1]:
            options = ["--workers", str(count)] if door.workers else []
            found[f"{name}/{count}"] = [str(binary), *door.words, *options]
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", action="append", default=[], metavar="PRESET=FOLDER")
    parser.add_argument("--jobs", type=int, default=2, help="replays at once")
    parser.add_argument("--workers", default="1,2", help="of the doors that have several")
    parser.add_argument("capture", nargs="+", type=Path)
    arguments = parser.parse_args()
    builds = {preset: ROOT / "build" / preset for preset in ("sim", "dpdk")}
    builds |= {preset: Path(folder) for preset, folder in (text.split("=", 1) for text in arguments.build)}
    commands = ways(builds, [int(count) for count in arguments.workers.split(",")])
    captures = sorted(path for given in arguments.capture for path in (given.rglob("*") if given.is_dir() else [given]) if path.is_file())

    table: Counter[tuple[str, str]] = Counter()
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="foreflow-") as folder, ThreadPoolExecutor(arguments.jobs) as pool:
        files = {}
        for number, (name, (arm, overrides)) in enumerate(CONFIGURATIONS.items()):
            files[name] = Path(folder) / f"{number}.json"
            resolved = configuration.resolved_for_run(configuration.resolve("tag", overrides), arm, 1, Path(), Path(folder))
            files[name].write_text(json.dumps(resolved), encoding="utf-8")
        for number, capture in enumerate(captures):
            compared = [Compared(capture, name) for name in CONFIGURATIONS]
            futures = [
                (each, way, pool.submit(answer_of, [*command, "--fingerprint", "--config", str(files[each.configuration]), str(capture)]))
                for each in compared
                for way, command in commands.items()
            ]
            for each, way, future in futures:
                each.answers[way] = future.result()
            for each in compared:
                table[each.configuration, each.state] += 1
            wrong = [each for each in compared if each.state not in ("same", "refused")]
            states = ", ".join(f"{each.configuration}: {each.state}" for each in wrong) or compared[0].state
            left = (time.monotonic() - started) / (number + 1) * (len(captures) - number - 1)
            print(f"{number + 1}/{len(captures)}, about {left:.0f} s left  {capture.name}  {states}", flush=True)
            for each in wrong:
                for way, answer in each.answers.items():
                    print(f"    {each.configuration}, {way}: {answer}")
    states = ("same", "refused", "DIFFERENT", "failed")
    print(f"\n{len(captures)} captures, each by {', '.join(commands)}")
    print(f"{'configuration':<20}" + "".join(f"{state:>11}" for state in states))
    for name in CONFIGURATIONS:
        print(f"{name:<20}" + "".join(f"{table[name, state]:>11}" for state in states))
    return 1 if any(state in ("DIFFERENT", "failed") for _, state in table) else 0


if __name__ == "__main__":
    sys.exit(main())
