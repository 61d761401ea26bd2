"""Expressions under the names of ARKit's blendshapes (``ARFaceAnchor.BlendShapeLocation``).

Only the 14 of the 52 that 68 landmarks can tell apart; ``UNSUPPORTED`` has the others. ARKit's left is the person's
left, as ours is.
"""

from __future__ import annotations

import math

from jvcr.expression import Expression

ORDINARY_EYE, WIDE_EYE = 0.55, 0.75
"""Openings on the scale of ``Expression``: an eye does not blink from the first one on, and is wide from the second."""

UNSUPPORTED = {
    "where the eyes look: the landmarks have no pupils": (
        "eyeLookUpLeft eyeLookUpRight eyeLookDownLeft eyeLookDownRight "
        "eyeLookInLeft eyeLookInRight eyeLookOutLeft eyeLookOutRight"
    ),
    "a squint moves the lids as a half-closed eye does": "eyeSquintLeft eyeSquintRight",
    "the jaw line shows how far the mouth is open, and not where the jaw is": "jawForward jawLeft jawRight",
    "a narrow, wide or shifted mouth at rest looks the same in one photo": (
        "mouthPucker mouthFunnel mouthLeft mouthRight mouthStretchLeft mouthStretchRight"
    ),
    "needs the jaw and the lips apart from each other": "mouthClose",
    "rolled, pressed and shrugged lips change the skin more than the outlines of the lips": (
        "mouthRollLower mouthRollUpper mouthShrugLower mouthShrugUpper mouthPressLeft mouthPressRight"
    ),
    "the expression has the gap between the lips, and not the height of each": (
        "mouthUpperUpLeft mouthUpperUpRight mouthLowerDownLeft mouthLowerDownRight"
    ),
    "no landmarks on the cheeks": "cheekPuff cheekSquintLeft cheekSquintRight mouthDimpleLeft mouthDimpleRight",
    "no landmarks on the sides of the nose": "noseSneerLeft noseSneerRight",
    "no landmarks on the tongue": "tongueOut",
}
"""Reason → names of the blendshapes that have no value, separated by spaces."""


def arkit(expression: Expression) -> dict[str, float]:
    """The values of the supported blendshapes, 0 to 1; NaN where the expression has none.

    Smile and frown are the same on both sides, and a brow moves as a whole, because ``Expression`` has one number for
    each of them.

    Example: a closed left eye (``eye_left`` 0) has ``eyeBlinkLeft`` 1.
    """
    e = expression
    # ``smile`` is the mean of the mouth's width and the lift of its corners.
    hanging = _unit(e.mouth_width - 2 * e.smile)
    return {
        "eyeBlinkLeft": _unit(1 - e.eye_left / ORDINARY_EYE),
        "eyeBlinkRight": _unit(1 - e.eye_right / ORDINARY_EYE),
        "eyeWideLeft": _unit((e.eye_left - WIDE_EYE) / (1 - WIDE_EYE)),
        "eyeWideRight": _unit((e.eye_right - WIDE_EYE) / (1 - WIDE_EYE)),
        "jawOpen": _unit(e.mouth_open),
        "mouthSmileLeft": _unit(e.smile),
        "mouthSmileRight": _unit(e.smile),
        "mouthFrownLeft": hanging,
        "mouthFrownRight": hanging,
        "browDownLeft": _unit(-e.brow_left),
        "browDownRight": _unit(-e.brow_right),
        "browInnerUp": _unit((e.brow_left + e.brow_right) / 2),
        "browOuterUpLeft": _unit(e.brow_left),
        "browOuterUpRight": _unit(e.brow_right),
    }


def _unit(value: float) -> float:
    return value if math.isnan(value) else min(max(value, 0.0), 1.0)
