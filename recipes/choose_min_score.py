"""How many faces are found, and how many invented, at each score: ``python recipes/choose_min_score.py DATA``.

On the held-out photographs of the detection table: the reliable faces of the crowded ones, and everything that is
found on the empty ones. ``jvcr.landmarker.MIN_SCORE`` is chosen from what this prints.
"""

import sys
from pathlib import Path

import numpy as np

from jvcr import Box, Landmarker
from jvcr.data.face_photos import is_held_out
from jvcr.data.table import read_tars
from jvcr.landmarker import MIN_SCORE
from jvcr.metrics import YAW_BINS_DEG

data = Path(sys.argv[1])
labels = np.load(data / "detect_labels.npz")
landmarker = Landmarker(min_score=0.0)
names = labels["id"].tolist()
photos = [i for i, name in enumerate(names) if is_held_out(name)]
images = read_tars(data, [names[i] for i in photos])

hits: list[float] = []
yaws: list[float] = []
sizes: list[float] = []
empty_photos, false_scores, unmarked_scores = 0, [], []
for index, image in zip(photos, images, strict=True):
    rows = labels["image"] == index
    known = [Box(*row) for row in labels["box"][rows].tolist()]
    reliable = rows & (labels["score"] >= 0.6)
    sure = [Box(*row) for row in labels["box"][reliable].tolist()]
    yaws += np.abs(labels["yaw_deg"][reliable]).tolist()
    sizes += [max(box.width, box.height) / max(image.shape) for box in sure]
    found = landmarker.predict(image)
    hits += [max((f.score for f in found if f.box.overlap(box) >= 0.4), default=-1.0) for box in sure]
    if not known:
        empty_photos += 1
        false_scores += [f.score for f in found]
    else:
        unmarked_scores += [f.score for f in found if all(f.box.overlap(box) < 0.2 for box in known)]

print(f"{len(hits)} faces in {len(photos) - empty_photos} photographs, {empty_photos} photographs without a face")
for threshold in np.arange(0.1, 0.56, 0.05):
    found_share = np.mean(np.array(hits) >= threshold)
    invented = sum(s >= threshold for s in false_scores)
    elsewhere = sum(s >= threshold for s in unmarked_scores)
    print(
        f"score ≥ {threshold:.2f}: {100 * found_share:.1f} % found; {invented} invented on the empty photographs, "
        f"{elsewhere} beside the marked faces of the others"
    )

score, yaw, size = np.array(hits), np.array(yaws), np.array(sizes)
found = score >= MIN_SCORE
print(f"\nat score ≥ {MIN_SCORE}, by |yaw|:")
for low, high in YAW_BINS_DEG:
    members = (yaw <= high) & ((yaw > low) if low else True)
    to = f" to {high}°" if high < 180 else ""
    print(f"    over {low}°{to}: {100 * found[members].mean():.1f} % of {members.sum()}")
print("by size, landmark box over the photo's longer side:")
for low, high in ((0, 0.04), (0.04, 0.08), (0.08, 0.15), (0.15, 0.3), (0.3, 1)):
    members = (size > low) & (size <= high)
    if members.any():
        print(f"    {low} to {high}: {100 * found[members].mean():.1f} % of {members.sum()}")
