"""Workers that hang, die or cannot start."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import h11
import pytest

from jvcr.serve.connection import _Patience
from jvcr.serve.limits import Limits
from jvcr.serve.metrics import Metrics
from jvcr.serve.options import FaceOptions
from jvcr.serve.pool import Pool
from jvcr.serve.queue import Job
from jvcr.serve.server import _bound, url_of
from jvcr.serve.settings import Settings, WorkerSettings
from jvcr.serve.work import Answer, Task, Work

needs_posix = pytest.mark.skipif(os.name != "posix", reason="stops processes with a signal")


def work(body: bytes) -> Work:
    return Work(Task.FACES, body, "image/png", FaceOptions(boxes="[]"), time.monotonic())


def pid(pool: Pool) -> int:
    worker = pool._desks[0]._worker
    assert worker is not None
    number = worker._process.pid
    assert number is not None
    return number


@pytest.fixture(scope="module")
def impatient() -> Iterator[Pool]:
    """A pool that gives up a request after half a second of work."""
    pool = Pool(Settings(WorkerSettings({"small": "small"}), Limits(time_s=0.5)), Metrics())
    pool.start()
    yield pool
    pool.close()


def ask(pool: Pool, body: bytes) -> Answer:
    """The answer to a request that waits longer than a worker may take: the machine may be busy."""
    job = Job(work(body), time.monotonic() + 60)
    pool.queue.put(job)
    return job.answer.result(timeout=60)


def status_in_time(pool: Pool, body: bytes) -> int:
    """The status of a request, repeated while workers are too slow on a busy machine."""
    return next((status for status in (ask(pool, body).status for _ in range(20)) if status != 504), 504)


@needs_posix
def test_a_worker_that_hangs_is_replaced(impatient: Pool, no_face: bytes) -> None:
    assert status_in_time(impatient, no_face) == 200
    first = pid(impatient)
    os.kill(first, signal.SIGSTOP)
    answer = ask(impatient, no_face)
    assert (answer.status, b"longer than 0.5 s, the limit" in answer.body) == (504, True)
    assert status_in_time(impatient, no_face) == 200
    assert pid(impatient) != first
    assert impatient._metrics.workers_replaced._value.get() >= 1


def test_a_request_that_kills_workers_is_given_up(impatient: Pool) -> None:
    desk = impatient._desks[0]
    job, other = (Job(work(b"x"), time.monotonic() + 60) for _ in range(2))
    job.lost = 1
    desk._lost([job], late=False, alone=True)
    assert job.answer.result().status == 500
    # One that was lost with others gets another try, even if the time is over.
    other.lost = 1
    desk._lost([other], late=True, alone=True)
    assert other.answer.result().status == 504


def test_a_pool_that_cannot_start_says_why() -> None:
    pool = Pool(Settings(WorkerSettings({"mine": "missing/mine.onnx"})), Metrics())
    with pytest.raises(ValueError, match=r"mine\.onnx: no such weights file"):
        pool.start()
    assert not pool.ready
    pool.close()


def test_an_address_that_is_taken_is_named() -> None:
    with _bound("127.0.0.1", 0) as listening:
        port = listening.getsockname()[1]
        assert url_of(listening) == f"http://127.0.0.1:{port}"
        with pytest.raises(OSError, match=f"cannot listen on 127.0.0.1 port {port}: .*; choose another --port"):
            _bound("127.0.0.1", port)
    with pytest.raises(OSError, match=r"--host 203.0.113.1|cannot listen on 203.0.113.1"):
        _bound("203.0.113.1", 0)
    assert isinstance(listening, socket.socket)


def test_a_host_that_others_reach_needs_a_token(run_jvcr: Any, tmp_path: Path) -> None:
    done = run_jvcr("serve", "--host", "0.0.0.0", "--port", "0", cwd=tmp_path)
    assert done.returncode == 1
    assert "--host 0.0.0.0 can be reached from other machines; set a token" in done.stderr


def test_without_the_extra_it_says_what_to_install(
    run_jvcr: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "jvcr.serve.server")
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    done = run_jvcr("serve", "--port", "0", cwd=tmp_path)
    assert done.returncode == 1
    assert 'pip install ".[serve]"' in done.stderr


class _Clock:
    now = 0.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> _Clock:
    clock = _Clock()
    monkeypatch.setattr("jvcr.serve.connection.time", SimpleNamespace(monotonic=lambda: clock.now))
    return clock


def connection(state: Any, buffered: int = 0, complete: bool | None = None) -> Any:
    return SimpleNamespace(
        cycle=None if complete is None else SimpleNamespace(response_complete=complete),
        conn=SimpleNamespace(their_state=state),
        transport=SimpleNamespace(get_write_buffer_size=lambda: buffered),
    )


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        (connection(h11.IDLE), 10.0),  # no header
        (connection(h11.DONE, buffered=1, complete=True), 60.0),  # nobody takes the answer
        (connection(h11.SEND_BODY, complete=True), 3.0),  # refused, and still sends
    ],
)
def test_patience_ends(clock: _Clock, given: Any, seconds: float) -> None:
    patience = _Patience(given, Limits(header_s=10.0, write_s=60.0))
    assert not patience.is_over()
    clock.now = seconds
    assert not patience.is_over()
    clock.now = seconds + 0.1
    assert patience.is_over()


def test_patience_begins_again_with_each_request(clock: _Clock) -> None:
    given = connection(h11.IDLE)
    patience = _Patience(given, Limits(header_s=10.0))
    assert not patience.is_over()
    clock.now, given.cycle = 10.1, SimpleNamespace(response_complete=True)
    assert not patience.is_over()
    clock.now = 20.3
    assert patience.is_over()
