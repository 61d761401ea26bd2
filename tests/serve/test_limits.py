"""Every limit has its status and is in the message."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from jvcr.serve.limits import Limits
from jvcr.serve.pool import Pool
from jvcr.serve.queue import Job
from jvcr.serve.work import Work

PNG = {"Content-Type": "image/png"}


def chunks(count: int) -> Iterator[bytes]:
    for _ in range(count):
        yield b"x" * 100_000


def test_the_size_of_a_body(client: TestClient) -> None:
    message = "the body is larger than 2,000,000 bytes, the limit; send a smaller image"
    declared = client.post("/v1/faces", content=b"x" * 2_000_001, headers=PNG)
    chunked = client.post("/v1/faces", content=chunks(21), headers=PNG)
    fits = client.post("/v1/faces", content=chunks(20), headers=PNG)
    assert (declared.status_code, declared.json()) == (413, {"error": message})
    assert (chunked.status_code, chunked.json()) == (413, {"error": message})
    assert fits.status_code == 415


def test_the_memory_of_all_bodies(make_client: Any) -> None:
    client = make_client(limits=Limits(held_bytes=1000))
    reply = client.post("/v1/faces", content=b"x" * 1001, headers=PNG)
    assert (reply.status_code, reply.headers["retry-after"]) == (503, "1")
    assert "1,000 bytes in memory, the limit" in reply.json()["error"]
    assert client.post("/v1/faces", content=b"x" * 1000, headers=PNG).status_code == 415


def test_the_pixels_of_an_image(client: TestClient) -> None:
    import cv2

    ok, large = cv2.imencode(".png", np.zeros((1000, 1001), np.uint8))
    reply = client.post("/v1/faces", content=large.tobytes(), headers=PNG)
    assert ok
    assert reply.status_code == 422
    assert reply.json() == {"error": "image: more pixels than the limit of 1 megapixels; reduce it first"}


@pytest.mark.parametrize("body", [b"GIF", b"%!PS-Adobe-3.0 EPSF-3.0\n", b"<svg xmlns='http://www.w3.org/2000/svg'/>"])
def test_what_is_no_image(client: TestClient, body: bytes) -> None:
    reply = client.post("/v1/faces", content=body, headers={"Content-Type": "image/jpeg"})
    assert reply.status_code == 415
    assert "not an image in a known format" in reply.json()["error"]


def test_a_damaged_image(client: TestClient, face: bytes) -> None:
    reply = client.post("/v1/faces", content=face[:2000], headers=PNG)
    assert reply.status_code == 422
    assert "image: damaged or cut off" in reply.json()["error"]


@pytest.mark.parametrize(
    "kind", ["", "text/plain", "application/json", "multipart/mixed", "application/x-www-form-urlencoded"]
)
def test_other_types_of_bodies(client: TestClient, kind: str) -> None:
    reply = client.post("/v1/faces", content=b"x", headers={"Content-Type": kind} if kind else {})
    assert reply.status_code == 415
    assert "expected image/…" in reply.json()["error"]


def test_an_empty_body(client: TestClient) -> None:
    reply = client.post("/v1/faces", content=b"", headers=PNG)
    assert (reply.status_code, "the body is empty" in reply.json()["error"]) == (400, True)


@pytest.mark.parametrize("skipped", [False, True])
def test_the_time_of_a_request(
    make_client: Any, pool: Pool, no_face: bytes, monkeypatch: pytest.MonkeyPatch, skipped: bool
) -> None:
    """It waits for its answer, or the queue has skipped it because it is too late."""

    def submit(work: Work) -> Job:
        job = Job(work, work.received)
        if skipped:
            job.answer.cancel()
        return job

    monkeypatch.setattr(pool, "submit", submit)
    client = make_client(limits=Limits(time_s=0.05))
    reply = client.post("/v1/faces", content=no_face, headers=PNG)
    assert reply.status_code == 504
    assert reply.json() == {"error": "no result after 0.05 s, the limit; try again later"}


def test_limits_are_positive() -> None:
    with pytest.raises(ValueError, match="limit waiting is 0; expected more than 0"):
        Limits(waiting=0)
    with pytest.raises(ValueError, match="limit time_s is nan"):
        Limits(time_s=float("nan"))
