"""Head pose of predicted landmarks, compared with that of true landmarks and with AFLW2000-3D's ``Pose_Para``.

``Pose_Para`` (pitch, yaw, roll, radians) composes its rotations in another order than ``geometry.HeadPose``, about axes
that point up and towards the camera. In our axes (x right, y down, z away) it is

    rotation = Rx(−pitch) · Ry(yaw) · Rz(roll)

We found this by trying orders and signs on 999 images. With this formula, the rotation from the true landmarks differs
from ``Pose_Para`` by a constant rotation of the head's own axes (5.9° about x: zero pitch is defined differently). Once
that is removed, a median difference of 1.4° remains; with the other orders tried, 3.5° or more.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jvcr.geometry import HeadPose, Order, head_pose
from jvcr.metrics import angle_errors, rotation_errors

Rotations = NDArray[np.float64]

USUAL_LIMIT_DEG = 99.0
"""Published head-pose results exclude images with an angle of ``Pose_Para`` beyond ± this."""


def rotation_from_pose_para(pose_para: NDArray[np.floating]) -> Rotations:
    """(B, 3) pitch, yaw, roll in radians as in ``Pose_Para`` → (B, 3, 3) head → camera in our axes."""
    pitch, yaw, roll = np.asarray(pose_para, np.float64).T
    zero, one = np.zeros_like(pitch), np.ones_like(pitch)

    def matrices(*rows: NDArray[np.float64]) -> Rotations:
        return np.stack(rows, axis=-1).reshape(-1, 3, 3)

    c, s = np.cos(-pitch), np.sin(-pitch)
    about_x = matrices(one, zero, zero, zero, c, -s, zero, s, c)
    c, s = np.cos(yaw), np.sin(yaw)
    about_y = matrices(c, zero, s, zero, one, zero, -s, zero, c)
    c, s = np.cos(roll), np.sin(roll)
    about_z = matrices(c, -s, zero, s, c, zero, zero, zero, one)
    return about_x @ about_y @ about_z


def pose_para_angles(rotations: Rotations) -> NDArray[np.float64]:
    """(B, 3, 3) → (B, 3) yaw, pitch, roll in degrees, as ``Pose_Para`` defines them. Exact for |yaw| < 90°."""
    yaw = np.arcsin(np.clip(rotations[:, 0, 2], -1, 1))
    pitch = np.arctan2(rotations[:, 1, 2], rotations[:, 2, 2])
    roll = np.arctan2(-rotations[:, 0, 1], rotations[:, 0, 0])
    return np.degrees(np.stack([yaw, pitch, roll], axis=1))


def mean_rotation(rotations: Rotations) -> Rotations:
    """(B, 3, 3) → the (3, 3) rotation nearest to their sum."""
    u, _, vt = np.linalg.svd(rotations.sum(axis=0))
    return (u * [1, 1, np.linalg.det(u @ vt)]) @ vt


@dataclass(frozen=True)
class PoseError:
    """Mean absolute errors in degrees over ``faces`` faces: yaw, pitch, roll, their mean, and the whole rotation."""

    faces: int
    yaw: float
    pitch: float
    roll: float
    mae: float
    rotation: float


@dataclass(frozen=True)
class PoseReport:
    """Head-pose errors of one set of predictions.

    Attributes:
        to_landmarks: against the pose of the true landmarks, in the angles of ``geometry.HeadPose`` (yaw first).
        to_landmarks_zyx: against the pose of the true landmarks, in angles of order "zyx", which earlier versions
            reported. On profiles, pitch and roll become large together in this order.
        to_pose_para: against ``Pose_Para``, in its own angles, without offset correction.
        to_pose_para_usual: ``to_pose_para`` on the images whose ``Pose_Para`` is within ±99°, as in the literature.
        to_pose_para_zeroed: against ``Pose_Para``, after the constant rotation between the two definitions of "straight
            ahead" is removed.
        to_pose_para_zeroed_usual: ``to_pose_para_zeroed`` on the images whose ``Pose_Para`` is within ±99°.
        labels_to_pose_para_zeroed: ``to_pose_para_zeroed`` of the true landmarks, which is what a perfect aligner gets.
        zero_deg: yaw, pitch and roll (``HeadPose``) of that constant rotation: the rotation nearest to the sum of
            (``Pose_Para``)ᵀ · (pose of true landmarks). It uses the *labels* of all images and no predictions.
    """

    to_landmarks: PoseError
    to_landmarks_zyx: PoseError
    to_pose_para: PoseError
    to_pose_para_usual: PoseError
    to_pose_para_zeroed: PoseError
    to_pose_para_zeroed_usual: PoseError
    labels_to_pose_para_zeroed: PoseError
    zero_deg: tuple[float, float, float]


@dataclass(frozen=True, eq=False)
class PoseTruth:
    """(B, 3, 3) rotations of the true landmarks and of ``Pose_Para``, and ``Pose_Para``'s (B, 3) angles in degrees."""

    landmarks: Rotations
    pose_para: Rotations
    pose_para_deg: NDArray[np.float64]

    @classmethod
    def of(cls, target_img: NDArray[np.floating], pose_para: NDArray[np.floating]) -> PoseTruth:
        """From (B, 68, 3) true landmarks and (B, 3) ``Pose_Para`` pitch, yaw, roll in radians."""
        degrees = np.degrees(np.asarray(pose_para, np.float64))[:, [1, 0, 2]]
        return cls(rotations_of(target_img), rotation_from_pose_para(pose_para), degrees)


def rotations_of(points_img: NDArray[np.floating]) -> Rotations:
    """(B, 68, 3) landmarks → (B, 3, 3) head poses."""
    return np.array([head_pose(points).rotation for points in points_img]).reshape(-1, 3, 3)


def pose_report(predicted_img: NDArray[np.floating], truth: PoseTruth) -> PoseReport | None:
    """Errors of (B, 68, 3) predictions. Missed faces (rows of NaN) are excluded. None if all faces are missed."""
    found = np.isfinite(predicted_img).all(axis=(1, 2))
    if not found.any():
        return None
    predicted = rotations_of(predicted_img[found])
    zero = mean_rotation(np.swapaxes(truth.pose_para, 1, 2) @ truth.landmarks)
    usual = np.all(np.abs(truth.pose_para_deg[found]) <= USUAL_LIMIT_DEG, axis=1)
    zeroed = predicted @ zero.T
    para, para_deg = truth.pose_para[found], truth.pose_para_deg[found]
    turn = HeadPose.from_rotation(zero)
    return PoseReport(
        to_landmarks=_error(
            _own_angles(predicted), _own_angles(truth.landmarks[found]), predicted, truth.landmarks[found]
        ),
        to_landmarks_zyx=_error(
            _own_angles(predicted, "zyx"),
            _own_angles(truth.landmarks[found], "zyx"),
            predicted,
            truth.landmarks[found],
        ),
        to_pose_para=_error(pose_para_angles(predicted), para_deg, predicted, para),
        to_pose_para_usual=_error(pose_para_angles(predicted[usual]), para_deg[usual], predicted[usual], para[usual]),
        to_pose_para_zeroed=_error(pose_para_angles(zeroed), para_deg, zeroed, para),
        to_pose_para_zeroed_usual=_error(pose_para_angles(zeroed[usual]), para_deg[usual], zeroed[usual], para[usual]),
        labels_to_pose_para_zeroed=_error(
            pose_para_angles(truth.landmarks @ zero.T), truth.pose_para_deg, truth.landmarks @ zero.T, truth.pose_para
        ),
        zero_deg=(turn.yaw_deg, turn.pitch_deg, turn.roll_deg),
    )


def _own_angles(rotations: Rotations, order: Order = "yxz") -> NDArray[np.float64]:
    return np.array([HeadPose.from_rotation(rotation).angles(order) for rotation in rotations]).reshape(-1, 3)


def _error(
    predicted_deg: NDArray[np.float64], target_deg: NDArray[np.float64], predicted: Rotations, target: Rotations
) -> PoseError:
    if not len(predicted):
        return PoseError(0, *[float("nan")] * 5)
    yaw, pitch, roll = angle_errors(predicted_deg, target_deg).mean(axis=0).tolist()
    rotation = float(rotation_errors(predicted, target).mean())
    return PoseError(len(predicted), yaw, pitch, roll, (yaw + pitch + roll) / 3, rotation)
