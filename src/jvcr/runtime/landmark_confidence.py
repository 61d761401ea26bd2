"""What a prediction says about each of its landmarks: whether it is visible, and how far it is likely off.

A network with one hidden layer computes both from the landmark network's own output: the predicted shape, the volume at
the landmarks, and the position in the crop. Its weights are part of the landmark network's header, because the
typical volume of a landmark depends on the training.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from jvcr.frames import diagonals

_FAINTEST = 1e-3
_LARGEST_LOGIT = 30.0
_LEAST_SIGMA, _MOST_SIGMA = 1e-3, 1.0
"""Limits of σ, in diagonals of the face."""

_MATRICES = ("scale", "first", "second")
"""Stored arrays: mean and factor of the inputs, and the two layers with their biases in the last column."""


class Trust(NamedTuple):
    """visibility (N,) float32, 0…1; sigma (N,) float32, standard deviation of x and of y in diagonals of the landmark
    box."""

    visibility: NDArray[np.float32]
    sigma: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class LandmarkConfidence:
    """Weights of the network, fitted by ``recipes/calibrate_landmarks.py``.

    Attributes:
        scale: (2, F) mean of the inputs, and factor.
        first: (H, F + 1), second: (2N, H + 1): the layers; the last column is the bias.
    Raises:
        ValueError: shapes do not fit together, or a number is not finite.
    """

    scale: NDArray[np.float32]
    first: NDArray[np.float32]
    second: NDArray[np.float32]

    def __post_init__(self) -> None:
        shapes = tuple(getattr(self, name).shape for name in _MATRICES)
        if any(len(shape) != 2 for shape in shapes):
            raise ValueError(f"the network for landmarks has arrays of shapes {shapes}; expected three matrices")
        (rows, inputs), (hidden, columns), (outputs, last) = shapes
        expected = inputs == input_size(outputs // 2) and columns == inputs + 1 and last == hidden + 1
        if rows != 2 or outputs % 2 or not expected:
            raise ValueError(f"the network for landmarks has matrices of shapes {shapes}, which do not fit together")
        if not all(np.isfinite(getattr(self, name)).all() for name in _MATRICES):
            raise ValueError("the network for landmarks has a number that is not finite")

    @property
    def n_points(self) -> int:
        """Number of landmarks."""
        return len(self.second) // 2

    def __call__(self, points_unit: NDArray[np.float32], heights: NDArray[np.float32]) -> Trust:
        """Visibility and σ of one face's landmarks.

        Args:
            points_unit: (N, 3) in the unit frame of the crop.
            heights: (N,) the volume at the landmarks.
        """
        x = (inputs_of(points_unit[None], heights[None])[0] - self.scale[0]) * self.scale[1]
        hidden = np.maximum(self.first[:, :-1] @ x + self.first[:, -1], 0)
        out = self.second[:, :-1] @ hidden + self.second[:, -1]
        logit, log_sigma = out[: self.n_points], out[self.n_points :]
        visibility = 1 / (1 + np.exp(-logit.clip(-_LARGEST_LOGIT, _LARGEST_LOGIT)))
        sigma = np.exp(log_sigma.clip(np.log(_LEAST_SIGMA), np.log(_MOST_SIGMA)))
        return Trust(visibility.astype(np.float32), sigma.astype(np.float32))

    def to_dict(self) -> dict[str, str]:
        """A JSON-serialisable dictionary; ``from_dict`` is the inverse, up to 16-bit rounding."""
        return {name: _packed(getattr(self, name)) for name in _MATRICES}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> LandmarkConfidence:
        """Inverse of ``to_dict``.

        Raises:
            ValueError: a matrix is missing or damaged.
        """
        try:
            return cls(*(_unpacked(values[name]) for name in _MATRICES))
        except (KeyError, TypeError, AttributeError, binascii.Error) as error:
            raise ValueError(f"a matrix of the network for landmarks is missing or damaged ({error!r})") from None


def input_size(n_points: int) -> int:
    """Number of inputs: the shape, the heights, and three numbers of the whole face."""
    return 4 * n_points + 3


def inputs_of(points_unit: NDArray[np.floating], heights: NDArray[np.floating]) -> NDArray[np.float32]:
    """(B, F) inputs: the shape in diagonals of its box around its centre, the logarithms of the heights and of the
    size, and the position in the crop.

    Args:
        points_unit: (B, N, 3). heights: (B, N).
    """
    points = np.asarray(points_unit, np.float64)
    diagonal, centre = diagonals(points), (points[..., :2].min(axis=1) + points[..., :2].max(axis=1)) / 2
    middle = np.concatenate([centre, points[..., 2].mean(axis=1, keepdims=True)], axis=1)
    shape = (points - middle[:, None]) / diagonal[:, None, None]
    return np.concatenate(
        [
            shape.reshape(len(points), -1),
            np.log(np.maximum(heights, _FAINTEST)),
            np.log(diagonal)[:, None],
            centre,
        ],
        axis=1,
    ).astype(np.float32)


def _packed(matrix: NDArray[np.float32]) -> str:
    """Rows × columns and the numbers in 16-bit floats, as text."""
    rows, columns = matrix.shape
    return f"{rows}x{columns}:{base64.b64encode(matrix.astype('<f2').tobytes()).decode()}"


def _unpacked(text: str) -> NDArray[np.float32]:
    size, _, numbers = text.partition(":")
    rows, _, columns = size.partition("x")
    if not (rows.isdecimal() and columns.isdecimal() and len(rows) < 6 and len(columns) < 6):
        raise ValueError(f"a matrix of the network for landmarks has the size {size[:20]!r}; expected ROWSxCOLUMNS")
    stored = np.frombuffer(base64.b64decode(numbers, validate=True), "<f2")
    if stored.size != int(rows) * int(columns):
        raise ValueError(f"a matrix of the network for landmarks has {stored.size} numbers; expected {size}")
    return stored.reshape(int(rows), int(columns)).astype(np.float32)
