# SPDX-License-Identifier: BSD-3-Clause
"""A kept run once more, from what its folder says of it: whether all its decisions come out the same.

The configuration is RESOLVED.json; captures and models are found by their SHA-256, generated captures made again where they
are gone. The result goes into the store runs/reruns (a replay's, into a new folder there).
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

from foreflow import build, inputs
from foreflow import config as configuration
from foreflow.errors import Failed, Refused
from foreflow.inputs import sha256_of
from foreflow.judge.metrics import METRICS
from foreflow.judge.table import grid, number
from foreflow.places import ROOT, RUNS
from foreflow.runs import rows, runner
from foreflow.traces import diff, kept
from foreflow.traces.kept import Kept

RERUNS = RUNS / "reruns"
MOVABLE = ("datasets", "models", "runs", "build")  # folders of a checkout that a path is looked for in here


def _here(path: Path) -> Path | None:
    """Where the same file of this checkout is, if `path` is of another one."""
    for place in range(len(path.parts) - 1, 0, -1):
        if path.parts[place] in MOVABLE:
            return ROOT.joinpath(*path.parts[place:])
    return None


def _found(path: Path, sha256: str, what: str, made: Callable[[], Path] | None = None) -> Path:
    """The file that has the contents which the run read: where it was, in this checkout, or made again."""
    for candidate in (path, _here(path)):
        if candidate is not None and candidate.is_file() and sha256_of(candidate) == sha256:
            return candidate
    if made is not None:
        again = made()
        if sha256_of(again) == sha256:
            return again
        raise Refused(f"{path}: is gone, and {what} as it is made now ({again}) is another than the run read: SHA-256 {sha256_of(again)[:16]}, then {sha256[:16]}; check out the commit of its manifest")
    if path.is_file():
        raise Refused(f"{path}: {what} is not what the run read: SHA-256 {sha256_of(path)[:16]}, then {sha256[:16]}; put the file back")
    raise Refused(f"{path}: {what} is gone; put back the file with SHA-256 {sha256}")


def _maker(name: str | None, seed: int, resolved: dict[str, Any]) -> Callable[[], Path] | None:
    """Makes the capture of a generated input for a seed; None for an input that is a file."""
    if name not in inputs.GENERATED + inputs.OVER_RULES:
        return None
    return lambda: inputs.capture_for(name, seed, resolved["traffic"]["max_packets"], rules=resolved["rules"])


def _changes(words: list[str], resolved: dict[str, Any]) -> dict[str, list[Any]]:
    """What is to be otherwise than it was, with both values."""
    changes: dict[str, list[Any]] = {}
    for word in words:
        key, equals, text = word.partition("=")
        if not equals or key not in ("seed", "arm"):
            raise Refused(f"command line: {word}; allowed are seed=N and arm=ARM, for all else there is `run`")
        if key == "seed" and not (text.isdecimal() and 1 <= int(text) < 1 << 32):
            raise Refused(f"command line: seed = {text}; allowed is a whole number from 1 to {(1 << 32) - 1}")
        if key == "arm" and text not in configuration.ARMS:
            raise Refused(f"command line: arm = {text}; allowed is one of {', '.join(configuration.ARMS)}")
        value: Any = int(text) if key == "seed" else text
        if value != resolved[key]:
            changes[key] = [resolved[key], value]
    return changes


def _restored(run: Kept, seed: int) -> tuple[dict[str, Any], Path, Path | None]:
    """The run's configuration with files that are here, its capture for `seed`, and the one that follows."""
    resolved = copy.deepcopy(run.resolved)
    parameters = run.manifest.get("parameters", {})
    if isinstance(resolved["rules"], str) and not Path(resolved["rules"]).is_file():
        rules = Path(resolved["rules"])
        resolved["rules"] = configuration.load_rules(rules.stem, rules.parent)["rules"]
    for model in resolved["models"].values():
        if model is not None:
            model["file"] = str(_found(Path(model["file"]), model["sha256"], "the trained model"))

    def capture_of(path: str | None, name: str | None) -> Path | None:
        if path is None:
            return None
        made = _maker(name, seed, resolved)
        if made is not None and seed != resolved["seed"]:
            return made()
        return _found(Path(path), run.manifest["inputs_sha256"][path], f"input {name or ''}".rstrip(), made)

    capture = capture_of(resolved["input"], parameters.get("input"))
    shift = capture_of(resolved["traffic"]["shift_input"], parameters.get("traffic.shift_input"))
    assert capture is not None
    if "parameters" in run.manifest:  # what was asked for, where the configuration has what came of it: the new run's row tells it
        defaults = configuration.defaults()
        resolved["names"] = {key: parameters.get(key, defaults[key]) for key in configuration.NAMES}
        resolved["input"] = parameters.get("input", defaults["input"])
        resolved["traffic"]["shift_input"] = parameters.get("traffic.shift_input")
        resolved["device"]["residency"] = parameters.get("device.residency", defaults["device.residency"])
    return resolved, capture, shift


def _again(run: Kept, changes: dict[str, list[Any]]) -> tuple[Path, Path]:
    """Runs it; the new folder and the program."""
    seed = changes.get("seed", [None, run.resolved["seed"]])[1]
    arm = changes.get("arm", [None, run.resolved["arm"]])[1]
    resolved, capture, shift = _restored(run, seed)
    if run.times == "recorded":
        from foreflow.traces import replays

        wanted = replays.Replay(capture, resolved["scenario"], [], arm, run.door, run.manifest.get("workers", 1))
        out = next(place for n in range(1, 1 << 30) if not (place := RERUNS / f"{run.folder.name}.{n}").exists())
        if replays.keep_resolved(wanted, resolved, seed, out, quiet=True) != 0:
            raise Failed(f"the run failed this time; log: {out.with_name(out.name + '.failed') / 'log.txt'}")
        return out, wanted.binary()
    simulator = build.program(build.build("sim", ["foreflow-run"]), "foreflow-run")
    planned = runner.plan(resolved, arm, seed, capture, simulator, shift)
    (result,) = runner.run_all([planned], simulator, RERUNS, fresh=True)
    if not result.ok:
        raise Failed(f"the run failed this time: {result.sentence}; log: {result.folder / 'log.txt'}")
    return result.folder, simulator


def _moved_metrics(one: Path, other: Path) -> dict[str, list[float | None]]:
    sides = [(rows.read(folder) or rows.rebuilt(folder) or {"metrics": {}})["metrics"] for folder in (one, other)]
    names = [name for name in METRICS if name in sides[0] and name in sides[1]]
    return {name: [side[name] for side in sides] for name in names if sides[0][name] != sides[1][name]}


def rerun(folder: Path, words: list[str]) -> dict[str, Any]:
    """The document of `rerun --json`: {run, again, same, fingerprint, changed, binary, commit, metrics, first, why_no_first}.

    `words`: seed=N or arm=ARM, what is to be otherwise. `first` is the document of `diff` where both saw the same packets and decided
    one of them otherwise. Raises Refused where an input or a model is not what it was, Failed where the run fails.
    """
    run = kept.open_run(folder)
    changes = _changes(words, run.resolved)
    place, program = _again(run, changes)
    again = kept.open_run(place)
    fingerprints = [each.summary.get("fingerprint") for each in (run, again)]
    binaries = [run.manifest["binary_sha256"], sha256_of(program)]
    commits = [each.manifest.get("commit") for each in (run, again)]
    document: dict[str, Any] = {
        "run": str(run.folder), "again": str(again.folder),
        "same": None not in fingerprints and fingerprints[0] == fingerprints[1],
        "fingerprint": fingerprints, "changed": changes, "binary": binaries, "commit": commits,
        "metrics": {}, "first": None, "why_no_first": None,
    }  # fmt: skip
    document["metrics"] = _moved_metrics(run.folder, again.folder)
    if not document["same"]:
        try:
            found = diff.compare(run, again)
            document["first"] = None if found["same"] else found
            document["why_no_first"] = "every row of both traces is the same" if found["same"] else None
        except Refused as refused:
            document["why_no_first"] = str(refused)
    return document


def text_of(document: dict[str, Any]) -> str:
    """The document as people read it."""
    one, other = document["fingerprint"]
    lines = []
    if document["same"]:
        lines.append(f"The same: fingerprint {one}")
    else:
        lines += ["Not the same:", f"  fingerprint then  {one}", f"  fingerprint now   {other}"]
    for key, (then, now) in document["changed"].items():
        lines.append(f"  changed on purpose: {key} {then} -> {now}")
    for name in ("binary", "commit"):
        then, now = document[name]
        if then != now:
            lines.append(f"  another {name}: then {str(then)[:12]}, now {str(now)[:12]}")
    if document["metrics"]:
        table = [["metric [unit]", "then", "now"]]
        table += [[f"{name} [{METRICS[name].unit}]", number(then), number(now)] for name, (then, now) in document["metrics"].items()]
        lines += ["", grid(table)]
    elif document["same"]:
        lines.append("  and so is every metric")
    if document["first"]:
        lines += ["", diff.text_of(document["first"])]
    elif document["why_no_first"]:
        lines += ["", f"The first packet that differs is not told: {document['why_no_first']}"]
    return "\n".join([*lines, "", f"Run      {document['again']}"])
