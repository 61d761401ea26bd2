"""Jitter and lag of a tracker, measured on synthetic clips with known motion."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from jvcr.frames import Box
from jvcr.images import Image

_SURROUNDINGS = 2.2
"""Diameter of the disc that is cut from the photo around the face, in units of the box's longer side."""


class Placement(NamedTuple):
    """A face's position in a frame: centre and longer side of its box in pixels, clockwise rotation, and brightness."""

    x: float
    y: float
    size_px: float
    roll_deg: float = 0.0
    light: float = 1.0


Path = Callable[[float], Placement | None]
"""Time in seconds → placement; None while the face is not in the frame."""


@dataclass(frozen=True)
class MovingFaces:
    """A synthetic clip: the face of one photo moves along each path, on grey, with sensor noise.

    Faces on later paths cover those on earlier ones.

    Attributes:
        photo: (H, W, 3) uint8 RGB.
        points: (N, 3) landmarks of its face, pixels; they define the ground truth.
        paths: one per face.
        size: width and height of the frames.
        noise: standard deviation, in grey levels (0…255).
    """

    photo: Image
    points: NDArray[np.float32]
    paths: Sequence[Path]
    size: tuple[int, int] = (1280, 720)
    noise: float = 3.0

    def frame(self, time_s: float) -> Image:
        """(H, W, 3) uint8 RGB. The same time gives the same frame."""
        width, height = self.size
        canvas = np.full((height, width, 3), 96, np.float32)
        for path in self.paths:
            placement = path(time_s)
            if placement is not None:
                self._paste(canvas, placement)
        chance = np.random.default_rng(round(1000 * time_s))
        canvas += self.noise * chance.standard_normal((height, width, 1), np.float32)
        return np.asarray(canvas.round().clip(0, 255), np.uint8)

    def truth(self, time_s: float) -> list[NDArray[np.float32] | None]:
        """(N, 3) true landmarks of each face, frame pixels; None for a face that is not in the frame."""
        placements = [path(time_s) for path in self.paths]
        return [None if placement is None else self._placed(placement) for placement in placements]

    def _matrix(self, placement: Placement) -> NDArray[np.float64]:
        box = Box.around(self.points)
        scale = placement.size_px / max(box.width, box.height)
        # OpenCV's angles are counterclockwise.
        matrix = cv2.getRotationMatrix2D(box.centre, -placement.roll_deg, scale)
        matrix[:, 2] += np.subtract((placement.x, placement.y), box.centre)
        return np.asarray(matrix, np.float64)

    def _placed(self, placement: Placement) -> NDArray[np.float32]:
        matrix = self._matrix(placement)
        scale = float(np.hypot(matrix[0, 0], matrix[0, 1]))
        flat = self.points[:, :2] @ matrix[:, :2].T + matrix[:, 2]
        return np.column_stack([flat, scale * self.points[:, 2]]).astype(np.float32)

    def _paste(self, canvas: NDArray[np.float32], placement: Placement) -> None:
        matrix, size = self._matrix(placement), (canvas.shape[1], canvas.shape[0])
        box = Box.around(self.points)
        half = _SURROUNDINGS / 2 * max(box.width, box.height)
        mask = np.zeros(self.photo.shape[:2], np.float32)
        (x, y), radius = box.centre, round(half)
        cv2.circle(mask, (round(x), round(y)), radius, 1.0, -1)
        shown = cv2.warpAffine(self.photo, matrix, size, flags=cv2.INTER_AREA).astype(np.float32) * placement.light
        weight = cv2.warpAffine(mask, matrix, size, flags=cv2.INTER_LINEAR)[:, :, None]
        canvas[:] = weight * shown + (1 - weight) * canvas


def jitter(points: NDArray[np.floating]) -> float:
    """Mean 3D motion between frames of (T, N, 3) landmarks of a still face, over the longer side of its box."""
    box = Box.around(points[0])
    motion = np.linalg.norm(np.diff(points, axis=0), axis=2)
    return float(motion.mean() / max(box.width, box.height))


def lag_s(found: NDArray[np.floating], true: NDArray[np.floating], times_s: NDArray[np.floating]) -> float:
    """Lag of (T, N, ≥2) landmarks behind the ground truth, in seconds: the delay that best aligns the two centre paths.

    The true face should move back and forth.
    """
    paths = [points[..., :2].mean(axis=1) - points[..., :2].mean(axis=(0, 1)) for points in (found, true)]
    step = float(np.median(np.diff(times_s)))
    delays = np.arange(-2 * step, 0.5, step / 20)
    # Use only times at which the truth is known for every delay.
    inside = (times_s >= times_s[0] + 0.5) & (times_s <= times_s[-1] - 2 * step)
    errors = []
    for delay in delays:
        late = np.column_stack([np.interp(times_s[inside] - delay, times_s, paths[1][:, axis]) for axis in (0, 1)])
        gap = paths[0][inside] - late
        errors.append(float(((gap - gap.mean(axis=0)) ** 2).sum()))
    return float(delays[int(np.argmin(errors))])


def identities_of(boxes: Sequence[Box | None], found: Sequence[tuple[int, Box]]) -> list[int | None]:
    """The identity with the highest IoU on each true box, if that is at least 0.4; else None."""
    named: list[int | None] = []
    for box in boxes:
        near = [] if box is None else [(box.iou(other), identity) for identity, other in found]
        best = max(near, default=(0.0, 0))
        named.append(best[1] if best[0] >= 0.4 else None)
    return named


def identity_switches(identities: Sequence[Sequence[int | None]]) -> int:
    """How often a face's identity differs from its previous one.

    ``identities[t][k]`` is the identity of face k in frame t; None if it was not found.
    """
    switches = 0
    for face in zip(*identities, strict=True):
        seen = [identity for identity in face if identity is not None]
        switches += sum(before != now for before, now in pairwise(seen))
    return switches
