"""The code of docs/camera.md runs as it stands, block after block, and is right about a head that is known."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from skimage.data import astronaut

from jvcr import Box, Camera, Face
from jvcr.geometry import mean_shape_68, rotation_from_angles
from jvcr.images import write_image

PAGE = (Path(__file__).parents[2] / "docs" / "camera.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def run(names: dict[str, Any], blocks: list[str]) -> dict[str, Any]:
    for code in blocks:
        exec(compile(code, "docs/camera.md", "exec"), names)
    return names


def test_each_task_takes_four_lines() -> None:
    assert [len(code.strip().splitlines()) for code in BLOCKS[1:]] == [4, 4, 4]


def test_the_page_runs_on_a_photo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_image(tmp_path / "photo.jpg", astronaut())
    monkeypatch.chdir(tmp_path)
    names = run({}, BLOCKS)
    assert 400 < names["to_screen_mm"] < 900  # 70° of view
    assert names["towards_screen"]


@pytest.fixture
def names() -> dict[str, Any]:
    """A head 600 mm away on the axis, turned by 10° to its left and 5° down; a photo of 640 × 480 pixels."""
    camera = Camera.from_fov(640, 480, 60)
    points = 90 * mean_shape_68() @ rotation_from_angles(10, -5, 0).T + (0, 0, 600)
    landmarks = np.column_stack([camera.project(points), (points[:, 2] - 600) * camera.fx / 600]).astype(np.float32)
    face = Face(landmarks, Box.around(landmarks), 1.0)
    known = {"image": np.zeros((480, 640, 3), np.uint8), "camera": camera, "head": face.in_camera(camera)}
    return run(known, BLOCKS[1:])


def test_distance_to_the_screen(names: dict[str, Any]) -> None:
    assert names["to_screen_mm"] == pytest.approx(600, abs=2)
    assert names["within_mm"] == pytest.approx(2 * 600 * np.hypot(5 / 90, 0.05), rel=0.01)
    assert 540 < names["eyes_mm"][2] < 600  # in front of the head's origin


def test_where_the_head_points(names: dict[str, Any]) -> None:
    # From the axis: tan 10° to the photo's right, and down.
    expected = 600 * np.tan(np.radians(10)), 600 * np.tan(np.radians(5)) / np.cos(np.radians(10))
    assert (names["x_mm"], names["y_mm"]) == pytest.approx(expected, abs=2)


def test_glasses_cover_the_bridge_of_the_nose(names: dict[str, Any]) -> None:
    """A point of the model at the bridge, y up and z towards the viewer, is drawn on landmark 27."""
    model = np.append(names["bridge"] * (1, -1, -1), 1)
    clip = names["projection"] @ names["model_view"] @ model
    x, y = (clip[:2] / clip[3] * (1, -1) + 1) / 2 * (640, 480) - 0.5
    expected = names["camera"].project(names["head"].landmarks[27:28])[0]
    assert (x, y) == pytest.approx(expected, abs=1e-6)
    assert names["bridge"][2] < -20  # in front of the origin
