"""Contact sheets: small pictures side by side, to look at."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType

import cv2
import numpy as np

from jvcr.draw.landmarks import draw_faces
from jvcr.images import Image
from jvcr.results import Face

_SIDE_PX, _COLUMNS, _QUALITY = 240, 8, 85
_MOST = 200
"""Pictures on a sheet; further ones are left out."""


class Sheet:
    """Collects pictures for a contact sheet."""

    def __init__(self) -> None:
        self._pictures: list[Image] = []

    def __enter__(self) -> Sheet:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._pictures.clear()

    def add(self, image: Image, faces: Sequence[Face]) -> None:
        """A photo with its landmarks."""
        if len(self._pictures) < _MOST:
            self._pictures.append(fitted(draw_faces(image, faces), _SIDE_PX))

    def to_jpeg(self) -> bytes:
        """The sheet; b"" without pictures."""
        if not self._pictures:
            return b""
        rows = [self._pictures[i : i + _COLUMNS] for i in range(0, len(self._pictures), _COLUMNS)]
        blank = np.full((_SIDE_PX, _SIDE_PX, 3), 255, np.uint8)
        columns = min(_COLUMNS, len(self._pictures))
        sheet = np.concatenate(
            [np.concatenate([*row, *[blank] * (columns - len(row))], axis=1) for row in rows], axis=0
        )
        return jpeg(sheet)


def fitted(image: Image, side_px: int) -> Image:
    """(side_px, side_px, 3): the image reduced, in the middle of white."""
    height, width = image.shape[:2]
    scale = side_px / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    canvas = np.full((side_px, side_px, 3), 255, np.uint8)
    top, left = (side_px - size[1]) // 2, (side_px - size[0]) // 2
    canvas[top : top + size[1], left : left + size[0]] = small
    return canvas


def jpeg(image: Image) -> bytes:
    """An image as the bytes of a JPEG file."""
    _, data = cv2.imencode(".jpg", image[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return data.tobytes()
