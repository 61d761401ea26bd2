"""Expression from 68 landmarks: openings of eyes and mouth, smile, height of the brows.

The ratios are of distances, so they do not depend on the face's size or position. In 2D they shrink with yaw; use 3D
points if you trust the depth. A ratio is NaN if one of its landmarks is NaN or its denominator is zero. ``expression``
(``Face.expression``) puts them on scales from 0 to 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
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


def jaw_drop(points: NDArray[Any]) -> Values:
    """(…, 68, ≥2) → (…): distance of the chin (8) from the nose's base (33), over that of the outer eye corners."""
    return _ratio(_distance(points, 33, 8), _distance(points, 36, 45))


def corner_lift(points: NDArray[Any]) -> Values:
    """How far the corners of the mouth (48, 54) are above the upper lip's middle (51, 62), over the outer eye distance.

    "Above" is the direction from the nose's base (33) to its root (27).

    Args:
        points: (…, 68, ≥2).
    Returns:
        (…); negative when the corners hang.
    """
    up = points[..., 27, :] - points[..., 33, :]
    corners = (points[..., 48, :] + points[..., 54, :]) / 2
    lip = (points[..., 51, :] + points[..., 62, :]) / 2
    along = ((corners - lip) * up).sum(axis=-1)
    return _ratio(along, np.linalg.norm(up, axis=-1) * _distance(points, 36, 45))


@dataclass(frozen=True)
class Scale:
    """The value of a ratio that is 0 on the scale, and the one that is 1."""

    zero: float
    one: float

    def __call__(self, ratio: float) -> float:
        """A ratio on the scale; beyond 0…1 outside the usual range."""
        return (ratio - self.zero) / (self.one - self.zero)


# From the 68 points of 6,587 hand-marked, near-frontal training faces: recipes/expression_scale.py.
SCALES = {
    "eye": Scale(0.137, 0.449),
    "mouth_open": Scale(0.044, 0.484),
    "mouth_width": Scale(0.588, 0.814),
    "corner_lift": Scale(-0.032, 0.018),
    "brow": Scale(0.297, 0.363),
    "jaw_drop": Scale(0.805, 1.061),
}


@dataclass(frozen=True)
class Expression:
    """Expression on scales where 1 is as far as faces on photos usually go (their 98th percentile).

    Right and left are the person's. Values can leave 0…1: frowning brows and pursed lips are negative, an extreme is
    above 1. From 3D landmarks, so that the head's pose hardly matters.

    Attributes:
        eye_right, eye_left: 0 closed, 1 wide open; an ordinary open eye is about 0.55.
        mouth_open: gap of the lips over the mouth's width; 0 shut.
        mouth_width: 0 as on shut mouths.
        smile: mean of ``mouth_width`` and of how far the corners of the mouth are raised; 0 as on shut mouths.
        brow_right, brow_left: height of the brow over the eye; 0 the usual one, 1 raised, negative lowered.
        jaw_drop: distance of the chin from the nose; 0 as on shut mouths. Long faces have more of it at rest.
    """

    eye_right: float
    eye_left: float
    mouth_open: float
    mouth_width: float
    smile: float
    brow_right: float
    brow_left: float
    jaw_drop: float

    def to_dict(self) -> dict[str, float]:
        """The values by name, to a thousandth."""
        return {name: round(value, 3) for name, value in vars(self).items()}


def expression(points: NDArray[Any]) -> Expression:
    """The expression of one face.

    Args:
        points: (68, 3), any unit.
    Raises:
        ValueError: another shape.
    """
    if points.shape != (68, 3):
        raise ValueError(f"landmarks of shape {points.shape}: expression needs (68, 3)")
    # The ratios above, without NumPy: for one face that is ten times as fast, and every result in JSON has them.
    p = points.tolist()

    def middle(first: int, second: int) -> list[float]:
        return [(a + b) / 2 for a, b in zip(p[first], p[second], strict=True)]

    whole = math.dist(p[36], p[45])
    up = [a - b for a, b in zip(p[27], p[33], strict=True)]
    along = sum((a - b) * c for a, b, c in zip(middle(48, 54), middle(51, 62), up, strict=True))
    ratios = (
        ("eye", math.dist(p[37], p[41]) + math.dist(p[38], p[40]), 2 * math.dist(p[36], p[39])),
        ("eye", math.dist(p[43], p[47]) + math.dist(p[44], p[46]), 2 * math.dist(p[42], p[45])),
        ("mouth_open", math.dist(p[62], p[66]), math.dist(p[60], p[64])),
        ("mouth_width", math.dist(p[48], p[54]), whole),
        ("corner_lift", along, math.hypot(*up) * whole),
        ("brow", math.dist(p[19], middle(36, 39)), whole),
        ("brow", math.dist(p[24], middle(45, 42)), whole),
        ("jaw_drop", math.dist(p[33], p[8]), whole),
    )
    right, left, mouth, width, lift, brow_right, brow_left, jaw = (
        SCALES[name](part / of if of > 0 else math.nan) for name, part, of in ratios
    )
    return Expression(right, left, mouth, width, (width + lift) / 2, brow_right, brow_left, jaw)


def _ratio(part: Values, whole: Values) -> Values:
    """NaN where the denominator is zero."""
    return np.divide(part, whole, out=np.full_like(part, np.nan), where=whole > 0)


def _distance(points: NDArray[Any], first: int, second: int) -> Values:
    return np.linalg.norm(points[..., first, :] - points[..., second, :], axis=-1)
