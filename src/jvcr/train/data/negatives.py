"""Hard negatives: false positives of a detector in photographs without a face."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from jvcr.detect.cells import decode
from jvcr.frames import Crop
from jvcr.images import Image, extract

Cells = Callable[[Image], NDArray[np.float32]]
"""(B, S, S, 3) uint8 pictures → (B, 7, S/8, S/8) cells (``jvcr.detect.cells``)."""

_ROLLS_DEG = (0.0, 90.0, 180.0, 270.0)
_SIDES = (1.0, 0.5)
"""Sides of the views, relative to the photograph's shorter side."""

_JITTER_PLACE, _JITTER_SCALE, _JITTER_ROLL_DEG = 0.35, 1.33, 15.0


class HardNegative(NamedTuple):
    """photo: index. x, y: centre of the false positive; side: side of its view; all in pixels of the photograph."""

    photo: int
    x: float
    y: float
    side: float
    roll_deg: float
    score: float


@dataclass(frozen=True)
class HardNegatives:
    """False positives of a detector in photographs without a face."""

    found: Sequence[HardNegative]
    photos: Sequence[Image]

    def view(self, size_px: int, rng: Generator) -> Image:
        """A picture around one of them, drawn in proportion to its score, with random shift, scale and rotation."""
        scores = np.array([one.score for one in self.found])
        one = self.found[int(rng.choice(len(scores), p=scores / scores.sum()))]
        side = one.side * _JITTER_SCALE ** rng.uniform(-1, 1)
        x, y = np.array([one.x, one.y]) + rng.uniform(-_JITTER_PLACE, _JITTER_PLACE, 2) * side
        rotation = one.roll_deg + rng.normal(0, _JITTER_ROLL_DEG)
        crop = Crop(float(x), float(y), float(side), size_px, float(rotation))
        return extract(self.photos[one.photo], crop, cv2.BORDER_REFLECT_101)


def mine(cells: Cells, photos: Sequence[Image], size_px: int, least_score: float) -> HardNegatives:
    """Run a detector on photographs without faces, at several scales and rotated by right angles.

    Args:
        cells: the detector.
        photos: (H, W, 3) uint8 RGB each, without a face.
        size_px: side of the detector's input.
        least_score: minimum score of a hard negative.
    """
    found: list[HardNegative] = []
    for index, photo in enumerate(photos):
        crops = list(_views(photo, size_px))
        for crop, picture in zip(crops, cells(np.stack([extract(photo, crop) for crop in crops])), strict=True):
            faces = decode(picture, least_score)
            for box, score in zip(faces.boxes, faces.scores, strict=True):
                middle = [(box[0] + box[2]) / 2, (box[1] + box[3]) / 2, 0.0]
                x, y, _ = crop.to_image(np.array([middle]))[0].tolist()
                found.append(HardNegative(index, x, y, crop.side_px, crop.rotation_deg, float(score)))
    return HardNegatives(found, photos)


def _views(photo: Image, size_px: int) -> Iterator[Crop]:
    height, width = photo.shape[:2]
    for share in _SIDES:
        side = share * min(height, width)
        columns, rows = (math.ceil(extent / side) for extent in (width, height))
        for place in np.ndindex(rows, columns):
            x, y = (
                (extent / 2 if count == 1 else side / 2 + step * (extent - side) / (count - 1))
                for step, count, extent in ((place[1], columns, width), (place[0], rows, height))
            )
            for degrees in _ROLLS_DEG:
                yield Crop(x, y, side, size_px, degrees)
