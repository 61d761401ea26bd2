"""Expression from 68 landmarks: openings of eyes and mouth, smile, height of the brows.

All are ratios of distances, so they do not depend on the face's size or position. In 2D they shrink with yaw; use 3D
points if you trust the depth. A ratio is NaN if one of its landmarks is NaN or its denominator is zero.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

CLOSED_EYE, OPEN_EYE = 0.12, 0.20
"""An eye is closed below the first opening and open above the second; between them it is neither."""

SHUT_MOUTH, WIDE_MOUTH = 0.05, 0.50
"""A mouth is shut below the first opening and wide open above the second."""


def eye_openings(points: NDArray[Any]) -> Values:
    """The usual eye aspect ratio: mean distance of the two pairs of lid points over the distance of the eye's corners.

    Args:
        points: (…, 68, ≥2).
    Returns:
        (…, 2) of the person's right and left eye. About 0.3 for an open eye, under 0.12 for a closed one.
    """
    right = _distance(points, 37, 41) + _distance(points, 38, 40), 2 * _distance(points, 36, 39)
    left = _distance(points, 43, 47) + _distance(points, 44, 46), 2 * _distance(points, 42, 45)
    return np.stack([_ratio(*right), _ratio(*left)], axis=-1)


def mouth_opening(points: NDArray[Any]) -> Values:
    """(…, 68, ≥2) → (…): distance of the inner lips' middles (62, 66) over that of the inner corners (60, 64)."""
    return _ratio(_distance(points, 62, 66), _distance(points, 60, 64))


def smile(points: NDArray[Any]) -> Values:
    """(…, 68, ≥2) → (…): width of the mouth (48, 54) over the distance of the outer eye corners (36, 45)."""
    return _ratio(_distance(points, 48, 54), _distance(points, 36, 45))


def brow_heights(points: NDArray[Any]) -> Values:
    """Distance from the middle of a brow (19; 24) to the middle of its eye's corners, over that of the outer corners.

    Args:
        points: (…, 68, ≥2).
    Returns:
        (…, 2) of the person's right and left brow.
    """
    whole = _distance(points, 36, 45)
    heights = [
        np.linalg.norm(points[..., brow, :] - (points[..., outer, :] + points[..., inner, :]) / 2, axis=-1)
        for brow, outer, inner in ((19, 36, 39), (24, 45, 42))
    ]
    return np.stack([_ratio(height, whole) for height in heights], axis=-1)


def _ratio(part: Values, whole: Values) -> Values:
    """NaN where the denominator is zero."""
    return np.divide(part, whole, out=np.full_like(part, np.nan), where=whole > 0)


def _distance(points: NDArray[Any], first: int, second: int) -> Values:
    return np.linalg.norm(points[..., first, :] - points[..., second, :], axis=-1)
