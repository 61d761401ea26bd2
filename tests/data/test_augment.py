from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jvcr.data.sample import Sample
from jvcr.frames import Crop, unit_to_crop, unit_to_vox
from jvcr.images import extract
from jvcr.markups.markup import MARKUP_68
from jvcr.train.data.augment import NO_FACE_UNIT, Augmentation, augment, flip
from jvcr.train.data.backgrounds import Backgrounds
from jvcr.volume import rasterise

MakeHead = Callable[..., np.ndarray]

STILL = Augmentation(**dict.fromkeys(Augmentation.__dataclass_fields__, 0.0))
GEOMETRY = replace(STILL, scale=0.12, shift=0.045, rotation_share=0.6, rotation_deg=25.0)


@pytest.fixture
def face(make_head: MakeHead) -> Sample:
    """A large noise image, so that a crop never reaches beyond it."""
    image = np.random.default_rng(0).integers(0, 256, (400, 440, 3), dtype=np.uint8)
    return Sample("face", image, make_head(20, 5, eyes_px=60, centre=(215, 195)), weight=0.7)


@given(st.integers(0, 1000), st.integers(3, 12))
def test_flip_twice_is_the_identity(seed: int, size: int) -> None:
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (size, size, 3), dtype=np.uint8)
    points = rng.normal(0, 50, (68, 3))
    once = flip(image, points, MARKUP_68)
    twice = flip(*once, MARKUP_68)
    np.testing.assert_array_equal(twice[0], image)
    np.testing.assert_allclose(twice[1], points, atol=1e-9)


def test_flip_by_hand() -> None:
    image = np.zeros((7, 7, 3), np.uint8)
    image[5, 1] = 255
    points = np.zeros((68, 3))
    points[36] = (1, 5, -3)
    flipped, mirrored = flip(image, points, MARKUP_68)
    # Column 1 of 7 becomes column 5; the right eye's outer corner becomes the left one's.
    assert flipped[5, 5].min() == 255
    np.testing.assert_array_equal(mirrored[45], [5, 5, -3])
    np.testing.assert_array_equal(points[36], [1, 5, -3])


@pytest.mark.parametrize("flipped", [False, True])
@pytest.mark.parametrize("eyes_px", [25.0, 60.0], ids=["small face", "reduced first"])
def test_landmarks_follow_the_pixels(make_head: MakeHead, eyes_px: float, flipped: bool) -> None:
    size_px = 64
    points = make_head(15, -5, eyes_px=eyes_px, centre=(215, 195))
    how = replace(GEOMETRY, flip_share=float(flipped))
    row, column = np.mgrid[0:size_px, 0:size_px]
    for seed, landmark in enumerate((36, 8, 30, 54, 3, 17)):
        image = np.zeros((400, 440, 3), np.float64)
        y, x = np.mgrid[0:400, 0:440]
        squared = (x - points[landmark, 0]) ** 2 + (y - points[landmark, 1]) ** 2
        image += np.exp(-squared / (2 * (eyes_px / 15) ** 2))[..., None] * 255
        sample = Sample("dot", image.astype(np.uint8), points)
        crop = augment(sample, size_px, MARKUP_68, how, Backgrounds(), np.random.default_rng(seed))
        bright = crop.image[..., 0].astype(np.float64)
        found = np.array([(bright * column).sum(), (bright * row).sum()]) / bright.sum()
        expected = unit_to_crop(crop.points_unit, size_px)[MARKUP_68.mirror[landmark] if flipped else landmark]
        np.testing.assert_allclose(found, expected[:2], atol=0.2)


def test_depth_scales_with_the_plane(face: Sample) -> None:
    crop = augment(face, 64, MARKUP_68, GEOMETRY, Backgrounds(), np.random.default_rng(3))
    # A turn in the plane and a change of scale: 3D distances keep their ratios.
    got = unit_to_crop(crop.points_unit.astype(np.float64), 64)
    pairs = [(36, 45), (30, 0), (8, 27), (30, 16)]
    ratios = [math.dist(got[a], got[b]) / math.dist(face.points_img[a], face.points_img[b]) for a, b in pairs]
    np.testing.assert_allclose(ratios, ratios[0], rtol=1e-4)


def test_without_variation_it_is_the_crop_of_prediction(face: Sample) -> None:
    got = augment(face, 64, MARKUP_68, STILL, Backgrounds(), np.random.default_rng(5))
    crop = Crop.from_box(face.box, 64)
    image = extract(face.image, crop)
    np.testing.assert_allclose(unit_to_crop(got.points_unit, 64), crop.to_crop(face.points_img), atol=1e-3)
    difference = np.abs(got.image.astype(int) - image)
    assert difference.mean() < 1
    assert got.weight == np.float32(0.7)


def test_same_seed_same_crop(face: Sample) -> None:
    grey = Backgrounds(without_faces=(np.full((90, 70, 3), 90, np.uint8),))
    crops = [augment(face, 64, MARKUP_68, Augmentation(), grey, np.random.default_rng(s)) for s in (7, 7, 8)]
    np.testing.assert_array_equal(crops[0].image, crops[1].image)
    np.testing.assert_array_equal(crops[0].points_unit, crops[1].points_unit)
    assert not np.array_equal(crops[0].points_unit, crops[2].points_unit)


def test_all_variations_keep_type_and_shape(face: Sample) -> None:
    always = Augmentation(**{n: 1.0 if n.endswith("_share") else v for n, v in vars(Augmentation()).items()})
    before = face.image.copy(), face.points_img.copy()
    for seed in range(20):
        backgrounds = Backgrounds((cv2.resize(face.image, (90, 70)),) if seed % 2 else ())
        how = replace(always, no_face_share=0.0)
        crop = augment(face, 48, MARKUP_68, how, backgrounds, np.random.default_rng(seed))
        assert (crop.image.shape, crop.image.dtype) == ((48, 48, 3), np.uint8)
        assert (crop.points_unit.shape, crop.points_unit.dtype) == ((68, 3), np.float32)
    np.testing.assert_array_equal(face.image, before[0])
    np.testing.assert_array_equal(face.points_img, before[1])


def test_crop_without_a_face(face: Sample) -> None:
    grey = Backgrounds(without_faces=(np.full((90, 70, 3), 90, np.uint8),))
    how = replace(STILL, no_face_share=1.0)
    crop = augment(face, 64, MARKUP_68, how, grey, np.random.default_rng(1))
    assert crop.weight == 0
    assert (crop.image == 90).all()
    assert (crop.points_unit == NO_FACE_UNIT).all()
    for shape in ((1, 5, 7), (16, 16, 16), (64, 64, 64)):
        assert rasterise(unit_to_vox(crop.points_unit[:1], shape), shape).max() == 0
    # Without photographs of no face there is nothing to draw them from.
    assert augment(face, 64, MARKUP_68, how, Backgrounds(), np.random.default_rng(1)).weight == np.float32(0.7)


def test_what_is_taught_is_mirrored_with_the_landmarks(face: Sample) -> None:
    taught = np.ones(68, bool)
    taught[[36, 60]] = False  # the right eye's outer corner, the right inner corner of the mouth
    how = replace(STILL, flip_share=1.0)
    crop = augment(replace(face, taught=taught), 64, MARKUP_68, how, Backgrounds(), np.random.default_rng(1))
    assert np.flatnonzero(~crop.taught).tolist() == [45, 64]


def test_a_frame_hides_a_part_and_moves_nothing(face: Sample) -> None:
    how = replace(STILL, truncated_share=1.0)
    # Smooth, so that reduction on another grid changes little.
    y, x = np.mgrid[:400, :440]
    face.image[:] = np.stack([x * 255 / 440, y * 255 / 400, (x + y) * 255 / 840], axis=2).astype(np.uint8)
    whole = extract(face.image, Crop.around(face.points_img, 64))
    expected = augment(face, 64, MARKUP_68, STILL, Backgrounds([], []), np.random.default_rng(0)).points_unit
    kept, without = [], 0
    for seed in range(120):
        crop = augment(face, 64, MARKUP_68, how, Backgrounds([], []), np.random.default_rng(seed))
        if not crop.weight:
            without += 1
            assert (crop.points_unit == NO_FACE_UNIT).all()
            continue
        np.testing.assert_allclose(crop.points_unit, expected, atol=1e-6)
        same = (np.abs(crop.image.astype(int) - whole) <= 2).all(axis=2)
        # The visible part is a rectangle.
        rows, columns = np.nonzero(same)
        assert same[rows.min() + 1 : rows.max(), columns.min() + 1 : columns.max()].mean() > 0.95
        kept.append(same.mean())
    assert 5 < without < 35
    assert 0.05 < min(kept) < 0.35 and max(kept) > 0.7


def test_impostors_have_their_eyes_where_an_upside_down_face_has_them(face: Sample) -> None:
    how = replace(STILL, truncated_share=1.0)
    face.image[:] = 60
    eyes = face.points_img[[36, 45]]
    for x, y in eyes[:, :2]:
        cv2.circle(face.image, (round(x), round(y)), 5, (255, 255, 255), -1)
    upright = Crop.around(face.points_img, 64)
    # The crop is turned with the impostor, so that its eyes are as high as those of an upright face.
    expected = upright.to_crop(eyes)[:, :2] * [-1, 1] + [63, 0]
    found = 0
    for seed in range(60):
        crop = augment(face, 64, MARKUP_68, how, Backgrounds([], []), np.random.default_rng(seed))
        if not crop.weight:
            found += 1
            rows, columns = np.nonzero(crop.image.min(axis=2) > 200)
            for x, y in expected:
                assert np.hypot(columns - x, rows - y).min() < 4
    assert found > 3
