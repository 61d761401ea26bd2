"""What a caller passes: images in the forms that people have, and boxes.

``Landmarker.predict``, ``predict_many`` and ``jvcr batch`` take an image as

- a path: read as a viewer shows it (``jvcr.images.read_image``);
- a ``PIL.Image``: by the same rule (rotated by its EXIF tag, transparency on white, grey as RGB);
- a NumPy array of uint8: (H, W, 3) RGB, red first; (H, W) or (H, W, 1) grey, repeated three times; (H, W, 4) RGBA, laid
  on white. OpenCV's arrays are blue first, which cannot be detected: pass ``image[..., ::-1]``.

Everything else is refused: other types of numbers (floats, 16 bits), other shapes (channels first, two channels).
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from jvcr.frames import Box
from jvcr.images import MAX_PIXELS, Image, from_pillow, read_image

ImageInput = str | Path | PIL.Image.Image | NDArray[np.uint8]
"""An image as people have it."""

_LARGEST_BOX = 20
"""A given box may be up to this many times as large as the image; a larger one is a mistake."""


def as_image(given: Any, max_pixels: int = MAX_PIXELS) -> Image:
    """The image as (H, W, 3) uint8 RGB, contiguous. RGB arrays are not copied if they are so already.

    Args:
        given: a path, a ``PIL.Image``, or a NumPy array; the rules are this module's.
        max_pixels: of the largest image file to decode.
    Raises:
        TypeError: another type, or an array of other numbers. ValueError: an array of another shape.
        ImageError: a file or a ``PIL.Image`` that cannot be read.
    """
    if isinstance(given, str | Path):
        return read_image(given, max_pixels)
    if isinstance(given, PIL.Image.Image):
        return from_pillow(given)
    if not isinstance(given, np.ndarray):
        raise TypeError(
            f"image is a {type(given).__name__}; expected a path, a PIL.Image, or a NumPy array (H, W, 3) uint8 RGB"
        )
    if given.dtype != np.uint8:
        raise TypeError(
            f"image has dtype {given.dtype}; expected uint8, 0…255 "
            "(for floats in 0…1: (255 * x).round().astype(np.uint8))"
        )
    if 0 in given.shape or given.ndim not in (2, 3) or (given.ndim == 3 and given.shape[2] not in (1, 3, 4)):
        raise ValueError(
            f"image has shape {given.shape}; expected (H, W, 3) RGB, (H, W) grey or (H, W, 4) RGBA "
            "(channels first: x.transpose(1, 2, 0); from OpenCV: x[..., ::-1])"
        )
    if given.ndim == 2 or given.shape[2] == 1:
        return np.repeat(given.reshape(*given.shape[:2], 1), 3, axis=2)
    if given.shape[2] == 4:
        return from_pillow(PIL.Image.fromarray(np.ascontiguousarray(given)))
    return np.ascontiguousarray(given)


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
