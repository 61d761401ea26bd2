"""Measure the thresholds of `jvcr data check` on real faces: ``python benchmarks/data_check_thresholds.py TABLE``.

Prints the extremes of each shape test and the similarity of altered copies. With ``--with-model`` also prints how many
flipped images the network finds (every tenth row). docs/data-check.md states the figures.
"""

import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from jvcr.data.doctor.duplicates import FACE_RULE, SAME, SIMILAR, detail_similarity
from jvcr.data.doctor.entries import TableSource
from jvcr.data.doctor.opinion import ModelOpinion
from jvcr.data.doctor.shapes import SWAP_GAP, fit_heads
from jvcr.frames import Box, Crop, mirrored, resized
from jvcr.geometry import mean_shape_68
from jvcr.images import extract
from jvcr.runtime.onnx import OnnxRuntime
from jvcr.weights import weights_path

folder = Path(sys.argv[1])
points = np.load(folder / "labels.npz")["points"].astype(np.float64) * (1, 1, -1)
seen = np.ones(points.shape[:2], bool)
head = mean_shape_68()
fit, negated = fit_heads(head, points, seen), fit_heads(head, points * (1, 1, -1), seen)
flat = fit_heads(head, points, seen, depth=False)
print(f"{len(points)} labels")
print(f"own residual divided by the one with z negated: at most {(fit.rms / negated.rms).max():.3f}")
print(f"face to camera, cosine: at least {fit.rotation[:, 2, 2].min():.3f}, 2D {flat.rotation[:, 2, 2].min():.3f}")
print(f"head's down to image's down, cosine: at least {fit.rotation[:, 1, 1].min():.3f}")
print(
    f"distance of one landmark: at most {fit.residual.max():.3f}; median: {np.median(fit.residual, axis=1).max():.3f}"
)

first, second = np.triu_indices(68, 1)
gap = np.linalg.norm(head[first] - head[second], axis=1)
print(
    "pairs too close to tell:",
    list(zip(first[gap < SWAP_GAP].tolist(), second[gap < SWAP_GAP].tolist(), strict=True)),
)
largest = -1.0
for i in range(len(points)):
    label, place = points[i] / fit.scale[i], fit.points[i] / fit.scale[i]
    distance = np.linalg.norm(label[:, None] - place[None], axis=2)
    own = np.diagonal(distance)
    gain = (own[first] + own[second] - distance[first, second] - distance[second, first]) / (2 * gap)
    largest = max(largest, float(gain[gap >= SWAP_GAP].max()))
print(f"share of the error removed by an exchange: at most {largest:.3f}")

rng = np.random.default_rng(0)
opinion = ModelOpinion(OnnxRuntime(weights_path("small"), 1)) if "--with-model" in sys.argv else None
flipped = 0
similarities = []
for entry in TableSource(folder).entries():
    if entry.row % 10 or entry.image is None:
        continue
    box = Box.around(entry.points_img)
    picture = extract(cv2.cvtColor(entry.image, cv2.COLOR_RGB2GRAY), Crop.from_box(box, 48, rule=FACE_RULE))
    # An altered copy: smaller, half of them mirrored, JPEG quality 40, label moved by 2 % and scaled by up to 5 %.
    factor, flip = rng.uniform(0.6, 1), rng.random() < 0.5
    copy = cv2.resize(entry.image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    label = resized(entry.points_img, factor)
    if flip:
        copy, label = np.ascontiguousarray(copy[:, ::-1]), mirrored(label, copy.shape[1])
    copy = cv2.imdecode(cv2.imencode(".jpg", copy, [cv2.IMWRITE_JPEG_QUALITY, 40])[1], cv2.IMREAD_COLOR)
    middle, side = label[:, :2].mean(axis=0), np.ptp(label[:, :2], axis=0).max()
    label[:, :2] = (label[:, :2] - middle) * rng.uniform(0.95, 1.05) + middle + rng.normal(0, 0.02, 2) * side
    other = extract(cv2.cvtColor(copy, cv2.COLOR_RGB2GRAY), Crop.from_box(Box.around(label), 48, rule=FACE_RULE))
    similarities.append(detail_similarity(picture, np.ascontiguousarray(other[:, ::-1]) if flip else other))
    if opinion is not None:
        opinion.add(replace(entry, image=np.ascontiguousarray(entry.image[:, ::-1])), box)
        flipped += 1
s = np.array(similarities)
print(f"{len(s)} copies: {(s >= SAME).mean():.1%} at least {SAME}, {(s >= SIMILAR).mean():.1%} at least {SIMILAR}")
print("lowest, 1 %, 5 %, median:", np.percentile(s, [0, 1, 5, 50]).round(3))
if opinion is not None:
    found = sum(case.code == "mirrored-image" for case in opinion.cases())
    print(f"flipped images found by the network: {found} of {flipped}")
