# SPDX-License-Identifier: BSD-3-Clause
"""Runs every (arm, seed) of a scenario, each in a process of its own, and keeps each in a folder named by its hash.

A folder appears under its final name only when it is whole: it is written beside, synced, then renamed. A whole folder
is taken again instead of run again. A failed run keeps its folder, with its log, as `<hash>.failed`.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from tqdm import tqdm

from foreflow import config as configuration
from foreflow import inputs, manifest
from foreflow.errors import Refused
from foreflow.inputs import sha256_of

PARALLEL = 2
PROGRESS = re.compile(r"^progress (\d+) (\d+)$")


@dataclass(frozen=True)
class Run:
    """One (arm, seed): what it will read and where it is kept."""

    arm: str
    seed: int
    capture: Path
    config: dict[str, Any]
    key: str
    shift: Path | None = None  # the capture that follows in the middle of the run


@dataclass
class Result:
    run: Run
    folder: Path
    status: str  # done, reused, failed, refused
    sentence: str = ""  # why it failed
    summary: dict[str, Any] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        return self.status in ("done", "reused")

    @property
    def trace(self) -> Path:
        return self.folder / "trace.h5"


def plan(config: dict[str, Any], arm: str, seed: int, capture: Path, program: Path, shift: Path | None = None) -> Run:
    """The run and its key: the hash of configuration, seed, contents of input and models, and binary."""
    resolved = configuration.resolved_for_run(config, arm, seed, capture, Path(), shift)
    models = {place: model and model["sha256"] for place, model in resolved["models"].items()}
    identity = {**resolved, "input": sha256_of(capture), "models": models, "out": None, "binary": sha256_of(program)}
    if shift is not None:
        identity["traffic"] = {**resolved["traffic"], "shift_input": sha256_of(shift)}
    key = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]
    return Run(arm, seed, capture, config, key, shift)


def plan_all(config: dict[str, Any], arms: list[str], seeds: list[int], program: Path) -> list[Run]:
    """A run for each arm and seed, on captures that are made where they are not there yet."""
    traffic = config["traffic"]

    def captures_of(name: str) -> dict[int, Path]:
        if name in inputs.GENERATED + inputs.OVER_RULES:
            print(f"foreflow: making or reusing {len(seeds)} captures of {name} traffic", file=sys.stderr)
        return {seed: inputs.capture_for(name, seed, traffic["max_packets"], rules=config["rules"]) for seed in seeds}

    captures = captures_of(config["input"])
    shifts = captures_of(traffic["shift_input"]) if traffic["shift_input"] is not None else {}
    return [plan(config, arm, seed, captures[seed], program, shifts.get(seed)) for arm in arms for seed in seeds]


def hash_of(runs: list[Run]) -> str:
    """Names the folder of a result."""
    return hashlib.sha256(" ".join(run.key for run in runs).encode()).hexdigest()[:12]


def _whole(folder: Path) -> dict[str, Any] | None:
    """The summary of a finished run in `folder`, or None."""
    try:
        document = json.loads((folder / "manifest.json").read_text())
        summary = json.loads((folder / "summary.json").read_text())
    except (OSError, ValueError):
        return None
    return summary if document.get("exit") == "done" and (folder / "trace.h5").is_file() else None


def _sync(folder: Path) -> None:
    for path in [*folder.iterdir(), folder]:
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def _last_sentence(log: Path) -> str:
    lines = [line for line in log.read_text(errors="replace").splitlines() if line and not PROGRESS.match(line)]
    return lines[-1][:500] if lines else "it said nothing"


def write_manifest(
    folder: Path, run: Run, program: Path, resolved: dict[str, Any], started: str, exit_reason: str, carried: dict[str, Any]
) -> None:
    """`carried`: by which door, and at which times (`recorded`, or `load`: scaled to traffic.load)."""
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


def execute(
    run: Run, program: Path, store: Path, fresh: bool, progress: Callable[[int, int], None], processes: set[subprocess.Popen]
) -> Result:
    """Runs or reuses one run; never raises for what the simulator does."""
    final = store / run.key
    if not fresh and (summary := _whole(final)) is not None:
        progress(1, 1)
        return Result(run, final, "reused", summary=summary)
    store.mkdir(parents=True, exist_ok=True)
    work = store / f"{run.key}.{os.getpid()}.tmp"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    resolved = configuration.resolved_for_run(run.config, run.arm, run.seed, run.capture, work, run.shift)
    (work / "RESOLVED.json").write_text(json.dumps(resolved, indent=1) + "\n")
    started = now()
    log = work / "log.txt"
    with log.open("w") as file:
        try:
            process = subprocess.Popen(
                [str(program), str(work / "RESOLVED.json")], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT, text=True, errors="replace", bufsize=1,
            )  # fmt: skip
        except OSError as error:
            file.write(f"{program}: {error.strerror}\n")
            code = 127
        else:
            processes.add(process)
            assert process.stdout is not None
            for line in process.stdout:
                if match := PROGRESS.match(line.strip()):
                    progress(int(match.group(1)), int(match.group(2)))
                else:
                    file.write(line)
            code = process.wait()
            processes.discard(process)
            if code < 0:
                file.write(f"ended by signal {-code}\n")
    whole = (work / "trace.h5").is_file() and (work / "summary.json").is_file()
    if code == 0 and not whole:
        with log.open("a") as file:
            file.write("trace.h5 or summary.json is missing although the exit code is 0\n")
    done = code == 0 and whole
    reason = "done" if done else f"refused: {_last_sentence(log)}" if code == 2 else f"exit code {code}: {_last_sentence(log)}"
    write_manifest(work, run, program, resolved, started, reason, {"door": "ns3", "times": "load"})
    target = final if done else store / f"{run.key}.failed"
    _sync(work)
    if target.exists():
        shutil.rmtree(target)
    os.rename(work, target)
    if done:
        return Result(run, target, "done", summary=_whole(target) or {})
    return Result(run, target, "refused" if code == 2 else "failed", _last_sentence(target / "log.txt"))


class _Bar:
    """Packets done over all runs: a bar with time left on a terminal, a line a minute elsewhere."""

    def __init__(self, runs: int):
        self.done: dict[str, float] = {}
        self.runs = runs
        self.failures = 0
        self.lock = threading.Lock()
        self.started = self.said = time.monotonic()
        terminal = sys.stderr.isatty()
        self.bar = tqdm(total=runs, file=sys.stderr, unit="run", bar_format="{l_bar}{bar}| {elapsed}, {remaining} left{postfix}") if terminal else None

    def update(self, run: Run, done: int, total: int) -> None:
        with self.lock:
            self.done[run.key] = done / total if total else 1.0
            share = sum(self.done.values())
            if self.bar is not None:
                self.bar.n = round(share, 3)
                if self.failures:
                    self.bar.set_postfix_str(f"{self.failures} failed", refresh=False)
                self.bar.refresh()
            elif (now := time.monotonic()) - self.said >= 60:
                self.said = now
                left = (now - self.started) / max(share, 1e-9) * (self.runs - share)
                print(f"  {share:.1f} of {self.runs} runs, about {left:.0f} s left", file=sys.stderr, flush=True)

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()


def run_all(runs: list[Run], program: Path, store: Path, fresh: bool = False) -> list[Result]:
    """All runs, two at a time, results in the order of `runs`.

    Raises Refused when the simulator refuses one: they share the configuration, so the others are not started.
    """
    bar = _Bar(len(runs))
    processes: set[subprocess.Popen] = set()
    results: dict[int, Result] = {}
    pool = ThreadPoolExecutor(PARALLEL)
    waiting = list(enumerate(runs))
    running: dict[Any, int] = {}
    try:
        while waiting or running:
            while waiting and len(running) < PARALLEL:
                index, run = waiting.pop(0)

                def progress(done: int, total: int, run: Run = run) -> None:
                    bar.update(run, done, total)

                running[pool.submit(execute, run, program, store, fresh, progress, processes)] = index
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                index = running.pop(future)
                result = results[index] = future.result()
                bar.update(result.run, 1, 1)
                if result.status == "refused":
                    raise Refused(result.sentence)
                if not result.ok:
                    bar.failures += 1
    finally:
        for process in list(processes):
            process.terminate()
        pool.shutdown(wait=True)
        bar.close()
    return [results[index] for index in range(len(runs))]


def fingerprint_of(results: list[Result]) -> str | None:
    """SHA-256 over the fingerprints of all runs, in order; None when one is missing."""
    digest = hashlib.sha256()
    for result in results:
        if not result.ok or "fingerprint" not in result.summary:
            return None
        digest.update(bytes.fromhex(result.summary["fingerprint"]))
    return digest.hexdigest()
