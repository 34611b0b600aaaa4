# SPDX-License-Identifier: BSD-3-Clause
"""The command line in a process of its own, with the simulator PROGRAM: sweep_driver.py PROGRAM ARGUMENT..."""

import sys
from pathlib import Path

from foreflow import build, cli

if __name__ == "__main__":
    program = Path(sys.argv[1])
    build.build = lambda *_, **__: program.parent
    build.program = lambda *_: program
    sys.argv[:2] = ["foreflow"]
    cli.main()
