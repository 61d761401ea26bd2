"""The score of a face: how probable it is that there is one, and that its landmark box is right."""

from __future__ import annotations

import math

# Logistic regressions on the validation photographs, upright and turned (`recipes/calibrate_score.py`, `small`):
# constant, weight of the logarithm of the agreement, weight of the detector's logit.
_BOTH = (11.095, 11.887, 2.105)
_LANDMARKS_ALONE = (19.644, 22.936)

_LEAST = 1e-4


def face_score(agreement: float, detector_score: float | None) -> float:
    """Both networks' opinions as one probability, 0…1: of a box whose intersection over union with a face's true
    landmark box is at least 0.4.

    Args:
        agreement: of the landmark network's volume with its points (``jvcr.runtime.base.agreement``).
        detector_score: 0…1; None where a box was given or the detector does not say.
    """
    opinion = math.log(max(agreement, _LEAST))
    if detector_score is None:
        logit = _LANDMARKS_ALONE[0] + _LANDMARKS_ALONE[1] * opinion
    else:
        clipped = min(max(detector_score, _LEAST), 1 - _LEAST)
        logit = _BOTH[0] + _BOTH[1] * opinion + _BOTH[2] * math.log(clipped / (1 - clipped))
    return 1 / (1 + math.exp(-logit))
