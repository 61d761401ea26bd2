"""The recipes under recipes/peers: pure conversions, choice of the face, the file, and stand-ins for the tools."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

from jvcr.markups.markup import MARKUP_68

FOLDER = Path(__file__).parents[2] / "recipes" / "peers"


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"peers_{name}", FOLDER / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


peer, mesh, fan, tddfa = load("_peer"), load("mediapipe_mesh"), load("fan"), load("tddfa_v2")


def square(left: float, top: float, side: float) -> np.ndarray:
    """68 landmarks whose tight box is this square."""
    return np.array([[left, top, 0.0]] * 67 + [[left + side, top + side, 0.0]])


def run_recipe(name: str, *arguments: object, python: str = sys.executable, **environment: str) -> Any:
    return subprocess.run(
        [python, str(FOLDER / f"{name}.py"), *map(str, arguments)],
        capture_output=True,
        text=True,
        env=os.environ | environment,
    )


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Three grey photos of 60 × 40 pixels, b.png with one white pixel at (13, 7)."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in "abc":
        image = np.full((40, 60, 3), 90, np.uint8)
        if name == "b":
            image[7, 13] = 255
        cv2.imwrite(str(folder / f"{name}.png"), image)
    return folder


def write_boxes(path: Path, **boxes: tuple[float, float, float, float]) -> Path:
    np.savez(path, id=np.array(list(boxes)), box=np.array(list(boxes.values()), np.float32))
    return path


def options(photos: Path, out: Path, **changes: Any) -> SimpleNamespace:
    values = {"photos": photos, "out": out, "boxes": "none", "box_file": None, "mirrored": False}
    return SimpleNamespace(**values | changes)


# The conversions


def test_mesh_fractions_become_pixels() -> None:
    points = np.zeros((468, 3))
    points[4] = 0.5, 0.25, -0.1  # the tip of the nose: landmark 30
    landmarks = mesh.to_68(points, width=10, height=40)
    assert landmarks.shape == (68, 3)
    # Half of ten pixels, from the edge: the border between pixels 4 and 5. z keeps sign and scale of the width.
    np.testing.assert_allclose(landmarks[30], (4.5, 9.5, -1.0))
    np.testing.assert_allclose(landmarks[0], (-0.5, -0.5, 0.0))


def test_mesh_vertices_are_68_different_ones_of_the_mesh() -> None:
    assert len(mesh.VERTICES) == len(set(mesh.VERTICES)) == 68
    assert set(mesh.VERTICES) <= set(range(468))
    # Vertices: 152 chin, 33 and 263 outer eye corners, 61 and 291 mouth corners, 0 and 17 middle of the lips.
    assert [mesh.VERTICES[i] for i in (8, 36, 45, 48, 54, 51, 57)] == [152, 33, 263, 61, 291, 0, 17]


def test_square_around_a_box_and_its_pixels() -> None:
    # Longer side 20, a quarter on each side: 30 pixels, centred on (25.5, 14.5), so from 11 to 40 and from 0 to 29.
    assert mesh.square_around(np.array([15.5, 12.5, 35.5, 16.5]), 0.25) == (11, 0, 30)
    image = np.arange(5 * 7 * 3, dtype=np.uint8).reshape(5, 7, 3) + 1
    out = mesh.cut(image, left=-2, top=3, side=4)
    assert out.shape == (4, 4, 3)
    np.testing.assert_array_equal(out[:2, 2:], image[3:5, 0:2])
    assert not out[2:].any() and not out[:, :2].any()
    assert not mesh.cut(image, left=50, top=0, side=3).any()


def test_fan_depth_is_turned_away_from_the_camera() -> None:
    points = np.zeros((68, 3))
    points[30] = 215, 261, 63
    points[0] = 137, 240, -86
    landmarks = fan.to_68(points)
    assert landmarks[30].tolist() == [215, 261, -63] and landmarks[0].tolist() == [137, 240, 86]
    with pytest.raises(ValueError, match=r"\(68, 2\); expected \(68, 3\)"):
        fan.to_68(points[:, :2])


def test_3ddfa_vertices_are_turned_and_transposed() -> None:
    vertices = np.arange(3 * 68, dtype=np.float32).reshape(3, 68)
    landmarks = tddfa.to_68(vertices)
    assert landmarks.shape == (68, 3) and landmarks[5].tolist() == [5, 73, -141]
    with pytest.raises(ValueError, match=r"\(3, 38365\); expected \(3, 68\)"):
        tddfa.to_68(np.zeros((3, 38365)))
    assert tddfa.box_corners(np.array([1, 2, 30, 40])).tolist() == [[1, 30], [2, 40]]


# Which face counts, and the file


def test_the_mirror_table_is_the_markups() -> None:
    assert MARKUP_68.mirror == peer.MIRROR


def test_overlap_of_two_boxes() -> None:
    # 4 × 6 and 6 × 5, sharing 2 × 3: 6 / (24 + 30 − 6).
    a, b = np.array([0.0, 0, 4, 6]), np.array([2.0, 3, 8, 8])
    assert peer.overlap(a, b) == pytest.approx(6 / 48)
    assert peer.overlap(a, b + 10) == 0


def test_the_face_that_counts() -> None:
    left, middle = square(0, 0, 10), square(45, 20, 10)
    faces = [left, middle]
    assert peer.choose(faces, None, 100, 50) is middle
    assert peer.choose(faces, np.array([2.0, 2, 12, 12]), 100, 50) is left
    # 1 of 199 shared pixels is another face.
    assert peer.choose(faces, np.array([9.0, 9, 19, 19]), 100, 50) is None
    assert peer.choose([], None, 100, 50) is None


def test_a_run_writes_faces_and_misses(photos: Path, tmp_path: Path) -> None:
    boxes = write_boxes(tmp_path / "boxes.npz", c=(5, 5, 25, 25), a=(0, 0, 10, 10), b=(30, 10, 40, 20))
    asked = []

    def find(image: np.ndarray, box: np.ndarray | None) -> list[np.ndarray]:
        assert image.shape == (40, 60, 3) and box is not None
        asked.append(box.tolist())
        return [square(5, 5, 20)] if box[0] == 5 else [] if box[0] == 0 else [square(0, 30, 5)]

    out = tmp_path / "new" / "out.npz"
    peer.run(find, options(photos, out, boxes="roi", box_file=boxes), {"tool": "none"})
    assert asked == [[0, 0, 10, 10], [30, 10, 40, 20], [5, 5, 25, 25]]
    with np.load(out) as file:
        assert file["id"].tolist() == ["a", "b", "c"]
        assert np.isnan(file["landmarks"][:2]).all()
        assert file["landmarks"].dtype == np.float32
        np.testing.assert_array_equal(file["landmarks"][2], square(5, 5, 20))
        assert file["box"].tolist() == asked
        assert str(file["markup"]) == MARKUP_68.name
        about = json.loads(str(file["about"]))
    assert (about["tool"], about["boxes"]) == ("none", "true boxes")
    assert (about["photos"], about["missed"], about["missed_but_found_elsewhere"]) == (3, 2, 1)
    predictions = pytest.importorskip("jvcr.evaluate.predictions", reason="this version does not read predictions")
    read = predictions.read_predictions(out)
    assert read.ids == ["a", "b", "c"] and read.about == about


def test_the_mirror_image_gives_the_same_pixel(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    boxes: list[list[float]] = []

    def find(image: np.ndarray, box: np.ndarray | None) -> list[np.ndarray]:
        """Landmark 36 is the brightest pixel's place; the box it was given comes first."""
        assert box is not None
        boxes.append(box.tolist())
        row, column = np.unravel_index(image[..., 0].argmax(), image.shape[:2])
        face = square(0, 0, 59)
        face[36] = column, row, 3.0
        return [face]

    given = write_boxes(tmp_path / "boxes.npz", b=(10, 3, 20, 39))
    wanted = options(photos, tmp_path / "out.npz", boxes="roi", box_file=given, mirrored=True)
    monkeypatch.setattr(peer, "MIN_OVERLAP", 0)
    peer.run(find, wanted, {"tool": "brightest"})
    assert boxes == [[59 - 20, 3, 59 - 10, 39]]
    with np.load(tmp_path / "out.npz") as file:
        assert file["landmarks"][0, 45].tolist() == [13, 7, 3]  # 45 is 36 in the mirror
        assert json.loads(str(file["about"]))["tool"] == "brightest, mirrored"


def test_a_failure_keeps_what_was_done(photos: Path, tmp_path: Path) -> None:
    (photos / "b.png").write_bytes(b"no image")
    with pytest.raises(SystemExit, match=r"b\.png: ValueError: not an image"):
        peer.run(lambda image, box: [square(20, 10, 20)], options(photos, tmp_path / "out.npz"), {})
    assert not (tmp_path / "out.npz").exists()
    with np.load(tmp_path / "out.partial.npz") as file:
        assert file["id"].tolist() == ["a"] and np.isfinite(file["landmarks"]).all()


def test_bad_inputs_are_named(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="--boxes roi needs --box-file"):
        peer.run(lambda image, box: [], options(photos, tmp_path / "out.npz", boxes="roi"), {})
    with pytest.raises(SystemExit, match=r"none\.npz: no such file"):
        peer.read_boxes(tmp_path / "none.npz")
    np.savez(tmp_path / "other.npz", id=np.array(["a"]))
    with pytest.raises(SystemExit, match=r"other\.npz: holds \['id'\]; expected id"):
        peer.read_boxes(tmp_path / "other.npz")
    with pytest.raises(SystemExit, match="x1 > x0"):
        peer.read_boxes(write_boxes(tmp_path / "turned.npz", a=(10, 0, 5, 5)))
    with pytest.raises(SystemExit, match=r"1 of 2 photos are missing.* zebra"):
        peer.list_photos(photos, ["a", "zebra"])
    with pytest.raises(SystemExit, match="no photo"):
        peer.list_photos(tmp_path, None)


# Stand-ins for the tools that need weights

TDDFA_STAND_IN = """
import numpy as np
class TDDFA:
    def __init__(self, **kvs):
        open(kvs["checkpoint_fp"]).close()  # relative to the clone, as in the original
    def __call__(self, bgr, objs, **kvs):
        assert kvs == {"crop_policy": "landmark"}, kvs
        return objs, [None]
    def recon_vers(self, parameters, rois, dense_flag):
        (left, right), (top, bottom) = parameters[0]
        x = np.linspace(left, right, 68)
        return [np.stack([x, np.linspace(top, bottom, 68), x - left])]
"""


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    folder = tmp_path / "clone"
    for name in ("configs/bfm_noneck_v3.pkl", "configs/param_mean_std_62d_120x120.pkl", "weights/w.pth"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    (folder / "configs" / "mb1_120x120.yml").write_text("arch: mobilenet\ncheckpoint_fp: weights/w.pth\nsize: 120\n")
    (folder / "TDDFA.py").write_text(TDDFA_STAND_IN)
    (folder / "yaml.py").write_text("def safe_load(text): return dict(line.split(': ') for line in text.splitlines())")
    return folder


def test_3ddfa_recipe_with_a_stand_in(clone: Path, photos: Path, tmp_path: Path) -> None:
    write_boxes(tmp_path / "boxes.npz", b=(10, 5, 30, 35))
    relative = [os.path.relpath(path) for path in (photos, tmp_path / "out.npz", tmp_path / "boxes.npz", clone)]
    result = run_recipe(
        "tddfa_v2",
        relative[0],
        relative[1],
        "--boxes",
        "roi",
        "--box-file",
        relative[2],
        "--clone",
        relative[3],
        PYTHONPATH=str(clone),
    )
    assert result.returncode == 0, result.stderr
    with np.load(tmp_path / "out.npz") as file:
        assert file["id"].tolist() == ["b"]
        np.testing.assert_allclose(file["landmarks"][0, [0, 67]], [(10, 5, 0), (30, 35, -20)])


def test_3ddfa_recipe_names_what_the_clone_lacks(clone: Path, photos: Path, tmp_path: Path) -> None:
    (clone / "weights" / "w.pth").unlink()
    result = run_recipe("tddfa_v2", photos, tmp_path / "out.npz", "--clone", clone, PYTHONPATH=str(clone))
    assert result.returncode == 1 and "Traceback" not in result.stderr
    lacking = [line.strip() for line in result.stderr.splitlines()[1:]]
    assert lacking == [str(clone / name) for name in ("weights/w.pth", "FaceBoxes/weights/FaceBoxesProd.pth")]
    result = run_recipe("tddfa_v2", photos, tmp_path / "out.npz", "--clone", photos, PYTHONPATH=str(clone))
    assert result.returncode == 1 and "no TDDFA.py" in result.stderr


FAN_STAND_IN = """
import numpy as np
__version__ = "0"
class LandmarksType:
    THREE_D = 3
class FaceAlignment:
    def __init__(self, kind, **kvs):
        assert kind == 3 and kvs["face_detector"] == "folder" and kvs["flip_input"]
        if kvs["device"] == "offline":
            raise OSError("no network")
    def get_landmarks_from_image(self, image, detected_faces):
        (x0, y0, x1, y1), = detected_faces
        assert image.shape == (40, 60, 3)
        return None if x0 == 0 else [np.array([[x0, y0, 5.0]] * 67 + [[x1, y1, -5.0]], np.float32)]
"""


def test_fan_recipe_with_a_stand_in(photos: Path, tmp_path: Path) -> None:
    package = tmp_path / "stand_in" / "face_alignment"
    (package / "detection" / "sfd").mkdir(parents=True)
    (package / "__init__.py").write_text(FAN_STAND_IN)
    (package / "api.py").write_text("models_urls = {'3DFAN-4': 'https://host/fan.tar', 'depth': 'https://host/z.tar'}")
    (package / "detection" / "sfd" / "sfd_detector.py").write_text("models_urls = {'s3fd': 'https://host/s3fd.pth'}")
    (package.parent / "torch.py").write_text(f"class hub:\n    get_dir = lambda: {str(tmp_path)!r}\n")
    boxes = write_boxes(tmp_path / "boxes.npz", a=(0, 0, 9, 9), b=(10, 5, 30, 35))
    common = (photos, tmp_path / "out.npz", "--boxes", "roi", "--box-file", boxes)
    result = run_recipe("fan", *common, PYTHONPATH=str(package.parent))
    assert result.returncode == 0, result.stderr
    with np.load(tmp_path / "out.npz") as file:
        assert np.isnan(file["landmarks"][0]).all()
        assert file["landmarks"][1, [0, 67]].tolist() == [[10, 5, -5], [30, 35, 5]]
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "fan.tar").touch()
    result = run_recipe("fan", *common, "--device", "offline", PYTHONPATH=str(package.parent))
    assert result.returncode == 1 and "no network" in result.stderr
    assert result.stderr.splitlines()[1:] == [f"  {tmp_path / 'checkpoints' / 'z.tar'}", "    from https://host/z.tar"]


# MediaPipe itself


def test_mediapipe_agrees_with_jvcr_on_a_photo(tmp_path: Path) -> None:
    python = os.environ.get("JVCR_MEDIAPIPE_PYTHON")
    if not python:
        pytest.skip("JVCR_MEDIAPIPE_PYTHON names no interpreter that has mediapipe 0.10.21")
    data = pytest.importorskip("skimage.data", reason="the photo comes with scikit-image")
    from jvcr import Landmarker
    from jvcr.metrics import normalised_mean_error

    image = data.astronaut()
    (ours,) = Landmarker().predict(image)
    # Not square, and the face off the middle.
    cv2.imwrite(str(tmp_path / "astronaut.png"), image[:300, :, ::-1])
    boxes = write_boxes(tmp_path / "boxes.npz", astronaut=tuple(ours.box.to_list()))
    found = {}
    for name, extra in {"whole": (), "roi": ("--boxes", "roi"), "mirrored": ("--mirrored",)}.items():
        out = tmp_path / f"{name}.npz"
        result = run_recipe("mediapipe_mesh", tmp_path, out, "--box-file", boxes, *extra, python=python, PYTHONPATH="")
        assert result.returncode == 0, result.stderr
        with np.load(out) as file:
            found[name] = file["landmarks"]
    for name, landmarks in found.items():
        nme = normalised_mean_error(landmarks, ours.landmarks[None])[0]
        assert nme < 0.06, (name, nme)
        # The tip of the nose is nearer than the temples.
        assert landmarks[0, 30, 2] < landmarks[0, [0, 16], 2].min()
        assert np.corrcoef(landmarks[0, :, 2], ours.landmarks[:, 2])[0, 1] > 0.9
    # A pixel base half a pixel off would show as one pixel between a photo and its mirror image.
    assert abs((found["whole"] - found["mirrored"])[..., 0].mean()) < 0.8
