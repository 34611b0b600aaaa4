# SPDX-License-Identifier: BSD-3-Clause
"""What a run's manifest says of the checkout, the build and the machine."""

from __future__ import annotations

import hashlib
import platform
import re
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

from foreflow.places import PACKAGES, ROOT

DIFF_LIMIT = 1 << 20


def _output(command: list[str]) -> str | None:
    try:
        return subprocess.run(command, capture_output=True, text=True, errors="replace", check=True, cwd=ROOT).stdout
    except (OSError, subprocess.CalledProcessError):
        return None


@cache
def commit() -> dict[str, Any]:
    """The commit and the changes on top of it; nulls outside a git checkout."""
    git = ["git", "-c", f"safe.directory={ROOT}"]
    head = _output([*git, "rev-parse", "HEAD"])
    diff = _output([*git, "diff", "HEAD"])
    new = _output([*git, "ls-files", "--others", "--exclude-standard"])
    return {
        "commit": head.strip() if head else None,
        "dirty": bool(diff or new) if head else None,
        "diff": diff[:DIFF_LIMIT] if diff else "",
        "diff_sha256": hashlib.sha256(diff.encode()).hexdigest() if diff else None,
        "untracked": new.splitlines() if new else [],
    }


@cache
def compiler(program: Path) -> dict[str, str]:
    """Compiler and flags of the build folder that `program` lies in; empty texts outside one."""
    entries = {}
    cached = next((folder / "CMakeCache.txt" for folder in program.parents if (folder / "CMakeCache.txt").is_file()), None)
    if cached:
        entries = dict(re.findall(r"^(CMAKE_[A-Z_]+):[A-Z]+=(.*)$", cached.read_text(), re.MULTILINE))
    path = entries.get("CMAKE_CXX_COMPILER", "")
    version = _output([path, "--version"]) if path else None
    kind = entries.get("CMAKE_BUILD_TYPE", "")
    flags = [entries.get("CMAKE_CXX_FLAGS", ""), entries.get(f"CMAKE_CXX_FLAGS_{kind.upper()}", "")]
    return {
        "path": path,
        "version": version.splitlines()[0] if version else "",
        "build_type": kind,
        "flags": " ".join(flag for flag in flags if flag),
    }


@cache
def libraries() -> dict[str, str]:
    """Versions of the installed packages that the build and the analysis use."""
    names = re.findall(r"^(lib\S+|python3\S*|g\+\+)\s", PACKAGES.read_text(), re.MULTILINE)
    text = _output(["dpkg-query", "-W", "-f", "${db:Status-Status} ${Package} ${Version}\n"]) or ""
    installed = dict(line.split()[1:3] for line in text.splitlines() if line.startswith("installed "))
    return {name: installed[name] for name in sorted(set(names)) if name in installed}


@cache
def machine() -> dict[str, str | None]:
    model = re.search(r"^model name\s*:\s*(.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    governor = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
    return {
        "cpu": model.group(1) if model else platform.machine(),
        "governor": governor.read_text().strip() if governor.is_file() else None,
        "host": platform.node(),
        "system": platform.platform(),
        "python": platform.python_version(),
    }
