"""OpenCV's Haar cascades (Viola-Jones) as proposals: frontal, profile, and mirrored profile.

They miss faces that are turned upside down or sideways, small, dark or half covered, and many profiles; and they
invent faces, which the landmark network then throws out. They are loose on purpose: a wrong proposal costs one crop.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path

import cv2
import cv2.data
import numpy as np

from jvcr.frames import Box
from jvcr.images import Image


@dataclass(frozen=True)
class _Cascade:
    """One cascade, and where the landmark box lies in its square: centre and size in sides of the square."""

    file: str
    mirrored: bool
    centre: tuple[float, float]
    size: tuple[float, float]


# Medians over the faces of the detection table's training photographs (`recipes/cascade_boxes.py`).
_CASCADES = (
    _Cascade("haarcascade_frontalface_alt2.xml", False, (0.50, 0.64), (0.88, 0.85)),
    _Cascade("haarcascade_profileface.xml", False, (0.40, 0.66), (0.80, 0.77)),
    _Cascade("haarcascade_profileface.xml", True, (0.60, 0.66), (0.80, 0.77)),
)


_SCALE_STEP = 1.2
"""Between the sizes that are searched; with 1.1 it takes twice as long and finds hardly more."""


class CascadeDetector:
    """Proposes landmark boxes from the cascades that OpenCV ships.

    Args:
        work_px: photos are reduced to this on their longer side for the search.
        smallest_px: smallest cascade square, in pixels of the reduced photo.
        neighbours: how many overlapping hits make a proposal; fewer finds more faces and more nonsense.
    """

    def __init__(self, work_px: int = 640, smallest_px: int = 24, neighbours: int = 1) -> None:
        folder = Path(cv2.data.haarcascades)
        self._cascades = [(c, cv2.CascadeClassifier(str(folder / c.file))) for c in _CASCADES]
        self._work_px, self._smallest_px, self._neighbours = work_px, smallest_px, neighbours
        broken = [c.file for c, classifier in self._cascades if classifier.empty()]
        if broken:
            raise RuntimeError(f"{folder}: OpenCV cannot load {broken[0]}; give a detector of your own, or boxes")
        # OpenCV's classifiers keep state during a search.
        self._lock = threading.Lock()

    def __call__(self, image: Image) -> list[Box]:
        height, width = image.shape[:2]
        scale = min(1.0, self._work_px / max(height, width))
        size = (round(width * scale), round(height * scale))
        if min(size) < self._smallest_px:
            return []
        grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        if scale < 1:
            grey = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
        grey = cv2.equalizeHist(grey)
        boxes: list[Box] = []
        with self._lock:
            for cascade, classifier in self._cascades:
                searched = np.ascontiguousarray(grey[:, ::-1]) if cascade.mirrored else grey
                hits = classifier.detectMultiScale(
                    searched, _SCALE_STEP, self._neighbours, minSize=(self._smallest_px, self._smallest_px)
                )
                for x, y, side, _ in np.asarray(hits).reshape(-1, 4).tolist():
                    left = grey.shape[1] - x - side if cascade.mirrored else x
                    boxes.append(_landmark_box(cascade, left / scale, y / scale, side / scale))
        return boxes


def _landmark_box(cascade: _Cascade, left: float, top: float, side: float) -> Box:
    x, y = left + cascade.centre[0] * side, top + cascade.centre[1] * side
    width, height = cascade.size[0] * side, cascade.size[1] * side
    return Box(x - width / 2, y - height / 2, x + width / 2, y + height / 2)
