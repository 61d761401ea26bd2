from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jvcr.arkit import UNSUPPORTED, arkit
from jvcr.expression import Expression, expression
from jvcr.geometry import mean_shape_68

REST = Expression(
    eye_right=0.55, eye_left=0.55, mouth_open=0, mouth_width=0, smile=0, brow_right=0, brow_left=0, jaw_drop=0
)


def changed(**values: float) -> dict[str, float]:
    """The blendshapes that are not 0, to a thousandth, of a face at rest with these values."""
    found = arkit(Expression(**{**vars(REST), **values}))
    return {name: round(value, 3) for name, value in found.items() if value}


def test_the_52_names_are_all_there_once() -> None:
    unsupported = [name for names in UNSUPPORTED.values() for name in names.split()]
    names = [*arkit(REST), *unsupported]
    assert len(names) == len(set(names)) == 52 and len(unsupported) == 38
    # Every side has its counterpart. ARKit's jawLeft, mouthLeft and gaze included.
    for name in names:
        if name.endswith("Left"):
            assert name.removesuffix("Left") + "Right" in names


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, {}),
        # Sides are the person's, in ARKit too.
        ({"eye_left": 0.0}, {"eyeBlinkLeft": 1.0}),
        ({"eye_right": 0.11}, {"eyeBlinkRight": 0.8}),
        ({"eye_right": -0.2, "eye_left": 0.7}, {"eyeBlinkRight": 1.0}),
        ({"eye_left": 1.0}, {"eyeWideLeft": 1.0}),
        ({"eye_right": 0.875}, {"eyeWideRight": 0.5}),
        ({"mouth_open": 0.4, "jaw_drop": 0.9}, {"jawOpen": 0.4}),
        ({"mouth_open": 1.3}, {"jawOpen": 1.0}),
        # Width and lift of the corners are both 0.6.
        ({"mouth_width": 0.6, "smile": 0.6}, {"mouthSmileLeft": 0.6, "mouthSmileRight": 0.6}),
        # The corners hang by 0.5, at the usual width.
        ({"mouth_width": 0.0, "smile": -0.25}, {"mouthFrownLeft": 0.5, "mouthFrownRight": 0.5}),
        # A narrow mouth alone is no frown.
        ({"mouth_width": -0.5, "smile": -0.25}, {}),
        ({"brow_left": -0.3}, {"browDownLeft": 0.3}),
        ({"brow_left": 0.4, "brow_right": 0.2}, {"browInnerUp": 0.3, "browOuterUpLeft": 0.4, "browOuterUpRight": 0.2}),
    ],
)
def test_each_value_by_hand(values: dict[str, float], expected: dict[str, float]) -> None:
    assert changed(**values) == expected


@given(st.lists(st.floats(-5, 5), min_size=8, max_size=8))
def test_values_are_from_0_to_1(values: list[float]) -> None:
    assert all(0 <= value <= 1 for value in arkit(Expression(*values)).values())


def test_what_is_unknown_stays_unknown() -> None:
    found = arkit(Expression(**{**vars(REST), "eye_left": math.nan}))
    assert math.isnan(found["eyeBlinkLeft"]) and math.isnan(found["eyeWideLeft"])
    assert found["eyeBlinkRight"] == 0


def test_a_shut_eye_of_landmarks_is_a_blink_on_its_side() -> None:
    points = mean_shape_68().copy()
    points[[43, 44]] = points[[47, 46]]  # the lids of the person's left eye
    found = arkit(expression(points))
    assert found["eyeBlinkLeft"] == 1.0 and found["eyeBlinkRight"] < 0.5
