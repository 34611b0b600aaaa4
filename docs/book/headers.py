# SPDX-License-Identifier: BSD-3-Clause
"""The C++ reference: what a header offers, in the words of the header.

Headers are written for people: a comment before a declaration says what it does, with units, ranges and errors. The reference shows them
as they stand, less what is nobody's to call: private parts, bodies, initialisers, includes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

FLOORS = ("models", "hw-models")
# For tests, or the inside of another header.
INTERNAL = re.compile(r"(^|/)(test_\w+|\w+_test|network_step|lane_pack|scalar_lanes|eight_lanes|vector_\w+)\.h$|/train/")
TOKEN = re.compile(r"""//[^\n]*|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])'|\n[ \t]*\#(?:[^\n]*\\\n)*[^\n]*|[{}();\n]|[^{}();\n"'/]+|.""")
SCOPE = re.compile(r"\b(namespace|class|struct|union|enum)\b")
ACCESS = re.compile(r"\s*(public|protected|private):\s*$")
# Said of the build or to tools, not to a reader of the interface.
ASIDE = re.compile(r"^ *(static_assert\(.*|friend .*;|// (SPDX-License|clang-format|NOLINT).*|namespace \S+ \{)\n|^\}.*// namespace.*\n?", re.MULTILINE)


@dataclass
class _Scope:
    """A brace that is open."""

    holds: str  # declarations, or a value
    is_class: bool = False
    is_shown: bool = True
    start: int = 0  # where it begins in what was put out


class _Reader:
    """Walks over a header's tokens and puts out what is offered."""

    def __init__(self) -> None:
        self.out: list[str] = []
        self._scopes: list[_Scope] = []
        self._body = 0  # braces open inside a function
        self._statement = ""
        self._start = 0  # of the statement

    @property
    def _is_shown(self) -> bool:
        return all(scope.is_shown for scope in self._scopes)

    def _put(self, text: str) -> None:
        if self._body == 0 and self._is_shown:
            self.out.append(text)

    @property
    def _in_parentheses(self) -> bool:
        return self._statement.count("(") > self._statement.count(")")

    def _open(self) -> None:
        bare = re.sub(r"\balignas\s*\([^)]*\)+|\boperator[^\w\s(]+", "", self._statement)
        if self._body:
            self._body += 1
        elif SCOPE.search(bare) and not re.search(r"[(=]", bare):
            is_class = re.search(r"\bclass\b", bare) is not None and not re.search(r"\benum\b", bare)
            self._put("{")
            self._scopes.append(_Scope("declarations", not re.search(r"\b(namespace|enum)\b", bare), not is_class))
            self._statement = ""
        elif "(" in bare and not self._in_parentheses and not re.search(r"\)[^()]*=\s*$|^[^(]*=", bare):
            if _begins_initialisers(bare) and re.search(r"\w$", bare):
                self._statement += "{"  # a member's initialiser, which goes with its list
                self._scopes.append(_Scope("value", start=len(self.out)))
                self._put("{")
                return
            if self._is_shown:
                declaration = "".join(self.out[self._start :])
                self.out[self._start :] = [_without_initialisers(declaration).rstrip() + ";"]
            self._body = 1
        else:
            self._scopes.append(_Scope("value", start=len(self.out)))
            self._put("{")

    def _close(self) -> None:
        if self._body:
            self._body -= 1
            if self._body == 0:
                self._statement = ""
        elif self._scopes:
            scope = self._scopes.pop()
            self._put("}")
            if scope.holds == "declarations":
                self._statement = ""
            elif self._is_shown and "\n" in "".join(self.out[scope.start :]):
                self.out[scope.start :] = ["{...}"]

    def read(self, source: str) -> str:
        for match in TOKEN.finditer("\n" + source):
            token = match[0]
            if token.lstrip().startswith("#"):
                self._put("\n")
            elif token == "{":
                self._open()
            elif token == "}":
                self._close()
            elif token == "\n" or token.startswith("//"):
                self._put(token)
            elif self._body == 0 and self._scopes and self._scopes[-1].is_class and (access := ACCESS.match(token)):
                self._scopes[-1].is_shown = access[1] != "private"
                self._put(("\n" if self.out[-1] == "{" else "") + token)
                self._statement = ""
            elif self._body == 0:
                if not self._statement.strip():
                    self._start = len(self.out)
                self._put(token)
                self._statement = "" if token == ";" and not self._in_parentheses else self._statement + token
        return "".join(self.out)


def _list_begins(declaration: str) -> int:
    """Where a constructor's initialisers begin, or -1."""
    depth = 0
    seen = False
    for i, character in enumerate(declaration):
        depth += (character == "(") - (character == ")")
        seen = seen or character == ")"
        if character == ":" and depth == 0 and seen and ":" not in (declaration[i - 1], declaration[i + 1 : i + 2]):
            return i
    return -1


def _begins_initialisers(declaration: str) -> bool:
    return _list_begins(declaration) >= 0


def _without_initialisers(declaration: str) -> str:
    at = _list_begins(declaration)
    return declaration if at < 0 else declaration[:at]


def interface(source: str) -> str:
    """What a header offers, as C++ without bodies and private parts, its comments where they stand."""
    text = ASIDE.sub("", _Reader().read(source))
    text = re.sub(r"[ \t]+$", "", text, flags=re.MULTILINE)
    text = re.sub(r"\{\n\n+", "{\n", text)
    text = re.sub(r"\n\n+(\s*\};)", r"\n\1", text)
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def of_room(root: Path, room: str) -> list[Path]:
    """The public headers of a room, in alphabetical order."""
    return sorted(path for path in (root / room).glob("*.h") if not INTERNAL.search(str(path)))


def rooms(root: Path) -> list[str]:
    """The rooms of the cores and of the cost models that have public headers."""
    folders = [folder for floor in FLOORS for folder in sorted((root / floor).iterdir()) if folder.is_dir()]
    return [str(folder.relative_to(root)) for folder in folders if of_room(root, str(folder.relative_to(root)))]


def text(root: Path, room: str) -> tuple[str, list[Path]]:
    """A section a header: how it is included, and what it offers."""
    found = of_room(root, room)
    parts = []
    for path in found:
        source = path.read_text(encoding="utf-8")
        namespace = re.search(r"^namespace ([\w:]+) \{", source, re.MULTILINE)
        of = f", namespace `{namespace[1]}`" if namespace else ""
        parts.append(f"## {path.name}\n\n`#include \"{path.relative_to(root)}\"`{of}\n\n```cpp\n{interface(source)}```")
    return "\n\n".join(parts) + "\n", found
