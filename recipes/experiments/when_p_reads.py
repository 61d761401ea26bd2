"""When does P learn to read G's volumes? Measure checkpoints of one training.

    python recipes/experiments/when_p_reads.py DATA CHECKPOINT...

For each checkpoint, on the validation rows in their true boxes, NME in percent, normalised by the true landmarks' box,
in x and y only:

- P on G's volumes: what the network predicts.
- P on perfect volumes, drawn from the labels: can P read volumes at all?
- G's nearest peak: the distance from each true landmark to the nearest peak of G's volume, seen from the front, and at
  most 5 voxels. No reader can do better with peaks alone; it does not have to find out which peak is which landmark.
- contrast: the mean of G's volume at the true landmarks, seen from the front, over the highest value of the volume.
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from jvcr.data.table import Table
from jvcr.frames import Crop, crop_to_unit, unit_to_vox
from jvcr.images import extract
from jvcr.metrics import normalised_mean_error
from jvcr.model.checkpoint import load_weights
from jvcr.train.targets import rasterise

BATCH = 32
FARTHEST = 5.0

Values = NDArray[np.float64]


def peaks(front: NDArray[np.float32]) -> NDArray[np.float64]:
    """(H, W) → (K, 2) x, y of the local maxima above a tenth of the highest, refined to the parabola's top."""
    highest = (front == cv2.dilate(front, np.ones((3, 3), np.uint8))) & (front > 0.1 * front.max())
    y, x = np.nonzero(highest[1:-1, 1:-1])
    y, x = y + 1, x + 1

    def top(before: NDArray[np.float32], here: NDArray[np.float32], after: NDArray[np.float32]) -> Values:
        curve = (2 * here - before - after).astype(np.float64)
        return np.where(curve > 1e-6, (after - before) / (2 * np.maximum(curve, 1e-6)), 0.0).clip(-0.5, 0.5)

    here = front[y, x]
    return np.stack(
        [x + top(front[y, x - 1], here, front[y, x + 1]), y + top(front[y - 1, x], here, front[y + 1, x])], 1
    )


def nearest(volume: NDArray[np.float32], true_vox: NDArray[np.float32]) -> tuple[Values, float]:
    """(N,) distances from the true landmarks to the nearest peak, voxels; and the contrast."""
    front = volume.max(axis=0)
    found = peaks(front)
    if not len(found):
        return np.full(len(true_vox), FARTHEST), 0.0
    apart = np.linalg.norm(true_vox[:, None, :2] - found, axis=2).min(axis=1)
    x, y = (true_vox[:, axis].round().astype(int).clip(0, front.shape[1 - axis] - 1) for axis in (0, 1))
    return apart.clip(max=FARTHEST), float(front[y, x].mean() / max(front.max(), 1e-6))


def main() -> None:
    table = Table(Path(sys.argv[1]), "val")
    print(
        "| crops seen | P on G's volumes | P on perfect volumes | G's nearest peak | contrast |\n|---|---|---|---|---|"
    )
    for path in map(Path, sys.argv[2:]):
        model, header = load_weights(path)
        size, shape = header.config.image_size, header.config.compact_shape
        model.eval()
        said: dict[str, list[Values]] = {"G": [], "perfect": [], "peak": [], "contrast": []}
        for start in range(0, len(table), BATCH):
            samples = [table[row] for row in range(start, min(start + BATCH, len(table)))]
            crops = [Crop.from_box(s.box, size, rule=header.config.crop) for s in samples]
            truth = np.stack([crop_to_unit(c.to_crop(s.points_img), size) for s, c in zip(samples, crops, strict=True)])
            truth = truth.astype(np.float32)
            pixels = torch.from_numpy(np.stack([extract(s.image, c) for s, c in zip(samples, crops, strict=True)]))
            with torch.inference_mode():
                output = model(pixels)
                read = model.coordinate(rasterise(torch.from_numpy(truth), shape)).numpy()
            said["G"].append(normalised_mean_error(output.points_unit.numpy()[..., :2], truth[..., :2]))
            said["perfect"].append(normalised_mean_error(read[..., :2], truth[..., :2]))
            for volume, points in zip(output.volumes[-1].numpy(), truth, strict=True):
                apart, contrast = nearest(volume, unit_to_vox(points, shape))
                side = np.sqrt(np.prod(np.ptp(points[:, :2], axis=0)))
                said["peak"].append(np.array([apart.mean() / shape[-1] / side]))
                said["contrast"].append(np.array([contrast]))
        mean = {name: float(np.concatenate(values).mean()) for name, values in said.items()}
        crops_seen = header.about.get("samples_seen", 0)
        errors = " | ".join(f"{100 * mean[name]:.2f}" for name in ("G", "perfect", "peak"))
        print(f"| {crops_seen:,} | {errors} | {mean['contrast']:.2f} |", flush=True)


if __name__ == "__main__":
    main()
