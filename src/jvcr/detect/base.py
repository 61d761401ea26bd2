"""The protocol of a detector, and removing overlapping boxes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from jvcr.frames import Box
from jvcr.images import Image


class Detector(Protocol):
    """Proposes faces. A plain function will do.

    The boxes are *landmark boxes*: tight around the 68 landmarks (brows to chin, jaw to jaw), in image pixels, not
    the whole head. They may be rough, overlap and be wrong: the landmark network re-crops around its own first
    prediction, drops what it does not believe, and merges what overlaps. Called from several threads at once.
    """

    def __call__(self, image: Image) -> Sequence[Box]:
        """(H, W, 3) uint8 RGB → boxes, in any order; none where there is no face."""
        ...


def merge_overlapping(boxes: Sequence[Box], scores: Sequence[float], limit: float) -> list[int]:
    """Non-maximum suppression: indices of the boxes to keep, best score first.

    A box goes when it overlaps a better one by more than ``limit`` (intersection over union).
    """
    kept: list[int] = []
    for index in sorted(range(len(boxes)), key=lambda i: -scores[i]):
        if all(boxes[index].overlap(boxes[other]) <= limit for other in kept):
            kept.append(index)
    return kept
