"""Checks of the images and boxes that a caller passes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from jvcr.frames import Box
from jvcr.images import Image

_LARGEST_BOX = 20
"""A given box may be up to this many times as large as the image; a larger one is a mistake."""


def check_image(image: object) -> None:
    """Raise unless ``image`` is (H, W, 3) uint8."""
    if not isinstance(image, np.ndarray):
        raise TypeError(f"image is a {type(image).__name__}; expected a NumPy array (H, W, 3) uint8 RGB")
    if image.dtype != np.uint8:
        raise TypeError(
            f"image has dtype {image.dtype}; expected uint8, 0…255 "
            "(for floats in 0…1: (255 * x).round().astype(np.uint8))"
        )
    if image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise ValueError(
            f"image has shape {image.shape}; expected (H, W, 3) RGB "
            "(grey: np.stack([x] * 3, -1); RGBA: x[..., :3]; from OpenCV: x[..., ::-1])"
        )


_SMALLEST_BOX = 1.0
"""Minimum longer side of a box, pixels: landmarks cannot be distinguished in a smaller one."""


def check_boxes(boxes: Iterable[Any], image: Image) -> list[Box]:
    """(K, 4) numbers or ``Box``es → ``Box``es on the image. Raises ValueError as in ``Landmarker.predict``."""
    height, width = image.shape[:2]
    if isinstance(boxes, Box):
        raise ValueError("boxes is a single Box; expected a list of boxes: [box]")
    rows = [box.to_list() if isinstance(box, Box) else box for box in boxes]
    if not rows:
        return []
    checked: list[Box] = []
    for index, given in enumerate(rows):
        row = _four_numbers(index, given)
        try:
            box = Box(*row)
        except ValueError as error:
            raise ValueError(f"box {index}: {error}") from None
        if max(box.width, box.height) < _SMALLEST_BOX:
            raise ValueError(f"box {index}: {row} is smaller than a pixel; expected x0, y0, x1, y1 in pixels")
        if not box.meets(width, height):
            raise ValueError(f"box {index}: {row} lies entirely outside the image of {width} × {height} pixels")
        if max(box.width, box.height) > _LARGEST_BOX * max(width, height):
            raise ValueError(f"box {index}: {row} is far larger than the image of {width} × {height} pixels")
        checked.append(box)
    return checked


def _four_numbers(index: int, given: Any) -> list[float]:
    try:
        row = np.array(given, np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(
            f"box {index}: boxes are not a table of numbers ({error}); expected (K, 4): x0, y0, x1, y1 in pixels"
        ) from None
    if row.shape != (4,):
        raise ValueError(f"box {index}: has shape {row.shape}; expected (K, 4) boxes: x0, y0, x1, y1 in pixels")
    return [float(value) for value in row]
