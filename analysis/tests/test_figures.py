# SPDX-License-Identifier: BSD-3-Clause
"""The figures of the documentation: every one has a recipe, every recipe a figure; the quick ones are made again."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from foreflow import build, cli
from foreflow.errors import Refused
from foreflow.places import FIGURES, ROOT
from foreflow.results import recipes
from foreflow.sweeps import sweep

Command = Callable[..., tuple[int, str, str]]
QUICK_S = 10
IMAGE = re.compile(r"!\[[^\]]*\]\(([^)\s]+\.(?:png|svg|pdf))\)")
BUILD = Path(os.environ.get("FOREFLOW_BUILD", ROOT / "build" / "sim"))


def documents() -> list[Path]:
    listed = subprocess.run(["git", "-c", f"safe.directory={ROOT}", "ls-files", "-co", "--exclude-standard", "*.md"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode == 0:
        return [ROOT / line for line in listed.stdout.splitlines() if (ROOT / line).is_file()]
    return [path for path in ROOT.rglob("*.md") if not {"build", "runs"} & set(path.relative_to(ROOT).parts)]


def test_every_image_of_the_documentation_has_a_recipe() -> None:
    shown: dict[str, set[str]] = {}
    for document in documents():
        for link in IMAGE.findall(document.read_text(encoding="utf-8")):
            path = (document.parent / link).resolve()
            assert path.is_file(), f"{document}: {link} is not there"
            assert path.parent.parent == FIGURES, f"{document}: {link} has no recipe; make it a figure of scenarios/figures"
            shown.setdefault(path.parent.name, set()).add(str(document.relative_to(ROOT)))
    assert shown == {name: set(recipes.load(name).shown_in) for name in recipes.names()}


@pytest.mark.parametrize("name", recipes.names())
def test_every_recipe_says_what_can_be_done(name: str) -> None:
    recipe = recipes.load(name)
    assert recipe.expected.is_file() and recipe.expected.with_suffix(".png").is_file()
    assert recipes.agreement(recipe.expected, recipe.expected)["same"]
    if recipe.command is not None:
        group, words = cli.commands, [*recipe.command, "--json"]
        command = group.get_command(click.Context(group), words[0])
        assert command is not None, words[0]
        command.make_context(words[0], words[1:])
    else:
        assert recipe.sweep is not None and recipe.sweep.is_file()


@pytest.mark.parametrize("name", recipes.names())
def test_a_figure_comes_out_as_expected(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = recipes.load(name)
    if recipe.seconds > QUICK_S and not os.environ.get("FOREFLOW_LONG"):
        pytest.skip(f"takes about {recipe.seconds:g} s; FOREFLOW_LONG=1 makes it")
    if not list(BUILD.glob("*/foreflow-run")):
        pytest.skip("foreflow-run is not built")
    if recipe.sweep is not None:  # in a store of its own
        monkeypatch.setattr(build, "build", lambda preset, targets: BUILD)
        monkeypatch.setattr(sweep, "RUNS", tmp_path / "store")
    document = recipes.make(name, into=tmp_path)
    assert document["same"], document["why"]
    assert {path.suffix for path in (tmp_path / name).iterdir()} >= {".png", ".pdf", ".csv", ".yaml"}


def test_a_number_that_moved_is_told(tmp_path: Path) -> None:
    one, other = tmp_path / "a.csv", tmp_path / "b.csv"
    one.write_text("arm,x\noff,1.0\non,2.0\n")
    for text, part in (
        ("arm,x\noff,1.0\non,2.1\n", "1 of 6 cells differ, by at most 4.8 %"),
        ("arm,x\noff,1.0\n", "3 rows were expected, 2 were made"),
        ("arm,x\noff,1.0\nOn,2.0\n", "'on' was expected, 'On' was made"),
        ("arm,x\noff,1.0\non,2.00\n", "1 of 6 cells differ, by at most 0 %"),
    ):
        other.write_text(text)
        found = recipes.agreement(one, other)
        assert not found["same"] and part in found["why"]
    other.write_text(one.read_text())
    assert recipes.agreement(one, other)["same"]


def test_bad_recipes_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(recipes, "FIGURES", tmp_path)
    (tmp_path / "x").mkdir()
    good = "about: a\nshown_in: [README.md]\nseconds: 1\n"
    for text, part in (
        (good, "either command and draws, or sweep and plot"),
        (good + "command: run tag\n", "either command and draws"),
        (good + "command: run tag\ndraws: work\nsweep: a.yaml\n", "either command and draws"),
        (good.replace("1", "x") + "command: run tag\ndraws: work\n", "seconds = "),
        ("about: a\n", "is missing"),
        (good + "comand: run tag\n", "unknown key comand"),
    ):
        (tmp_path / "x" / "figure.yaml").write_text(text)
        with pytest.raises(Refused, match=part) as refusal:
            recipes.load("x")
        assert "\n" not in str(refusal.value)
    with pytest.raises(Refused, match="no figure is named 'y'; allowed is one of x"):
        recipes.load("y")


def test_the_command_lists_figures(command: Command) -> None:
    code, text, _ = command("figure")
    assert code == 0 and [line.split()[0] for line in text.splitlines()] == recipes.names()
    assert command("figure", "nothing")[0] == 2
