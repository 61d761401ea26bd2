"""What the adapters share: one landmarker, and images as other libraries accept them."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from jvcr.images import Image
from jvcr.landmarker import Landmarker


@cache
def default_landmarker() -> Landmarker:
    """The landmarker of calls that bring none of their own; created on first use."""
    return Landmarker()


def as_rgb(image: Any) -> Image:
    """(H, W, 3) uint8 of an array that is grey (H, W), has an alpha channel, or holds whole numbers of another type.

    Raises:
        TypeError: no array of numbers. ValueError: another shape, or values outside 0…255.
    """
    pixels = np.asarray(image)
    if pixels.ndim == 2:
        pixels = np.stack([pixels] * 3, axis=-1)
    if pixels.ndim != 3 or pixels.shape[2] not in (3, 4):
        raise ValueError(f"image has shape {pixels.shape}; expected (H, W), (H, W, 3) or (H, W, 4)")
    pixels = pixels[:, :, :3]
    if pixels.dtype != np.uint8:
        if pixels.dtype.kind not in "iuf":
            raise TypeError(f"image has dtype {pixels.dtype}; expected numbers, 0…255")
        if pixels.size and not (pixels.min() >= 0 and pixels.max() <= 255):
            raise ValueError("image has values outside 0…255; expected uint8, or numbers in its range")
        if pixels.dtype.kind == "f" and 0 < pixels.max(initial=0) <= 1:
            raise ValueError("image has floats in 0…1; expected 0…255: (255 * image).round().astype(np.uint8)")
        pixels = pixels.astype(np.uint8)
    return np.ascontiguousarray(pixels)
