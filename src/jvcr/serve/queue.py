"""Requests that wait for a worker."""

from __future__ import annotations

import threading
import time
from collections import deque
from concurrent.futures import Future

from jvcr.serve.refused import Refused
from jvcr.serve.work import Answer, Work

_SMOOTH = 0.1
"""Weight of the newest request in the mean time of one."""


class Job:
    """A request between its body and its answer.

    Attributes:
        deadline: ``time.monotonic()`` from which on nobody waits for it.
        lost: times that a worker ended while it worked on it.
    """

    def __init__(self, work: Work, deadline: float) -> None:
        self.work, self.deadline = work, deadline
        self.answer: Future[Answer] = Future()
        self.lost = 0

    def finish(self, answer: Answer) -> None:
        """Answer it, unless nobody waits any more."""
        if self.answer.set_running_or_notify_cancel():
            self.answer.set_result(answer)

    @property
    def wanted(self) -> bool:
        """Whether somebody still waits for the answer."""
        return not self.answer.cancelled() and time.monotonic() < self.deadline


class Queue:
    """First in, first out; bounded.

    Args:
        limit: jobs without an answer, those that are being worked on included.
        gather_s: how long the first job of a pass waits for others.
        workers: that take from the queue; for estimates of time.
    """

    def __init__(self, limit: int, gather_s: float, workers: int = 1) -> None:
        self._limit, self._gather_s, self._workers = limit, gather_s, workers
        self._jobs: deque[Job] = deque()
        self._changed = threading.Condition()
        self._open_jobs = 0
        self._closed = False
        self._mean_s = 0.1

    @property
    def open_jobs(self) -> int:
        """Jobs without an answer."""
        return self._open_jobs

    def put(self, job: Job) -> None:
        """Add a job.

        Raises:
            Refused: 503: too many wait, or the server ends.
        """
        with self._changed:
            if self._closed:
                raise Refused(503, "the server is shutting down", 5)
            if self._open_jobs >= self._limit:
                raise Refused(
                    503, f"{self._open_jobs} requests are waiting, the limit; try again later", self._retry_after_s()
                )
            self._open_jobs += 1
            self._jobs.append(job)
            self._changed.notify()
        job.answer.add_done_callback(self._done)

    def put_back(self, jobs: list[Job]) -> None:
        """Put jobs that a worker lost before all others."""
        with self._changed:
            self._jobs.extendleft(reversed(jobs))
            self._changed.notify_all()

    def take(self, most: int, timeout_s: float) -> list[Job] | None:
        """At most so many jobs for one pass; [] if none came in time; None after ``close``, when none is left.

        A job that a worker was lost with comes alone: it may have been the reason.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self._jobs or self._closed, timeout_s):
                return []
            until = time.monotonic() + self._gather_s
            self._changed.wait_for(lambda: self._enough(most), until - time.monotonic())
            taken: list[Job] = []
            while self._jobs and len(taken) < most and not (taken and (taken[0].lost or self._jobs[0].lost)):
                job = self._jobs.popleft()
                if job.wanted:
                    taken.append(job)
                else:
                    job.answer.cancel()
            return taken if taken or not self._closed else None

    def close(self) -> None:
        """Take no more jobs; those that wait are still given out."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def tell_time(self, seconds: float) -> None:
        """How long a job took; for estimates."""
        self._mean_s += _SMOOTH * (seconds - self._mean_s)

    def _enough(self, most: int) -> bool:
        return self._closed or len(self._jobs) >= most or bool(self._jobs and self._jobs[0].lost)

    def _retry_after_s(self) -> int:
        return min(60, max(1, round(self._open_jobs * self._mean_s / self._workers)))

    def _done(self, _: Future[Answer]) -> None:
        with self._changed:
            self._open_jobs -= 1
