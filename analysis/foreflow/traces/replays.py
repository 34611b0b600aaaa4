# SPDX-License-Identifier: BSD-3-Clause
"""A capture decided at its recorded times, by whichever door; printed, or kept as a run's folder."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from foreflow import config as configuration
from foreflow.build import build, program
from foreflow.doors import DOORS
from foreflow.errors import Refused
from foreflow.runs import runner


@dataclass(frozen=True)
class Replay:
    """What is decided, and by which door."""

    capture: Path
    scenario: str
    overrides: list[str]
    arm: str
    door: str
    workers: int = 1
    loops: int = 1
    wire: Path | None = None  # what packet dynamics units send, as pcapng
    key_log: Path | None = None  # with which it is read

    def resolve(self) -> dict[str, Any]:
        """The configuration; refuses what cannot be replayed before anything is built."""
        if self.arm not in configuration.ARMS:
            raise Refused(f"command line: --arm = {self.arm}; allowed is one of {', '.join(configuration.ARMS)}")
        if not self.capture.is_file():
            raise Refused(f"{self.capture}: no such file")
        if self.loops > 1 and not DOORS[self.door].loops:
            able = " and ".join(name for name, door in DOORS.items() if door.loops)
            raise Refused(f"command line: --loop {self.loops} with --door {self.door}; it is for {able}")
        config = configuration.resolve(self.scenario, self.overrides)
        if config["traffic"]["shift_input"] is not None:
            raise Refused("traffic.shift_input: a replay decides on one capture at its own times; shifts are for `run`")
        return config

    def binary(self) -> Path:
        door = DOORS[self.door]
        return program(build(door.preset, [door.program]), door.program)

    def command(self, binary: Path, resolved: Path) -> list[str]:
        door = DOORS[self.door]
        command = [str(binary), *door.words, str(self.capture), "--config", str(resolved), "--loop", str(self.loops)]
        for option, path in (("--wire", self.wire), ("--key-log", self.key_log)):
            command += [option, str(path)] if path else []
        return command + (["--workers", str(self.workers)] if door.workers else [])


def _output_options(fingerprint: bool, as_json: bool) -> list[str]:
    return ["--fingerprint"] * fingerprint + ["--json"] * as_json


def show(replay: Replay, fingerprint: bool, as_json: bool) -> int:
    """Replays and prints, keeping nothing; the program's exit code."""
    config = replay.resolve()
    binary = replay.binary()
    with tempfile.TemporaryDirectory(prefix="foreflow-") as folder:
        resolved = Path(folder) / "RESOLVED.json"
        document = configuration.resolved_for_run(config, replay.arm, 1, replay.capture.resolve(), Path(folder))
        resolved.write_text(json.dumps(document))
        command = replay.command(binary, resolved) + _output_options(fingerprint, as_json)
        return subprocess.run(command, check=False).returncode


def keep(replay: Replay, out: Path, fingerprint: bool, as_json: bool) -> int:
    """Replays, prints, and leaves the folder of a run at `out`, which must not exist yet; the program's exit code.

    The folder appears whole or, where the program fails, as `<out>.failed` with its log.
    """
    if replay.loops > 1:
        raise Refused("command line: --out keeps a row for each packet of one pass; leave --loop or --out out")
    return keep_resolved(replay, replay.resolve(), 1, out, _output_options(fingerprint, as_json))


def keep_resolved(replay: Replay, config: dict[str, Any], seed: int, out: Path, options: list[str] | None = None, quiet: bool = False) -> int:
    """As `keep`, of a configuration that is resolved already; `quiet`: what the program prints is for nobody."""
    out = out.absolute()
    if out.exists():
        raise Refused(f"{out}: is there already; name a new folder, or remove it")
    binary = replay.binary()
    work = out.with_name(f"{out.name}.{os.getpid()}.tmp")
    work.mkdir(parents=True)
    capture = replay.capture.resolve()
    resolved = configuration.resolved_for_run(config, replay.arm, seed, capture, out)
    (work / "RESOLVED.json").write_text(json.dumps(resolved, indent=1) + "\n")
    command = [
        *replay.command(binary, work / "RESOLVED.json"),
        "--trace", str(work / "trace.h5"), "--summary", str(work / "summary.json"),
        *(options or []),
    ]  # fmt: skip
    started = runner.now()
    with (work / "log.txt").open("w") as log:
        done = subprocess.run(command, check=False, stdout=subprocess.DEVNULL if quiet else None, stderr=subprocess.PIPE, text=True, errors="replace")
        log.write(done.stderr)
    sys.stderr.write(done.stderr)
    exit_reason = "done" if done.returncode == 0 else f"exit code {done.returncode}"
    run = runner.plan(config, replay.arm, seed, capture, binary)
    carried = {"door": replay.door, "times": "recorded", "workers": replay.workers}
    runner.write_manifest(work, run, binary, resolved, started, exit_reason, carried)
    target = out if done.returncode == 0 else out.with_name(f"{out.name}.failed")
    if target != out and target.exists():
        shutil.rmtree(target)
    os.rename(work, target)
    return done.returncode
