"""The code of docs/migrating.md runs as it stands, block after block, and converts as the recipes of the peers do."""

from __future__ import annotations

import ast
import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from skimage.data import astronaut

from jvcr import Landmarker
from jvcr.geometry import HeadPose, rotation_from_angles
from jvcr.images import write_image

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "migrating.md").read_text(encoding="utf-8")
THERE = "<!-- there -->\n"
BLOCKS = re.findall(rf"({THERE})?```python\n(.*?)```", PAGE, re.DOTALL)


def recipe(name: str) -> ModuleType:
    path = ROOT / "recipes" / "peers" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"migrating_{name}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the page's own blocks define, run in their order on the astronaut photograph."""
    folder = tmp_path_factory.mktemp("migrating")
    write_image(folder / "photo.jpg", astronaut())
    names: dict[str, Any] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for there, code in BLOCKS:
            if not there:
                exec(compile(code, "docs/migrating.md", "exec"), names)
    return names


def test_each_library_has_code_there_and_here(names: dict[str, Any]) -> None:
    theirs = [code for there, code in BLOCKS if there]
    imported = [
        alias.name
        for code in theirs
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.Import)
        for alias in node.names
    ]
    assert imported == ["mediapipe", "face_alignment", "dlib", "supervision"]
    assert len(BLOCKS) - len(theirs) >= 10
    assert not {"mediapipe", "face_alignment", "dlib"} & sys.modules.keys()
    assert isinstance(names["landmarker"], Landmarker)


def test_mesh_indices_are_those_of_the_recipe(names: dict[str, Any]) -> None:
    assert names["VERTEX_OF"] == recipe("mediapipe_mesh").VERTICES
    assert [names["LANDMARK_OF"][vertex] for vertex in names["VERTEX_OF"]] == list(range(68))


def test_fractions_come_back_as_pixels(names: dict[str, Any]) -> None:
    """A mesh with our landmarks at their vertices, as fractions, from which the recipe restores our landmarks."""
    mesh = np.zeros((468, 3))
    mesh[list(names["VERTEX_OF"])] = names["fractions"]
    back = recipe("mediapipe_mesh").to_68(mesh, names["width"], names["height"])
    np.testing.assert_allclose(back, names["faces"][0].landmarks, atol=1e-3)
    # Repeat with a photo that is not square, which tells width from height.
    mesh[list(names["VERTEX_OF"])] = names["as_fractions"](names["faces"][0], 640, 480)
    np.testing.assert_allclose(recipe("mediapipe_mesh").to_68(mesh, 640, 480), names["faces"][0].landmarks, atol=1e-3)


def test_depth_sign_is_that_of_the_recipe(names: dict[str, Any]) -> None:
    np.testing.assert_allclose(recipe("fan").to_68(names["towards_camera"]), names["faces"][0].landmarks)
    # The tip of the nose is nearer to the camera than the ends of the jaw.
    assert names["towards_camera"][30, 2] > names["towards_camera"][[0, 16], 2].max()


def test_adapters_agree_with_the_landmarker(names: dict[str, Any]) -> None:
    np.testing.assert_allclose(names["preds"][0], names["towards_camera"])
    assert isinstance(names["corner"][0], int)
    np.testing.assert_allclose(names["corner"], names["faces"][0].landmarks[36, :2], atol=3)


def test_flipped_axes_are_y_up_and_z_towards_the_viewer(names: dict[str, Any]) -> None:
    flip = names["flip"]
    np.testing.assert_allclose(names["rotation_y_up"], flip @ names["faces"][0].pose.rotation @ flip)
    # A nose that points at the viewer, (0, 0, 1), turns to the photo's right and up with yaw 30 and pitch 20.
    for angles, expected in (((30, 0, 0), (0.5, 0, 0.866)), ((0, 20, 0), (0, 0.342, 0.940))):
        pose = HeadPose.from_rotation(rotation_from_angles(*angles))
        np.testing.assert_allclose(flip @ pose.rotation @ flip @ [0, 0, 1], expected, atol=1e-3)


def test_values_make_sense(names: dict[str, Any]) -> None:
    first = names["faces"][0].landmarks
    np.testing.assert_allclose(names["tip"], first[30])
    assert names["mouth_width"] == pytest.approx(np.linalg.norm(first[48] - first[54]))
    assert all(0.1 < value < 0.5 for value in names["openness"]), "both eyes of the astronaut are open"
    # The face looks straight ahead: hardly any landmark is hidden.
    assert len(names["seen"]) > 60
    assert np.linalg.norm(names["with_box"][0].landmarks - first, axis=1).mean() < 2
    assert names["tracked"].identity == 1 and names["tracked"].raw.shape == (68, 3)
