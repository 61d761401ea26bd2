from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jvcr import Box, Face
from jvcr.expression import (
    SCALES,
    Expression,
    brow_heights,
    corner_lift,
    expression,
    eye_openings,
    jaw_drop,
    mouth_opening,
    smile,
)
from jvcr.geometry import mean_shape_68, rotation_from_angles
from jvcr.markups.file import markup_from


def face() -> np.ndarray:
    """(68, 2) with only the landmarks that the ratios use, at distances that are easy to see."""
    points = np.zeros((68, 2))
    points[[36, 39]] = [(0, 0), (10, 0)]
    points[[37, 41]] = [(3, -1), (3, 1)]  # 2 apart
    points[[38, 40]] = [(7, -2), (7, 2)]  # 4 apart
    points[[42, 45]] = [(30, 0), (50, 0)]
    points[[43, 47]] = [(35, 0), (35, 1)]
    points[[44, 46]] = [(45, 0), (45, 1)]
    points[[48, 54]] = [(5, 40), (45, 40)]
    points[[60, 64]] = [(10, 40), (40, 40)]
    points[[62, 66]] = [(25, 37), (25, 46)]
    points[19], points[24] = (5, -10), (40, -15)
    return points


def test_ratios_by_hand() -> None:
    # Right eye: (2 + 4) / (2 · 10); left eye: (1 + 1) / (2 · 20).
    np.testing.assert_allclose(eye_openings(face()), [0.3, 0.05])
    assert mouth_opening(face()) == pytest.approx(9 / 30)
    assert smile(face()) == pytest.approx(40 / 50)
    np.testing.assert_allclose(brow_heights(face()), [10 / 50, 15 / 50])


def test_many_faces_at_once_and_in_3d() -> None:
    flat = np.stack([face(), 3 * face() + 1.0])
    deep = np.concatenate([flat, np.zeros((2, 68, 1))], axis=2)
    for measure in (eye_openings, brow_heights):
        assert measure(flat[:1]).shape == (1, 2)
        np.testing.assert_allclose(measure(deep), measure(flat))
    for measure in (mouth_opening, smile):
        assert measure(flat).shape == (2,)


@given(st.floats(0.1, 10), st.floats(-3, 3), st.floats(-500, 500))
def test_size_turn_and_place_do_not_matter(scale: float, angle: float, shift: float) -> None:
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    moved = face() @ turn.T + shift
    for measure in (eye_openings, mouth_opening, smile, brow_heights):
        np.testing.assert_allclose(measure(moved), measure(face()), rtol=1e-6)


def test_what_is_not_marked_is_not_known() -> None:
    points = face()
    points[41] = np.nan
    openings = eye_openings(points)
    assert np.isnan(openings[0]) and openings[1] == pytest.approx(0.05)
    points[64] = points[60]  # a mouth without width
    assert np.isnan(mouth_opening(points))


def head(**moved: tuple[float, float, float]) -> np.ndarray:
    """The mean head with landmarks moved: ``lm8=(0, 0.2, 0)``."""
    points = mean_shape_68().copy()
    for name, by in moved.items():
        points[int(name.removeprefix("lm"))] += by
    return points


@pytest.mark.parametrize("seed", range(3))
def test_expression_is_the_ratios_on_their_scales(seed: int) -> None:
    points = mean_shape_68() + np.random.default_rng(seed).normal(0, 0.02, (68, 3))
    got = expression(points)

    def scaled(name: str, ratio: float) -> float:
        return (float(ratio) - SCALES[name].zero) / (SCALES[name].one - SCALES[name].zero)

    (right, left), (brow_right, brow_left) = eye_openings(points), brow_heights(points)
    width, lift = scaled("mouth_width", smile(points)), scaled("corner_lift", corner_lift(points))
    expected = Expression(
        eye_right=scaled("eye", right),
        eye_left=scaled("eye", left),
        mouth_open=scaled("mouth_open", mouth_opening(points)),
        mouth_width=width,
        smile=(width + lift) / 2,
        brow_right=scaled("brow", brow_right),
        brow_left=scaled("brow", brow_left),
        jaw_drop=scaled("jaw_drop", jaw_drop(points)),
    )
    assert vars(got) == pytest.approx(vars(expected))


@given(st.floats(-180, 180), st.floats(-80, 80), st.floats(-180, 180), st.floats(1, 500))
def test_head_pose_does_not_matter(yaw: float, pitch: float, roll: float, size: float) -> None:
    turned = size * head() @ rotation_from_angles(yaw, pitch, roll).T + (200, 100, 0)
    assert vars(expression(turned)) == pytest.approx(vars(expression(head())), abs=1e-6)


def test_each_movement_is_seen_where_it_is() -> None:
    rest = expression(head())
    shut = expression(head(lm37=(0, 0.05, 0), lm38=(0, 0.05, 0)))  # the person's right eye: lids nearer together
    assert shut.eye_right < rest.eye_right - 0.3 and shut.eye_left == rest.eye_left
    raised = expression(head(lm24=(0, -0.05, 0)))
    assert raised.brow_left > rest.brow_left + 0.5 and raised.brow_right == rest.brow_right
    dropped = expression(head(lm8=(0, 0.2, 0), lm66=(0, 0.2, 0)))
    assert dropped.jaw_drop > rest.jaw_drop + 0.5 and dropped.mouth_open > rest.mouth_open + 0.5
    happy = expression(head(lm48=(-0.05, -0.03, 0), lm54=(0.05, -0.03, 0)))
    assert happy.smile > rest.smile + 0.3 and happy.mouth_width > rest.mouth_width + 0.3
    sad = expression(head(lm48=(0, 0.04, 0), lm54=(0, 0.04, 0)))
    assert sad.smile < rest.smile - 0.3 and sad.mouth_width == pytest.approx(rest.mouth_width)


def test_corner_lift_by_hand() -> None:
    points = np.zeros((68, 2))
    points[[27, 33]] = [(0, -2), (0, 0)]
    points[[36, 45]] = [(-2, -2), (2, -2)]  # 4 apart
    points[[51, 62]] = [(0, 1), (0, 2)]  # their middle is at y = 1.5
    points[[48, 54]] = [(-1, 1), (1, 1)]
    assert corner_lift(points) == pytest.approx(0.5 / 4)


def test_a_face_has_an_expression_and_keeps_the_order_of_its_keys() -> None:
    points = (50 * head() + (100, 90, 0)).astype(np.float32)
    face = Face(points, Box.around(points), 1.0)
    values = face.to_dict()
    assert list(values) == ["box", "score", "landmarks", "pose", "expression"]
    assert list(values["expression"])[:3] == ["eye_right", "eye_left", "mouth_open"]
    assert values["expression"]["jaw_drop"] == pytest.approx(face.expression.jaw_drop, abs=5e-4)
    assert 0.2 < face.expression.eye_left < 0.8 and abs(face.expression.brow_left) < 0.1


def test_other_markups_have_no_expression() -> None:
    markup = markup_from("66")
    points = markup.derivations["ibug-68"].apply(50 * head()).astype(np.float32)
    face = Face(points, Box.around(points), 1.0, markup=markup)
    assert not face.has_expression and "expression" not in face.to_dict()
    with pytest.raises(ValueError, match="has no expression: it is defined for 'ibug-68'"):
        _ = face.expression
    with pytest.raises(ValueError, match=r"shape \(66, 3\)"):
        expression(points)
