"""stand-in"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from jvcr.images import Image
from jvcr.markup import Markup


def stage_row(
    crop: Image, points_crop: NDArray[np.float32], volumes: Sequence[NDArray[np.float32]], markup: Markup
) -> Image:
    tiles = [crop]
    for v in volumes:
        flat = np.clip(255 * v.max(axis=0), 0, 255).astype(np.uint8)
        tiles.append(cv2.cvtColor(cv2.resize(flat, crop.shape[:2][::-1]), cv2.COLOR_GRAY2RGB))
    return np.concatenate(tiles, axis=1)
