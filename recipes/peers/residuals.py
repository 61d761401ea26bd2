"""Print the mean difference for each landmark on near-frontal faces, to find a wrong index map or pixel base.

    python recipes/peers/residuals.py PREDICTIONS.npz AFLW2000-3D
    python recipes/peers/residuals.py PREDICTIONS.npz AFLW2000-3D MIRRORED.npz

The first command compares with the labels. The second compares with a ``--mirrored`` run of the same recipe: the mean
of x over all landmarks is then twice the error of the pixel base. Runs in jvcr's own environment (train extra).
Differences are in percent of sqrt(w·h) of the labels' box, on faces within 20° of frontal, rotated upright.
"""

import sys
from pathlib import Path

import numpy as np

from jvcr.data.formats.aflw2000 import read_aflw2000

predicted, *others = (
    dict(zip(file["id"].tolist(), file["landmarks"][..., :2].astype(float), strict=True))
    for file in (np.load(path) for path in [sys.argv[1], *sys.argv[3:]])
)
rows, pixels, sizes = [], [], []
for sample in read_aflw2000(Path(sys.argv[2])):
    true = sample.points_img[:, :2].astype(float)
    points = predicted.get(sample.name, np.full_like(true, np.nan))
    against = others[0].get(sample.name, points * np.nan) if others else true
    if abs(sample.yaw_deg) > 20 or np.isnan(points - against).any():
        continue
    across = (true[45] - true[36]) / np.linalg.norm(true[45] - true[36])
    upright = np.array([across, (-across[1], across[0])])
    sizes.append(np.sqrt(np.prod(np.ptp(true, axis=0))))
    pixels.append((points - against).mean(axis=0))
    rows.append((points - against) @ upright.T / sizes[-1] * 100)
difference = np.array(rows)
print(
    f"{len(rows)} faces, median size {np.median(sizes):.0f} px; landmark: to the image's right, down; mean distance (%)"
)
for landmark, (dx, dy) in enumerate(difference.mean(axis=0)):
    print(f"{landmark:3d} {dx:6.2f} {dy:6.2f}   {np.linalg.norm(difference[:, landmark], axis=-1).mean():5.2f}")
mean, error = np.mean(pixels, axis=0), np.std(pixels, axis=0) / np.sqrt(len(pixels))
print(f"all: x {mean[0]:.2f} ± {error[0]:.2f}, y {mean[1]:.2f} ± {error[1]:.2f} pixels of the photo (standard error)")
