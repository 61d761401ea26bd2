from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jvcr.detect.base import Proposal, as_proposal, iou_matrix, nms
from jvcr.frames import Box

_NUMBER = st.floats(-50, 50, allow_nan=False)
_SIDE = st.floats(0.5, 60)
BOXES = st.builds(lambda x, y, w, h: Box(x, y, x + w, y + h), _NUMBER, _NUMBER, _SIDE, _SIDE)


@given(st.lists(BOXES, min_size=1, max_size=6), st.lists(BOXES, min_size=1, max_size=6))
def test_overlaps_agree_with_those_of_two_boxes(ours: list[Box], theirs: list[Box]) -> None:
    table = iou_matrix(*(np.array([box.to_list() for box in boxes]) for boxes in (ours, theirs)))
    expected = [[a.iou(b) for b in theirs] for a in ours]
    np.testing.assert_allclose(table, expected, atol=1e-9)


@given(st.lists(st.tuples(BOXES, st.floats(0, 1)), max_size=12), st.floats(0.1, 0.9))
def test_what_is_merged_overlaps_something_better(found: list[tuple[Box, float]], limit: float) -> None:
    boxes, scores = [box for box, _ in found], [score for _, score in found]
    kept = nms(boxes, scores, limit)
    assert [scores[i] for i in kept] == sorted((scores[i] for i in kept), reverse=True)
    for index, box in enumerate(boxes):
        better = [i for i in kept if i != index and scores[i] >= scores[index]]
        covered = any(box.iou(boxes[i]) > limit - 1e-9 for i in better)
        assert (index in kept) or covered
    for one in kept:
        assert all(boxes[one].iou(boxes[other]) <= limit + 1e-9 for other in kept if other != one)


def test_whatever_a_detector_returns_is_a_proposal() -> None:
    box = Box(1, 2, 3, 4)
    given = Proposal(box, 0.5, 10.0)
    assert as_proposal(given) is given
    for found in (box, (1, 2, 3, 4), np.array([1.0, 2.0, 3.0, 4.0], np.float32)):
        assert as_proposal(found) == Proposal(box, None, 0.0)


@pytest.mark.parametrize("found", [(1, 2, 3), "abcd", 7, (1, 2, "x", 4)])
def test_anything_else_is_refused(found: object) -> None:
    with pytest.raises(ValueError, match=r"the detector returned .*; expected a Proposal, a Box, or x0, y0, x1, y1"):
        as_proposal(found)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="is empty"):
        as_proposal((3, 2, 1, 4))
