# SPDX-License-Identifier: BSD-3-Clause
"""The code in the pages is true: Python runs, C++ stands in a source, which is compiled."""

from __future__ import annotations

import json
import re
import shutil
import textwrap
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

pytest.importorskip("foreflow_core")

import foreflow  # noqa: E402
from datasets.generate import generate  # noqa: E402
from docs.book.pages import FOLDERS, Block, blocks  # noqa: E402
from foreflow import places  # noqa: E402
from foreflow.runs import rerun, scenario  # noqa: E402
from foreflow.sweeps import sweep  # noqa: E402

PYTHON = list(blocks("python"))
CXX = list(blocks("cpp"))


@pytest.fixture(name="made", scope="session")
def _made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A capture and the trace of a run over it, of which examples speak."""
    folder = tmp_path_factory.mktemp("made")
    generate("markov", seed=1, packets=1000, out=folder / "traffic.pcapng")
    document = foreflow.run("quickstart", {"input": folder / "traffic.pcapng"}, arms=["reactive"], seeds=1, out=folder / "result")
    shutil.copy(Path(document["outputs"]["runs"][0]["folder"]) / "trace.h5", folder)
    return folder


@pytest.fixture(name="controlled")
def _controlled() -> Iterator[Callable[[str], str]]:
    """A device under control at a port of this host, its keys in the current folder; gives code with that address in it."""
    from bindings.control import control_test

    if not control_test.DPDK.is_file():
        pytest.skip("FOREFLOW_DPDK names no build with the runner")
    folder = Path.cwd()
    served = control_test.Served(folder, "predictive")
    for name, copy in (("operator", "operator.key"), ("device.pub", "device.key.pub")):
        shutil.copy2(folder / name, folder / copy)
    served.start()
    yield lambda code: code.replace("10.0.0.1:7700", served.udp)
    served.stop()


def _smaller(specification: str) -> str:
    """The sweep that a page shows, cut to a few runs of a few packets."""
    for key, value in (("max_packets", 500), ("points", 2), ("seeds", 1)):
        specification = re.sub(rf"\b{key}: \d+", f"{key}: {value}", specification)
    return specification


@pytest.mark.parametrize("block", PYTHON, ids=str)
def test_python_runs(block: Block, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    monkeypatch.chdir(tmp_path)
    for module in (scenario, sweep):
        monkeypatch.setattr(module, "RUNS", tmp_path / "runs")
    monkeypatch.setattr(rerun, "RERUNS", tmp_path / "reruns")
    for shown in blocks("yaml"):
        if shown.page == block.page and (name := re.match(r"# (\w+\.yaml)\n", shown.code)):
            (tmp_path / name[1]).write_text(_smaller(shown.code))
    for name in ("traffic.pcapng", "trace.h5"):
        shutil.copy(made / name, tmp_path)
    code = block.code
    if "10.0.0.1" in code:
        code = request.getfixturevalue("controlled")(code)
    exec(compile(textwrap.dedent(code), str(block), "exec"), {"__name__": "example"})


def _words(code: str) -> str:
    return re.sub(r"\s+", " ", code).strip()


@cache
def _sources() -> tuple[str, ...]:
    found = [path for folder in FOLDERS for path in (places.ROOT / folder).rglob("*") if path.suffix in (".cc", ".h")]
    return tuple(_words(path.read_text(encoding="utf-8")) for path in sorted(found))


@pytest.mark.parametrize("block", CXX, ids=str)
def test_cxx_is_compiled(block: Block) -> None:
    """Line breaks and spaces aside: the sources are formatted."""
    wanted = _words(block.code)
    assert any(wanted in source for source in _sources()), "no source has these lines"


@pytest.mark.parametrize("block", list(blocks("json")), ids=str)
def test_json_parses(block: Block) -> None:
    json.loads(block.code)
