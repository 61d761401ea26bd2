"""Which results show one face: overlap, and shared eyes, noses and mouths."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from jvcr.distinct import SHARED_DISTANCE, distinct
from jvcr.frames import Box
from jvcr.geometry import mean_shape_68
from jvcr.markups.markup import INDICES_66_IN_68, MARKUP_66, MARKUP_68, Markup, subset

UNMARKED = Markup("two", 2, (1, 0), {}, frozenset(), (0, 1))


def face(x: float = 0.0, y: float = 0.0, turned_deg: float = 0.0, size_px: float = 100.0) -> NDArray[np.float64]:
    """The mean face of a size, turned about its own middle, which is then at x, y."""
    points = np.asarray(mean_shape_68(), np.float64)[:, :2]
    points = points - (points.min(axis=0) + points.max(axis=0)) / 2
    points *= size_px / np.ptp(points, axis=0).max()
    c, s = np.cos(np.radians(turned_deg)), np.sin(np.radians(turned_deg))
    return points @ np.array([[c, s], [-s, c]]) + [x, y]


def moved(points: NDArray[np.float64], to_the_right: float) -> NDArray[np.float64]:
    return points + np.array([to_the_right, 0.0])


def kept(*faces: NDArray[np.float64], scores: list[float] | None = None, markup: Markup = MARKUP_68) -> list[int]:
    boxes = [Box(*points.min(axis=0), *points.max(axis=0)) for points in faces]
    ranks = scores or [0.9 - 0.1 * k for k in range(len(faces))]
    return distinct(faces, boxes, ranks, markup, max_iou=0.4)


def upside_down_on(upright: NDArray[np.float64]) -> NDArray[np.float64]:
    """A face turned by 180° whose eyes are those of another."""
    other = face(turned_deg=180)
    eyes = slice(36, 48)
    return other + upright[eyes].mean(axis=0) - other[eyes].mean(axis=0)


def test_a_face_upside_down_on_the_forehead_is_not_another() -> None:
    upright = face()
    phantom = upside_down_on(upright)
    boxes = [Box(*points.min(axis=0), *points.max(axis=0)) for points in (upright, phantom)]
    assert boxes[0].iou(boxes[1]) < 0.4
    assert kept(upright, phantom) == [0]
    assert kept(upright, phantom, scores=[0.7, 0.8]) == [1]
    fewer = list(INDICES_66_IN_68)
    assert kept(upright[fewer], phantom[fewer], markup=MARKUP_66) == [0]


def test_faces_side_by_side_are_two() -> None:
    # Cheek to cheek: the nearest eyes are 0.2 faces apart or more.
    assert kept(face(), face(x=75)) == [0, 1]
    assert kept(face(), face(x=75, turned_deg=20), face(x=160)) == [0, 1, 2]


@pytest.mark.parametrize("part", [slice(36, 42), slice(42, 48), slice(27, 36), slice(48, 68)])
def test_one_shared_feature_is_enough(part: slice) -> None:
    # A small face that has one feature where the large one has it, and a box that hardly meets the other's.
    large, small = face(size_px=100), face(size_px=40, turned_deg=90)
    small += large[part].mean(axis=0) - small[part].mean(axis=0)
    assert kept(large, small) == [0]
    assert kept(large, moved(small, 80)) == [0, 1]


def test_the_limit_is_a_share_of_the_mean_size() -> None:
    one = face()
    width, height = np.ptp(one, axis=0)
    limit = SHARED_DISTANCE * np.sqrt(width * height)
    nose_only = subset(MARKUP_68, (0, 16, 36, 45, *range(27, 31)), "nose")
    nose_only = Markup("nose", 8, nose_only.mirror, {"nose": (4, 5, 6, 7)}, frozenset(), (2, 3))
    points = one[[0, 16, 36, 45, 27, 28, 29, 30]]
    box = Box(*one.min(axis=0), *one.max(axis=0))
    for share, expected in ((0.95, [0]), (1.05, [0, 1])):
        assert distinct([points, moved(points, share * limit)], [box, box], [0.9, 0.8], nose_only, 1.0) == expected


def test_overlap_alone_decides_without_features() -> None:
    # 60 of 140 wide: 0.43. 55 of 145: 0.38.
    points = np.array([[0.0, 0.0], [100.0, 100.0]])
    assert kept(points, moved(points, 40), markup=UNMARKED) == [0]
    assert kept(points, moved(points, 45), markup=UNMARKED) == [0, 1]


def test_none() -> None:
    assert distinct([], [], [], MARKUP_68, 0.4) == []


def test_the_best_results_come_first() -> None:
    faces = [face(x=200 * k) for k in range(3)]
    assert kept(*faces, scores=[0.5, 0.9, 0.7]) == [1, 2, 0]
