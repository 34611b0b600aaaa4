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
from foreflow.errors import Failed, Refused
from foreflow.places import ROOT


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


def record(out: Path) -> None:
    """Runs the recipe of datasets; needs rights to make network namespaces."""
    recipe = ROOT / "datasets" / "record"
    out.mkdir(parents=True, exist_ok=True)
    done = subprocess.run([sys.executable, "-P", str(recipe), "--out", str(out)], check=False)
    if done.returncode == 2:
        raise Refused("the recording was refused, see above")
    if done.returncode != 0:
        raise Failed("the recording failed, see above")
