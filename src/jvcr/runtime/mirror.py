"""Flip averaging (test-time augmentation): run a network on each crop and its mirror image."""

from __future__ import annotations

import numpy as np

from jvcr.images import Image
from jvcr.runtime.base import Prediction, Runtime


class MirrorAveraged:
    """Wraps a runtime and averages its predictions for a crop and its mirror image. Lower error for twice the time.

    Volumes are averaged too. It is enough to reverse them along x, because all landmarks share one volume.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self.image_size, self.markup, self.crop_rule = runtime.image_size, runtime.markup, runtime.crop_rule
        self.confidence = runtime.confidence

    def __call__(self, crops: Image) -> Prediction:
        both = self._runtime(np.concatenate([crops, crops[:, :, ::-1]]))
        (cells, mirror_cells), (points, mirror_points) = (np.split(values, 2) for values in both)
        turned_back = mirror_points[:, list(self.markup.mirror)]
        turned_back[..., 0] = 1 - turned_back[..., 0]
        half = np.float32(0.5)
        return Prediction(half * (cells + mirror_cells[:, :, :, ::-1, :, ::-1]), half * (points + turned_back))
