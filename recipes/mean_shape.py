"""Make ``src/jvcr/weights/mean_shape_68.csv`` from a training table: ``python recipes/mean_shape.py DATA OUT.csv``.

Computes the generalised Procrustes mean of all training labels, makes it symmetric, and rotates it about the x axis
until the median near-frontal face (|yaw| and |roll| under 20°) has pitch 0. ``jvcr.geometry.mean_shape_68`` then levels
its eye–ear line.
"""

import sys
from pathlib import Path

import numpy as np

from jvcr.geometry import HeadPose, align
from jvcr.markups.markup import MARKUP_68

labels = np.load(Path(sys.argv[1]) / "labels.npz")
shapes = labels["points"][labels["split"] == "train"].astype(np.float64) * (1, 1, -1)
mirror = list(MARKUP_68.mirror)


def standard(shape: np.ndarray) -> np.ndarray:
    """Symmetric, zero mean, outer eye distance 1."""
    shape = shape - shape.mean(axis=0)
    shape = (shape + shape[mirror] * (-1, 1, 1)) / 2
    return shape / np.linalg.norm(shape[36] - shape[45])


# Start from the most frontal label: the one whose nose tip is horizontally nearest to the middle of the eyes.
middle = (shapes[:, 36] + shapes[:, 45]) / 2
off = abs(shapes[:, 30, 0] - middle[:, 0]) / np.linalg.norm(shapes[:, 36] - shapes[:, 45], axis=1)
mean = standard(shapes[np.argmin(off)])
for _ in range(5):
    mean = standard(np.mean([align(shape, mean).apply(shape) for shape in shapes], axis=0))
    poses = [HeadPose.from_rotation(align(mean, shape).rotation, "zyx") for shape in shapes]
    frontal = [p.pitch_deg for p in poses if abs(p.yaw_deg) < 20 and abs(p.roll_deg) < 20]
    pitch = np.radians(-np.median(frontal))
    turn = np.array([[1, 0, 0], [0, np.cos(pitch), -np.sin(pitch)], [0, np.sin(pitch), np.cos(pitch)]])
    mean = mean @ turn.T
    print(f"median pitch of {len(frontal)} near-frontal faces: {np.degrees(pitch):.2f}°")
np.savetxt(sys.argv[2], mean, fmt="%.5f", delimiter=",")
