# SPDX-License-Identifier: BSD-3-Clause
from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from foreflow import cli, places

FAKE = Path(__file__).with_name("fake_run.py")


@pytest.fixture(autouse=True)
def python_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fake simulator is a process: it finds the project's modules as the entry script lets them be found."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(places.ROOT / "analysis"), str(places.ROOT)]))


@pytest.fixture
def capture(tmp_path: Path) -> Callable[..., Path]:
    """Makes an input that tells the fake simulator what to do."""

    def make(**orders: Any) -> Path:
        path = tmp_path / "in put.pcap"
        path.write_text(json.dumps(orders))
        return path

    return make


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Runs the command line with the fake simulator; exit code, standard output, standard error."""
    from foreflow import build

    monkeypatch.setattr(build, "build", lambda *_, **__: FAKE.parent)
    monkeypatch.setattr(build, "program", lambda *_: FAKE)

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["foreflow", *arguments])
        capfd.readouterr()
        code = 0
        try:
            cli.main()
        except SystemExit as leave:
            code = leave.code or 0
        out, err = capfd.readouterr()
        return code, out, err

    return run


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """Of half a mebibyte, a few runs; skipped, aloud, without the right to mount it."""
    folder = tmp_path / "disk"
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", folder], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"a file system cannot be mounted here: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)
