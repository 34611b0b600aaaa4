# SPDX-License-Identifier: BSD-3-Clause
"""A notebook's cells as a page: prose, code, and what it printed where that is kept."""

from __future__ import annotations

import json
from pathlib import Path


def text(root: Path, name: str) -> tuple[str, list[Path]]:
    path = root / name
    parts = []
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(source)
        elif cell["cell_type"] == "code":
            parts.append(f"```python\n{source}\n```")
    return "\n\n".join(parts) + "\n", [path]
