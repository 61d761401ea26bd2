"""A detector for images that are face crops."""

from __future__ import annotations

from jvcr.detect.base import Proposal
from jvcr.frames import CROP_RULE, Box, middle_of
from jvcr.images import Image


def whole_image(image: Image) -> list[Proposal]:
    """Propose two boxes: one whose crop is the whole image, and one that fills the image. The landmark network decides.
    Images under 16 pixels give no proposal."""
    height, width = image.shape[:2]
    x, y, side = middle_of(width), middle_of(height), min(width, height)
    halves = [side / CROP_RULE.factor / 2, side / 2.4] if side >= 16 else []
    return [Proposal(Box(x - half, y - half, x + half, y + half)) for half in halves]
