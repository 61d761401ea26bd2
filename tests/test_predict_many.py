"""Many images at once, the forms in which people have them, and pickled landmarkers."""

from __future__ import annotations

import itertools
import pickle
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import PIL.Image
import pytest
from numpy.typing import NDArray
from skimage.data import astronaut

from jvcr import Face, Landmarker
from jvcr.detect.whole import whole_image
from jvcr.images import Image, from_pillow
from jvcr.io.inputs import as_image

PHOTO: NDArray[np.uint8] = astronaut()
FACE_BOX = [179.0, 87.0, 269.0, 178.0]


@pytest.fixture(scope="module")
def landmarker() -> Landmarker:
    return Landmarker(threads=1)


@pytest.fixture(scope="module")
def photos() -> list[Image]:
    """One face, none, two, one that lies on its side, and one that is cut."""
    two = np.concatenate([PHOTO[:300], PHOTO[:300, ::-1]], axis=1)
    reduced = cv2.resize(PHOTO, (200, 200), interpolation=cv2.INTER_AREA)
    lying = np.ascontiguousarray(np.rot90(reduced))
    return [PHOTO, np.full((80, 120, 3), 90, np.uint8), two, lying, np.ascontiguousarray(PHOTO[110:400, 100:420])]


def assert_same(some: list[list[Face]], others: list[list[Face]]) -> None:
    assert [len(faces) for faces in some] == [len(faces) for faces in others]
    for a, b in zip(itertools.chain(*some), itertools.chain(*others), strict=True):
        np.testing.assert_allclose(a.landmarks, b.landmarks, atol=5e-3)
        np.testing.assert_allclose(a.box.to_list(), b.box.to_list(), atol=5e-3)
        assert a.score == pytest.approx(b.score, abs=1e-3)


@pytest.mark.parametrize("batch_size", [1, 3, 8])
def test_found_faces_are_those_of_predict(landmarker: Landmarker, photos: list[Image], batch_size: int) -> None:
    expected = [landmarker.predict(photo) for photo in photos]
    assert [len(faces) for faces in expected][:3] == [1, 0, 2]
    assert_same(list(landmarker.predict_many(photos, batch_size=batch_size)), expected)


@pytest.mark.parametrize("refine", [False, True])
def test_faces_of_given_boxes_are_those_of_predict(photos: list[Image], refine: bool) -> None:
    landmarker = Landmarker(threads=1, refine=refine, batch_size=3)
    boxes = [[FACE_BOX, [170.0, 80.0, 280.0, 190.0]], [], [FACE_BOX] * 4, [], []]
    expected = [landmarker.predict(photo, given) for photo, given in zip(photos, boxes, strict=True)]
    found = list(landmarker.predict_many(photos, boxes))
    assert [len(faces) for faces in found] == [2, 0, 4, 0, 0]
    assert_same(found, expected)


def test_crops_of_several_photos_share_a_pass(photos: list[Image]) -> None:
    class Counting:
        def __init__(self) -> None:
            self.inner, self.sizes = Landmarker(threads=1)._runtime, list[int]()
            self.image_size, self.markup = self.inner.image_size, self.inner.markup
            self.crop_rule, self.confidence = self.inner.crop_rule, self.inner.confidence

        def __call__(self, crops: Image):  # type: ignore[no-untyped-def]
            self.sizes.append(len(crops))
            return self.inner(crops)

    runtime = Counting()
    landmarker = Landmarker(backend=runtime, mirror=False, threads=1)
    landmarker.predict(PHOTO)
    alone, runtime.sizes = runtime.sizes, []
    list(landmarker.predict_many([PHOTO] * 6, batch_size=6))
    # Each pass of the photo alone is one of all six together, in pieces of at most 8 crops.
    pieces = [[8] * (6 * crops // 8) + [6 * crops % 8] * (6 * crops % 8 > 0) for crops in alone]
    assert runtime.sizes == list(itertools.chain(*pieces))


def test_images_are_read_as_results_are_taken(landmarker: Landmarker) -> None:
    taken = 0

    def endless() -> Iterator[Image]:
        nonlocal taken
        while True:
            taken += 1
            yield PHOTO[:64, :64]

    results = landmarker.predict_many(endless(), batch_size=4)
    assert taken == 0
    for _ in range(5):
        next(results)
    assert taken == 8


def test_volumes_are_kept_on_request(landmarker: Landmarker) -> None:
    (with_volumes,) = landmarker.predict_many([PHOTO], volumes=True)
    (without,) = landmarker.predict_many([PHOTO])
    assert with_volumes[0].volume is not None
    assert with_volumes[0].volume.shape == (32, 64, 64)
    assert without[0].volume is None
    assert landmarker.predict(PHOTO)[0].volume is None


def test_errors_name_the_image(landmarker: Landmarker, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"image 1: .*missing\.jpg: no such file"):
        list(landmarker.predict_many([PHOTO, tmp_path / "missing.jpg"]))
    with pytest.raises(TypeError, match="image 2: image has dtype float64"):
        list(landmarker.predict_many([PHOTO, PHOTO, PHOTO / 255]))
    with pytest.raises(ValueError, match=r"image 1: box 0: .*outside"):
        list(landmarker.predict_many([PHOTO, PHOTO], [[FACE_BOX], [[900, 900, 950, 950]]]))
    with pytest.raises(ValueError, match="batch_size is 0"):
        landmarker.predict_many([PHOTO], batch_size=0)


def test_the_forms_of_an_image(tmp_path: Path) -> None:
    colours = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    PIL.Image.fromarray(colours).save(tmp_path / "photo.png")
    for given in (colours, PIL.Image.fromarray(colours), tmp_path / "photo.png", str(tmp_path / "photo.png")):
        np.testing.assert_array_equal(as_image(given), colours)
    grey = colours[:, :, 0]
    for given in (grey, grey[:, :, None], PIL.Image.fromarray(grey)):
        np.testing.assert_array_equal(as_image(given), np.stack([grey] * 3, axis=-1))
    # Half transparent on white: (c + 255) / 2.
    alpha = np.full((5, 7, 1), 128, np.uint8)
    layer = np.concatenate([colours, alpha], axis=2)
    expected = (colours.astype(np.float64) * 128 + 255.0 * 127) / 255
    for given in (layer, PIL.Image.fromarray(layer)):
        np.testing.assert_allclose(as_image(given), expected, atol=1)


def test_pillow_images_are_rotated_by_their_tag(tmp_path: Path) -> None:
    photo = PIL.Image.fromarray(np.zeros((20, 30, 3), np.uint8))
    exif = photo.getexif()
    exif[0x0112] = 6
    photo.save(tmp_path / "lying.jpg", exif=exif)
    with PIL.Image.open(tmp_path / "lying.jpg") as opened:
        assert from_pillow(opened).shape == (30, 20, 3)


def test_predict_takes_a_path_and_grey(landmarker: Landmarker, tmp_path: Path) -> None:
    PIL.Image.fromarray(PHOTO).save(tmp_path / "photo.png")
    assert_same([landmarker.predict(tmp_path / "photo.png")], [landmarker.predict(PHOTO)])
    grey = cv2.cvtColor(PHOTO, cv2.COLOR_RGB2GRAY)
    assert len(landmarker.predict(grey)) == 1


def test_a_pickled_landmarker_gives_the_same_faces(landmarker: Landmarker) -> None:
    copy = pickle.loads(pickle.dumps(landmarker))
    np.testing.assert_array_equal(copy.predict(PHOTO)[0].landmarks, landmarker.predict(PHOTO)[0].landmarks)
    given = Landmarker(threads=1, detector=whole_image, mirror=False, min_score=0.5, detect_size=320)
    assert pickle.loads(pickle.dumps(given))._settings == given._settings
    assert len(pickle.dumps(landmarker)) < 1000


def test_the_parts_of_a_landmarker_can_be_pickled(landmarker: Landmarker) -> None:
    from jvcr.detect.network import NetworkDetector

    detector = pickle.loads(pickle.dumps(NetworkDetector(size=320, threads=1)))
    assert len(detector(PHOTO)) >= 1
    copy = pickle.loads(pickle.dumps(Landmarker(backend=landmarker._runtime, threads=1)))
    assert len(copy.predict(PHOTO, [FACE_BOX])) == 1
