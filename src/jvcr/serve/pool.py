"""Worker processes, each with a thread that gives it work and replaces it when it dies."""

from __future__ import annotations

import json
import threading
import time
from typing import Any

from jvcr.serve.metrics import Metrics
from jvcr.serve.queue import Job, Queue
from jvcr.serve.settings import Settings
from jvcr.serve.work import Answer, Work
from jvcr.serve.worker import Started, WorkerProcess

_START_S = 120.0
"""A worker that is not ready by then is replaced."""

_PAUSE_S = 1.0
"""Between two starts, when the first one failed."""

_TRIES = 2
"""A request is given up when this many workers died of it."""


class Pool:
    """Predicts in ``settings.workers`` processes.

    Attributes:
        weights: what the workers can do (``Landmarkers.describe``); [] until the first is ready.
    """

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._settings, self._metrics = settings, metrics
        self.queue = Queue(settings.limits.waiting, settings.gather_s, settings.workers)
        self._desks = [_Desk(settings, self.queue, metrics) for _ in range(settings.workers)]

    def start(self) -> None:
        """Start the workers, and return when the first one is ready.

        Raises:
            ValueError: it cannot start; for example, there are no such weights.
        """
        if fault := self._desks[0].start_worker():
            raise ValueError(fault)
        for desk in self._desks:
            desk.thread.start()

    @property
    def ready(self) -> bool:
        """Whether a worker can take a request."""
        return any(desk.ready for desk in self._desks)

    @property
    def weights(self) -> list[dict[str, Any]]:
        """Name, markup and number of points of the weights, the default first."""
        return next((desk.weights for desk in self._desks if desk.weights), [])

    def submit(self, work: Work) -> Job:
        """Queue a request.

        Raises:
            Refused: 503: too many wait.
        """
        job = Job(work, work.received + self._settings.limits.time_s)
        self.queue.put(job)
        return job

    def close(self) -> None:
        """Finish what waits, and end the workers."""
        self.queue.close()
        for desk in self._desks:
            if desk.thread.is_alive():
                desk.thread.join()
            desk.end()


class _Desk:
    """One worker, and the thread that serves it."""

    def __init__(self, settings: Settings, queue: Queue, metrics: Metrics) -> None:
        self._settings, self._queue, self._metrics = settings, queue, metrics
        self._worker: WorkerProcess | None = None
        self.thread = threading.Thread(target=self._run, name="desk", daemon=True)
        self.weights: list[dict[str, Any]] = []
        self.ready = False

    def start_worker(self) -> str:
        """Start a process and wait until it is ready. Returns why it is not; "" if it is."""
        worker = self._worker = WorkerProcess(self._settings.worker)
        fault = f"a worker was not ready after {_START_S:g} s"
        try:
            if worker.pipe.poll(_START_S):
                started: Started = worker.pipe.recv()
                self.weights, fault = started.weights or self.weights, started.fault
        except (EOFError, OSError):
            fault = "a worker ended before it was ready"
        self.ready = not fault
        if fault:
            self.end()
        return fault

    def end(self) -> None:
        """End the process."""
        self.ready = False
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.close()

    def _run(self) -> None:
        while True:
            if self._worker is not None and not self._worker.alive:
                self.end()
                self._metrics.workers_replaced.inc()
            if self._worker is None and self.start_worker():
                time.sleep(_PAUSE_S)
            # Without a worker, only requests that nobody waits for any more are taken out.
            jobs = self._queue.take(self._settings.worker.together if self.ready else 0, 0.5)
            if jobs is None:
                return
            if jobs:
                self._serve(jobs)

    def _serve(self, jobs: list[Job]) -> None:
        worker = self._worker
        assert worker is not None
        self._metrics.passes.observe(len(jobs))
        started = time.monotonic()
        left = dict(enumerate(jobs))
        late = threading.Event()

        def give_up() -> None:
            late.set()
            worker.kill()

        timer = threading.Timer(self._settings.limits.time_s, give_up)
        timer.start()
        try:
            worker.give([job.work for job in jobs])
            while left:
                index, answer = worker.pipe.recv()
                left.pop(index).finish(answer)
        except (EOFError, OSError):
            self.end()
            self._metrics.workers_replaced.inc()
            self._lost(list(left.values()), late.is_set(), len(jobs) == 1)
        else:
            self._queue.tell_time((time.monotonic() - started) / len(jobs))
        finally:
            timer.cancel()

    def _lost(self, jobs: list[Job], late: bool, alone: bool) -> None:
        """The worker ended with these. Each gets another try, alone; one that was alone and took too long does not."""
        again = []
        for job in jobs:
            job.lost += 1
            if late and alone:
                job.finish(_error(504, f"this took longer than {self._settings.limits.time_s:g} s, the limit"))
            elif job.lost >= _TRIES:
                job.finish(_error(500, f"{job.lost} worker processes died on this request; please report the image"))
            else:
                again.append(job)
        self._queue.put_back(again)


def _error(status: int, message: str) -> Answer:
    return Answer(status, json.dumps({"error": message}).encode())
