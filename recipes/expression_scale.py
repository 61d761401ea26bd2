"""The constants of ``jvcr.expression.SCALES`` from a training table: ``python recipes/expression_scale.py DATA``.

Rows of the split ``train`` with hand marks, up to 20° of yaw, whose openings are the hand marks'. The ratios are those
of the table's 3D labels, which are in the network's markup. 1 is their 98th percentile. 0 is the median of closed eyes
(hand-marked opening under 0.12), of shut mouths (under 0.05), and for brows the median of all.
"""

import sys
from pathlib import Path

import numpy as np

from jvcr.expression import (
    CLOSED_EYE,
    SHUT_MOUTH,
    brow_heights,
    corner_lift,
    eye_openings,
    jaw_drop,
    mouth_opening,
    smile,
)
from jvcr.geometry import head_pose

labels = np.load(Path(sys.argv[1]) / "labels.npz")
hand = np.isfinite(labels["hand2d"][:, 36:68]).all(axis=(1, 2))
rows = np.flatnonzero((labels["split"] == "train") & hand & (labels["openings"] == "hand"))
points = labels["points"][rows].astype(np.float64) * (1, 1, -1)
near = np.array([abs(head_pose(face).yaw_deg) < 20 for face in points])
points, marks = points[near], labels["hand2d"][rows][near].astype(np.float64)
print(f"{len(points)} faces")

shut = mouth_opening(marks) < SHUT_MOUTH
closed = eye_openings(marks) < CLOSED_EYE
everyone = np.ones(len(points), bool)
for name, values, rest in (
    ("eye", eye_openings(points), closed),
    ("mouth_open", mouth_opening(points), shut),
    ("mouth_width", smile(points), shut),
    ("corner_lift", corner_lift(points), shut),
    ("brow", brow_heights(points), np.stack([everyone] * 2, axis=1)),
    ("jaw_drop", jaw_drop(points), shut),
):
    print(
        f'    "{name}": Scale({np.median(values[rest]):.3f}, {np.quantile(values, 0.98):.3f}),  # {rest.sum()} at rest'
    )
