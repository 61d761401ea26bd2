"""Occupied voxels of a face's volume, where they lie in the image."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from jvcr.frames import Crop, unit_to_crop, vox_to_unit

OCCUPIED_FROM = 0.15
"""Voxels of lower density are empty."""


class Voxels(NamedTuple):
    """points: (K, 3) x, y, z in image pixels. values: (K,) their densities, about 0…1."""

    points: NDArray[np.float64]
    values: NDArray[np.float32]


def occupied(volume: NDArray[np.float32], crop: Crop, most: int | None = None) -> Voxels:
    """The voxels of more than ``OCCUPIED_FROM``, in the order of the volume; with ``most``, the strongest first.

    Args:
        volume, crop: of a ``jvcr.results.Face``: (D, H, W), and where it lies in the image.
        most: return at most this many.
    """
    index = np.argwhere(volume > OCCUPIED_FROM)
    values = volume[tuple(index.T)]
    if most is not None:
        strongest = np.argsort(-values, kind="stable")[:most]
        index, values = index[strongest], values[strongest]
    # z, y, x → x, y, z
    points = crop.to_image(unit_to_crop(vox_to_unit(index[:, ::-1], volume.shape), crop.size_px))
    return Voxels(np.asarray(points), values)
