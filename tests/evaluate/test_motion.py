"""What the measures of tracking say where the answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from jvcr import Box
from jvcr.evaluate.motion import MovingFaces, Placement, identities_of, identity_switches, jitter, lag_s

TIMES = np.arange(0, 4, 1 / 30)


def square_at(x: np.ndarray) -> np.ndarray:
    """(T, 4, 3): the corners of a square of 100 pixels, its left side at x."""
    corners = np.array([[0, 0, 0], [100, 0, 0], [100, 100, 0], [0, 100, 0]], float)
    return corners + np.stack([x, 0 * x, 0 * x], -1)[:, None]


def test_jitter_is_motion_over_size() -> None:
    assert jitter(square_at(np.array([0.0, 1.0, 0.0, 1.0]))) == pytest.approx(0.01)
    assert jitter(square_at(np.zeros(5))) == 0


@pytest.mark.parametrize("delay_s", [0.0, 0.01, 0.05, 0.2])
def test_a_delay_is_measured(delay_s: float) -> None:
    def path(times: np.ndarray) -> np.ndarray:
        return square_at(80 * np.sin(2 * np.pi * 0.5 * times))

    measured = lag_s(path(TIMES - delay_s), path(TIMES), TIMES)
    assert measured == pytest.approx(delay_s, abs=0.003)


def test_identities_and_switches() -> None:
    boxes = [Box(0, 0, 10, 10), None, Box(50, 0, 60, 10)]
    found = [(7, Box(1, 0, 11, 10)), (3, Box(100, 0, 110, 10))]
    assert identities_of(boxes, found) == [7, None, None]
    assert identity_switches([[1, 2], [1, None], [1, 2], [2, 1]]) == 2


def test_frames_show_what_the_truth_says() -> None:
    photo = np.zeros((60, 60, 3), np.uint8)
    points = np.array([[20, 20, -5], [40, 20, 5], [40, 40, 0], [20, 40, 0]], np.float32)
    photo[18:23, 38:43] = 255  # the second point
    clip = MovingFaces(photo, points, [lambda t: Placement(100 + 10 * t, 80, 40, 90)], (200, 160), noise=0)
    # Twice as large, turned by a quarter clockwise: up and right goes to the right and down.
    true = clip.truth(1.0)[0]
    assert true is not None
    assert true[1].tolist() == pytest.approx([130, 100, 10], abs=1e-3)
    y, x = np.argwhere(clip.frame(1.0)[:, :, 0] > 200).mean(axis=0)
    assert (x, y) == pytest.approx((130, 100), abs=1)
    assert clip.truth(0.0)[0][1][0] == pytest.approx(120, abs=1e-3)  # type: ignore[index]
