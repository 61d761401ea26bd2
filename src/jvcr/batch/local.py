"""The default engine: processes on this machine, one a core."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from multiprocessing.connection import Connection, wait
from typing import Any

from jvcr.batch.events import Deaths, EngineError, Event, EventKind, Notify
from jvcr.batch.shard import Counts, Shard

_STARTS = 3
"""Workers that may end before they are ready, one after the other, until the run is given up."""


def cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_here(out: str, shards: Iterable[int], notify: Notify, *, draw_every: int = 0) -> None:
    """Compute shards in this process, one after the other."""
    for number in shards:
        counts = Shard(out, number).run(draw_every=draw_every, on_photo=_reporter(number, notify))
        notify(Event(EventKind.DONE, number, counts))


def _reporter(number: int, notify: Notify) -> Any:
    return lambda counts: notify(Event(EventKind.PHOTO, number, counts))


def run_processes(
    out: str, shards: Iterable[int], notify: Notify, *, workers: int = 0, stall_s: float = 600.0, draw_every: int = 0
) -> None:
    """Compute shards in processes, each of which loads the networks once.

    A process that dies, or reports no photo for ``stall_s``, is replaced, and its shard is computed again.

    Args:
        workers: processes; 0 takes one a core.
    Raises:
        EngineError: processes cannot be started, or results cannot be written.
    """
    waiting = iter(shards)
    again: deque[int] = deque()
    deaths = Deaths(out, notify)
    context = multiprocessing.get_context("spawn")
    pool: dict[Any, _Worker] = {}
    failed_starts = 0

    def next_shard() -> int | None:
        return again.popleft() if again else next(waiting, None)

    def lost(worker: _Worker, reason: str) -> None:
        nonlocal failed_starts
        del pool[worker.pipe]
        worker.end()
        if worker.shard is None:
            failed_starts += not worker.ready
            if failed_starts >= _STARTS:
                raise EngineError(f"{_STARTS} workers ended before they were ready: {reason}")
        elif deaths.add(worker.shard, reason):
            again.append(worker.shard)

    ahead = next_shard()
    try:
        while True:
            while ahead is not None and len(pool) < (workers or cores()):
                worker = _Worker(context, out, draw_every)
                pool[worker.pipe] = worker
                worker.give(ahead)
                ahead = next_shard()
            if not pool:
                return
            ready = wait(list(pool), timeout=1.0)
            for pipe in ready:
                worker = pool[pipe]
                try:
                    message = worker.pipe.recv()
                except (EOFError, OSError):
                    worker.process.join(10)
                    lost(worker, f"the worker died ({_code(worker.process.exitcode)})")
                    continue
                worker.heard = time.monotonic()
                kind, shard, counts, text = message
                if kind == "ready":
                    worker.ready, failed_starts = True, 0
                elif kind == "broken":
                    raise EngineError(text)
                elif kind == "failed":
                    if deaths.add(shard, text):
                        again.append(shard)
                    worker.shard = None
                elif kind == EventKind.DONE:
                    worker.shard = None
                    notify(Event(EventKind.DONE, shard, Counts(*counts)))
                else:
                    notify(Event(EventKind.PHOTO, shard, Counts(*counts)))
                if worker.shard is None and kind in ("failed", EventKind.DONE):
                    if ahead is None:
                        ahead = next_shard()
                    if ahead is None:
                        del pool[pipe]
                        worker.end()
                    else:
                        worker.give(ahead)
                        ahead = next_shard()
            for worker in [w for w in pool.values() if time.monotonic() - w.heard > stall_s]:
                worker.process.kill()
                lost(worker, f"the worker reported nothing for {stall_s:g} s and was ended")
            if ahead is None:
                ahead = next_shard()
    finally:
        for worker in pool.values():
            worker.process.kill()
        for worker in pool.values():
            worker.end()


class _Worker:
    """A process, and what it works on."""

    def __init__(self, context: Any, out: str, draw_every: int) -> None:
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_work, args=(theirs, out, draw_every), daemon=True)
        self.process.start()
        theirs.close()
        self.shard: int | None = None
        self.ready = False
        self.heard = time.monotonic()

    def give(self, shard: int) -> None:
        self.shard = shard
        self.heard = time.monotonic()
        # A worker that has died is noticed where its messages are read.
        with contextlib.suppress(OSError):
            self.pipe.send(shard)

    def end(self) -> None:
        self.pipe.close()
        self.process.join(5)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()


def _work(pipe: Connection, out: str, draw_every: int) -> None:
    """What a process does: compute the shards whose numbers come through the pipe, until it closes."""
    # Ctrl-C reaches all processes of a terminal; the main one ends the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    import cv2

    from jvcr.batch.plan import read_plan
    from jvcr.batch.settings import open_landmarker
    from jvcr.batch.store import Store

    cv2.setNumThreads(1)

    def send(*message: object) -> None:
        try:
            pipe.send(message)
        except OSError:
            # The main process is gone.
            os._exit(1)

    try:
        open_landmarker(read_plan(Store(out)).settings)
    except Exception as error:
        send("broken", -1, Counts(), f"{error}")
        return
    send("ready", -1, Counts(), "")
    for number in _received(pipe):
        try:
            report = _sender(send, number)
            counts = Shard(out, number).run(draw_every=draw_every, on_photo=report)
        except OSError as error:
            # A full disk, or a lost connection: the next shard would fare no better.
            send("broken", number, Counts(), f"shard {number}: {error}")
            return
        except Exception as error:
            send("failed", number, Counts(), f"{type(error).__name__}: {error}")
        else:
            send(EventKind.DONE, number, tuple(counts), "")


def _received(pipe: Connection) -> Iterator[int]:
    with contextlib.suppress(EOFError, OSError):
        while True:
            yield pipe.recv()


def _sender(send: Any, number: int) -> Any:
    return lambda counts: send(EventKind.PHOTO, number, tuple(counts), "")


def _end_with(parent: int) -> None:
    """End this process when its parent is gone, even in the middle of a shard."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


def _code(code: int | None) -> str:
    return f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
