"""The calls of face-alignment, dlib and supervision, as code written for them makes them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage.data import astronaut

from jvcr import MARKUP_68, Face, Landmarker
from jvcr.compat import dlib, face_alignment, to_supervision
from jvcr.extras import MissingExtra
from jvcr.images import write_image
from jvcr.markups.markup import MARKUP_66

BOX = [179, 87, 269, 178]
BLANK = np.full((60, 80, 3), 90, np.uint8)


@pytest.fixture(scope="module")
def landmarker() -> Landmarker:
    return Landmarker(threads=1, mirror=False)


@pytest.fixture(scope="module")
def ours(landmarker: Landmarker) -> Face:
    return landmarker.predict(astronaut())[0]


def aligner(landmarker: Landmarker, kind: Any = face_alignment.LandmarksType.THREE_D) -> face_alignment.FaceAlignment:
    return face_alignment.FaceAlignment(kind, device="cpu", flip_input=False, landmarker=landmarker)


# face-alignment


def test_z_points_towards_the_camera(landmarker: Landmarker, ours: Face) -> None:
    (points,) = aligner(landmarker).get_landmarks(astronaut())
    np.testing.assert_array_equal(points, ours.landmarks * [1, 1, -1])
    assert points[30, 2] > points[[0, 16], 2].max(), "the nose is nearest"


def test_paths_tensors_and_grey_images(landmarker: Landmarker, ours: Face, tmp_path: Path) -> None:
    net = aligner(landmarker, face_alignment.LandmarksType.TWO_D)
    write_image(tmp_path / "a.png", astronaut())
    (points,) = net.get_landmarks_from_image(str(tmp_path / "a.png"))
    np.testing.assert_array_equal(points, ours.landmarks[:, :2])
    assert list(net.get_landmarks_from_directory(tmp_path)) == [str(tmp_path / "a.png")]
    assert net.get_landmarks(astronaut()[:, :, 0])[0].shape == (68, 2)
    (points,) = net.get_landmarks(astronaut().astype(np.float64))
    np.testing.assert_array_equal(points, ours.landmarks[:, :2])
    with pytest.raises(ValueError, match=r"floats in 0…1"):
        net.get_landmarks(astronaut() / 255)
    torch = pytest.importorskip("torch", reason="PyTorch is not installed (extra: train)")
    (points,) = net.get_landmarks(torch.from_numpy(astronaut()))
    np.testing.assert_array_equal(points, ours.landmarks[:, :2])


def test_given_boxes_scores_and_no_face(landmarker: Landmarker, ours: Face) -> None:
    net = aligner(landmarker)
    landmarks, scores, boxes = net.get_landmarks(astronaut(), [[*BOX, 0.9]], True, True)
    assert np.linalg.norm(landmarks[0] - ours.landmarks * [1, 1, -1], axis=1).mean() < 3
    assert scores[0].shape == (68,) and (scores[0] == scores[0][0]).all()
    np.testing.assert_allclose(boxes[0][:4], BOX)
    with pytest.warns(UserWarning, match="No faces were detected"):
        assert net.get_landmarks(BLANK) is None
    with pytest.warns(UserWarning, match="No faces were detected"):
        assert net.get_landmarks(BLANK, return_bboxes=True) == (None, None, None)


def test_batches(landmarker: Landmarker, ours: Face) -> None:
    batch = np.stack([astronaut(), np.full((512, 512, 3), 90, np.uint8)]).transpose(0, 3, 1, 2)
    found = aligner(landmarker).get_landmarks_from_batch(batch)
    np.testing.assert_array_equal(found[0], ours.landmarks * [1, 1, -1])
    assert found[1] == []


def test_types_and_older_names(landmarker: Landmarker) -> None:
    assert face_alignment.LandmarksType._3D is face_alignment.LandmarksType.THREE_D
    with pytest.raises(TypeError, match="landmarks_type"):
        face_alignment.FaceAlignment(3, landmarker=landmarker)  # type: ignore[arg-type]


# dlib


def test_the_loop_of_every_dlib_script(landmarker: Landmarker, ours: Face) -> None:
    detector = dlib.get_frontal_face_detector(landmarker)
    predictor = dlib.shape_predictor("shape_predictor_68_face_landmarks.dat", landmarker)
    image = astronaut()
    rects = detector(image, 1)
    assert len(rects) == 1
    for rect in rects:
        assert (rect.left(), rect.top(), rect.right(), rect.bottom()) == tuple(round(v) for v in ours.box.to_list())
        shape = predictor(image, rect)
        points = np.array([(shape.part(i).x, shape.part(i).y) for i in range(shape.num_parts)])
        assert points.dtype.kind == "i" and points.shape == (68, 2)
        assert np.abs(points - ours.landmarks[:, :2]).mean() < 1.5
        assert shape.rect == rect and len(shape.parts()) == 68
    with pytest.raises(IndexError):
        shape.part(68)
    found, scores, kinds = detector.run(image, 0, -1)
    assert (found, kinds) == (rects, [0]) and 0.5 < scores[0] <= 1
    assert detector(BLANK) == []
    grey = image[:, :, 0]
    assert predictor(grey, dlib.rectangle(*BOX)).num_parts == 68


def test_rectangles_count_pixels_as_dlib_does() -> None:
    rect = dlib.rectangle(left=2, top=3, right=6, bottom=5)
    assert (rect.width(), rect.height(), rect.area()) == (5, 3, 15)
    assert (rect.center().x, rect.center().y) == (4, 4)
    assert rect.contains(dlib.point(6, 5)) and not rect.contains(7, 5)
    assert rect.contains(dlib.rectangle(3, 3, 4, 4)) and not rect.contains(dlib.rectangle(3, 3, 9, 4))
    assert rect.intersect(dlib.rectangle(5, 0, 9, 3)) == dlib.rectangle(5, 3, 6, 3)
    assert rect.intersect(dlib.rectangle(8, 8, 9, 9)).is_empty()
    assert dlib.rectangle().is_empty() and dlib.rectangle().area() == 0
    assert str(rect) == "[(2, 3) (6, 5)]" and repr(rect) == "rectangle(2, 3, 6, 5)"
    assert len({rect, dlib.rectangle(2, 3, 6, 5)}) == 1


def test_what_dlib_has_and_we_do_not_is_named(landmarker: Landmarker) -> None:
    with pytest.raises(AttributeError, match=r"has no 'face_recognition_model_v1'; it has get_frontal_face_detector"):
        dlib.face_recognition_model_v1  # noqa: B018
    with pytest.raises(ValueError, match="box 0"):
        dlib.shape_predictor(landmarker=landmarker)(astronaut(), dlib.rectangle(5, 5, 1, 1))


# supervision


def test_supervision(make_head: Any) -> None:
    supervision = pytest.importorskip("supervision", reason="supervision is not installed (extra: dev)")

    def face(points: NDArray[np.float32], score: float) -> Face:
        from jvcr import Box

        return Face(points, Box.around(points), score)

    faces = [face(make_head(-70), 0.5), face(make_head(10), 0.75)]
    points = to_supervision(faces)
    assert isinstance(points, supervision.KeyPoints)
    np.testing.assert_array_equal(points.xy, [f.landmarks[:, :2] for f in faces])
    np.testing.assert_array_equal(points.data["z"], [f.landmarks[:, 2] for f in faces])
    assert points.detection_confidence.tolist() == [0.5, 0.75]
    assert not points.visible[0, 36] and points.visible[0, 45] and points.visible[1].all()
    assert len(points[1:]) == 1 and len(to_supervision([])) == 0
    edges = [(a + 1, b + 1) for a, b in MARKUP_68.edges]
    drawn = supervision.EdgeAnnotator(edges=edges).annotate(np.zeros((90, 100, 3), np.uint8), points)
    assert drawn.any()
    other = Face(np.zeros((66, 3), np.float32), faces[0].box, 1.0, markup=MARKUP_66)
    with pytest.raises(ValueError, match="expected one markup"):
        to_supervision([*faces, other])


def test_a_missing_supervision_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "supervision", None)
    with pytest.raises(MissingExtra, match="pip install supervision"):
        to_supervision([])
