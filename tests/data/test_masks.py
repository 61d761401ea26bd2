"""Masks are drawn over mouth and chin, below the eyes, and nowhere else."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

pytest.importorskip("torch")

from jvcr.data.sample import Sample
from jvcr.geometry import mean_shape_68
from jvcr.markups.markup import MARKUP_68
from jvcr.train.data.augment import Augmentation, augment
from jvcr.train.data.backgrounds import Backgrounds
from jvcr.train.data.masks import check_markup, with_mask

STILL = Augmentation(**{n: 0.0 if n.endswith("_share") else v for n, v in vars(Augmentation()).items()})


def face(yaw_deg: float = 0.0) -> Sample:
    """The mean head, turned, on a plain grey photo."""
    angle = np.radians(yaw_deg)
    turn = np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])
    head = mean_shape_68() - mean_shape_68().mean(axis=0)
    points = 110 * head / np.ptp(head[:, 1]) @ turn.T + [100, 90, 0]
    return Sample("head", np.full((200, 200, 3), 128, np.uint8), points.astype(np.float32))


def share_changed(sample: Sample, image: np.ndarray, members: range | list[int]) -> float:
    x, y = np.rint(sample.points_img[members, :2]).astype(int).T
    return float((image[y, x] != sample.image[y, x]).any(axis=1).mean())


@pytest.mark.parametrize("yaw_deg", [0.0, 35.0, -75.0])
def test_a_mask_covers_the_mouth_and_leaves_the_eyes(yaw_deg: float) -> None:
    sample = face(yaw_deg)
    before = sample.image.copy()
    for seed in range(20):
        masked, hidden = with_mask(sample.image, sample.points_img, np.random.default_rng(seed))
        assert hidden[48:68].all() and hidden[8] and not hidden[[0, 16, *range(17, 28), *range(36, 48)]].any()
        assert masked.shape == before.shape and masked.dtype == np.uint8
        # Cloth may have the colour of the skin in single pixels.
        assert share_changed(sample, masked, range(48, 68)) > 0.9
        assert share_changed(sample, masked, range(17, 27)) == 0
        low, high = sample.points_img[36:48, :2].min(axis=0), sample.points_img[36:48, :2].max(axis=0)
        assert sample.points_img[36:48, 1].max() < sample.points_img[29, 1]
        eyes = (slice(round(low[1]), round(high[1])), slice(round(low[0]) + 4, round(high[0]) - 4))
        assert (masked[eyes] != before[eyes]).any(axis=2).mean() < 0.35
        box = np.ptp(sample.points_img[:, :2], axis=0)
        rows, columns = np.nonzero((masked != before).any(axis=2))
        middle = sample.points_img[48:60, :2].mean(axis=0)
        assert np.abs(rows - middle[1]).max() < box[1] and np.abs(columns - middle[0]).max() < 1.2 * box[0]
    np.testing.assert_array_equal(sample.image, before)


def test_masks_differ() -> None:
    sample = face()
    made = [with_mask(sample.image, sample.points_img, np.random.default_rng(seed)).image for seed in range(30)]
    x, y = np.rint(sample.points_img[57, :2]).astype(int)
    colours = np.array([image[y, x] for image in made], float)
    assert (colours.std(axis=0) > 30).all()
    tops = [np.nonzero((image[:, 100] != 128).any(axis=1))[0].min() for image in made]
    assert max(tops) - min(tops) > 5


def test_masks_are_as_dark_as_the_photo_and_grey_in_a_grey_one() -> None:
    sample = face()
    dark = np.full_like(sample.image, 20)
    means = []
    for image in (dark, np.full_like(sample.image, 170)):
        masks = [with_mask(image, sample.points_img, np.random.default_rng(seed)).image for seed in range(20)]
        x, y = np.rint(sample.points_img[57, :2]).astype(int)
        means.append(np.mean([mask[y, x] for mask in masks]))
        assert all(np.ptp(mask[y, x].astype(int)) <= 15 for mask in masks)
    assert means[0] < 0.6 * means[1]


def test_a_crop_may_wear_a_mask_and_keeps_its_labels() -> None:
    sample = face()
    cv2.circle(sample.image, (100, 60), 3, (200, 100, 50), -1)
    bare, masked = (
        augment(sample, 64, MARKUP_68, replace(STILL, mask_share=share), Backgrounds(), np.random.default_rng(0))
        for share in (0.0, 1.0)
    )
    np.testing.assert_array_equal(bare.points_unit, masked.points_unit)
    assert 0.1 < (bare.image != masked.image).any(axis=2).mean() < 0.5


def test_masks_need_the_68_points() -> None:
    check_markup(MARKUP_68)
    with pytest.raises(ValueError, match="leave it at 0"):
        check_markup(replace(MARKUP_68, name="mine"))
