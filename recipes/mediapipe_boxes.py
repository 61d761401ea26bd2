"""Where landmark boxes lie in the boxes of MediaPipe's detector: ``python recipes/mediapipe_boxes.py DATA [PHOTOS]``.

Prints the median centre and size of the matching landmark box in widths and heights of MediaPipe's, over the faces of
the detection table's training photographs: the numbers of ``jvcr.detect.mediapipe``. Needs the package mediapipe.
"""

import sys
from pathlib import Path

import numpy as np
from mediapipe.python.solutions.face_detection import FaceDetection

from jvcr.data.face_photos import read_face_photos

data, most = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 600
photos = [photo for photo in read_face_photos(data, "train") if photo.sure.any()][:most]
detection = FaceDetection(model_selection=1, min_detection_confidence=0.3)
found, faces = [], 0
for photo in photos:
    height, width = photo.image.shape[:2]
    boxes = photo.boxes[photo.sure]
    faces += len(boxes)
    for face in detection.process(photo.image).detections or []:
        where = face.location_data.relative_bounding_box
        corner = np.array([where.xmin * width, where.ymin * height]) - 0.5
        size = np.array([where.width * width, where.height * height])
        middle = (boxes[:, :2] + boxes[:, 2:]) / 2
        near = (np.abs(middle - corner - size / 2) < 0.3 * size).all(axis=1)
        for box, centre in zip(boxes[near], middle[near], strict=True):
            found.append([*(centre - corner) / size, *(box[2:] - box[:2]) / size])
centre_x, centre_y, across, down = np.median(found, axis=0)
print(f"{len(found)} of {faces} faces")
print(f"    centre ({centre_x:.3f}, {centre_y:.3f}), size ({across:.3f}, {down:.3f})")
