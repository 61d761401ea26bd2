"""What every backend offers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol

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
        image_size: side of the crops it takes, pixels.
        markup: of the points it gives.
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


class Description(NamedTuple):
    """What an exported file says of itself, as of ``Runtime``."""

    image_size: int
    markup: Markup
    crop_rule: CropRule
    confidence: Confidence


def described(path: Path, header: str | None) -> Description:
    """What the header of an exported file says.

    Raises:
        ValueError: it says nothing.
    """
    if header is None:
        raise ValueError(f"{path}: no 'jvcr' entry in its metadata; expected a file written by `jvcr export`")
    values = json.loads(header)
    rule = CropRule(**values["config"].get("crop", {}))
    return Description(
        values["config"]["image_size"], Markup.from_dict(values["markup"]), rule, confidence_of(values.get("about", {}))
    )


def confidence_of(about: Mapping[str, Any]) -> Confidence:
    """The constants of the face score that weights carry in their header's ``about``; the defaults without any.

    Raises:
        ValueError: they are not as ``Confidence.to_dict`` gives them.
    """
    stored = about.get("confidence")
    return Confidence() if stored is None else Confidence.from_dict(stored)


def check_crops(crops: Image, image_size: int) -> None:
    """Raise ValueError unless crops are (B, S, S, 3) uint8."""
    expected = (image_size, image_size, 3)
    if crops.dtype != np.uint8 or crops.shape[1:] != expected:
        raise ValueError(f"expected (B, {', '.join(map(str, expected))}) uint8, got {crops.shape} {crops.dtype}")
