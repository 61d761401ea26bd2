"""Rigid geometry on landmarks: similarity alignment and head pose. Points are (N, 3), x right, y down, z away."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Literal, NamedTuple, get_args

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


Order = Literal["yxz", "zyx", "xyz"]
"""The order in which a head's rotation is split into angles: the axes of the product's factors, from left to right.

``"yxz"``, yaw first, is the package's: ``Ry(-yaw) @ Rx(-pitch) @ Rz(roll)``. ``"zyx"`` was that of earlier versions,
and tables and benchmarks are binned by its yaw: ``Rz(roll) @ Ry(-yaw) @ Rx(-pitch)``. ``"xyz"`` is that of
AFLW2000-3D's ``Pose_Para``, whose yaw has the opposite sign: ``Rx(-pitch) @ Ry(-yaw) @ Rz(roll)``.
"""

ORDERS: tuple[Order, ...] = get_args(Order)


class Angles(NamedTuple):
    """Yaw, pitch and roll in degrees, signed as in ``HeadPose``."""

    yaw_deg: float
    pitch_deg: float
    roll_deg: float


@dataclass(frozen=True, eq=False)
class HeadPose:
    """Rotation of the head relative to one that looks straight into the camera.

    Attributes:
        rotation: (3, 3), canonical head → camera, both x right, y down, z away from the camera.
        yaw_deg: -180…180, where the face points in the camera's horizontal plane. Positive when the person turns to
            *their left* (the nose moves to the right of the image); 90 in profile, 180 seen from behind.
        pitch_deg: -90…90, how far the face points above that plane. Positive when the person looks up. 0 when the line
            from the outer eye corner to the ear (landmarks 36 and 0) is level, on a mean head.
        roll_deg: -180…180, rotation about the axis on which the face points. Positive when the head is tilted
            clockwise as seen in the image of a frontal face.

    ``rotation = Ry(-yaw) @ Rx(-pitch) @ Rz(roll)``, each a right-handed turn about the camera's axis of that name.
    Unique for |pitch| < 90°. ``angles`` gives those of other orders.
    """

    rotation: NDArray[np.float64]
    yaw_deg: float
    pitch_deg: float
    roll_deg: float

    @classmethod
    def from_rotation(cls, rotation: NDArray[np.float64], order: Order = "yxz") -> HeadPose:
        """The angles of a rotation (3, 3), canonical head → camera.

        Raises:
            ValueError: an unknown order.
        """
        return cls(rotation, *_angles(rotation, order))

    def angles(self, order: Order = "yxz") -> Angles:
        """Yaw, pitch and roll in another order, for example the yaw that tables and benchmarks are binned by.

        Raises:
            ValueError: an unknown order.
        Example: a head turned by 120° has a yaw of 120, and ``angles("zyx")`` are 60, -180, 180.
        """
        return Angles(*_angles(self.rotation, order))

    @property
    def tilt_deg(self) -> float:
        """How far the head's own upward direction is turned clockwise in the image. ``roll_deg`` is instead measured
        about the axis on which the face points."""
        return _tilt_deg(self.rotation)

    def to_dict(self) -> dict[str, object]:
        """JSON-able: the rotation as nested lists, and the angles in degrees."""
        return {
            "rotation": self.rotation.tolist(),
            "yaw_deg": self.yaw_deg,
            "pitch_deg": self.pitch_deg,
            "roll_deg": self.roll_deg,
        }


def _angles(rotation: NDArray[np.float64], order: Order) -> tuple[float, float, float]:
    """Yaw, pitch and roll in degrees; the formulas are the entries of the product that ``order`` names."""
    r = rotation
    if order == "yxz":
        yaw, sine, roll = np.arctan2(-r[0, 2], r[2, 2]), r[1, 2], np.arctan2(r[1, 0], r[1, 1])
        pitch = np.arcsin(np.clip(sine, -1.0, 1.0))
    elif order == "zyx":
        yaw = np.arcsin(np.clip(r[2, 0], -1.0, 1.0))
        pitch, roll = -np.arctan2(r[2, 1], r[2, 2]), np.arctan2(r[1, 0], r[0, 0])
    elif order == "xyz":
        yaw = -np.arcsin(np.clip(r[0, 2], -1.0, 1.0))
        pitch, roll = np.arctan2(r[1, 2], r[2, 2]), np.arctan2(-r[0, 1], r[0, 0])
    else:
        raise ValueError(f"order {order!r}: expected one of {', '.join(ORDERS)}")
    return float(np.degrees(yaw)), float(np.degrees(pitch)), float(np.degrees(roll))


def rotation_from_angles(
    yaw_deg: float, pitch_deg: float, roll_deg: float, order: Order = "yxz"
) -> NDArray[np.float64]:
    """(3, 3) rotation of ``HeadPose``'s angles. Inverse of ``HeadPose.from_rotation`` for |pitch| < 90°; in the other
    orders for |yaw| < 90°.

    Raises:
        ValueError: an unknown order.
    """
    if order not in ORDERS:
        raise ValueError(f"order {order!r}: expected one of {', '.join(ORDERS)}")
    b, a, r = np.radians([-yaw_deg, -pitch_deg, roll_deg])
    about = {
        "z": np.array([[np.cos(r), -np.sin(r), 0], [np.sin(r), np.cos(r), 0], [0, 0, 1]]),
        "y": np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]]),
        "x": np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]]),
    }
    first, second, third = order
    return about[first] @ about[second] @ about[third]


@cache
def _mean_of_photos() -> NDArray[np.float64]:
    """(68, 3) the Procrustes mean of the training labels, with the pitch of the median near-frontal training photo
    (``recipes/mean_shape.py``)."""
    with resources.files("jvcr.weights").joinpath("mean_shape_68.csv").open(encoding="utf-8") as file:
        return np.loadtxt(file, delimiter=",")


@cache
def levelled() -> NDArray[np.float64]:
    """(3, 3) the turn of the stored mean head (pitch of the median training photo) that makes its eye–ear line level.

    The line goes from the outer eye corner (landmark 36) to where the jaw begins at the ear (0). The turn is 0.66°
    (``docs/decisions/0019-yaw-first.md``).
    """
    ear, eye = _mean_of_photos()[[0, 36]]
    angle = np.arctan2(ear[1] - eye[1], ear[2] - eye[2])
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[1, 0, 0], [0, c, -s], [0, s, c]])


@cache
def mean_shape_68() -> NDArray[np.float64]:
    """(68, 3) mean head that looks straight into the camera, symmetric, zero mean, outer eye distance 1.

    Procrustes mean of the training labels (``recipes/mean_shape.py``), turned until its eye–ear line is level.
    """
    return _mean_of_photos() @ levelled().T


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
    return HeadPose.from_rotation(_head_rotation(landmarks, markup))


def _head_rotation(landmarks: Points, markup: Markup) -> NDArray[np.float64]:
    """(3, 3), canonical head → camera."""
    head = mean_head(markup)
    if head is None:
        raise ValueError(
            f"markup {markup.name!r} has no head pose: it does not say how its points are made from the 68-point "
            f"markup {MARKUP_68.name!r}, or they lie on a line"
        )
    if landmarks.shape != head.shape:
        raise ValueError(f"head pose of markup {markup.name!r} needs {head.shape} landmarks; got {landmarks.shape}")
    return align(head, landmarks).rotation


def far_side(landmarks: Points, markup: Markup = MARKUP_68) -> NDArray[np.bool_]:
    """(N, 3) landmarks → (N,) whether each is on the half of the face that is turned away: clearly behind its mirror
    partner."""
    first, second = markup.normaliser
    eyes = float(np.linalg.norm(landmarks[first] - landmarks[second]))
    return np.asarray(landmarks[:, 2] - landmarks[list(markup.mirror), 2] > 0.45 * eyes)


def crop_tilt_deg(landmarks: Points, markup: Markup = MARKUP_68) -> float:
    """How far a head is tilted clockwise in the image; crops are rotated by it.

    ``HeadPose.tilt_deg`` of a head whose pitch is 0 in the median training photo, not where the eye–ear line is level:
    the networks were trained on crops that are upright in that sense. The two differ by at most 0.7°, in profile.

    Raises:
        ValueError: as ``head_pose``.
    """
    return _tilt_deg(_head_rotation(landmarks, markup) @ levelled())


def _tilt_deg(rotation: NDArray[np.float64]) -> float:
    return math.degrees(math.atan2(-rotation[0, 1], rotation[1, 1]))
