# SPDX-License-Identifier: BSD-3-Clause
"""Runs to their end over an executor: hands them out, repeats those whose worker died, waits for those another process has."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from foreflow.errors import Failed
from foreflow.runs import runner
from foreflow.runs.progress import Bar
from foreflow.runs.runner import Result, Run
from foreflow.runs.store import Store


LOSSES = 3  # workers that a run may take with it
AGAIN_S = 0.5  # until a run that another process has is asked for again


@dataclass(frozen=True)
class Task:
    """What a worker, wherever it is, has to know."""

    run: Run
    program: Path
    store: Path
    fresh: bool

    def as_json(self) -> dict[str, Any]:
        return {"run": self.run.as_json(), "program": str(self.program), "store": str(self.store), "fresh": self.fresh}

    @classmethod
    def of_json(cls, document: dict[str, Any]) -> Task:
        return cls(Run.of_json(document["run"]), Path(document["program"]), Path(document["store"]), document["fresh"])

    def execute(self, progress: runner.Progress = lambda done, total: None) -> Result:
        return runner.execute(self.run, self.program, Store(self.store), self.fresh, progress)


@dataclass(frozen=True)
class Advanced:
    key: str
    done: int
    total: int


@dataclass(frozen=True)
class Ended:
    key: str
    result: Result


@dataclass(frozen=True)
class Lost:
    """The worker died."""

    key: str


Event = Advanced | Ended | Lost


class Executor(Protocol):
    """Where runs are run."""

    def free(self) -> int:
        """How many tasks more it takes now."""

    def submit(self, task: Task) -> None: ...

    def wait(self, seconds: float) -> Iterable[Event]:
        """What has happened; waits for something to happen for at most `seconds`."""

    def close(self) -> None:
        """Ends what still runs."""


def cores() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0))


def _workers(runs: int) -> Executor:
    from foreflow.runs.workers import Workers  # here, since it imports this module

    return Workers(min(runner.PARALLEL, runs))


def drive(
    runs: list[Run],
    program: Path,
    store: Store,
    ended: Callable[[Result], list[Run]],
    *,
    start: Callable[[int], Executor] | None = None,
    fresh: bool = False,
    expected: Callable[[Run], float | None] = lambda run: None,
) -> None:
    """Runs all, in their order, and what `ended` asks for besides; `ended` is called once for each.

    `start` gives the executor, when there is something to run, for so many runs; otherwise a few workers of this machine. `expected`:
    the seconds that a run will take, for the time left. Raises what `ended` raises, and Failed when the
    store takes no more; what runs then is ended and will be run again.
    """
    queue = list({run.key: run for run in runs}.values())[::-1]  # the next one is last
    seen = {run.key for run in queue}
    bar = Bar({run.key: expected(run) for run in queue})
    tasks: dict[str, Task] = {}  # given out
    losses: dict[str, int] = {}
    busy: list[tuple[float, Run]] = []
    executor: Executor | None = None

    def end(result: Result) -> None:
        if result.status == "unwritable":
            raise Failed(f"{result.sentence}; start again when that is mended: what is finished is kept")
        bar.ended(result.run.key, failed=not result.ok)
        if result.note:
            bar.say(f"foreflow: {result.note}")
        more = [run for run in ended(result) if run.key not in seen]
        seen.update(run.key for run in more)
        bar.add({run.key: expected(run) for run in more})
        queue[:0] = more[::-1]

    try:
        while queue or tasks or busy:
            now = time.monotonic()
            queue += [run for at, run in busy if now - at > AGAIN_S]
            busy = [(at, run) for at, run in busy if now - at <= AGAIN_S]
            while queue and (executor is None or executor.free() > 0):
                run = queue.pop()
                if not fresh and (row := store.finished(run.key)) is not None:
                    end(Result(run, store.run(run.key), "reused", row=row))
                    continue
                if executor is None:
                    executor = (start or _workers)(len(queue) + 1)
                tasks[run.key] = Task(run, program, store.folder, fresh)
                executor.submit(tasks[run.key])
            if not tasks:
                time.sleep(0.05 if queue or busy else 0)
                continue
            assert executor is not None
            for event in executor.wait(0.2):
                if isinstance(event, Advanced):
                    bar.advanced(event.key, event.done, event.total)
                    continue
                run = tasks.pop(event.key).run
                if isinstance(event, Lost):
                    losses[run.key] = losses.get(run.key, 0) + 1
                    if losses[run.key] < LOSSES:
                        bar.say(f"foreflow: the worker of arm {run.arm}, seed {run.seed} died; the run is repeated")
                        queue.append(run)
                    else:
                        end(runner.lost(run, program, store, f"{LOSSES} workers died while they ran it"))
                elif event.result.status == "busy":
                    busy.append((time.monotonic(), run))
                else:
                    end(event.result)
    finally:
        if executor is not None:
            executor.close()
        bar.close()
        sys.stderr.flush()
