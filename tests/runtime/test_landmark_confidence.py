"""Visibility and standard deviation of single landmarks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from jvcr import Box, Face, Landmarker
from jvcr.frames import diagonals
from jvcr.images import Image
from jvcr.markups.markup import MARKUP_68
from jvcr.runtime.base import Prediction
from jvcr.runtime.confidence import Confidence
from jvcr.runtime.landmark_confidence import LandmarkConfidence, input_size, inputs_of

N = 68
SQUARE = np.array([[0.2, 0.3, 0.4], [0.8, 0.3, 0.6], [0.2, 0.7, 0.5], [0.8, 0.7, 0.5]], np.float32)
"""Four landmarks on a box of 0.6 × 0.4 around (0.5, 0.5); z has the mean 0.5."""


def network(n_points: int = N, **biases: float) -> LandmarkConfidence:
    """A network whose answer is the same for every input: the given logit and logarithm of σ."""
    inputs = input_size(n_points)
    second = np.zeros((2 * n_points, 2), np.float32)
    second[:n_points, -1], second[n_points:, -1] = biases.get("logit", 0.0), biases.get("log_sigma", 0.0)
    return LandmarkConfidence(np.ones((2, inputs), np.float32), np.zeros((1, inputs + 1), np.float32), second)


def test_diagonals_by_hand() -> None:
    assert diagonals(SQUARE * 5) == pytest.approx(5 * np.hypot(0.6, 0.4))


def test_inputs_by_hand() -> None:
    heights = np.array([0.5, 1.0, 0.0, 0.25], np.float32)
    (row,) = inputs_of(SQUARE[None], heights[None])
    diagonal = np.hypot(0.6, 0.4)
    np.testing.assert_allclose(row[:3], np.array([-0.3, -0.2, -0.1]) / diagonal, rtol=1e-5)
    np.testing.assert_allclose(row[12:16], np.log([0.5, 1.0, 0.001, 0.25]), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(row[16:], [np.log(diagonal), 0.5, 0.5], rtol=1e-5)
    assert len(row) == input_size(4)


def test_the_layers_by_hand() -> None:
    """One hidden unit reads the height of landmark 2; the second layer passes it to landmark 0's logit and σ."""
    inputs = input_size(4)
    scale = np.stack([np.zeros(inputs), np.full(inputs, 2.0)]).astype(np.float32)
    first = np.zeros((1, inputs + 1), np.float32)
    first[0, 14], first[0, -1] = -1.0, 0.5  # 0.5 - 2·log(height)
    second = np.zeros((8, 2), np.float32)
    second[0] = (1.0, -1.0)
    second[4] = (-0.5, -1.0)
    heights = np.array([1.0, 1.0, 0.5, 1.0], np.float32)
    visibility, sigma = LandmarkConfidence(scale, first, second)(SQUARE, heights)
    hidden = 0.5 + 2 * np.log(2)
    np.testing.assert_allclose(visibility, [1 / (1 + np.exp(1 - hidden)), 0.5, 0.5, 0.5], rtol=1e-5)
    np.testing.assert_allclose(sigma, [np.exp(-0.5 * hidden - 1), 1, 1, 1], rtol=1e-5)
    # A negative sum in the hidden unit counts as 0.
    first[0, -1] = -100.0
    visibility, _ = LandmarkConfidence(scale, first, second)(SQUARE, heights)
    assert visibility[0] == pytest.approx(1 / (1 + np.exp(1)))


def test_stored_and_read_again() -> None:
    rng = np.random.default_rng(0)
    inputs = input_size(N)
    shapes = (2, inputs), (3, inputs + 1), (2 * N, 4)
    before = LandmarkConfidence(*(rng.normal(size=shape).astype(np.float32) for shape in shapes))
    confidence = replace(Confidence(), landmarks=before)
    after = Confidence.from_dict(confidence.to_dict()).landmarks
    assert after is not None
    for name in ("scale", "first", "second"):
        np.testing.assert_allclose(getattr(after, name), getattr(before, name), rtol=1e-3, atol=1e-6)
    assert Confidence.from_dict(Confidence().to_dict()).landmarks is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"first": "2x3"}, "has 0 numbers; expected 2x3"),
        ({"first": "2:AAAA"}, "has the size '2'; expected ROWSxCOLUMNS"),
        ({"first": "1x1:!!"}, "missing or damaged"),
        ({"first": 7}, "missing or damaged"),
        ({"second": "1x1:AAA="}, "do not fit together"),
        ({"scale": None}, "missing or damaged"),
    ],
)
def test_damaged_matrices(change: dict[str, Any], message: str) -> None:
    stored: dict[str, Any] = network().to_dict()
    with pytest.raises(ValueError, match=message):
        LandmarkConfidence.from_dict(stored | change)


def test_a_number_that_is_not_finite() -> None:
    with pytest.raises(ValueError, match="not finite"):
        network(logit=float("nan"))


class Fixed:
    """A runtime that puts the mean head at the same place of every crop."""

    image_size, markup = 64, MARKUP_68
    crop_rule = Landmarker(threads=1)._runtime.crop_rule

    def __init__(self, confidence: Confidence) -> None:
        self.confidence = confidence

    def __call__(self, crops: Image) -> Prediction:
        grid = np.linspace(0.3, 0.7, N)
        points = np.stack([grid, grid, np.full(N, 0.5)], axis=1).astype(np.float32)
        return Prediction.from_volume(
            np.ones((len(crops), 8, 8, 8), np.float32), np.repeat(points[None], len(crops), 0)
        )


def face_with(confidence: Confidence, box: list[float]) -> Face:
    landmarker = Landmarker(backend=Fixed(confidence), refine=False, mirror=False)
    return landmarker.predict(np.zeros((100, 100, 3), np.uint8), boxes=[box])[0]


def test_what_a_face_says() -> None:
    trusted = replace(Confidence(), landmarks=network(logit=2.0, log_sigma=np.log(0.01)))
    face = face_with(trusted, [30, 30, 70, 70])
    assert face.visibility is not None and face.sigma_px is not None
    np.testing.assert_allclose(face.visibility, 1 / (1 + np.exp(-2)), rtol=1e-5)
    np.testing.assert_allclose(face.sigma_px, 0.01 * diagonals(face.landmarks), rtol=1e-3)
    assert face.reliable is True and not face.hidden.any()
    again = Face.from_dict(face.to_dict())
    assert again.visibility is not None and again.sigma_px is not None
    np.testing.assert_allclose(again.visibility, face.visibility, atol=5e-4)
    np.testing.assert_allclose(again.sigma_px, face.sigma_px, atol=5e-4)
    assert face.to_dict()["reliable"] is True


def test_a_doubtful_face_is_not_reliable() -> None:
    face = face_with(replace(Confidence(), landmarks=network(log_sigma=np.log(0.05))), [30, 30, 70, 70])
    assert face.reliable is False


def test_landmarks_outside_the_image_are_not_visible() -> None:
    trusted = replace(Confidence(), landmarks=network(logit=2.0, log_sigma=-4.0))
    face = face_with(trusted, [60, 30, 120, 90])
    assert face.visibility is not None
    outside = face.landmarks[:, 0] >= 99.5
    assert outside.any() and not outside.all()
    np.testing.assert_array_equal(face.visibility == 0, outside)
    np.testing.assert_array_equal(face.hidden, outside)


def test_weights_that_cannot_tell() -> None:
    face = face_with(Confidence(), [30, 30, 70, 70])
    assert (face.visibility, face.sigma_px, face.reliable) == (None, None, None)
    assert not {"visibility", "sigma_px", "reliable"} & face.to_dict().keys()
    with pytest.raises(ValueError, match=r"sigma_px has shape \(3,\); expected \(68,\)"):
        Face(face.landmarks, Box(0, 0, 1, 1), 0.5, sigma_px=np.ones(3, np.float32))
