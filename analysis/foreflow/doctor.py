# SPDX-License-Identifier: BSD-3-Clause
"""Looks at the machine for what foreflow lacks, and for what would make measured numbers untrue."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from datasets.record.namespaces import what_is_missing
from foreflow.manifest import machine
from foreflow.places import PACKAGES, ROOT


@dataclass(frozen=True)
class Finding:
    name: str
    state: str  # good, note, bad
    text: str

    def as_json(self) -> dict[str, str]:
        return asdict(self)


def sections() -> dict[str, list[str]]:
    """packages.txt: the packages of each section."""
    found: dict[str, list[str]] = {}
    for line in PACKAGES.read_text().splitlines():
        if head := re.fullmatch(r"# ([a-z]+)", line):
            found[head.group(1)] = current = []
        elif re.match(r"[a-z0-9]", line):
            current.append(line.split()[0])
    return found


def _packages() -> list[Finding]:
    text = subprocess.run(
        ["dpkg-query", "-W", "-f", "${db:Status-Status} ${Package}\n"], capture_output=True, text=True, check=True
    ).stdout
    installed = {line.split()[1] for line in text.splitlines() if line.startswith("installed ")}
    findings = []
    for section, names in sections().items():
        missing = [name for name in names if name not in installed]
        state = "good" if not missing else "note"
        said = f"{len(names)} packages" if not missing else "not yet installed: " + ", ".join(missing)
        findings.append(Finding(f"packages for {section}", state, said))
    return findings


def _system() -> Finding:
    release = platform.freedesktop_os_release()
    name = release.get("PRETTY_NAME", "unknown")
    fits = release.get("ID") == "debian" and release.get("VERSION_ID") == "12"
    return Finding("system", "good" if fits else "note", name + ("" if fits else "; made and tested on Debian 12"))


def _python() -> Finding:
    ours = f"{sys.executable} {platform.python_version()}"
    first = shutil.which("python3")
    if first and os.path.realpath(first) != os.path.realpath(sys.executable):
        return Finding("Python", "note", f"{ours} is used; `python3` of your PATH is {first}, which lacks the packages")
    return Finding("Python", "good", ours)


def _compiler() -> Finding:
    path = shutil.which("g++")
    if not path:
        return Finding("compiler", "note", "g++ is installed by the first command that builds")
    version = subprocess.run([path, "-dumpfullversion"], capture_output=True, text=True, check=False).stdout.strip()
    return Finding("compiler", "good", f"g++ {version}")


def _ns3() -> Finding:
    done = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", "libns3-dev"], capture_output=True, text=True, check=False)
    version = done.stdout.strip()
    if done.returncode != 0 or not version:
        return Finding("ns-3", "note", "not yet installed")
    fits = version.startswith("3.37")
    return Finding("ns-3", "good" if fits else "note", version + ("" if fits else "; made for 3.37"))


def _cpu() -> list[Finding]:
    facts = machine()
    cores = len(os.sched_getaffinity(0))
    governor = facts["governor"]
    findings = [Finding("CPU", "good" if cores >= 2 else "note", f"{facts['cpu']}, {cores} cores")]
    if governor not in (None, "performance"):
        findings.append(Finding("governor", "note", f"{governor}; benchmarks vary less under performance"))
    load = os.getloadavg()[0]
    if load > cores:
        findings.append(Finding("load", "note", f"{load:.1f} on {cores} cores; benchmarks would share them"))
    return findings


def _disk() -> Finding:
    free = shutil.disk_usage(ROOT).free / 1e9
    state = "good" if free > 5 else "note" if free > 2 else "bad"
    return Finding("disk", state, f"{free:.1f} GB free at {ROOT}" + ("" if free > 5 else "; a build and its runs take 3 GB"))


def _memory() -> Finding:
    found = re.search(r"^MemAvailable:\s+(\d+)", Path("/proc/meminfo").read_text(), re.MULTILINE)
    free = int(found.group(1)) / 1e6 if found else 0.0
    return Finding("memory", "good" if free > 3 else "note", f"{free:.1f} GB available" + ("" if free > 3 else "; the build wants 3 GB"))


def _namespaces() -> Finding:
    if missing := what_is_missing():
        return Finding("network namespaces", "note", f"`record` and `test live`: {missing}")
    return Finding("network namespaces", "good", "may be made and joined by veth pairs: `record` and `test live` work")


def examine() -> list[Finding]:
    return [_system(), _python(), _compiler(), _ns3(), *_packages(), *_cpu(), _memory(), _disk(), _namespaces()]


def text_of(findings: list[Finding]) -> str:
    width = max(len(finding.name) for finding in findings)
    marks = {"good": " ok ", "note": "note", "bad": "BAD "}
    return "\n".join(f"{marks[f.state]}  {f.name.ljust(width)}  {f.text}" for f in findings)
