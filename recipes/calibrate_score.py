"""Fit the constants of the face score that are stored in the weights.

    python recipes/calibrate_score.py DATA [WEIGHTS] [ABOUT.json]

Fits logistic regressions on the validation photographs of the detection table, upright and rotated by ±30°. They
predict whether a candidate is a face (its box has an IoU of at least 0.4 with a true box) from the landmark network's
agreement, the detector's score, the mean σ of the landmarks and the face's size. σ comes from ABOUT.json, if
``calibrate_landmarks.py`` has written it there, otherwise from the weights. The constants are written to ABOUT.json;
``release_weights.py`` copies them to the weights' header. Then prints the faces found and the false positives for each
score threshold.
``jvcr.landmarker.MIN_SCORE`` is chosen from this table; ``jvcr evaluate detect`` reports on the test photographs.
"""

import json
import math
import sys
from pathlib import Path

import numpy as np
from scipy.optimize import minimize

from jvcr import Box, Landmarker
from jvcr.data.face_photos import FacePhoto, read_face_photos
from jvcr.detect.base import iou_matrix, nms
from jvcr.detect.network import NetworkDetector
from jvcr.evaluate.detect_scores import turned_photo
from jvcr.locate import mean_sigma
from jvcr.runtime.backends import open_backend
from jvcr.runtime.confidence import Confidence, largeness
from jvcr.runtime.landmark_confidence import LandmarkConfidence

LEAST_SHARE = 0.2
"""A candidate is dropped after the first pass if its agreement is below this share of the median of true faces."""

data = Path(sys.argv[1])
weights = sys.argv[2] if len(sys.argv) > 2 else "small"
about_path = Path(sys.argv[3]) if len(sys.argv) > 3 else None
about = {} if about_path is None else json.loads(about_path.read_text(encoding="utf-8"))
runtime = open_backend(weights, threads=2)
# Keep nearly all candidates: the constants are not known yet.
fitted = about.get("confidence", {}).get("landmarks")
landmarks = runtime.confidence.landmarks if fitted is None else LandmarkConfidence.from_dict(fitted)
runtime.confidence = Confidence(least_agreement=0.02, landmarks=landmarks)
detector = NetworkDetector(min_score=0.15, threads=2)
landmarker = Landmarker(backend=runtime, detector=detector, min_score=0.0)
photos = read_face_photos(data, "val")
shown = [*photos, *(turned_photo(p, angle) for p in photos if p.sure.any() for angle in (-30, 30))]


def logit(p: float) -> float:
    p = min(max(p, 1e-4), 1 - 1e-4)
    return math.log(p / (1 - p))


def look(photo: FacePhoto) -> np.ndarray:
    """(candidates, 4 + 8): box and inputs of the regression, those for small faces first."""
    rows = []
    for face, proposal in landmarker.candidates(photo.image):
        box = Box.around(face.points_img)
        unsure = math.log(mean_sigma(runtime, face) or 1.0)
        inputs = np.array([1.0, math.log(max(face.score, 1e-4)), logit(proposal.score or 0.0), unsure])
        share = largeness(max(box.width, box.height))
        rows.append([*box.to_list(), *((1 - share) * inputs), *(share * inputs)])
    return np.array(rows).reshape(-1, 12)


looks = [look(photo) for photo in shown]


def merged(rows: np.ndarray, constants: np.ndarray) -> np.ndarray:
    kept = nms([Box(*row) for row in rows[:, :4].tolist()], (rows[:, 4:] @ constants).tolist(), 0.4)
    return rows[kept]


def labelled(constants: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Inputs of all candidates that can be judged, and whether each is a face."""
    inputs, right = [], []
    for photo, rows in zip(shown, looks, strict=True):
        rows = merged(rows, constants)
        table = iou_matrix(rows[:, :4], photo.boxes)
        hit = (table[:, photo.sure] >= 0.4).any(axis=1)
        counted = hit | ~(table[:, ~photo.sure] >= 0.2).any(axis=1)
        # Where faces may be unmarked, a detection beside the marked ones may be right or wrong.
        counted &= hit | photo.surely_empty | bool(photo.sure.any())
        inputs.append(rows[counted, 4:])
        right.append(hit[counted])
    return np.concatenate(inputs), np.concatenate(right)


def fit(inputs: np.ndarray, right: np.ndarray) -> np.ndarray:
    sign = np.where(right, 1.0, -1.0)
    return minimize(
        lambda c: np.logaddexp(0, -sign * (inputs @ c)).sum() + 0.01 * (c**2).sum(), np.ones(inputs.shape[1])
    ).x


constants = np.array([0.0, 1.0, 1.0, 0.0] * 2)
for _ in range(3):
    constants = fit(*labelled(constants))
inputs, right = labelled(constants)
# Of both sizes together, without the detector and σ.
alone = fit(inputs[:, :2] + inputs[:, 4:6], right)
print(f"{len(shown)} images of {len(photos)} photographs, {right.sum()} faces among {len(right)} candidates")
agreement = float(np.exp(np.median((inputs[:, 1] + inputs[:, 5])[right])))
confidence = Confidence(
    small=tuple(np.round(constants[:4], 3).tolist()),
    large=tuple(np.round(constants[4:], 3).tolist()),
    alone=tuple(np.round(alone, 3).tolist()),
    least_agreement=round(LEAST_SHARE * agreement, 3),
)
print(f"median agreement of faces: {agreement:.3f}; {confidence}")
if about_path is not None:
    # Keep what calibrate_landmarks.py wrote.
    about["confidence"] = about.get("confidence", {}) | confidence.to_dict()
    about_path.write_text(json.dumps(about, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")

probability = 1 / (1 + np.exp(-inputs @ constants))
for low, high in ((0, 0.1), (0.1, 0.3), (0.3, 0.5), (0.5, 0.7), (0.7, 0.9), (0.9, 1.01)):
    inside = (probability >= low) & (probability < high)
    print(f"score {low} to {high}: {inside.sum()} candidates, {100 * right[inside].mean():.1f} % faces")
empty = [k for k, photo in enumerate(shown) if photo.surely_empty]
for threshold in (0.2, 0.3, 0.4, 0.5, 0.55, 0.6, 0.65, 0.7, 0.8, 0.9):
    found = faces = false = 0
    for k, (photo, rows) in enumerate(zip(shown[: len(photos)], looks, strict=False)):
        rows = merged(rows, constants)
        rows = rows[1 / (1 + np.exp(-rows[:, 4:] @ constants)) >= threshold]
        found += int((iou_matrix(photo.boxes[photo.sure], rows[:, :4]) >= 0.4).any(axis=1).sum())
        faces += int(photo.sure.sum())
        false += len(rows) if k in empty else 0
    print(f"from {threshold}: {found} of {faces} faces found, {false} false positives in {len(empty)} empty photos")
