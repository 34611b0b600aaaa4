# SPDX-License-Identifier: BSD-3-Clause
"""Commands that hand over to another program of the project."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from foreflow.errors import Refused
from foreflow.places import DISSECTOR


def record(out: Path, plan: str, seconds: int, seed: int) -> int:
    """Runs the recipe of datasets, which says itself what it refuses; its exit code."""
    out.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-P", "-m", "datasets.record", "--out", str(out), "--plan", plan, "--seconds", str(seconds), "--seed", str(seed)]
    return subprocess.run(command, check=False).returncode


def dissect(capture: Path, keys: Path | None, arguments: Sequence[str]) -> int:
    """Runs tshark on a capture with the dissector of packet dynamics units; its exit code."""
    for what, path in (("capture", capture), ("--keys", keys)):
        if path and not path.is_file():
            raise Refused(f"{what} {path}: there is no such file")
    command = ["tshark", "-r", str(capture), "-X", f"lua_script:{DISSECTOR}"]
    if keys:
        command += ["-o", f"foreflow.shard.keys:{keys.absolute()}"]
    return subprocess.run([*command, *arguments], check=False).returncode
