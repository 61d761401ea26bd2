"""Use MediaPipe's face detector with the landmark network: ``python examples/mediapipe_detector.py PHOTO…``.

``MediaPipeDetector`` implements ``jvcr.detect.base.Detector``. It converts MediaPipe's face boxes to landmark boxes.
Prints a JSON line for each photo. Needs ``pip install mediapipe==0.10.21``.

With ``--measure DATA``, prints the constants below: the position of landmark boxes inside MediaPipe's boxes, measured
on the training photographs of the detection table (docs/datasets.md).
"""

from __future__ import annotations

import argparse
import json
import math
import threading
from pathlib import Path
from typing import Any

import numpy as np

from jvcr import Landmarker, read_image
from jvcr.detect.base import Proposal
from jvcr.frames import Box, share_to_px
from jvcr.images import Image

CENTRE, SIZE = (0.50, 0.585), (0.88, 0.85)
"""Centre and size of the landmark box in MediaPipe's box, as shares of its width and height: medians over faces."""


class MediaPipeDetector:
    """Proposes landmark boxes from MediaPipe's boxes, with the roll given by the line between the eyes.

    Args:
        model: 1 for faces within five metres, 0 for faces within two metres.
        min_score: MediaPipe's own threshold.
    Raises:
        ImportError: MediaPipe is not installed, or is a version without ``solutions.face_detection``.
    """

    def __init__(self, model: int = 1, min_score: float = 0.3) -> None:
        try:
            from mediapipe.python.solutions.face_detection import FaceDetection
        except ImportError as error:
            raise ImportError(
                f"this detector needs the package mediapipe with its legacy solutions ({error}): "
                "pip install mediapipe==0.10.21"
            ) from error
        self._detection: Any = FaceDetection(model_selection=model, min_detection_confidence=min_score)
        # The graph keeps state during a call, so only one thread may use it.
        self._lock = threading.Lock()

    def __call__(self, image: Image) -> list[Proposal]:
        """(H, W, 3) uint8 RGB → proposals."""
        height, width = image.shape[:2]
        return [proposal for face in self.faces(image) if (proposal := to_proposal(face, width, height))]

    def faces(self, image: Image) -> list[Any]:
        """MediaPipe's own detections."""
        with self._lock:
            return list(self._detection.process(np.ascontiguousarray(image)).detections or [])


def to_proposal(face: Any, width: int, height: int) -> Proposal | None:
    """Convert one detection in an image of width × height pixels to a landmark box; None if it is empty.

    MediaPipe's coordinates are fractions of the image size, measured from the left and upper border.
    """
    head, size = _head(face, width, height)
    if not (size > 0).all():
        return None
    centre, half = head + np.array(CENTRE) * size, np.array(SIZE) * size / 2
    right_eye, left_eye = face.location_data.relative_keypoints[:2]
    roll = math.degrees(math.atan2((left_eye.y - right_eye.y) * height, (left_eye.x - right_eye.x) * width))
    return Proposal(Box(*(centre - half).tolist(), *(centre + half).tolist()), None, roll)


def _head(face: Any, width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    """Upper left corner and size of MediaPipe's box, pixels."""
    where, extent = face.location_data.relative_bounding_box, np.array([width, height])
    return share_to_px(np.array([where.xmin, where.ymin]), extent), np.array([where.width, where.height]) * extent


def measure(data: Path, most: int = 600) -> None:
    """Print the median centre and size, over at most ``most`` photographs."""
    from jvcr.data.face_photos import read_face_photos

    detector, found, faces = MediaPipeDetector(), [], 0
    for photo in [photo for photo in read_face_photos(data, "train") if photo.sure.any()][:most]:
        height, width = photo.image.shape[:2]
        boxes = photo.boxes[photo.sure]
        faces += len(boxes)
        middles = (boxes[:, :2] + boxes[:, 2:]) / 2
        for face in detector.faces(photo.image):
            corner, size = _head(face, width, height)
            near = (np.abs(middles - corner - size / 2) < 0.3 * size).all(axis=1)
            for box, middle in zip(boxes[near], middles[near], strict=True):
                found.append([*(middle - corner) / size, *(box[2:] - box[:2]) / size])
    centre_x, centre_y, across, down = np.median(found, axis=0)
    print(f"{len(found)} of {faces} faces: centre ({centre_x:.3f}, {centre_y:.3f}), size ({across:.3f}, {down:.3f})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", nargs="*", type=Path)
    parser.add_argument("--measure", type=Path, metavar="DATA")
    arguments = parser.parse_args()
    if arguments.measure:
        measure(arguments.measure)
    if arguments.photos:
        landmarker = Landmarker(detector=MediaPipeDetector())
        for photo in arguments.photos:
            faces = landmarker.predict(read_image(photo))
            print(json.dumps({"file": str(photo), "faces": [face.to_dict() for face in faces]}))


if __name__ == "__main__":
    main()
