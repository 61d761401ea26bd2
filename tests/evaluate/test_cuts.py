"""Photographs cut by the frame: which part of the face remains, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from jvcr.data.face_photos import FacePhoto
from jvcr.evaluate.cuts import CUTS, cut_photo
from jvcr.evaluate.detect_scores import detection_table, evaluate_detection
from jvcr.evaluate.matching import extra_results

ROWS, COLUMNS = np.indices((120, 200))
IMAGE = np.stack([ROWS, COLUMNS, ROWS], axis=-1).astype(np.uint8)
"""The first channel is the row, the second the column."""

BOXES = np.array([[100.0, 20.0, 140.0, 80.0], [10.0, 10.0, 30.0, 30.0]])
PHOTO = FacePhoto("two", IMAGE, BOXES, np.array([True, True]), np.array([0.0, 10.0]))
BY_LABEL = {cut.label: cut for cut in CUTS}


@pytest.mark.parametrize(
    ("label", "columns", "rows"),
    [
        # 20 + 0.46 · 60 = 47.6: rows 0 to 47 remain.
        ("cut below the nose", (0, 199), (0, 47)),
        # 20 + 0.26 · 60 = 35.6.
        ("cut above the nose", (0, 199), (36, 119)),
        # 100 + 0.4 · 40 = 116, and 100 + 0.6 · 40 = 124.
        ("cut left of the middle", (116, 199), (0, 119)),
        ("cut right of the middle", (0, 123), (0, 119)),
        # A quarter of 40 and of 60 goes on every side: 110 to 130, 35 to 65.
        ("close-up of 0.5 × the box", (110, 129), (35, 64)),
        # A tenth: 104 to 136, 26 to 74.
        ("close-up of 0.8 × the box", (104, 135), (26, 73)),
    ],
)
def test_what_remains(label: str, columns: tuple[int, int], rows: tuple[int, int]) -> None:
    cut = cut_photo(PHOTO, BY_LABEL[label])
    assert cut is not None
    assert (cut.image[0, 0, 1], cut.image[0, -1, 1]) == columns
    assert (cut.image[0, 0, 0], cut.image[-1, 0, 0]) == rows
    # The larger face counts, and keeps its place in the photograph.
    assert cut.sure.tolist() == [True, False]
    np.testing.assert_array_equal(cut.boxes + np.array([columns[0], rows[0]] * 2), BOXES)


def test_what_is_too_small_or_unsure_is_left_out() -> None:
    small = FacePhoto("small", IMAGE, np.array([[10.0, 10.0, 30.0, 30.0]]), np.array([True]), np.zeros(1))
    assert cut_photo(small, BY_LABEL["close-up of 0.5 × the box"]) is None
    unsure = FacePhoto("unsure", IMAGE, BOXES, np.array([False, False]), np.zeros(2))
    assert cut_photo(unsure, CUTS[0]) is None


def test_extra_results_lie_on_a_face_that_has_its_hit() -> None:
    sure = np.array([True, True])
    hit, phantom = BOXES[0], BOXES[0] + np.array([0, -30] * 2)  # 30 of 90 high: IoU 0.33
    neighbour, elsewhere = BOXES[1], np.array([160.0, 90.0, 180.0, 110.0])
    boxes = np.stack([hit, phantom, neighbour, elsewhere])
    assert extra_results(boxes, np.array([0.9, 0.8, 0.7, 0.6]), BOXES, sure) == 1
    assert extra_results(boxes[[0, 2, 3]], np.array([0.9, 0.7, 0.6]), BOXES, sure) == 0
    assert extra_results(np.empty((0, 4)), np.empty(0), BOXES, sure) == 0


def test_the_report_counts_cut_faces_and_extra_results() -> None:
    def find(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Knows where the large face is by the picture's first pixel, and sees another one above it."""
        row, column = int(image[0, 0, 0]), int(image[0, 0, 1])
        box = BOXES[0] - np.array([column, row] * 2)
        return np.stack([box, box + np.array([0, -30] * 2), box + 500]), np.array([0.9, 0.8, 0.1])

    scores = evaluate_detection("it", find, [PHOTO], threshold=0.5, rolls_deg=()).scores
    assert scores.extra == 1
    assert [(c.label, c.count, c.found, c.extra) for c in scores.by_cut] == [(c.label, 1, 1.0, 1) for c in CUTS]
    rows = {row[0]: row[1:] for row in detection_table([scores]).rows}
    assert rows["recall, all faces"] == ("50.00 of 2",)
    assert rows["extra results on a face that was found"] == ("1",)
    assert rows["face cut below the nose (1): found"] == ("100.00",)
    assert rows["face cut below the nose (1): extra results on it"] == ("1",)
