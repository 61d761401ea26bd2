"""What a prediction is."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jvcr.frames import Box, Crop
from jvcr.geometry import HeadPose, head_pose
from jvcr.markup import MARKUP_68, Markup


@dataclass(frozen=True, eq=False)
class Face:
    """One face in one image.

    Attributes:
        landmarks: (N, 3) float32 image pixels, integer = pixel centre: x right, y down, z *away* from the camera
            in the same pixel unit, mean of z = 0.
        box: landmark box, image pixels: the given one, or for a face that was found, the box around ``landmarks``.
        score: 0…1, how strongly the predicted volume speaks for the predicted points: 0.42 to 0.53 on most faces (never
            1: a perfect volume scores 0.8), under 0.4 hardly a face. Not a probability.
        volume: (D, H, W) float32, the predicted compact volume, about 0…1 with a peak at each landmark; None after
            ``from_dict``.
        crop: where in the image the volume lies, in depth too: ``crop.to_crop(landmarks)`` are its coordinates
            (``jvcr.frames``); None after ``from_dict``.
        markup: names the landmarks.

    Raises:
        ValueError: shapes do not fit, or a coordinate is not finite.
    """

    landmarks: NDArray[np.float32]
    box: Box
    score: float
    volume: NDArray[np.float32] | None = field(default=None, repr=False)
    crop: Crop | None = field(default=None, repr=False)
    markup: Markup = field(default=MARKUP_68, repr=False)

    def __post_init__(self) -> None:
        if self.landmarks.shape != (self.markup.n_points, 3):
            raise ValueError(
                f"landmarks have shape {self.landmarks.shape}; markup {self.markup.name!r} expects "
                f"({self.markup.n_points}, 3)"
            )
        if not np.isfinite(self.landmarks).all():
            raise ValueError("a landmark is not finite")

    @cached_property
    def pose(self) -> HeadPose:
        """Head pose: ``rotation`` (3, 3) first, then yaw, pitch and roll in degrees (``jvcr.geometry.HeadPose``).

        Raises:
            ValueError: another markup than the 68 points.
        """
        return head_pose(self.landmarks)

    def to_dict(self) -> dict[str, Any]:
        """Plain lists and numbers, as in the command line's JSON. The volume is left out."""
        values = {
            "box": [round(v, 3) for v in self.box.to_list()],
            "score": round(self.score, 4),
            "landmarks": np.round(self.landmarks.astype(np.float64), 3).tolist(),
        }
        if self.markup.n_points == 68:
            values["pose"] = self.pose.to_dict()
        return values

    @classmethod
    def from_dict(cls, values: dict[str, Any], markup: Markup = MARKUP_68) -> Face:
        """Inverse of ``to_dict``, to a thousandth of a pixel; the volume is lost."""
        return cls(
            landmarks=np.asarray(values["landmarks"], np.float32),
            box=Box(*values["box"]),
            score=float(values["score"]),
            markup=markup,
        )
