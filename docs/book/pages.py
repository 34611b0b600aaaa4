# SPDX-License-Identifier: BSD-3-Clause
"""The pages of the checkout, and the blocks of code in them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from foreflow.places import ROOT

FOLDERS = ("analysis", "bindings", "datasets", "docs", "hw-models", "models", "ns3-module", "scenarios", "tools")
FENCE = re.compile(r"^( *)```(\S*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """What stands between two fences."""

    page: str  # from the root of the checkout
    line: int
    language: str  # empty: none is said
    code: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def pages() -> list[Path]:
    """Every Markdown page."""
    found = [*ROOT.glob("*.md"), *(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.md"))]
    return sorted(path for path in found if path.suffix == ".md")


def blocks(*languages: str) -> Iterator[Block]:
    """Every block in one of `languages`, page by page."""
    for path in pages():
        text = path.read_text(encoding="utf-8")
        for match in FENCE.finditer(text):
            if match[2] in languages:
                yield Block(str(path.relative_to(ROOT)), text.count("\n", 0, match.start()) + 2, match[2], match[3])
