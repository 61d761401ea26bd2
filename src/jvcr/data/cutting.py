"""The part of an image that a table stores."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jvcr.frames import Box, Crop, CropRule
from jvcr.images import Image, extract


@dataclass(frozen=True, eq=False)
class Cut:
    """An image to store, and where it was cut from.

    Attributes:
        image: (H, W, 3) uint8.
        x, y: position of its first pixel in the source image.
        scale: width of a pixel in source pixels; 1 if the pixels are copies.
    """

    image: Image
    x: float
    y: float
    scale: float

    def to_stored(self, points_img: NDArray[np.float32]) -> NDArray[np.float64]:
        """(N, 3) source image → stored image. Inverse: ``points * scale + (x, y, 0)``."""
        return (points_img - np.array([self.x, self.y, 0.0])) / self.scale


def cut(image: Image, box: Box, size_px: int, margin: float) -> Cut:
    """The part of a square around the box that is inside the image, downscaled if the square exceeds ``size_px``.

    Raises:
        ValueError: no part of it is inside the image.
    """
    height, width = image.shape[:2]
    crop = Crop.from_box(box, size_px, rule=CropRule(margin))
    square = crop.square
    if crop.side_px <= size_px:
        x0, y0 = round(square.x0), round(square.y0)
        left, right = max(0, x0), min(width, round(square.x1) + 1, x0 + size_px)
        top, bottom = max(0, y0), min(height, round(square.y1) + 1, y0 + size_px)
        if left >= right or top >= bottom:
            raise ValueError(outside(box, image))
        return Cut(image[top:bottom, left:right], float(left), float(top), 1.0)
    scale = crop.side_px / size_px
    x, y, _ = crop.to_image(np.zeros((1, 3)))[0].tolist()
    # Only pixels whose centres lie between pixel centres of the image: nothing is extrapolated.
    columns = np.flatnonzero((x + scale * np.arange(size_px) >= 0) & (x + scale * np.arange(size_px) <= width - 1))
    rows = np.flatnonzero((y + scale * np.arange(size_px) >= 0) & (y + scale * np.arange(size_px) <= height - 1))
    if not len(columns) or not len(rows):
        raise ValueError(outside(box, image))
    part = extract(image, crop)[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return Cut(part, x + scale * float(columns[0]), y + scale * float(rows[0]), scale)


def outside(box: Box, image: Image) -> str:
    """The message for landmarks whose square does not meet the image."""
    corners = ", ".join(f"{value:.0f}" for value in box.to_list())
    return f"its landmarks ({corners}) lie outside the image of {image.shape[1]} × {image.shape[0]} pixels"
