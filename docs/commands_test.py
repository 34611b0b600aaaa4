# SPDX-License-Identifier: BSD-3-Clause
"""Every ./foreflow line of the pages parses, so that no command, option or key that they show is stale. Nothing is run."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

import click
import pytest

from docs.book.pages import blocks, pages
from foreflow import cli, config
from foreflow.errors import Refused
from foreflow.places import ROOT

SHELL = ("", "sh", "bash", "console")
CALL = re.compile(r"\./foreflow +([a-z].*)")
ENDS = {"&&", "|", ">", "2>", ";", "||"}
# What stands for a value: N, FILE, SCENARIO, my-file, ...
PLACEHOLDER = re.compile(r"[A-Z][A-Z0-9]*")
VALUE = "16"


@dataclass(frozen=True)
class Line:
    where: str
    words: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.where} {' '.join(self.words)[:60]}"


def words_of(text: str) -> tuple[str, ...]:
    """A command's words: without comment, what follows in the shell, and marks of what may be left out."""
    found = []
    for word in shlex.split(text.replace("[", " ").replace("]", " "), comments=True):
        if word in ENDS:
            break
        if word not in ("...", "key=value"):
            found.append(VALUE if PLACEHOLDER.fullmatch(word) else word)
    return tuple(found)


def lines() -> Iterator[Line]:
    for block in blocks(*SHELL):
        for call in CALL.finditer(block.code.replace("\\\n", " ")):
            yield Line(str(block), words_of(call[1]))
    for path in pages():
        for span in re.findall(r"`([^`\n]+)`", path.read_text(encoding="utf-8")):
            if call := CALL.fullmatch(span):
                yield Line(str(path.relative_to(ROOT)), words_of(call[1]))


LINES = list(dict.fromkeys(lines()))


def parse(words: tuple[str, ...]) -> None:
    """Raises click.UsageError or Refused as the command line would before it does anything."""
    command: click.Command = cli.commands
    name, rest = "foreflow", list(words)
    while isinstance(command, click.Group):
        if not rest:
            raise click.UsageError(f"{name} needs a command")
        name, found = rest[0], command.get_command(click.Context(command), rest[0])
        if found is None:
            raise click.UsageError(f"no command is named {name}")
        command, rest = found, rest[1:]
    context = command.make_context(name, rest)
    if overrides := context.params.get("overrides"):
        document = config.apply_overrides({"scenario": "any", "about": "any"}, list(overrides))
        config.validate(document, config.schema(), "command line")


@pytest.mark.parametrize("line", LINES, ids=str)
def test_it_parses(line: Line) -> None:
    if len(line.words) == 1:  # a word alone speaks of the command
        assert line.words[0] in cli.commands.commands
    else:
        parse(line.words)


def test_there_are_lines_and_wrong_ones_are_seen() -> None:
    assert len(LINES) > 40
    for wrong in ("rum tag", "run tag --no-such", "run tag loat=1", "run tag load=-1", "replay a.pcap --door window", "bench --jason", "control nothing x"):
        with pytest.raises((click.UsageError, Refused)):
            parse(tuple(wrong.split()))
    assert words_of("run tag [--seeds N] key=value ...   # so") == ("run", "tag", "--seeds", VALUE)
    assert words_of("calibrate && ./foreflow validate") == ("calibrate",)


def test_the_entry_script_knows_the_commands() -> None:
    script = (ROOT / "foreflow").read_text()
    usage = subprocess.run([ROOT / "foreflow", "help"], capture_output=True, text=True, check=True).stdout
    shown = set(re.findall(r"^  \./foreflow (\w[\w-]*)", usage, re.MULTILINE))
    cases = script[script.index("sections_of() {") : script.index("*) return 1")]
    installed = {name.strip() for names in re.findall(r"^ +([\w| -]+)\) echo", cases, re.MULTILINE) for name in names.split("|")}
    there_are = set(re.search(r"there are: ([\w, -]+)", script)[1].split(", "))
    known = {name for name, command in cli.commands.commands.items() if not command.hidden}
    assert shown == known
    assert known <= installed
    assert there_are <= known
