"""The interface of the backends."""

from __future__ import annotations

import os
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from jvcr.frames import CropRule
from jvcr.images import Image
from jvcr.markups.markup import Markup
from jvcr.runtime.confidence import Confidence
from jvcr.volume import unfolded


class Prediction(NamedTuple):
    """A network's output for B crops.

    cells: the compact volume in the network's own layout, (B, D, s, s, H/s, W/s) float32: s × s columns of voxels in
        each cell (``jvcr.volume.unfolded``). Most callers never need it as (B, D, H, W).
    points_unit: (B, N, 3) float32, x, y, z in the unit frame.
    """

    cells: NDArray[np.float32]
    points_unit: NDArray[np.float32]

    @classmethod
    def from_output(cls, cells: NDArray[np.float32], points_unit: NDArray[np.float32]) -> Prediction:
        """From the outputs of an exported network. Files from before version 0.2 output the volume as (B, D, H, W)."""
        return cls.from_volume(cells, points_unit) if cells.ndim == 4 else cls(cells, points_unit)

    @classmethod
    def from_volume(cls, volume: NDArray[np.float32], points_unit: NDArray[np.float32]) -> Prediction:
        """From a volume (B, D, H, W)."""
        return cls(volume[:, :, None, None], points_unit)

    @property
    def volume(self) -> NDArray[np.float32]:
        """The compact volume, (B, D, H, W) float32."""
        return unfolded(self.cells)


VOLUME_OUTPUTS = {"cells": 6, "volume": 4}
"""Possible names of the compact volume among the outputs of an exported network, and its number of dimensions."""


class Runtime(Protocol):
    """A loaded network.

    Attributes:
        image_size: side of the input crops, pixels.
        markup: of the predicted landmarks.
        crop_rule: how large a crop to cut around a face; the same rule as in training.
        confidence: computes a face's score from the agreement of volume and points.
    """

    image_size: int
    markup: Markup
    crop_rule: CropRule
    confidence: Confidence

    def __call__(self, crops: Image) -> Prediction:
        """(B, S, S, 3) uint8 RGB, B ≥ 1 → prediction. Row b depends on crop b only. Thread-safe."""
        ...


def bounded_threads(threads: int) -> int:
    """Limit the number of threads to the cores that this process may use. 0, for all cores, stays 0.

    Raises:
        ValueError: the number is negative.
    """
    if threads < 0:
        raise ValueError(f"threads is {threads}; expected 0 (all cores) or more")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(threads, cores)


def check_crops(crops: Image, image_size: int) -> None:
    """Raise ValueError unless crops are (B, S, S, 3) uint8."""
    expected = (image_size, image_size, 3)
    if crops.dtype != np.uint8 or crops.shape[1:] != expected:
        raise ValueError(f"expected crops (B, {', '.join(map(str, expected))}) uint8, got {crops.shape} {crops.dtype}")
