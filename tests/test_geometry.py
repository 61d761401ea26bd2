from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from jvcr.geometry import (
    ORDERS,
    HeadPose,
    Order,
    align,
    crop_tilt_deg,
    head_pose,
    levelled,
    mean_head,
    mean_shape_68,
    rotation_from_angles,
)
from jvcr.markups.file import markup_from
from jvcr.markups.markup import MARKUP_68, Derivation, Markup, subset

NOSE = 30
angles = st.floats(-170, 170)


@given(st.integers(0, 10_000), st.floats(0.01, 100))
def test_align_recovers_a_similarity(seed: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    source = rng.normal(size=(9, 3))
    rotation = Rotation.random(rng=rng).as_matrix()
    translation = rng.normal(0, 50, 3)
    found = align(source, scale * source @ rotation.T + translation)
    assert found.scale == pytest.approx(scale, rel=1e-9)
    np.testing.assert_allclose(found.rotation, rotation, atol=1e-8)
    np.testing.assert_allclose(found.translation, translation, atol=1e-8 * (1 + scale))
    np.testing.assert_allclose(found.apply(source), scale * source @ rotation.T + translation, atol=1e-7 * (1 + scale))


@pytest.mark.parametrize("seed", range(5))
def test_align_agrees_with_scipy_on_noisy_points(seed: int) -> None:
    rng = np.random.default_rng(seed)
    source, target = rng.normal(size=(2, 13, 3)) + 4
    x, y = source - source.mean(axis=0), target - target.mean(axis=0)
    expected = Rotation.align_vectors(y, x)[0].as_matrix()
    found = align(source, target)
    np.testing.assert_allclose(found.rotation, expected, atol=1e-7)
    turned = x @ expected.T
    assert found.scale == pytest.approx((turned * y).sum() / (x * x).sum())
    np.testing.assert_allclose(found.apply(source).mean(axis=0), target.mean(axis=0))


def test_align_by_hand() -> None:
    source = np.array([[0.0, 0, 0], [1, 0, 0], [0, 2, 0], [0, 0, 3]])
    found = align(source, 2 * source)
    assert found.scale == pytest.approx(2)
    np.testing.assert_allclose(found.rotation, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(found.translation, 0, atol=1e-12)


def test_align_never_reflects() -> None:
    source = np.random.default_rng(3).normal(size=(11, 3))
    found = align(source, source * [-1, 1, 1])
    assert np.linalg.det(found.rotation) == pytest.approx(1)
    assert np.abs(found.apply(source) - source * [-1, 1, 1]).max() > 0.1


def test_align_works_on_a_plane() -> None:
    source = np.array([[0.0, 0, 0], [1, 0, 0], [0, 2, 0]])
    rotation = rotation_from_angles(20, 30, 40)
    found = align(source, source @ rotation.T)
    np.testing.assert_allclose(found.rotation, rotation, atol=1e-9)


@pytest.mark.parametrize("shapes", [((5, 3), (6, 3)), ((5, 2), (5, 2)), ((2, 5, 3), (2, 5, 3))])
def test_align_refuses_shapes(shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    with pytest.raises(ValueError, match=r"two \(N, 3\) arrays"):
        align(np.ones(shapes[0]), np.ones(shapes[1]))


@pytest.mark.parametrize("point", [(1.0, 2.0, 3.0), (0.1, 0.2, 0.3)])
def test_align_refuses_coinciding_points(point: tuple[float, float, float]) -> None:
    with pytest.raises(ValueError, match="coincide"):
        align(np.tile(point, (3, 1)), np.eye(3))


def test_mean_shape() -> None:
    shape = mean_shape_68()
    assert shape.shape == (68, 3)
    np.testing.assert_allclose(shape.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(shape[list(MARKUP_68.mirror)] * [-1, 1, 1], shape, atol=1e-9)
    assert np.linalg.norm(shape[36] - shape[45]) == pytest.approx(1, abs=1e-4)
    # The person's right eye is on the left of the image, the chin below, the nose in front.
    assert shape[36, 0] < shape[45, 0] and shape[8, 1] > shape[27, 1] and shape[NOSE, 2] < shape[0, 2]


def turn(axis: str, degrees: float) -> np.ndarray:
    """The mean head after a rotation written out in the image: x right, y down, z away (the nose has a negative z)."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    x, y, z = mean_shape_68().T
    if axis == "nose right":
        return np.stack([c * x - s * z, y, c * z + s * x], axis=1)
    if axis == "nose up":
        return np.stack([x, c * y + s * z, c * z - s * y], axis=1)
    return np.stack([c * x - s * y, c * y + s * x, z], axis=1)  # clockwise: what was right goes down


@pytest.mark.parametrize(
    ("axis", "expected"), [("nose right", (25, 0, 0)), ("nose up", (0, 25, 0)), ("clockwise", (0, 0, 25))]
)
def test_signs_of_the_head_pose(axis: str, expected: tuple[float, float, float]) -> None:
    shape = mean_shape_68()
    turned = turn(axis, 25)
    if axis == "nose right":
        assert turned[NOSE, 0] > shape[NOSE, 0] + 0.1
    elif axis == "nose up":
        assert turned[NOSE, 1] < shape[NOSE, 1] - 0.1
    else:
        assert turned[45, 1] > turned[36, 1] + 0.1  # the eye on the right of the image is lower
    pose = head_pose(40 * turned + [70, 50, 3])
    assert (pose.yaw_deg, pose.pitch_deg, pose.roll_deg) == pytest.approx(expected, abs=1e-6)


ANY_ORDER = pytest.mark.parametrize("order", ORDERS)


@ANY_ORDER
@given(st.floats(-89, 89), angles, angles)
def test_angles_round_trip(order: Order, middle: float, first: float, last: float) -> None:
    # The middle factor of the product is unique within ±90°.
    yaw, pitch, roll = {"yxz": (first, middle, last), "zyx": (middle, last, first), "xyz": (middle, first, last)}[order]
    rotation = rotation_from_angles(yaw, pitch, roll, order)
    pose = HeadPose.from_rotation(rotation, order)
    assert (pose.yaw_deg, pose.pitch_deg, pose.roll_deg) == pytest.approx((yaw, pitch, roll), abs=1e-6)
    assert HeadPose.from_rotation(rotation).angles(order) == pytest.approx((yaw, pitch, roll), abs=1e-6)
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)


@given(angles, st.floats(-85, 85), angles, st.floats(5, 500))
def test_head_pose_of_a_turned_head(yaw: float, pitch: float, roll: float, size: float) -> None:
    landmarks = size * mean_shape_68() @ rotation_from_angles(yaw, pitch, roll).T + [31, -7, 200]
    pose = head_pose(landmarks)
    assert (pose.yaw_deg, pose.pitch_deg, pose.roll_deg) == pytest.approx((yaw, pitch, roll), abs=1e-5)


@pytest.mark.parametrize(
    ("order", "axes"),
    [("yxz", ("YXZ", (-10, -20, 35))), ("zyx", ("ZYX", (35, -10, -20))), ("xyz", ("XYZ", (-20, -10, 35)))],
)
def test_order_of_the_angles_is_scipys(order: Order, axes: tuple[str, tuple[float, ...]]) -> None:
    # Capital letters turn about the moving axes: the product's factors from left to right.
    expected = Rotation.from_euler(*axes, degrees=True).as_matrix()
    np.testing.assert_allclose(rotation_from_angles(10, 20, 35, order), expected, atol=1e-12)


def test_an_unknown_order_is_refused() -> None:
    with pytest.raises(ValueError, match="order 'xzy': expected one of yxz, zyx, xyz"):
        rotation_from_angles(0, 0, 0, "xzy")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="order 'pose_para': expected one of"):
        HeadPose.from_rotation(np.eye(3), "pose_para")  # type: ignore[arg-type]


def test_the_axis_of_the_face_gives_yaw_and_pitch() -> None:
    """Nose direction by hand: yaw 150 to the person's left and behind, 30 up."""
    ahead = rotation_from_angles(150, 30, -70) @ [0, 0, -1]
    c = math.cos(math.radians(30))
    expected = [c * math.sin(math.radians(150)), -0.5, -c * math.cos(math.radians(150))]
    np.testing.assert_allclose(ahead, expected, atol=1e-12)


def test_a_profile_keeps_its_roll() -> None:
    """A head that looks up by 8° and is tilted by 3° reads so at any yaw; in the order zyx, roll runs away."""
    for yaw in (0, 45, 80, 90, 100, 179):
        pose = HeadPose.from_rotation(rotation_from_angles(yaw, 8, 3))
        assert (pose.yaw_deg, pose.pitch_deg, pose.roll_deg) == pytest.approx((yaw, 8, 3), abs=1e-6)
    assert abs(HeadPose.from_rotation(rotation_from_angles(89, 8, 3)).angles("zyx").roll_deg) > 45


@given(st.floats(-10, 10), st.floats(-10, 10), st.floats(-3, 3))
def test_near_frontal_faces_read_alike_in_both_orders(yaw: float, pitch: float, roll: float) -> None:
    # To first order, yaw and pitch differ by the product of roll and the other one: 10° · 3° is 0.52°.
    pose = HeadPose.from_rotation(rotation_from_angles(yaw, pitch, roll))
    assert pose.angles("zyx") == pytest.approx((yaw, pitch, roll), abs=0.6)


def test_the_order_by_which_benchmarks_are_binned_folds_the_back_of_the_head() -> None:
    pose = HeadPose.from_rotation(rotation_from_angles(120, 0, 0))
    assert pose.angles("zyx").yaw_deg == pytest.approx(60)
    # Where the zero of pitch lies does not matter for it.
    rotation = rotation_from_angles(50, 12, -20)
    assert HeadPose.from_rotation(rotation @ levelled()).angles("zyx").yaw_deg == pytest.approx(
        HeadPose.from_rotation(rotation).angles("zyx").yaw_deg, abs=1e-9
    )


def test_the_zero_of_pitch_is_the_eye_ear_line() -> None:
    shape = mean_shape_68()
    for eye, ear in ((36, 0), (45, 16)):
        assert shape[eye, 1] == pytest.approx(shape[ear, 1], abs=1e-9)
        assert shape[ear, 2] - shape[eye, 2] > 0.7
    # 0.66° from the median photo's; the stored mean head has it.
    assert HeadPose.from_rotation(levelled()).pitch_deg == pytest.approx(0.66, abs=0.005)


def test_crops_keep_their_own_upright() -> None:
    """The networks' crops were made upright by the median photo's head: a level profile is not quite upright there."""
    level = mean_shape_68() @ rotation_from_angles(90, 0, 0).T
    assert head_pose(level).tilt_deg == pytest.approx(0, abs=1e-6)
    assert crop_tilt_deg(level) == pytest.approx(-0.66, abs=0.005)
    assert crop_tilt_deg(mean_shape_68() @ rotation_from_angles(0, 0, 25).T) == pytest.approx(25)


def test_head_pose_needs_68_points() -> None:
    with pytest.raises(ValueError, match=r"got \(66, 3\)"):
        head_pose(np.zeros((66, 3)))


@pytest.mark.parametrize("name", ["66", "21", "200"])
def test_head_pose_of_a_markup_made_from_the_68(name: str) -> None:
    markup = markup_from(name)
    turned = mean_shape_68() @ rotation_from_angles(35, -12, 20).T
    landmarks = 40 * markup.derivations["ibug-68"].apply(turned) + [70, 50, 3]
    pose = head_pose(landmarks, markup)
    np.testing.assert_allclose((pose.yaw_deg, pose.pitch_deg, pose.roll_deg), (35, -12, 20), atol=1e-9)
    with pytest.raises(ValueError, match=rf"markup '{markup.name}' needs \({name}, 3\) landmarks; got \(68, 3\)"):
        head_pose(turned, markup)


def test_landmarks_on_a_line_have_no_pose() -> None:
    # The outer eye corners and the point half-way are on a line; with the chin they are not.
    terms = (((36, 1.0),), ((45, 1.0),), ((36, 0.5), (45, 0.5)))
    derivations = {"ibug-68": Derivation(terms)}
    on_a_line = Markup("line", 3, (1, 0, 2), {}, frozenset(), (0, 1), derivations=derivations)
    assert mean_head(on_a_line) is None
    with pytest.raises(ValueError, match="'line' has no head pose"):
        head_pose(np.zeros((3, 3)), on_a_line)
    assert mean_head(subset(MARKUP_68, (36, 45, 8), "three")) is not None
    # A markup with 68 other points is not MARKUP_68.
    assert mean_head(replace(MARKUP_68, name="other")) is None
