from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

from jvcr.evaluate.tone import tone_of, typology_angle_deg
from jvcr.geometry import mean_shape_68


def photo(lightness: float, yellow: float, shadow: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """A plain photo of one colour, darker on its right half, and a frontal face in its middle."""
    lab = np.full((120, 120, 3), (lightness, 8.0, yellow), np.float32)
    lab[:, 60:, 0] -= shadow
    rgb = (255 * cv2.cvtColor(lab, cv2.COLOR_LAB2RGB)).round().astype(np.uint8)
    return rgb, mean_shape_68() * 50 + (60, 60, 0)


@pytest.mark.parametrize(
    ("lightness", "yellow", "tone"), [(75.0, 15.0, "light"), (60.0, 18.0, "intermediate"), (40.0, 16.0, "dark")]
)
def test_angle_by_hand(lightness: float, yellow: float, tone: str) -> None:
    angle = typology_angle_deg(*photo(lightness, yellow))
    assert angle == pytest.approx(math.degrees(math.atan((lightness - 50) / yellow)), abs=2)
    assert tone_of(angle) == tone


def test_the_cheek_in_the_light_counts() -> None:
    assert typology_angle_deg(*photo(70, 16, shadow=30)) == pytest.approx(typology_angle_deg(*photo(70, 16)), abs=0.5)


def test_borders_of_the_groups() -> None:
    assert [tone_of(angle) for angle in (41.1, 41.0, 10.0, 9.9, -60.0)] == [
        "light",
        "intermediate",
        "intermediate",
        "dark",
        "dark",
    ]
