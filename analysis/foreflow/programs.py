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


def replay(
    capture: Path, overrides: list[str], door: str, scenario: str, arm: str, fingerprint: bool, as_json: bool
) -> int:
    """Runs foreflow-replay with the resolved configuration; its exit code."""
    if arm not in configuration.ARMS:
        raise Refused(f"command line: --arm = {arm}; allowed is one of {', '.join(configuration.ARMS)}")
    if not capture.is_file():
        raise Refused(f"{capture}: no such file")
    config = configuration.resolve(scenario, overrides)
    binary = program(build("sim", ["foreflow-replay"]), "foreflow-replay")
    with tempfile.TemporaryDirectory(prefix="foreflow-") as folder:
        resolved = Path(folder) / "RESOLVED.json"
        resolved.write_text(
            json.dumps(configuration.resolved_for_run(config, arm, 1, capture.resolve(), Path(folder)))
        )
        command = [str(binary), str(capture), "--config", str(resolved)]
        command += ["--fingerprint"] * fingerprint + ["--json"] * as_json
        return subprocess.run(command, check=False).returncode


def record(out: Path, seconds: int, seed: int) -> int:
    """Runs the recipe of datasets, which says itself what it refuses; its exit code."""
    out.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-P", "-m", "datasets.record", "--out", str(out), "--seconds", str(seconds), "--seed", str(seed)]
    return subprocess.run(command, check=False).returncode
