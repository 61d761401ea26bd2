"""Apparent skin tone of a face: a rough check of fairness where nobody has labelled people.

The individual typology angle (ITA; Chardon et al., 1991) of the cheeks, from the photo's own colours: light and camera
shift it, so it sorts photos rather than people. Groups of many photos may be compared; a single face must not be.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from jvcr.frames import Crop
from jvcr.images import Image, extract

TONES = ("light", "intermediate", "dark")
_LIGHT_FROM_DEG, _DARK_BELOW_DEG = 41.0, 10.0
"""ITA over 41° is called light, under 10° brown or dark (Del Bino and Bernerd, 2013)."""

_PATCH_PX = 16
_CHEEKS = (((36, 39), 48), ((42, 45), 54))
"""A cheek is seen around the middle between an eye's centre and the mouth's corner below it."""


def typology_angle_deg(image: Image, points_img: NDArray[np.floating]) -> float:
    """ITA of the lighter cheek, degrees: arctan((L* − 50) / b*).

    Args:
        image: (H, W, 3) uint8 RGB.
        points_img: (68, ≥2) landmarks, image pixels.
    Returns:
        about 60 for very light skin, below −30 for very dark skin. The lighter cheek is the one less in the shadow.
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
    """The name of the group that an ITA is in, of ``TONES``."""
    if angle_deg > _LIGHT_FROM_DEG:
        return TONES[0]
    return TONES[2] if angle_deg < _DARK_BELOW_DEG else TONES[1]
