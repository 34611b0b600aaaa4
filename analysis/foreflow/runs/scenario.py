# SPDX-License-Identifier: BSD-3-Clause
"""Runs one scenario from configuration to result folder, and draws a result folder again."""

from __future__ import annotations

import csv
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from foreflow import config as configuration
from foreflow import build
from foreflow.errors import Failed, Refused
from foreflow.judge import judgement, metrics, systems
from foreflow.places import RUNS
from foreflow.runs import residency, rows, runner, timers

# By system: what `best` in a configuration stands for.
CHOOSERS = {"tag": residency.choose, "shard": timers.choose}


@dataclass
class Finished:
    document: dict[str, Any]
    sentences: list[str]
    failed: list[runner.Result]


def _write(path: Path, text: str) -> None:
    temporary = path.with_name(path.name + f".{os.getpid()}.tmp")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)


def _write_values(path: Path, values: judgement.Values, seeds: list[int]) -> None:
    temporary = path.with_name(path.name + f".{os.getpid()}.tmp")
    with temporary.open("w", newline="") as file:
        table = csv.writer(file)
        names = list(next(iter(values.values())))
        table.writerow(["arm", "seed", *(f"{name} [{metrics.METRICS[name].unit}]" for name in names)])
        for arm, columns in values.items():
            for index, seed in enumerate(seeds):
                row = [columns[metric][index] for metric in names]
                table.writerow([arm, seed, *("" if value is None else repr(value) for value in row)])
    os.replace(temporary, path)


def finish(config: dict[str, Any], arms: list[str], seeds: list[int], results: list[runner.Result], folder: Path, chosen: dict[str, Any] | None = None) -> Finished:
    """Measures finished runs and writes result.json, values.csv, figures and the report into `folder`.

    `chosen`: what several runs found out of the configuration, parts of the document.
    """
    from foreflow.judge import report, table  # here, since they are slow to import

    failed = [result for result in results if not result.ok]
    if len(failed) == len(results):
        first = failed[0]
        raise Failed(f"every run failed; the first ({first.run.arm}, seed {first.run.seed}): {first.sentence}; log: {first.folder / 'log.txt'}")
    folder.mkdir(parents=True, exist_ok=True)
    system = systems.of(config)
    values = judgement.values_of(results, arms, seeds, system)
    outputs: dict[str, Any] = {
        "folder": str(folder),
        "result": str(folder / "result.json"),
        "values": str(folder / "values.csv"),
        "table": str(folder / "table.txt"),
        "report": str(folder / "report.html"),
        "figures": [],
        "runs": [
            {"arm": r.run.arm, "seed": r.run.seed, "state": r.status, "folder": str(r.folder)}
            | ({} if r.ok else {"why": r.sentence})
            for r in results
        ],
    }
    document = judgement.document_of(config, arms, seeds, results, values, outputs)
    document.update(chosen or {})
    figures = system.judge.draw(document, results, folder)
    outputs["figures"] = [str(path) for path in figures]
    sentences = system.judge.sentences(document, values, results)
    _write_values(folder / "values.csv", values, seeds)
    _write(folder / "table.txt", table.of_document(document) + "\n\n" + "\n".join(sentences) + "\n")
    _write(folder / "report.html", report.render(document, sentences, [p for p in figures if p.suffix == ".png"], results))
    # Last: a folder with a result is whole.
    _write(folder / "result.json", json.dumps(document, indent=1, allow_nan=False) + "\n")
    return Finished(document, sentences, failed)


def run(config: dict[str, Any], simulator: Path, out: Path | None, fresh: bool = False) -> Finished:
    """All arms and seeds of a resolved configuration."""
    arms, seeds = config["arms"], list(range(1, config["seeds"] + 1))
    choose = CHOOSERS[systems.of(config).name]
    config, chosen = choose(config, arms, seeds, simulator, out / "runs" if out else RUNS, fresh)
    runs = runner.plan_all(config, arms, seeds, simulator)
    folder = out or RUNS / f"{config['scenario']}-{runner.hash_of(runs)}"
    results = runner.run_all(runs, simulator, folder / "runs" if out else RUNS, fresh)
    return finish(config, arms, seeds, results, folder, chosen)


def run_named(
    name: str, overrides: list[str], arms: str | None, seeds: int | None, out: Path | None, fresh: bool
) -> Finished:
    """Resolves a scenario, builds the simulator where needed, and runs it."""
    config = resolved(name, overrides, arms, seeds)
    simulator = build.program(build.build("sim", ["foreflow-run"]), "foreflow-run")
    return run(config, simulator, out.absolute() if out else None, fresh)


def redraw(folder: Path) -> Finished:
    """The report of a result folder, from its traces."""
    try:
        document = json.loads((folder / "result.json").read_text())
        config, listed = document["config"], document["outputs"]["runs"]
    except FileNotFoundError:
        raise Refused(f"{folder}: no result.json is there; allowed is a folder that `run` wrote") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Refused(f"{folder / 'result.json'}: not a result of `run`: {error}") from None
    results = []
    for entry in listed:
        kept = Path(entry["folder"])
        if not kept.is_dir():
            raise Refused(f"{kept}: the run's folder is gone, and the report is drawn from its trace")
        details = json.loads((kept / "manifest.json").read_text())
        read = [Path(path) for path in details["inputs_sha256"]]
        run = runner.Run(entry["arm"], entry["seed"], read[0], config, details["run"], *read[1:])
        result = runner.Result(run, kept, entry["state"], entry.get("why", ""), rows.read(kept) or rows.rebuilt(kept))
        if result.ok and (result.row is None or not rows.is_whole(kept, result.row)):
            raise Failed(f"{kept}: not a whole run; `run` with the same words runs it again")
        results.append(result)
    return finish(config, config["arms"], list(range(1, config["seeds"] + 1)), results, folder)


def resolved(name: str, overrides: list[str], arms: str | None, seeds: int | None) -> dict[str, Any]:
    """The scenario with the command line's options, which are overrides like any other."""
    options = [*overrides]
    if arms is not None:
        options.append(f"arms={arms}")
    if seeds is not None:
        options.append(f"seeds={seeds}")
    return configuration.resolve(name, options)
