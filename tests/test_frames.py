from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from jvcr.frames import (
    Box,
    Crop,
    borders,
    crop_to_unit,
    middle_of,
    px_to_share,
    rescaled,
    resized,
    share_to_px,
    unit_to_crop,
    unit_to_vox,
    vox_to_unit,
)
from jvcr.images import extract

points = arrays(np.float64, st.tuples(st.integers(1, 5), st.just(3)), elements=st.floats(-1e3, 1e3))
crops = st.builds(
    Crop,
    centre_x=st.floats(-1e3, 1e3),
    centre_y=st.floats(-1e3, 1e3),
    side_px=st.floats(3, 3000),
    size_px=st.integers(16, 300),
    rotation_deg=st.floats(-180, 180),
    centre_z=st.floats(-1e3, 1e3),
)
shapes = st.tuples(st.integers(1, 70), st.integers(1, 70), st.integers(1, 70))


@given(points, crops)
def test_crop_and_uncrop_are_inverse(points_img: np.ndarray, crop: Crop) -> None:
    np.testing.assert_allclose(crop.to_image(crop.to_crop(points_img)), points_img, atol=1e-6)
    np.testing.assert_allclose(crop.to_crop(crop.to_image(points_img)), points_img, atol=1e-6)


@given(points, st.integers(1, 300))
def test_unit_and_crop_are_inverse(points_crop: np.ndarray, size_px: int) -> None:
    np.testing.assert_allclose(unit_to_crop(crop_to_unit(points_crop, size_px), size_px), points_crop, atol=1e-9)


@given(points, shapes)
def test_unit_and_vox_are_inverse(points_vox: np.ndarray, shape: tuple[int, int, int]) -> None:
    np.testing.assert_allclose(unit_to_vox(vox_to_unit(points_vox, shape), shape), points_vox, atol=1e-9)


def test_box_to_crop_by_hand() -> None:
    crop = Crop.from_box(Box(10, 20, 40, 70), size_px=64)
    # The longer side is 50: 1.6 · 50 = 80 image pixels on 64 samples, 0.8 each; the centre falls between 31 and 32.
    assert (crop.centre_x, crop.centre_y, crop.side_px) == (25, 45, 80)
    got = crop.to_crop(np.array([[25.0, 45, 0], [35, 45, 5], [25, 25, -10]]))
    np.testing.assert_allclose(got, [[31.5, 31.5, 0], [39.5, 31.5, 4], [31.5, 15.5, -8]])


def test_border_of_the_square_is_half_a_pixel_outside() -> None:
    crop = Crop(centre_x=9.5, centre_y=19.5, side_px=20, size_px=40)
    # The square covers the pixels 0…19 and 10…29, whose borders are at -0.5 and 9.5.
    np.testing.assert_allclose(crop.to_crop(np.array([-0.5, 9.5, 0])), [-0.5, -0.5, 0])
    np.testing.assert_allclose(crop.to_crop(np.array([19.5, 29.5, 0])), [39.5, 39.5, 0])


@pytest.mark.parametrize(
    ("rotation_deg", "expected"), [(0, [41.5, 31.5]), (90, [31.5, 41.5]), (180, [21.5, 31.5]), (-90, [31.5, 21.5])]
)
def test_rotation_turns_the_content_clockwise(rotation_deg: float, expected: list[float]) -> None:
    crop = Crop(centre_x=50, centre_y=40, side_px=64, size_px=64, rotation_deg=rotation_deg)
    # A point 10 px to the right of the centre; y points down, so at +90° it lies below.
    np.testing.assert_allclose(crop.to_crop(np.array([60.0, 40, 7])), [*expected, 7])


def test_unit_by_hand() -> None:
    np.testing.assert_allclose(crop_to_unit(np.array([0.0, 3, 0]), 4), [0.125, 0.875, 0.5])
    np.testing.assert_allclose(unit_to_crop(np.array([0.0, 1, 0.75]), 4), [-0.5, 3.5, 1])


def test_vox_by_hand() -> None:
    shape = (3, 7, 11)  # D, H, W against x, y, z
    np.testing.assert_allclose(unit_to_vox(np.array([0.5, 0.25, 0.1]), shape), [5, 1.25, -0.2])
    np.testing.assert_allclose(vox_to_unit(np.array([4.0, 2, 1]), shape), [4.5 / 11, 2.5 / 7, 1.5 / 3])


def test_middle_and_borders_by_hand() -> None:
    assert (middle_of(4), middle_of(5)) == (1.5, 2)
    assert borders(4) == (-0.5, 3.5)
    assert Box.of_image(4, 3) == Box(-0.5, -0.5, 3.5, 2.5)
    low, high = borders(np.array([4, 3]))
    assert low == -0.5 and high.tolist() == [3.5, 2.5]


def test_rescaled_by_hand() -> None:
    # Pixels 0 and 1 become the four pixels 0 to 3: their centres come to lie at 0.5 and 2.5.
    assert (rescaled(0, 2), rescaled(1, 2)) == (0.5, 2.5)
    # A box of whole cells is one of whole pixels: cell 1 holds the pixels 8 to 15.
    assert rescaled(np.array([0.5, 1.5]), 8).tolist() == [7.5, 15.5]
    assert rescaled(np.array([[7.5, 15.5]]), 1 / 8).tolist() == [[0.5, 1.5]]
    # Twice as wide, three times as high; depth stays.
    assert rescaled(np.array([1.0, 1.0]), np.array([2, 3])).tolist() == [2.5, 4]
    assert resized(np.array([[1, 0, 7]]), 2).tolist() == [[2.5, 0.5, 7]]


def test_shares_by_hand() -> None:
    assert (share_to_px(0.0, 4), share_to_px(0.5, 4), share_to_px(1.0, 4)) == (-0.5, 1.5, 3.5)
    assert (px_to_share(0, 4), px_to_share(1.5, 4)) == (0.125, 0.5)


def test_tensors_are_converted_as_arrays_are() -> None:
    torch = pytest.importorskip("torch")
    points_unit, shape = np.random.default_rng(0).uniform(-0.3, 1.3, (2, 5, 3)).astype(np.float32), (3, 7, 11)
    points_vox = unit_to_vox(points_unit, shape)
    got = unit_to_vox(torch.from_numpy(points_unit), shape)
    assert got.dtype == torch.float32
    np.testing.assert_array_equal(got.numpy(), points_vox)
    np.testing.assert_array_equal(vox_to_unit(got, shape).numpy(), vox_to_unit(points_vox, shape))
    np.testing.assert_array_equal(rescaled(got, 1 / 8).numpy(), rescaled(points_vox, 1 / 8))


def test_float32_points_stay_float32() -> None:
    points_f32 = np.ones((2, 3), np.float32)
    crop = Crop(1, 2, 3, 4)
    assert crop_to_unit(points_f32, 5).dtype == unit_to_vox(points_f32, (3, 7, 11)).dtype == np.float32
    assert crop.to_crop(points_f32).dtype == crop.to_image(points_f32).dtype == np.float32


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ((0, 0, float("nan"), 5), "not finite"),
        ((0, float("-inf"), 4, 5), "not finite"),
        ((4, 0, 4, 5), "empty"),
        ((0, 6, 4, 5), "empty"),
    ],
)
def test_invalid_box_is_refused(values: tuple[float, float, float, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Box(*values)


def test_box_around_points() -> None:
    box = Box.around(np.array([[3.0, 9, 100], [7, 2, -100], [5, 4, 0]]))
    assert box.to_list() == [3, 2, 7, 9]
    assert (box.width, box.height, box.centre) == (4, 7, (5, 5.5))


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        (Box(2, 1, 8, 5), 4 / (12 + 24 - 4)),
        (Box(0, 0, 4, 3), 1.0),
        (Box(1, 1, 2, 3), 2 / 12),
        (Box(4, 0, 6, 3), 0.0),  # touches
        (Box(9, 9, 11, 12), 0.0),
    ],
)
def test_overlap_by_hand(other: Box, expected: float) -> None:
    box = Box(0, 0, 4, 3)
    assert box.iou(other) == pytest.approx(expected)
    assert other.iou(box) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        (Box(-9, -9, -0.4, -0.4), True),
        (Box(-9, 2, -0.6, 4), False),
        (Box(9.4, 2, 20, 4), True),  # 10 px wide: the last pixel ends at 9.5
        (Box(9.6, 2, 20, 4), False),
        (Box(2, 6.6, 4, 20), False),
        (Box(-50, -50, 50, 50), True),
    ],
)
def test_meets_by_hand(box: Box, expected: bool) -> None:
    assert box.meets(image_width=10, image_height=7) is expected


def test_moved_in_depth_by_hand() -> None:
    crop = Crop(centre_x=25, centre_y=45, side_px=80, size_px=64).moved_in_depth(10).moved_in_depth(-5)
    # The cube's mid-depth is now at 5: a point at z = 10 is 5 image pixels, 4 crop pixels behind it.
    np.testing.assert_allclose(crop.to_crop(np.array([25.0, 45, 10])), [31.5, 31.5, 4])
    np.testing.assert_allclose(crop.to_image(np.array([31.5, 31.5, 0])), [25, 45, 5])


def test_square_by_hand() -> None:
    assert Crop(centre_x=25, centre_y=45, side_px=80, size_px=64).square == Box(-15, 5, 65, 85)


def test_reduced_by_hand() -> None:
    crop = Crop(centre_x=10.5, centre_y=8.5, side_px=12, size_px=6, rotation_deg=20, centre_z=7)
    # Cut at (4, 0): 6.5 and 8.5. Pixels 0 and 1, centre 0.5, become pixel 0.
    assert crop.reduced(left=4, top=0, factor=2) == Crop(3, 4, 6, 6, 20, 3.5)


@given(points, crops, st.integers(0, 90), st.integers(0, 90), st.integers(1, 7))
def test_reduced_crop_sees_the_same_points(
    points_img: np.ndarray, crop: Crop, left: int, top: int, factor: int
) -> None:
    on_reduced = (points_img - [left, top, 0] + [0.5, 0.5, 0]) / factor - [0.5, 0.5, 0]
    got = crop.reduced(left, top, factor).to_crop(on_reduced)
    # The crop's z is measured in its own pixels, whatever the image was reduced by.
    np.testing.assert_allclose(got, crop.to_crop(points_img), rtol=1e-9, atol=1e-6)


@pytest.mark.parametrize("rotation_deg", [0.0, 33.0, -120.0])
@pytest.mark.parametrize("side_px", [17.3, 26.9, 51.7, 74.9], ids=["enlarged", "as it is", "halved", "third"])
def test_extract_samples_a_ramp_at_the_right_coordinates(side_px: float, rotation_deg: float) -> None:
    height, width = 113, 127
    y, x = np.mgrid[0:height, 0:width]
    # Slope 2, so that 8 bits resolve a quarter of a pixel and averages over 2 or 3 pixels are whole numbers.
    image = np.stack([2 * x, 2 * y, 0 * x], axis=-1).astype(np.uint8)
    crop = Crop(centre_x=62.2, centre_y=55.7, side_px=side_px, size_px=24, rotation_deg=rotation_deg)
    row, column = np.mgrid[0:24, 0:24].astype(np.float64)
    expected = crop.to_image(np.stack([column, row, 0 * row], axis=-1))[..., :2]
    difference = extract(image, crop)[..., :2] / 2.0 - expected
    assert np.abs(difference).max() < 0.35
    assert np.abs(difference.mean(axis=(0, 1))).max() < 0.06


@pytest.mark.parametrize("side_px", [40.0, 130.0])
def test_extract_puts_a_blob_where_the_crop_says(side_px: float) -> None:
    image = np.zeros((160, 190, 3), np.uint8)
    cv2.circle(image, (90, 70), 4, (255, 255, 255), -1)
    crop = Crop(centre_x=86.0, centre_y=77.0, side_px=side_px, size_px=40, rotation_deg=25.0)
    bright = extract(image, crop)[..., 0].astype(np.float64)
    row, column = np.mgrid[0:40, 0:40]
    found = [(bright * column).sum() / bright.sum(), (bright * row).sum() / bright.sum()]
    np.testing.assert_allclose(found, crop.to_crop(np.array([90.0, 70, 0]))[:2], atol=0.1)


def test_extract_keeps_the_picture_underneath_where_there_is_no_image() -> None:
    image = np.full((20, 30, 3), 200, np.uint8)
    onto = np.full((16, 16, 3), 7, np.uint8)
    # The left half of the square lies outside of the image.
    crop = extract(image, Crop(centre_x=-0.5, centre_y=9.5, side_px=16, size_px=16), onto=onto)
    assert (crop[:, :7] == 7).all() and (crop[:, 9:] == 200).all() and (onto == 7).all()
