"""Tile the astronaut, rotated and scaled, into a group and draw the faces that are found.

    python recipes/group_picture.py OUT.jpg [SIZE]

SIZE is the search size in pixels. The photograph is in the public domain and included in scikit-image. Prints the
number of faces and how many of them were found.
"""

import sys
from pathlib import Path

import cv2
import numpy as np
from skimage.data import astronaut

from jvcr import Landmarker
from jvcr.draw.landmarks import draw_faces
from jvcr.frames import Box, Crop, rescaled
from jvcr.images import extract, write_image

FACE = (224.0, 132.0)
# Rows of the group: height of a cell in pixels, and the roll of each cell in degrees.
ROWS = (
    (240, (0, -45, 45, 90)),
    (160, (180, -90, 20, -20, 60, 0)),
    (80, range(-165, 180, 30)),
    (40, range(-60, 60, 5)),
)
WIDTH = 960

photo = astronaut()
strips, faces = [], []
top = 0
for height, rolls in ROWS:
    cells = []
    for index, roll in enumerate(rolls):
        # The face box is 0.45 of the cell.
        crop = Crop(FACE[0], FACE[1], 91 / 0.45, height, float(roll))
        cell = extract(photo, crop, cv2.BORDER_REFLECT_101)
        cells.append(cell if index % 2 else cell[:, ::-1])
        centre, half = rescaled(index, height), 0.225 * height
        faces.append(Box(centre - half, top + height / 2 - half, centre + half, top + height / 2 + half))
    strips.append(np.concatenate(cells, axis=1))
    top += height
picture = np.ascontiguousarray(np.concatenate(strips))
assert picture.shape[1] == WIDTH
found = Landmarker(detect_size=int(sys.argv[2]) if len(sys.argv) > 2 else 960).predict(picture)
hits = sum(any(face.box.iou(true) >= 0.4 for face in found) for true in faces)
print(f"{hits} of {len(faces)} faces found, {len(found) - hits} false positives")
write_image(Path(sys.argv[1]), draw_faces(picture, found))
