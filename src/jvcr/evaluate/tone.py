"""Apparent skin tone of a face: a rough fairness check for data without labels of people.

It is the individual typology angle (ITA; Chardon et al., 1991) of the cheeks, from the colours of the photo. Lighting
and camera shift it, so it sorts photos rather than people. Compare only groups of many photos, never single faces.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from jvcr.frames import Crop
from jvcr.images import Image, extract

TONES = ("light", "intermediate", "dark")
_LIGHT_FROM_DEG, _DARK_BELOW_DEG = 41.0, 10.0
"""Skin with an ITA over 41° is called light; under 10°, brown or dark (Del Bino and Bernerd, 2013)."""

_PATCH_PX = 16
_CHEEKS = (((36, 39), 48), ((42, 45), 54))
"""Landmarks of each cheek: it is centred midway between an eye's centre and the mouth corner below it."""


def typology_angle_deg(image: Image, points_img: NDArray[np.floating]) -> float:
    """ITA of the lighter cheek, degrees: arctan((L* − 50) / b*).

    Args:
        image: (H, W, 3) uint8 RGB.
        points_img: (68, ≥2) landmarks, image pixels.
    Returns:
        about 60 for very light skin, below −30 for very dark skin. The lighter cheek is less affected by shadow.
    Example: L* = 70 and b* = 20 give 45°.
    """
    angles = []
    for eye, corner in _CHEEKS:
        centre = (points_img[list(eye), :2].mean(axis=0) + points_img[corner, :2]) / 2
        side = 0.25 * float(np.linalg.norm(points_img[36, :2] - points_img[45, :2]))
        patch = extract(image, Crop(float(centre[0]), float(centre[1]), max(side, 1.0), _PATCH_PX))
        lab = cv2.cvtColor((patch / 255).astype(np.float32), cv2.COLOR_RGB2LAB).reshape(-1, 3)
        lightness, _, yellow = np.median(lab, axis=0)
        angles.append(float(np.degrees(np.arctan2(lightness - 50, max(float(yellow), 1e-3)))))
    return max(angles)


def tone_of(angle_deg: float) -> str:
    """The one of ``TONES`` for an ITA."""
    if angle_deg > _LIGHT_FROM_DEG:
        return TONES[0]
    return TONES[2] if angle_deg < _DARK_BELOW_DEG else TONES[1]
