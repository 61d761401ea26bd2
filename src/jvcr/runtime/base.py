"""What every backend offers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from jvcr.frames import CropRule
from jvcr.images import Image
from jvcr.markups.markup import Markup


class Prediction(NamedTuple):
    """volume (B, D, H, W) float32: the compact volume. points_unit (B, N, 3) float32, x, y, z in the unit frame."""

    volume: NDArray[np.float32]
    points_unit: NDArray[np.float32]


class Runtime(Protocol):
    """A loaded network.

    Attributes:
        image_size: side of the crops it takes, pixels.
        markup: of the points it gives.
        crop_rule: size of the crops it was trained on.
    """

    image_size: int
    markup: Markup
    crop_rule: CropRule

    def __call__(self, crops: Image) -> Prediction:
        """(B, S, S, 3) uint8 RGB, B ≥ 1 → prediction. Row b depends on crop b only. May be called from any thread."""
        ...


def described(path: Path, header: str | None) -> tuple[int, Markup, CropRule]:
    """Crop size, markup and crop rule from what an exported file says of itself.

    Raises:
        ValueError: it says nothing.
    """
    if header is None:
        raise ValueError(f"{path}: no 'jvcr' entry in its metadata; expected a file written by `jvcr export`")
    values = json.loads(header)
    rule = CropRule(**values["config"].get("crop", {}))
    return values["config"]["image_size"], Markup.from_dict(values["markup"]), rule


def check_crops(crops: Image, image_size: int) -> None:
    """Raise ValueError unless crops are (B, S, S, 3) uint8."""
    expected = (image_size, image_size, 3)
    if crops.dtype != np.uint8 or crops.shape[1:] != expected:
        raise ValueError(f"expected (B, {', '.join(map(str, expected))}) uint8, got {crops.shape} {crops.dtype}")
