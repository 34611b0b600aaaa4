# SPDX-License-Identifier: BSD-3-Clause
"""What the checks share: which files there are, and C++ text without its comments and strings."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# Comments, raw strings, strings, character literals. A quote between digits separates them (1'000).
_TOKEN = re.compile(
    r"""//(?:\\\n|[^\n])*
      | /\*.*?\*/
      | R"(?P<tag>[^\s()\\]{0,16})\(.*?\)(?P=tag)"
      | "(?:\\.|[^"\\\n])*"
      | (?<![0-9a-fA-F])'(?:\\.|[^'\\\n])+'
    """,
    re.VERBOSE | re.DOTALL,
)
_INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*[<"]([^>"]+)[>"]', re.MULTILINE)


def blanked(text: str, keep_strings: bool = False) -> str:
    """The text with comments (and strings, unless kept) as spaces; lines stay where they are."""

    def blank(match: re.Match[str]) -> str:
        token = match.group(0)
        if keep_strings and not token.startswith(("//", "/*")):
            return token
        return re.sub(r"[^\n]", " ", token)

    return _TOKEN.sub(blank, text)


def includes(text: str) -> list[tuple[int, str]]:
    """(line, path) of each include directive outside comments."""
    bare = blanked(text, keep_strings=True)
    return [(line_of(bare, match.start()), match.group(1)) for match in _INCLUDE.finditer(bare)]


def line_of(text: str, offset: int) -> int:
    """The line, from 1, of an offset."""
    return text.count("\n", 0, offset) + 1


def files(root: Path, patterns: Iterable[str]) -> list[str]:
    """Paths below `root` that match: tracked or new ones of a git checkout, all of any other folder."""
    wanted = tuple(patterns)
    listed = subprocess.run(
        ["git", "-C", root, "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *wanted],
        check=False,
        capture_output=True,
        text=True,
    )
    if listed.returncode == 0:
        paths = set(listed.stdout.split("\0")) - {""}
    else:
        paths = {str(path.relative_to(root)) for pattern in wanted for path in root.rglob(pattern)}
    return sorted(path for path in paths if (root / path).is_file())


def is_test(path: str) -> bool:
    """Tests, benchmarks, fuzz targets and what they share: they may print and read files."""
    return re.search(r"(^|/)(tests?/|[^/]*_(test|bench|fuzz)\.\w+$|test_[^/]*$)", path) is not None


def report(findings: list[str]) -> int:
    """Prints the findings; the exit code of a check."""
    for finding in findings:
        print(finding, file=sys.stderr)
    return 1 if findings else 0
