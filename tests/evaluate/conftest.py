"""A folder in AFLW2000-3D's layout with drawn heads, so that no test needs real data."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from jvcr.frames import CROP_RULE, Crop, crop_to_unit
from jvcr.geometry import mean_shape_68, rotation_from_angles
from jvcr.images import Image, write_image
from jvcr.markups.markup import MARKUP_68
from jvcr.runtime.base import Prediction
from jvcr.runtime.confidence import Confidence

# Reading .mat files and head pose in the reports need SciPy, which the extra train brings.
collect_ignore: list[str] = []
if importlib.util.find_spec("scipy") is None:
    collect_ignore += ["test_pose.py", "test_aflw2000.py", "test_commands.py", "test_paper.py"]
    collect_ignore += ["test_common_markup.py", "test_confidence.py", "test_expression.py", "test_notebook.py"]
    collect_ignore += ["test_robustness.py"]

MakeBenchmark = Callable[..., Path]
YAWS_DEG = (5.0, -20.0, 45.0, -50.0, 75.0)


def head_at(yaw_deg: float, eyes_px: float = 60.0) -> NDArray[np.float32]:
    """(68, 3) image pixels, 0-based, z away from the camera."""
    turned = mean_shape_68() @ rotation_from_angles(yaw_deg, 0, 0).T
    return (eyes_px * turned + (80.0, 70.0, 0.0)).astype(np.float32)


class Frontal:
    """A network that sees a frontal mean face in every crop, filling it as a true box does.

    It is right about frontal heads in their true boxes, and knows nothing of the pixels. Its score is always 1.
    ``shift_unit``: added to x, in sides of the crop. ``looks`` counts the crops that it was shown.
    """

    image_size, markup, crop_rule, confidence = 64, MARKUP_68, CROP_RULE, Confidence()

    def __init__(self, shift_unit: float = 0.0) -> None:
        points = 60 * mean_shape_68()
        crop = Crop.around(points, self.image_size, rule=self.crop_rule)
        shift = np.array([shift_unit, 0, 0])
        self._points_unit = (crop_to_unit(crop.to_crop(points), self.image_size) + shift).astype(np.float32)
        self.looks = 0

    def __call__(self, crops: Image) -> Prediction:
        self.looks += len(crops)
        volume = np.ones((len(crops), 2, 3, 4), np.float32)
        return Prediction.from_volume(volume, np.repeat(self._points_unit[None], len(crops), axis=0))


@pytest.fixture(scope="session")
def frontal() -> type[Frontal]:
    """The class ``Frontal``."""
    return Frontal


@pytest.fixture(scope="session")
def make_benchmark() -> MakeBenchmark:
    """Write image*.jpg, image*.mat and reannotated.npz; the Reannotated points are the original ones 3 px lower."""
    import scipy.io

    def write(folder: Path, yaws_deg: Sequence[float] = YAWS_DEG, reannotated: bool = True) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        names = [f"image{7 * row:05d}" for row in range(len(yaws_deg))]
        for name, yaw in zip(names, yaws_deg, strict=True):
            points = head_at(yaw)
            image = np.full((150, 160, 3), 90, np.uint8)
            for x, y, _ in points:
                cv2.circle(image, (round(float(x)), round(float(y))), 2, (240, 200, 160), -1)
            write_image(folder / f"{name}.jpg", image)
            # 1-based, z towards the camera with some offset; Pose_Para's yaw has the opposite sign of ours.
            stored = points * [1, 1, -1] + [1, 1, 40]
            pose_para = np.array([[0, -np.radians(yaw), 0, 80, 70, 0, 1e-3]])
            scipy.io.savemat(folder / f"{name}.mat", {"pt3d_68": stored.T, "Pose_Para": pose_para})
        if reannotated:
            points2d = np.stack([head_at(yaw)[:, :2] + [0, 3] for yaw in yaws_deg])
            np.savez(folder / "reannotated.npz", id=np.array(names), points2d=points2d)
        return folder

    return write


@pytest.fixture(scope="session")
def benchmark_folder(make_benchmark: MakeBenchmark, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five images: two near frontal, two half turned, one profile."""
    return make_benchmark(tmp_path_factory.mktemp("aflw2000-3d"))
