"""Measure the benefit of the detector's roll: ``python recipes/experiments/roll_helps.py DATA``.

Rotates validation rows of the training table about their middle, finds the faces, and predicts landmarks with a single
pass or with refinement, each with the detector's roll and without. Prints the mean NME of the faces found both with and
without the roll.
"""

import math
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from jvcr import Landmarker
from jvcr.data.table import Table
from jvcr.detect.network import NetworkDetector
from jvcr.frames import Box, Crop, middle_of
from jvcr.images import extract
from jvcr.metrics import normalised_mean_error

EVERY = 4
ROLLS_DEG = (0, 20, 45, 90, 180)

table = Table(Path(sys.argv[1]), "val")
own = NetworkDetector(threads=1)


def upright(image):
    return [replace(found, roll_deg=0.0) for found in own(image)]


for refine in (False, True):
    finders = {
        name: Landmarker(detector=detector, refine=refine, threads=1, min_score=0.0)
        for name, detector in (("with its roll", own), ("without", upright))
    }
    for roll in ROLLS_DEG:
        errors = {name: [] for name in finders}
        for row in range(0, len(table), EVERY):
            sample = table[row]
            height, width = sample.image.shape[:2]
            side = math.ceil(1.6 * max(height, width))
            crop = Crop(middle_of(width), middle_of(height), side, side, roll * (-1) ** row)
            image = extract(sample.image, crop, cv2.BORDER_REPLICATE)
            true = crop.to_crop(sample.points_img)
            for name, landmarker in finders.items():
                faces = landmarker.predict(image)
                best = max(faces, key=lambda face: face.box.iou(Box.around(true)), default=None)
                found = best is not None and best.box.iou(Box.around(true)) >= 0.4
                errors[name].append(normalised_mean_error(best.landmarks[None], true[None])[0] if found else math.nan)
        tables = {name: np.array(values) for name, values in errors.items()}
        both = np.all([np.isfinite(values) for values in tables.values()], axis=0)
        text = ", ".join(
            f"{name} {100 * values[both].mean():.2f} ({int(np.isnan(values).sum())} missed)"
            for name, values in tables.items()
        )
        passes = "refinement" if refine else "single pass"
        print(f"{passes}, rotated by {roll}°: NME {text}, {both.sum()} faces", flush=True)
