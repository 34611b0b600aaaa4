# SPDX-License-Identifier: BSD-3-Clause
"""Commands that hand over to another program of the project."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def record(out: Path, plan: str, seconds: int, seed: int) -> int:
    """Runs the recipe of datasets, which says itself what it refuses; its exit code."""
    out.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-P", "-m", "datasets.record", "--out", str(out), "--plan", plan, "--seconds", str(seconds), "--seed", str(seed)]
    return subprocess.run(command, check=False).returncode
