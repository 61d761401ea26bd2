"""The detectors that the command line knows by name."""

from __future__ import annotations

from enum import StrEnum

from jvcr.detect.base import Detector
from jvcr.detect.network import DETECT_SIZE, NetworkDetector
from jvcr.detect.whole import whole_image


class DetectorName(StrEnum):
    """``own``: the package's network. ``whole-image``: each image is a face crop."""

    OWN = "own"
    WHOLE_IMAGE = "whole-image"


def named_detector(name: DetectorName, size: int = DETECT_SIZE, threads: int = 0) -> Detector:
    """Create a detector by name. ``size`` and ``threads`` apply to the package's own detector only."""
    return whole_image if name is DetectorName.WHOLE_IMAGE else NetworkDetector(size=size, threads=threads)
