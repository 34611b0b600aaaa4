# SPDX-License-Identifier: BSD-3-Clause
"""Commands that hand over to another program of the project."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from foreflow import config as configuration
from foreflow.build import build, program
from foreflow.errors import Refused


# By door: the preset that builds its program, the program, and what comes before the program's arguments.
DOORS = {"pcap": ("sim", "foreflow-replay", []), "dpdk": ("dpdk", "foreflow-dpdk", ["replay"])}


def replay(
    capture: Path, overrides: list[str], door: str, scenario: str, arm: str, workers: int, fingerprint: bool, as_json: bool
) -> int:
    """Runs the door's program with the resolved configuration; its exit code."""
    if arm not in configuration.ARMS:
        raise Refused(f"command line: --arm = {arm}; allowed is one of {', '.join(configuration.ARMS)}")
    if not capture.is_file():
        raise Refused(f"{capture}: no such file")
    config = configuration.resolve(scenario, overrides)
    preset, name, words = DOORS[door]
    binary = program(build(preset, [name]), name)
    with tempfile.TemporaryDirectory(prefix="foreflow-") as folder:
        resolved = Path(folder) / "RESOLVED.json"
        resolved.write_text(
            json.dumps(configuration.resolved_for_run(config, arm, 1, capture.resolve(), Path(folder)))
        )
        command = [str(binary), *words, str(capture), "--config", str(resolved)]
        command += ["--workers", str(workers)] if door == "dpdk" else []  # the others decide on one core
        command += ["--fingerprint"] * fingerprint + ["--json"] * as_json
        return subprocess.run(command, check=False).returncode


def record(out: Path, seconds: int, seed: int) -> int:
    """Runs the recipe of datasets, which says itself what it refuses; its exit code."""
    out.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-P", "-m", "datasets.record", "--out", str(out), "--seconds", str(seconds), "--seed", str(seed)]
    return subprocess.run(command, check=False).returncode
