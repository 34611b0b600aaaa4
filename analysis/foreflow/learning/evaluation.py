# SPDX-License-Identifier: BSD-3-Clause
"""Lets models predict a dataset and says with intervals how well they did."""

from __future__ import annotations

import csv
import hashlib
import json
import struct
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from foreflow import config
from foreflow.build import build, program
from foreflow.errors import Failed, Refused
from foreflow.inputs import sha256_of
from foreflow.judge import stats
from foreflow.judge.table import grid, with_interval
from foreflow.learning import data, evaluation_controls, evaluation_plots, recovery, scores
from foreflow.learning.scores import Blocks, Measure, Scored
from foreflow.places import ROOT, RUNS

BASELINES = (
    "random", "base-rate", "persistence", "majority", "markov1", "markov2", "markov3", "markov3-warm", "markov3-flow",
    "ewma", "ewma-variance", "holt-winters", "size-so-far", "last-of-peers", "oracle",
)  # fmt: skip
TRAINED = ROOT / "models" / "trained"
CEILING = "ceiling"  # the true law, where it is known: no model, nothing can be better but by chance
RESAMPLES = 1000
REFERENCE = ("markov1", "persistence", "base-rate")  # the lower end of the gap: the first that is there
RIVAL = ("markov3", "persistence", "base-rate")  # what a paired difference is taken to: the first that is there
FAIR_RIVAL = "markov3-flow"  # and this: it sees what models see, and has learnt from the same rows
LARGE = 0.01
COVERAGES = (0.5, 0.8)


@dataclass(frozen=True)
class Wanted:
    """What is asked for on the command line."""

    task: str
    data: list[str]
    training: list[str]
    models: list[str]  # none: default_models
    targets: list[str]
    control: str
    profile: str
    scored: list[Path]  # predictions of foreflow-train --score, to be judged beside ours
    seed: int
    resamples: int


@dataclass(frozen=True)
class Target:
    """What is predicted of the M scored rows."""

    name: str
    classes: list[str]  # none: a real value
    unit: str
    truth: np.ndarray  # class or value of each scored row
    known: np.ndarray  # [M], bool: the truth is
    law: np.ndarray | None  # [M, C], the true distribution where a source's is known


@dataclass(frozen=True)
class Rows:
    """What is scored, by column."""

    row: np.ndarray  # of the dataset
    sequence: np.ndarray
    source: np.ndarray
    time_ns: np.ndarray
    next_time_ns: np.ndarray
    known_packets: np.ndarray | None
    source_names: list[str]
    targets: dict[str, Target]


def _texts(values: Any) -> list[str]:
    return [each.decode() if isinstance(each, bytes) else str(each) for each in np.atleast_1d(values)]


def read_rows(dataset: Path, row: np.ndarray) -> Rows:
    """These rows of a dataset file, rising numbers. Raises OSError or KeyError where it is none."""
    with h5py.File(dataset) as file:
        rows = file["rows"]
        targets = {}
        for name in _texts(file.attrs["targets"]):
            values = file["targets"][name]
            classes = _texts(values.attrs["classes"]) if len(np.atleast_1d(values.attrs["classes"])) else []
            truth = values[()][row]
            law = file["truth"][name][()][row] if "truth" in file and name in file["truth"] else None
            known = truth >= 0 if classes else np.isfinite(truth)
            unit = _texts(values.attrs["unit"])[0] if "unit" in values.attrs else ""
            targets[name] = Target(name, classes, unit, truth, known, law)
        return Rows(
            row,
            *(rows[name][()][row] for name in ("sequence", "source", "time_ns", "next_time_ns")),
            rows["known_packets"][()][row] if "known_packets" in rows else None,
            _texts(file.attrs["sources"]),
            targets,
        )


MIXED = "+mixed"  # after one or two model files: mixed with what learns on, as the data path serves them


def _files(model: str) -> list[Path]:
    """The files that a model's name means."""
    paths = model.removesuffix(MIXED).split("+")
    most = 2 if model.endswith(MIXED) else 1
    return [Path(path) for path in paths] if len(paths) <= most and all(path.endswith(".model") for path in paths) else []


def _name(model: str) -> str:
    """What its predictions are kept by."""
    files = _files(model)
    return "+".join(file.stem for file in files) + (MIXED if model.endswith(MIXED) else "") if files else model


def predict(dataset: Path, training: Path, models: list[str], targets: list[str], seed: int, out: Path) -> None:
    """predictions.h5 of foreflow-evaluate, at `out`."""
    binary = program(build("sim", ["foreflow-evaluate"]), "foreflow-evaluate")
    command = [str(binary), str(dataset), "--train", str(training), "--seed", str(seed), "--out", str(out)]
    command += [word for model in models for word in ("--model", model)] + [word for target in targets for word in ("--target", target)]
    if sys.stderr.isatty():  # it rewrites a line of progress there
        code, said = subprocess.run(command, check=False).returncode, "see above"
    else:
        said = ""
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr is not None
            for line in process.stderr:
                sys.stderr.write(line)
                said = line.strip() or said
        code = process.returncode
    if code != 0:
        raise (Refused if code == 2 else Failed)(said)


class Prices:
    """Cycles of counted work on a device, and time."""

    def __init__(self, name: str) -> None:
        path = config.profile_file(name)
        if path is None:
            raise Refused(f"command line: --profile = {name}; allowed is a name in hw-models/profiles or a file that `./foreflow calibrate` wrote")
        profile = json.loads(path.read_text(encoding="utf-8"))
        self.name = path.stem
        self.items = {item: price["value"] for item, price in profile["work"].items()}
        self.base = profile["stage"]["predict"]["value"]
        self.clock_hz = profile["clock_hz"]["value"]

    def cycles(self, work: np.ndarray, items: list[str]) -> np.ndarray:
        """[M]: of [M, items] counts of work, one visit of the prediction stage each; items without a price cost nothing."""
        return self.base + work @ np.array([self.items.get(item, 0.0) for item in items])


class Judged:
    """One model's predictions of one target, on the rows where the truth is known and the model said something."""

    def __init__(self, name: str, target: Target, said: np.ndarray, levels: np.ndarray | None) -> None:
        self.name, self.target, self.said, self.levels = name, target, said, levels
        self.has = np.isfinite(said).all(axis=1)

    def on(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What was said of these rows, and the truth."""
        return self.said[rows], self.target.truth[rows]


def _filled(measure: Measure, rows: np.ndarray, total: int) -> Measure:
    """The measure of some rows, with zeros for all others: so that measures of different rows pair."""
    columns = np.zeros((total, measure.columns.shape[1]))
    columns[rows] = measure.columns
    return Measure(measure.unit, columns, measure.of, measure.reflected)


def class_measures(judged: Judged, rows: np.ndarray) -> dict[str, Measure]:
    """Of a class target: log loss, Brier score, accuracy, also of the most confident, and calibration error."""
    said, truth = judged.on(rows)
    return {
        "log_loss": scores.log_loss(said, truth),
        "brier": scores.brier(said, truth),
        "accuracy": scores.accuracy(said, truth),
        **{f"accuracy_at_{int(100 * share)}": scores.accuracy_at(share, said, truth) for share in COVERAGES},
        "ece": scores.ece(said, truth),
    }


def value_measures(judged: Judged, rows: np.ndarray, naive: Judged | None) -> dict[str, Measure]:
    """Of a real value: losses of the quantiles and of the median, coverage, and how well the largest are found.

    With a naive forecast of the same rows also the error over its (MASE).
    """
    said, value = judged.on(rows)
    assert judged.levels is not None
    median = scores.median_of(said, judged.levels)
    unit = judged.target.unit
    nominal = float(judged.levels[-1] - judged.levels[0])
    measures = {
        "pinball": scores.pinball(said, judged.levels, value, unit),
        "absolute_error": scores.ratio(np.abs(value - median), unit=unit),
        f"interval_{round(100 * nominal)}_coverage": scores.interval_coverage(said, value),
    }
    if naive is not None and naive.levels is not None:
        measures["mase"] = scores.mase(median, value, scores.median_of(naive.said[rows], naive.levels))
    precision, recall = scores.largest(said.mean(axis=1), value, LARGE)
    return {**measures, "largest_1_percent_precision": precision, "largest_1_percent_recall": recall}


class Evaluation:
    """All models on one dataset."""

    def __init__(self, wanted: Wanted, dataset: Path, predictions: list[Path]) -> None:
        self.wanted = wanted
        self.prices = Prices(wanted.profile)
        try:
            with h5py.File(predictions[0]) as file:
                row = file["rows"][()]
            self.rows = read_rows(dataset, row)
            with h5py.File(dataset) as file:
                self.source_of_row = file["rows/source"][()]
        except (OSError, KeyError) as error:
            raise Failed(f"{dataset}: cannot be read: {error}") from None
        self.judged: dict[str, dict[str, Judged]] = {}  # by target, by model
        self.cycles: dict[str, np.ndarray] = {}
        self.work: dict[str, dict[str, np.ndarray]] = {}
        self.guard: dict[tuple[str, str], dict[str, Any]] = {}  # of target and model
        for path in predictions:
            self._read(path)
        for name, target in self.rows.targets.items():
            law = self._rates(target) if wanted.control == "random-labels" else target.law
            if law is not None and name in self.judged:
                self.judged[name][CEILING] = Judged(CEILING, target, law, None)
        self.blocks = Blocks(self.rows.sequence, self.rows.source, wanted.seed, wanted.resamples)

    def _rates(self, target: Target) -> np.ndarray | None:
        """The law of permuted labels: how often each class came among the scored rows of a source."""
        if not target.classes:
            return None
        law = np.full((len(target.truth), len(target.classes)), np.nan)
        for each in np.unique(self.rows.source):
            inside = (self.rows.source == each) & target.known
            count = np.bincount(target.truth[inside], minlength=len(target.classes))
            law[self.rows.source == each] = count / max(1, count.sum())
        return law

    def _read(self, path: Path) -> None:
        with h5py.File(path) as file:
            own_rows = file["rows"][()]
            at = np.minimum(np.searchsorted(own_rows, self.rows.row), max(len(own_rows) - 1, 0))
            if len(own_rows) == 0 or not np.array_equal(own_rows[at], self.rows.row):
                raise Refused(f"{path}: lacks rows that are scored here; make it again of the same dataset")
            for model, group in file["models"].items():
                if "work" in group:
                    items = _texts(group["work"].attrs["items"])
                    work = group["work"][()][at].astype(float)
                    self.cycles[model] = self.prices.cycles(work, items)
                    self.work[model] = {item: column for item, column in zip(items, work.T, strict=True) if column.any()}
                for name, target in self.rows.targets.items():
                    if name not in group:
                        continue
                    own = group[name]
                    kind = "probability" if target.classes else "quantiles"
                    levels = None if target.classes else own[kind].attrs["levels"]
                    self.judged.setdefault(name, {})[model] = Judged(model, target, own[kind][()][at], levels)
                    if "covered" in own:
                        alarms = own["alarms"][()].reshape(-1, 2) if len(own["alarms"]) else np.zeros((0, 2), dtype=np.int64)
                        self.guard[name, model] = {
                            "covered": own["covered"][()][at], "set_size": own["set_size"][()][at], "alarms": alarms,
                            "detectors": _texts(own["alarms"].attrs["detectors"]),
                        }  # fmt: skip

    # The rows that every model of a target spoke of, so that all are judged on the same ones.
    def common_rows(self, target: str, stratum: np.ndarray | None = None) -> np.ndarray:
        """Indices of the scored rows, within `stratum` (bool), whose truth is known and of which all models said something.

        A model that was silent throughout does not count.
        """
        known = self.rows.targets[target].known.copy()
        for judged in self.judged[target].values():
            if judged.has.any():
                known &= judged.has
        return np.flatnonzero(known if stratum is None else known & stratum)

    def measures(self, target: str, stratum: np.ndarray | None = None) -> dict[str, dict[str, Measure]]:
        """By model, by metric; on the rows that all models spoke of."""
        models = self.judged[target]
        rows = self.common_rows(target, stratum)
        if len(rows) == 0:
            return {}
        total = len(self.rows.row)
        found: dict[str, dict[str, Measure]] = {}
        naive = models.get("persistence")
        for name, judged in models.items():
            own = class_measures(judged, rows) if judged.target.classes else value_measures(judged, rows, naive)
            found[name] = {metric: _filled(measure, rows, total) for metric, measure in own.items()}
        if not self.rows.targets[target].classes:
            value = self.rows.targets[target].truth[rows]
            for name, fires in (("always-fire", True), ("never-fire", False)):
                large, flagged = scores.upper(value, LARGE), np.full(len(rows), fires)
                own = {"precision": scores.ratio(large & flagged, flagged, "share"), "recall": scores.ratio(large & flagged, large, "share")}
                found[name] = {f"largest_1_percent_{what}": _filled(measure, rows, total) for what, measure in own.items()}
        loss = "log_loss" if self.rows.targets[target].classes else "pinball"
        reference = next((name for name in REFERENCE if name in found), None)
        rival = next((name for name in RIVAL if name in found), None)
        best = CEILING if CEILING in found else None
        for name, own in found.items():
            if loss not in own:
                continue
            if reference and name != reference:
                ceiling = found[best][loss] if best else None
                own["gap_closed"] = scores.gap_share(found[reference][loss], own[loss], ceiling)
            for other in (rival, FAIR_RIVAL):
                if other in found and name != other:
                    own[f"gain_over_{other}"] = scores.difference(found[other][loss], own[loss])
            if best and name != best:
                own["above_ceiling"] = _relative(own[loss], found[best][loss])
            if name == CEILING:
                continue
            self._add_costs(own, name, target, rows, total)
        return found

    def _add_costs(self, own: dict[str, Measure], name: str, target: str, rows: np.ndarray, total: int) -> None:
        guard = self.guard.get((target, name))
        if guard:
            own["conformal_coverage"] = _filled(scores.ratio(guard["covered"][rows], unit="share"), rows, total)
            size = guard["set_size"][rows].astype(float)
            finite = np.isfinite(size)
            own["conformal_set_size"] = _filled(scores.ratio(np.where(finite, size, 0), finite, "answers"), rows, total)
        if name not in self.cycles or name == "oracle":
            return
        cycles = self.cycles[name][rows]
        own["cycles"] = _filled(scores.ratio(cycles, unit="cycles"), rows, total)
        for item, column in self.work[name].items():
            own[f"work_{item}"] = _filled(scores.ratio(column[rows], unit=f"{item}/prediction"), rows, total)
        deadline = self.rows.next_time_ns[rows]
        due = deadline >= 0
        ready = self.rows.time_ns[rows] + cycles * 1e9 / self.prices.clock_hz
        late = due & (ready > deadline)
        own["late"] = _filled(scores.ratio(late, due, "share"), rows, total)
        if self.rows.targets[target].classes:
            said, truth = self.judged[target][name].on(rows)
            right = (said.argmax(axis=1) == truth) & ~late
            own["accuracy_in_time"] = _filled(scores.ratio(right, unit="share"), rows, total)

    def strata(self, target: str) -> dict[str, np.ndarray]:
        """Rows by how many packets of the flow were known, where a task has rows at a few such points."""
        known = self.rows.known_packets
        if known is None or self.wanted.task != "flow-size":
            return {}
        return {f"after_{each}": known == each for each in np.unique(known[self.rows.targets[target].known])}


def _relative(measure: Measure, to: Measure) -> Measure:
    """(measure - to) / to."""
    split = measure.columns.shape[1]

    def of(sums: np.ndarray) -> np.ndarray:
        least = to.of(sums[..., split:])
        return scores.divide(measure.of(sums[..., :split]) - least, least)

    return Measure("share", np.hstack([measure.columns, to.columns]), of)


def _documents(evaluation: Evaluation, targets: list[str]) -> dict[str, dict[str, Scored]]:
    """By model, by metric. Metrics of the first target carry no prefix, others their target's name."""
    found: dict[str, dict[str, Scored]] = {}
    for place, target in enumerate(targets):
        prefix = "" if place == 0 else f"{target}."
        slices: dict[str, np.ndarray | None] = {"": None, **{f"{name}.": rows for name, rows in evaluation.strata(target).items()}}
        for slice_name, stratum in slices.items():
            for model, own in evaluation.measures(target, stratum).items():
                for metric, measure in own.items():
                    if slice_name and metric.startswith(("work_", "cycles", "late")):
                        continue
                    found.setdefault(model, {})[f"{prefix}{slice_name}{metric}"] = evaluation.blocks.score(measure)
    return found


def _changes(evaluation: Evaluation, target: str) -> dict[int, np.ndarray]:
    """Scored rows (indices) of each source with a known target, in order of arrival."""
    known = evaluation.rows.targets[target].known
    return {int(each): np.flatnonzero(known & (evaluation.rows.source == each)) for each in np.unique(evaluation.rows.source)}


def _planted(evaluation: Evaluation, target: str, changes: dict[int, int]) -> tuple[dict[str, dict[str, Scored]], dict[str, dict[str, Any]]]:
    """Of a shift at a known row: numbers by model and metric, and the loss over time around it for the figure."""
    numbers: dict[str, dict[str, Scored]] = {}
    lines: dict[str, dict[str, Any]] = {}
    judged = evaluation.judged[target]
    of_source = _changes(evaluation, target)
    row = evaluation.rows.row
    after = np.zeros(len(row), dtype=bool)
    for source, change in changes.items():
        after |= (evaluation.rows.source == source) & (row >= change)
    common = np.zeros(len(row), dtype=bool)
    common[evaluation.common_rows(target)] = True
    for model, one in judged.items():
        if not one.target.classes or model in (CEILING, "oracle"):
            continue
        loss = np.full(len(row), np.nan)
        loss[common] = scores.surprise(*one.on(common))
        own: dict[str, Scored] = {}
        for when, inside in (("before", common & ~after), ("after", common & after)):
            own[f"log_loss_{when}"] = evaluation.blocks.score(scores.ratio(np.where(inside, loss, 0), inside, "bits"))
            guard = evaluation.guard.get((target, model))
            if guard:
                covered = scores.ratio(guard["covered"] * inside, inside, "share")
                own[f"conformal_coverage_{when}"] = evaluation.blocks.score(covered)
        fired: dict[str, list[recovery.Detection]] = {}
        recovered, marks, means = [], {}, []
        for source, change in changes.items():
            rows = of_source[source][common[of_source[source]]]
            at = int(np.searchsorted(row[rows], change))
            if len(rows) == 0:
                continue
            recovered.append(recovery.recovered_after(loss[rows], at))
            means.append(recovery.windows(loss[rows], at))
            for name, alarms in _alarms(evaluation, target, model, row[rows]).items():
                fired.setdefault(name, []).append(recovery.detect(alarms, len(rows), at))
                if name in ("page_hinkley", "adwin"):
                    marks.setdefault(name, []).extend((alarms - at).tolist())
        for name, found in fired.items():
            delays = [each.delay for each in found if each.delay is not None]
            own[f"{name}_delay"] = _over_sources(delays, "rows")
            own[f"{name}_found"] = _over_sources([float(each.delay is not None) for each in found], "share")
            own[f"{name}_false_alarms"] = _over_sources([each.false_per_thousand for each in found], "alarms/1000 rows")
            own[f"{name}_f1"] = _over_sources([each.f1 for each in found], "1")
        own["recovered"] = _over_sources([float(each is not None) for each in recovered], "share")
        own["recovery"] = _over_sources([each for each in recovered if each is not None], "rows")
        numbers[model] = own
        lines[model] = {"alarms": marks, **_mean_line(means)}
    return numbers, lines


def _alarms(evaluation: Evaluation, target: str, model: str, rows: np.ndarray) -> dict[str, np.ndarray]:
    """Positions in `rows` (rows of the dataset, of one source) at which each detector fired; the two controls beside."""
    found = {}
    guard = evaluation.guard.get((target, model))
    if guard:
        of_source = evaluation.source_of_row[guard["alarms"][:, 1]] == evaluation.source_of_row[rows[0]]
        for place, name in enumerate(guard["detectors"]):
            own = guard["alarms"][of_source & (guard["alarms"][:, 0] == place), 1]
            own = own[(own >= rows[0]) & (own <= rows[-1])]
            found[name] = np.searchsorted(rows, own)
    return {**found, "always_fire": recovery.always(len(rows)), "never_fire": np.zeros(0, dtype=np.int64)}


def _mean_line(lines: list[tuple[np.ndarray, np.ndarray]]) -> dict[str, Any]:
    """The mean over sources of windows that lie alike around the change."""
    sums: dict[int, list[float]] = {}
    for places, means in lines:
        for place, mean in zip(places, means, strict=True):
            sums.setdefault(int(place), []).append(float(mean))
    places = [place for place in sorted(sums) if len(sums[place]) == len(lines)]
    return {"rows": places, "loss": [float(np.mean(sums[place])) for place in places]}


def _over_sources(values: list[Any], unit: str) -> Scored:
    estimate = stats.mean(values)
    return Scored(estimate.mean, estimate.low, estimate.high, unit)


def _has_training_rows(dataset: Path) -> bool:
    try:
        with h5py.File(dataset) as file:
            return bool((file["rows/split"][()] == 0).any())
    except (OSError, KeyError) as error:
        raise Refused(f"{dataset}: is no dataset: {error}; foreflow-dataset makes one") from None


def _datasets(wanted: Wanted) -> tuple[Path, Path]:
    """What is judged, and whose training rows baselines learn from: the same, where it has any."""
    default = data.default_words(wanted.task)
    words = wanted.data or ([data.KEPT_OUT] if default == [data.TRAINING] else default)
    judged = data.dataset(wanted.task, words)
    if wanted.training:
        return judged, data.dataset(wanted.task, wanted.training)
    return judged, judged if _has_training_rows(judged) else data.dataset(wanted.task, default)


def _reads(model: Path) -> tuple[int, int]:
    """Feature set and symbols of a model file: see models/predict/model_file.h."""
    head = model.read_bytes()[: 8 + 4 + 8 + 2 + 0xFFFF]
    (task,) = struct.unpack_from("<H", head, 20)
    return struct.unpack_from("<II", head, 22 + task + 1)


def default_models(task: str, dataset: Path) -> list[str]:
    """All baselines, and the committed models that read such data: as trained, and for packet types also as the data path serves them."""
    with h5py.File(dataset) as file:
        wanted = int(file.attrs["feature_set"]), int(file.attrs["symbols"])
    files = [str(path) for path in sorted(TRAINED.glob(f"{task}-*.model")) if _reads(path) == wanted]
    served = [*files, "+".join(files)] if len(files) == 2 else files  # a table and a network: in tiers
    return [*BASELINES, *files, *(each + MIXED for each in served if task == "next-type")]


def _check(wanted: Wanted, dataset: Path) -> list[str]:
    """The targets that are judged."""
    try:
        with h5py.File(dataset) as file:
            task, known = _texts(file.attrs["task"])[0], _texts(file.attrs["targets"])
    except (OSError, KeyError) as error:
        raise Refused(f"{dataset}: is no dataset: {error}; foreflow-dataset makes one") from None
    if task != wanted.task:
        raise Refused(f"{dataset}: task is {task}, allowed: {wanted.task}, which is to be evaluated")
    for name in wanted.targets:
        if name not in known:
            raise Refused(f"command line: --target = {name}; allowed is one of {', '.join(known)}")
    names = [_name(model) for model in wanted.models]
    for name in names:
        if names.count(name) > 1:
            raise Refused(f"command line: --models names {name} twice; results are kept by name")
    for model in wanted.models:
        for file in _files(model):
            if not file.is_file():
                raise Refused(f"{file}: no such file; `./foreflow train {wanted.task} --out {file}` makes one")
    return wanted.targets or known[:1]


def _folder(wanted: Wanted, dataset: Path, training: Path) -> Path:
    files = [dataset, training, *(file for model in wanted.models for file in _files(model)), *wanted.scored]
    said = [wanted.task, wanted.models, wanted.targets, wanted.control, wanted.profile, wanted.seed, wanted.resamples]
    digest = hashlib.sha256(json.dumps([said, [sha256_of(path) for path in files]]).encode())
    return RUNS / f"evaluate-{wanted.task}-{digest.hexdigest()[:10]}"


def evaluate(wanted: Wanted, out: Path | None) -> dict[str, Any]:
    """Predicts, judges, draws; the document of --json."""
    dataset, training = _datasets(wanted)
    if not wanted.models:
        wanted = replace(wanted, models=default_models(wanted.task, dataset))
    targets = _check(wanted, dataset)
    Prices(wanted.profile)
    folder = (out or _folder(wanted, dataset, training)).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    judged_data, fitted_data = dataset, training
    if wanted.control != "none":
        judged_data = folder / f"{wanted.control}.h5"
        changes = evaluation_controls.apply(wanted.control, dataset, judged_data, wanted.seed)
        fitted_data = judged_data if training == dataset else training
    predictions = folder / "predictions.h5"
    predict(judged_data, fitted_data, wanted.models, targets, wanted.seed, predictions)
    evaluation = Evaluation(wanted, judged_data, [predictions, *wanted.scored])
    print("foreflow: scoring", file=sys.stderr)
    numbers = _documents(evaluation, [name for name in targets if name in evaluation.judged])
    first = targets[0]
    lines = None
    if wanted.control in evaluation_controls.SHIFTS:
        planted, lines = _planted(evaluation, first, changes)
        for model, own in planted.items():
            numbers[model].update(own)
    figures = _draw(evaluation, first, lines, folder)
    document = {
        "task": wanted.task,
        "data": str(dataset),
        "training": str(training),
        "n": len(evaluation.common_rows(first)),
        "models": {model: {metric: value.as_json() for metric, value in own.items()} for model, own in numbers.items()},
        "targets": targets,
        "control": wanted.control,
        "sources": sorted({evaluation.rows.source_names[each] for each in np.unique(evaluation.rows.source)}),
        "blocks": evaluation.blocks.count,
        "resamples": wanted.resamples,
        "seed": wanted.seed,
        "profile": evaluation.prices.name,
        "outputs": {"folder": str(folder), "predictions": str(predictions), "figures": [str(path) for path in figures]},
    }
    (folder / "result.json").write_text(json.dumps(document, indent=1, allow_nan=False) + "\n")
    (folder / "table.txt").write_text(text_of(document) + "\n")
    with (folder / "values.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["model", "metric", "unit", "mean", "low", "high"])
        for model, own in numbers.items():
            writer.writerows([model, metric, v.unit, v.mean, v.low, v.high] for metric, v in own.items())
    return document


def _draw(evaluation: Evaluation, target: str, lines: dict[str, dict[str, Any]] | None, folder: Path) -> list[Path]:
    judged = evaluation.judged.get(target, {})
    rows = evaluation.common_rows(target) if judged else np.zeros(0)
    if len(rows) == 0:
        return []
    blocks = Blocks(evaluation.rows.sequence[rows], evaluation.rows.source[rows], evaluation.wanted.seed, evaluation.wanted.resamples)
    shown = [name for name in judged if name not in ("oracle", "random", "base-rate", CEILING)]
    caption = f"{evaluation.wanted.task}, {target}, n = {len(rows)} packets in {blocks.count} blocks"
    if not evaluation.rows.targets[target].classes:
        levels = {
            name: [(float(level), blocks.score(scores.ratio(one.target.truth[rows] <= one.said[rows, i], unit="share"))) for i, level in enumerate(one.levels)]
            for name, one in judged.items()
            if one.levels is not None and name != "oracle"
        }
        return evaluation_plots.quantiles(levels, caption, folder)
    bins = {name: blocks.reliability(*judged[name].on(rows)) for name in shown}
    curves = {
        name: [(coverage, blocks.score(measure)) for coverage, measure in scores.risk_coverage(*judged[name].on(rows))] for name in shown
    }
    figures = evaluation_plots.reliability(bins, caption, folder) + evaluation_plots.risk_coverage(curves, caption, folder)
    if lines:
        about = f"{caption}; means of {recovery.WINDOW}; triangles: alarms, down Page-Hinkley, up ADWIN"
        figures += evaluation_plots.score_over_time({name: lines[name] for name in shown if name in lines}, "log loss [bits]", about, folder)
    return figures


CLASS_TABLE = ("log_loss", "brier", "accuracy", "accuracy_at_50", "ece", "gap_closed", "conformal_coverage", "cycles", "late")
VALUE_TABLE = ("pinball", "mase", "interval_90_coverage", "largest_1_percent_precision", "largest_1_percent_recall", "gap_closed", "cycles")
PLANTED_TABLE = ("log_loss_before", "log_loss_after", "recovery", "conformal_coverage_after", "page_hinkley_delay", "page_hinkley_f1", "adwin_delay", "adwin_f1", "always_fire_f1")


def text_of(document: dict[str, Any]) -> str:
    """A row a model; metrics of the first target, and what the intervals are."""
    models = document["models"]
    has = {metric for own in models.values() for metric in own}
    rival = [f"gain_over_{name}" for name in RIVAL if f"gain_over_{name}" in has][:1]
    wanted = [*CLASS_TABLE[:1], *rival, *CLASS_TABLE[1:]] if "log_loss" in has else [*VALUE_TABLE, *rival]
    tables = [wanted]
    if document["control"] in evaluation_controls.SHIFTS:
        tables.append(list(PLANTED_TABLE))
    slices = sorted({metric.partition(".")[0] for metric in has if metric.startswith("after_")}, key=lambda name: int(name.partition("_")[2]))
    tables += [[f"{name}.{metric}" for metric in VALUE_TABLE] for name in slices]
    parts = [_table(models, [metric for metric in metrics if metric in has]) for metrics in tables]
    notes = [
        f"target {document['targets'][0]}: n = {document['n']} rows of {len(document['sources'])} source(s), the later slice of each or all of it where it was held out;",
        "earlier rows are shown to online learners and not scored",
        f"± half width of the 95 % interval, block bootstrap: {document['blocks']} blocks, {document['resamples']} resamples, seed {document['seed']};",
        f"cycles priced by {document['profile']}; late: predictions ready after what they predict",
    ]
    if document["control"] != "none":
        notes.append(f"control {document['control']}: the data was changed so that the answer is known")
    return "\n\n".join(part for part in parts if part) + "\n" + "\n".join("  " + note for note in notes)


def _table(models: dict[str, dict[str, Any]], metrics: list[str]) -> str:
    if not metrics:
        return ""
    units = {metric: own[metric]["unit"] for metric in metrics for own in models.values() if metric in own}
    head = ["model", *(f"{metric} [{units[metric]}]" for metric in metrics)]
    body = [[model, *(with_interval(own[metric]) if metric in own else "" for metric in metrics)] for model, own in models.items()]
    return grid([head, *(row for row in body if any(row[1:]))])
