"""Landmarks drawn on a photo: a golden picture of fixed landmarks, without any network, and its parts by hand.

`python tests/test_draw.py` redraws `golden_drawing.png`; check it by eye before you commit it.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from jvcr import Box, Face
from jvcr.draw.landmarks import depth_colours, draw_faces, draw_markup
from jvcr.geometry import mean_shape_68, rotation_from_angles
from jvcr.images import Image, read_image, write_image
from jvcr.markups.markup import MARKUP_68, Markup

GOLDEN = Path(__file__).with_name("golden_drawing.png")


def head(yaw_deg: float, pitch_deg: float, roll_deg: float, x: float, y: float, eyes_px: float) -> Face:
    turned = mean_shape_68() @ rotation_from_angles(yaw_deg, pitch_deg, roll_deg).T
    points = (eyes_px * turned + np.array([x, y, 0])).astype(np.float32)
    return Face(points, Box.around(points), 1.0)


def drawing() -> Image:
    """A frontal head, one turned by 50° and one in profile, on grey."""
    heads = [head(0, 0, 0, 90, 110, 80), head(50, 5, 10, 260, 110, 80), head(-85, -5, -10, 420, 110, 80)]
    return draw_faces(np.full((220, 500, 3), 96, np.uint8), heads)


def test_the_drawing_is_the_golden_one() -> None:
    expected, got = read_image(GOLDEN).astype(int), drawing().astype(int)
    assert got.shape == expected.shape
    # Versions of OpenCV anti-alias edges slightly differently.
    different = (np.abs(got - expected).max(axis=2) > 48).mean()
    assert different < 2e-4, f"{100 * different:.2f} % of the pixels are different; see the head of this file"


def test_the_side_turned_away_by_hand() -> None:
    """A frontal head has no occluded landmarks; a profile has those of the whole far side and none of the near side."""
    assert not head(0, 0, 0, 0, 0, 80).hidden.any()
    # The person turns to their left: the right side is near the camera, the left side is far.
    away = head(85, 0, 0, 0, 0, 80).hidden
    assert away[[45, 26, 16, 12]].all()
    assert not away[[36, 17, 0, 4]].any()
    # Landmarks on the midline have no counterpart.
    assert not away[[8, 27, 30, 33, 51]].any()


TWO = Markup("two", 2, (0, 1), {"line": (0, 1)}, frozenset(), (0, 1))


@pytest.mark.parametrize("away", [False, True])
def test_dots_are_filled_unless_turned_away(away: bool) -> None:
    canvas = np.zeros((40, 80, 3), np.uint8)
    points, red = np.array([[20.0, 20, 0], [60.0, 20, 0]]), np.array([[255, 0, 0]] * 2, np.uint8)
    # Without lines, only the dots, of 8 pixels' radius.
    dots = Markup("dots", 2, (0, 1), {}, frozenset(), (0, 1), lines=())
    draw_markup(canvas, points, dots, red, 3, 8.0, np.array([away, False]))
    assert canvas[20, 20, 0] == (0 if away else 255)
    assert canvas[20, 28, 0] > 100 and canvas[20, 12, 0] > 100  # the rim
    assert canvas[20, 60, 0] == 255 and canvas[:, :, 1:].max() == 0


@pytest.mark.parametrize(("away", "thin"), [((False, False), False), ((True, False), False), ((True, True), True)])
def test_lines_are_thin_where_both_ends_are_turned_away(away: tuple[bool, bool], thin: bool) -> None:
    canvas = np.zeros((40, 80, 3), np.uint8)
    points, white = np.array([[10.0, 20, 0], [70.0, 20, 0]]), np.full((2, 3), 255, np.uint8)
    draw_markup(canvas, points, TWO, white, 5, 2.0, np.array(away))
    rows = int((canvas[:, 40, 0] > 127).sum())
    # OpenCV draws anti-aliased lines a little thicker.
    assert (rows <= 2) if thin else (5 <= rows <= 7)


def test_near_covers_far() -> None:
    canvas = np.zeros((40, 40, 3), np.uint8)
    points, colours = np.array([[20.0, 20, 5], [20.0, 20, -5]]), np.array([[0, 0, 255], [255, 255, 0]], np.uint8)
    draw_markup(canvas, points, TWO, colours, 1, 6.0)
    assert canvas[20, 20].tolist() == [255, 255, 0]


def test_depth_colours_by_hand() -> None:
    points = np.zeros((3, 3), np.float32)
    points[:, 2] = -7, 3, 13
    # Near is yellow, the middle red, far blue.
    assert depth_colours(points).tolist() == [[255, 214, 10], [255, 55, 95], [40, 90, 255]]


def test_small_photos_are_enlarged_about_pixel_centres() -> None:
    # A face of 50 pixels is enlarged ceil(220 / 50) = 5 times: pixel 20 becomes 100 to 104, with its centre at 102.
    points = np.zeros((2, 3), np.float32)
    points[:, 0], points[:, 1] = (20, 70), (20, 70)
    photo = np.zeros((100, 100, 3), np.uint8)
    face = Face(points, Box.around(points), 1.0, markup=Markup("dots", 2, (0, 1), {}, frozenset(), (0, 1), lines=()))
    drawn = draw_faces(photo, [face], boxes=False)
    assert drawn.shape == (500, 500, 3)
    y, x = np.nonzero(drawn[:300, :300].max(axis=2) > 60)
    assert (x.mean(), y.mean()) == pytest.approx((102, 102), abs=0.2)
    assert draw_faces(photo, [face], enlarge=False).shape == photo.shape


def test_all_68_landmarks_are_drawn() -> None:
    face = head(0, 0, 0, 110, 110, 100)
    drawn = draw_faces(np.zeros((220, 220, 3), np.uint8), [face], boxes=False, enlarge=False)
    x, y = np.round(face.landmarks[:, :2]).astype(int).T
    assert face.markup is MARKUP_68
    assert (drawn[y, x].max(axis=1) > 100).all()


if __name__ == "__main__":
    write_image(GOLDEN, drawing())
