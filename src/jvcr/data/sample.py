"""One labelled face, whatever data set it comes from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jvcr.frames import Box
from jvcr.images import Image


@dataclass(frozen=True, eq=False)
class Sample:
    """A photo (or a stored crop of one) with its true landmarks.

    Attributes:
        name: unique within its data set.
        image: (H, W, 3) uint8 RGB.
        points_img: (N, 3) float32 pixels of ``image``, x right, y down, z *away* from the camera, z mean 0.
        weight: 0…1, how far to trust the label.
        yaw_deg: of the label, signed as in ``geometry.HeadPose``; NaN where unknown.
    """

    name: str
    image: Image
    points_img: NDArray[np.float32]
    weight: float = 1.0
    yaw_deg: float = float("nan")

    @property
    def box(self) -> Box:
        return Box.around(self.points_img)
