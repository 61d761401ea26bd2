"""A process that decodes and predicts. It takes lists of ``Work`` from a pipe and sends back each one's ``Answer``."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

from jvcr.serve.settings import WorkerSettings
from jvcr.serve.work import Work

_CONTEXT = multiprocessing.get_context("spawn")


class Started(NamedTuple):
    """First message of a worker. weights: what it can do (``Landmarkers.describe``). fault: why it cannot start."""

    weights: list[dict[str, Any]]
    fault: str = ""


class WorkerProcess:
    """The main process's side of a worker."""

    def __init__(self, settings: WorkerSettings) -> None:
        self.pipe, theirs = _CONTEXT.Pipe()
        self._process = _CONTEXT.Process(target=_work, args=(theirs, settings), daemon=True)
        self._process.start()
        theirs.close()

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process.is_alive()

    def give(self, work: Sequence[Work]) -> None:
        """Send requests. Raises OSError if the process is gone."""
        self.pipe.send(list(work))

    def kill(self) -> None:
        """End the process at once. May be called from any thread."""
        self._process.kill()

    def close(self) -> str:
        """Close the pipe, which ends an idle process, and wait. Returns how it ended."""
        self.pipe.close()
        self._process.join(5)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        code = self._process.exitcode
        return f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"


def _work(pipe: Connection, settings: WorkerSettings) -> None:
    # Both reach all processes of a terminal or a service; the main process ends this one when its work is done.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    import cv2

    from jvcr.serve.predictor import Predictor

    cv2.setNumThreads(1)
    # The pipe breaks when the main process is gone or closes it.
    with contextlib.suppress(EOFError, OSError):
        try:
            predictor = Predictor(settings)
        except Exception as error:
            pipe.send(Started([], f"{error}" or type(error).__name__))
            return
        pipe.send(Started(predictor.landmarkers.describe()))
        while True:
            for answer in predictor.answers(pipe.recv()):
                pipe.send(answer)


def _end_with(parent: int) -> None:
    """End this process when its parent is gone, even in the middle of a prediction."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)
