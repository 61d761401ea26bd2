"""The shipped weights on a fixed tiny set, with such tight bounds that a shift of one pixel anywhere fails it.

The set is the astronaut photograph (public domain, inside scikit-image), varied. The expected landmarks are
predictions of the shipped weights. `python tests/test_regression.py` updates them; first check the pictures that
`--draw FOLDER` draws. Whether they are *right* is tested in test_landmarker.py.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from skimage.data import astronaut

from jvcr import Face, Landmarker

EXPECTED = Path(__file__).with_name("regression_landmarks.json")
BOUND_PX = 0.25
"""Largest allowed move of any landmark, in pixels of the photo (a tenth of a pixel of the crop)."""

Picture = NDArray[np.uint8]


def turned(image: Picture, degrees: float) -> Picture:
    matrix = cv2.getRotationMatrix2D((223.0, 130.0), degrees, 1.0)
    return np.asarray(cv2.warpAffine(image, matrix, (512, 512), borderMode=cv2.BORDER_REFLECT), np.uint8)


def resized(image: Picture, side: int) -> Picture:
    how = cv2.INTER_AREA if side < image.shape[0] else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (side, side), interpolation=how), np.uint8)


CASES: dict[str, tuple[Callable[[Picture], Picture], list[float]]] = {
    "plain": (lambda image: image, [179, 87, 269, 178]),
    "mirrored": (lambda image: np.ascontiguousarray(image[:, ::-1]), [242, 87, 332, 178]),
    "turned 25": (lambda image: turned(image, 25), [173, 83, 273, 182]),
    "turned -40": (lambda image: turned(image, -40), [170, 80, 275, 185]),
    "half size": (lambda image: resized(image, 256), [89, 43, 134, 89]),
    "three times": (lambda image: resized(image, 1536), [538, 262, 808, 535]),
    "dark": (lambda image: (image * 0.25).astype(np.uint8), [179, 87, 269, 178]),
    "cut off": (lambda image: image[110:, 200:].copy(), [-21, -23, 69, 68]),
}


def predict(name: str, landmarker: Landmarker) -> tuple[Picture, Face]:
    change, box = CASES[name]
    image = change(astronaut())
    return image, landmarker.predict(image, [box])[0]


@pytest.fixture(scope="module")
def landmarker() -> Landmarker:
    return Landmarker(threads=1)


@pytest.mark.parametrize("name", CASES)
def test_landmarks_have_not_moved(name: str, landmarker: Landmarker) -> None:
    expected = np.array(json.loads(EXPECTED.read_text())[name])
    _, face = predict(name, landmarker)
    moved = np.linalg.norm(face.landmarks - expected, axis=1)
    bound = BOUND_PX * max(1.0, face.box.width / 90)
    assert moved.max() < bound, f"landmark {moved.argmax()} moved by {moved.max():.2f} px"


def test_the_bound_is_tight(landmarker: Landmarker) -> None:
    """Moving the photo by one pixel under the same box moves the landmarks by more than the bound allows."""
    expected = np.array(json.loads(EXPECTED.read_text())["plain"])
    for shift in ((1, 0), (0, 1), (-1, 0), (0, -1)):
        image = np.roll(astronaut(), shift, axis=(1, 0))
        face = landmarker.predict(image, [CASES["plain"][1]])[0]
        assert np.linalg.norm(face.landmarks - expected, axis=1).max() > 2 * BOUND_PX


if __name__ == "__main__":
    from jvcr.draw.landmarks import draw_faces
    from jvcr.images import write_image

    model = Landmarker()
    found = {name: predict(name, model) for name in CASES}
    rounded = {name: np.round(face.landmarks.astype(float), 2).tolist() for name, (_, face) in found.items()}
    EXPECTED.write_text(json.dumps(rounded).replace("]], ", "]],\n") + "\n")
    if "--draw" in sys.argv:
        folder = Path(sys.argv[sys.argv.index("--draw") + 1])
        folder.mkdir(exist_ok=True)
        for name, (image, face) in found.items():
            write_image(folder / f"{name}.png", draw_faces(image, [face]))
