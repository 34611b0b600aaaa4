# SPDX-License-Identifier: BSD-3-Clause
"""Worker processes of this machine. Tasks, progress and results go through pipes as lines of JSON.

A process of its own for each worker, since measuring a trace is Python's work; it is started once and takes many runs. A
worker dies with the process that started it, and takes its simulator with it.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass

from foreflow.places import ROOT
from foreflow.runs import runner
from foreflow.runs.driving import Advanced, Ended, Event, Lost, Task
from foreflow.runs.runner import Result


@dataclass
class _Worker:
    process: subprocess.Popen[bytes]
    task: Task | None = None
    unread: bytes = b""

    @property
    def output(self) -> int:
        assert self.process.stdout is not None
        return self.process.stdout.fileno()


class Workers:
    """An Executor of `width` processes, each started when it is first needed and replaced when it dies."""

    def __init__(self, width: int) -> None:
        self._width = width
        self._workers: list[_Worker] = []

    def free(self) -> int:
        return self._width - sum(worker.task is not None for worker in self._workers)

    def submit(self, task: Task) -> None:
        worker = next((worker for worker in self._workers if worker.task is None), None) or self._start()
        worker.task = task
        assert worker.process.stdin is not None
        try:
            worker.process.stdin.write(json.dumps(task.as_json()).encode() + b"\n")
            worker.process.stdin.flush()
        except BrokenPipeError:
            pass  # it died while it was idle: its output has ended, which `wait` sees

    def _start(self) -> _Worker:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "analysis"), str(ROOT)])}
        command = runner.tied([sys.executable, "-P", "-m", "foreflow.runs.workers"])
        # A session of its own: Ctrl-C on the terminal is for us alone.
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, start_new_session=True)
        worker = _Worker(process)
        self._workers.append(worker)
        return worker

    def wait(self, seconds: float) -> Iterable[Event]:
        by_output = {worker.output: worker for worker in self._workers}
        events: list[Event] = []
        poll = select.poll()
        for output in by_output:
            poll.register(output, select.POLLIN)
        for output, _ in poll.poll(seconds * 1000):
            events += self._read(by_output[output])
        return events

    def _read(self, worker: _Worker) -> list[Event]:
        data = os.read(worker.output, 1 << 20)
        task = worker.task
        if not data:
            self._workers.remove(worker)
            self._end(worker)
            return [] if task is None else [Lost(task.run.key)]
        *lines, worker.unread = (worker.unread + data).split(b"\n")
        events: list[Event] = []
        for line in lines:
            assert task is not None
            said = json.loads(line)
            if isinstance(said, list):
                events.append(Advanced(task.run.key, *said))
            else:
                worker.task = None
                events.append(Ended(task.run.key, Result.of_json(task.run, said)))
        return events

    @staticmethod
    def _end(worker: _Worker) -> None:
        worker.process.kill()
        worker.process.wait()
        for pipe in (worker.process.stdin, worker.process.stdout):
            assert pipe is not None
            try:
                pipe.close()
            except BrokenPipeError:
                pass

    def close(self) -> None:
        while self._workers:
            self._end(self._workers.pop())


def _work() -> None:
    """Until standard input ends: a task a line in; progress as [done, total] and a result as a mapping, a line each, out."""
    with os.fdopen(os.dup(1), "w", buffering=1) as out:
        os.dup2(2, 1)  # what libraries print must not be taken for an answer
        for line in sys.stdin:
            task = Task.of_json(json.loads(line))

            def progress(done: int, total: int) -> None:
                print(json.dumps([done, total]), file=out)

            print(json.dumps(task.execute(progress).as_json()), file=out, flush=True)


if __name__ == "__main__":
    _work()
