# SPDX-License-Identifier: BSD-3-Clause
"""Builds the book with Sphinx. A warning is an error: a page that nothing leads to, a link to nothing, a name that is not there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from foreflow.build import build
from foreflow.errors import Failed
from foreflow.places import BUILD, LOGS, ROOT

BOOK = BUILD / "docs"


def sphinx(source: Path, out: Path, environment: dict[str, str]) -> tuple[int, str]:
    """Builds the pages below `source` into `out`/html by docs/conf.py; the exit code and what was said."""
    command = [sys.executable, "-P", "-m", "sphinx", "-q", "-W", "--keep-going", "-j", "auto"]
    command += ["-c", str(ROOT / "docs"), "-d", str(out / "doctrees"), str(source), str(out / "html")]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, env={**os.environ, **environment})
    return done.returncode, done.stdout


def build_book() -> Path:
    """Brings the book in build/docs up to date; its first page."""
    folder = build("sim", ["foreflow_core"])
    LOGS.mkdir(parents=True, exist_ok=True)
    log = LOGS / "docs.log"
    path = f"{folder / 'bindings' / 'python'}:{ROOT / 'analysis'}:{ROOT}"
    print(f"foreflow: building the book (log: {log})", file=sys.stderr)
    code, said = sphinx(ROOT, BOOK, {"PYTHONPATH": path})
    log.write_text(said)
    if code != 0:
        # Or the next build would take the pages that were warned of as they are.
        (BOOK / "doctrees" / "environment.pickle").unlink(missing_ok=True)
        print("\n".join("  " + line[:300] for line in said.splitlines()[:20]), file=sys.stderr)
        raise Failed(f"the book has warnings, which are errors; full log: {log}")
    return BOOK / "html" / "index.html"
