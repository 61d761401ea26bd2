"""Where landmark boxes lie in the squares of OpenCV's cascades: ``python recipes/cascade_boxes.py DATA [PHOTOS]``.

Prints, for each cascade, the median centre and size of the matching landmark box in sides of the square, over the
faces of the detection table's training photographs: the numbers of ``jvcr.detect.cascade``.
"""

import sys
from pathlib import Path

import cv2
import cv2.data
import numpy as np

from jvcr.data.face_photos import read_face_photos

data, most = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 600
photos = [photo for photo in read_face_photos(data, "train") if photo.sure.any()][:most]

for file in ("haarcascade_frontalface_alt2.xml", "haarcascade_profileface.xml"):
    classifier = cv2.CascadeClassifier(str(Path(cv2.data.haarcascades) / file))
    found, faces = [], 0
    for photo in photos:
        boxes = photo.boxes[photo.sure]
        faces += len(boxes)
        grey = cv2.equalizeHist(cv2.cvtColor(photo.image, cv2.COLOR_RGB2GRAY))
        for x, y, side, _ in np.asarray(classifier.detectMultiScale(grey, 1.1, 2, minSize=(24, 24))).reshape(-1, 4):
            middle = (boxes[:, :2] + boxes[:, 2:]) / 2
            near = np.abs(middle - (x + side / 2, y + side / 2)).max(axis=1) < 0.3 * side
            for box, centre in zip(boxes[near], middle[near], strict=True):
                found.append([*(centre - (x, y)) / side, *(box[2:] - box[:2]) / side])
    centre_x, centre_y, width, height = np.median(found, axis=0)
    print(f"{file}: {len(found)} of {faces} faces")
    print(f"    centre ({centre_x:.3f}, {centre_y:.3f}), size ({width:.3f}, {height:.3f})")
