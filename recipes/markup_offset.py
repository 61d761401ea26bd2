"""Measure the mean offset between the weights' 68 points and hand marks in the iBUG 2D markup.

    python recipes/markup_offset.py DATA [WEIGHTS]

For each landmark: prediction minus hand mark, on hand-marked validation rows up to 30° of yaw, in percent of the box
size, to the right and down in an upright face. Left and right sides are averaged, because the face is symmetric; the
values are printed for the person's right side and the middle. Uses true boxes, refinement and flip averaging.
"""

import sys
from pathlib import Path

import numpy as np

from jvcr.data.table import Table
from jvcr.evaluate.expression_scores import marked_rows, truth_of_samples, upright_offsets
from jvcr.evaluate.run_network import predict_samples
from jvcr.markups.markup import MARKUP_68
from jvcr.runtime.backends import open_backend
from jvcr.runtime.mirror import MirrorAveraged

table = Table(Path(sys.argv[1]), "val")
runtime = open_backend(sys.argv[2] if len(sys.argv) > 2 else "small")
samples = [table[row] for row in marked_rows(table) if abs(table.yaw_deg[row]) <= 30]
truth = truth_of_samples("validation rows", samples)
predicted = predict_samples(MirrorAveraged(runtime), samples, rough=runtime).points_img[..., :2]
offsets = 100 * np.nanmean(upright_offsets(predicted.astype(np.float64), truth), axis=0)
mirrored = offsets[list(MARKUP_68.mirror)] * (-1, 1)
symmetric = (offsets + mirrored) / 2
print(f"{len(samples)} faces; offset to the right and down in percent of the box size")
for name, members in MARKUP_68.groups.items():
    if name.startswith("left"):
        continue
    shown = [index for index in members if index <= MARKUP_68.mirror[index]]
    print(f"{name:<12}", "  ".join(f"{i}: {symmetric[i, 0]:+.1f} {symmetric[i, 1]:+.1f}" for i in shown))
