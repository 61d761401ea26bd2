"""Decoding: from the detector network's cells to boxes, in NumPy."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from jvcr.frames import rescaled

STRIDE = 8
"""Pixels a cell."""


class Found(NamedTuple):
    """boxes (n, 4) x0, y0, x1, y1 in pixels of the picture; scores (n,), 0…1; roll_deg (n,)."""

    boxes: NDArray[np.float64]
    scores: NDArray[np.float64]
    roll_deg: NDArray[np.float64]


def decode(cells: NDArray[np.float32], min_score: float) -> Found:
    """The faces of one picture before NMS: cells whose heat is at least that of their eight neighbours.

    Args:
        cells: (7, H, W) heat 0…1; centre x, y in cells from the cell's own; log of width and height in cells; cosine
            and sine of the roll.
    """
    heat = cells[0]
    around = np.pad(heat, 1, constant_values=-1.0)
    height, width = heat.shape
    hottest = np.maximum.reduce([around[y : y + height, x : x + width] for y in range(3) for x in range(3)])
    y, x = np.nonzero((heat >= min_score) & (heat >= hottest))
    score, dx, dy, log_width, log_height, cosine, sine = cells[:, y, x].astype(np.float64)
    centre = np.stack([x + dx, y + dy], axis=1)
    half = np.exp(np.clip(np.stack([log_width, log_height], axis=1), -6, 6)) / 2
    # From cells to pixels: the middle of cell 0 is that of its eight pixels.
    boxes = rescaled(np.concatenate([centre - half, centre + half], axis=1), STRIDE)
    return Found(boxes, score, np.degrees(np.arctan2(sine, cosine)))
