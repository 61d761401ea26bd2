"""Which of the faces that a detector finds is scored."""

from __future__ import annotations

import numpy as np
import pytest

from jvcr.data.sample import Sample
from jvcr.evaluate.run_network import predict_detected
from jvcr.frames import Box
from jvcr.markups.markup import MARKUP_68
from jvcr.results import Face


class Finder:
    """In place of a Landmarker: finds faces in given boxes; its landmarks say which box they belong to."""

    markup = MARKUP_68

    def __init__(self, boxes: list[Box]) -> None:
        self._boxes = boxes

    def predict(self, image: np.ndarray) -> list[Face]:
        return [Face(np.full((68, 3), box.x0, np.float32), box, 0.5) for box in self._boxes]


def sample(name: str = "photo") -> Sample:
    """True landmark box (10, 20, 30, 60)."""
    points = np.tile(np.array([[10, 20, 0], [30, 60, 0]], np.float32), (34, 1))
    return Sample(name, np.zeros((90, 100, 3), np.uint8), points)


def test_the_face_that_overlaps_most_is_taken() -> None:
    boxes = [Box(28, 20, 48, 60), Box(12, 20, 32, 60), Box(70, 20, 90, 60)]
    got = predict_detected(Finder(boxes), [sample()])  # type: ignore[arg-type]
    assert got.points_img.shape == (1, 68, 3)
    assert got.points_img[0, 0, 0] == 12
    assert got.boxes[0].tolist() == [12, 20, 32, 60]
    # 18 of 22 px in width.
    assert got.overlaps[0] == pytest.approx(18 / 22)
    assert got.extra == 2


@pytest.mark.parametrize("boxes", [[], [Box(70, 20, 90, 60)]])
def test_a_face_without_overlap_is_missed(boxes: list[Box]) -> None:
    got = predict_detected(Finder(boxes), [sample("a"), sample("b")])  # type: ignore[arg-type]
    assert got.names == ["a", "b"]
    assert np.isnan(got.points_img).all() and np.isnan(got.boxes).all()
    assert got.overlaps.tolist() == [0, 0]
    assert got.extra == 2 * len(boxes)


def test_no_sample_is_an_error() -> None:
    with pytest.raises(ValueError, match="no sample"):
        predict_detected(Finder([]), [])  # type: ignore[arg-type]
