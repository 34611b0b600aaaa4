# SPDX-License-Identifier: BSD-3-Clause
"""What a run is, its key, and the one function that runs it, wherever that is: here, in a worker process or on a cluster."""

from __future__ import annotations

import errno
import hashlib
import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import cached_property
from pathlib import Path
from typing import Any

from foreflow import config as configuration
from foreflow import inputs, manifest
from foreflow.errors import Failed, Refused
from foreflow.inputs import sha256_of
from foreflow.runs import rows
from foreflow.runs.store import Store, sync

PARALLEL = 2  # runs at a time, of commands that do not ask
PROGRESS = re.compile(r"^progress (\d+) (\d+)$")
LEAST_FREE_BYTES = 1 << 16  # of the store's disk: with less, a run that failed may have failed for that
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Run:
    """One (arm, seed): what it will read, and its key."""

    arm: str
    seed: int
    capture: Path
    config: dict[str, Any]
    key: str
    shift: Path | None = None  # the capture that follows in the middle of the run

    def as_json(self) -> dict[str, Any]:
        return {
            "arm": self.arm, "seed": self.seed, "capture": str(self.capture), "config": self.config, "key": self.key,
            "shift": None if self.shift is None else str(self.shift),
        }  # fmt: skip

    @classmethod
    def of_json(cls, document: dict[str, Any]) -> Run:
        shift = document["shift"]
        return cls(**{**document, "capture": Path(document["capture"]), "shift": None if shift is None else Path(shift)})


@dataclass
class Result:
    """How a run ended.

    Status: done; reused, as it was whole already; failed; refused, by the simulator; busy, as another process runs it;
    unwritable, as the store takes nothing any more, or a file that the run needs is gone.
    """

    run: Run
    folder: Path
    status: str
    sentence: str = ""  # why it is not done
    row: dict[str, Any] | None = field(default=None)
    note: str = ""  # what else the user should know

    @property
    def ok(self) -> bool:
        return self.status in ("done", "reused")

    @property
    def trace(self) -> Path:
        return self.folder / "trace.h5"

    @cached_property
    def summary(self) -> dict[str, Any]:
        return json.loads((self.folder / "summary.json").read_text()) if self.ok else {}

    def as_json(self) -> dict[str, Any]:
        return {"folder": str(self.folder), "status": self.status, "sentence": self.sentence, "row": self.row, "note": self.note}

    @classmethod
    def of_json(cls, run: Run, document: dict[str, Any]) -> Result:
        return cls(run, **{**document, "folder": Path(document["folder"])})


def plan(config: dict[str, Any], arm: str, seed: int, capture: Path, program: Path, shift: Path | None = None) -> Run:
    """The run and its key: the hash of configuration, seed, contents of input and models, and binary."""
    resolved = configuration.resolved_for_run(config, arm, seed, capture, Path(), shift)
    models = {place: model and model["sha256"] for place, model in resolved.get("models", {}).items()}
    identity = {**resolved, "input": sha256_of(capture), "models": models, "out": None, "binary": sha256_of(program)}
    if "recovery" in resolved:
        table = resolved["recovery"]["table"]
        identity["recovery"] = {**resolved["recovery"], "table": table and table["sha256"]}
    if shift is not None:
        identity["traffic"] = {**resolved["traffic"], "shift_input": sha256_of(shift)}
    key = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]
    return Run(arm, seed, capture, config, key, shift)


def plan_all(config: dict[str, Any], arms: list[str], seeds: list[int], program: Path) -> list[Run]:
    """A run for each arm and seed, on captures that are made where they are not there yet."""
    if config["input"] in inputs.GENERATED + inputs.OVER_RULES:
        print(f"foreflow: making or reusing {len(seeds)} captures of {config['input']} traffic", file=sys.stderr)
    captures = {seed: inputs.captures_of(config, seed) for seed in seeds}
    return [plan(config, arm, seed, captures[seed][0], program, captures[seed][1]) for arm in arms for seed in seeds]


def hash_of(runs: Iterable[Run]) -> str:
    """Names the folder of a result."""
    return hashlib.sha256(" ".join(run.key for run in runs).encode()).hexdigest()[:12]


def now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def last_sentence(log: Path) -> str:
    lines = [line for line in log.read_text(errors="replace").splitlines() if line and not PROGRESS.match(line)]
    return lines[-1][:500] if lines else "it said nothing"


def write_manifest(
    folder: Path, run: Run, program: Path, resolved: dict[str, Any], started: str, exit_reason: str, carried: dict[str, Any]
) -> dict[str, Any]:
    """Writes and returns it. `carried`: by which door, and at which times (`recorded`, or `load`: scaled to traffic.load)."""
    outputs = {
        name: hashlib.sha256((folder / name).read_bytes()).hexdigest()
        for name in ("trace.h5", "summary.json")
        if (folder / name).is_file()
    }
    fingerprint = None
    if "summary.json" in outputs and exit_reason == "done":
        fingerprint = json.loads((folder / "summary.json").read_text()).get("fingerprint")
    document = {
        "run": run.key,
        "config": {key: value for key, value in resolved.items() if key != "out"},
        "parameters": configuration.parameters(run.config),
        "seed": run.seed,
        **carried,
        **manifest.commit(),
        "compiler": manifest.compiler(program),
        "libraries": manifest.libraries(),
        "machine": manifest.machine(),
        "started": started,
        "ended": now(),
        "exit": exit_reason,
        "fingerprint": fingerprint,
        "binary_sha256": sha256_of(program),
        "inputs_sha256": {str(path): sha256_of(path) for path in (run.capture, run.shift) if path is not None},
        "outputs_sha256": outputs,
    }
    (folder / "manifest.json").write_text(json.dumps(document, indent=1) + "\n")
    return document


def tied(command: list[str]) -> list[str]:
    """`command`, killed by the kernel when the process that starts it dies."""
    return ["setpriv", "--pdeathsig", "KILL", "--", *command]


def _simulate(program: Path, work: Path, progress: Progress) -> int:
    """Runs the simulator on work/RESOLVED.json; what it says goes into log.txt, its exit code is returned."""
    with (work / "log.txt").open("w") as log:
        try:
            if not program.is_file():
                raise FileNotFoundError(errno.ENOENT, "No such file or directory")
            process = subprocess.Popen(
                tied([str(program), str(work / "RESOLVED.json")]), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT, text=True, errors="replace", bufsize=1,
            )  # fmt: skip
        except OSError as error:
            log.write(f"{program}: {error.strerror}\n")
            return 127
        try:
            assert process.stdout is not None
            for line in process.stdout:
                if match := PROGRESS.match(line.strip()):
                    progress(int(match.group(1)), int(match.group(2)))
                else:
                    log.write(line)
        except BaseException:
            process.kill()
            raise
        finally:
            code = process.wait()
            process.stdout.close()
        if code < 0:
            log.write(f"ended by signal {-code}\n")
        return code


def execute(run: Run, program: Path, store: Store, fresh: bool = False, progress: Progress = lambda done, total: None) -> Result:
    """Runs, measures and keeps one run, or takes it as it is kept; never raises for what the simulator or the disk does."""
    try:
        with store.claim(run.key) as ours:
            if not fresh and (row := store.finished(run.key)) is not None:
                return Result(run, store.run(run.key), "reused", row=row)
            if not ours:
                return Result(run, store.run(run.key), "busy", "another process runs it")
            spoiled = "" if fresh else store.spoiled(run.key)
            result = _execute(run, program, store, progress)
            if spoiled and result.ok:
                result.note = f"{spoiled}; it is kept beside, and was run again"
            return result
    except OSError as error:
        return Result(run, store.run(run.key), "unwritable", f"{error.filename or store.folder}: {error.strerror or error}")


def _execute(run: Run, program: Path, store: Store, progress: Progress) -> Result:
    work = store.new_folder(run.key)
    resolved = configuration.resolved_for_run(run.config, run.arm, run.seed, run.capture, work, run.shift)
    (work / "RESOLVED.json").write_text(json.dumps(resolved, indent=1) + "\n")
    started, begun = now(), time.monotonic()
    code = _simulate(program, work, progress)
    sentence, metrics, trace = "", {}, None
    if code != 0:
        sentence = last_sentence(work / "log.txt")
    elif not all((work / name).is_file() for name in ("trace.h5", "summary.json")):
        sentence = "trace.h5 or summary.json is missing although the exit code is 0"
    else:
        try:
            metrics, trace = rows.measured(work)
        except (Failed, ValueError) as error:
            sentence = f"it cannot be measured: {error}"
    if sentence and shutil.disk_usage(store.folder).free < LEAST_FREE_BYTES:
        return Result(run, work, "unwritable", f"{store.folder}: the disk is full ({sentence})")
    if sentence and code == 0:
        with (work / "log.txt").open("a") as log:
            log.write(sentence + "\n")
    reason = "done" if not sentence else f"refused: {sentence}" if code == 2 else f"exit code {code}: {sentence}"
    document = write_manifest(work, run, program, resolved, started, reason, {"door": "ns3", "times": "load"})
    sync(work)
    row = rows.row(document, document["parameters"], time.monotonic() - begun, metrics, trace, sentence)
    rows.write(work, row)
    folder = store.keep(work, run.key, not sentence)
    return Result(run, folder, "done" if not sentence else "refused" if code == 2 else "failed", sentence, row)


def lost(run: Run, program: Path, store: Store, sentence: str) -> Result:
    """Keeps a run that took its workers with it as one that failed."""
    work = store.new_folder(run.key)
    resolved = configuration.resolved_for_run(run.config, run.arm, run.seed, run.capture, work, run.shift)
    (work / "RESOLVED.json").write_text(json.dumps(resolved, indent=1) + "\n")
    (work / "log.txt").write_text(sentence + "\n")
    document = write_manifest(work, run, program, resolved, now(), sentence, {"door": "ns3", "times": "load"})
    row = rows.row(document, document["parameters"], 0.0, {}, None, sentence)
    rows.write(work, row)
    return Result(run, store.keep(work, run.key, False), "failed", sentence, row)


def run_all(runs: list[Run], program: Path, folder: Path, fresh: bool = False) -> list[Result]:
    """All runs, two at a time, kept in the store `folder`; results in the order of `runs`.

    Raises Refused when the simulator refuses one: they share the configuration, so the others are not started.
    """
    from foreflow.runs import driving

    results: dict[str, Result] = {}

    def ended(result: Result) -> list[Run]:
        if result.status == "refused":
            raise Refused(result.sentence)
        results[result.run.key] = result
        return []

    driving.drive(runs, program, Store.of(folder), ended, fresh=fresh)
    return [results[run.key] for run in runs]


def fingerprint_of(results: list[Result]) -> str | None:
    """SHA-256 over the fingerprints of all runs, in order; None when one is missing."""
    digest = hashlib.sha256()
    for result in results:
        if not result.ok or "fingerprint" not in result.summary:
            return None
        digest.update(bytes.fromhex(result.summary["fingerprint"]))
    return digest.hexdigest()
