"""The Blender example, run where the package bpy is installed."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from jvcr.geometry import rotation_from_angles

EXAMPLE = Path(__file__).parents[2] / "examples" / "blender_head.py"

CHECK = """
import bpy, json, sys
bpy.ops.wm.open_mainfile(filepath=sys.argv[1])
scene, head = bpy.context.scene, bpy.data.objects["head"]
found = {"frame_end": scene.frame_end, "fps": scene.render.fps, "places": []}
for frame in (1, scene.frame_end):
    scene.frame_set(frame)
    found["places"].append([list(row) for row in head.matrix_world])
print("FOUND" + json.dumps(found))
"""


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    """A head that looks at the camera, and a second later to its left and up."""
    path = tmp_path / "film.jsonl"
    rows = [
        {"frame": n, "time": float(n), "width": 200, "height": 100, "faces": [{"id": 4, "box": box, "pose": pose}]}
        for n, box, pose in (
            (0, [80, 30, 120, 70], {"rotation": np.eye(3).tolist()}),
            (1, [120, 10, 160, 50], {"rotation": rotation_from_angles(30, 20, 0).tolist()}),
        )
    ]
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return path


def test_the_example_is_valid_python() -> None:
    compile(EXAMPLE.read_text(encoding="utf-8"), str(EXAMPLE), "exec")


@pytest.mark.skipif(importlib.util.find_spec("bpy") is None, reason="the package bpy is not installed")
def test_the_empty_moves_as_the_head_does(lines: Path, tmp_path: Path) -> None:
    scene = tmp_path / "head.blend"
    subprocess.run([sys.executable, str(EXAMPLE), str(lines), str(scene)], check=True, timeout=120)
    done = subprocess.run(
        [sys.executable, "-c", CHECK, str(scene)], check=True, capture_output=True, text=True, timeout=120
    )
    found = json.loads(done.stdout.split("FOUND")[1])
    assert found["frame_end"] == 1 + found["fps"]
    first, last = np.array(found["places"])
    np.testing.assert_allclose(first[:3, :3], np.eye(3), atol=1e-5)
    np.testing.assert_allclose(first[:3, 3], [0, 0, 0], atol=1e-5)
    # 40 pixels to the right and 20 up, in metres of 1000 pixels.
    np.testing.assert_allclose(last[:3, 3], [0.04, 0, 0.02], atol=1e-5)
    # Blender's front view looks along +y: the nose points at -y, then to the view's right (+x) and up (+z).
    nose = rotation_from_angles(30, 20, 0) @ [0, 0, -1]
    np.testing.assert_allclose(last[:3, :3] @ [0, -1, 0], [nose[0], nose[2], -nose[1]], atol=1e-5)
    assert nose[0] > 0.4 and nose[1] < -0.3
