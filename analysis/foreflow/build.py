# SPDX-License-Identifier: BSD-3-Clause
"""Builds what a command needs, and notices in milliseconds when nothing has to be built."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from foreflow.errors import Failed
from foreflow.places import BUILD, LOGS, ROOT

SOURCE_FOLDERS = ("cmake", "models", "hw-models", "ns3-module", "bindings", "scenarios", "docs/examples", "tools")
SOURCE_NAMES = re.compile(r"\.(cc|h|cmake|in|py|pyi|yaml)$|^CMakeLists\.txt$")
PROGRESS = re.compile(r"^\[(\d+)/(\d+)\]")


def _sources() -> Iterator[Path | os.DirEntry[str]]:
    """Every file that a build reads, and every folder: its time tells of files that came or went."""
    yield ROOT / "CMakeLists.txt"
    yield ROOT / "CMakePresets.json"
    yield Path("/var/lib/dpkg/status")  # a library was upgraded
    folders = [str(ROOT / name) for name in SOURCE_FOLDERS]
    while folders:
        folder = folders.pop()
        try:
            entries = list(os.scandir(folder))
        except FileNotFoundError:
            continue
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                if entry.name not in ("__pycache__", "corpus", ".pytest_cache", ".hypothesis"):
                    folders.append(entry.path)
            elif SOURCE_NAMES.search(entry.name):
                yield entry


def _fingerprint_of_sources() -> str:
    """Changes when a source's path, size or time of change does."""
    digest = hashlib.sha256()
    for line in sorted(f"{os.fspath(s)} {s.stat().st_size} {s.stat().st_mtime_ns}" for s in _sources()):
        digest.update(line.encode())
    return digest.hexdigest()


def _cached(folder: Path, variable: str) -> str | None:
    try:
        text = (folder / "CMakeCache.txt").read_text()
    except FileNotFoundError:
        return None
    match = re.search(rf"^{variable}:[A-Z]+=(.*)$", text, re.MULTILINE)
    return match.group(1) if match else None


def has_package(name: str) -> bool:
    return subprocess.run(["dpkg-query", "-W", name], capture_output=True, check=False).returncode == 0


def _show(done: int, total: int, started: float, last: float) -> float:
    """A line rewritten on a terminal; elsewhere a line every half minute."""
    now = time.monotonic()
    if sys.stderr.isatty():
        left = (now - started) / max(done, 1) * (total - done)
        print(f"\r  {done}/{total} steps, about {left:4.0f} s left ", end="", file=sys.stderr, flush=True)
        return now
    if now - last >= 30:
        print(f"  {done}/{total} steps", file=sys.stderr, flush=True)
        return now
    return last


def _run_logged(command: list[str], log: Path, what: str) -> None:
    started = last = time.monotonic()
    with log.open("a") as file:
        print("$", *command, file=file, flush=True)
        with subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                file.write(line)
                if match := PROGRESS.match(line):
                    last = _show(int(match.group(1)), int(match.group(2)), started, last)
    if sys.stderr.isatty() and last > started:
        print(file=sys.stderr)
    if process.returncode != 0:
        lines = log.read_text(errors="replace").splitlines()
        first = next((i for i, line in enumerate(lines) if re.search(r"CMake Error|error:|FAILED:", line)), len(lines) - 20)
        print("\n".join("  " + line[:300] for line in lines[first : first + 20]), file=sys.stderr)
        raise Failed(f"{what} failed; full log: {log}")


def build(preset: str, targets: list[str], tests: bool = False) -> Path:
    """Brings `targets` of a CMake preset up to date (all of them when empty) and returns the build folder.

    `tests`: the targets include tests. They stay out of a first build that does not need them, and so do their
    packages.
    """
    folder = BUILD / preset
    stamp = folder / ".foreflow" / hashlib.sha256(" ".join([str(tests), *targets]).encode()).hexdigest()[:16]
    sources = _fingerprint_of_sources()
    if stamp.is_file() and stamp.read_text() == sources:
        return folder
    LOGS.mkdir(parents=True, exist_ok=True)
    log = LOGS / f"build-{preset}.log"
    with (LOGS / f"build-{preset}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        log.write_text("")
        fresh = not (folder / "build.ninja").is_file()
        tests_now = _cached(folder, "FOREFLOW_TESTS")
        if fresh or (tests and tests_now == "OFF"):
            wanted = "ON" if tests or has_package("libgtest-dev") else "OFF"
            size = "a few minutes the first time" if fresh else "again, with tests"
            print(f"foreflow: building {preset} ({size}; log: {log})", file=sys.stderr)
            _run_logged(["cmake", "--preset", preset, f"-DFOREFLOW_TESTS={wanted}"], log, "the configuration of the build")
        _run_logged(["ninja", "-C", str(folder), *targets], log, "the build")
    stamp.parent.mkdir(exist_ok=True)
    stamp.write_text(sources)
    return folder


def program(folder: Path, name: str) -> Path:
    """The built program called `name`."""
    for room in ("scenarios", "bindings", "ns3-module", "models", "hw-models"):
        if (folder / room / name).is_file():
            return folder / room / name
    found = [path for path in folder.rglob(name) if path.is_file() and os.access(path, os.X_OK)]
    if not found:
        raise Failed(f"the build in {folder} has no program {name}")
    return found[0]
