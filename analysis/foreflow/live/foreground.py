# SPDX-License-Identifier: BSD-3-Clause
"""A program in the foreground of ours: signals are passed on to it, its exit code is ours."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from foreflow.errors import Refused


def run(command: list[str], before_reload: Callable[[], object] | None = None) -> int:
    """Runs it to its end; SIGINT and SIGTERM are passed on, and SIGHUP after `before_reload`, where there is one and it
    refuses nothing. Its exit code."""
    running: list[subprocess.Popen[bytes]] = []
    early: list[int] = []  # signals that came before the program was there

    def forward(number: int, _frame: Any) -> None:
        if running:
            running[0].send_signal(number)
        else:
            early.append(number)

    def reload(number: int, frame: Any) -> None:
        assert before_reload is not None
        try:
            before_reload()
        except Refused as refusal:
            print(f"foreflow: {refusal}; the rules stay as they were", file=sys.stderr)
            return
        forward(number, frame)

    signal.signal(signal.SIGINT, forward)
    signal.signal(signal.SIGTERM, forward)
    if before_reload is not None:
        signal.signal(signal.SIGHUP, reload)
    running.append(
        # Until the program handles it itself, SIGHUP must not end it.
        subprocess.Popen(command, preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN) if before_reload else None)
    )
    for number in early:
        running[0].send_signal(number)
    return running[0].wait()
