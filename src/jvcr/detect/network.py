"""The package's own detector: a small network, run by ONNX Runtime."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from jvcr.detect.base import Proposal, nms, score_of
from jvcr.detect.cells import Found, decode
from jvcr.detect.second_opinion import with_second_opinions
from jvcr.frames import Box, borders, rescaled
from jvcr.images import Image
from jvcr.runtime.header import detector_multiple
from jvcr.runtime.onnx import check_ends, open_session
from jvcr.weights import weights_path

SAME_FACE = 0.4
"""NMS limit: two boxes with a larger IoU count as the same face."""

DETECT_SIZE = 640
"""Default longer side of the photo at the finest scale, pixels."""

PROPOSE_SCORE, LIKELY_SCORE = 0.18, 0.46
"""Boxes below the first score are not proposed. The landmark network runs on boxes below the second only if it found no
face in the others."""

_MAY_GROW = 0.7
"""Boxes from this share of the lowest score on get a second opinion, which may raise their score."""

_COARSEST = 320
"""Longer side of the photo at the coarsest scale, pixels. This scale finds the largest faces."""

_GUIDE_SCORE, _GUIDE_LARGEST = 0.2, 28.0
"""The fine scale is searched only around small candidates from the coarse scale: those with at least this score, and
smaller than this many coarse pixels. The coarse scale is accurate enough for larger faces."""

_SURE_SCORE = 0.5
"""If no box has at least this score after that, the whole photo is searched at the fine scale."""

_SMALL_TILE, _GUIDED_TILE, _GUIDED_MARGIN = 64, 128, 8
"""Tiles around those candidates: side for candidates that fit, side for larger ones, and least margin between a
candidate and the tile's edges, pixels."""

_CLOSE_SIDE, _CLOSE_BORDER = 160, 96
"""Search for close-ups: longer side of the reduced photo, and total width of the border on opposite sides, pixels."""

_LARGEST_PICTURE, _TILE, _OVERLAP = 1024, 640, 128
"""Pictures larger than the first are searched in overlapping tiles, to limit memory. Then tile side and overlap."""

_BEYOND = 0.1
"""How far a box's centre may lie outside the picture, as a fraction of the box's size."""

PADDING = 127
"""Grey value of the border around a picture."""


class NetworkDetector:
    """Proposes landmark boxes with scores and roll angles.

    The photo is first searched at 320 pixels, which finds all but small faces. Then it is searched at ``size``, but
    only around small candidates from the first search, or as a whole if nothing sure was found. If ``size`` is more
    than twice 320, the whole photo is searched at ``size``, at a quarter of it, and so on down to 320. In this way the
    network sees every face at a size that it was trained on: from about 12 pixels at ``size`` to the whole photo.

    Args:
        weights: file written by ``jvcr export``; by default the weights in the package.
        size: the photo's longer side at the finest scale, pixels. A larger size finds smaller faces but takes longer.
            Photos are never enlarged by more than a factor of 2.
        min_score: boxes with a lower score are not proposed.
        threads: CPU threads of one call; 0 uses all cores.
    Raises:
        FileNotFoundError: no such file.
        ValueError: the file is not a detector of this project, or ``size`` is below 64.
    """

    def __init__(
        self,
        weights: str | Path = "detector",
        size: int = DETECT_SIZE,
        min_score: float = PROPOSE_SCORE,
        threads: int = 0,
    ) -> None:
        _check_size(size)
        path = weights_path(weights)
        self._session, metadata = open_session(path, threads)
        if "jvcr-detector" not in metadata:
            raise ValueError(f"{path}: no 'jvcr-detector' entry in its metadata; expected a detector's ONNX file")
        self._multiple = detector_multiple(path, metadata["jvcr-detector"])
        check_ends(path, self._session.get_inputs(), {"photos": (None, None, None, 3)})
        check_ends(path, self._session.get_outputs(), {"cells": (None, 7, None, None)})
        self._size, self._min_score = size, min_score
        self._least_score = _MAY_GROW * min_score
        self._settings: tuple[Any, ...] = (weights, size, min_score, threads)

    def __reduce__(self) -> tuple[Any, ...]:
        # ONNX Runtime sessions cannot be pickled, so the copy opens its own.
        return type(self), self._settings

    def with_size(self, size: int) -> NetworkDetector:
        """The same network, opened once, with another ``size``.

        Raises:
            ValueError: a size below 64.
        """
        _check_size(size)
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__)
        weights, _, *rest = self._settings
        other._size, other._settings = size, (weights, size, *rest)
        return other

    def cells(self, pictures: Image) -> NDArray[np.float32]:
        """(B, H, W, 3) uint8 → (B, 7, H/8, W/8), see ``decode``. H and W: multiples of the network's deepest stride."""
        (cells,) = self._session.run(["cells"], {"photos": pictures})
        return cells

    def __call__(self, image: Image) -> list[Proposal]:
        """(H, W, 3) uint8 RGB → proposals after NMS, best score first."""
        sizes = _sizes(image.shape[1], image.shape[0], self._size)
        if len(sizes) == 2 and max(sizes[0]) <= 2 * max(sizes[1]):
            return self._judged(image, self._coarse_to_fine(image, *sizes))
        found, picture = [], image
        for size in sizes:
            # Finest first, so that each picture can be resized from the previous, larger one.
            picture = _resized(picture, size)
            found.append(self._search(picture, image.shape[1], image.shape[0]))
        return self._judged(image, found)

    def close_up(self, image: Image) -> list[Proposal]:
        """Find faces that are larger than the photo: shrink it, add a border, and search it once.

        For photos in which the normal search finds nothing. It takes a fraction of that search's time.
        """
        height, width = image.shape[:2]
        scale = _CLOSE_SIDE / max(height, width)
        picture = _resized(image, (max(1, round(width * scale)), max(1, round(height * scale))))
        ratio = np.array([width / picture.shape[1], height / picture.shape[0]] * 2)
        start = _CLOSE_BORDER // 2
        bottom, right = (start + -(side + _CLOSE_BORDER) % self._multiple for side in picture.shape[:2])
        framed = cv2.copyMakeBorder(picture, start, bottom, start, right, cv2.BORDER_CONSTANT, value=(PADDING,) * 3)
        found = self._decoded(framed[None])[0]
        boxes = found.boxes - start
        inside = _inside(boxes, picture)
        close = [Found(rescaled(boxes, ratio)[inside], found.scores[inside], found.roll_deg[inside])]
        return [one for one in self._proposals(close) if score_of(one) >= self._min_score]

    def _judged(self, image: Image, found: list[Found]) -> list[Proposal]:
        """The proposals of a search, after second opinions on the doubtful ones."""
        judged = with_second_opinions(self.cells, image, self._proposals(found))
        return [one for one in judged if score_of(one) >= self._min_score]

    def _proposals(self, found: list[Found]) -> list[Proposal]:
        boxes, scores, roll_deg = (np.concatenate(parts) for parts in zip(*found, strict=True))
        # In photos of a few pixels, which are enlarged for the search, boxes may be smaller than a pixel.
        large = (boxes[:, 2:] - boxes[:, :2]).max(axis=1, initial=0) >= 1
        boxes, scores, roll_deg = boxes[large], scores[large], roll_deg[large]
        candidates = [Box(*row) for row in boxes.tolist()]
        return [
            Proposal(candidates[i], float(scores[i]), float(roll_deg[i]))
            for i in nms(candidates, scores.tolist(), SAME_FACE)
        ]

    def _coarse_to_fine(self, image: Image, fine: tuple[int, int], coarse: tuple[int, int]) -> list[Found]:
        """Search the whole photo at ``coarse`` (width, height), then at ``fine`` around the small candidates.

        If that gives no sure face, search the whole photo at ``fine``.
        """
        height, width = image.shape[:2]
        seen = self._search(_resized(image, coarse), width, height)
        # Boxes are in pixels of the photo; sizes are compared in coarse pixels, and tiles are laid out in fine ones.
        sides = (seen.boxes[:, 2:] - seen.boxes[:, :2]).max(axis=1, initial=0) * max(coarse) / max(width, height)
        small = (seen.scores >= _GUIDE_SCORE) & (sides < _GUIDE_LARGEST)
        tiles = _tiles_around(rescaled(seen.boxes[small], max(fine) / max(width, height)), *fine)
        few = sum(tile.side**2 for tile in tiles) <= fine[0] * fine[1] / 2 and min(fine) >= _GUIDED_TILE
        found = [seen, *self._in_tiles(image, tiles, max(width, height) / max(fine))] if few else [seen]
        if any((one.scores >= _SURE_SCORE).any() for one in found) and (few or not tiles):
            return found
        return [*found, self._search(_resized(image, fine), width, height)]

    def _in_tiles(self, image: Image, tiles: list[_Tile], scale: float) -> Iterator[Found]:
        """Search tiles of the photo. Their sides are those of the pictures that are searched; ``scale``: photo pixels
        per pixel of those."""
        height, width = image.shape[:2]
        for side in sorted({tile.side for tile in tiles}):
            # Cut the tiles from the photo first: resizing all of it would take longer.
            regions = [
                _Tile(*(round(v * scale) for v in tile)).within(width, height) for tile in tiles if tile.side == side
            ]
            parts = [image[r.top : r.bottom, r.left : r.right] for r in regions]
            pictures = np.stack([_resized(part, (side, side)) for part in parts])
            for region, one in zip(regions, self._decoded(pictures), strict=True):
                ratio = np.array([region.right - region.left, region.bottom - region.top] * 2) / side
                boxes = rescaled(one.boxes, ratio) + np.array([region.left, region.top] * 2)
                kept = region.uncut(boxes, width, height) & _inside(one.boxes, pictures[0])
                yield Found(boxes[kept], one.scores[kept], one.roll_deg[kept])

    def _search(self, picture: Image, width: int, height: int) -> Found:
        """Search one whole picture: the photo of width × height pixels, resized. Boxes are in pixels of the photo."""
        size = (picture.shape[1], picture.shape[0])
        parts = [self._in_tile(picture, tile) for tile in _tiles(*size)]
        boxes, scores, roll_deg = (np.concatenate(values) for values in zip(*parts, strict=True))
        # Width and height were each rounded to whole pixels, so their scales differ slightly.
        ratio = np.array([width / size[0], height / size[1]] * 2)
        return Found(rescaled(boxes, ratio), scores, roll_deg)

    def _in_tile(self, picture: Image, tile: _Tile) -> Found:
        part = picture[tile.top : tile.bottom, tile.left : tile.right]
        height, width = part.shape[:2]
        below, right = -height % self._multiple, -width % self._multiple
        padded = cv2.copyMakeBorder(part, 0, below, 0, right, cv2.BORDER_CONSTANT, value=(PADDING,) * 3)
        found = self._decoded(padded[None])[0]
        boxes = found.boxes + np.array([tile.left, tile.top] * 2)
        kept = _inside(boxes, picture) & tile.uncut(boxes, picture.shape[1], picture.shape[0])
        return Found(boxes[kept], found.scores[kept], found.roll_deg[kept])

    def _decoded(self, pictures: Image) -> list[Found]:
        least = min(self._least_score, _GUIDE_SCORE)
        return [decode(cells, least) for cells in self.cells(pictures)]


def _check_size(size: int) -> None:
    if size < 64:
        raise ValueError(f"detect size is {size}; expected at least 64 pixels")


class _Tile(NamedTuple):
    """Rows ``top`` … ``bottom - 1`` and columns ``left`` … ``right - 1`` of a picture."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def side(self) -> int:
        """Of a square tile."""
        return self.right - self.left

    def within(self, width: int, height: int) -> _Tile:
        """The part of the tile inside a picture of width × height."""
        return _Tile(max(0, self.left), max(0, self.top), min(width, self.right), min(height, self.bottom))

    def uncut(self, boxes: NDArray[np.float64], width: int, height: int) -> NDArray[np.bool_]:
        """Which boxes no edge of the tile cuts. Edges that are also edges of the width × height picture do not count.

        A face cut by a tile's edge is complete in the next tile, or it is large and found at a coarser scale.
        """
        low = np.array([self.left or -np.inf, self.top or -np.inf])
        high = np.array([self.right if self.right < width else np.inf, self.bottom if self.bottom < height else np.inf])
        return np.asarray((boxes[:, :2] > low).all(axis=1) & (boxes[:, 2:] < high).all(axis=1))


def _inside(boxes: NDArray[np.float64], picture: Image) -> NDArray[np.bool_]:
    """Which boxes have their centre in the picture, or just outside it: a face cut off at the nose still counts."""
    low, high = borders(np.array([picture.shape[1], picture.shape[0]]))
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    margin = _BEYOND * (boxes[:, 2:] - boxes[:, :2])
    return np.asarray((centre + margin > low).all(axis=1) & (centre - margin < high).all(axis=1))


def _tiles_around(boxes: NDArray[np.float64], width: int, height: int) -> list[_Tile]:
    """Square tiles that cover the boxes, as few as a greedy choice gives, the largest box first.

    Boxes and tiles are in pixels of a picture of width × height. Tiles are shifted to lie inside it if they fit.
    """
    tiles: list[_Tile] = []
    longer = (boxes[:, 2:] - boxes[:, :2]).max(axis=1, initial=0)
    for index in np.argsort(-longer, kind="stable"):
        x0, y0, x1, y1 = boxes[index].tolist()
        if any(
            tile.left <= x0 - _GUIDED_MARGIN
            and tile.top <= y0 - _GUIDED_MARGIN
            and x1 + _GUIDED_MARGIN <= tile.right
            and y1 + _GUIDED_MARGIN <= tile.bottom
            for tile in tiles
        ):
            continue
        side = _SMALL_TILE if longer[index] + 2 * _GUIDED_MARGIN <= _SMALL_TILE else _GUIDED_TILE
        left, top = (
            int(np.clip((low + high - side) / 2, 0, max(0, extent - side)))
            for low, high, extent in ((x0, x1, width), (y0, y1, height))
        )
        tiles.append(_Tile(left, top, left + side, top + side))
    return tiles


def _sizes(width: int, height: int, limit: int) -> list[tuple[int, int]]:
    """Width and height of the photo at each scale, finest first."""
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
