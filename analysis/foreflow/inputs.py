# SPDX-License-Identifier: BSD-3-Clause
"""The captures a scenario runs on: a file, the recorded set, or one that a generator makes for a seed."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from foreflow.errors import Refused
from foreflow.places import ROOT, RUNS

GENERATED = ("memoryless", "markov", "dialogues", "websearch", "datamining", "hadoop", "storage")
REQUESTS = "requests"  # of system shard
OVER_RULES = ("sessions", "shuffled")  # generated for the rule set of the run
DEFAULT_PACKETS = 100_000


def sha256_of(path: Path) -> str:
    """Of the contents; read again only where the file was changed."""
    stat = path.stat()
    return _sha256_of(path, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=None)
def _sha256_of(path: Path, _changed_ns: int, _size: int) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


@cache
def _generators_version() -> str:
    """Changes with the generators' code, so that no stale capture is taken from the cache."""
    digest = hashlib.sha256()
    for path in sorted((ROOT / "datasets").rglob("*.py")):
        if "test" not in path.name:
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _place(name: str, seed: int, packets: int, cache: Path, rules: list[dict[str, Any]] | None) -> Path:
    """Where the capture of a generator is kept."""
    key = hashlib.sha256(json.dumps([name, seed, packets, _generators_version(), *([rules] if rules is not None else [])]).encode()).hexdigest()[:16]
    return cache / f"{name}-{seed}-{packets}-{key}.pcapng"


def _generated(name: str, seed: int, packets: int, cache: Path, rules: list[dict[str, Any]] | None) -> Path:
    from datasets.generate import generate  # here, since most commands need no generator

    path = _place(name, seed, packets, cache, rules)
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


def _generated_for(name: str, packets: int, rules: list[dict[str, Any]] | str | None) -> tuple[int, list[dict[str, Any]] | None] | None:
    """Packets and rules that a generator makes input `name` with; None for an input that is a file."""
    if name in GENERATED:
        return packets or DEFAULT_PACKETS, None
    if name in OVER_RULES and rules is not None:
        from datasets.generate import sessions  # here, since most commands need no generator

        return packets or DEFAULT_PACKETS, sessions.from_filters(rules) if isinstance(rules, str) else rules
    return None


def _file(name: str) -> Path:
    if name == "recorded":
        return recorded()
    path = ROOT / "datasets" / "requests.json" if name == REQUESTS else Path(name)
    if not path.is_file():
        raise Refused(
            f"input = {name}: no such file; allowed is a capture's path, recorded, {REQUESTS}, or one of {', '.join(GENERATED + OVER_RULES)}"
        )
    return path.resolve()


def capture_for(name: str, seed: int, packets: int, cache: Path = RUNS / "cache", rules: list[dict[str, Any]] | str | None = None) -> Path:
    """The capture of input `name` for one seed; `packets` is what a generator makes, 0 for its default.

    `rules`: those of the run, which the inputs of OVER_RULES are made for; of a file of filters, its name.
    """
    made = _generated_for(name, packets, rules)
    return _file(name) if made is None else _generated(name, seed, made[0], cache, made[1])


def kept_capture(name: str, seed: int, packets: int, cache: Path = RUNS / "cache", rules: list[dict[str, Any]] | str | None = None) -> Path | None:
    """As capture_for, but None where a generator would have to make it first."""
    made = _generated_for(name, packets, rules)
    if made is None:
        return _file(name)
    place = _place(name, seed, made[0], cache, made[1])
    return place if place.is_file() else None


def captures_of(config: dict[str, Any], seed: int) -> tuple[Path, Path | None]:
    """The captures of a resolved scenario for one seed: of input, and of traffic.shift_input or None. Makes what is not there yet."""
    traffic = config["traffic"]
    names = (config["input"], traffic["shift_input"])
    first, shift = (None if name is None else capture_for(name, seed, traffic["max_packets"], rules=config.get("rules")) for name in names)
    assert first is not None
    return first, shift


def kept_captures_of(config: dict[str, Any], seed: int) -> tuple[Path, Path | None] | None:
    """As captures_of, but None where a generator would have to make one first."""
    traffic = config["traffic"]
    names = [name for name in (config["input"], traffic["shift_input"]) if name is not None]
    found = [kept_capture(name, seed, traffic["max_packets"], rules=config.get("rules")) for name in names]
    if None in found:
        return None
    return (found[0], found[1] if len(found) > 1 else None)  # type: ignore[return-value]
