# SPDX-License-Identifier: BSD-3-Clause
"""Predicted against measured: the simulator with a calibrated profile, and the runner's worker, on the same arrivals.

The cases are captures and configurations that calibration never saw: real and generated traffic, another rule set, other
arms and predictors. Each is measured flat out, which gives the capacity, and at shares of that capacity.

Machines that are shared change their speed from minute to minute. Calibration read a yardstick (fixed loads of its own),
and it is read again around every pass here: a prediction is compared as it is, and for a machine that is as much slower
as the yardstick says. Nothing of the case itself enters that scale.
"""

from __future__ import annotations

import importlib.util
import json
import math
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from foreflow import inputs
from foreflow import config as configuration
from foreflow.build import build, program
from foreflow.errors import Failed, Refused
from foreflow.judge.table import grid
from foreflow.machine import calibration
from foreflow.places import FIT, RUNS

PERCENTILES = ("p50", "p90", "p99", "p99.9")
AIM_THROUGHPUT, AIM_P99 = 0.10, 0.20
LOADS = (0.3, 0.6, 0.8)
FLOODS, TIMED = 9, 5  # passes with a steady machine
STEADY, TRIES = 0.05, 3  # by how much its speed may change around them; passes tried for each
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
    Case("recorded, predictive", "predictive", ("input=recorded", "prediction.predictor=markov3")),
    Case("recorded, predictive, markov1, 2 %", "predictive", ("input=recorded", "prediction.predictor=markov1", "device.flow_entries=2%")),
    Case("web search, reactive, 50 %", "reactive", ("input=websearch", "device.flow_entries=50%")),
    Case("web search, predictive", "predictive", ("input=websearch", "prediction.predictor=markov3")),
    Case("memoryless, reactive", "reactive", ("input=memoryless",)),
    Case("Markov, predictive, 20 %", "predictive", ("input=markov", "prediction.predictor=markov3", "device.flow_entries=20%")),
)
QUICK_CASES = (CASES[1], CASES[2])


@dataclass
class Setting:
    """What all cases share."""

    simulator: Path
    measure: Path
    profile: Path
    floods: int
    timed: int
    packets: int

    def __post_init__(self) -> None:
        spec = importlib.util.spec_from_file_location("foreflow_fit", FIT)
        self.fit = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = self.fit
        spec.loader.exec_module(self.fit)
        document = json.loads(self.profile.read_text())
        self.hertz = document["clock_hz"]["value"]
        self.usual = document.get("calibration", {}).get("yardstick")
        if self.usual is None:
            raise Refused(f"{self.profile}: calibration.yardstick is missing; allowed is a profile that ./foreflow calibrate wrote, run it again")

    def slowness(self, cycles: float, one: dict[str, Any]) -> float:
        """How many times longer than while calibrating the machine took around a pass for what took `cycles` a packet."""
        return self.fit.slowness_at(cycles, one["yardstick"], self.usual)


def _resolved(case: Case, profile: Path, capture: Path, offered_bps: float, packets: int, bounded: bool, slower: float = 1.0) -> dict[str, Any]:
    """What both programs read: a host core that does everything, so many times slower than its profile says, its wire out
    of the way."""
    overrides = [*case.overrides, f"host.profile={profile}", "device.placement=host_core", f"link.rate_mbps={LINK_MBPS}", "link.delay_us=0"]
    overrides += ["traffic.max_gap_ms=1", f"traffic.max_packets={packets}", "traffic.load=0.5"]
    config = configuration.resolve("tag", overrides)
    config["traffic"]["load"] = max(offered_bps / (LINK_MBPS * 1e6), 1e-3)
    config["link"]["rate_mbps"] = min(offered_bps / config["traffic"]["load"] / 1e6, LINK_MBPS)
    config["device"]["queue_packets"] = UNBOUNDED
    resolved = configuration.resolved_for_run(config, case.arm, 1, capture, Path("unset"))
    clock = resolved["hw"][str(profile)]["clock_hz"]
    clock["value"] = round(clock["value"] / slower)
    clock["interval"] = [clock["value"], clock["value"]]
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


def _simulate(setting: Setting, path: Path) -> dict[str, np.ndarray]:
    """Arrival and departure of every packet in ns (departure -1: dropped), and its bytes."""
    import h5py

    _run([str(setting.simulator), str(path)])
    with h5py.File(path.parent / "trace.h5") as file:
        table = file["packets"]
        return {name: np.asarray(table[name], dtype=np.int64) for name in ("arrival_ns", "departure_ns", "wire_bytes")}


def _measure(setting: Setting, path: Path, floods: int, timed: int) -> dict[str, Any]:
    arguments = ["--floods", str(floods), "--timed", str(timed), "--steady", str(STEADY), "--tries", str(TRIES)]
    return json.loads(_run([str(setting.measure), str(path), *arguments]))


def _chosen(passes: list[dict[str, Any]], wanted: int) -> tuple[list[dict[str, Any]], bool]:
    """The passes with a steady machine, if they are as many as wanted; else all, and False."""
    steady = [one for one in passes if one["steady"]]
    return (steady, True) if len(steady) >= wanted else (passes, False)


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


def _side(predicted: float, measured: list[float], aim: float | None) -> dict[str, Any]:
    median, low, high = _interval(measured)
    ratio = predicted / median if median else None
    return {
        "predicted": predicted, "measured": median, "ci95": [low, high], "ratio": ratio,
        "within_aim": None if aim is None or ratio is None else bool(abs(ratio - 1) <= aim),
    }  # fmt: skip


def _row(head: dict[str, Any], raw: dict[str, Any], scaled: dict[str, Any]) -> dict[str, Any]:
    """`raw`: the profile as it is and all passes as they were. `scaled`: for a machine as slow as it was around them, and
    without what interference hit."""
    return {**head, **raw, "scaled": scaled}


def _validate(case: Case, setting: Setting, folder: Path, said: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The case's rows, and the interference that an idle worker saw meanwhile."""
    config = configuration.resolve("tag", list(case.overrides))
    capture = inputs.capture_for(config["input"], 1, setting.packets, RUNS / "cache")
    print(f"foreflow: {said}: {case.name}", file=sys.stderr, flush=True)

    def resolved(offered_bps: float, bounded: bool, slower: float = 1.0) -> dict[str, Any]:
        return _resolved(case, setting.profile, capture, offered_bps, setting.packets, bounded, slower)

    # Flat out. At any load decisions are those of the arrivals' own times, so both sides do the same work.
    path = _write(folder, "flood", resolved(4e11, bounded=False))
    trace = _simulate(setting, path)
    left = trace["departure_ns"] >= 0
    predicted = len(left) / ((trace["departure_ns"][left].max() - trace["arrival_ns"].min()) * 1e-9)
    cycles = setting.hertz / predicted
    done = _measure(setting, path, setting.floods, 0)
    floors = [done["floor"]]
    floods, steady = _chosen(done["floods"], setting.floods)
    capacity = [setting.hertz * one["packets"] / one["busy_cycles"] for one in done["floods"]]
    slow = [setting.slowness(cycles, one) for one in floods]
    quiet = [setting.hertz / one["quiet_cycles_per_packet"] for one in floods]
    slower = float(np.median(slow))
    # Paired: what a pass would have given at the median speed.
    paired = [each * slow_then / slower for each, slow_then in zip(quiet, slow, strict=True)]
    head = {"case": case.name, "what": "throughput", "unit": "packets/s", "n": len(floods), "tried": len(done["floods"]), "steady": steady, "slowness": slower}
    rows = [_row(head, _side(predicted, capacity, AIM_THROUGHPUT), _side(predicted / slower, paired, AIM_THROUGHPUT))]

    # A light path takes more than the feeder has to give.
    delivered = float(np.median([setting.hertz * one["packets"] / one["wall_cycles"] for one in done["floods"]]))
    bits = 8 * float(trace["wire_bytes"].mean())
    for load in LOADS:
        offered = load * min(delivered, float(np.median(capacity))) * bits
        path = _write(folder, f"load{load:g}", resolved(offered, bounded=True))
        done = _measure(setting, path, 0, setting.timed)
        floors.append(done["floor"])
        timed, steady = _chosen(done["timed"], setting.timed)
        slower = float(np.median([setting.slowness(cycles, one) for one in timed]))
        as_slow = _write(folder, f"load{load:g}-as-slow", resolved(offered, bounded=True, slower=slower))
        traces = [_simulate(setting, each) for each in (path, as_slow)]
        lefts = [trace["departure_ns"] >= 0 for trace in traces]
        latency = [(trace["departure_ns"] - trace["arrival_ns"])[left] for trace, left in zip(traces, lefts, strict=True)]
        head = {"case": case.name, "n": len(timed), "tried": len(done["timed"]), "steady": steady, "slowness": slower}
        for name in PERCENTILES:
            usual, now = (_percentile(each, float(name[1:]) / 100) / 1e3 for each in latency)
            every, quiet = (
                [one[kind][name] / 1e3 for one in passes if one.get(kind)]
                for kind, passes in (("latency_ns", done["timed"]), ("quiet_latency_ns", timed))
            )
            if every and quiet:
                aim = AIM_P99 if name == "p99" else None
                label = {**head, "what": f"latency {name} at load {load:g}", "unit": "us"}
                rows.append(_row(label, _side(usual, every, aim), _side(now, quiet, aim)))
        dropped = [one["dropped"] / one["packets"] * 1000 for one in timed]
        sides = [_side(float((~left).mean() * 1000), dropped, None) for left in lefts]
        hit = float(np.median([one["hit_share"] for one in timed]))
        rows.append(_row({**head, "what": f"dropped at load {load:g}", "unit": "per 1000", "hit_share": hit}, *sides))
    return rows, floors


def validate(profile: str | None, quick: bool) -> dict[str, Any]:
    """Every case's rows, and how many meet the aim."""
    name = profile or calibration.default_name()
    path = configuration.profile_file(name)
    if path is None:
        raise Refused(f"command line: --profile = {name}: no such profile; ./foreflow calibrate writes it")
    floods, timed, packets = (1, 1, QUICK_PACKETS) if quick else (FLOODS, TIMED, PACKETS)
    setting = Setting(
        program(build("sim", ["foreflow-run"]), "foreflow-run"),
        program(build("dpdk", ["foreflow-measure"]), "foreflow-measure"),
        path.absolute(), floods, timed, packets,
    )  # fmt: skip
    cases = QUICK_CASES if quick else CASES
    others = os.getloadavg()[0]
    rows: list[dict[str, Any]] = []
    floors: list[dict[str, Any]] = []
    for index, case in enumerate(cases):
        with tempfile.TemporaryDirectory(prefix="foreflow-") as folder:
            of_case, seen = _validate(case, setting, Path(folder), f"{index + 1} of {len(cases)}")
        rows += of_case
        floors += seen
    document = {
        "profile": str(path),
        "machine": json.loads(path.read_text())["calibration"].get("machine"),
        "load_before": round(others, 2),
        "cpus": os.cpu_count(),
        "packets": packets,
        "floods": floods,
        "timed": timed,
        "rows": rows,
        "unsteady": sorted({f"{row['case']}: {row['what']}" for row in rows if not row["steady"] and row["within_aim"] is not None}),
        "floor": {
            "share": float(np.mean([floor["share"] for floor in floors])),
            "longest_us": max(floor["longest_ns"] for floor in floors) / 1e3,
            "gaps_per_second": sum(floor["gaps"] for floor in floors) / sum(floor["seconds"] for floor in floors),
        },
        "within_aim": {kind: _met(rows, kind) for kind in ("throughput", "latency")},
    }
    return {**document, "outputs": _keep(document, RUNS / f"validation-{path.stem}")}


def _met(rows: list[dict[str, Any]], kind: str) -> dict[str, list[int]]:
    """How many are within the aim of how many, compared either way."""
    judged = [row for row in rows if row["within_aim"] is not None and row["what"].startswith(kind)]
    return {"raw": [sum(row["within_aim"] for row in judged), len(judged)], "scaled": [sum(bool(row["scaled"]["within_aim"]) for row in judged), len(judged)]}


def _keep(document: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Writes result, table and figure; says where."""
    from foreflow.judge import plots

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "result.json").write_text(json.dumps(document, indent=1) + "\n")
    (folder / "table.txt").write_text(text_of(document) + "\n")
    (folder / "table.md").write_text(markdown_of(document) + "\n")
    return {"folder": str(folder), "figures": [str(figure) for figure in plots.validation(document, folder)]}


def _three(value: float) -> str:
    """Three digits that matter."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:,.{digits}f}".replace(",", " ")


def _ratio(side: dict[str, Any]) -> str:
    return "-" if side["ratio"] is None else f"{side['ratio']:.2f}"


def _words(document: dict[str, Any]) -> list[str]:
    """What to know about the table, a sentence each."""
    met, floor = document["within_aim"], document["floor"]
    slow = [row["slowness"] for row in document["rows"] if row["within_aim"] is not None]
    words = [
        f"Medians of {document['floods']} passes flat out and {document['timed']} at a load, {document['packets']} packets at the most.",
        "Raw: the profile as it is against all passes as they were. Scaled: the same prediction for a machine as much slower as the yardstick"
        f" was around the passes (here {min(slow):.2f} to {max(slow):.2f} times its time while calibrating), against what interference did not hit.",
        f"Throughput within {AIM_THROUGHPUT:.0%}: {_of(met['throughput']['scaled'])} scaled, {_of(met['throughput']['raw'])} raw;"
        f" p99 latency within {AIM_P99:.0%}: {_of(met['latency']['scaled'])} scaled, {_of(met['latency']['raw'])} raw.",
        f"An idle worker was interrupted for more than 20 us {floor['gaps_per_second']:.1f} times a second, {floor['share']:.2%} of the time,"
        f" {floor['longest_us']:.0f} us at the most. The machine's load average before was {document['load_before']:g}, on {document['cpus']} CPUs.",
    ]
    if document["unsteady"]:
        words.append(f"Never steady in {TRIES} tries a pass (the speed changed by more than {STEADY:.0%} around it): {'; '.join(document['unsteady'])}.")
    return words


def _of(counted: list[int]) -> str:
    return f"{counted[0]} of {counted[1]}"


def text_of(document: dict[str, Any]) -> str:
    table = [["case", "what", "unit", "predicted", "measured", "ratio", "scaled: predicted", "measured", "95 % interval", "ratio", "aim"]]
    for row in document["rows"]:
        scaled = row["scaled"]
        met = {True: "met", False: "missed", None: ""}[scaled["within_aim"]] + ("" if row["steady"] else " unsteady")
        low, high = scaled["ci95"]
        table.append([
            row["case"], row["what"], row["unit"], _three(row["predicted"]), _three(row["measured"]), _ratio(row),
            _three(scaled["predicted"]), _three(scaled["measured"]), f"{_three(low)} .. {_three(high)}", _ratio(scaled), met.strip(),
        ])  # fmt: skip
    return "\n".join([grid(table), "", *_words(document), f"Profile {document['profile']}"])


def markdown_of(document: dict[str, Any]) -> str:
    """What is judged by an aim, as docs/validation.md has it."""
    lines = ["| traffic, arm | what | predicted, scaled | measured (95 % interval) | ratio, scaled | ratio, raw |", "|---|---|---|---|---|---|"]
    for row in document["rows"]:
        if row["within_aim"] is None:
            continue
        scaled = row["scaled"]
        low, high = scaled["ci95"]
        unit = "" if row["steady"] else ", unsteady"
        lines.append(
            f"| {row['case']} | {row['what']}, {row['unit']}{unit} | {_three(scaled['predicted'])} |"
            f" {_three(scaled['measured'])} ({_three(low)} .. {_three(high)}) | {_ratio(scaled)} | {_ratio(row)} |"
        )
    return "\n".join([*lines, "", *_words(document)])


BEGIN, END = "<!-- written by ./foreflow validate --into: begin -->", "<!-- end -->"


def put_into(file: Path, document: dict[str, Any]) -> None:
    """Replaces what stands between the marks in a file of documentation."""
    text = file.read_text()
    if text.count(BEGIN) != 1 or END not in text.split(BEGIN)[1]:
        raise Refused(f"{file}: has not the marks {BEGIN} and {END}, in this order; put them where the table shall stand")
    before, rest = text.split(BEGIN)
    file.write_text(f"{before}{BEGIN}\n{markdown_of(document)}\n{END}{rest.split(END, 1)[1]}")
