# SPDX-License-Identifier: BSD-3-Clause
"""What stands between two DPDK ports: a packet dynamics unit, or a network that is not a good one."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

from foreflow import config as configuration
from foreflow.build import build, program
from foreflow.errors import Refused
from foreflow.live import foreground
from foreflow.places import RUNS


def _folder(what: str, file: Path, out: Path | None) -> Path:
    return (out or RUNS / f"{what}-{file.stem}-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}").absolute()


def _run(what: str, document: object, folder: Path, options: list[str], eal: list[str]) -> int:
    binary = program(build("dpdk", ["foreflow-dpdk"]), "foreflow-dpdk")
    folder.mkdir(parents=True, exist_ok=True)
    resolved = folder / f"{what}.json"
    resolved.write_text(json.dumps(document, indent=1) + "\n")
    return foreground.run([str(binary), what, str(resolved), *options, "--", *eal])


def impair(file: Path, seed: int | None, out: Path | None, options: list[str], eal: list[str]) -> int:
    """Runs until the program ends; its exit code. `file`: YAML, see bindings/dpdk/README.md."""
    document = configuration.load_yaml(file)
    if not isinstance(document, dict):
        raise Refused(f"{file}: allowed is a mapping of there, back, seed and frames")
    if seed is not None:
        document["seed"] = seed
    return _run("impair", document, _folder("impair", file, out), options, eal)


def unit(file: Path, key_log: Path | None, trace: bool, out: Path | None, options: list[str], eal: list[str]) -> int:
    """The same of a packet dynamics unit. `file`: YAML, whose key file's path is relative to it."""
    document = configuration.load_yaml(file)
    if not isinstance(document, dict) or not isinstance(document.get("key_file"), str):
        raise Refused(f"{file}: allowed is a mapping of own, peer, key_file, cipher, rekey_s, rekey_mb and overlap_ms")
    document["key_file"] = str((file.parent / document["key_file"]).absolute())
    folder = _folder("unit", file, out)
    options = [*options, *(["--key-log", str(key_log)] if key_log else []), *(["--trace", str(folder / "trace.h5")] if trace else [])]
    return _run("unit", document, folder, options, eal)
