"""Make the README's picture: ``python recipes/readme_picture.py docs/images/astronaut_landmarks.jpg``.

Shows the astronaut (NASA, public domain, included in scikit-image) with her landmarks, the 3D points from two other
viewpoints, and the volume that they were regressed from.
"""

import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from skimage.data import astronaut

from jvcr import Landmarker
from jvcr.draw.landmarks import draw_faces
from jvcr.draw.volume import OBLIQUE, draw_volume
from jvcr.geometry import rotation_from_angles

SIDE_PX = 180
LEFT, TOP = 134, 40
SHOWN_PX = 440
ENLARGED = 1.25

photo = astronaut()[TOP : TOP + SIDE_PX, LEFT : LEFT + SIDE_PX]
(face,) = Landmarker().predict(photo, volumes=True)
panels = [draw_faces(photo, [face], boxes=False)]
middle = np.array([SIDE_PX / 2, SIDE_PX / 2, 0])
for yaw_deg in (-40, -90):
    turned = ENLARGED * (face.landmarks - face.landmarks.mean(axis=0)) @ rotation_from_angles(yaw_deg, 0, 0).T
    turned += middle - (turned.min(axis=0) + turned.max(axis=0)) / 2
    blank = np.full((SIDE_PX, SIDE_PX, 3), 250, np.uint8)
    panels.append(draw_faces(blank, [replace(face, landmarks=turned.astype(np.float32))], boxes=False))
shown = [cv2.resize(panel, (SHOWN_PX, SHOWN_PX), interpolation=cv2.INTER_AREA) for panel in panels]
assert face.volume is not None
shown.append(draw_volume(face.volume / face.volume.max(), OBLIQUE, SHOWN_PX))
picture = np.hstack(shown)
data = cv2.imencode(".jpg", picture[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])[1]
Path(sys.argv[1]).write_bytes(data.tobytes())
