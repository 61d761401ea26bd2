"""Crop whole photographs so that the frame cuts the face."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from jvcr.data.face_photos import FacePhoto

NOSE_SHARE = 0.46
"""Height of the nose tip as a fraction of the landmark box's height: median of near-frontal training faces."""

CLOSE_UPS = (0.8, 0.65, 0.5)
"""Size of a close-up, as a fraction of the landmark box's width and height."""

_LEAST_SIDE_PX = 16


@dataclass(frozen=True)
class Cut:
    """The region of a photo to keep: ``low`` and ``high`` are (x, y), as fractions of the landmark box's size.

    An infinite value keeps the photo's own border.
    """

    label: str
    low: tuple[float, float]
    high: tuple[float, float]


def _close_up(visible: float) -> Cut:
    margin = (1 - visible) / 2
    return Cut(f"close-up of {visible:g} × the box", (margin, margin), (1 - margin, 1 - margin))


CUTS = (
    Cut("cut below the nose", (-np.inf, -np.inf), (np.inf, NOSE_SHARE)),
    Cut("cut above the nose", (-np.inf, NOSE_SHARE - 0.2), (np.inf, np.inf)),
    Cut("cut left of the middle", (0.4, -np.inf), (np.inf, np.inf)),
    Cut("cut right of the middle", (-np.inf, -np.inf), (0.6, np.inf)),
    *map(_close_up, CLOSE_UPS),
)


def cut_photo(photo: FacePhoto, cut: Cut) -> FacePhoto | None:
    """Crop the photo around its largest sure face. In the result, only this face is sure.

    Returns:
        the cropped photo, whose boxes may extend beyond it; None if no face is sure, or if the crop would be smaller
        than 16 pixels.
    """
    sure = np.flatnonzero(photo.sure)
    if not len(sure):
        return None
    extents = photo.boxes[:, 2:] - photo.boxes[:, :2]
    chosen = int(sure[extents[sure].prod(axis=1).argmax()])
    corner, extent = photo.boxes[chosen, :2], extents[chosen]
    height, width = photo.image.shape[:2]
    low = np.maximum(np.round(corner + np.array(cut.low) * extent), 0)
    high = np.minimum(np.round(corner + np.array(cut.high) * extent), (width, height))
    (x0, y0), (x1, y1) = low.astype(int), high.astype(int)
    if min(x1 - x0, y1 - y0) < _LEAST_SIDE_PX:
        return None
    counted = np.arange(len(photo.boxes)) == chosen
    part = np.ascontiguousarray(photo.image[y0:y1, x0:x1])
    return FacePhoto(photo.name, part, photo.boxes - np.array([x0, y0] * 2), counted, photo.yaw_deg)
