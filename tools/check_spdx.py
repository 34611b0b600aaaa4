#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Every source file begins with its licence.

    tools/check_spdx.py [ROOT]

The first line (the second after a #!) of each C++, Python and shell file is its SPDX line: GPL-2.0-only for the
ns-3 module and for C++ that links it (scenarios/), BSD-3-Clause for all else. Prints file:line: reason; exits with 1 where it found
any.
"""

from __future__ import annotations

import sys
from pathlib import Path

from cxx_source import ROOT, files, report

CXX = (".cc", ".h", ".cpp", ".hpp")
SCRIPTS = (".py", ".pyi", ".sh")


def is_script(path: Path) -> bool:
    """A file that names its interpreter."""
    with path.open("rb") as file:
        return file.read(2) == b"#!"


def expected(path: str) -> str:
    """The licence of a file."""
    floor = path.split("/")[0]
    is_gpl = floor == "ns3-module" or (floor == "scenarios" and path.endswith(CXX))
    return "GPL-2.0-only" if is_gpl else "BSD-3-Clause"


def check(root: Path) -> list[str]:
    """All findings below `root`."""
    findings = []
    for path in files(root, ("*",)):
        if not path.endswith(CXX + SCRIPTS) and not is_script(root / path):
            continue
        lines = (root / path).read_text().splitlines()
        if not lines and path.endswith("__init__.py"):
            continue
        index = 1 if lines and lines[0].startswith("#!") else 0
        comment = "//" if path.endswith(CXX) else "#"
        wanted = f"{comment} SPDX-License-Identifier: {expected(path)}"
        if len(lines) <= index or lines[index] != wanted:
            findings.append(f"{path}:{index + 1}: this line must be: {wanted}")
    return findings


if __name__ == "__main__":
    sys.exit(report(check(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT)))
