"""Find out whether G or P loses the openings of eyes and mouths.

    python recipes/experiments/openings_probe.py DATA small
    python recipes/experiments/openings_probe.py DATA runs/small/model.safetensors

A linear probe (ridge regression) predicts the openings from the compact volume: from the perfect one, drawn from the
labels, and from the one that G predicts. The openings of P's landmarks are printed for comparison. The probe is trained
on 4,000 `train` rows up to 30° of yaw with true openings, in their true boxes. It is scored on such `val` rows against
their labels, by correlation and slope.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from jvcr.data.table import Table
from jvcr.expression import eye_openings, mouth_opening
from jvcr.frames import Crop, crop_to_unit, unit_to_vox
from jvcr.images import extract
from jvcr.markups.markup import MARKUP_68
from jvcr.runtime.backends import Backend, open_backend
from jvcr.runtime.base import Runtime
from jvcr.volume import rasterise

ROWS = 4000
RIDGE = (1.0, 10.0, 100.0, 1000.0)

Values = NDArray[np.float64]


def chosen(table: Table, count: int) -> list[int]:
    """Near-frontal rows with true openings, in a fixed random order."""
    near = np.nan_to_num(np.abs(table.yaw_deg), nan=90) <= 30
    rows = np.flatnonzero(near & table.taught.all(axis=1))
    return np.random.default_rng(0).permutation(rows)[:count].tolist()


def flattened(volume: NDArray[np.float32]) -> NDArray[np.float32]:
    """(B, D, H, W) → (B, features): the highest voxel of every column."""
    return volume.max(axis=1).reshape(len(volume), -1)


def measured(runtime: Runtime, table: Table, rows: list[int]) -> dict[str, Values]:
    """Openings of the labels and of P's landmarks, and the probe's inputs from perfect and from predicted volumes."""
    out: dict[str, list[NDArray[np.float32]]] = {name: [] for name in ("label", "P", "perfect", "G")}
    for start in range(0, len(rows), 32):
        samples = [table[row] for row in rows[start : start + 32]]
        crops = [Crop.from_box(s.box, runtime.image_size, rule=runtime.crop_rule) for s in samples]
        prediction = runtime(np.stack([extract(s.image, crop) for s, crop in zip(samples, crops, strict=True)]))
        labels = np.stack(
            [crop_to_unit(crop.to_crop(s.points_img), crop.size_px) for s, crop in zip(samples, crops, strict=True)]
        )
        shape = prediction.volume.shape[1:]
        perfect = np.stack([rasterise(unit_to_vox(points, shape), shape) for points in labels])
        out["label"].append(openings(labels))
        out["P"].append(openings(prediction.points_unit))
        out["perfect"].append(flattened(perfect))
        out["G"].append(flattened(prediction.volume))
    return {name: np.concatenate(parts).astype(np.float64) for name, parts in out.items()}


def openings(points: NDArray[np.float32]) -> Values:
    """(B, N, 3) → (B, 2): mean opening of the eyes, and opening of the mouth."""
    flat = points[..., :2]
    return np.stack([eye_openings(flat).mean(axis=1), mouth_opening(flat)], axis=1)


def probe(train: Values, target: Values, test: Values) -> Values:
    """Predictions by ridge regression, with the strength chosen on a fifth of the training rows."""
    mean, scale = train.mean(axis=0), train.std(axis=0).mean() + 1e-9
    train, test = (train - mean) / scale, (test - mean) / scale
    cut = len(train) // 5
    best = min(
        RIDGE, key=lambda a: float(((_solve(train[cut:], target[cut:], train[:cut], a) - target[:cut]) ** 2).mean())
    )
    return _solve(train, target, test, best)


def _solve(train: Values, target: Values, test: Values, strength: float) -> Values:
    middle = target.mean(axis=0)
    # There are more features than rows, so the dual form is smaller.
    gram = train @ train.T + strength * len(train) * np.eye(len(train))
    return np.asarray(middle + test @ (train.T @ np.linalg.solve(gram, target - middle)))


def said(name: str, predicted: Values, target: Values) -> None:
    for column, what in enumerate(("eyes", "mouth")):
        covariance = np.cov(target[:, column], predicted[:, column])
        correlation = covariance[0, 1] / np.sqrt(covariance[0, 0] * covariance[1, 1])
        slope = covariance[0, 1] / covariance[0, 0]
        print(f"{name:<34} {what:<6} correlation {correlation:.2f}  slope {slope:.2f}", flush=True)


def main() -> None:
    data, weights = Path(sys.argv[1]), sys.argv[2]
    backend = Backend.TORCH if weights.endswith(".safetensors") else Backend.ONNXRUNTIME
    runtime = open_backend(weights, backend)
    assert runtime.markup.n_points == MARKUP_68.n_points
    tables = {split: Table(data, split) for split in ("train", "val")}
    train, val = (measured(runtime, table, chosen(table, ROWS)) for table in tables.values())
    print(f"{len(train['label'])} training rows, {len(val['label'])} validation rows")
    said("probe on perfect volumes", probe(train["perfect"], train["label"], val["perfect"]), val["label"])
    said("probe on G's volumes", probe(train["G"], train["label"], val["G"]), val["label"])
    said("P on G's volumes", val["P"], val["label"])


if __name__ == "__main__":
    main()
