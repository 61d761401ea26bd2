from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from jvcr.evaluate.pose import PoseTruth, mean_rotation, pose_para_angles, pose_report, rotation_from_pose_para
from jvcr.geometry import HeadPose, mean_shape_68, rotation_from_angles

ANGLES_DEG = np.array([[10.0, 20, 30], [-40, 60, 5], [0, -85, 70], [15, 0, -100]])
"""Pitch, yaw, roll, as Pose_Para orders them."""


def heads(rotations: np.ndarray) -> np.ndarray:
    return 40 * mean_shape_68() @ np.swapaxes(rotations, 1, 2) + [100.0, 90, 0]


def test_pose_para_against_scipy() -> None:
    got = rotation_from_pose_para(np.radians(ANGLES_DEG))
    # Capital letters turn about the moving axes: Rx · Ry · Rz.
    expected = Rotation.from_euler("XYZ", ANGLES_DEG * [-1, 1, 1], degrees=True).as_matrix()
    np.testing.assert_allclose(got, expected, atol=1e-12)
    np.testing.assert_allclose(pose_para_angles(got), ANGLES_DEG[:, [1, 0, 2]], atol=1e-9)


@pytest.mark.parametrize(
    ("pose_para_deg", "own"),
    [((0, 30, 0), (-30, 0, 0)), ((20, 0, 0), (0, 20, 0)), ((0, 0, 10), (0, 0, 10))],
)
def test_signs_of_single_angles(pose_para_deg: tuple[float, ...], own: tuple[float, ...]) -> None:
    (rotation,) = rotation_from_pose_para(np.radians([pose_para_deg]))
    pose = HeadPose.from_rotation(rotation)
    np.testing.assert_allclose((pose.yaw_deg, pose.pitch_deg, pose.roll_deg), own, atol=1e-9)


def test_mean_rotation_is_in_the_middle() -> None:
    two = np.stack([rotation_from_angles(0, 0, 10), rotation_from_angles(0, 0, 40)])
    np.testing.assert_allclose(mean_rotation(two), rotation_from_angles(0, 0, 25), atol=1e-12)


def test_a_perfect_prediction_has_no_error_and_the_zero_is_found() -> None:
    pose_para = np.radians(ANGLES_DEG)
    zero = rotation_from_angles(0, 7, 0)
    target = heads(rotation_from_pose_para(pose_para) @ zero)
    truth = PoseTruth.of(target, pose_para)
    got = pose_report(target, truth)
    assert got is not None
    np.testing.assert_allclose(got.zero_deg, (0, 7, 0), atol=1e-6)
    assert got.to_landmarks.mae == pytest.approx(0, abs=1e-5)
    assert got.to_pose_para_zeroed.mae == pytest.approx(0, abs=1e-5)
    assert got.to_pose_para.rotation == pytest.approx(7, abs=1e-5)
    # The one with a roll of −100° is left out of the usual figure.
    assert (got.to_pose_para_zeroed.faces, got.to_pose_para_zeroed_usual.faces) == (4, 3)


def test_errors_by_hand() -> None:
    pose_para = np.zeros((2, 3))
    truth = PoseTruth.of(heads(np.stack([np.eye(3)] * 2)), pose_para)
    predicted = heads(np.stack([rotation_from_angles(12, 0, 0), rotation_from_angles(0, -6, 0)]))
    got = pose_report(predicted, truth)
    assert got is not None
    e = got.to_landmarks
    assert (e.faces, e.yaw, e.pitch, e.roll) == (2, pytest.approx(6), pytest.approx(3), pytest.approx(0, abs=1e-6))
    assert (e.mae, e.rotation) == (pytest.approx(3), pytest.approx(9))
    # The zero comes from the labels, so a bias of the predictions is not forgiven.
    assert got.to_pose_para_zeroed.mae == pytest.approx(3)


def test_missed_faces_are_left_out() -> None:
    pose_para = np.radians(ANGLES_DEG)
    target = heads(rotation_from_pose_para(pose_para))
    truth = PoseTruth.of(target, pose_para)
    predicted = target.copy()
    predicted[1] = np.nan
    got = pose_report(predicted, truth)
    assert got is not None
    assert (got.to_landmarks.faces, got.labels_to_pose_para_zeroed.faces) == (3, 4)
    assert got.to_pose_para.mae == pytest.approx(0, abs=1e-5)
    assert pose_report(np.full_like(target, np.nan), truth) is None
