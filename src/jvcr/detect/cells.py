"""Decode the detector network's output cells to boxes, in NumPy."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from jvcr.frames import rescaled

STRIDE = 8
"""Pixels per cell."""


_NEIGHBOURS = np.ones((3, 3), np.uint8)


class Found(NamedTuple):
    """boxes: (n, 4) x0, y0, x1, y1 in pixels of the network's input. scores: (n,), 0…1. roll_deg: (n,)."""

    boxes: NDArray[np.float64]
    scores: NDArray[np.float64]
    roll_deg: NDArray[np.float64]


def decode(cells: NDArray[np.float32], min_score: float) -> Found:
    """Faces in one picture, before NMS: each cell of the heatmap that none of its eight neighbours exceeds.

    Args:
        cells: (7, H, W): heat, 0…1; offset of the face's centre from the cell's, x and y, in cells; log of width and
            height, in cells; cosine and sine of the roll.
        min_score: cells with less heat are ignored.
    """
    heat = cells[0]
    hottest = cv2.dilate(heat, _NEIGHBOURS)
    y, x = np.nonzero((heat >= min_score) & (heat >= hottest))
    score, dx, dy, log_width, log_height, cosine, sine = cells[:, y, x].astype(np.float64)
    centre = np.stack([x + dx, y + dy], axis=1)
    half = np.exp(np.clip(np.stack([log_width, log_height], axis=1), -6, 6)) / 2
    # Cell 0 is centred on its block of eight pixels, not on pixel 0.
    boxes = rescaled(np.concatenate([centre - half, centre + half], axis=1), STRIDE)
    return Found(boxes, score, np.degrees(np.arctan2(sine, cosine)))
