"""Sample → training crop. Pure functions of a sample and a random generator, so that every crop can be made again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from jvcr.data.backgrounds import Backgrounds
from jvcr.data.sample import Sample
from jvcr.frames import CROP_RULE, Box, Crop, crop_to_unit, mirrored
from jvcr.images import Image, extract
from jvcr.markup import Markup


class TrainingCrop(NamedTuple):
    """image (S, S, 3) uint8 RGB; points_unit (N, 3) float32; weight of its coordinate loss (0: there is no face)."""

    image: Image
    points_unit: NDArray[np.float32]
    weight: np.float32


NO_FACE_UNIT = -10.0
"""Where the landmarks of a crop without a face are put: so far outside that its true volume is empty."""


@dataclass(frozen=True)
class Augmentation:
    """How much to vary a training crop. Standard deviations, and probabilities that end in ``_share``.

    ``scale`` is of the logarithm of the crop's side; ``shift`` is in sides; angles are in degrees.
    """

    scale: float = 0.12
    shift: float = 0.045
    rotation_share: float = 0.6
    rotation_deg: float = 25.0
    flip_share: float = 0.5
    light_share: float = 0.7
    grey_share: float = 0.1
    blur_share: float = 0.12
    coarse_share: float = 0.12
    noise_share: float = 0.12
    occlusion_share: float = 0.3
    no_face_share: float = 0.05
    """Crops that are not of a face: they teach G to leave the volume empty there (only with backgrounds)."""


def augment(
    sample: Sample, size_px: int, markup: Markup, how: Augmentation, backgrounds: Backgrounds, rng: Generator
) -> TrainingCrop:
    """A random crop of one face, or now and then of no face at all.

    Args:
        backgrounds: fill what lies outside the stored image, cover parts of faces, and give crops without a face.
    """
    if backgrounds.without_faces and rng.random() < how.no_face_share:
        image = _vary_pixels(backgrounds.no_face_crop(size_px, rng), how, backgrounds, rng)
        nowhere = np.full(sample.points_img.shape, NO_FACE_UNIT, np.float32)
        return TrainingCrop(image, nowhere, np.float32(0))
    crop = _random_crop(sample, size_px, how, rng)
    image = _extract_filled(sample.image, crop, backgrounds, rng)
    points_crop = crop.to_crop(sample.points_img)
    if rng.random() < how.flip_share:
        image, points_crop = flip(image, points_crop, markup)
    image = _vary_pixels(image, how, backgrounds, rng)
    return TrainingCrop(image, crop_to_unit(points_crop, size_px).astype(np.float32), np.float32(sample.weight))


def flip(image: Image, points_crop: NDArray[np.float32], markup: Markup) -> tuple[Image, NDArray[np.float32]]:
    """Mirror image and landmarks: column x becomes S − 1 − x, and each landmark takes its partner's place."""
    partners = points_crop[..., list(markup.mirror), :]
    return np.ascontiguousarray(image[:, ::-1]), mirrored(partners, image.shape[1])


def _random_crop(sample: Sample, size_px: int, how: Augmentation, rng: Generator) -> Crop:
    rotation = 0.0
    if rng.random() < how.rotation_share:
        rotation = float(np.clip(rng.normal(0, how.rotation_deg), -75, 75))
    # The crop rule speaks of the box of the turned landmarks: measure it in a turned frame first.
    frame = Crop.from_box(sample.box, size_px, rotation)
    turned = Box.around(frame.to_crop(sample.points_img))
    side_px = CROP_RULE * max(turned.width, turned.height) * frame.side_px / size_px
    side_px *= float(np.exp(np.clip(rng.normal(0, how.scale), -0.28, 0.28)))
    (x, y), shift = turned.centre, np.clip(rng.normal(0, how.shift, 2), -0.11, 0.11) * side_px
    centre = frame.to_image(np.array([[x, y, 0.0]]))[0]
    return Crop(float(centre[0] + shift[0]), float(centre[1] + shift[1]), side_px, size_px, rotation)


def _extract_filled(image: Image, crop: Crop, backgrounds: Backgrounds, rng: Generator) -> Image:
    """The crop, with a random kind of filling outside the stored image (stored crops are tighter than ours)."""
    kind = rng.random()
    if kind < 0.35:
        return extract(image, crop, cv2.BORDER_REPLICATE)
    if kind < 0.6:
        return extract(image, crop, cv2.BORDER_REFLECT_101)
    if kind < 0.85 and backgrounds.without_faces:
        return extract(image, crop, onto=backgrounds.patch(crop.size_px, rng))
    colour = np.full((crop.size_px, crop.size_px, 3), rng.integers(0, 256, 3), np.uint8)
    return extract(image, crop, onto=colour)


def _vary_pixels(image: Image, how: Augmentation, backgrounds: Backgrounds, rng: Generator) -> Image:
    size_px = image.shape[0]
    if rng.random() < how.occlusion_share:
        image = _occlude(image, backgrounds, rng)
    if rng.random() < how.light_share:
        image = _relight(image, rng)
    if rng.random() < how.grey_share:
        image = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    if rng.random() < how.coarse_share:
        small = int(size_px * rng.uniform(0.2, 0.7))
        reduced = cv2.resize(image, (small, small), interpolation=cv2.INTER_AREA)
        image = cv2.resize(reduced, (size_px, size_px), interpolation=cv2.INTER_LINEAR)
    if rng.random() < how.blur_share:
        image = cv2.GaussianBlur(image, (0, 0), size_px / 128 * rng.uniform(0.5, 2.0))
    if rng.random() < how.noise_share:
        noise = rng.normal(0, rng.uniform(2, 14), image.shape)
        image = np.clip(image + noise, 0, 255).astype(np.uint8)
    return np.asarray(image, np.uint8)


def _relight(image: Image, rng: Generator) -> Image:
    """Brightness, contrast, gamma, and a colour cast, as one look-up table a channel."""
    level = np.arange(256) / 255
    gamma, contrast, shift = np.exp(rng.normal(0, 0.25)), np.exp(rng.normal(0, 0.15)), rng.normal(0, 0.08)
    cast = np.exp(rng.normal(0, 0.08, 3))
    curve = ((level**gamma - 0.5) * contrast + 0.5 + shift)[:, None] * cast
    table = np.clip(255 * curve, 0, 255).astype(np.uint8)
    return np.asarray(cv2.LUT(image, table[None]), np.uint8)


def _occlude(image: Image, backgrounds: Backgrounds, rng: Generator) -> Image:
    """Cover one or two rectangles with a colour, with noise, or with a piece of another photograph."""
    image = image.copy()
    size_px = image.shape[0]
    for _ in range(rng.integers(1, 3)):
        width, height = (int(s) for s in size_px * rng.uniform(0.08, 0.4, 2))
        left, top = int(rng.integers(0, size_px - width + 1)), int(rng.integers(0, size_px - height + 1))
        kind = rng.random()
        if kind < 0.4 and backgrounds.without_faces:
            cover = backgrounds.patch(size_px, rng)[:height, :width]
        elif kind < 0.7:
            cover = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        else:
            cover = np.full((height, width, 3), rng.integers(0, 256, 3), np.uint8)
        image[top : top + height, left : left + width] = cover
    return image
