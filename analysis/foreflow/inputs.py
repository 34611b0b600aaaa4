# SPDX-License-Identifier: BSD-3-Clause
"""The captures a scenario runs on: a file, the recorded set, or one that a generator makes for a seed."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import Any

from foreflow.errors import Refused
from foreflow.places import ROOT, RUNS

GENERATED = ("memoryless", "markov", "dialogues", "websearch", "datamining", "hadoop", "storage")
OVER_RULES = ("sessions", "shuffled")  # generated for the rule set of the run
DEFAULT_PACKETS = 100_000


@lru_cache(maxsize=None)
def sha256_of(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _generators_version() -> str:
    """Changes with the generators' code, so that no stale capture is taken from the cache."""
    digest = hashlib.sha256()
    for path in sorted((ROOT / "datasets").rglob("*.py")):
        if "test" not in path.name:
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _generated(name: str, seed: int, packets: int, cache: Path, rules: list[dict[str, Any]] | None) -> Path:
    from datasets.generate import generate  # here, since most commands need no generator

    key = hashlib.sha256(json.dumps([name, seed, packets, _generators_version(), *([rules] if rules is not None else [])]).encode()).hexdigest()[:16]
    path = cache / f"{name}-{seed}-{packets}-{key}.pcapng"
    if not path.is_file():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="making-", dir=cache) as folder:
            try:
                generate(name, seed=seed, packets=packets, out=Path(folder) / path.name, rules=rules)
            except ValueError as error:
                raise Refused(f"input = {name}: {error}") from None
            # The sidecars first: where the capture is, all is.
            for made in sorted(Path(folder).iterdir(), key=lambda made: made.name == path.name):
                os.replace(made, cache / made.name)
    return path


def recorded() -> Path:
    """The committed capture of real programs."""
    found = sorted((ROOT / "datasets" / "recorded").glob("*.pcapng"))
    if not found:
        raise Refused(f"input = recorded: no capture is in {ROOT / 'datasets' / 'recorded'}; `./foreflow record` makes one")
    return found[0]


def capture_for(name: str, seed: int, packets: int, cache: Path = RUNS / "cache", rules: list[dict[str, Any]] | str | None = None) -> Path:
    """The capture of input `name` for one seed; `packets` is what a generator makes, 0 for its default.

    `rules`: those of the run, which the inputs of OVER_RULES are made for; of a file of filters, its name.
    """
    if name in GENERATED:
        return _generated(name, seed, packets or DEFAULT_PACKETS, cache, None)
    if name in OVER_RULES and rules is not None:
        from datasets.generate import sessions  # here, since most commands need no generator

        read = sessions.from_filters(rules) if isinstance(rules, str) else rules
        return _generated(name, seed, packets or DEFAULT_PACKETS, cache, read)
    if name == "recorded":
        return recorded()
    path = Path(name)
    if not path.is_file():
        raise Refused(
            f"input = {name}: no such file; allowed is a capture's path, recorded, or one of {', '.join(GENERATED + OVER_RULES)}"
        )
    return path.resolve()
