# SPDX-License-Identifier: BSD-3-Clause
"""The book. Its source folder is the checkout: READMEs and pages are read where they lie, so a link that works on a code host works here."""

project = "foreflow"
author = "the foreflow authors"
copyright = "the foreflow authors; BSD-3-Clause, the ns-3 module GPL-2.0-only"

extensions = ["myst_parser", "sphinx.ext.autodoc", "docs.book"]
root_doc = "docs/index"
include_patterns = ["*.md", "docs/**.md", "ns3-module/doc/*.rst", "*/README.md", "*/**/README.md"]
exclude_patterns = ["build*", "runs", ".*", "**/__pycache__", "**/corpus", "docs/book", "docs/extra"]

# A reference that does not resolve is an error. Types of other projects have no page here.
nitpicky = True
nitpick_ignore_regex = [("py:.*", r"((npt?|numpy|pandas|xarray|matplotlib|h5py|pathlib|os|collections|typing)\..*|Path|buffer)")]

myst_heading_anchors = 4
smartquotes = False  # --json stays two dashes
default_role = "code"  # of docstrings
autodoc_member_order = "bysource"
autodoc_typehints = "signature"

html_theme = "furo"
html_title = "foreflow"
html_copy_source = False
html_show_sourcelink = False
html_extra_path = ["extra"]
