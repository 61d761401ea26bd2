"""Geometric augmentation: sample → training crop. Photometric augmentation follows in batches on the training device
(``jvcr.train.vary``).

Pure functions of a sample and a random generator, so that every crop is reproducible.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from jvcr.data.sample import Sample
from jvcr.frames import CROP_RULE, Box, Crop, CropRule, crop_to_unit, mirrored
from jvcr.images import Image, extract
from jvcr.markups.markup import Markup
from jvcr.train.data.backgrounds import Backgrounds
from jvcr.train.data.masks import with_mask


class TrainingCrop(NamedTuple):
    """image (S, S, 3) uint8 RGB; points_unit (N, 3) float32; weight of its coordinate loss (0: no face);
    taught (N,): the landmarks that the losses include."""

    image: Image
    points_unit: NDArray[np.float32]
    weight: np.float32
    taught: NDArray[np.bool_]


NO_FACE_UNIT = -10.0
"""Coordinate of all landmarks of a crop without a face: so far outside that its volume is empty."""


_TOP_SHARE, _OTHER_SHARE, _CLOSE_SHARE = (0.42, 0.95), (0.58, 0.95), (0.4, 0.95)
"""How much is visible of the height of a face that is truncated below, of the width or height of one that is truncated
on another side, and of both in a close-up."""

_IMPOSTOR_SHARE = 0.15

LEAST_COARSE = 0.7
"""Highest resolution of a coarse crop, relative to the network's input."""

_EYES = 0.22
"""Height of the eyes in an upright landmark box, from its top."""


@dataclass(frozen=True)
class Augmentation:
    """Strength of augmentation. Fields that end in ``_share`` are probabilities, others are standard deviations.

    ``scale`` applies to the logarithm of the crop's side; ``shift`` is in units of the side; angles are in degrees.

    Attributes:
        any_roll_share: crops with a uniform random rotation; the others use ``rotation_share`` and ``rotation_deg``.
        colour_shift: maximum of the uniform random offset of each channel, as a share of the full range.
        coarsest: lowest resolution of a coarse crop, relative to the network's input; the highest is 0.7.
        light_share: crops with changed brightness, contrast, gamma and colour cast.
        truncated_share: crops of which a photo's frame hides a part. Some of those that show only eyes and forehead are
            centred on an upside-down face with the same eyes: these are crops without a face.
        mask_share: faces that wear a medical mask (``jvcr.train.data.masks``); 68 points only.
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
    coarsest: float = 0.2
    noise_share: float = 0.12
    occlusion_share: float = 0.3
    truncated_share: float = 0.0
    mask_share: float = 0.0
    no_face_share: float = 0.05

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            most = 1.0 if name.endswith("_share") or name == "colour_shift" else math.inf
            if not (0 <= value <= most and math.isfinite(value)):
                raise ValueError(f"augmentation.{name} is {value}; expected 0{'…1' if most == 1 else ' or more'}")
        if self.coarsest > LEAST_COARSE:
            raise ValueError(f"augmentation.coarsest is {self.coarsest}; expected 0…{LEAST_COARSE}")


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
        return _without_face(backgrounds.no_face_crop(size_px, rng), sample)
    crop = _random_crop(sample, size_px, how, rng, rule)
    # No random number is drawn without masks or truncation, so that earlier recipes give the same crops.
    if how.mask_share and rng.random() < how.mask_share:
        sample = replace(sample, image=with_mask(sample.image, sample.points_img, rng).image)
    if how.truncated_share and rng.random() < how.truncated_share:
        if rng.random() < _IMPOSTOR_SHARE:
            return _without_face(_upside_down(sample, crop, backgrounds, rng), sample)
        image = _extract_part(sample.image, _visible(Box.around(sample.points_img), rng), crop, backgrounds, rng)
    else:
        image = _extract_filled(sample.image, crop, backgrounds, rng)
    points_crop = crop.to_crop(sample.points_img)
    taught = np.ones(len(points_crop), bool) if sample.taught is None else sample.taught
    if rng.random() < how.flip_share:
        image, points_crop = flip(image, points_crop, markup)
        taught = taught[list(markup.mirror)]
    points_unit = crop_to_unit(points_crop, size_px).astype(np.float32)
    return TrainingCrop(image, points_unit, np.float32(sample.weight), taught)


def _without_face(image: Image, sample: Sample) -> TrainingCrop:
    nowhere = np.full(sample.points_img.shape, NO_FACE_UNIT, np.float32)
    return TrainingCrop(image, nowhere, np.float32(0), np.ones(len(nowhere), bool))


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


def _visible(box: Box, rng: Generator) -> Box:
    """The part of the photo that a frame leaves: it cuts the face on one side, or is smaller than the face."""
    low, high = np.array([box.x0, box.y0]), np.array([box.x1, box.y1])
    extent = high - low
    if rng.random() < 0.6:
        start, end = low - 10 * extent, high + 10 * extent
        axis, first = int(rng.integers(2)), rng.random() < 0.5
        # Eyes and forehead say where the rest is; a chin or a cheek says less.
        share = rng.uniform(*(_TOP_SHARE if axis == 1 and first else _OTHER_SHARE))
        if first:
            end[axis] = low[axis] + share * extent[axis]
        else:
            start[axis] = high[axis] - share * extent[axis]
    else:
        shown = rng.uniform(*_CLOSE_SHARE) * extent
        start = low + rng.uniform(0.3, 0.7, 2) * (extent - shown)
        end = start + shown
    return Box(*start.tolist(), *end.tolist())


def _upside_down(sample: Sample, crop: Crop, backgrounds: Backgrounds, rng: Generator) -> Image:
    """The crop of an upside-down face that shares its eyes with the true one, which the frame cuts below them."""
    box = Box.around(sample.points_img)
    eyes_y = box.y0 + _EYES * box.height
    bottom = box.y0 + rng.uniform(0.38, 0.55) * box.height
    other = replace(crop, centre_y=2 * eyes_y - crop.centre_y, rotation_deg=crop.rotation_deg + 180)
    visible = Box(box.x0 - 10 * box.width, box.y0 - 10 * box.height, box.x1 + 10 * box.width, bottom)
    return _extract_part(sample.image, visible, other, backgrounds, rng)


def _extract_part(image: Image, visible: Box, crop: Crop, backgrounds: Backgrounds, rng: Generator) -> Image:
    """The crop of a photo that ends where ``visible`` does."""
    height, width = image.shape[:2]
    x0, y0 = (int(np.clip(round(v), 0, extent - 4)) for v, extent in ((visible.x0, width), (visible.y0, height)))
    x1, y1 = (
        int(np.clip(round(v), start + 4, extent))
        for v, start, extent in ((visible.x1, x0, width), (visible.y1, y0, height))
    )
    part = np.ascontiguousarray(image[y0:y1, x0:x1])
    moved = replace(crop, centre_x=crop.centre_x - x0, centre_y=crop.centre_y - y0)
    # Mostly as in prediction. Reflected borders would show a second face.
    kind = rng.random()
    if kind < 0.6:
        return extract(part, moved, cv2.BORDER_REPLICATE)
    return extract(part, moved, onto=_filling(crop.size_px, kind < 0.85, backgrounds, rng))


def _extract_filled(image: Image, crop: Crop, backgrounds: Backgrounds, rng: Generator) -> Image:
    """The crop, with random padding outside the stored image (stored images may be tighter than the crop)."""
    kind = rng.random()
    if kind < 0.35:
        return extract(image, crop, cv2.BORDER_REPLICATE)
    if kind < 0.6:
        return extract(image, crop, cv2.BORDER_REFLECT_101)
    return extract(image, crop, onto=_filling(crop.size_px, kind < 0.85, backgrounds, rng))


def _filling(size_px: int, photo: bool, backgrounds: Backgrounds, rng: Generator) -> Image:
    """(S, S, 3): a part of a photograph without a face, if there is one, or a colour."""
    if photo and backgrounds.without_faces:
        return backgrounds.patch(size_px, rng)
    return np.full((size_px, size_px, 3), rng.integers(0, 256, 3), np.uint8)
