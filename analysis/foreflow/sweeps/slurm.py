# SPDX-License-Identifier: BSD-3-Clause
"""Runs as the tasks of SLURM array jobs. The cluster's machines see the same folders: the checkout and the store.

What is submitted together is one job, in a folder of its own below the sweep's:

    tasks.jsonl    a task a line, with its configuration's file in place of the configuration
    <hash>.json    a configuration
    job.sh         the batch script; SBATCH_PARTITION, SBATCH_ACCOUNT, ... add to it as sbatch documents
    <n>.json       the result of task n
    <n>.log        what array task n printed
"""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from foreflow.errors import Failed, Refused
from foreflow.places import ROOT
from foreflow.runs.driving import Ended, Event, Lost, Task
from foreflow.runs.runner import Result
from foreflow.runs.store import replace_text

MOST_ARRAY_TASKS = 1000  # SLURM's own limit unless it is configured; more runs share array tasks
POLL_S = 1.0
AGAIN_S = 2.0


@dataclass
class _Job:
    folder: Path
    process: subprocess.Popen[str]  # sbatch --wait: lives as long as the job
    tasks: dict[int, Task]  # that have no result yet


class Slurm:
    """An Executor that submits all that it was given when it is waited for."""

    def __init__(self, folder: Path, name: str, cores: int) -> None:
        if shutil.which("sbatch") is None:
            raise Refused("command line: --slurm: sbatch is not on PATH; allowed on a machine that submits to a SLURM cluster")
        self._folder, self._name, self._cores = folder / "slurm", name, cores
        self._given: list[Task] = []
        self._jobs: list[_Job] = []

    def free(self) -> int:
        return sys.maxsize

    def submit(self, task: Task) -> None:
        self._given.append(task)

    def wait(self, seconds: float) -> Iterable[Event]:
        if self._given:
            self._jobs.append(self._start(self._given))
            self._given = []
        end = time.monotonic() + max(seconds, POLL_S)
        while True:
            events = [event for job in list(self._jobs) for event in self._of(job)]
            if events or time.monotonic() > end:
                return events
            time.sleep(0.1)

    def _start(self, tasks: list[Task]) -> _Job:
        self._folder.mkdir(exist_ok=True)
        number = 1 + sum(1 for _ in self._folder.iterdir())
        while True:
            folder = self._folder / str(number)
            try:
                folder.mkdir()
                break
            except FileExistsError:
                number += 1
        write_job(folder, self._name, self._cores, tasks)
        process = subprocess.Popen(
            ["sbatch", "--wait", "--parsable", str(folder / "job.sh")], stdin=subprocess.DEVNULL, stdout=(folder / "sbatch.out").open("w"),
            stderr=subprocess.STDOUT, text=True, start_new_session=True,
        )  # fmt: skip
        return _Job(folder, process, dict(enumerate(tasks)))

    def _of(self, job: _Job) -> list[Event]:
        ended = job.process.poll()  # before the results are looked at: those of a job that has ended are all there
        names = {entry.name for entry in os.scandir(job.folder)}
        events: list[Event] = []
        for index in [index for index in job.tasks if f"{index}.json" in names]:
            task = job.tasks.pop(index)
            result = Result.of_json(task.run, json.loads((job.folder / f"{index}.json").read_text()))
            events.append(Ended(task.run.key, result))
        if ended is None:
            return events
        self._jobs.remove(job)
        if ended != 0 and self._id(job) is None:
            said = (job.folder / "sbatch.out").read_text(errors="replace").strip()
            raise Failed(f"sbatch did not take the job: {said.splitlines()[-1] if said else f'exit code {ended}'}; script: {job.folder / 'job.sh'}")
        return events + [Lost(task.run.key) for task in job.tasks.values()]

    @staticmethod
    def _id(job: _Job) -> str | None:
        """The job's number, which sbatch says first."""
        words = (job.folder / "sbatch.out").read_text(errors="replace").replace(";", " ").split()
        return words[0] if words and words[0].isdecimal() else None

    def close(self) -> None:
        for job in self._jobs:
            if job.process.poll() is None:
                number = self._id(job)
                if number is not None and shutil.which("scancel"):
                    subprocess.run(["scancel", number], check=False, capture_output=True)
                job.process.kill()
                job.process.wait()
        self._jobs = []


def write_job(folder: Path, name: str, cores: int, tasks: list[Task]) -> None:
    """The files of a job in the empty `folder`."""
    lines = []
    for task in tasks:
        document = task.as_json()
        config = json.dumps(document["run"]["config"], sort_keys=True)
        file = f"{hashlib.sha256(config.encode()).hexdigest()[:16]}.json"
        if not (folder / file).exists():
            (folder / file).write_text(config)
        document["run"]["config"] = file
        lines.append(json.dumps(document) + "\n")
    (folder / "tasks.jsonl").write_text("".join(lines))
    array = min(len(tasks), MOST_ARRAY_TASKS)
    path = os.pathsep.join([str(ROOT / "analysis"), str(ROOT)])
    command = [sys.executable, "-P", "-m", "foreflow.sweeps.slurm", str(folder)]
    (folder / "job.sh").write_text(
        "#!/bin/bash\n"
        f"#SBATCH --job-name=foreflow-{name}\n"
        f"#SBATCH --array=0-{array - 1}\n"
        f"#SBATCH --cpus-per-task={cores}\n"
        "#SBATCH --ntasks=1\n"
        f'#SBATCH --output="{folder}/%a.log"\n'
        f"export PYTHONPATH={shlex.quote(path)}\n"
        f'exec {shlex.join(command)} "$SLURM_ARRAY_TASK_ID" {array}\n'
    )


def _work(folder: Path, first: int, stride: int) -> None:
    """Array task `first`: executes the tasks first, first + stride, ... of the job in `folder`."""
    lines = (folder / "tasks.jsonl").read_text().splitlines()
    for index in range(first, len(lines), stride):
        document = json.loads(lines[index])
        document["run"]["config"] = json.loads((folder / document["run"]["config"]).read_text())
        task = Task.of_json(document)
        while (result := task.execute()).status == "busy":
            time.sleep(AGAIN_S)
        replace_text(folder / f"{index}.json", json.dumps(result.as_json()))


if __name__ == "__main__":
    _work(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
