"""Quantisation of weights to 16-bit integers, with one step size per output channel.

Half-precision floats keep 11 significant bits of every weight. Integer steps keep up to 16 bits of the large weights,
which influence the output most. The file size is the same, and the error is about an eighth.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_STEPS = np.iinfo(np.int16).max


def to_steps(weights: NDArray[Any]) -> tuple[NDArray[np.int16], NDArray[np.float32]]:
    """Quantise a kernel or matrix.

    Args:
        weights: (C, …) floats, output channels first.
    Returns:
        steps (C, …), and the step size (C, 1, …): the largest absolute weight of each channel, divided by 32,767.
    Example: the channel (0.5, -1) has steps of 1/32767 and becomes (16384, -32767).
    """
    weights = np.asarray(weights, np.float32)
    largest = np.abs(weights).max(axis=tuple(range(1, weights.ndim)), keepdims=True)
    size = np.where(largest > 0, largest / _STEPS, 1).astype(np.float32)
    return np.rint(weights / size).clip(-_STEPS, _STEPS).astype(np.int16), size


def from_steps(steps: NDArray[np.int16], size: NDArray[np.float32]) -> NDArray[np.float32]:
    """Inverse of ``to_steps``, up to rounding: (C, …) float32."""
    return steps.astype(np.float32) * size
