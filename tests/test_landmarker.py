"""The public API on the astronaut photograph (public domain, inside scikit-image) and on bad input."""

from __future__ import annotations

import json
import math
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from skimage.data import astronaut

from jvcr import Box, Face, Landmarker
from jvcr.detect.base import Proposal
from jvcr.detect.whole import whole_image
from jvcr.frames import Crop
from jvcr.images import extract
from jvcr.metrics import normalised_mean_error
from jvcr.runtime.confidence import Confidence
from jvcr.runtime.header import Fields, read_confidence

PHOTO: NDArray[np.uint8] = astronaut()
FACE_BOX = [179.0, 87.0, 269.0, 178.0]
"""Landmark box, read off the photograph by eye: brows to chin, jaw to jaw at the ears."""


@pytest.fixture(scope="module")
def landmarker() -> Landmarker:
    return Landmarker(threads=1)


@pytest.fixture(scope="module")
def face(landmarker: Landmarker) -> Face:
    return landmarker.predict(PHOTO, boxes=[FACE_BOX], volumes=True)[0]


def test_the_astronaut_is_found(landmarker: Landmarker) -> None:
    faces = landmarker.predict(PHOTO)
    assert len(faces) == 1
    assert faces[0].box.iou(Box(*FACE_BOX)) > 0.7
    assert faces[0].score > 0.9


def test_landmarks_lie_where_a_person_sees_them(face: Face) -> None:
    # Read off the photograph by eye, to about 2 px: pupils, tip of the nose, corners of the mouth, chin.
    seen = {
        "right eye": (face.landmarks[36:42].mean(axis=0), (202.5, 101)),
        "left eye": (face.landmarks[42:48].mean(axis=0), (246, 103)),
        "nose tip": (face.landmarks[30], (225, 127)),
        "right mouth corner": (face.landmarks[48], (203, 140)),
        "left mouth corner": (face.landmarks[54], (246, 140)),
        "chin": (face.landmarks[8], (223, 178)),
    }
    for name, (point, expected) in seen.items():
        assert np.linalg.norm(point[:2] - expected) < 6, (name, point)


def test_depth_points_away_from_the_camera(face: Face) -> None:
    nose, ears = face.landmarks[30, 2], face.landmarks[[0, 16], 2]
    assert nose < ears.min() - 40
    assert abs(face.landmarks[:, 2].mean()) < 1e-3


def test_what_a_face_holds(face: Face) -> None:
    assert face.landmarks.shape == (68, 3)
    assert face.landmarks.dtype == np.float32
    assert face.box.to_list() == FACE_BOX
    assert face.volume is not None
    assert face.volume.shape == (32, 64, 64)
    assert 0 < face.score <= 1
    assert abs(face.pose.yaw_deg) < 25
    np.testing.assert_allclose(face.pose.rotation @ face.pose.rotation.T, np.eye(3), atol=1e-6)


def test_the_volume_has_its_peaks_at_the_landmarks(face: Face) -> None:
    from jvcr.frames import crop_to_unit, unit_to_vox
    from jvcr.volume import sample

    assert face.volume is not None
    assert face.crop is not None
    points_vox = unit_to_vox(crop_to_unit(face.crop.to_crop(face.landmarks), face.crop.size_px), face.volume.shape)
    there = sample(face.volume[None], points_vox[None]).mean()
    # If narrow blobs may be off by their own width, the network predicts broad, low ones.
    assert there > 0.25
    assert there > 10 * face.volume.mean()


def test_boxes_keep_their_order_and_the_batch_does_not_matter(landmarker: Landmarker) -> None:
    boxes = [[FACE_BOX[0] + d, FACE_BOX[1], FACE_BOX[2] + d, FACE_BOX[3] + 2 * d] for d in range(5)]
    together = landmarker.predict(PHOTO, boxes)
    small_batches = Landmarker(threads=1, batch_size=2).predict(PHOTO, boxes)
    for box, face, other in zip(boxes, together, small_batches, strict=True):
        alone = landmarker.predict(PHOTO, [box])[0]
        assert face.box.to_list() == box
        np.testing.assert_allclose(face.landmarks, alone.landmarks, atol=2e-3)
        np.testing.assert_allclose(face.landmarks, other.landmarks, atol=2e-3)


def test_a_mirrored_photo_gives_mirrored_landmarks(landmarker: Landmarker, face: Face) -> None:
    width = PHOTO.shape[1]
    box = [width - 1 - FACE_BOX[2], FACE_BOX[1], width - 1 - FACE_BOX[0], FACE_BOX[3]]
    mirrored = landmarker.predict(PHOTO[:, ::-1], [box])[0].landmarks[list(landmarker.markup.mirror)]
    mirrored[:, 0] = width - 1 - mirrored[:, 0]
    # Both are estimates, so they agree only within the network's error.
    assert normalised_mean_error(mirrored[None], face.landmarks[None])[0] < 0.04


def test_face_crops_need_no_detector() -> None:
    crop = PHOTO[50:220, 135:305]
    faces = Landmarker(threads=1, detector=whole_image).predict(crop)
    assert len(faces) == 1
    assert faces[0].box.iou(Box(FACE_BOX[0] - 135, FACE_BOX[1] - 50, FACE_BOX[2] - 135, FACE_BOX[3] - 50)) > 0.65


def test_a_detector_of_ones_own(landmarker: Landmarker) -> None:
    seen: list[tuple[int, ...]] = []

    def detector(image: NDArray[np.uint8]) -> list[Any]:
        seen.append(image.shape)
        # A rough box, one that overlaps it, and nonsense on the background and off the image.
        return [Box(170, 80, 285, 190), [185, 90, 270, 175], Box(10, 10, 60, 60), Box(600, 600, 700, 700)]

    faces = Landmarker(threads=1, detector=detector).predict(PHOTO)
    assert seen == [PHOTO.shape]
    assert [f.box.iou(Box(*FACE_BOX)) > 0.7 for f in faces] == [True]


def test_the_roll_of_a_proposal_turns_the_crop() -> None:
    # Upside down, single pass: without the roll the prediction is useless.
    turned = np.ascontiguousarray(PHOTO[::-1, ::-1])
    box = Box(511 - FACE_BOX[2], 511 - FACE_BOX[3], 511 - FACE_BOX[0], 511 - FACE_BOX[1])
    upright = Landmarker(threads=1, refine=False, detector=lambda image: [Box(*FACE_BOX)]).predict(PHOTO)[0]
    (known,) = Landmarker(threads=1, refine=False, detector=lambda i: [Proposal(box, 0.9, 180.0)]).predict(turned)
    np.testing.assert_allclose(511 - known.landmarks[:, :2], upright.landmarks[:, :2], atol=1.0)


@pytest.mark.parametrize("degrees", [90, 130, 180, -110])
def test_a_wrong_roll_is_mended(degrees: float) -> None:
    # On a rotated head, the first pass has low agreement; the second pass decides.
    crop = Crop(255.5, 255.5, 512, 512, degrees)
    truth = crop.to_crop(Landmarker(threads=1).predict(PHOTO, [FACE_BOX])[0].landmarks)
    proposal = Proposal(Box.around(truth), 0.35, 0.0)
    (face,) = Landmarker(threads=1, detector=lambda image: [proposal]).predict(extract(PHOTO, crop))
    np.testing.assert_allclose(face.landmarks[:, :2], truth[:, :2], atol=3)
    assert face.score > 0.85


def test_unlikely_proposals_are_looked_at_where_there_is_no_other_face() -> None:
    face, wall = Box(*FACE_BOX), Box(400, 20, 460, 80)
    for likely in ([], [Proposal(wall, 0.4)]):
        proposals = [*likely, Proposal(face, 0.25)]
        (found,) = Landmarker(threads=1, detector=lambda image, found=proposals: found).predict(PHOTO)  # type: ignore[misc]
        assert found.box.iou(face) > 0.8
    # Beside a face they are skipped; otherwise the second copy in this doubled photo would be found.
    doubled = np.concatenate([PHOTO, PHOTO], axis=1)
    beside = Proposal(Box(face.x0 + 512, face.y0, face.x1 + 512, face.y1), 0.25)
    (found,) = Landmarker(threads=1, detector=lambda image: [Proposal(face, 0.9), beside]).predict(doubled)
    assert found.box.iou(face) > 0.8


def test_scores_combine_both_networks() -> None:
    score = Confidence().score
    # A doubtful proposal needs landmarks that fit better.
    for agreement in (0.2, 0.35, 0.5):
        values = [score(agreement, opinion, 50) for opinion in (0.0, 0.1, 0.5, 0.9, 1.0)]
        assert values == sorted(values) and values[0] >= 0 and values[-1] <= 1
    assert score(0.5) > score(0.3)
    assert score(0.0) < 0.01 and score(0.0, 0.2, 50) < 0.01
    # So does a small one. Among large ones, the size has no effect.
    assert score(0.4, 0.4, 16) < score(0.4, 0.4, 40) < score(0.4, 0.4, 64)
    assert score(0.4, 0.4, 64) == score(0.4, 0.4, 900)
    assert score(0.4, 0.4, 12) == score(0.4, 0.4, 16)
    assert score(0.4, None, 12) == score(0.4, None, 900)


def test_the_score_between_two_sizes_by_hand() -> None:
    # 32 px lies half-way from 16 to 64 on a logarithmic scale, so its constants are the means.
    half = Confidence(small=(1.0, 2.0, 3.0, -1.0), large=(3.0, 6.0, 1.0, -3.0)).score(0.5, 0.8, 32, 0.02)
    logit = 2.0 + 4.0 * math.log(0.5) + 2.0 * math.log(0.8 / 0.2) - 2.0 * math.log(0.02)
    assert half == pytest.approx(1 / (1 + math.exp(-logit)))


def test_constants_of_the_score_travel_with_the_weights() -> None:
    def stored(about: dict[str, Any]) -> Confidence:
        return read_confidence(Fields(Path("my.onnx"), "about", about))

    own = Confidence(small=(1.0, 2.0, 3.0, -1.0), large=(4.0, 5.0, 6.0, -2.0), alone=(0.5, 1.5), least_agreement=0.04)
    assert stored({"confidence": json.loads(json.dumps(own.to_dict()))}) == own
    assert stored({}) == Confidence()
    # Files of version 0.2 have no weight of σ.
    older = {**own.to_dict(), "small": [1.0, 2.0, 3.0], "large": [4.0, 5.0, 6.0]}
    assert stored({"confidence": older}).score(0.3, 0.8, 40, 0.02) == stored({"confidence": older}).score(0.3, 0.8, 40)
    # 0.5 + 1.5 · ln 0.3 is the logit.
    assert own.score(0.3) == pytest.approx(1 / (1 + math.exp(-(0.5 + 1.5 * math.log(0.3)))))
    with pytest.raises(
        ValueError, match=r"my\.onnx: metadata field 'about\.confidence': .*small, large, alone and least"
    ):
        stored({"confidence": {"small": [1, 2, 3]}})
    with pytest.raises(ValueError, match="expected finite constants: 4 for small"):
        Confidence(alone=(float("nan"), 1.0))


def test_a_detector_that_returns_nonsense_is_named() -> None:
    with pytest.raises(ValueError, match="the detector returned 'nothing'"):
        Landmarker(threads=1, detector=lambda image: ["nothing"]).predict(PHOTO)  # type: ignore[list-item]


@pytest.mark.parametrize("shape", [(1, 1), (3, 500), (17, 17), (64, 64)])
def test_images_without_a_face(landmarker: Landmarker, shape: tuple[int, int]) -> None:
    assert landmarker.predict(np.full((*shape, 3), 128, np.uint8)) == []


def test_no_boxes_no_faces(landmarker: Landmarker) -> None:
    assert landmarker.predict(PHOTO, boxes=[]) == []
    assert landmarker.predict(PHOTO, boxes=np.empty((0, 4))) == []


def test_a_box_that_reaches_beyond_the_image(landmarker: Landmarker) -> None:
    (face,) = landmarker.predict(PHOTO, [[-60.0, -30.0, 40.0, 70.0]])
    assert np.isfinite(face.landmarks).all()


def test_the_image_is_not_modified_and_may_be_a_view(landmarker: Landmarker, face: Face) -> None:
    bgr = PHOTO[:, :, ::-1].copy()
    before = bgr.copy()
    np.testing.assert_allclose(landmarker.predict(bgr[:, :, ::-1], [FACE_BOX])[0].landmarks, face.landmarks, atol=1e-3)
    np.testing.assert_array_equal(bgr, before)


def test_threads_may_share_it(landmarker: Landmarker, face: Face) -> None:
    start = threading.Barrier(4)

    def work(shift: int) -> NDArray[np.float32]:
        start.wait()
        box = [FACE_BOX[0] + shift, FACE_BOX[1], FACE_BOX[2] + shift, FACE_BOX[3]]
        results = [landmarker.predict(PHOTO, [box])[0].landmarks for _ in range(3)]
        assert landmarker.predict(PHOTO)
        np.testing.assert_array_equal(results[0], results[2])
        return results[0]

    with ThreadPoolExecutor(4) as pool:
        parallel = list(pool.map(work, range(4)))
    np.testing.assert_allclose(parallel[0], face.landmarks, atol=1e-3)
    assert not np.array_equal(parallel[0], parallel[3])


@pytest.mark.parametrize(
    ("image", "error", "message"),
    [
        ("no_photo.jpg", ValueError, "no_photo.jpg: no such file"),
        (7, TypeError, "int; expected a path, a PIL.Image, or a NumPy array"),
        (PHOTO.astype(np.float32) / 255, TypeError, "dtype float32; expected uint8"),
        (PHOTO.astype(np.int64), TypeError, "dtype int64; expected uint8"),
        (PHOTO.transpose(2, 0, 1), ValueError, r"\(3, 512, 512\); expected \(H, W, 3\)"),
        (np.zeros((9, 9, 2), np.uint8), ValueError, r"\(9, 9, 2\); expected"),
        (np.zeros((0, 9, 3), np.uint8), ValueError, r"\(0, 9, 3\); expected"),
    ],
)
def test_wrong_images_are_refused(landmarker: Landmarker, image: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        landmarker.predict(image)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("boxes", "message"),
    [
        ([[1, 2, 3, 4], [1, 2, float("nan"), 4]], "box 1: .*not finite"),
        ([[50, 50, 40, 90]], "box 0: .*empty"),
        ([[50, 50, 50, 90]], "box 0: .*empty"),
        ([[600, 10, 700, 90]], "box 0: .*outside the image of 512 × 512"),
        ([[-1e7, -1e7, 1e7, 1e7]], "box 0: .*far larger than the image"),
        (Box(1, 2, 3, 4), "a single Box; expected a list"),
        ([[1, 2, 3]], "expected .K, 4."),
        ([1, 2, 3, 4], "expected .K, 4."),
        ([["a", "b", "c", "d"]], "not a table of numbers"),
    ],
)
def test_wrong_boxes_are_refused(landmarker: Landmarker, boxes: list[object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        landmarker.predict(PHOTO, boxes)


def test_unknown_weights() -> None:
    with pytest.raises(ValueError, match="'huge' are unknown; expected one of small"):
        Landmarker("huge")
    with pytest.raises(FileNotFoundError, match=r"none\.onnx: no such weights file"):
        Landmarker("none.onnx")


def test_foreign_weights(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("weights") / "junk.onnx"
    path.write_bytes(b"junk")
    with pytest.raises(ValueError, match=r"junk\.onnx: ONNX Runtime cannot load it"):
        Landmarker(path)


def test_face_round_trip(face: Face) -> None:
    again = Face.from_dict(face.to_dict())
    np.testing.assert_allclose(again.landmarks, face.landmarks, atol=6e-4)
    assert again.box == face.box
    assert again.pose.yaw_deg == pytest.approx(face.pose.yaw_deg, abs=0.01)


def test_face_checks_its_shape() -> None:
    with pytest.raises(ValueError, match=r"shape \(66, 3\); markup 'ibug-68' expects \(68, 3\)"):
        Face(np.zeros((66, 3), np.float32), Box(0, 0, 1, 1), 0.5)
    with pytest.raises(ValueError, match="not finite"):
        Face(np.full((68, 3), np.nan, np.float32), Box(0, 0, 1, 1), 0.5)


def test_visible_and_covered_landmarks(landmarker: Landmarker) -> None:
    """The astronaut's face is in plain view; a grey square then covers her mouth."""
    seen = landmarker.predict(PHOTO, [FACE_BOX])[0]
    assert seen.visibility is not None and seen.sigma_px is not None and seen.reliable
    inner = seen.visibility[17:]
    assert inner.mean() > 0.85 and not seen.hidden[27:].any()
    photo = PHOTO.copy()
    photo[133:162, 188:262] = 110
    covered = landmarker.predict(photo, [FACE_BOX])[0]
    assert covered.visibility is not None and covered.sigma_px is not None
    assert covered.visibility[48:].mean() < 0.5 * seen.visibility[48:].mean()
    assert covered.visibility[36:48].mean() > 0.8
    assert covered.sigma_px[48:].mean() > 1.2 * seen.sigma_px[48:].mean()


def test_a_coarse_face_is_less_certain(landmarker: Landmarker) -> None:
    small = cv2.resize(PHOTO, (96, 96), interpolation=cv2.INTER_AREA)
    coarse = np.asarray(cv2.resize(small, (512, 512), interpolation=cv2.INTER_LINEAR), np.uint8)
    sharp, blurred = (landmarker.predict(photo, [FACE_BOX])[0].sigma_px for photo in (PHOTO, coarse))
    assert sharp is not None and blurred is not None
    assert blurred.mean() > 1.1 * sharp.mean()
