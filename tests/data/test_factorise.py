from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jvcr.data.formats.factorise import NotSolvable, depth_from_views
from jvcr.geometry import mean_shape_68, rotation_from_angles

MakeHead = Callable[..., np.ndarray]
NOSE, JAW = 30, (0, 16)


def test_depth_of_a_turned_head(make_head: MakeHead) -> None:
    views = np.stack([make_head(yaw, 8, -4, eyes_px=20 + yaw / 10, centre=(yaw, 7)) for yaw in (-30, 5, 40, 75)])
    solved = depth_from_views(views[..., :2].astype(np.float64), NOSE, JAW)
    np.testing.assert_allclose(solved.z_img, views[..., 2] - views[..., 2].mean(axis=1, keepdims=True), atol=1e-3)
    # The axis of yaw is tilted by the pitch of 8°, and 105° are between the outer views.
    assert solved.turn_deg == pytest.approx(105, abs=3)
    assert solved.residual < 1e-5


@given(st.lists(st.floats(-80, 80), min_size=3, max_size=6), st.integers(0, 100))
def test_depth_of_any_views(yaws: list[float], seed: int) -> None:
    if np.diff(np.sort(yaws)).min() < 8:
        return
    rng = np.random.default_rng(seed)
    # A head that nobody has: a shape of its own, the nose in front.
    shape = mean_shape_68() + rng.normal(0, 0.08, (68, 3))
    views = []
    for yaw in yaws:
        turn = rotation_from_angles(yaw, rng.uniform(-15, 15), rng.uniform(-30, 30))
        views.append(rng.uniform(20, 90) * shape @ turn.T + (*rng.uniform(0, 400, 2), 0))
    points = np.stack(views)
    solved = depth_from_views(points[..., :2], NOSE, JAW)
    truth = points[..., 2] - points[..., 2].mean(axis=1, keepdims=True)
    np.testing.assert_allclose(solved.z_img, truth, atol=1e-5 * np.abs(truth).max())


def test_four_points_by_hand() -> None:
    # The corner of a cube and its three neighbours, seen along each of the cube's edges.
    corners = np.array([[0, 0, 0], [12, 0, 0], [0, 12, 0], [0, 0, -12]], np.float64)
    front = corners
    left = corners[:, [2, 1, 0]] * (1, 1, -1)
    above = corners[:, [0, 2, 1]] * (1, -1, 1)
    views = np.stack([front, left, above])
    # Landmark 3 is nearer than the corner: z is −12, 0 and 0 in the three views.
    solved = depth_from_views(views[..., :2], 3, (0,))
    np.testing.assert_allclose(solved.z_img[0], [3, 3, 3, -9], atol=1e-9)
    np.testing.assert_allclose(solved.z_img[1], [3, -9, 3, 3], atol=1e-9)
    np.testing.assert_allclose(solved.z_img[2], [-3, -3, 9, -3], atol=1e-9)
    assert solved.turn_deg == pytest.approx(90)


def refused(views: list[np.ndarray]) -> str:
    with pytest.raises(NotSolvable) as error:
        depth_from_views(np.stack(views)[..., :2].astype(np.float64), NOSE, JAW)
    return str(error.value)


def test_too_few_views(make_head: MakeHead) -> None:
    assert refused([make_head(0), make_head(40)]) == "2 views of this face; at least 3 are needed"


def test_views_that_do_not_turn(make_head: MakeHead) -> None:
    same = [make_head(20, eyes_px=size, centre=(size, 3)) for size in (20.0, 30.0, 50.0)]
    assert refused(same) == "the views do not differ by a rotation"
    assert "turned by 6.0° at most; at least 10°" in refused([make_head(yaw) for yaw in (-3, -1, 1, 3)])


def test_a_face_that_changes(make_head: MakeHead) -> None:
    views = [make_head(yaw).copy() for yaw in (-40, -10, 20, 50)]
    views[2][48:68, 1] += np.linspace(0, 12, 20)
    assert "no rigid face explains the views" in refused(views)
