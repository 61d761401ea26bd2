"""Where things appear in the pictures, redone by hand; voxels and pixels of pairwise different sizes."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from jvcr.draw.volume import FRONT, OBLIQUE, SIDE, TOP, View, draw_crop, draw_shape, draw_volume, place, stage_row
from jvcr.markups.markup import MARKUP_68, Markup
from jvcr.volume import rasterise

TWO_POINTS = Markup("two", 2, (0, 1), {}, frozenset(), (0, 1))


def ink(picture: NDArray[np.uint8]) -> NDArray[np.float64]:
    """How far each pixel is from white."""
    return (255.0 - picture).sum(axis=2)


def middle_of_ink(picture: NDArray[np.uint8]) -> tuple[float, float]:
    """x, y."""
    weight = ink(picture)
    y, x = np.mgrid[0 : picture.shape[0], 0 : picture.shape[1]]
    return float((x * weight).sum() / weight.sum()), float((y * weight).sum() / weight.sum())


def test_place_by_hand() -> None:
    point = np.array([0.25, 0.375, 0.125])
    # x right, y down: 0.25 · 64 - 0.5 and 0.375 · 64 - 0.5; depth counts from the cube's middle.
    assert place(point, FRONT, 64) == pytest.approx([15.5, 23.5, -24])
    # From the photo's right, z points right; the point's x lies 0.25 behind the middle.
    assert place(point, SIDE, 64) == pytest.approx([7.5, 23.5, 16])
    # From above, what is near the camera is at the bottom.
    assert place(point, TOP, 64) == pytest.approx([15.5, 55.5, -8])


def test_every_view_shows_the_whole_cube_and_turns_without_mirroring() -> None:
    corners = np.array(np.meshgrid([0, 1], [0, 1], [0, 1])).reshape(3, -1).T
    for view in (FRONT, SIDE, TOP, OBLIQUE, View(-50, 30), View(200, -70)):
        placed = place(corners, view, 100)[:, :2]
        assert placed.min() >= -0.5 - 1e-9 and placed.max() <= 99.5 + 1e-9
        assert max(np.ptp(placed, axis=0)) == pytest.approx(100)
        assert np.linalg.det(view.rotation) == pytest.approx(1)


@pytest.mark.parametrize("colours", ["depth", "density"])
@pytest.mark.parametrize(
    ("view", "x_unit", "y_unit"),
    [(FRONT, 4.5 / 17, 8.5 / 13), (SIDE, 3.5 / 9, 8.5 / 13), (TOP, 4.5 / 17, 1 - 3.5 / 9)],
)
def test_a_gaussian_appears_where_its_voxel_is(colours: str, view: View, x_unit: float, y_unit: float) -> None:
    volume = rasterise(np.array([[4.0, 8, 3]]), (9, 13, 17))
    picture = draw_volume(volume, view, 170, colours=colours, frame=False)
    assert picture.shape == (170, 170, 3)
    # A voxel is 10 to 19 pixels wide here.
    assert middle_of_ink(picture) == pytest.approx((x_unit * 170 - 0.5, y_unit * 170 - 0.5), abs=1)


def test_a_gaussian_appears_where_an_oblique_view_places_it() -> None:
    view = View(-40, 25)
    volume = rasterise(np.array([[11.0, 3, 8]]), (12, 14, 16))
    x, y, _ = place(np.array([11.5 / 16, 3.5 / 14, 8.5 / 12]), view, 120)
    assert middle_of_ink(draw_volume(volume, view, 120, frame=False)) == pytest.approx((x, y), abs=1)


def test_near_is_yellow_far_is_blue_and_near_hides_far() -> None:
    # Two Gaussians beside each other, and one behind the first.
    volume = rasterise(np.array([[4.0, 8, 3], [12.0, 8, 14]]), (18, 16, 17))
    picture = draw_volume(volume, FRONT, 170, frame=False)
    row = round(8.5 / 16 * 170)
    near, far = picture[row, 45].astype(int), picture[row, 125].astype(int)
    assert near[0] > 240 and near[1] - near[2] > 60
    assert far[2] > 200 and far[2] - far[0] > 60
    hidden = rasterise(np.array([[4.0, 8, 3], [4.0, 8, 14]]), (18, 16, 17))
    front = draw_volume(hidden, FRONT, 170, frame=False)[row, 45].astype(int)
    back = draw_volume(hidden, View(yaw_deg=180), 170, frame=False)[row, 170 - 1 - 45].astype(int)
    assert front[0] > front[2] + 60
    assert back[2] > back[0] + 60


def test_the_colours_follow_a_given_range() -> None:
    volume = rasterise(np.array([[8.0, 8, 12]]), (16, 17, 18))
    row, column = round(8.5 / 17 * 90), round(8.5 / 18 * 90)
    # The Gaussian's z is 12.5 / 16 = 0.78: the far end of one range, the near end of the other.
    far = draw_volume(volume, FRONT, 90, z_range_unit=(0.1, 0.7), frame=False)[row, column].astype(int)
    near = draw_volume(volume, FRONT, 90, z_range_unit=(0.85, 0.95), frame=False)[row, column].astype(int)
    assert far[2] > far[0] + 60
    assert near[0] > near[2] + 60


def test_one_slice_is_a_beam_through_the_whole_depth() -> None:
    volume = np.zeros((1, 10, 12), np.float32)
    volume[0, 6, 3] = 1
    front = draw_volume(volume, FRONT, 60, frame=False)
    assert middle_of_ink(front) == pytest.approx((3.5 / 12 * 60 - 0.5, 6.5 / 10 * 60 - 0.5), abs=0.5)
    side = ink(draw_volume(volume, SIDE, 60, frame=False))
    # Row 6 of 10 covers the picture's rows 36 to 41.
    assert side[36:42].min() > 60
    assert side[:28].max() == 0 and side[50:].max() == 0


def test_a_slice_of_four_lies_in_its_quarter() -> None:
    volume = np.zeros((4, 20, 21), np.float32)
    volume[2, 8:12, 8:13] = 1
    x, y = middle_of_ink(draw_volume(volume, SIDE, 80, colours="density", frame=False))
    assert (x, y) == pytest.approx((2.5 / 4 * 80 - 0.5, 10 / 20 * 80 - 0.5), abs=0.5)


def test_an_empty_volume_leaves_the_ground() -> None:
    assert (draw_volume(np.full((2, 3, 4), 0.05), OBLIQUE, 30, frame=False) == 255).all()
    assert draw_volume(np.zeros((2, 3, 4)), OBLIQUE, 30, frame=False, dark=True).max() < 30
    assert ink(draw_volume(np.zeros((2, 3, 4)), OBLIQUE, 30)).max() > 50, "the frame"


def test_the_crop_stands_on_the_far_wall() -> None:
    crop = np.random.default_rng(5).integers(0, 255, (40, 40, 3), np.uint8)
    picture = draw_volume(np.zeros((3, 4, 5)), FRONT, 40, frame=False, behind=crop)
    assert np.array_equal(picture, crop)
    # From the side the wall is a line at the right edge.
    assert ink(draw_volume(np.zeros((3, 4, 5)), View(80, 0), 40, frame=False, behind=crop))[:, :28].max() == 0


def test_shape_x_is_right_and_y_is_down() -> None:
    # In the middle of pixels 72, 24 and 24, 60 of 96.
    points = np.array([[72.5 / 96, 24.5 / 96, 19.5 / 96], [24.5 / 96, 60.5 / 96, 0.8]])
    picture = draw_shape(points, TWO_POINTS, FRONT, 96, frame=False).astype(int)
    near, far = picture[24, 72], picture[60, 24]
    assert near.tolist() == [255, 214, 10]
    assert far.tolist() == [40, 90, 255]
    assert ink(picture)[24, 24] == 0 and ink(picture)[60, 72] == 0
    # From above: x stays, what is near is at the bottom.
    above = draw_shape(points, TWO_POINTS, TOP, 96, frame=False).astype(int)
    assert above[96 - 1 - 19, 72].tolist() == [255, 214, 10]


def test_landmarks_lie_on_the_enlarged_crop() -> None:
    crop = np.full((20, 20, 3), 90, np.uint8)
    picture = draw_crop(crop, np.array([[4.0, 12, -3], [15.0, 6, 3]]), TWO_POINTS, 100)
    # Five times as large: the centre of pixel 4 is at 4.5 · 5 - 0.5 = 22.
    assert picture[62, 22].tolist() == [255, 214, 10]
    assert picture[32, 77].tolist() == [40, 90, 255]
    assert (crop == 90).all()


def test_a_row_of_stages() -> None:
    rng = np.random.default_rng(3)
    crop = rng.integers(0, 255, (32, 32, 3), np.uint8)
    points = (rng.uniform(4, 27, (68, 3)) - (0, 0, 16)).astype(np.float32)
    volumes = [rng.random((depth, 8, 8)).astype(np.float32) for depth in (1, 2, 8)]
    before = [volume.copy() for volume in volumes]
    row = stage_row(crop, points, volumes, MARKUP_68, size_px=48)
    # Crop, landmarks, three volumes, shape.
    assert row.shape == (48, 6 * 48, 3) and row.dtype == np.uint8
    assert all(np.array_equal(a, b) for a, b in zip(before, volumes, strict=True))
    assert np.array_equal(row, stage_row(crop, points, volumes, MARKUP_68, size_px=48))
    labelled = stage_row(crop, points, volumes, MARKUP_68, true_crop=points, size_px=48)
    assert np.array_equal(labelled[:, :48], row[:, 48:96])
    assert np.array_equal(labelled[:, 48:], row[:, 48:])
    assert np.array_equal(
        row[:, 96:144],
        draw_volume(
            volumes[0],
            size_px=48,
            dark=True,
            # Crop pixels to unit: z = 0 is the middle of 32.
            z_range_unit=(points[:, 2].min() / 32 + 0.5, points[:, 2].max() / 32 + 0.5),
        ),
    )


def test_errors_say_what_was_expected() -> None:
    with pytest.raises(ValueError, match=r"shape \(4, 5\); expected \(D, H, W\)"):
        draw_volume(np.zeros((4, 5)))
    with pytest.raises(ValueError, match="not finite"):
        draw_volume(np.full((2, 3, 4), np.nan))
    with pytest.raises(ValueError, match="'rainbow' are unknown"):
        draw_volume(np.zeros((2, 3, 4)), colours="rainbow")
    with pytest.raises(ValueError, match=r"\(5, 3\); markup 'ibug-68' expects \(68, 3\)"):
        draw_shape(np.zeros((5, 3)), MARKUP_68)
    with pytest.raises(ValueError, match="not finite"):
        draw_crop(np.zeros((8, 8, 3), np.uint8), np.full((2, 3), np.inf), TWO_POINTS)
