"""A server as a process: limits at the socket, workers that die, and its end."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import httpx
import psutil
import pytest

pytestmark = pytest.mark.skipif(os.name != "posix", reason="stops processes with a signal")

PNG = {"Content-Type": "image/png"}
LIMIT = 300_000
PATIENT = 120


@pytest.fixture(scope="module")
def served(serve: Callable[..., Any]) -> Any:
    return serve("--max-body", LIMIT / 1e6, "--body-limit", 1.5, "--waiting", 3, "--time-limit", PATIENT)


def post(served: Any, body: bytes, **parameters: str) -> httpx.Response:
    return httpx.post(f"{served.url}/v1/faces", content=body, headers=PNG, params=parameters, timeout=PATIENT)


def metric(served: Any, name: str) -> float:
    text = httpx.get(f"{served.url}/metrics", timeout=PATIENT).text
    return next(float(line.split()[-1]) for line in text.splitlines() if line.startswith(f"{name} "))


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENT
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def open_request(served: Any, headers: str) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", served.port), timeout=PATIENT)
    head = f"POST /v1/faces HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n{headers}\r\n\r\n"
    connection.sendall(head.encode())
    return connection


def reply_on(connection: socket.socket) -> tuple[int, str]:
    """Status and error of the response."""
    received = b""
    while not received.endswith(b"}"):
        part = connection.recv(65536)
        assert part, received
        received += part
    head, _, body = received.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)["error"]


def worker_of(served: Any) -> psutil.Process:
    """The process that predicts; multiprocessing has another one, which tracks resources."""
    return next(p for p in psutil.Process(served.process.pid).children() if "spawn_main" in " ".join(p.cmdline()))


def test_a_body_that_says_it_is_too_large_is_not_read(served: Any) -> None:
    with open_request(served, f"Content-Length: {LIMIT + 1}") as connection:
        status, error = reply_on(connection)
    assert (status, error) == (413, f"the body is larger than {LIMIT:,} bytes, the limit; send a smaller image")


def test_a_body_without_a_length_is_read_up_to_the_limit(served: Any) -> None:
    chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
    with open_request(served, "Transfer-Encoding: chunked") as connection:
        for _ in range(LIMIT // 65536 + 1):
            connection.sendall(chunk)
        assert reply_on(connection)[0] == 413
        # What comes after it is not kept, and the connection is closed after a few seconds.
        started = time.monotonic()
        with pytest.raises(OSError):
            while time.monotonic() < started + PATIENT:
                connection.sendall(chunk)
                time.sleep(0.05)
    assert metric(served, "jvcr_bodies_bytes") == 0


def test_a_slow_body_is_given_up(served: Any) -> None:
    started = time.monotonic()
    with open_request(served, "Content-Length: 1000") as connection:
        connection.sendall(b"x")
        status, error = reply_on(connection)
    assert (status, error) == (408, "the body took longer than 1.5 s to arrive, the limit")
    assert time.monotonic() - started >= 1.5
    assert metric(served, "jvcr_bodies_bytes") == 0


def test_clients_that_go_away_leave_nothing_behind(served: Any, no_face: bytes) -> None:
    for _ in range(20):
        with open_request(served, "Content-Length: 100000") as connection:
            connection.sendall(b"x" * 50_000)
    until(lambda: metric(served, "jvcr_bodies_bytes") == 0)
    assert post(served, no_face).status_code == 200


def test_a_worker_that_dies_is_replaced_and_its_requests_are_answered(served: Any, no_face: bytes) -> None:
    worker = worker_of(served)
    worker.suspend()
    replies: list[httpx.Response] = []
    threads = [threading.Thread(target=lambda: replies.append(post(served, no_face, boxes="[]"))) for _ in range(3)]
    for thread in threads:
        thread.start()
    until(lambda: metric(served, "jvcr_requests_waiting") == 3)
    refused = post(served, no_face)
    assert refused.status_code == 503
    assert refused.json()["error"] == "3 requests are waiting, the limit; try again later"
    assert int(refused.headers["Retry-After"]) >= 1
    worker.kill()
    for thread in threads:
        thread.join(PATIENT)
    assert [reply.status_code for reply in replies] == [200] * 3
    assert worker_of(served).pid != worker.pid
    assert metric(served, "jvcr_workers_replaced_total") == 1


def test_sigterm_finishes_what_is_in_hand(served: Any, no_face: bytes) -> None:
    """The last test with this server."""
    worker = worker_of(served)
    worker.suspend()
    replies: list[httpx.Response] = []
    thread = threading.Thread(target=lambda: replies.append(post(served, no_face, name="holiday", boxes="[]")))
    thread.start()
    until(lambda: metric(served, "jvcr_requests_waiting") == 1)
    served.process.send_signal(signal.SIGTERM)
    until(lambda: not accepts(served))
    worker.resume()
    thread.join(PATIENT)
    assert [reply.status_code for reply in replies] == [200]
    code, log = served.stop()
    assert code == 0
    # Nothing about requests or photos is logged.
    assert log.strip() == "starting …"


def accepts(served: Any) -> bool:
    try:
        socket.create_connection(("127.0.0.1", served.port), timeout=5).close()
    except OSError:
        return False
    return True
