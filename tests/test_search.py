"""The search with the shipped networks on a fixed set of photos, no boxes given: which faces, where, and how sure.

The photos are the astronaut (public domain, inside scikit-image), rotated, cropped, scaled and tiled; and, where
JVCR_DATA is set, photos of its folder `hard`, by name. The expected faces are results of the shipped weights.
`python tests/test_search.py` updates `search_faces.json`; first check the faces that `--draw FOLDER` draws. Whether
they are *right* is tested in test_landmarker.py and test_faces_on_photos.py, and by `jvcr evaluate detect`.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from skimage.data import astronaut

from jvcr import Face, Landmarker, read_image
from jvcr.frames import Crop
from jvcr.images import Image, extract

EXPECTED = Path(__file__).with_name("search_faces.json")
BOUND_PX = 0.5
"""Largest allowed move of a side of a box, pixels of the photo; where a face is wider than 90, as a share of it."""

BOUND_SCORE = 0.02
BOUND_ROLL_DEG = 1.0

PHOTOS = Path(os.environ.get("JVCR_DATA", "JVCR_DATA is not set")) / "hard"


def turned(degrees: float) -> Callable[[Image], Image]:
    return lambda photo: extract(photo, Crop(224.0, 132.0, 340.0, 340, degrees), cv2.BORDER_REFLECT_101)


def scaled(factor: float) -> Callable[[Image], Image]:
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    return lambda photo: np.asarray(cv2.resize(photo, None, fx=factor, fy=factor, interpolation=how), np.uint8)


def tiled(photo: Image) -> Image:
    """2 × 3 heads of different sizes and rolls."""
    settings = [(1.0, 0), (0.5, 30), (0.3, -50), (0.2, 0), (0.7, 100), (0.15, 180)]
    cells = [extract(photo, Crop(224.0, 150.0, 300 / scale, 300, float(degrees))) for scale, degrees in settings]
    return np.concatenate([np.concatenate(cells[row : row + 3], axis=1) for row in (0, 3)])


CASES: dict[str, Callable[[Image], Image]] = {
    "plain": lambda photo: photo,
    "turned 35": turned(35),
    "turned -80": turned(-80),
    "upside down": turned(180),
    "cut at the left": lambda photo: photo[:, 200:],
    "cut at the chin": lambda photo: photo[:160],
    "cut at the nose": lambda photo: photo[:137],
    "close-up": lambda photo: photo[103:163, 195:254],
    "a third": scaled(1 / 3),
    "two and a half times": scaled(2.5),
    "dark": lambda photo: (photo * 0.2).astype(np.uint8),
    "tiled": tiled,
    "no face": lambda photo: photo[300:, 300:],
}


NAMES = (
    *(f"closed_eyes_{letter}.jpg" for letter in "ab"),
    *(f"false_{what}.jpg" for what in ("ball", "dog", "goggles")),
    "missed_lady.jpg",
    *(f"phantom_{letter}.jpg" for letter in "abc"),
    "tight_crop.jpg",
)


def photo_of(name: str) -> Image:
    made = CASES.get(name)
    return read_image(PHOTOS / name) if made is None else np.ascontiguousarray(made(astronaut()))


def found_in(name: str, landmarker: Landmarker) -> tuple[Image, list[Face]]:
    """The photo of a case, and its faces row by row, from left to right."""
    photo = photo_of(name)
    return photo, sorted(landmarker.predict(photo), key=lambda face: (face.box.centre[1] // 300, face.box.x0))


@pytest.fixture(scope="module")
def landmarker() -> Landmarker:
    return Landmarker(threads=1)


@pytest.mark.parametrize("name", [*CASES, *NAMES])
def test_the_search_finds_what_it_found(name: str, landmarker: Landmarker) -> None:
    if name in NAMES and not PHOTOS.is_dir():
        pytest.skip(f"no photos: {PHOTOS} is not a folder")
    expected = json.loads(EXPECTED.read_text(encoding="utf-8"))[name]
    _, faces = found_in(name, landmarker)
    assert len(faces) == len(expected), [face.box for face in faces]
    for face, known in zip(faces, expected, strict=True):
        bound = BOUND_PX * max(1.0, face.box.width / 90)
        np.testing.assert_allclose(face.box.to_list(), known["box"], rtol=0, atol=bound)
        assert face.score == pytest.approx(known["score"], abs=BOUND_SCORE)
        assert abs((face.pose.tilt_deg - known["roll_deg"] + 180) % 360 - 180) < BOUND_ROLL_DEG


def test_the_set_has_faces_and_none() -> None:
    counts = {name: len(faces) for name, faces in json.loads(EXPECTED.read_text(encoding="utf-8")).items()}
    assert counts.keys() == {*CASES, *NAMES}
    assert counts["no face"] == 0 and counts["plain"] == 1 and counts["tiled"] >= 5


def record(face: Face) -> dict[str, object]:
    return {
        "box": np.round(face.box.to_list(), 2).tolist(),
        "roll_deg": round(face.pose.tilt_deg, 1),
        "score": round(face.score, 3),
    }


if __name__ == "__main__":
    from jvcr.draw.landmarks import draw_faces
    from jvcr.images import write_image

    model = Landmarker()
    found = {name: found_in(name, model) for name in (*CASES, *NAMES)}
    lines = [
        f"{json.dumps(name)}: {json.dumps([record(face) for face in faces])}" for name, (_, faces) in found.items()
    ]
    EXPECTED.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    if "--draw" in sys.argv:
        folder = Path(sys.argv[sys.argv.index("--draw") + 1])
        folder.mkdir(parents=True, exist_ok=True)
        for name, (image, faces) in found.items():
            write_image(folder / f"{Path(name).stem}.png", draw_faces(image, faces))
