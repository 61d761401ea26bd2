"""Requests that share forward passes get the results that they would get alone."""

from __future__ import annotations

import json
import time
from typing import Any

import cv2
import numpy as np
import pytest
from skimage.data import astronaut

from jvcr.serve.metrics import Metrics
from jvcr.serve.options import FaceOptions
from jvcr.serve.pool import Pool
from jvcr.serve.predictor import Predictor
from jvcr.serve.settings import WorkerSettings
from jvcr.serve.work import Answer, Task, Work


def photos() -> list[bytes]:
    """Two sizes of a face, one that lies on its side, and none."""
    face = astronaut()[40:240, 120:330, ::-1]
    images = [face, cv2.resize(face, (150, 143)), np.rot90(face), np.full((50, 70, 3), 90, np.uint8)]
    return [cv2.imencode(".png", np.ascontiguousarray(image))[1].tobytes() for image in images]


def work(body: bytes, **options: Any) -> Work:
    return Work(Task.FACES, body, "image/png", FaceOptions(**options), time.monotonic())


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return Predictor(WorkerSettings({"small": "small"}))


def record(answer: Answer) -> dict[str, Any]:
    assert answer.status == 200, answer.body
    values = json.loads(answer.body)
    del values["ms"]
    return values


def alone(predictor: Predictor, one: Work) -> dict[str, Any]:
    ((_, answer),) = predictor.answers([one])
    return record(answer)


def test_results_are_those_of_single_requests(predictor: Predictor) -> None:
    given = [work(body) for body in photos()]
    given += [work(photos()[0], boxes="[[57, 47, 154, 137], [60, 50, 150, 130]]"), work(photos()[1], refine=False)]
    expected = [alone(predictor, one) for one in given]
    together = {number: record(answer) for number, answer in predictor.answers(given)}
    assert [len(values["faces"]) for values in expected] == [1, 1, 1, 0, 2, 1]
    assert [together[number] for number in range(len(given))] == expected


def test_one_bad_request_does_not_stop_the_others(predictor: Predictor) -> None:
    good = work(photos()[0])
    given = [work(b"no image"), good, work(photos()[1], boxes="[[900, 900, 950, 950]]"), work(photos()[0][:5000])]
    answers = dict(predictor.answers(given))
    assert [answers[number].status for number in range(4)] == [415, 200, 422, 422]
    assert record(answers[1]) == alone(predictor, good)


def test_a_failing_pass_is_tried_with_each_request(predictor: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    given = [work(body) for body in photos()[:3]]
    real = predictor._faces

    def fails_on_the_second(ready: list[Any]) -> Any:
        if any(read.number == 1 for read in ready):
            raise RuntimeError("about the image")
        return real(ready)

    monkeypatch.setattr(predictor, "_faces", fails_on_the_second)
    answers = dict(predictor.answers(given))
    assert [answers[number].status for number in range(3)] == [200, 500, 200]
    assert b"about the image" not in answers[1].body


def test_requests_that_arrive_together_share_a_pass(pool: Pool, pool_metrics: Metrics, face: bytes) -> None:
    def totals() -> tuple[float, float]:
        (metric,) = pool_metrics.passes.collect()
        values = {sample.name: sample.value for sample in metric.samples}
        return values["jvcr_requests_per_pass_count"], values["jvcr_requests_per_pass_sum"]

    passes, requests = totals()
    jobs = [pool.submit(work(face)) for _ in range(7)]
    answers = [record(job.answer.result(timeout=30)) for job in jobs]
    assert all(answer == answers[0] for answer in answers)
    assert totals()[1] - requests == 7
    # One that starts at once, and one with all that came meanwhile; on a busy machine perhaps more.
    assert totals()[0] - passes <= 4
