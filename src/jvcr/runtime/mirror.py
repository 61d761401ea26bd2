"""Flip averaging (test-time augmentation): run a network on each crop and its mirror image."""

from __future__ import annotations

import numpy as np

from jvcr.images import Image
from jvcr.markups.markup import Markup
from jvcr.runtime.base import Prediction, Runtime


class Mirrored:
    """Another runtime on the mirror images of the crops, with its predictions flipped back."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self.image_size, self.markup, self.crop_rule = runtime.image_size, runtime.markup, runtime.crop_rule
        self.confidence = runtime.confidence

    def __call__(self, crops: Image) -> Prediction:
        return _flipped_back(self._runtime(np.ascontiguousarray(crops[:, :, ::-1])), self.markup)


class MirrorAveraged:
    """The mean of another runtime over a crop and its mirror image, flipped back. Less error for twice the time.

    Attributes:
        mirrored: the half of it that reads the mirror images.
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
    """The columns of the volume are reversed; no channel belongs to a landmark."""
    points = prediction.points_unit[:, list(markup.mirror)]
    points[..., 0] = 1 - points[..., 0]
    return Prediction(prediction.cells[:, :, :, ::-1, :, ::-1], points)
