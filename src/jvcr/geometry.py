"""Rigid geometry on landmarks: similarity alignment and head pose. Points are (N, 3), x right, y down, z away."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources

import numpy as np
from numpy.typing import NDArray

from jvcr.frames import Points
from jvcr.markups.markup import MARKUP_68, Markup


@dataclass(frozen=True, eq=False)
class Similarity:
    """``y ≈ scale · rotation @ x + translation``."""

    scale: float
    rotation: NDArray[np.float64]
    translation: NDArray[np.float64]

    def apply(self, points: Points) -> NDArray[np.float64]:
        """(N, 3) → (N, 3)."""
        return self.scale * points @ self.rotation.T + self.translation


def align(source: Points, target: Points) -> Similarity:
    """The similarity that minimises Σ‖target_n − (s R source_n + t)‖² (Umeyama 1991), never a reflection.

    Args:
        source, target: (N, 3), N ≥ 3.
    Raises:
        ValueError: shapes differ, or all source points coincide.
    Example: ``align(x, 2 * x)`` has scale 2, rotation I, translation 0.
    """
    if source.shape != target.shape or source.ndim != 2 or source.shape[1] != 3:
        raise ValueError(f"expected two (N, 3) arrays, got {source.shape} and {target.shape}")
    x = np.asarray(source, np.float64)
    y = np.asarray(target, np.float64)
    x_mean, y_mean = x.mean(axis=0), y.mean(axis=0)
    x, y = x - x_mean, y - y_mean
    spread = float((x**2).sum())
    if spread <= 1e-20 * float((np.asarray(source, np.float64) ** 2).sum()):
        raise ValueError("all source points coincide: nothing to align")
    u, singular, vt = np.linalg.svd(y.T @ x)
    sign = np.array([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
    rotation = (u * sign) @ vt
    scale = float((singular * sign).sum()) / spread
    return Similarity(scale, rotation, y_mean - scale * rotation @ x_mean)


@dataclass(frozen=True, eq=False)
class HeadPose:
    """Rotation of the head relative to one that looks straight into the camera.

    Attributes:
        rotation: (3, 3), canonical head → camera, both x right, y down, z away from the camera.
        yaw_deg: positive when the person turns to *their left* (the nose moves to the right of the image).
        pitch_deg: positive when the person looks up.
        roll_deg: positive when the head is tilted clockwise as seen in the image.

    ``rotation = Rz(roll) @ Ry(-yaw) @ Rx(-pitch)``, each a right-handed turn about the camera's axis of that name
    (applied in the order pitch, yaw, roll). Unique for |yaw| < 90°.
    """

    rotation: NDArray[np.float64]
    yaw_deg: float
    pitch_deg: float
    roll_deg: float

    @classmethod
    def from_rotation(cls, rotation: NDArray[np.float64]) -> HeadPose:
        """The angles of a rotation (3, 3), canonical head → camera."""
        # R = Rz(r) Ry(b) Rx(a): R[2,0] = -sin b, R[2,1] = cos b sin a, R[2,2] = cos b cos a.
        yaw = np.degrees(np.arcsin(np.clip(rotation[2, 0], -1.0, 1.0)))
        pitch = -np.degrees(np.arctan2(rotation[2, 1], rotation[2, 2]))
        roll = np.degrees(np.arctan2(rotation[1, 0], rotation[0, 0]))
        return cls(rotation, float(yaw), float(pitch), float(roll))

    @property
    def tilt_deg(self) -> float:
        """How far the head's own upward direction is turned clockwise in the image. Also defined in profile, where
        ``roll_deg`` is not: there it trades against pitch."""
        return float(np.degrees(np.arctan2(-self.rotation[0, 1], self.rotation[1, 1])))

    def to_dict(self) -> dict[str, object]:
        """JSON-able: the rotation as nested lists, and the angles in degrees."""
        return {
            "rotation": self.rotation.tolist(),
            "yaw_deg": self.yaw_deg,
            "pitch_deg": self.pitch_deg,
            "roll_deg": self.roll_deg,
        }


def rotation_from_angles(yaw_deg: float, pitch_deg: float, roll_deg: float) -> NDArray[np.float64]:
    """(3, 3) rotation of ``HeadPose``'s angles. Inverse of ``HeadPose.from_rotation`` for |yaw| < 90°."""
    b, a, r = np.radians([-yaw_deg, -pitch_deg, roll_deg])
    rz = np.array([[np.cos(r), -np.sin(r), 0], [np.sin(r), np.cos(r), 0], [0, 0, 1]])
    ry = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    rx = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    return rz @ ry @ rx


@cache
def mean_shape_68() -> NDArray[np.float64]:
    """(68, 3) mean head that looks straight into the camera, symmetric, zero mean, outer eye distance 1.

    Procrustes mean of the training labels; its pitch is that of the average near-frontal photo
    (``recipes/mean_shape.py``).
    """
    with resources.files("jvcr.weights").joinpath("mean_shape_68.csv").open(encoding="utf-8") as file:
        return np.loadtxt(file, delimiter=",")


_FLAT = 0.05
"""Landmarks lie on a line if their extent in the second direction is under this share of the longest one."""


def mean_head(markup: Markup) -> NDArray[np.float64] | None:
    """(N, 3) landmarks of the mean head in a markup: the 68 points, or any markup that is derived from them.

    None if the markup is not derived from them, or if its landmarks lie on a line: rotation about that line is not
    observable.
    """
    if (markup.name, markup.n_points) == (MARKUP_68.name, MARKUP_68.n_points):
        return mean_shape_68()
    if MARKUP_68.name not in markup.derivations:
        return None
    head = markup.derivations[MARKUP_68.name].apply(mean_shape_68())
    spread = np.linalg.svd(head - head.mean(axis=0), compute_uv=False)
    return head if len(head) >= 3 and spread[1] > _FLAT * spread[0] else None


def head_pose(landmarks: Points, markup: Markup = MARKUP_68) -> HeadPose:
    """Head pose of (N, 3) landmarks in image pixels, by aligning the mean head's with them.

    Raises:
        ValueError: the markup has no mean head (``mean_head``), or there is another number of landmarks.
    """
    head = mean_head(markup)
    if head is None:
        raise ValueError(
            f"markup {markup.name!r} has no head pose: it does not say how its points are made from the 68-point "
            f"markup {MARKUP_68.name!r}, or they lie on a line"
        )
    if landmarks.shape != head.shape:
        raise ValueError(f"head pose of markup {markup.name!r} needs {head.shape} landmarks; got {landmarks.shape}")
    return HeadPose.from_rotation(align(head, landmarks).rotation)


def far_side(landmarks: Points, markup: Markup = MARKUP_68) -> NDArray[np.bool_]:
    """(N, 3) landmarks → (N,) whether each is on the half of the face that is turned away: clearly behind its mirror
    partner."""
    first, second = markup.normaliser
    eyes = float(np.linalg.norm(landmarks[first] - landmarks[second]))
    return np.asarray(landmarks[:, 2] - landmarks[list(markup.mirror), 2] > 0.45 * eyes)
