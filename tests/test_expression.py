from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jvcr.expression import brow_heights, eye_openings, mouth_opening, smile


def face() -> np.ndarray:
    """(68, 2) with only the landmarks that the ratios use, at distances that are easy to see."""
    points = np.zeros((68, 2))
    points[[36, 39]] = [(0, 0), (10, 0)]
    points[[37, 41]] = [(3, -1), (3, 1)]  # 2 apart
    points[[38, 40]] = [(7, -2), (7, 2)]  # 4 apart
    points[[42, 45]] = [(30, 0), (50, 0)]
    points[[43, 47]] = [(35, 0), (35, 1)]
    points[[44, 46]] = [(45, 0), (45, 1)]
    points[[48, 54]] = [(5, 40), (45, 40)]
    points[[60, 64]] = [(10, 40), (40, 40)]
    points[[62, 66]] = [(25, 37), (25, 46)]
    points[19], points[24] = (5, -10), (40, -15)
    return points


def test_ratios_by_hand() -> None:
    # Right eye: (2 + 4) / (2 · 10); left eye: (1 + 1) / (2 · 20).
    np.testing.assert_allclose(eye_openings(face()), [0.3, 0.05])
    assert mouth_opening(face()) == pytest.approx(9 / 30)
    assert smile(face()) == pytest.approx(40 / 50)
    np.testing.assert_allclose(brow_heights(face()), [10 / 50, 15 / 50])


def test_many_faces_at_once_and_in_3d() -> None:
    flat = np.stack([face(), 3 * face() + 1.0])
    deep = np.concatenate([flat, np.zeros((2, 68, 1))], axis=2)
    for measure in (eye_openings, brow_heights):
        assert measure(flat[:1]).shape == (1, 2)
        np.testing.assert_allclose(measure(deep), measure(flat))
    for measure in (mouth_opening, smile):
        assert measure(flat).shape == (2,)


@given(st.floats(0.1, 10), st.floats(-3, 3), st.floats(-500, 500))
def test_size_turn_and_place_do_not_matter(scale: float, angle: float, shift: float) -> None:
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    moved = face() @ turn.T + shift
    for measure in (eye_openings, mouth_opening, smile, brow_heights):
        np.testing.assert_allclose(measure(moved), measure(face()), rtol=1e-6)


def test_what_is_not_marked_is_not_known() -> None:
    points = face()
    points[41] = np.nan
    openings = eye_openings(points)
    assert np.isnan(openings[0]) and openings[1] == pytest.approx(0.05)
    points[64] = points[60]  # a mouth without width
    assert np.isnan(mouth_opening(points))
