# SPDX-License-Identifier: BSD-3-Clause
"""Builds and runs every test. Each suite gives counts; together they are the one last line."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as xml
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from foreflow import config
from foreflow.build import build, program
from foreflow.errors import Failed, Refused
from foreflow.places import BUILD, LOGS, ROOT

FUZZ_SECONDS = 3  # a target: finds what a change broke; long fuzzing is for a night
PYTEST_FOLDERS = ("analysis/tests", "analysis/notebooks", "datasets", "bindings", "hw-models", "docs")


@dataclass
class Counts:
    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.passed + other.passed, self.failed + other.failed, self.skipped + other.skipped)

    def __str__(self) -> str:
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"


def say(text: str) -> None:
    print(text, flush=True)


def _of_junit(path: Path) -> Counts:
    """Cases of a JUnit file of GoogleTest or pytest."""
    counts = Counts()
    for case in xml.parse(path).getroot().iter("testcase"):
        if case.find("failure") is not None or case.find("error") is not None:
            counts.failed += 1
        elif case.find("skipped") is not None or case.get("status") in ("notrun", "disabled"):
            counts.skipped += 1
        else:
            counts.passed += 1
    return counts


def _follow(command: list[str], log: Path, interesting: re.Pattern[str], **options: object) -> int:
    """Runs `command` into `log`, passing interesting lines on to standard error as signs of life."""
    with log.open("w") as file, subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", cwd=ROOT, **options
    ) as process:  # type: ignore[call-overload]
        for line in process.stdout:
            file.write(line)
            if interesting.search(line):
                print("  " + line.rstrip()[:150], file=sys.stderr, flush=True)
    return process.returncode


def _ctest(preset: str, pattern: str | None, *options: str) -> Counts:
    """Every test of a build folder. A GoogleTest program counts by its cases, any other as one."""
    folder = BUILD / preset
    log = LOGS / f"test-{preset}.log"
    with tempfile.TemporaryDirectory(prefix="foreflow-") as scratch:
        summary = Path(scratch) / "ctest.xml"
        cases = Path(scratch) / "gtest"
        command = ["ctest", "--test-dir", str(folder), "-j", str(os.cpu_count() or 1), "--output-on-failure", "--timeout", "600"]
        command += ["--no-tests=error", "--output-junit", str(summary)] + (["-R", pattern] if pattern else []) + [*options]
        environment = {
            **os.environ,
            "GTEST_OUTPUT": f"xml:{cases}/",
            "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
            "ASAN_OPTIONS": "detect_leaks=1",
        }
        code = _follow(command, log, re.compile(r"^\s*\d+/\d+ Test"), env=environment)
        if not summary.is_file():
            say(f"  ctest found no tests or broke (exit code {code}); log: {log}")
            return Counts(failed=1)
        counts = Counts()
        for test in xml.parse(summary).getroot().iter("testcase"):
            inner = [path for path in (cases / f"{test.get('name')}_test.xml", cases / f"{test.get('name')}.xml") if path.is_file()]
            state = test.get("status")
            bad = state == "fail" or test.find("failure") is not None
            if inner:
                own = _of_junit(inner[0])
                if bad and own.failed == 0:
                    own.failed = 1  # it died after or between its cases
                counts += own
            else:
                counts += Counts(failed=1) if bad else Counts(passed=1) if state == "run" else Counts(skipped=1)
        if counts.failed:
            say(_tail(log))
        return counts


def _tail(log: Path) -> str:
    """What a reader of a failure wants: the failing assertions, and where the whole log is."""
    lines = log.read_text(errors="replace").splitlines()
    marks = [i for i, line in enumerate(lines) if re.search(r"Failure$|FAILED|ERROR: |runtime error|^E  |Falsifiable|\*\*\*", line)]
    shown = sorted({near for mark in marks[:12] for near in range(mark, min(mark + 6, len(lines)))})
    return "\n".join("    " + lines[i][:200] for i in shown) + f"\n    full log: {log}"


def _sim(pattern: str | None) -> Counts:
    """What is used, and what tests it from without; the unit tests are made where they are asked for by name."""
    build("sim", ["all", "tests"] if pattern else [], tests=True)
    return _ctest("sim", pattern, *([] if pattern else ["-LE", "unit"]))


def _asan(pattern: str | None) -> Counts:
    build("asan", ["tests"], tests=True)
    return _ctest("asan", pattern, "-LE", "checks")  # the sources were checked in sim


def _fuzz(pattern: str | None, targets: tuple[str, ...] = ()) -> Counts:
    """Each fuzz target of `fuzz`, or those named, for a few seconds, from its corpus; one count a target."""
    folder = build("asan", [*targets] or ["fuzz"], tests=True)
    log = LOGS / "test-fuzz.log"
    environment = {**os.environ, "FOREFLOW_ASAN": str(folder)}
    verdict = re.compile(r"^(\w+_fuzz): (.*nothing found|found something|is not built)")
    _follow([str(ROOT / "tools" / "fuzz"), str(FUZZ_SECONDS), *targets], log, verdict, env=environment)
    counts = Counts()
    for line in log.read_text(errors="replace").splitlines():
        if match := verdict.match(line):
            counts += Counts(passed=1) if match.group(2).endswith("nothing found") else Counts(failed=1)
    if counts.failed:
        say(_tail(log))
    return counts


def _release(pattern: str | None) -> Counts:
    """The unit tests of what is used, as it was compiled for that, and fuzzing of all doors together."""
    build("sim", ["tests"], tests=True)
    return _ctest("sim", pattern, "-L", "unit") + _fuzz(pattern, ("doors_fuzz",))


def _pytest(name: str, folders: list[str], pattern: str | None, environment: dict[str, str], *options: str) -> Counts:
    """The Python tests of folders."""
    log = LOGS / f"test-{name}.log"
    with tempfile.TemporaryDirectory(prefix="foreflow-") as scratch:
        summary = Path(scratch) / "pytest.xml"
        command = [sys.executable, "-P", "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", "--import-mode=importlib"]
        command += [f"--junitxml={summary}", *options, *folders] + (["-k", pattern] if pattern else [])
        code = _follow(command, log, re.compile(r"^FAILED|^ERROR|^SKIPPED|\d+ (passed|failed|skipped)"), env={**os.environ, **environment})
        if not summary.is_file():
            say(_tail(log))
            return Counts(failed=1)
        counts = _of_junit(summary)
    if code not in (0, 5) and counts.failed == 0:
        counts.failed = 1
    if counts.failed:
        say(_tail(log))
    return counts


def _python(pattern: str | None) -> Counts:
    """With the extension and the programs that the sim build made, and the DPDK door."""
    folder = build("sim", [], tests=True)
    dpdk = build("dpdk", ["foreflow-dpdk", "foreflow-calibrate", "foreflow-measure"])
    path = f"{folder / 'bindings' / 'python'}:{ROOT / 'analysis'}:{ROOT}"
    folders = [name for name in PYTEST_FOLDERS if (ROOT / name).is_dir()]
    environment = {"PYTHONPATH": path, "FOREFLOW_BUILD": str(folder), "FOREFLOW_DPDK": str(dpdk)}
    return _pytest("python", folders, pattern, environment, "-n", str(os.cpu_count() or 1), "--dist", "loadfile")


def _train(pattern: str | None) -> Counts:
    """What links libtorch: the cores are tested in sim."""
    folder = build("train", ["foreflow-train", "train_test"], tests=True)
    counts = _ctest("train", "^train$")
    environment = {"PYTHONPATH": f"{ROOT / 'analysis'}:{ROOT}", "FOREFLOW_TRAIN": str(program(folder, "foreflow-train"))}
    return counts + _pytest("train", ["models/train"], pattern, environment)


def _live(pattern: str | None) -> Counts:
    """Skipped, aloud, where namespaces cannot be made."""
    build("dpdk", ["foreflow-dpdk"])
    folder = build("sim", ["foreflow_core"])  # the controller's end
    return _pytest("live", ["scenarios/live"], pattern, {"PYTHONPATH": f"{folder / 'bindings' / 'python'}:{ROOT / 'analysis'}:{ROOT}"})


def _fingerprint(pattern: str | None) -> Counts:
    """One count an arm and served predictor: the recorded capture, decided by gcc at -O3 and -O0 and by clang under the sanitizers, each twice."""
    replays = [program(build("sim", [], tests=True), "foreflow-replay"), program(build("asan", ["foreflow-replay"], tests=True), "foreflow-replay")]
    log = LOGS / "test-fingerprint.log"
    capture = ROOT / "datasets" / "recorded" / "recorded.pcapng"
    with tempfile.TemporaryDirectory(prefix="foreflow-") as scratch:
        files = []
        for predictor in ("markov3", "gru", "tabulated", "tiered"):
            files.append(Path(scratch) / f"{predictor}.json")
            resolved = config.resolve("tag", [f"predictor={predictor}"])
            files[-1].write_text(json.dumps(config.resolved_for_run(resolved, "predictive", 1, capture, Path(scratch))))
        verdict = re.compile(r"^(same|DIFFERENT) ")
        code = _follow([str(ROOT / "tools" / "same_fingerprint.py"), ",".join(map(str, replays)), ",".join(map(str, files)), str(capture)], log, verdict)
    verdicts = [match.group(1) for line in log.read_text().splitlines() if (match := verdict.match(line))]
    counts = Counts(passed=verdicts.count("same"), failed=verdicts.count("DIFFERENT"))
    if code != 0 and counts.failed == 0:
        counts.failed = 1
        say(_tail(log))
    return counts


SUITES: dict[str, tuple[str, Callable[[str | None], Counts]]] = {
    "sim": ("the ns-3 module, scenarios, checks of the sources", _sim),
    "python": ("analysis, datasets, bindings, the book and its examples", _python),
    "train": ("training by libtorch: laws that are known, resumed runs, refusals", _train),
    "asan": ("cores, doors and ns-3 module under address and undefined-behaviour sanitizers", _asan),
    "fingerprint": ("the same decisions from gcc, from clang and under the sanitizers", _fingerprint),
    "live": ("programs of real protocol stacks through the DPDK runner, in network namespaces", _live),
    "fuzz": ("readers of outside bytes, a few seconds each", _fuzz),
    "release": ("the unit tests without sanitizers, all doors fuzzed together", _release),
}
BY_NAME_ALONE = ("release",)  # `asan` has the same tests, and the doors are compared by other tests


def run(names: list[str]) -> int:
    """Runs the named suites (all but BY_NAME_ALONE when none is named), or the named tests of `sim`; the exit code."""
    suites = [name for name in names if name in SUITES] or ([] if names else [name for name in SUITES if name not in BY_NAME_ALONE])
    others = [name for name in names if name not in SUITES]
    LOGS.mkdir(parents=True, exist_ok=True)
    total = Counts()
    work = [(name, *SUITES[name], None) for name in suites]
    work += [("sim", f"tests named {name}", _sim, name) for name in others]
    if others:
        _refuse_unknown(others)
    for name, about, suite, pattern in work:
        print(f"foreflow test: {name} ({about})", file=sys.stderr, flush=True)
        started = time.monotonic()
        try:
            counts = suite(pattern)
        except Failed as failure:
            say(f"    {failure}")
            counts = Counts(failed=1)
        say(f"{name}: {counts} in {time.monotonic() - started:.0f} s")
        total += counts
    say(str(total))
    return 0 if total.failed == 0 and total.passed + total.skipped > 0 else 1


def _refuse_unknown(names: list[str]) -> None:
    folder = build("sim", [], tests=True)
    listing = subprocess.run(["ctest", "--test-dir", str(folder), "-N"], capture_output=True, text=True, check=False).stdout
    known = re.findall(r"Test\s+#\d+: (\S+)", listing)
    for name in names:
        if not any(re.search(re.escape(name), test) for test in known):
            raise Refused(f"no suite or test is named '{name}'; suites are {', '.join(SUITES)}, tests {', '.join(known)}")
