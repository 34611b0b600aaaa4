# SPDX-License-Identifier: BSD-3-Clause
"""`train`: a dataset, a program that learns, a model file, and the learning curve as CSV and PNG beside it."""

from __future__ import annotations

import csv
import json
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from foreflow.build import build, program
from foreflow.errors import Failed, Refused
from foreflow.learning import evaluation_controls
from foreflow.learning import data as datasets
from foreflow.places import RUNS

KINDS = ("gru", "lstm", "mlp", "automaton", "trees")


@dataclass(frozen=True)
class Wanted:
    """What to train. None: the program's own."""

    task: str
    data: tuple[str, ...]
    kind: str
    seed: int = 1
    hidden: int | None = None
    bits: int | None = None
    epochs: int | None = None
    rate: float | None = None
    lanes: int | None = None
    patience: int | None = None
    dropout: float | None = None
    bins: tuple[str, ...] = ()  # INPUT=N
    weights: tuple[str, ...] = ()  # TARGET=W
    control: str = "none"
    device: str = "auto"
    resume: bool = False

    def choices(self) -> list[str]:
        """What changes the model, as the program's arguments."""
        names = ("hidden", "bits", "epochs", "rate", "lanes", "patience", "dropout")
        chosen = [word for name in names if (value := getattr(self, name)) is not None for word in (f"--{name}", f"{value:g}")]
        chosen += [word for bins in self.bins for word in ("--bins", bins)]
        return chosen + [word for weight in self.weights for word in ("--weight", weight)]

    def command(self) -> str:
        """The command that gives the same file; the model names it."""
        data = [word for name in self.data for word in ("--data", name)]
        control = ["--control", self.control] if self.control != "none" else []
        return " ".join(["./foreflow", "train", self.task, *data, *control, "--model", self.kind, *self.choices(), "--seed", str(self.seed)])


def train(wanted: Wanted, out: Path | None) -> dict[str, Any]:
    """Trains, writes the model at `out` and its curve beside it, and says what came of it."""
    if wanted.task not in datasets.TASKS:
        raise Refused(f"command line: TASK = {wanted.task}; allowed is one of {', '.join(datasets.TASKS)}")
    out = (out or RUNS / "models" / f"{wanted.task}-{wanted.kind}.model").absolute()
    out.parent.mkdir(parents=True, exist_ok=True)
    data = datasets.dataset(wanted.task, wanted.data)
    if wanted.control == "none":
        return _train(wanted, data, out)
    with tempfile.TemporaryDirectory(prefix="control-", dir=out.parent) as scratch:
        changed = Path(scratch) / data.name
        evaluation_controls.apply(wanted.control, data, changed, wanted.seed)
        return _train(wanted, changed, out)


def _train(wanted: Wanted, data: Path, out: Path) -> dict[str, Any]:
    learner = program(build("train", ["foreflow-train"]), "foreflow-train")
    command = [str(learner), "--data", str(data), "--model", wanted.kind, "--seed", str(wanted.seed), "--out", str(out)]
    command += ["--command", wanted.command()]
    if wanted.kind == "trees":
        from foreflow.learning import trees

        fitted = out.with_suffix(".fitted.json")
        fitted.write_text(json.dumps(trees.fit(data, wanted.seed)))
        try:
            _run([*command, "--fitted", str(fitted)])
        finally:
            fitted.unlink()
        return {"task": wanted.task, "model": wanted.kind, "outputs": {"model": str(out)}}
    curve, checkpoint = out.with_suffix(".csv"), out.with_suffix(".checkpoint")
    command += ["--curve", str(curve), "--checkpoint", str(checkpoint), "--device", wanted.device, *wanted.choices()]
    document = json.loads(_run(command + ["--resume"] * wanted.resume))
    checkpoint.unlink(missing_ok=True)
    document["outputs"] = {"model": str(out), "curve": str(curve), "figure": str(draw_curve(curve))}
    return document


def _run(command: list[str]) -> str:
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode == 2:
        raise Refused("the training refused its input, see above")
    if done.returncode != 0:
        raise Failed(f"the training ended with {done.returncode}; with --resume it goes on from its last checkpoint")
    return done.stdout


def draw_curve(path: Path) -> Path:
    """The losses by epoch, a panel a target."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    with path.open() as file:
        rows = list(csv.DictReader(file))
    targets = [name.removeprefix("train_") for name in rows[0] if name.startswith("train_")]
    epochs = [int(row["epoch"]) for row in rows]
    figure, axes = pyplot.subplots(1, len(targets), figsize=(3.2 * len(targets), 2.8), squeeze=False, layout="constrained")
    for axis, target in zip(axes[0], targets):
        for part, style in (("train", "--"), ("validation", "-")):
            axis.plot(epochs, [float(row[f"{part}_{target}"]) for row in rows], style, label=part)
        axis.set_title(target)
        axis.set_xlabel("epoch")
        axis.set_yscale("log")
    axes[0][0].set_ylabel("loss [nats, or pinball]")
    axes[0][0].legend()
    figure.savefig(path.with_suffix(".png"), dpi=120)
    pyplot.close(figure)
    return path.with_suffix(".png")


def text_of(document: dict[str, Any]) -> str:
    lines = [f"{document['task']}: {document['model']}"]
    if "validation_loss" in document:
        lines[0] += f", best of {document['epochs']} epochs is {document['best_epoch']}"
        lines += [f"  {target:16s} validation loss {loss:.4f}" for target, loss in document["validation_loss"].items()]
    return "\n".join(lines + [f"{name.capitalize():8s} {path}" for name, path in document["outputs"].items()])
