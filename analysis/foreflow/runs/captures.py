# SPDX-License-Identifier: BSD-3-Clause
"""Captures that generators make for many runs: each once, several at a time, in processes of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from foreflow import inputs
from foreflow.errors import Failed, Refused
from foreflow.places import ROOT
from foreflow.runs import runner


def make(wanted: Iterable[tuple[dict[str, Any], int]], width: int) -> None:
    """Makes what is not there yet of the captures of resolved scenarios, each for one seed; `width` at a time."""
    missing: dict[str, str] = {}
    for config, seed in wanted:
        traffic = config["traffic"]
        if config["input"] not in inputs.GENERATED + inputs.OVER_RULES and traffic["shift_input"] is None:
            continue
        reads = {"input": config["input"], "traffic": {key: traffic[key] for key in ("max_packets", "shift_input")}, "rules": config["rules"]}
        text = json.dumps({"config": reads, "seed": seed})
        if text not in missing and inputs.kept_captures_of(config, seed) is None:
            missing[text] = text
    if not missing:
        return
    print(f"foreflow: making {len(missing)} captures", file=sys.stderr, flush=True)
    with ThreadPoolExecutor(min(width, len(missing))) as pool:
        for _ in pool.map(_make, missing):
            pass


def _make(text: str) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "analysis"), str(ROOT)])}
    command = runner.tied([sys.executable, "-P", "-m", "foreflow.runs.captures"])
    done = subprocess.run(command, input=text, capture_output=True, text=True, errors="replace", env=environment, check=False)
    if done.returncode != 0:
        said = (done.stderr.strip() or f"exit code {done.returncode}").splitlines()[-1]
        raise (Refused if done.returncode == 2 else Failed)(said)


if __name__ == "__main__":
    document = json.load(sys.stdin)
    try:
        inputs.captures_of(document["config"], document["seed"])
    except Refused as refusal:
        print(refusal, file=sys.stderr)
        sys.exit(2)
