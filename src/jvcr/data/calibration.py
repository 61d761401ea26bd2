"""Crops of real faces to calibrate int8 quantisation."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from jvcr.data.table import Table
from jvcr.frames import Crop, CropRule
from jvcr.images import Image, extract


def calibration_crops(folder: Path, size_px: int, rule: CropRule, count: int = 256) -> Image:
    """(≤ count, S, S, 3) crops of training faces, as the network sees them, drawn with a fixed seed.

    Raises:
        FileNotFoundError, ValueError: see ``jvcr.data.table.Table``.
    """
    table = Table(folder, "train", incomplete=True)
    rows = np.random.default_rng(0).permutation(len(table))[:count]
    samples = (table[int(row)] for row in rows)
    return np.stack(
        [
            extract(s.image, Crop.around(s.points_img[np.isfinite(s.points_img[:, 0])], size_px, 0.0, rule))
            for s in samples
        ]
    )
