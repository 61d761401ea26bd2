"""Faces that version 0.1 missed, invented or found twice. Needs JVCR_DATA; the photos are not in the project, what is
expected of them is."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from jvcr import Box, Landmarker, read_image
from jvcr.data.face_photos import FacePhoto, read_face_photos
from jvcr.evaluate.cuts import CUTS, cut_photo
from jvcr.evaluate.matching import extra_results, judge
from jvcr.images import Image

DATA = Path(os.environ.get("JVCR_DATA", "JVCR_DATA is not set"))
pytestmark = pytest.mark.skipif(not (DATA / "hard").is_dir(), reason=f"no photos: {DATA} has no folder 'hard'")


@pytest.fixture(scope="module")
def landmarker() -> Landmarker:
    return Landmarker(threads=1)


@pytest.fixture(scope="module")
def photos() -> list[FacePhoto]:
    """Photographs that neither the training nor the reports look at."""
    return read_face_photos(DATA, "val")


def found_in(landmarker: Landmarker, image: Image) -> tuple[np.ndarray, np.ndarray]:
    faces = landmarker.predict(image)
    boxes = np.array([face.box.to_list() for face in faces], np.float64).reshape(-1, 4)
    return boxes, np.array([face.score for face in faces])


@pytest.mark.parametrize("name", ["phantom_a", "phantom_b", "phantom_c"])
def test_a_face_cut_at_the_nose_is_found_once_and_upright(name: str, landmarker: Landmarker) -> None:
    (face,) = landmarker.predict(read_image(DATA / "hard" / f"{name}.jpg"))
    assert abs(face.pose.tilt_deg) < 30


def test_a_face_larger_than_the_photo_is_found(landmarker: Landmarker) -> None:
    photo = read_image(DATA / "hard" / "tight_crop.jpg")
    (face,) = landmarker.predict(photo)
    height, width = photo.shape[:2]
    # The face reaches beyond the photo on every side, so the IoU of its box with the photo is small.
    assert face.box.iou(Box(0, 0, width, height)) > 0.35


def test_the_lady_in_the_middle_is_found(landmarker: Landmarker) -> None:
    photo = read_image(DATA / "hard" / "missed_lady.jpg")
    assert max(face.score for face in landmarker.predict(photo) if face.box.meets(*photo.shape[1::-1])) > 0.8


def test_a_mask_is_no_face(landmarker: Landmarker) -> None:
    assert landmarker.predict(read_image(DATA / "hard" / "false_goggles.jpg")) == []


@pytest.mark.parametrize("cut", CUTS, ids=lambda cut: cut.label)
def test_cut_faces_are_found(cut, landmarker: Landmarker, photos: list[FacePhoto]) -> None:
    large = [p for p in photos if p.sure.any() and (p.boxes[p.sure, 2:] - p.boxes[p.sure, :2]).max() > 60][:70]
    pictures = [c for p in large if (c := cut_photo(p, cut)) is not None]
    found = extra = 0
    for picture in pictures:
        boxes, scores = found_in(landmarker, picture.image)
        found += bool(judge(boxes, scores, picture.boxes, picture.sure).hits.any())
        extra += extra_results(boxes, scores, picture.boxes, picture.sure)
    least, most_extra = BOUNDS[cut.label]
    assert len(pictures) == 70
    assert found >= least and extra <= most_extra, f"{found} of 70 found, {extra} extra"


BOUNDS = {
    "cut below the nose": (54, 7),
    "cut above the nose": (60, 2),
    "cut left of the middle": (62, 3),
    "cut right of the middle": (62, 2),
    "close-up of 0.8 × the box": (68, 1),
    "close-up of 0.65 × the box": (58, 7),
    "close-up of 0.5 × the box": (18, 28),
}
"""Of 70: found at least, and results at a wrong place of the face at most. Below the nose, the middle of the box lies
outside the photo; no such face was in the training."""


A_FACE_AFTER_ALL = "imagenet_03447"
"""The photo is said to show no face, but a woman lies on a ball in it, in profile."""


def test_recall_and_false_positives_on_held_out_photos(landmarker: Landmarker, photos: list[FacePhoto]) -> None:
    faces = hits = false = empty = 0
    for photo in photos:
        boxes, scores = found_in(landmarker, photo.image)
        if photo.surely_empty and photo.name != A_FACE_AFTER_ALL:
            empty += 1
            false += len(boxes)
        result = judge(boxes, scores, photo.boxes, photo.sure)
        faces, hits = faces + len(result.truth_scores), hits + int((result.truth_scores >= 0).sum())
    assert empty == 78
    assert hits / faces > 0.86, f"{hits} of {faces}"
    assert false <= 2, f"{false} in {empty} photos without a face"
