# SPDX-License-Identifier: BSD-3-Clause
"""What a Dask worker executes; sent to it as code, since it may not have the project on its path."""

from __future__ import annotations

from typing import Any


def execute(paths: list[str], document: dict[str, Any]) -> dict[str, Any]:
    """The result of a task, both as JSON. `paths`: of the checkout's modules, on the worker's machine."""
    import sys

    sys.path[:0] = [path for path in paths if path not in sys.path]
    from foreflow.runs.driving import Task

    return Task.of_json(document).execute().as_json()
