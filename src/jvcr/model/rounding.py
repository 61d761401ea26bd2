"""Weights in 16 bits: whole steps of each output channel's own size.

Half-precision floats keep 11 bits of every weight, whatever its size. Fixed steps keep up to 16 bits of the large ones,
which move the result most: the same bytes, about an eighth of the error.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_STEPS = np.iinfo(np.int16).max


def to_steps(weights: NDArray[Any]) -> tuple[NDArray[np.int16], NDArray[np.float32]]:
    """Round a kernel or matrix.

    Args:
        weights: (C, …) floats, output channels first.
    Returns:
        steps (C, …), and the size of a step (C, 1, …): a 32,767th of each channel's largest weight.
    Example: the channel (0.5, -1) has steps of 1/32767 and becomes (16384, -32767).
    """
    weights = np.asarray(weights, np.float32)
    largest = np.abs(weights).max(axis=tuple(range(1, weights.ndim)), keepdims=True)
    size = np.where(largest > 0, largest / _STEPS, 1).astype(np.float32)
    return np.rint(weights / size).clip(-_STEPS, _STEPS).astype(np.int16), size


def from_steps(steps: NDArray[np.int16], size: NDArray[np.float32]) -> NDArray[np.float32]:
    """What ``to_steps`` rounded: (C, …) float32."""
    return steps.astype(np.float32) * size
