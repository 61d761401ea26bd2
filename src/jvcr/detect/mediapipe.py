"""MediaPipe's face detector (BlazeFace), for those who have the package ``mediapipe`` installed."""

from __future__ import annotations

import math
import threading
from typing import Any

import numpy as np

from jvcr.detect.base import Proposal
from jvcr.frames import Box
from jvcr.images import Image

# Where the landmark box lies in MediaPipe's box, in its width and height: medians over the faces of the detection
# table's training photographs (`recipes/mediapipe_boxes.py`).
_CENTRE = (0.50, 0.585)
_SIZE = (0.88, 0.85)


class MediaPipeDetector:
    """Proposes landmark boxes from MediaPipe's, with the roll of the line between its eyes.

    Args:
        model: 1 for faces up to five metres away, 0 for those within two.
        min_score: as of MediaPipe.
    Raises:
        ImportError: MediaPipe is not installed, or is a version without ``solutions.face_detection``.
    """

    def __init__(self, model: int = 1, min_score: float = 0.3) -> None:
        try:
            from mediapipe.python.solutions.face_detection import FaceDetection
        except ImportError as error:
            raise ImportError(
                f"the detector 'mediapipe' needs the package mediapipe with its legacy solutions ({error}): "
                "pip install mediapipe==0.10.21"
            ) from error
        self._detection: Any = FaceDetection(model_selection=model, min_detection_confidence=min_score)
        # One graph, which keeps state during a call.
        self._lock = threading.Lock()

    def __call__(self, image: Image) -> list[Proposal]:
        height, width = image.shape[:2]
        with self._lock:
            found = self._detection.process(np.ascontiguousarray(image)).detections or []
        proposals = []
        for face in found:
            where = face.location_data.relative_bounding_box
            box_width, box_height = where.width * width, where.height * height
            if not (box_width > 0 and box_height > 0):
                continue
            x = where.xmin * width - 0.5 + _CENTRE[0] * box_width
            y = where.ymin * height - 0.5 + _CENTRE[1] * box_height
            half = _SIZE[0] * box_width / 2, _SIZE[1] * box_height / 2
            right_eye, left_eye = face.location_data.relative_keypoints[:2]
            roll = math.degrees(math.atan2((left_eye.y - right_eye.y) * height, (left_eye.x - right_eye.x) * width))
            proposals.append(Proposal(Box(x - half[0], y - half[1], x + half[0], y + half[1]), None, roll))
        return proposals
