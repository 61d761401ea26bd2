"""Find out which results show the same face."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jvcr.detect.base import iou_matrix
from jvcr.frames import Box
from jvcr.markups.markup import Markup

SHARED_DISTANCE = 0.12
"""Two results share a feature if its centres are closer than this, relative to the mean size of the two faces.

On held-out photographs, the eyes of an upside-down false positive are at most 0.07 from those of the real face below
it. The closest features of two people, cheek to cheek, are 0.22 apart (docs/LOG.md).
"""

_FEATURES = (("eye",), ("nose",), ("mouth", "lips"))
"""Words in the names of a markup's groups. Both eyes are one kind, because an upside-down result swaps them."""


def distinct(
    points_img: Sequence[NDArray[Any]], boxes: Sequence[Box], scores: Sequence[float], markup: Markup, max_iou: float
) -> list[int]:
    """Non-maximum suppression of faces: indices of the results to keep, best score first.

    A result is dropped if the IoU of its box with that of a better result exceeds ``max_iou``, or if the two share an
    eye, the nose or the mouth.

    Args:
        points_img: landmarks of each result, (N, ≥ 2), image pixels.
        boxes: their bounding boxes.
    """
    if not boxes:
        return []
    table = np.array([box.to_list() for box in boxes], np.float64)
    size_px = np.sqrt((table[:, 2:] - table[:, :2]).prod(axis=1))
    same = iou_matrix(table, table) > max_iou
    reach_px = SHARED_DISTANCE * np.sqrt(size_px[:, None] * size_px[None])
    for kind in _features(markup):
        # (faces, features of the kind, 2)
        centres = np.stack([[points[list(group), :2].mean(axis=0) for group in kind] for points in points_img])
        gaps = np.linalg.norm(centres[:, None, :, None] - centres[None, :, None], axis=-1)
        same |= gaps.min(axis=(2, 3)) < reach_px
    kept: list[int] = []
    for index in np.argsort(-np.asarray(scores, np.float64), kind="stable").tolist():
        if not same[index, kept].any():
            kept.append(index)
    return kept


def _features(markup: Markup) -> list[list[tuple[int, ...]]]:
    """For each kind of feature that the markup has, the landmarks of each feature of that kind."""
    eyes, nose, mouth = (
        [members for name, members in markup.groups.items() if any(word in name.split("_") for word in words)]
        for words in _FEATURES
    )
    # A nose or a mouth often has several groups, but it is one feature.
    joined = [[tuple(i for members in part for i in members)] for part in (nose, mouth) if part]
    return [*([eyes] if eyes else []), *joined]
