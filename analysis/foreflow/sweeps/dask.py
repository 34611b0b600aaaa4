# SPDX-License-Identifier: BSD-3-Clause
"""Runs on the workers of a Dask cluster, which see the same folders: the checkout and the store.

Each thread of a worker takes one run. A worker that dies is replaced by its own nanny, and its runs go elsewhere: the
scheduler gives them to others, and a run that took several with it comes back as lost.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import sys
import time
from collections.abc import Iterable
from typing import Any

import cloudpickle
import distributed

from foreflow.errors import Failed, Refused
from foreflow.places import ROOT
from foreflow.runs.driving import Ended, Event, Lost, Task
from foreflow.runs.runner import Result
from foreflow.sweeps import remote

GONE = "the Dask scheduler is gone; start again: what is finished is kept"
WAIT_S = 10  # for a scheduler
AHEAD = 2  # tasks a thread, so that none waits for us


class Dask:
    """An Executor over `address`: tcp://HOST:PORT of a scheduler, local:N, or ssh:HOST,HOST,... of which the first schedules."""

    def __init__(self, address: str) -> None:
        for name in ("distributed", "distributed.client", "tornado.application", "asyncio"):  # what they would tell in tracebacks is said in a sentence
            logging.getLogger(name).setLevel(logging.CRITICAL)
        self._cluster: Any = None
        kind, _, rest = address.partition(":")
        if kind == "local":
            if not rest.isdecimal() or not 1 <= int(rest) <= 1024:
                raise Refused(f"command line: --dask {address}; allowed is local:N with N from 1 to 1024")
            self._cluster = distributed.LocalCluster(n_workers=int(rest), threads_per_worker=1, dashboard_address=None, silence_logs=50)
        elif kind == "ssh":
            hosts = [host for host in rest.split(",") if host]
            if not hosts:
                raise Refused(f"command line: --dask {address}; allowed is ssh:HOST,HOST,..., each reached without a password")
            self._cluster = distributed.SSHCluster([hosts[0], *hosts], remote_python=sys.executable, scheduler_options={"dashboard": False})
        try:
            self._client = distributed.Client(self._cluster or address, timeout=WAIT_S)
        except (OSError, TimeoutError, ValueError) as error:
            raise Refused(f"command line: --dask {address}: no scheduler answers there ({error}); allowed is tcp://HOST:PORT, local:N or ssh:HOST,HOST,...") from None
        cloudpickle.register_pickle_by_value(remote)  # workers need the checkout at its place, not on their path
        self._tasks: dict[distributed.Future, Task] = {}
        self._ended: queue.Queue[distributed.Future] = queue.Queue()
        self._threads, self._counted, self._waiting = 0, 0.0, False

    def free(self) -> int:
        if time.monotonic() - self._counted > 1 or self._threads == 0:
            try:
                self._threads, self._counted = sum(self._client.nthreads().values()), time.monotonic()
            except (OSError, TimeoutError):
                raise Failed(GONE) from None
            if self._threads == 0 and not self._waiting:
                print("foreflow: the Dask cluster has no workers yet; waiting for them", file=sys.stderr, flush=True)
            self._waiting = self._threads == 0
        return AHEAD * self._threads - len(self._tasks)

    def submit(self, task: Task) -> None:
        paths = [str(ROOT / "analysis"), str(ROOT)]
        future = self._client.submit(remote.execute, paths, task.as_json(), pure=False, key=f"{task.run.key}-{time.monotonic_ns()}")
        self._tasks[future] = task
        future.add_done_callback(self._ended.put)

    def wait(self, seconds: float) -> Iterable[Event]:
        try:
            futures = [self._ended.get(timeout=seconds)]
        except queue.Empty:
            return []
        while not self._ended.empty():
            futures.append(self._ended.get_nowait())
        return [self._event(future, self._tasks.pop(future)) for future in futures]

    def _event(self, future: distributed.Future, task: Task) -> Event:
        if future.status == "finished":
            return Ended(task.run.key, Result.of_json(task.run, future.result()))
        if future.status in ("cancelled", "lost"):
            raise Failed(GONE)
        error = future.exception()
        if isinstance(error, distributed.KilledWorker):
            return Lost(task.run.key)
        raise Failed(f"a Dask worker cannot run arm {task.run.arm}, seed {task.run.seed}: {type(error).__name__}: {error}; workers need the checkout and the store at the same place")

    def close(self) -> None:
        with contextlib.suppress(OSError, TimeoutError):  # where the scheduler is gone
            self._client.cancel(list(self._tasks), force=True)
        with contextlib.suppress(OSError, TimeoutError):
            self._client.close()
        if self._cluster is not None:
            self._cluster.close()
