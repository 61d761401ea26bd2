"""Eyes that are shut and mouths that are open, on photos on which version 0.1 was wrong. Needs the folder ``hard`` of
JVCR_DATA; the photos are not in the project, what is expected of them is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from jvcr import Landmarker, read_image
from jvcr.expression import eye_openings, mouth_opening

PHOTOS = Path(os.environ.get("JVCR_DATA", "JVCR_DATA is not set")) / "hard"
pytestmark = pytest.mark.skipif(not PHOTOS.is_dir(), reason=f"no photos: {PHOTOS} is not a folder")

SHUT, OPEN = (0.0, 0.17), (0.2, 0.5)
CLOSED_MOUTH, WIDE_MOUTH = (0.0, 0.13), (0.55, 1.4)
ANY = (0.0, 2.0)

# Landmark box, and bounds for the openings of the right eye, the left eye and the mouth.
EXPECTED: dict[str, tuple[list[int], tuple[float, float], tuple[float, float], tuple[float, float]]] = {
    "closed_eyes_a": ([35, 33, 160, 162], SHUT, SHUT, CLOSED_MOUTH),
    "closed_eyes_b": ([54, 67, 267, 253], SHUT, SHUT, CLOSED_MOUTH),
    "closed_mouth_squint": ([33, 33, 161, 161], (0.0, 0.22), (0.0, 0.22), CLOSED_MOUTH),
    "wink": ([54, 66, 267, 256], SHUT, OPEN, CLOSED_MOUTH),
    "full_lips_a": ([13, 36, 180, 189], OPEN, OPEN, CLOSED_MOUTH),
    "full_lips_b": ([13, 27, 184, 189], OPEN, OPEN, CLOSED_MOUTH),
    "full_lips_c": ([12, 36, 188, 203], ANY, ANY, CLOSED_MOUTH),
    "open_mouth_a": ([40, 35, 170, 172], OPEN, OPEN, WIDE_MOUTH),
    "open_mouth_b": ([48, 41, 194, 201], OPEN, OPEN, WIDE_MOUTH),
    "open_mouth_c": ([4, 30, 193, 200], ANY, ANY, WIDE_MOUTH),
    "open_mouth_d": ([41, 31, 206, 195], OPEN, OPEN, (0.45, 1.4)),
}


@pytest.fixture(scope="module")
def landmarker() -> Landmarker:
    return Landmarker(threads=1)


@pytest.mark.parametrize("name", EXPECTED)
def test_eyes_and_mouth_do_what_the_photo_shows(name: str, landmarker: Landmarker) -> None:
    box, right, left, mouth = EXPECTED[name]
    (face,) = landmarker.predict(read_image(PHOTOS / f"{name}.jpg"), [box])
    flat = face.landmarks[:, :2]
    found = (*eye_openings(flat).tolist(), float(mouth_opening(flat)))
    for what, value, (low, high) in zip(("right eye", "left eye", "mouth"), found, (right, left, mouth), strict=True):
        assert low <= value <= high, f"{what} {value:.2f}, expected {low} to {high}"
