"""The example of another detector. MediaPipe itself is run where it is installed."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from skimage.data import astronaut

from jvcr.frames import Box, Crop
from jvcr.images import extract


@pytest.fixture(scope="module")
def example() -> ModuleType:
    path = Path(__file__).parents[2] / "examples" / "mediapipe_detector.py"
    spec = importlib.util.spec_from_file_location("mediapipe_detector", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def detection(xmin: float, ymin: float, width: float, height: float) -> SimpleNamespace:
    eyes = [SimpleNamespace(x=0.25, y=0.50), SimpleNamespace(x=0.50, y=0.75)]
    box = SimpleNamespace(xmin=xmin, ymin=ymin, width=width, height=height)
    return SimpleNamespace(location_data=SimpleNamespace(relative_bounding_box=box, relative_keypoints=eyes))


def test_a_box_by_hand(example: ModuleType) -> None:
    proposal = example.to_proposal(detection(0.25, 0.5, 0.5, 0.25), 200, 400)
    # MediaPipe's box is 100 × 100 pixels from (49.5, 199.5); the landmark box's centre is at (0.5, 0.585) of it.
    np.testing.assert_allclose(proposal.box.to_list(), [55.5, 215.5, 143.5, 300.5])
    # 50 pixels to the right, 100 down.
    assert proposal.roll_deg == pytest.approx(63.435, abs=1e-3)
    assert proposal.score is None


def test_empty_boxes_are_left_out(example: ModuleType) -> None:
    assert example.to_proposal(detection(0.5, 0.5, 0.0, 0.1), 200, 400) is None


def test_it_says_what_is_missing(example: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mediapipe.python.solutions.face_detection", None)
    with pytest.raises(ImportError, match=r"pip install mediapipe"):
        example.MediaPipeDetector()


def test_mediapipe_proposes_landmark_boxes(example: ModuleType) -> None:
    pytest.importorskip("mediapipe", reason="mediapipe is not installed")
    detector, photo = example.MediaPipeDetector(), astronaut()
    assert max(p.box.iou(Box(179.0, 87.0, 269.0, 178.0)) for p in detector(photo)) > 0.6
    (face,) = detector(extract(photo, Crop(224.0, 132.0, 400, 400, 25)))
    assert abs(face.roll_deg - 25) < 12
    assert detector(np.full((200, 200, 3), 128, np.uint8)) == []
