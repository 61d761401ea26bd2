"""Flip averaging (test-time augmentation): run a network on each crop and its mirror image."""

from __future__ import annotations

import numpy as np

from jvcr.images import Image
from jvcr.markups.markup import Markup
from jvcr.runtime.base import Prediction, Runtime


class Mirrored:
    """Wraps a runtime: predicts on the mirror images of the crops, and flips the predictions back."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self.image_size, self.markup, self.crop_rule = runtime.image_size, runtime.markup, runtime.crop_rule
        self.confidence = runtime.confidence

    def __call__(self, crops: Image) -> Prediction:
        return _flipped_back(self._runtime(np.ascontiguousarray(crops[:, :, ::-1])), self.markup)


class MirrorAveraged:
    """Wraps a runtime and averages its predictions for a crop and its mirror image. Lower error for twice the time.

    Attributes:
        mirrored: the half that predicts on the mirror images.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self.mirrored = Mirrored(runtime)
        self.image_size, self.markup, self.crop_rule = runtime.image_size, runtime.markup, runtime.crop_rule
        self.confidence = runtime.confidence

    def __call__(self, crops: Image) -> Prediction:
        both = self._runtime(np.concatenate([crops, crops[:, :, ::-1]]))
        straight, mirrored = (Prediction(*half) for half in zip(*(np.split(v, 2) for v in both), strict=True))
        return averaged(straight, _flipped_back(mirrored, self.markup))


def averaged(some: Prediction, others: Prediction) -> Prediction:
    """The mean of two predictions on the same crops."""
    half = np.float32(0.5)
    return Prediction(*(half * (a + b) for a, b in zip(some, others, strict=True)))


def _flipped_back(prediction: Prediction, markup: Markup) -> Prediction:
    """The volume is reversed along x, and nothing else: all landmarks share it."""
    points = prediction.points_unit[:, list(markup.mirror)]
    points[..., 0] = 1 - points[..., 0]
    return Prediction(prediction.cells[:, :, :, ::-1, :, ::-1], points)
