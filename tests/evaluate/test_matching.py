from __future__ import annotations

import numpy as np
import pytest

from jvcr.evaluate.matching import Judged, judge

TRUE = np.array([[0.0, 0.0, 10.0, 10.0], [20.0, 0.0, 30.0, 10.0], [40.0, 0.0, 50.0, 10.0]])
SURE = np.array([True, True, False])


def test_each_face_is_hit_once_by_the_best() -> None:
    boxes = np.array([[0.0, 0.0, 10.0, 8.0], [0.0, 0.0, 10.0, 10.0], [41.0, 0.0, 51.0, 10.0], [60.0, 0.0, 70.0, 10.0]])
    result = judge(boxes, np.array([0.9, 0.8, 0.7, 0.6]), TRUE, SURE)
    # The second box of the first face is false; the one on the unsure face does not count.
    assert result.scores.tolist() == [0.9, 0.8, 0.6]
    assert result.hits.tolist() == [True, False, False]
    assert result.truth_scores.tolist() == [0.9, -1.0]
    assert result.recall(0.5) == 0.5
    assert result.recall(0.95) == 0.0
    assert result.false_per_photo(0.7) == 1.0


def test_a_hit_needs_an_overlap() -> None:
    # 4 of 10 wide inside: overlap 4 / 10 = 0.4; a little less is none.
    assert judge(np.array([[0.0, 0.0, 4.0, 10.0]]), np.array([0.5]), TRUE, SURE).hits.tolist() == [True]
    assert judge(np.array([[0.0, 0.0, 3.9, 10.0]]), np.array([0.5]), TRUE, SURE).hits.tolist() == [False]


def test_nothing_found_and_nothing_there() -> None:
    none = np.empty((0, 4))
    empty = judge(none, np.empty(0), none, np.empty(0, bool))
    assert empty.average_precision() == 0 and np.isnan(empty.recall(0.5))
    assert judge(none, np.empty(0), TRUE, SURE).recall(0.0) == 0
    assert judge(TRUE, np.ones(3), none, np.empty(0, bool)).false_per_photo(0.5) == 3


def test_average_precision_by_hand() -> None:
    # Hit, miss, hit of three faces: precision 1, 1/2, 2/3 at recall 1/3, 1/3, 2/3.
    judged = Judged(np.array([0.5, 0.9, 0.7]), np.array([True, True, False]), np.array([0.9, 0.5, -1.0]))
    precision, recall, score = judged.precision_recall()
    np.testing.assert_allclose(precision, [1, 1 / 2, 2 / 3])
    np.testing.assert_allclose(recall, [1 / 3, 1 / 3, 2 / 3])
    assert score.tolist() == [0.9, 0.7, 0.5]
    assert judged.average_precision() == pytest.approx(1 / 3 + 2 / 3 / 3)


def test_photos_are_joined() -> None:
    one = judge(TRUE[:1], np.array([0.5]), TRUE, SURE)
    both = Judged.joined([one, one])
    assert both.photos == 2 and len(both.truth_scores) == 4 and both.recall(0.1) == 0.5
