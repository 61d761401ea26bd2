"""For images that are face crops already: the face is all there is."""

from __future__ import annotations

from jvcr.detect.base import Proposal
from jvcr.frames import CROP_RULE, Box, middle_of
from jvcr.images import Image


def whole_image(image: Image) -> list[Proposal]:
    """A detector: a face whose crop is about the whole image, and one that fills it; the landmark network's second
    look tells. None on images under 16 pixels."""
    height, width = image.shape[:2]
    x, y, side = middle_of(width), middle_of(height), min(width, height)
    halves = [side / CROP_RULE.factor / 2, side / 2.4] if side >= 16 else []
    return [Proposal(Box(x - half, y - half, x + half, y + half)) for half in halves]
