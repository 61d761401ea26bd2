"""The interface of every backend."""

from __future__ import annotations

import os
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from jvcr.frames import CropRule
from jvcr.images import Image
from jvcr.markups.markup import Markup
from jvcr.runtime.confidence import Confidence


class Prediction(NamedTuple):
    """volume (B, D, H, W) float32: the compact volume. points_unit (B, N, 3) float32, x, y, z in the unit frame."""

    volume: NDArray[np.float32]
    points_unit: NDArray[np.float32]


class Runtime(Protocol):
    """A loaded network.

    Attributes:
        image_size: side of the input crops, pixels.
        markup: of the predicted points.
        crop_rule: size of the crops it was trained on.
        confidence: turns the agreement of its volume and points into a face's score.
    """

    image_size: int
    markup: Markup
    crop_rule: CropRule
    confidence: Confidence

    def __call__(self, crops: Image) -> Prediction:
        """(B, S, S, 3) uint8 RGB, B ≥ 1 → prediction. Row b depends on crop b only. May be called from any thread."""
        ...


def bounded_threads(threads: int) -> int:
    """Limit threads to the cores that this process may use; more would only compete for them. 0 stays 0 and means all.

    Raises:
        ValueError: less than 0.
    """
    if threads < 0:
        raise ValueError(f"threads is {threads}; expected 0 (all cores) or more")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(threads, cores)


def check_crops(crops: Image, image_size: int) -> None:
    """Raise ValueError unless crops are (B, S, S, 3) uint8."""
    expected = (image_size, image_size, 3)
    if crops.dtype != np.uint8 or crops.shape[1:] != expected:
        raise ValueError(f"expected (B, {', '.join(map(str, expected))}) uint8, got {crops.shape} {crops.dtype}")
