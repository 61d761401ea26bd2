"""The queue of requests, and forms, without a server."""

from __future__ import annotations

import threading
import time

import pytest

from jvcr.serve.form import read_form
from jvcr.serve.options import FaceOptions
from jvcr.serve.queue import Job, Queue
from jvcr.serve.refused import Refused
from jvcr.serve.work import Answer, Task, Work


def job(seconds: float = 60.0) -> Job:
    now = time.monotonic()
    return Job(Work(Task.FACES, b"x", "image/png", FaceOptions(), now), now + seconds)


def test_jobs_come_in_order_and_together() -> None:
    queue = Queue(10, 0.0)
    jobs = [job() for _ in range(5)]
    for one in jobs:
        queue.put(one)
    assert queue.take(3, 1.0) == jobs[:3]
    assert queue.take(3, 1.0) == jobs[3:]
    assert queue.take(3, 0.01) == []


def test_the_first_waits_for_others() -> None:
    queue = Queue(10, 5.0)
    jobs = [job(), job()]
    queue.put(jobs[0])
    threading.Timer(0.05, queue.put, [jobs[1]]).start()
    started = time.monotonic()
    # As soon as there are enough.
    assert queue.take(2, 1.0) == jobs
    assert time.monotonic() - started < 4


def test_the_wait_is_bounded() -> None:
    queue = Queue(10, 0.05)
    one = job()
    queue.put(one)
    started = time.monotonic()
    assert queue.take(2, 1.0) == [one]
    assert 0.04 < time.monotonic() - started < 4


def test_too_many_are_refused_until_one_is_answered() -> None:
    queue = Queue(2, 0.0)
    first = job()
    queue.put(first)
    queue.put(job())
    queue.take(2, 1.0)
    with pytest.raises(Refused, match="2 requests are waiting, the limit") as caught:
        queue.put(job())
    assert caught.value.status == 503
    assert int(caught.value.headers["Retry-After"]) >= 1
    first.finish(Answer(200, b""))
    queue.put(job())
    assert queue.open_jobs == 2


def test_what_nobody_waits_for_is_skipped() -> None:
    queue = Queue(10, 0.0)
    cancelled, late, good = job(), job(-1.0), job()
    for one in (cancelled, late, good):
        queue.put(one)
    cancelled.answer.cancel()
    assert queue.take(8, 1.0) == [good]
    assert queue.open_jobs == 1
    cancelled.finish(Answer(200, b"nobody reads this"))


def test_lost_jobs_come_first_and_alone() -> None:
    queue = Queue(10, 0.0)
    lost, others = [job(), job()], [job(), job()]
    for one in (*lost, *others):
        queue.put(one)
    assert queue.take(2, 1.0) == lost
    for one in lost:
        one.lost = 1
    queue.put_back(lost)
    assert [queue.take(8, 1.0) for _ in range(3)] == [[lost[0]], [lost[1]], others]


def test_a_closed_queue_gives_out_the_rest() -> None:
    queue = Queue(10, 0.0)
    one = job()
    queue.put(one)
    queue.close()
    with pytest.raises(Refused, match="shutting down"):
        queue.put(job())
    assert queue.take(8, 1.0) == [one]
    assert queue.take(8, 1.0) is None


TYPE = "multipart/form-data; boundary=XX"


def part(name: str, value: bytes, rest: str = "") -> bytes:
    return f'--XX\r\nContent-Disposition: form-data; name="{name}"{rest}\r\n\r\n'.encode() + value + b"\r\n"


END = b"--XX--\r\n"
IMAGE = part("image", b"\x00\xff\r\n--X\r\n", '; filename="/etc/passwd"')


def test_a_form_gives_image_and_fields() -> None:
    form = read_form(part("refine", b"0") + IMAGE + part("name", "é".encode()) + END, TYPE)
    assert form.image == b"\x00\xff\r\n--X\r\n"
    assert form.fields == {"refine": "0", "name": "é"}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (IMAGE, "cut off"),
        (b"", "cut off"),
        (b"nonsense", "damaged"),
        (part("refine", b"0") + END, "no field 'image'"),
        (IMAGE + IMAGE + END, "field 'image' twice"),
        (IMAGE + part("name", b"\xff") + END, "'name' is not UTF-8"),
        (IMAGE + part("name", b"x" * 65_537) + END, "'name' is longer than 65536 bytes, the limit"),
        (b"".join(part(f"f{i}", b"") for i in range(17)) + END, "more than 16 fields"),
        (b"--XX\r\n\r\nvalue\r\n--XX--\r\n", "has no name"),
        (b"--XX\r\n" + b"a: b\r\n" * 10_000, "damaged"),
    ],
)
def test_bad_forms_are_refused(body: bytes, message: str) -> None:
    with pytest.raises(Refused, match=message) as caught:
        read_form(body, TYPE)
    assert caught.value.status == 400


def test_a_form_needs_a_boundary() -> None:
    with pytest.raises(Refused, match="without a boundary"):
        read_form(IMAGE + END, "multipart/form-data")
