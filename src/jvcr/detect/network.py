"""The detector that comes with the package: a small network, run by ONNX Runtime."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from jvcr.detect.base import Proposal, nms
from jvcr.detect.cells import Found, decode
from jvcr.frames import Box, borders, rescaled
from jvcr.images import Image
from jvcr.runtime.header import detector_multiple
from jvcr.runtime.onnx import open_session
from jvcr.weights import weights_path

SAME_FACE = 0.4
"""Overlap (intersection over union) from which two boxes are of one face."""

DETECT_SIZE = 640
"""Photos are reduced to this on their longer side for the search, by default."""

PROPOSE_SCORE, LIKELY_SCORE = 0.2, 0.35
"""Boxes with less than the first are not proposed; the landmark network judges the others, those with less than the
second only where the better ones are no faces."""

_COARSEST = 320
"""Side of the last search of every photo, for the largest faces."""

_LARGEST_PICTURE, _TILE, _OVERLAP = 1024, 640, 128
"""Larger pictures are searched in overlapping tiles, to bound the memory."""

_PADDING = 127


class NetworkDetector:
    """Proposes landmark boxes and rolls.

    The photo is searched at ``size``, and, where that is large, also at a quarter of it, and so on down to 320 pixels,
    so that faces of all sizes are seen at a size that the network knows: from about 12 pixels at ``size`` to the whole
    photo.

    Args:
        weights: file written by ``jvcr export``; the shipped ones by default.
        size: the photo's longer side in the finest search, pixels. Larger finds smaller faces, and takes longer.
            Photos are never enlarged more than twice.
        min_score: boxes with less are not proposed.
        threads: of one call; 0 takes all cores.
    Raises:
        FileNotFoundError: no such file.
        ValueError: not a detector of this project; or a size below 64.
    """

    def __init__(
        self,
        weights: str | Path = "detector",
        size: int = DETECT_SIZE,
        min_score: float = PROPOSE_SCORE,
        threads: int = 0,
    ) -> None:
        if size < 64:
            raise ValueError(f"detect size is {size}; expected at least 64 pixels")
        path = weights_path(weights)
        self._session, metadata = open_session(path, threads)
        if "jvcr-detector" not in metadata:
            raise ValueError(f"{path}: no 'jvcr-detector' entry in its metadata; expected a detector's ONNX file")
        self._multiple = detector_multiple(path, metadata["jvcr-detector"])
        self._size, self._min_score = size, min_score

    def cells(self, pictures: Image) -> NDArray[np.float32]:
        """(B, H, W, 3) uint8, H and W as the network needs them → (B, 7, H/8, W/8) (``jvcr.detect.cells``)."""
        (cells,) = self._session.run(["cells"], {"photos": pictures})
        return cells

    def __call__(self, image: Image) -> list[Proposal]:
        """(H, W, 3) uint8 RGB → proposals, best first, no two of one face."""
        found, picture = [], image
        for size in _sizes(image.shape[1], image.shape[0], self._size):
            # Finest first: each is made from the one before.
            picture = _resized(picture, size)
            found.append(self._search(picture, image.shape[1], image.shape[0]))
        boxes, scores, roll_deg = (np.concatenate(parts) for parts in zip(*found, strict=True))
        candidates = [Box(*row) for row in boxes.tolist()]
        return [
            Proposal(candidates[i], float(scores[i]), float(roll_deg[i]))
            for i in nms(candidates, scores.tolist(), SAME_FACE)
        ]

    def _search(self, picture: Image, width: int, height: int) -> Found:
        """One search of the whole photo of width × height pixels, resized to ``picture``. Boxes in the photo's."""
        size = (picture.shape[1], picture.shape[0])
        parts = [self._in_tile(picture, tile) for tile in _tiles(*size)]
        boxes, scores, roll_deg = (np.concatenate(values) for values in zip(*parts, strict=True))
        # Sides are rounded to whole pixels one by one.
        ratio = np.array([width / size[0], height / size[1]] * 2)
        return Found(rescaled(boxes, ratio), scores, roll_deg)

    def _in_tile(self, picture: Image, tile: _Tile) -> Found:
        part = picture[tile.top : tile.bottom, tile.left : tile.right]
        height, width = part.shape[:2]
        below, right = -height % self._multiple, -width % self._multiple
        padded = cv2.copyMakeBorder(part, 0, below, 0, right, cv2.BORDER_CONSTANT, value=(_PADDING,) * 3)
        found = decode(self.cells(padded[None])[0], self._min_score)
        boxes = found.boxes + np.array([tile.left, tile.top] * 2)
        whole_height, whole_width = picture.shape[:2]
        centre = (boxes[:, :2] + boxes[:, 2:]) / 2
        low, high = borders(np.array([whole_width, whole_height]))
        there = (centre > low).all(axis=1) & (centre < high).all(axis=1)
        # A face that a tile's edge cuts lies whole in the next tile, or is large and found in a coarser search.
        limits = np.array(
            [
                tile.left if tile.left else -np.inf,
                tile.top if tile.top else -np.inf,
                tile.right if tile.right < whole_width else np.inf,
                tile.bottom if tile.bottom < whole_height else np.inf,
            ]
        )
        uncut = (boxes[:, :2] > limits[:2]).all(axis=1) & (boxes[:, 2:] < limits[2:]).all(axis=1)
        kept = there & uncut
        return Found(boxes[kept], found.scores[kept], found.roll_deg[kept])


class _Tile(NamedTuple):
    """Rows ``top`` … ``bottom - 1`` and columns ``left`` … ``right - 1`` of a picture."""

    left: int
    top: int
    right: int
    bottom: int


def _sizes(width: int, height: int, limit: int) -> list[tuple[int, int]]:
    """Width and height of a photo for each search, finest first."""
    longer = max(width, height)
    side = min(limit, max(longer, min(_COARSEST, 2 * longer)))
    sides = [side]
    while side > 1.25 * _COARSEST:
        side = max(side // 4, _COARSEST)
        sides.append(side)
    return [(max(1, round(width * side / longer)), max(1, round(height * side / longer))) for side in sides]


def _resized(image: Image, size: tuple[int, int]) -> Image:
    height, width = image.shape[:2]
    if size == (width, height):
        return image
    way = cv2.INTER_AREA if size[0] <= width else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, size, interpolation=way), np.uint8)


def _tiles(width: int, height: int) -> Iterator[_Tile]:
    for top, bottom in _intervals(height):
        for left, right in _intervals(width):
            yield _Tile(left, top, right, bottom)


def _intervals(extent: int) -> list[tuple[int, int]]:
    """Overlapping intervals that cover 0 … extent − 1."""
    if extent <= _LARGEST_PICTURE:
        return [(0, extent)]
    count = -(-(extent - _OVERLAP) // (_TILE - _OVERLAP))
    starts = np.linspace(0, extent - _TILE, count).round().astype(int).tolist()
    return [(start, start + _TILE) for start in starts]
