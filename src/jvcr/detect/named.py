"""The detectors that have a name on the command line."""

from __future__ import annotations

from enum import StrEnum

from jvcr.detect.base import Detector
from jvcr.detect.network import DETECT_SIZE, NetworkDetector
from jvcr.detect.whole import whole_image


class DetectorName(StrEnum):
    """``own``: the package's network. ``whole-image``: each image is a face crop. ``cascades``: OpenCV's.
    ``mediapipe``: of the package mediapipe, where installed."""

    OWN = "own"
    WHOLE_IMAGE = "whole-image"
    CASCADES = "cascades"
    MEDIAPIPE = "mediapipe"


def named_detector(name: DetectorName, size: int = DETECT_SIZE, threads: int = 0) -> Detector:
    """The detector of a name; size and threads are of the package's own.

    Raises:
        ImportError: its package is not installed.
    """
    if name is DetectorName.WHOLE_IMAGE:
        return whole_image
    if name is DetectorName.CASCADES:
        from jvcr.detect.cascade import CascadeDetector

        return CascadeDetector(work_px=size)
    if name is DetectorName.MEDIAPIPE:
        from jvcr.detect.mediapipe import MediaPipeDetector

        return MediaPipeDetector()
    return NetworkDetector(size=size, threads=threads)
