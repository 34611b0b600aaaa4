# SPDX-License-Identifier: BSD-3-Clause
"""Predicted against measured: the simulator with a calibrated profile, and the runner's worker, on the same arrivals.

The cases are captures and configurations that calibration never saw: real and generated traffic, another rule set, other
arms and predictors. Each is measured flat out, which gives the capacity, and at shares of that capacity.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from foreflow import calibration, inputs
from foreflow import config as configuration
from foreflow.build import build, program
from foreflow.errors import Failed, Refused
from foreflow.places import RUNS
from foreflow.table import grid

PERCENTILES = ("p50", "p90", "p99", "p99.9")
AIM_THROUGHPUT, AIM_P99 = 0.10, 0.20
LOADS = (0.3, 0.6, 0.8)
REPETITIONS, QUICK_REPETITIONS = 9, 1
RESAMPLES = 1000
PACKETS, QUICK_PACKETS = 60_000, 5_000
# Far above what a core offers, so that the wire adds nothing; the rings of the measurement have no wire.
LINK_MBPS = 1_600_000
UNBOUNDED = 1_000_000  # packets


@dataclass(frozen=True)
class Case:
    """One configuration with its traffic."""

    name: str
    arm: str
    overrides: tuple[str, ...]


CASES = (
    Case("recorded, off", "off", ("input=recorded",)),
    Case("recorded, reactive", "reactive", ("input=recorded",)),
    Case("recorded, predictive", "predictive", ("input=recorded",)),
    Case("recorded, predictive, markov1, 2 %", "predictive", ("input=recorded", "prediction.predictor=markov1", "device.flow_entries=2%")),
    Case("web search, reactive, 50 %", "reactive", ("input=websearch", "device.flow_entries=50%")),
    Case("web search, predictive", "predictive", ("input=websearch",)),
    Case("memoryless, reactive", "reactive", ("input=memoryless",)),
    Case("Markov, predictive, 20 %", "predictive", ("input=markov", "device.flow_entries=20%")),
)
QUICK_CASES = (CASES[1], CASES[2])


@dataclass
class Programs:
    simulator: Path
    measure: Path


def _resolved(case: Case, profile: Path, capture: Path, offered_bps: float, packets: int, bounded: bool) -> dict[str, Any]:
    """What both programs read: a host core that does everything, its wire out of the way."""
    overrides = [*case.overrides, f"host.profile={profile}", "device.placement=host_core", f"link.rate_mbps={LINK_MBPS}", "link.delay_us=0"]
    overrides += ["traffic.max_gap_ms=1", f"traffic.max_packets={packets}", "traffic.load=0.5"]
    config = configuration.resolve("tag", overrides)
    config["traffic"]["load"] = max(offered_bps / (LINK_MBPS * 1e6), 1e-3)
    config["link"]["rate_mbps"] = min(offered_bps / config["traffic"]["load"] / 1e6, LINK_MBPS)
    config["device"]["queue_packets"] = UNBOUNDED
    resolved = configuration.resolved_for_run(config, case.arm, 1, capture, Path("unset"))
    if not bounded:
        number = resolved["hw"][str(profile)]["queue_capacity"]
        number["value"], number["interval"] = UNBOUNDED, [UNBOUNDED, UNBOUNDED]
    return resolved


def _write(folder: Path, name: str, resolved: dict[str, Any]) -> Path:
    out = folder / name
    out.mkdir()
    resolved["out"] = str(out)
    path = out / "RESOLVED.json"
    path.write_text(json.dumps(resolved))
    return path


def _run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        last = done.stderr.strip().splitlines()[-1:] or ["it said nothing"]
        raise (Refused if done.returncode == 2 else Failed)(f"{Path(command[0]).name}: {last[0]}")
    return done.stdout


def _simulate(programs: Programs, path: Path) -> dict[str, np.ndarray]:
    """Arrival and departure of every packet in ns (departure -1: dropped), and its cycles in all stages."""
    import h5py

    _run([str(programs.simulator), str(path)])
    with h5py.File(path.parent / "trace.h5") as file:
        table = file["packets"]
        columns = ("arrival_ns", "departure_ns", "wire_bytes", "host_cycles", "prediction_cycles")
        return {name: np.asarray(table[name], dtype=np.int64) for name in columns}


def _measure(programs: Programs, path: Path, floods: int, timed: int) -> dict[str, Any]:
    return json.loads(_run([str(programs.measure), str(path), "--floods", str(floods), "--timed", str(timed)]))


def _interval(values: list[float], seed: int = 1) -> tuple[float, float, float]:
    """Median and its 95 % bootstrap interval over repetitions."""
    sample = np.array(values, dtype=float)
    rng = np.random.default_rng(seed)
    draws = np.median(sample[rng.integers(0, len(sample), (RESAMPLES, len(sample)))], axis=1)
    return float(np.median(sample)), float(np.quantile(draws, 0.025)), float(np.quantile(draws, 0.975))


def _percentile(values: np.ndarray, share: float) -> float:
    """Observed value (nearest rank)."""
    ordered = np.sort(values)
    return float(ordered[min(len(ordered) - 1, int(share * len(ordered)))])


def _row(case: str, what: str, unit: str, predicted: float, measured: list[float], aim: float | None) -> dict[str, Any]:
    median, low, high = _interval(measured)
    ratio = predicted / median if median else None
    return {
        "case": case, "what": what, "unit": unit, "predicted": predicted, "measured": median, "ci95": [low, high],
        "n": len(measured), "ratio": ratio,
        "within_aim": None if aim is None or ratio is None else bool(abs(ratio - 1) <= aim),
    }  # fmt: skip


def _validate(case: Case, profile: Path, programs: Programs, repetitions: int, packets: int, folder: Path, said: str) -> list[dict[str, Any]]:
    config = configuration.resolve("tag", list(case.overrides))
    capture = inputs.capture_for(config["input"], 1, packets, RUNS / "cache")
    print(f"foreflow: {said}: {case.name}", file=sys.stderr, flush=True)
    hertz = json.loads(profile.read_text())["clock_hz"]["value"]

    # Flat out. At any load decisions are those of the arrivals' own times, so both sides do the same work.
    guess_bps = 4e9
    path = _write(folder, "flood", _resolved(case, profile, capture, 100 * guess_bps, packets, bounded=False))
    measured = _measure(programs, path, repetitions, 0)
    capacity = [hertz * flood["packets"] / flood["busy_cycles"] for flood in measured["floods"]]
    trace = _simulate(programs, path)
    left = trace["departure_ns"] >= 0
    span_s = (trace["departure_ns"][left].max() - trace["arrival_ns"].min()) * 1e-9
    rows = [_row(case.name, "throughput", "packets/s", len(left) / span_s, capacity, AIM_THROUGHPUT)]

    bits = 8 * float(trace["wire_bytes"].mean())
    for load in LOADS:
        offered = load * float(np.median(capacity)) * bits
        path = _write(folder, f"load{load:g}", _resolved(case, profile, capture, offered, packets, bounded=True))
        trace = _simulate(programs, path)
        left = trace["departure_ns"] >= 0
        latency = (trace["departure_ns"] - trace["arrival_ns"])[left]
        timed = _measure(programs, path, 0, repetitions)["timed"]
        for name in PERCENTILES:
            predicted = _percentile(latency, float(name[1:]) / 100) / 1e3
            values = [one["latency_ns"][name] / 1e3 for one in timed if one.get("latency_ns")]
            if values:
                rows.append(_row(case.name, f"latency {name} at load {load:g}", "us", predicted, values, AIM_P99 if name == "p99" else None))
        decided = [one["dropped"] / one["packets"] * 1000 for one in timed]
        rows.append(_row(case.name, f"dropped at load {load:g}", "per 1000", float((~left).mean() * 1000), decided, None))
    return rows


def validate(profile: str | None, quick: bool) -> dict[str, Any]:
    """Every case's rows, and how many meet the aim."""
    name = profile or calibration.default_name()
    path = configuration.profile_file(name)
    if path is None:
        raise Refused(f"command line: --profile = {name}: no such profile; ./foreflow calibrate writes it")
    programs = Programs(
        program(build("sim", ["foreflow-run"]), "foreflow-run"),
        program(build("dpdk", ["foreflow-measure"]), "foreflow-measure"),
    )
    cases = QUICK_CASES if quick else CASES
    repetitions, packets = (QUICK_REPETITIONS, QUICK_PACKETS) if quick else (REPETITIONS, PACKETS)
    rows: list[dict[str, Any]] = []
    for index, case in enumerate(cases):
        with tempfile.TemporaryDirectory(prefix="foreflow-") as folder:
            rows += _validate(case, path.absolute(), programs, repetitions, packets, Path(folder), f"{index + 1} of {len(cases)}")
    aims = {
        kind: [row["within_aim"] for row in rows if row["within_aim"] is not None and row["what"].startswith(kind)]
        for kind in ("throughput", "latency")
    }
    document = {
        "profile": str(path),
        "packets": packets,
        "repetitions": repetitions,
        "rows": rows,
        "within_aim": {kind: [sum(met), len(met)] for kind, met in aims.items()},
    }
    return {**document, "outputs": _keep(document, RUNS / f"validation-{path.stem}")}


def _keep(document: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Writes result, table and figure; says where."""
    from foreflow import plots

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "result.json").write_text(json.dumps(document, indent=1) + "\n")
    (folder / "table.txt").write_text(text_of(document) + "\n")
    return {"folder": str(folder), "figures": [str(figure) for figure in plots.validation(document, folder)]}


def _three(value: float) -> str:
    """Three digits that matter."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:,.{digits}f}".replace(",", " ")


def text_of(document: dict[str, Any]) -> str:
    table = [["case", "what", "unit", "predicted", "measured", "95 % interval", "ratio", "aim"]]
    for row in document["rows"]:
        met = {True: "met", False: "missed", None: ""}[row["within_aim"]]
        ratio = "-" if row["ratio"] is None else f"{row['ratio']:.2f}"
        low, high = row["ci95"]
        table.append([row["case"], row["what"], row["unit"], _three(row["predicted"]), _three(row["measured"]), f"{_three(low)} .. {_three(high)}", ratio, met])
    met = document["within_aim"]
    return "\n".join([
        grid(table), "",
        f"Medians of {document['repetitions']} passes over {document['packets']} packets; profile {document['profile']}.",
        f"Throughput within {AIM_THROUGHPUT:.0%} of what was measured: {met['throughput'][0]} of {met['throughput'][1]};"
        f" p99 latency within {AIM_P99:.0%}: {met['latency'][0]} of {met['latency'][1]}.",
    ])
