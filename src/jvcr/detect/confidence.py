"""The score of a face: how probable it is that there is one, and that its landmark box is right."""

from __future__ import annotations

import math

# Logistic regressions on the validation photographs, upright and turned (`recipes/calibrate_score.py`, `small`):
# constant, weight of the logarithm of the agreement, of the detector's logit, and of the logarithm of the face's size.
_BOTH = (0.254, 10.851, 2.01, 2.576)
_LANDMARKS_ALONE = (17.71, 19.748)

_LEAST = 1e-4

SIZES_PX = (32.0, 100.0)
"""Between these the size tells something: what looks a little like a face is more often one when it is large."""


def face_score(agreement: float, detector_score: float | None = None, size_px: float = math.inf) -> float:
    """Both networks' opinions as one probability, 0…1: of a box whose intersection over union with a face's true
    landmark box is at least 0.4.

    Args:
        agreement: of the landmark network's volume with its points (``jvcr.runtime.base.agreement``).
        detector_score: 0…1; None where a box was given or the detector does not say: then the size is not used either.
        size_px: longer side of the landmarks' box.
    """
    opinion = math.log(max(agreement, _LEAST))
    if detector_score is None:
        logit = _LANDMARKS_ALONE[0] + _LANDMARKS_ALONE[1] * opinion
    else:
        clipped = min(max(detector_score, _LEAST), 1 - _LEAST)
        size = math.log(min(max(size_px, SIZES_PX[0]), SIZES_PX[1]))
        logit = _BOTH[0] + _BOTH[1] * opinion + _BOTH[2] * math.log(clipped / (1 - clipped)) + _BOTH[3] * size
    return 1 / (1 + math.exp(-logit))
