# SPDX-License-Identifier: BSD-3-Clause
"""Measures on this machine what the cores' work costs: runs foreflow-calibrate, then the fit of hw-models/calibrate."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from foreflow.build import build, program
from foreflow.errors import Failed, Refused
from foreflow.inputs import capture_for
from foreflow.judge.table import grid, number
from foreflow.places import FIT, MEASURED_PROFILES, RUNS

CELLS = 84
QUICK_CELLS = 16
# Traffic of these generators is measured besides what foreflow-calibrate makes itself; ./foreflow validate uses others.
CAPTURES = ("datamining", "dialogues", "hadoop", "storage")
PACKETS, QUICK_PACKETS = 60_000, 10_000


def cache_sizes() -> list[int]:
    """Sizes of this machine's data caches in bytes, the smallest first; usual ones where the system does not say."""
    sizes = set()
    for index in Path("/sys/devices/system/cpu/cpu0/cache").glob("index*"):
        if (index / "type").read_text().strip() == "Instruction":
            continue
        if match := re.fullmatch(r"(\d+)([KMG]?)", (index / "size").read_text().strip()):
            sizes.add(int(match.group(1)) << {"": 0, "K": 10, "M": 20, "G": 30}[match.group(2)])
    return sorted(sizes) or [32 << 10, 1 << 20, 32 << 20]


def default_name() -> str:
    """The CPU's name as a file's: `amd-epyc`."""
    match = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    slug = re.sub(r"\((r|tm)\)|@.*", "", (match.group(1) if match else "cpu").lower())
    return re.sub(r"[^a-z0-9]+", "-", slug).strip("-")


def calibrate(out: Path | None, seconds: float, quick: bool, seed: int) -> tuple[dict[str, Any], Path]:
    """The profile of this machine, and where it was written."""
    path = (out or MEASURED_PROFILES / f"{default_name()}.json").absolute()
    if path.suffix != ".json":
        raise Refused(f"command line: --out = {out}; allowed is a file that ends in .json, as host.profile wants it")
    measure = program(build("dpdk", ["foreflow-calibrate"]), "foreflow-calibrate")
    cells, limit = (QUICK_CELLS, 1.0) if quick else (CELLS, seconds)
    said = f"./foreflow calibrate --seconds {limit:g} --seed {seed}" + " --quick" * quick
    with tempfile.TemporaryDirectory(prefix="foreflow-") as folder:
        samples = Path(folder) / "samples.json"
        captures = [capture_for(name, 1, QUICK_PACKETS if quick else PACKETS, RUNS / "cache") for name in CAPTURES]
        command = [str(measure), str(samples), "--cells", str(cells), "--seconds", str(limit), "--seed", str(seed)]
        command += ["--levels", ",".join(map(str, cache_sizes())), "--captures", ",".join(map(str, captures))]
        code = subprocess.run(command, check=False).returncode
        if code != 0:
            raise (Refused if code == 2 else Failed)(f"foreflow-calibrate ended with exit code {code}, see above")
        path.parent.mkdir(parents=True, exist_ok=True)
        fit = [sys.executable, "-P", str(FIT), str(samples), "--out", str(path), "--name", path.stem, "--command", said]
        if subprocess.run(fit, check=False).returncode != 0:
            raise Failed("the fit failed, see above")
    return json.loads(path.read_text()), path


def text_of(profile: dict[str, Any], path: Path) -> str:
    """Prices with their intervals, how well they explain what was measured, and what to do with them."""
    rows = [["cycles of", "price", "95 % interval"]]
    groups = {
        "a visit of {}": profile["stage"],
        "a unit of {}": profile["work"],
        "a line that left {} B": {level["beyond"]["value"]: level["cycles"] for level in profile["cache_levels"]},
        "carrying a {}": profile.get("carrying", {}),
    }
    for words, prices in groups.items():
        for name, price in prices.items():
            if price["mark"] == "measured":
                label = f"{int(name)}" if isinstance(name, float) else name
                rows.append([words.format(label), number(price["value"]), " .. ".join(number(end) for end in price["interval"])])
    about = profile["calibration"]
    error, slow = about["error"], about["slowness"]
    seen, unseen = error["cross_validated"], error["family_out"]
    worst = ", ".join(f"{each['family']} ({each['bias']:+.0%})" for each in about["families"][:3])
    return "\n".join([
        grid(rows),
        "",
        f"{about['cells']} configurations, {about['samples']} samples between readings of the yardstick, which took {slow['p5']:.2f} to"
        f" {slow['p95']:.2f} times what it usually did; around {about['samples_unsteady']} samples it changed, and they count only where"
        " nothing better was measured.",
        f"A configuration that the fit had not seen is off by {seen['p50']:.1%} in the median, {seen['p90']:.1%} in nine of ten;"
        f" {error['within_10_percent']:.0%} lie within 10 %.",
        *([f"One of a family that it had not seen at all is off by {unseen['p50']:.1%}, {unseen['p90']:.1%} in nine of ten; worst: {worst}."] if unseen else []),
        "Counts that rise and fall together share their cost by the prior's word: their intervals say how far it could be otherwise.",
        "",
        f"Profile  {path}",
        f"Use      ./foreflow run tag host.profile={path.stem if path.parent == MEASURED_PROFILES else path} device.placement=host_core",
    ])
