"""Geometric augmentation: sample → training crop. Photometric augmentation follows in batches on the training device
(``jvcr.train.vary``).

Pure functions of a sample and a random generator, so that every crop is reproducible.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from jvcr.data.sample import Sample
from jvcr.frames import CROP_RULE, Crop, CropRule, crop_to_unit, mirrored
from jvcr.images import Image, extract
from jvcr.markups.markup import Markup
from jvcr.train.data.backgrounds import Backgrounds


class TrainingCrop(NamedTuple):
    """image (S, S, 3) uint8 RGB; points_unit (N, 3) float32; weight of its coordinate loss (0: no face);
    taught (N,): the landmarks that the losses include."""

    image: Image
    points_unit: NDArray[np.float32]
    weight: np.float32
    taught: NDArray[np.bool_]


NO_FACE_UNIT = -10.0
"""Coordinate of all landmarks of a crop without a face: so far outside that its volume is empty."""


@dataclass(frozen=True)
class Augmentation:
    """Strength of augmentation. Fields that end in ``_share`` are probabilities, others are standard deviations.

    ``scale`` applies to the logarithm of the crop's side; ``shift`` is in units of the side; angles are in degrees.

    Attributes:
        any_roll_share: crops with a uniform random rotation; the others use ``rotation_share`` and ``rotation_deg``.
        colour_shift: maximum of the uniform random offset of each channel, as a share of the full range.
        light_share: crops with changed brightness, contrast, gamma and colour cast.
        no_face_share: crops without a face, which teach G to leave the volume empty (only with backgrounds).
    """

    scale: float = 0.12
    shift: float = 0.045
    rotation_share: float = 0.6
    rotation_deg: float = 25.0
    any_roll_share: float = 0.0
    flip_share: float = 0.5
    light_share: float = 0.7
    colour_shift: float = 0.0
    grey_share: float = 0.1
    blur_share: float = 0.12
    coarse_share: float = 0.12
    noise_share: float = 0.12
    occlusion_share: float = 0.3
    no_face_share: float = 0.05

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            most = 1.0 if name.endswith("_share") or name == "colour_shift" else math.inf
            if not (0 <= value <= most and math.isfinite(value)):
                raise ValueError(f"augmentation.{name} is {value}; expected 0{'…1' if most == 1 else ' or more'}")


def augment(
    sample: Sample,
    size_px: int,
    markup: Markup,
    how: Augmentation,
    backgrounds: Backgrounds,
    rng: Generator,
    rule: CropRule = CROP_RULE,
) -> TrainingCrop:
    """A random crop of a face, or sometimes of no face.

    Args:
        backgrounds: fill the area outside the stored image, and provide crops without a face.
    """
    if backgrounds.without_faces and rng.random() < how.no_face_share:
        nowhere = np.full(sample.points_img.shape, NO_FACE_UNIT, np.float32)
        everything = np.ones(len(nowhere), bool)
        return TrainingCrop(backgrounds.no_face_crop(size_px, rng), nowhere, np.float32(0), everything)
    crop = _random_crop(sample, size_px, how, rng, rule)
    image = _extract_filled(sample.image, crop, backgrounds, rng)
    points_crop = crop.to_crop(sample.points_img)
    taught = np.ones(len(points_crop), bool) if sample.taught is None else sample.taught
    if rng.random() < how.flip_share:
        image, points_crop = flip(image, points_crop, markup)
        taught = taught[list(markup.mirror)]
    points_unit = crop_to_unit(points_crop, size_px).astype(np.float32)
    return TrainingCrop(image, points_unit, np.float32(sample.weight), taught)


def flip(image: Image, points_crop: NDArray[np.float32], markup: Markup) -> tuple[Image, NDArray[np.float32]]:
    """Mirror image and landmarks: column x becomes S − 1 − x, and mirror pairs are swapped."""
    partners = points_crop[..., list(markup.mirror), :]
    return np.ascontiguousarray(image[:, ::-1]), mirrored(partners, image.shape[1])


def _random_crop(sample: Sample, size_px: int, how: Augmentation, rng: Generator, rule: CropRule) -> Crop:
    rotation = 0.0
    if how.any_roll_share and rng.random() < how.any_roll_share:
        rotation = float(rng.uniform(-180, 180))
    elif rng.random() < how.rotation_share:
        rotation = float(np.clip(rng.normal(0, how.rotation_deg), -75, 75))
    crop = Crop.around(sample.points_img, size_px, rotation, rule)
    side_px = crop.side_px * float(np.exp(np.clip(rng.normal(0, how.scale), -0.28, 0.28)))
    shift = np.clip(rng.normal(0, how.shift, 2), -0.11, 0.11) * side_px
    return Crop(crop.centre_x + float(shift[0]), crop.centre_y + float(shift[1]), side_px, size_px, rotation)


def _extract_filled(image: Image, crop: Crop, backgrounds: Backgrounds, rng: Generator) -> Image:
    """The crop, with random padding outside the stored image (stored images may be tighter than the crop)."""
    kind = rng.random()
    if kind < 0.35:
        return extract(image, crop, cv2.BORDER_REPLICATE)
    if kind < 0.6:
        return extract(image, crop, cv2.BORDER_REFLECT_101)
    if kind < 0.85 and backgrounds.without_faces:
        return extract(image, crop, onto=backgrounds.patch(crop.size_px, rng))
    colour = np.full((crop.size_px, crop.size_px, 3), rng.integers(0, 256, 3), np.uint8)
    return extract(image, crop, onto=colour)
