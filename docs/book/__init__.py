# SPDX-License-Identifier: BSD-3-Clause
"""What the book adds to Sphinx: links to folders, and pages made from their one source while they are read.

A page says with a comment of its own what is put there:

    <!-- scenario keys -->                     every key of the schema
    <!-- headers of models/flow -->            the public headers of a room
    <!-- notebook analysis/notebooks/x.ipynb -->
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from docs.book import headers, keys, notebooks

if TYPE_CHECKING:
    from sphinx.application import Sphinx

PLACE = re.compile(r"^<!-- (scenario keys|headers of|notebook)(?: (\S+))? -->$", re.MULTILINE)
LINK = re.compile(r"(?<=\]\()([^)#\s:]+)(#[^)\s]*)?(?=\))")
FIRST_PAGES = ("README.md", "index.md")
MAKERS = {"scenario keys": keys.text, "headers of": headers.text, "notebook": notebooks.text}


def with_pages(text: str, folder: Path) -> str:
    """`text`, a page in `folder`, with each link to a folder led to the page that a code host shows there."""

    def led(link: re.Match[str]) -> str:
        target, anchor = link[1], link[2] or ""
        for name in FIRST_PAGES if (folder / target).is_dir() else ():
            if (folder / target / name).is_file():
                return f"{target.rstrip('/')}/{name}{anchor}"
        return link[0]

    return LINK.sub(led, text)


def _expand(app: Sphinx, docname: str, source: list[str]) -> None:
    page = Path(app.env.doc2path(docname))
    if page.suffix != ".md":
        return

    def made(place: re.Match[str]) -> str:
        text, read = MAKERS[place[1]](Path(app.srcdir), place[2])
        for path in read:
            app.env.note_dependency(str(path))
        return text

    source[0] = with_pages(PLACE.sub(made, source[0]), page.parent)


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("source-read", _expand)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
