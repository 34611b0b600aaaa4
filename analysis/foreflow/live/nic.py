# SPDX-License-Identifier: BSD-3-Clause
"""Live traffic: `foreflow-dpdk nic` with a resolved scenario, whose rules are loaded again on SIGHUP."""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from foreflow import config as configuration
from foreflow.build import build, program
from foreflow.errors import Refused
from foreflow.live import control as controlling
from foreflow.live import foreground
from foreflow.places import RUNS


@dataclass(frozen=True)
class Nic:
    """What runs, and where its folder is."""

    scenario: str
    overrides: list[str]
    arm: str
    out: Path
    control: Path | None = None  # who may control it

    def write(self) -> Path:
        """Resolves the scenario into the run's folder. The file is replaced whole: a reader sees the old or the new."""
        config = configuration.resolve(self.scenario, self.overrides)
        # No capture is read, but what reads RESOLVED.json wants to be told of one.
        document = configuration.resolved_for_run(config, self.arm, 1, Path("-"), self.out)
        path = self.out / "RESOLVED.json"
        new = path.with_suffix(".new")
        new.write_text(json.dumps(document, indent=1) + "\n")
        os.replace(new, path)
        return path


def new_folder(scenario: str) -> Path:
    """Where a run is kept that was given no folder."""
    return RUNS / f"nic-{Path(scenario).stem}-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}"


def run(nic: Nic, options: list[str], eal: list[str]) -> int:
    """Runs until the program ends; SIGINT and SIGTERM are passed on to it. Its exit code."""
    if nic.arm not in configuration.LIVE_ARMS:
        raise Refused(f"command line: --arm = {nic.arm}; allowed is one of {', '.join(configuration.LIVE_ARMS)}")
    configuration.resolve(nic.scenario, nic.overrides)  # refused before anything is built
    if nic.control:
        controlling.resolve_server(nic.control)
    binary = program(build("dpdk", ["foreflow-dpdk"]), "foreflow-dpdk")
    nic.out.mkdir(parents=True, exist_ok=True)
    resolved = nic.write()
    print(f"foreflow: configuration {resolved}", file=sys.stderr)
    if nic.control:
        served = nic.out / "control.json"
        served.write_text(json.dumps(controlling.resolve_server(nic.control), indent=1) + "\n")
        options = [*options, "--control", str(served)]
    return foreground.run([str(binary), "nic", str(resolved), *options, "--", *eal], before_reload=nic.write)
